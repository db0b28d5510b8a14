"""What a name of an ONNX graph stands for while the graph is walked.

``Constant`` and ``QuantisedConstant`` hold data. ``Integers`` is an int8 or uint8 activation, ``Real`` the float values
that DequantizeLinear (and pointwise functions after it) make of one, ``Pending`` the float result of an arithmetic
operator that waits for its QuantizeLinear, ``FloatInput`` a network input that has not met its own yet.

Activations are int8 in the IR; uint8 ones are stored with 128 subtracted from values and zero points, which changes no
result.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tensaw.compiler.frontends.onnx_layout import Layout

__all__ = [
    "Activation",
    "Constant",
    "FloatInput",
    "Integers",
    "Pending",
    "QuantisedConstant",
    "Real",
    "Target",
    "Value",
    "View",
    "quantise_table",
    "shape_of",
]

FloatTable = npt.NDArray[np.float32]
LEVELS = np.arange(-128, 128)
"""The int8 values in the order of a table's entries."""


@dataclass(frozen=True)
class View:
    """An activation as the file sees it: ``shape`` is ONNX's, ``layout`` says where its elements lie in IR ``tensor``.

    ``tensor`` is empty for values that no IR tensor holds yet.
    """

    tensor: str
    shape: tuple[int, ...]
    layout: Layout

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Constant:
    """A constant of the file that is not quantised: weights and biases in float32, shapes in int64, zero points."""

    array: npt.NDArray

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape


@dataclass(frozen=True)
class QuantisedConstant:
    """A constant behind DequantizeLinear: ``(integers - zero_point) * scale``.

    ``scale`` and ``zero_point`` have shape ``(1,)``, or ``(n,)`` along ``axis`` (non-negative).
    """

    integers: npt.NDArray
    scale: npt.NDArray[np.float32]
    zero_point: npt.NDArray
    axis: int | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.integers.shape

    def real(self) -> npt.NDArray[np.float32]:
        """The float values, as DequantizeLinear computes them."""
        scale, zero_point = self.scale, self.zero_point
        if self.axis is not None:
            across = tuple(-1 if i == self.axis else 1 for i in range(self.integers.ndim))
            scale, zero_point = scale.reshape(across), zero_point.reshape(across)
        elif self.integers.ndim == 0:
            scale, zero_point = scale[0], zero_point[0]
        return ((self.integers.astype(np.int64) - zero_point).astype(np.float32) * scale).astype(np.float32)


@dataclass(frozen=True)
class Integers:
    """An int8 or (``unsigned``) uint8 activation."""

    view: View
    unsigned: bool


@dataclass(frozen=True)
class Real:
    """Float values that are a function of one int8 activation: entry ``v + 128`` of ``table`` for value ``v``.

    ``scale`` and ``zero_point`` are those of the DequantizeLinear it began with; ``linear`` while the table is still
    exactly ``(v - zero_point) * scale``. ``label`` and ``kind``: the last pointwise node, for the operator report.
    """

    view: View
    table: FloatTable
    scale: float
    zero_point: int
    linear: bool = True
    label: str = ""
    kind: str = "QuantizeLinear"

    @classmethod
    def dequantised(cls, view: View, scale: float, zero_point: int) -> Real:
        """``(v - zero_point) * scale`` in float32, as ONNX Runtime computes it."""
        with np.errstate(over="ignore"):
            table = (LEVELS - zero_point).astype(np.float32) * np.float32(scale)
        return cls(view, table, scale, zero_point)

    def mapped(self, function: Callable[[FloatTable], npt.NDArray], label: str, kind: str) -> Real:
        """The values after a pointwise function, that of the node ``label`` of type ``kind``."""
        with np.errstate(all="ignore"):
            table = np.asarray(function(self.table)).astype(np.float32)
        return replace(self, table=table, linear=False, label=label, kind=kind)


@dataclass(frozen=True)
class Target:
    """Where a :class:`Pending` result goes: IR tensor ``tensor``, quantised so, clamped to [low, high]."""

    tensor: str
    scale: float
    zero_point: int
    low: int
    high: int


@dataclass(frozen=True)
class Pending:
    """The float result of an operator, clamped to [low, high]; ``emit`` writes the IR once the output's scale is known.

    ``ir_shape`` is that of the IR tensor. ``owner`` names the node in messages. ``add_bias`` gives the same result with
    a constant (one value, or one for each output channel) added before the clamp; ``None`` where that cannot be folded.
    """

    owner: str
    view: View
    ir_shape: tuple[int, ...]
    emit: Callable[[Target], None]
    low: float = -math.inf
    high: float = math.inf
    add_bias: Callable[[npt.NDArray], Pending] | None = None

    def clamped(self, low: float, high: float) -> Pending:
        """The result after a further clamp."""
        return replace(self, low=min(max(self.low, low), high), high=max(min(self.high, high), low), add_bias=None)


@dataclass(frozen=True)
class FloatInput:
    """A float32 network input, until the first QuantizeLinear makes it an int8 one. ``view.tensor`` is its name."""

    view: View


Activation: TypeAlias = Integers | Real | Pending | FloatInput
Value: TypeAlias = Constant | QuantisedConstant | Activation


def quantise_table(table: npt.ArrayLike, scale: float, zero_point: int) -> npt.NDArray[np.int8]:
    """QuantizeLinear to int8 as ONNX Runtime computes it: float32 division, ties to even, saturation."""
    with np.errstate(over="ignore", invalid="ignore"):
        quotient = np.asarray(table, np.float32) / np.float32(scale)
    levels = np.nan_to_num(np.rint(quotient), nan=-np.inf, posinf=1e6, neginf=-1e6) + zero_point
    return np.clip(levels, -128, 127).astype(np.int8)


def shape_of(value: Value) -> tuple[int, ...]:
    """The ONNX shape of anything that has one."""
    return value.shape if isinstance(value, Constant | QuantisedConstant) else value.view.shape
