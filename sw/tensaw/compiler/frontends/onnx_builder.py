"""Writes the IR graph: tensors, operators, and the step from float values to int8 tensors (QuantizeLinear)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from tensaw.compiler import ir
from tensaw.compiler.frontends.onnx_values import (
    LEVELS,
    FloatInput,
    Integers,
    Pending,
    Real,
    Target,
    quantise_table,
)
from tensaw.spec.errors import UnsupportedError

__all__ = ["Builder"]


class Builder:
    """The graph under construction. ``file`` is the file's name, for messages."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.graph = ir.Graph(file)
        self._op_names: set[str] = set()
        self._reshaped: dict[tuple[str, tuple[int, ...]], str] = {}
        self._linear: dict[tuple[str, bytes, float, int], str] = {}

    def tensor(
        self,
        name: str,
        shape: Sequence[int],
        scale: float = 0.0,
        zero_point: int = 0,
        data: npt.NDArray[np.int8] | None = None,
    ) -> str:
        """Declare a tensor; returns its name, made unique."""
        if math.prod(shape) >= 2**31:
            raise UnsupportedError(
                f"{self.file}: tensor {name!r} of shape {list(shape)} has {math.prod(shape)} elements, and 2 GiB is "
                f"the most "
                "that a tensor may take; use a smaller input."
            )
        unique = _unique(name, self.graph.tensors)
        self.graph.tensors[unique] = ir.Tensor(unique, tuple(int(size) for size in shape), scale, zero_point, data)
        return unique

    def op_name(self, name: str) -> str:
        """``name``, or the first free variant of it, for an operator."""
        unique = _unique(name, self._op_names)
        self._op_names.add(unique)
        return unique

    def add(self, op: ir.Op) -> None:
        """Append an operator; its tensors are declared."""
        self.graph.ops.append(op)

    def shape(self, tensor: str) -> tuple[int, ...]:
        """IR shape of a tensor."""
        return self.graph.tensors[tensor].shape

    def reshaped(self, tensor: str, shape: Sequence[int]) -> str:
        """``tensor`` under another IR shape of the same size; emits a Reshape where it is not that already."""
        shape = tuple(int(size) for size in shape)
        source = self.graph.tensors[tensor]
        if source.shape == shape:
            return tensor
        key = tensor, shape
        if key not in self._reshaped:
            name = self.tensor(f"{tensor}_{'x'.join(map(str, shape))}", shape, source.scale, source.zero_point)
            self.add(ir.Reshape(self.op_name(name), "Reshape", (tensor,), name))
            self._reshaped[key] = name
        return self._reshaped[key]

    def learn_scale(self, tensor: str, scale: float, zero_point: int) -> None:
        """Record the scale of a tensor that came without (a network input, the output of an integer operator)."""
        known = self.graph.tensors[tensor]
        if known.scale == 0.0:
            self.graph.tensors[tensor] = replace(known, scale=scale, zero_point=zero_point)

    def lookup(self, real: Real, name: str, table: npt.NDArray[np.int8], scale: float, zero_point: int) -> str:
        """Emit a table lookup on the tensor of ``real``; returns the new tensor, ``name``. The identity is left out."""
        source = real.view.tensor
        if np.array_equal(table, LEVELS):
            return source
        output = self.tensor(name, self.shape(source), scale, zero_point)
        self.add(ir.Lookup(self.op_name(real.label or name), real.kind, (source,), output, table))
        return output

    def linear(self, real: Real) -> Real | None:
        """``real`` as plain dequantised values of some tensor, through a table if its values lie on the same grid.

        So a Relu in float between DequantizeLinear and a convolution costs a lookup; ``None`` where values fall between
        the grid's.
        """
        if real.linear:
            return real
        table = quantise_table(real.table, real.scale, real.zero_point)
        exact = (table.astype(np.int64) - real.zero_point).astype(np.float32) * np.float32(real.scale)
        if not np.array_equal(exact, real.table):
            return None
        key = real.view.tensor, table.tobytes(), real.scale, real.zero_point
        if key not in self._linear:
            name = f"{real.view.tensor}_{real.kind.lower()}"
            self._linear[key] = self.lookup(real, name, table, real.scale, real.zero_point)
        return Real.dequantised(replace(real.view, tensor=self._linear[key]), real.scale, real.zero_point)

    def quantise(
        self, value: Real | Pending | FloatInput, name: str, scale: float, zero_point: int, unsigned: bool
    ) -> Integers:
        """QuantizeLinear: an int8 tensor called ``name``; ``zero_point`` is that of the int8 values."""
        if isinstance(value, FloatInput):
            return Integers(replace(value.view, tensor=self._quantise_input(value, scale, zero_point)), unsigned)
        if isinstance(value, Real):
            table = quantise_table(value.table, scale, zero_point)
            tensor = self.lookup(value, name, table, scale, zero_point)
            return Integers(replace(value.view, tensor=tensor), unsigned)
        tensor = self.tensor(name, value.ir_shape, scale, zero_point)
        low, high = (int(level) for level in quantise_table([value.low, value.high], scale, zero_point))
        value.emit(Target(tensor, scale, zero_point, low, high))
        return Integers(replace(value.view, tensor=tensor), unsigned)

    def _quantise_input(self, value: FloatInput, scale: float, zero_point: int) -> str:
        """The IR tensor of a float input: the port's own scale, or a table from it where a second one is asked for."""
        self.learn_scale(value.view.tensor, scale, zero_point)
        known = self.graph.tensors[value.view.tensor]
        if (known.scale, known.zero_point) != (scale, zero_point):
            raise UnsupportedError(
                f"{self.file}: input {value.view.tensor!r} is quantised twice, with the scales {known.scale:g} and "
                f"{scale:g}, "
                "and a network input has one scale; quantise it once and let both operators read that."
            )
        return value.view.tensor


def _unique(name: str, taken: dict[str, ir.Tensor] | set[str]) -> str:
    """``name``, or ``name_2``, ``name_3``, … if it is taken."""
    name = name or "unnamed"
    if name not in taken:
        return name
    number = 2
    while f"{name}_{number}" in taken:
        number += 1
    return f"{name}_{number}"
