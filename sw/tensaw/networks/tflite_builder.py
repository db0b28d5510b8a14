"""Builds quantised ``.tflite`` networks operator by operator, for tests, benchmarks and examples.

    builder = TfliteBuilder("two_layers")
    x = builder.input((1, 8, 8, 3), scale=0.05, zero_point=-3)
    y = builder.conv2d(x, weights, bias, padding="SAME", activation="RELU", out_scale=0.1, out_zp=-128)
    builder.output(builder.max_pool2d(y, 2))
    data = builder.finish()

The builder computes shapes as LiteRT does and leaves everything else to the caller: it is for people who know what they
write, and raises ValueError where an argument makes no sense.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tflite

from tensaw.networks.tflite_writer import WriterOperator, WriterTensor, serialise

__all__ = ["TensorHandle", "TfliteBuilder"]

Pair = int | tuple[int, int]

_ACTIVATIONS = {
    name: getattr(tflite.ActivationFunctionType, name) for name in ("NONE", "RELU", "RELU6", "RELU_N1_TO_1", "TANH")
}
_PADDINGS = {"SAME": tflite.Padding.SAME, "VALID": tflite.Padding.VALID}


@dataclass(frozen=True)
class TensorHandle:
    """A tensor of the network under construction."""

    index: int
    name: str
    type: str
    shape: tuple[int, ...]
    scale: float
    zero_point: int


def _pair(value: Pair) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def _or_zeros(bias: npt.ArrayLike | None, channels: int) -> npt.ArrayLike:
    """LiteRT's convolutions need a bias; fully connected layers do not."""
    return np.zeros(channels, np.int32) if bias is None else bias


class TfliteBuilder:
    """One network under construction; every operator method returns the handle of its output.

    ``out_scale`` and ``out_zp`` default to those of the (first) input. Scales are rounded to float32.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.tensors: list[WriterTensor] = []
        self.operators: list[WriterOperator] = []
        self.inputs: list[int] = []
        self.outputs: list[int] = []

    # Tensors -------------------------------------------------------------------------------------------------------

    def tensor(
        self,
        shape: Sequence[int],
        scale: float = 0.0,
        zero_point: int = 0,
        *,
        type: str = "INT8",
        name: str | None = None,
        data: np.ndarray | None = None,
        signature: tuple[int, ...] | None = None,
    ) -> TensorHandle:
        """Any tensor; ``scale`` 0 means not quantised."""
        index = len(self.tensors)
        name = name or f"tensor_{index}"
        scale = float(np.float32(scale))
        quantisation = ((scale,), (zero_point,)) if scale else ((), ())
        self.tensors.append(
            WriterTensor(name, type, tuple(shape), *quantisation, data=data, signature=signature),
        )
        return TensorHandle(index, name, type, tuple(shape), scale, zero_point)

    def input(
        self,
        shape: Sequence[int],
        scale: float = 0.0,
        zero_point: int = 0,
        *,
        type: str = "INT8",
        name: str | None = None,
        signature: tuple[int, ...] | None = None,
    ) -> TensorHandle:
        """A network input; ``signature`` with -1 marks dimensions that may vary."""
        name = name or f"input_{len(self.inputs)}"
        handle = self.tensor(shape, scale, zero_point, type=type, name=name, signature=signature)
        self.inputs.append(handle.index)
        return handle

    def output(self, *handles: TensorHandle) -> None:
        """Declare network outputs."""
        self.outputs.extend(handle.index for handle in handles)

    def constant(
        self, data: npt.ArrayLike, scale: float, zero_point: int = 0, *, name: str | None = None
    ) -> TensorHandle:
        """An int8 constant."""
        array = np.asarray(data, np.int8)
        return self.tensor(array.shape, scale, zero_point, name=name, data=array)

    def _integers(self, values: npt.ArrayLike, name: str) -> int:
        array = np.asarray(values, np.int32)
        return self.tensor(array.shape, type="INT32", name=name, data=array).index

    # Operators -----------------------------------------------------------------------------------------------------

    def operator(
        self,
        kind: str,
        inputs: Sequence[int],
        shape: Sequence[int],
        scale: float,
        zero_point: int,
        name: str | None,
        *,
        type: str = "INT8",
        **options: Any,
    ) -> TensorHandle:
        """Any operator with one output; ``options`` by the schema's names."""
        name = name or f"{kind.lower()}_{len(self.operators)}"
        handle = self.tensor(shape, scale, zero_point, type=type, name=name)
        self.operators.append(WriterOperator(kind, tuple(inputs), (handle.index,), options))
        return handle

    def _weighted(
        self,
        x: TensorHandle,
        weights: npt.ArrayLike,
        bias: npt.ArrayLike | None,
        weight_scale: float | Sequence[float] | npt.NDArray[np.floating],
        axis: int,
        name: str | None,
    ) -> tuple[int, int, int]:
        """Indices of the input, the weights and the bias."""
        label = name or f"layer_{len(self.operators)}"
        scales = tuple(float(np.float32(scale)) for scale in np.atleast_1d(np.asarray(weight_scale)))
        array = np.asarray(weights, np.int8)
        if len(scales) not in (1, array.shape[axis]):
            raise ValueError(f"{len(scales)} weight scales for {array.shape[axis]} channels")
        tensor = WriterTensor(f"{label}/weights", "INT8", array.shape, scales, (0,) * len(scales), axis, array)
        self.tensors.append(tensor)
        weights_index = len(self.tensors) - 1
        if bias is None:
            return x.index, weights_index, -1
        bias_scales = tuple(float(np.float32(scale) * np.float32(x.scale)) for scale in scales)
        values = np.asarray(bias, np.int32)
        self.tensors.append(
            WriterTensor(f"{label}/bias", "INT32", values.shape, bias_scales, (0,) * len(scales), 0, values)
        )
        return x.index, weights_index, weights_index + 1

    @staticmethod
    def _sizes(x: TensorHandle, kernel: Pair, stride: Pair, dilation: Pair, padding: str) -> tuple[int, int]:
        sizes = []
        for size, taps, step, spread in zip(x.shape[1:3], _pair(kernel), _pair(stride), _pair(dilation), strict=True):
            extent = (taps - 1) * spread + 1
            sizes.append(-(-size // step) if padding == "SAME" else (size - extent) // step + 1)
        if min(sizes) < 1:
            raise ValueError(f"kernel {kernel} does not fit {x.shape}")
        return sizes[0], sizes[1]

    @staticmethod
    def _out(x: TensorHandle, scale: float | None, zero_point: int | None) -> tuple[float, int]:
        return (x.scale if scale is None else scale), (x.zero_point if zero_point is None else zero_point)

    def conv2d(
        self,
        x: TensorHandle,
        weights: npt.ArrayLike,
        bias: npt.ArrayLike | None = None,
        *,
        weight_scale: float | Sequence[float] | npt.NDArray[np.floating] = 0.01,
        stride: Pair = 1,
        dilation: Pair = 1,
        padding: str = "SAME",
        activation: str = "NONE",
        out_scale: float | None = None,
        out_zp: int | None = None,
        name: str | None = None,
    ) -> TensorHandle:
        """CONV_2D; weights int8 (out, kernel height, kernel width, in / groups), one scale or one per channel."""
        array = np.asarray(weights, np.int8)
        sizes = self._sizes(x, array.shape[1:3], stride, dilation, padding)
        return self.operator(
            "CONV_2D",
            self._weighted(x, array, _or_zeros(bias, array.shape[0]), weight_scale, 0, name),
            (1, *sizes, array.shape[0]),
            *self._out(x, out_scale, out_zp),
            name,
            Padding=_PADDINGS[padding],
            StrideH=_pair(stride)[0],
            StrideW=_pair(stride)[1],
            DilationHFactor=_pair(dilation)[0],
            DilationWFactor=_pair(dilation)[1],
            FusedActivationFunction=_ACTIVATIONS[activation],
        )

    def depthwise_conv2d(
        self,
        x: TensorHandle,
        weights: npt.ArrayLike,
        bias: npt.ArrayLike | None = None,
        *,
        weight_scale: float | Sequence[float] | npt.NDArray[np.floating] = 0.01,
        stride: Pair = 1,
        dilation: Pair = 1,
        padding: str = "SAME",
        activation: str = "NONE",
        out_scale: float | None = None,
        out_zp: int | None = None,
        name: str | None = None,
    ) -> TensorHandle:
        """DEPTHWISE_CONV_2D; weights int8 (kernel height, kernel width, channels · multiplier)."""
        array = np.asarray(weights, np.int8)[None]
        sizes = self._sizes(x, array.shape[1:3], stride, dilation, padding)
        return self.operator(
            "DEPTHWISE_CONV_2D",
            self._weighted(x, array, _or_zeros(bias, array.shape[3]), weight_scale, 3, name),
            (1, *sizes, array.shape[3]),
            *self._out(x, out_scale, out_zp),
            name,
            Padding=_PADDINGS[padding],
            StrideH=_pair(stride)[0],
            StrideW=_pair(stride)[1],
            DilationHFactor=_pair(dilation)[0],
            DilationWFactor=_pair(dilation)[1],
            DepthMultiplier=array.shape[3] // x.shape[3],
            FusedActivationFunction=_ACTIVATIONS[activation],
        )

    def fully_connected(
        self,
        x: TensorHandle,
        weights: npt.ArrayLike,
        bias: npt.ArrayLike | None = None,
        *,
        weight_scale: float | Sequence[float] | npt.NDArray[np.floating] = 0.01,
        activation: str = "NONE",
        keep_dims: bool = False,
        out_scale: float | None = None,
        out_zp: int | None = None,
        name: str | None = None,
    ) -> TensorHandle:
        """FULLY_CONNECTED; weights int8 (out, in). With ``keep_dims`` only the last dimension changes."""
        array = np.asarray(weights, np.int8)
        rows = int(np.prod(x.shape)) // array.shape[1]
        return self.operator(
            "FULLY_CONNECTED",
            self._weighted(x, array, bias, weight_scale, 0, name),
            (*x.shape[:-1], array.shape[0]) if keep_dims else (rows, array.shape[0]),
            *self._out(x, out_scale, out_zp),
            name,
            FusedActivationFunction=_ACTIVATIONS[activation],
            KeepNumDims=keep_dims,
        )

    def _elementwise(
        self,
        kind: str,
        a: TensorHandle,
        b: TensorHandle,
        activation: str,
        out_scale: float | None,
        out_zp: int | None,
        name: str | None,
    ) -> TensorHandle:
        shape = np.broadcast_shapes(a.shape, b.shape)
        scale, zero_point = self._out(a, out_scale, out_zp)
        return self.operator(
            kind,
            (a.index, b.index),
            shape,
            scale,
            zero_point,
            name,
            FusedActivationFunction=_ACTIVATIONS[activation],
        )

    def add(
        self, a: TensorHandle, b: TensorHandle, *, activation: str = "NONE", out_scale: float | None = None,
        out_zp: int | None = None, name: str | None = None,
    ) -> TensorHandle:  # fmt: skip
        """ADD with broadcasting."""
        return self._elementwise("ADD", a, b, activation, out_scale, out_zp, name)

    def sub(
        self, a: TensorHandle, b: TensorHandle, *, activation: str = "NONE", out_scale: float | None = None,
        out_zp: int | None = None, name: str | None = None,
    ) -> TensorHandle:  # fmt: skip
        """SUB with broadcasting."""
        return self._elementwise("SUB", a, b, activation, out_scale, out_zp, name)

    def mul(
        self, a: TensorHandle, b: TensorHandle, *, activation: str = "NONE", out_scale: float | None = None,
        out_zp: int | None = None, name: str | None = None,
    ) -> TensorHandle:  # fmt: skip
        """MUL with broadcasting."""
        return self._elementwise("MUL", a, b, activation, out_scale, out_zp, name)

    def _pool(
        self, kind: str, x: TensorHandle, kernel: Pair, stride: Pair | None, padding: str, activation: str,
        name: str | None,
    ) -> TensorHandle:  # fmt: skip
        stride = kernel if stride is None else stride
        return self.operator(
            kind,
            (x.index,),
            (1, *self._sizes(x, kernel, stride, 1, padding), x.shape[3]),
            x.scale,
            x.zero_point,
            name,
            Padding=_PADDINGS[padding],
            StrideH=_pair(stride)[0],
            StrideW=_pair(stride)[1],
            FilterHeight=_pair(kernel)[0],
            FilterWidth=_pair(kernel)[1],
            FusedActivationFunction=_ACTIVATIONS[activation],
        )

    def average_pool2d(
        self, x: TensorHandle, kernel: Pair, *, stride: Pair | None = None, padding: str = "VALID",
        activation: str = "NONE", name: str | None = None,
    ) -> TensorHandle:  # fmt: skip
        """AVERAGE_POOL_2D; the stride defaults to the kernel."""
        return self._pool("AVERAGE_POOL_2D", x, kernel, stride, padding, activation, name)

    def max_pool2d(
        self, x: TensorHandle, kernel: Pair, *, stride: Pair | None = None, padding: str = "VALID",
        activation: str = "NONE", name: str | None = None,
    ) -> TensorHandle:  # fmt: skip
        """MAX_POOL_2D; the stride defaults to the kernel."""
        return self._pool("MAX_POOL_2D", x, kernel, stride, padding, activation, name)

    def mean(
        self, x: TensorHandle, axes: Sequence[int] = (1, 2), *, keep_dims: bool = False, out_scale: float | None = None,
        out_zp: int | None = None, name: str | None = None,
    ) -> TensorHandle:  # fmt: skip
        """MEAN over ``axes``."""
        positive = {axis % len(x.shape) for axis in axes}
        if keep_dims:
            shape = tuple(1 if axis in positive else size for axis, size in enumerate(x.shape))
        else:
            shape = tuple(size for axis, size in enumerate(x.shape) if axis not in positive)
        axes_index = self._integers(list(axes), f"axes_{len(self.operators)}")
        scale, zero_point = self._out(x, out_scale, out_zp)
        return self.operator("MEAN", (x.index, axes_index), shape, scale, zero_point, name, KeepDims=keep_dims)

    def reshape(self, x: TensorHandle, shape: Sequence[int], *, name: str | None = None) -> TensorHandle:
        """RESHAPE."""
        new = self._integers(list(shape), f"shape_{len(self.operators)}")
        return self.operator("RESHAPE", (x.index, new), shape, x.scale, x.zero_point, name)

    def squeeze(self, x: TensorHandle, axes: Sequence[int], *, name: str | None = None) -> TensorHandle:
        """SQUEEZE of non-negative ``axes``."""
        shape = tuple(size for axis, size in enumerate(x.shape) if axis not in axes)
        return self.operator("SQUEEZE", (x.index,), shape, x.scale, x.zero_point, name, SqueezeDims=tuple(axes))

    def expand_dims(self, x: TensorHandle, axis: int, *, name: str | None = None) -> TensorHandle:
        """EXPAND_DIMS before the non-negative ``axis``."""
        shape = (*x.shape[:axis], 1, *x.shape[axis:])
        position = self._integers(axis, f"axis_{len(self.operators)}")
        return self.operator("EXPAND_DIMS", (x.index, position), shape, x.scale, x.zero_point, name)

    def pad(
        self, x: TensorHandle, padding: Sequence[tuple[int, int]], *, value: int | None = None, name: str | None = None
    ) -> TensorHandle:
        """PAD, or PADV2 if a stored ``value`` is given; one (before, after) for each axis."""
        amounts = self._integers(list(padding), f"paddings_{len(self.operators)}")
        shape = tuple(before + size + after for size, (before, after) in zip(x.shape, padding, strict=True))
        if value is None:
            return self.operator("PAD", (x.index, amounts), shape, x.scale, x.zero_point, name)
        fill = self.constant([value], x.scale, x.zero_point)
        return self.operator("PADV2", (x.index, amounts, fill.index), shape, x.scale, x.zero_point, name)

    def concatenation(self, inputs: Sequence[TensorHandle], axis: int, *, name: str | None = None) -> TensorHandle:
        """CONCATENATION along ``axis``."""
        first = inputs[0]
        positive = axis % len(first.shape)
        total = sum(x.shape[positive] for x in inputs)
        shape = (*first.shape[:positive], total, *first.shape[positive + 1 :])
        indices = [x.index for x in inputs]
        return self.operator("CONCATENATION", indices, shape, first.scale, first.zero_point, name, Axis=axis)

    def softmax(self, x: TensorHandle, *, beta: float = 1.0, name: str | None = None) -> TensorHandle:
        """SOFTMAX over the last axis."""
        return self.operator("SOFTMAX", (x.index,), x.shape, 1 / 256, -128, name, Beta=beta)

    def pointwise(
        self, kind: str, x: TensorHandle, *, alpha: float = 0.1, out_scale: float | None = None,
        out_zp: int | None = None, name: str | None = None,
    ) -> TensorHandle:  # fmt: skip
        """RELU, RELU6, RELU_N1_TO_1, LEAKY_RELU (slope ``alpha``), HARD_SWISH, LOGISTIC, TANH or QUANTIZE."""
        if kind == "LOGISTIC":
            out_scale, out_zp = 1 / 256, -128
        scale, zero_point = self._out(x, out_scale, out_zp)
        options: dict[str, Any] = {"Alpha": alpha} if kind == "LEAKY_RELU" else {}
        return self.operator(kind, (x.index,), x.shape, scale, zero_point, name, **options)

    def quantize(
        self, x: TensorHandle, scale: float, zero_point: int, *, type: str = "INT8", name: str | None = None
    ) -> TensorHandle:
        """QUANTIZE from float32 or any 8-bit type to ``type``."""
        return self.operator("QUANTIZE", (x.index,), x.shape, scale, zero_point, name, type=type)

    def dequantize(self, x: TensorHandle, *, name: str | None = None) -> TensorHandle:
        """DEQUANTIZE to float32."""
        return self.operator("DEQUANTIZE", (x.index,), x.shape, 0.0, 0, name, type="FLOAT32")

    def finish(self) -> bytes:
        """The ``.tflite`` file. Without :meth:`output`, the last operator's result is the only output."""
        if not self.operators:
            raise ValueError("the network has no operators")
        outputs = self.outputs or [self.operators[-1].outputs[0]]
        return serialise(self.name, self.tensors, self.operators, self.inputs, outputs)
