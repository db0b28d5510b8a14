"""``.onnx`` networks: :func:`load_onnx` and :func:`survey_onnx`.

The nodes are walked once, in file order; every name gets a value (``onnx_values.py``), every node's operator function
(``onnx_registry.py``) makes its output's value from its inputs', and IR operators are written where a result is
quantised. ``docs/numerics.md`` compares the arithmetic with ONNX Runtime's.
"""

from __future__ import annotations

from tensaw.compiler import ir
from tensaw.compiler.frontends import (
    onnx_constants,
    onnx_elementwise,
    onnx_matrix,
    onnx_pointwise,
    onnx_pool,
    onnx_quantisation,
    onnx_shape,
)
from tensaw.compiler.frontends.onnx_builder import Builder
from tensaw.compiler.frontends.onnx_fates import Fates
from tensaw.compiler.frontends.onnx_parse import Model, Node, parse
from tensaw.compiler.frontends.onnx_ports import input_value, output_port
from tensaw.compiler.frontends.onnx_registry import OPERATORS, Call, Refusal, handler
from tensaw.compiler.frontends.onnx_values import Constant, Value
from tensaw.compiler.frontends.verdict import OperatorVerdict
from tensaw.spec.errors import ModelError, TensawError

__all__ = ["load_onnx", "supported_operators", "survey_onnx"]

# Importing these modules fills OPERATORS.
_OPERATOR_MODULES = (
    onnx_constants,
    onnx_elementwise,
    onnx_matrix,
    onnx_pointwise,
    onnx_pool,
    onnx_quantisation,
    onnx_shape,
)


def supported_operators() -> dict[str, str]:
    """{operator type, with its domain unless that is ONNX's own: what is supported}, from the functions' docstrings."""
    return {
        f"{domain}.{kind}" if domain else kind: " ".join((function.__doc__ or "").split())
        for (domain, kind), function in sorted(OPERATORS.items(), key=lambda item: item[0])
    }


def load_onnx(data: bytes, name: str) -> ir.Graph:
    """The network in ``data`` as integers. ``name`` becomes the graph's and appears in messages.

    Raises ModelError for a file that is none or damaged, UnsupportedError for the first thing that cannot be used.
    """
    model = parse(data, name)
    walk = _Walk(model)
    for node in model.nodes:
        walk.translate(node)
    walk.finish()
    return walk.builder.graph


def survey_onnx(data: bytes, name: str) -> list[OperatorVerdict]:
    """Every operator's verdict, refusals included. Raises ModelError only if the file cannot be read at all.

    Behind a refused operator only the types of those that depend on it are checked.
    """
    model = parse(data, name)
    walk = _Walk(model)
    refused: dict[int, tuple[str, str]] = {}
    lost: set[str] = set()
    fates = Fates(model.nodes)
    for node in model.nodes:
        try:
            if lost.intersection(node.inputs):
                lost.update(node.outputs)
                handler(node, name)
            else:
                before = len(walk.builder.graph.ops)
                walk.translate(node)
                fates.saw(node, walk.values, walk.builder.graph.ops[before:])
        except Refusal as refusal:
            # A result's arithmetic is fixed where it is quantised; the blame is its operator's.
            refused[refusal.node.index] = (refusal.rule, refusal.fix)
            lost.update(node.outputs)
        except TensawError as error:
            refused[node.index] = (str(error), "")
            lost.update(node.outputs)
    fates.outputs([port.name for port in model.outputs])
    verdicts = []
    for node in model.nodes:
        reason, fix = refused.get(node.index, ("", ""))
        ok = node.index not in refused
        fate = (fates.result(node), fates.notes.get(node.index, "")) if ok else ("", "")
        verdicts.append(OperatorVerdict(node.index, node.op_type, node.outputs[0], ok, reason, fix, *fate))
    return verdicts


class _Walk:
    """The translation of one model in progress."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.builder = Builder(model.name)
        self.values: dict[str, Value] = {name: Constant(array) for name, array in model.constants.items()}
        for port in model.inputs:
            self.values[port.name] = input_value(model, port, self.builder)

    def translate(self, node: Node) -> None:
        """Give the node's output a value."""
        function = handler(node, self.model.name)
        inputs = tuple(self._value(node, name) for name in node.inputs)
        try:
            self.values[node.outputs[0]] = function(Call(node, inputs, self.builder, self.model.opset))
        except (ArithmeticError, LookupError, MemoryError, TypeError, ValueError) as error:
            # Damaged files break assumptions in more ways than operators can check one by one.
            raise ModelError(
                f"{self.model.name}: {node} cannot be understood ({type(error).__name__}: {error}); its attributes or "
                f"constants "
                "contradict each other, export the model again."
            ) from error

    def _value(self, node: Node, name: str) -> Value | None:
        if not name:
            return None
        if name not in self.values:
            raise ModelError(
                f"{self.model.name}: {node} reads {name!r}, which is neither computed before it nor the first output "
                f"of an "
                "operator; export the model again with its nodes in order and without secondary outputs."
            )
        return self.values[name]

    def finish(self) -> None:
        """Declare the network's outputs."""
        for port in self.model.outputs:
            if port.name not in self.values:
                raise ModelError(
                    f"{self.model.name}: output {port.name!r} is computed by no operator; export the model again."
                )
            self.builder.graph.outputs.append(output_port(self.model, port, self.values[port.name], self.builder))
