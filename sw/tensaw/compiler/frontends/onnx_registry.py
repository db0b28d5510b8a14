"""The table of ONNX operators, and what an operator's function is given.

To add one, write a function that takes a :class:`Call` and returns the value of the node's first output, say in its
docstring what is supported, and put ``@operator("OpType")`` above it, in a module that ``onnx.py`` imports.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy.typing as npt

from tensaw.compiler.frontends.onnx_builder import Builder
from tensaw.compiler.frontends.onnx_layout import Layout
from tensaw.compiler.frontends.onnx_parse import MICROSOFT, Node
from tensaw.compiler.frontends.onnx_values import (
    Activation,
    Constant,
    Integers,
    Pending,
    QuantisedConstant,
    Real,
    Value,
    View,
)
from tensaw.spec.errors import ModelError, UnsupportedError

__all__ = ["OPERATORS", "Call", "Handler", "Refusal", "handler", "operator"]

T = TypeVar("T", int, float, str)


class Refusal(UnsupportedError):
    """An operator that cannot be compiled: ``node``, the ``rule`` it breaks and what the user can do (``fix``)."""

    def __init__(self, file: str, node: Node, rule: str, fix: str) -> None:
        super().__init__(f"{file}: {node} {rule}; {fix}.")
        self.node, self.rule, self.fix = node, rule, fix


@dataclass(frozen=True)
class Call:
    """One node with the values of its inputs (``None`` for an absent optional one)."""

    node: Node
    inputs: tuple[Value | None, ...]
    builder: Builder
    opset: int

    @property
    def label(self) -> str:
        """The node's name, or its output's where it has none: the name of its IR operator."""
        return self.node.name or self.node.outputs[0]

    def unsupported(self, rule: str, fix: str) -> Refusal:
        """An error that names the node, the broken rule and the fix."""
        return Refusal(self.builder.file, self.node, rule, fix)

    def wrong(self, rule: str) -> ModelError:
        """An error for a node that contradicts itself or the operator's definition."""
        return ModelError(f"{self.builder.file}: {self.node} {rule}; the file is inconsistent, export it again.")

    def attribute(self, name: str, default: T) -> T:
        """An attribute of the type of ``default``."""
        value = self.node.attributes.get(name, default)
        if isinstance(value, type(default)):
            return value
        raise self.wrong(f"has the attribute {name!r} with a value of the wrong type")

    def ints(self, name: str) -> tuple[int, ...]:
        """An attribute that is a list of integers; empty where absent."""
        values = self.node.attributes.get(name, ())
        if isinstance(values, tuple) and all(isinstance(value, int) for value in values):
            return tuple(int(value) for value in values)
        raise self.wrong(f"has the attribute {name!r} with a value of the wrong type")

    def input(self, index: int) -> Value | None:
        """An optional input's value."""
        return self.inputs[index] if index < len(self.inputs) else None

    def value(self, index: int) -> Value:
        """A required input's value."""
        value = self.input(index)
        if value is None:
            raise self.wrong(f"lacks its input {index}")
        return value

    def numbers(self, index: int) -> npt.NDArray | None:
        """An optional input that must be constant, as its (float or integer) numbers."""
        value = self.input(index)
        if value is None:
            return None
        if isinstance(value, Constant):
            return value.array
        if isinstance(value, QuantisedConstant):
            return value.real()
        raise self.unsupported(
            f"has an input {index} that is computed by the network, and it must be a constant",
            "simplify the model before quantising it (for example with onnxsim) so that the value becomes a constant",
        )

    def integers(self, name: str, index: int) -> tuple[int, ...] | None:
        """A list of integers that older opsets give as attribute ``name`` and newer ones as input ``index``."""
        if name in self.node.attributes:
            return self.ints(name)
        array = self.numbers(index)
        if array is None:
            return None
        if array.dtype.kind not in "iu":
            raise self.wrong(f"has an input {index} that should hold integers and holds {array.dtype}")
        return tuple(int(i) for i in array.ravel())

    def axes(self, axes: Sequence[int], rank: int) -> tuple[int, ...]:
        """Axis numbers made non-negative and checked."""
        if any(not -rank <= axis < rank for axis in axes) or len({axis % rank for axis in axes}) != len(axes):
            raise self.wrong(f"names the axes {list(axes)}, which a tensor of {rank} dimensions does not have")
        return tuple(axis % rank for axis in axes)

    def activation(self, index: int) -> Activation:
        """An input that the network computes."""
        value = self.value(index)
        if isinstance(value, Constant | QuantisedConstant):
            raise self.unsupported(
                f"reads a constant as its input {index}, where a tensor that the network computes is expected",
                "simplify the model before quantising it (for example with onnxsim) so that constants are folded",
            )
        return value

    def real(self, index: int) -> Real:
        """An input as dequantised int8 values; what was left unquantised before this node is refused."""
        value = self.activation(index)
        if isinstance(value, Real):
            linear = self.builder.linear(value)
            if linear is not None:
                return linear
        raise self.unquantised(index, value)

    def unquantised(self, index: int, value: Activation) -> Refusal:
        """The error for an input that no pair of QuantizeLinear and DequantizeLinear has made int8."""
        if isinstance(value, Integers):
            return self.unsupported(
                f"reads integers as its input {index} without a scale",
                "put a DequantizeLinear before it, as onnxruntime.quantization does in the QDQ format",
            )
        origin = f", the result of {value.owner}," if isinstance(value, Pending) else ""
        return self.unsupported(
            f"reads its input {index}{origin} in float, and every tensor between two operators must be int8",
            "quantise both operators, so that a QuantizeLinear and a DequantizeLinear stand between them",
        )

    def image(self, index: int) -> tuple[Real, tuple[int, int, int]]:
        """An (1, C, H, W) or (1, C, L) input, and its IR height, width and channels. The view's tensor is NHWC."""
        real = self.real(index)
        view, size = self.as_image(real.view)
        return Real(view, real.table, real.scale, real.zero_point), size

    def as_image(self, view: View) -> tuple[View, tuple[int, int, int]]:
        """``view`` with its IR tensor reshaped to (1, H, W, C); the ONNX side keeps its shape."""
        shape = view.shape
        if len(shape) not in (3, 4):
            raise self.unsupported(
                f"works on a tensor of {len(shape)} dimensions, {list(shape)}, and images must be (1, C, H, W) or (1, "
                f"C, L)",
                "rewrite the layer in two spatial dimensions",
            )
        if shape[0] != 1:
            raise self.unsupported(
                f"works on a batch of {shape[0]}, and networks are run one sample at a time",
                "export the model with a batch of 1",
            )
        layout = Layout.image(shape)
        if not view.layout.same_as(layout):
            raise self.unsupported(
                "needs channels that a Transpose or Reshape before it has put elsewhere, and the NPU moves no bytes "
                "for those",
                "remove the reordering, or place it at the network's input",
            )
        height, width = (1, shape[2]) if len(shape) == 3 else shape[2:]
        name = self.builder.reshaped(view.tensor, (1, height, width, shape[1]))
        return View(name, shape, layout), (height, width, shape[1])


Handler = Callable[[Call], Value]
OPERATORS: dict[tuple[str, str], Handler] = {}
"""Operator functions by (domain, op_type)."""


def operator(*names: str, domain: str = "") -> Callable[[Handler], Handler]:
    """Register a function for one or several operator types of ``domain``."""

    def register(function: Handler) -> Handler:
        for name in names:
            OPERATORS[domain, name] = function
        return function

    return register


def handler(node: Node, file: str) -> Handler:
    """The function of a node's operator; UnsupportedError where there is none."""
    found = OPERATORS.get((node.domain, node.op_type))
    if found is not None:
        return found
    if node.domain not in ("", MICROSOFT):
        rule = f"belongs to the operator domain {node.domain!r}, and only ai.onnx and {MICROSOFT} are understood"
        fix = "if the model holds it as a function, inline it with onnx.inliner.inline_local_functions(model)"
    else:
        rule = "is of a type that is not supported"
        fix = f"replace {node.op_type} by supported operators (the README lists them) or compute it on the host"
    raise Refusal(file, node, rule, fix)
