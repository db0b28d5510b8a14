"""The compiler's intermediate representation: a list of integer-only operators on named int8 tensors.

A front end (``.tflite``, ``.onnx``) turns a file into a :class:`Graph`; everything that depends on floating-point
scales (multipliers, shifts, tables) is computed there, once, so that the golden model and the code generator see the
same integers and need no scale. Layout is always NHWC for images and ``(rows, features)`` for matrices, whatever the
file used; where a file's own layout differs, :attr:`Port.permutation` says how the host array maps to it.

Tensors carry ``scale`` and ``zero_point`` for reports and for the host only, except that operators repeat the zero
points that their arithmetic needs.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = [
    "Rounding",
    "Requantise",
    "Tensor",
    "Port",
    "Op",
    "Conv2d",
    "DepthwiseConv2d",
    "FullyConnected",
    "Elementwise",
    "ElementwiseKind",
    "Pool2d",
    "PoolKind",
    "Mean",
    "Reshape",
    "Pad",
    "Concat",
    "Softmax",
    "Lookup",
    "Graph",
]

IntArray: TypeAlias = npt.NDArray[np.integer]


class Rounding(enum.IntEnum):
    """How a 64-bit product ``acc * multiplier`` becomes an int32 (``docs/numerics.md``)."""

    DOUBLE = 0
    """gemmlowp: saturating rounding doubling high multiply, then rounding divide by power of two (ties away)."""
    SINGLE = 1
    """``(acc * multiplier + 2**(t-1)) >> t`` with ``t = 31 - shift`` (ties up)."""
    AWAY = 2
    """As SINGLE on the magnitude, the sign put back afterwards (ties away from zero)."""


@dataclass(frozen=True)
class Requantise:
    """int32 accumulator to int8: ``clamp(round(acc * multiplier * 2**(shift-31)) + zero_point, low, high)``.

    ``multiplier`` int array in [0, 2**31) (normalised to 2**30 and above, except for :class:`Mean`) and ``shift`` int
    array in [-31, 30] (positive: left, in 32 bits, before the multiplication), both of shape ``(1,)`` (per tensor) or
    ``(channels,)``; ``zero_point``, ``low``, ``high`` in [-128, 127].
    """

    multiplier: IntArray
    shift: IntArray
    zero_point: int
    low: int
    high: int
    rounding: Rounding


@dataclass(frozen=True)
class Tensor:
    """A named tensor. ``data`` is set for constants only. ``scale`` 0.0 means unknown.

    ``index`` is the tensor's number in the file, where the file numbers its tensors (``.tflite``).
    """

    name: str
    shape: tuple[int, ...]
    scale: float = 0.0
    zero_point: int = 0
    data: npt.NDArray[np.int8] | None = None
    index: int | None = None


@dataclass(frozen=True)
class Port:
    """A network input or output as the file declares it.

    ``tensor`` is the IR tensor's name; ``name``, ``shape`` and ``dtype`` are the file's own. ``permutation`` maps the
    file's array to the IR's: ``ir_array = file_array.transpose(permutation).reshape(ir_shape)`` (identity: ``None``).
    Where ``dtype`` is "float32" the host quantises with the tensor's scale and zero point (and dequantises outputs);
    "uint8" is int8 with 128 added. ``ties_to_even`` says how the host rounds floats: half to even (ONNX) or away from
    zero (LiteRT).
    """

    tensor: str
    name: str
    shape: tuple[int, ...]
    dtype: str = "int8"
    permutation: tuple[int, ...] | None = None
    ties_to_even: bool = False


@dataclass(frozen=True)
class _Op:
    name: str
    """Unique, readable: the file's own operator or output tensor name where it has one."""
    kind: str
    """The file's own operator type, for reports: ``CONV_2D``, ``QLinearConv``."""
    inputs: tuple[str, ...]
    """Tensor names; constants that are weights are fields of the operator instead."""
    output: str


@dataclass(frozen=True)
class Conv2d(_Op):
    """``acc[y,x,o] = bias[o] + sum((in[y*sy+ky*dy-top, x*sx+kx*dx-left, i] - input_zero_point) * weights[o,ky,kx,i])``.

    ``weights`` int8 (out, kh, kw, in / groups); ``bias`` int32 (out,); ``padding`` (top, left, bottom, right);
    positions outside the image hold ``input_zero_point``.
    """

    weights: npt.NDArray[np.int8]
    bias: npt.NDArray[np.int32]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: tuple[int, int, int, int]
    groups: int
    input_zero_point: int
    requantise: Requantise


@dataclass(frozen=True)
class DepthwiseConv2d(_Op):
    """As :class:`Conv2d`, each output channel ``o`` reading input channel ``o // multiplier``.

    ``weights`` int8 (kh, kw, channels * multiplier).
    """

    weights: npt.NDArray[np.int8]
    bias: npt.NDArray[np.int32]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: tuple[int, int, int, int]
    multiplier: int
    input_zero_point: int
    requantise: Requantise


@dataclass(frozen=True)
class FullyConnected(_Op):
    """``acc[m,o] = bias[o] + sum((in[m,i] - input_zero_point) * weights[o,i])``; ``weights`` int8 (out, in).

    Input and output are matrices; a front end puts a :class:`Reshape` around where the file's tensors are not.
    """

    weights: npt.NDArray[np.int8]
    bias: npt.NDArray[np.int32]
    input_zero_point: int
    requantise: Requantise


class ElementwiseKind(enum.IntEnum):
    ADD = 1
    SUB = 2
    MUL = 3


@dataclass(frozen=True)
class Elementwise(_Op):
    """Two int8 tensors (NumPy broadcasting; either may be a constant) to one.

    ADD and SUB: ``s = r1((a - zero_points[0]) << 20) ± r2((b - zero_points[1]) << 20)``; MUL:
    ``s = (a - zero_points[0]) * (b - zero_points[1])``. Then ``out = requantise(s)``. ``multipliers`` and ``shifts``
    are those of ``r1`` and ``r2`` (rounded DOUBLE; unused for MUL).
    """

    operation: ElementwiseKind
    zero_points: tuple[int, int]
    multipliers: tuple[int, int]
    shifts: tuple[int, int]
    requantise: Requantise


class PoolKind(enum.IntEnum):
    MAX = 0
    AVERAGE = 1


@dataclass(frozen=True)
class Pool2d(_Op):
    """Max or average over a window. The average divides by the count of positions inside the image, ties away from zero
    (LiteRT: input and output share scale and zero point), then clamps to [low, high]."""

    operation: PoolKind
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    low: int
    high: int


@dataclass(frozen=True)
class Mean(_Op):
    """Mean over height and width: ``requantise(bias + sum(in))``; ``bias`` folds the input zero point.

    The input is (1, height, width, channels), the output (1, channels) or (1, 1, 1, channels).
    """

    bias: int
    requantise: Requantise


@dataclass(frozen=True)
class Reshape(_Op):
    """The same bytes in the same order under another shape."""


@dataclass(frozen=True)
class Pad(_Op):
    """Constant padding: ``padding`` is one (before, after) pair for each axis; ``value`` the int8 written."""

    padding: tuple[tuple[int, int], ...]
    value: int


@dataclass(frozen=True)
class Concat(_Op):
    """Concatenation along ``axis`` (non-negative); each input passes through its table first.

    ``tables`` int8 (inputs, 256), entry ``v + 128`` for value ``v``; the identity where the scales agree.
    """

    axis: int
    tables: npt.NDArray[np.int8]


@dataclass(frozen=True)
class Softmax(_Op):
    """Softmax over the last axis as LiteRT's int8 reference computes it.

    ``multiplier`` and ``shift``: ``beta * scale`` scaled to Q5.26 (``PreprocessSoftmaxScaling``); differences below
    ``diff_min`` give zero.
    """

    multiplier: int
    shift: int
    diff_min: int


@dataclass(frozen=True)
class Lookup(_Op):
    """``out = table[in + 128]``; ``table`` int8 (256,). Any pointwise function, QUANTIZE included."""

    table: npt.NDArray[np.int8]


Op: TypeAlias = (
    Conv2d | DepthwiseConv2d | FullyConnected | Elementwise | Pool2d | Mean | Reshape | Pad | Concat | Softmax | Lookup
)


@dataclass
class Graph:
    """A network: tensors by name, operators in an order in which every input is ready."""

    name: str
    tensors: dict[str, Tensor] = field(default_factory=dict)
    ops: list[Op] = field(default_factory=list)
    inputs: list[Port] = field(default_factory=list)
    outputs: list[Port] = field(default_factory=list)
