"""Convolutions and matrix products with constant weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tensaw.compiler import ir
from tensaw.compiler.frontends.onnx_layout import Layout
from tensaw.compiler.frontends.onnx_registry import Call, operator
from tensaw.compiler.frontends.onnx_values import Constant, Pending, QuantisedConstant, Real, Target, Value, View
from tensaw.compiler.frontends.onnx_window import Window, window
from tensaw.compiler.quantise import conv_multipliers, quantise_multiplier

__all__ = ["requantise"]

Int8Array = npt.NDArray[np.int8]
Emit = Callable[[npt.NDArray[np.int32], ir.Requantise, str], ir.Op]
_ACCUMULATOR_LIMIT = 2**31


def requantise(call: Call, multipliers: list[float], limits: npt.NDArray, target: Target) -> ir.Requantise:
    """Integers for ``round(acc * multiplier)``, one for each of ``multipliers``.

    ``limits``: the largest magnitude of each accumulator. Refuses what would overflow 32 bits. Rounds once: ONNX
    Runtime multiplies by a float and rounds to even, so only ties and the float's last bit differ.
    """
    pairs = [quantise_multiplier(multiplier) for multiplier in multipliers]
    for (mantissa, shift), multiplier, limit in zip(
        pairs, multipliers, np.broadcast_to(limits, len(pairs)), strict=True
    ):
        if shift > 30 or mantissa and int(limit) << max(shift, 0) >= _ACCUMULATOR_LIMIT:
            raise call.unsupported(
                f"has sums of up to {int(limit):,} that are scaled by {multiplier:.3g}, and both must fit in 32 bits",
                "check the scales of this operator's input, weights and output: the output's is far too small for the "
                "others",
            )
    mantissas = np.array([mantissa for mantissa, _ in pairs], np.int64)
    shifts = np.array([shift for _, shift in pairs], np.int64)
    return ir.Requantise(mantissas, shifts, target.zero_point, target.low, target.high, ir.Rounding.SINGLE)


@dataclass(frozen=True)
class _Weights:
    """int8 weights, output channel first, and their scales, ``(1,)`` or ``(channels,)``."""

    integers: Int8Array
    scale: npt.NDArray[np.float32]


def _weights(call: Call, axis: int) -> _Weights:
    """Input 1 as int8 weights with zero point 0 and output channels on ``axis``, moved to the front."""
    value = call.value(1)
    if isinstance(value, Constant):
        raise call.unsupported(
            f"has {value.array.dtype} weights, and weights must be quantised to int8",
            "quantise this operator too (check nodes_to_exclude and op_types_to_quantize)",
        )
    if not isinstance(value, QuantisedConstant):
        raise call.unsupported(
            "multiplies by weights that the network computes, and weights must be constants",
            "rewrite the layer with constant weights, or compute it on the host",
        )
    integers, zeros = value.integers, value.zero_point
    if integers.dtype == np.uint8:
        integers, zeros = integers.astype(np.int16) - 128, zeros.astype(np.int16) - 128
    if integers.ndim < 2:
        raise call.wrong(f"has weights of {integers.ndim} dimensions")
    if integers.dtype == np.int32:
        raise call.unsupported("has int32 weights, and weights must be int8", "quantise weights to int8")
    if zeros.any():
        origin = "128 for uint8 weights" if value.integers.dtype == np.uint8 else "0 for int8 weights"
        raise call.unsupported(
            f"has weights with the zero point {int(value.zero_point[zeros != 0][0])}, and it must be {origin}",
            "quantise weights symmetrically: weight_type=QuantType.QInt8, extra_options={'WeightSymmetric': True}",
        )
    if value.axis is not None and value.axis != axis % integers.ndim:
        raise call.unsupported(
            f"has weights with a scale per channel on axis {value.axis}, and it must be the output channels' axis, "
            f"{axis % integers.ndim}",
            "quantise weights per output channel or per tensor",
        )
    return _Weights(np.ascontiguousarray(np.moveaxis(integers, axis, 0).astype(np.int8)), value.scale)


def _bias(call: Call, value: Value | None, scales: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """A bias in units of the accumulators (``scales``, one for each channel). int32 constants are in these already."""
    channels = scales.size
    if value is None:
        return np.zeros(channels, np.int64)
    if not isinstance(value, Constant | QuantisedConstant):
        raise call.unsupported(
            "has a bias that the network computes, and biases must be constants",
            "export the layer with a constant bias",
        )
    if int(np.prod(value.shape)) not in (1, channels):
        raise call.wrong(f"has a bias of shape {list(value.shape)} for {channels} output channels")
    if isinstance(value, Constant):
        raw = value.array.dtype == np.int32
        levels = value.array.astype(np.float64).ravel() / (1.0 if raw else scales)
    elif value.integers.dtype == np.int32 and np.allclose(value.scale, scales, rtol=1e-5, atol=0.0):
        levels = value.integers.astype(np.float64).ravel() - value.zero_point
    else:
        levels = value.real().astype(np.float64).ravel() / scales
    if not (np.abs(levels) < 2**31).all():
        raise call.unsupported(
            f"has a bias of {np.abs(levels).max():.3g} in units of input scale times weight scale, and it must fit in "
            f"32 bits",
            "quantise the layer again with a larger weight scale; the present one is too small for the bias",
        )
    return np.broadcast_to(np.rint(levels).astype(np.int64), channels)


@dataclass(frozen=True)
class _Product:
    """What convolutions and matrix products share: bias, accumulator scale, requantisation."""

    call: Call
    real: Real
    weights: _Weights
    view: View
    ir_shape: tuple[int, ...]
    emit: Emit

    def pending(self, bias: npt.NDArray[np.int64], alpha: float = 1.0) -> Pending:
        """The operator's result with ``bias`` in accumulator units."""
        channels = self.weights.integers.shape[0]
        scales = self.scales(alpha)
        # The farthest that an activation can be from its zero point.
        reach = max(127 - self.real.zero_point, self.real.zero_point + 128)
        sums = np.abs(self.weights.integers.astype(np.int64)).reshape(channels, -1).sum(axis=1) * reach

        def emit(target: Target) -> None:
            multipliers = conv_multipliers(self.real.scale * alpha, self.weights.scale, target.scale)
            limits = sums + np.abs(bias)
            if limits.max() >= _ACCUMULATOR_LIMIT:
                raise self.call.unsupported(
                    f"has sums of up to {int(limits.max()):,}, and accumulators hold 32 bits", "split the layer"
                )
            limit = limits if len(multipliers) > 1 else limits.max()
            parameters = requantise(self.call, multipliers, limit, target)
            self.call.builder.add(self.emit(bias.astype(np.int32), parameters, target.tensor))

        def add_bias(values: npt.NDArray) -> Pending:
            return self.pending(bias + _bias(self.call, Constant(values), scales), alpha)

        return Pending(str(self.call.node), self.view, self.ir_shape, emit, add_bias=add_bias)

    def scales(self, alpha: float = 1.0) -> npt.NDArray[np.float64]:
        """Value of an accumulator's unit, for each output channel."""
        scale = self.real.scale * alpha * self.weights.scale.astype(np.float64)
        return np.broadcast_to(scale, self.weights.integers.shape[0])


@operator("Conv")
def conv(call: Call) -> Value:
    """1-D, 2-D; groups, depthwise, any multiplier, strides, dilations, pads, auto_pad; int8 weights, zero point 0."""
    real, (height, width, channels) = call.image(0)
    weights = _weights(call, 0)
    integers = weights.integers
    if integers.ndim != len(real.view.shape):
        raise call.wrong(f"has weights of {integers.ndim} dimensions for an input of {len(real.view.shape)}")
    if integers.ndim == 3:
        integers = integers[:, :, np.newaxis, :]
    groups = call.attribute("group", 1)
    outputs, group_inputs, *kernel = integers.shape
    if groups < 1 or group_inputs * groups != channels or outputs % groups:
        raise call.wrong(f"has weights {list(integers.shape)} in {groups} groups for an input of {channels} channels")
    if call.node.attributes.get("kernel_shape") not in (None, weights.integers.shape[2:]):
        raise call.wrong("has a kernel_shape that differs from its weights'")
    frame = window(call, (height, width), (kernel[0], kernel[1]))
    out_height, out_width = frame.output
    shape = (1, outputs, out_width) if len(real.view.shape) == 3 else (1, outputs, out_height, out_width)
    emit = _emit_conv(call, real, integers, groups, frame)
    view = View("", shape, Layout.image(shape))
    product = _Product(call, real, weights, view, (1, out_height, out_width, outputs), emit)
    return product.pending(_bias(call, call.input(2), product.scales()))


def _emit_conv(call: Call, real: Real, weights: Int8Array, groups: int, frame: Window) -> Emit:
    """The IR's convolution, depthwise where each group reads one channel. ``weights`` (out, in / groups, kh, kw)."""

    def emit(bias: npt.NDArray[np.int32], parameters: ir.Requantise, output: str) -> ir.Op:
        common: dict[str, Any] = dict(
            name=call.builder.op_name(call.label),
            kind=call.node.op_type,
            inputs=(real.view.tensor,),
            output=output,
            bias=bias,
            stride=frame.stride,
            dilation=frame.dilation,
            padding=frame.padding,
            input_zero_point=real.zero_point,
            requantise=parameters,
        )
        if groups > 1 and weights.shape[1] == 1:
            taps = np.ascontiguousarray(weights[:, 0].transpose(1, 2, 0))
            return ir.DepthwiseConv2d(weights=taps, multiplier=weights.shape[0] // groups, **common)
        return ir.Conv2d(weights=np.ascontiguousarray(weights.transpose(0, 2, 3, 1)), groups=groups, **common)

    return emit


@operator("Gemm")
def gemm(call: Call) -> Value:
    """Constant weights (transB 0 or 1), alpha, beta, a constant bias per output; transA 0."""
    if call.attribute("transA", 0):
        raise call.unsupported("has transA set, and the NPU transposes no activations", "transpose the input outside")
    weights = _weights(call, 0 if call.attribute("transB", 0) else -1)
    alpha, beta = call.attribute("alpha", 1.0), call.attribute("beta", 1.0)
    if not 0.0 < alpha < 1e30 or not np.isfinite(beta):
        raise call.unsupported(
            f"has alpha {alpha} and beta {beta}, and alpha must be positive", "fold alpha into weights"
        )
    bias = call.input(2)
    if beta != 1.0 and isinstance(bias, Constant) and bias.array.dtype.kind == "f":
        bias = Constant(bias.array * np.float32(beta))
    elif beta != 1.0 and isinstance(bias, QuantisedConstant):
        bias = Constant(bias.real() * np.float32(beta))
    return _fully_connected(call, weights, bias, alpha)


@operator("MatMul")
def matmul(call: Call) -> Value:
    """A tensor that the network computes times a constant matrix (inputs, outputs)."""
    return _fully_connected(call, _weights(call, -1), None, 1.0)


def _fully_connected(call: Call, weights: _Weights, bias: Value | None, alpha: float) -> Value:
    real = call.real(0)
    shape = real.view.shape
    if weights.integers.ndim != 2 or len(shape) < 1 or shape[-1] != weights.integers.shape[1]:
        raise call.wrong(
            f"multiplies a tensor of shape {list(shape)} by weights of shape {list(weights.integers.shape)} (outputs, "
            f"inputs)"
        )
    outputs, inputs = weights.integers.shape
    rows = real.view.size // inputs
    order = real.view.layout.features(rows, inputs)
    if order is None:
        raise call.unsupported(
            "reads a matrix whose rows are not stored one after the other, and the NPU transposes no activations",
            "remove the Transpose before it, or write the layer as a 1x1 convolution",
        )
    # The stored features may be in another order than the file's (NHWC for NCHW): the weights follow them.
    stored = np.ascontiguousarray(weights.integers[:, order])
    tensor = call.builder.reshaped(real.view.tensor, (rows, inputs))

    def emit(accumulator_bias: npt.NDArray[np.int32], parameters: ir.Requantise, output: str) -> ir.Op:
        name, kind = call.builder.op_name(call.label), call.node.op_type
        return ir.FullyConnected(name, kind, (tensor,), output, stored, accumulator_bias, real.zero_point, parameters)

    out_shape = (*shape[:-1], outputs)
    view = View("", out_shape, Layout.of(out_shape))
    product = _Product(call, real, replace(weights, integers=stored), view, (rows, outputs), emit)
    return product.pending(_bias(call, bias, product.scales(alpha)), alpha)
