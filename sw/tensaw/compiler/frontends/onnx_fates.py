"""What becomes of each ONNX node: an IR operator, a part of another node's, or nothing that the NPU does.

In the QDQ form an operator's arithmetic is known where its result is quantised, so that the IR operator of a Conv is
written when its QuantizeLinear is met. People look for it at the Conv.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tensaw.compiler import ir
from tensaw.compiler.frontends.onnx_parse import Node
from tensaw.compiler.frontends.onnx_values import (
    Constant,
    FloatInput,
    Integers,
    Pending,
    QuantisedConstant,
    Real,
    Value,
)

__all__ = ["Fates"]


class Fates:
    """Filled by :meth:`saw`, once for each node in the order of the file.

    ``notes``: what is to be said of nodes that became no operator, by the node's index.
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.notes: dict[int, str] = {}
        self._found: dict[int, ir.Op] = {}
        self._by_label: dict[str, Node] = {}
        for node in nodes:
            self._by_label.setdefault(node.name or node.outputs[0], node)
        # Nodes whose common result is still in float, by the name of that result.
        self._open: dict[str, list[Node]] = {}

    def saw(self, node: Node, values: Mapping[str, Value], made: Sequence[ir.Op]) -> None:
        """``node`` has been translated: its output is in ``values``, and these operators were written meanwhile."""
        value = values[node.outputs[0]]
        together = [member for name in node.inputs for member in self._open.get(name, ())]
        for op in made:
            owner = self._by_label.get(op.name, node)
            if isinstance(op, ir.Reshape) and op.name not in self._by_label:
                continue  # another shape of the same bytes, for the operator that follows
            # A pool, for example, may be followed by a table of its own: the pool is what the node is.
            if owner.index not in self._found or op.kind == owner.op_type != self._found[owner.index].kind:
                self._found[owner.index] = op
            for member in [*together, *([node] if isinstance(value, Integers) else [])]:
                if member is not owner:
                    self.notes.setdefault(member.index, f"part of operator {owner.index}, {owner.op_type}")
        if isinstance(value, Pending) or (isinstance(value, Real) and not value.linear):
            self._open[node.outputs[0]] = [*together, node]
        elif node.index not in self._found:
            self.notes.setdefault(node.index, _note(node, value, values))

    def result(self, node: Node) -> str:
        """IR tensor of the operator that a node became; empty if it became none."""
        return self._found[node.index].output if node.index in self._found else ""

    def outputs(self, names: Sequence[str]) -> None:
        """The network's outputs: those that a DequantizeLinear makes float are made so by the runtime."""
        for node in self._by_label.values():
            if node.outputs[0] in names and node.op_type == "DequantizeLinear":
                self.notes[node.index] = "host, when the output is read"


def _note(node: Node, value: Value, values: Mapping[str, Value]) -> str:
    """On a node that no operator was written for and that waits for none."""
    if isinstance(value, Constant | QuantisedConstant):
        return "no operation: constant"
    if isinstance(values.get(node.inputs[0]), FloatInput):
        return "host, when the input is written"
    if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
        return "no operation: a scale"
    return "no operation: the same bytes"
