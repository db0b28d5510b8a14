"""``.tflite`` operators that multiply by constant weights: convolutions and fully connected layers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tensaw.compiler import ir
from tensaw.compiler.frontends.tflite_file import FileOperator, FileTensor
from tensaw.compiler.frontends.tflite_import import Importer, element_count, handles
from tensaw.compiler.quantise import activation_range, conv_multipliers, exact_multiplier, quantise_multiplier
from tensaw.spec.errors import ModelError

__all__ = ["fused_range", "window_geometry"]


def fused_range(importer: Importer, op: FileOperator, output: ir.Tensor) -> tuple[int, int]:
    """Clamp of the operator's fused activation function."""
    activation = op.options["FusedActivationFunction"]
    if activation not in ("NONE", "RELU", "RELU6", "RELU_N1_TO_1"):
        importer.refuse(op, f"its fused activation function is {activation}.", "Use NONE, RELU, RELU6 or RELU_N1_TO_1.")
    low, high = activation_range(activation, output.scale, output.zero_point)
    if low > high:
        importer.refuse(
            op,
            f"no int8 value of its output scale {output.scale:g} lies in the range of {activation}.",
            "Quantise again with data that represent the real inputs.",
        )
    return low, high


def window_geometry(
    importer: Importer, op: FileOperator, image: ir.Tensor, kernel: tuple[int, int]
) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int, int, int], tuple[int, int]]:
    """(stride, dilation, padding, output size) of a sliding window, SAME padding resolved."""
    stride = (op.options["StrideH"], op.options["StrideW"])
    dilation = (op.options.get("DilationHFactor", 1), op.options.get("DilationWFactor", 1))
    if min(*kernel, *stride, *dilation) < 1:
        raise ModelError(
            f"{importer.place(op)} has kernel {kernel}, stride {stride} and dilation {dilation}; each must be at least "
            "1. Convert the model again."
        )
    before, after, sizes = [], [], []
    for size, taps, step, spread in zip(image.shape[1:3], kernel, stride, dilation, strict=True):
        extent = (taps - 1) * spread + 1
        if op.options["Padding"] == "SAME":
            count = -(-size // step)
            total = max(0, (count - 1) * step + extent - size)
        else:
            count = (size - extent) // step + 1
            total = 0
        if count < 1:
            raise ModelError(
                f"{importer.place(op)}: its window of {extent} does not fit its input {image.name!r} of shape "
                f"{image.shape}. Use SAME padding or a larger input."
            )
        before.append(total // 2)
        after.append(total - total // 2)
        sizes.append(count)
    return stride, dilation, (before[0], before[1], after[0], after[1]), (sizes[0], sizes[1])


def _weights(importer: Importer, op: FileOperator, rank: int, axis: int) -> tuple[FileTensor, npt.NDArray[np.int8]]:
    """The constant int8 weights, symmetric, with one scale or one per output channel."""
    tensor = importer.constant(op, 1, "weights", ("INT8",))
    assert tensor.data is not None  # constant() refuses otherwise
    quantisation = tensor.quantisation
    if len(tensor.shape) != rank or 0 in tensor.shape:
        raise ModelError(
            f"{importer.place(op)}: its weights have the shape {tensor.shape}; {rank} dimensions of at least 1 are "
            "needed. Convert the model again."
        )
    channels = tensor.shape[axis]
    if quantisation is None or len(quantisation.scales) not in (1, channels):
        raise ModelError(
            f"{importer.place(op)}: its weights have {len(quantisation.scales) if quantisation else 0} scales; one, or "
            f"one for each of {channels} output channels, is needed. Convert the model again."
        )
    if any(quantisation.zero_points):
        importer.refuse(
            op,
            "its weights have a zero point other than 0.",
            "Quantise the weights symmetrically, as current TFLite converters do.",
        )
    if len(quantisation.scales) > 1 and quantisation.axis != axis:
        importer.refuse(
            op,
            f"its weights are quantised along axis {quantisation.axis}, not along the output channels (axis {axis}).",
            "Quantise per tensor or per output channel.",
        )
    return tensor, tensor.data.astype(np.int8)


def _bias(importer: Importer, op: FileOperator, channels: int) -> npt.NDArray[np.int32]:
    """The constant int32 bias, zeros where the operator has none."""
    if len(op.inputs) < 3 or op.inputs[2] < 0:
        return np.zeros(channels, np.int32)
    data = importer.constant(op, 2, "biases", ("INT32",)).data
    assert data is not None  # constant() refuses otherwise
    if data.size != channels:
        raise ModelError(
            f"{importer.place(op)} has {data.size} biases for {channels} output channels. Convert the model again."
        )
    return data.astype(np.int32).reshape(channels)


def _accumulator_limits(
    importer: Importer, op: FileOperator, by_output: npt.NDArray[np.int8], bias: npt.NDArray[np.int32], zero_point: int
) -> npt.NDArray[np.int64]:
    """Largest magnitude of each output's accumulator, for any input; ``by_output`` is weights (outputs, taps)."""
    reach = max(zero_point + 128, 127 - zero_point)
    limits = np.abs(by_output.astype(np.int64)).sum(axis=1) * reach + np.abs(bias.astype(np.int64))
    if limits.max() >= 1 << 31:
        importer.refuse(
            op,
            f"its sums may reach {limits.max()}, more than 32 bits hold.",
            "Split the layer along its input channels and add the parts.",
        )
    return limits


def _check_left_shifts(
    importer: Importer, op: FileOperator, shifts: npt.NDArray[np.int64], limits: npt.NDArray[np.int64]
) -> None:
    """A positive shift happens before the multiplication: the shifted sums must still fit 32 bits."""
    if shifts.max() > 30 or np.any(limits << np.clip(shifts, 0, 31) >= 1 << 31):
        importer.refuse(
            op,
            "its output scale is so much smaller than input scale · weight scale that requantising overflows 32 bits.",
            "Quantise again with data that represent the real inputs.",
        )


def _requantise(
    importer: Importer,
    op: FileOperator,
    reals: list[float],
    limits: npt.NDArray[np.int64],
    output: ir.Tensor,
    rounding: ir.Rounding,
) -> ir.Requantise:
    low, high = fused_range(importer, op, output)
    if rounding is ir.Rounding.AWAY:
        worst = limits if len(reals) > 1 else [limits.max()]
        pairs = [exact_multiplier(real, int(limit))[:2] for real, limit in zip(reals, worst, strict=True)]
    else:
        pairs = [quantise_multiplier(real) for real in reals]
    multipliers, shifts = np.array(pairs, np.int64).T
    _check_left_shifts(importer, op, shifts, limits)
    return ir.Requantise(multipliers, shifts, output.zero_point, low, high, rounding)


@handles("CONV_2D")
def conv_2d(importer: Importer, op: FileOperator) -> None:
    """Any kernel, stride, dilation and groups; SAME or VALID; constant int8 weights, per tensor or per channel."""
    x = importer.int8(op, importer.operand(op, 0))
    output = importer.int8(op, importer.result(op))
    importer.require_image(op, x)
    weights, data = _weights(importer, op, 4, 0)
    outputs, kernel_height, kernel_width, depth = data.shape
    channels = x.shape[3]
    if channels % depth or outputs % (channels // depth):
        raise ModelError(
            f"{importer.place(op)}: weights of shape {data.shape} do not fit an input of {channels} channels. Convert "
            "the model again."
        )
    stride, dilation, padding, size = window_geometry(importer, op, x, (kernel_height, kernel_width))
    importer.require_shape(op, output, (1, *size, outputs))
    bias = _bias(importer, op, outputs)
    limits = _accumulator_limits(importer, op, data.reshape(outputs, -1), bias, x.zero_point)
    assert weights.quantisation is not None  # _weights() refuses otherwise
    reals = conv_multipliers(x.scale, weights.quantisation.scales, output.scale)
    requantise = _requantise(importer, op, reals, limits, output, ir.Rounding.DOUBLE)
    importer.append(
        ir.Conv2d(
            output.name, op.kind, (x.name,), output.name, data, bias, stride, dilation, padding, channels // depth,
            x.zero_point, requantise,
        )
    )  # fmt: skip


@handles("DEPTHWISE_CONV_2D")
def depthwise_conv_2d(importer: Importer, op: FileOperator) -> None:
    """Any kernel, stride, dilation and depth multiplier; SAME or VALID; int8 weights, per tensor or channel."""
    x = importer.int8(op, importer.operand(op, 0))
    output = importer.int8(op, importer.result(op))
    importer.require_image(op, x)
    weights, data = _weights(importer, op, 4, 3)
    outputs = data.shape[3]
    if data.shape[0] != 1 or outputs % x.shape[3]:
        raise ModelError(
            f"{importer.place(op)}: weights of shape {data.shape} do not fit an input of {x.shape[3]} channels. "
            "Convert the model again."
        )
    stride, dilation, padding, size = window_geometry(importer, op, x, (data.shape[1], data.shape[2]))
    importer.require_shape(op, output, (1, *size, outputs))
    bias = _bias(importer, op, outputs)
    limits = _accumulator_limits(importer, op, data.reshape(-1, outputs).T, bias, x.zero_point)
    assert weights.quantisation is not None  # _weights() refuses otherwise
    reals = conv_multipliers(x.scale, weights.quantisation.scales, output.scale)
    requantise = _requantise(importer, op, reals, limits, output, ir.Rounding.DOUBLE)
    importer.append(
        ir.DepthwiseConv2d(
            output.name, op.kind, (x.name,), output.name, data[0], bias, stride, dilation, padding,
            outputs // x.shape[3], x.zero_point, requantise,
        )
    )  # fmt: skip


@handles("FULLY_CONNECTED")
def fully_connected(importer: Importer, op: FileOperator) -> None:
    """Any sizes and number of rows; constant int8 weights, per tensor or per channel; dimensions kept or flattened."""
    x = importer.int8(op, importer.operand(op, 0))
    output = importer.int8(op, importer.result(op))
    if op.options["WeightsFormat"] != 0:
        importer.refuse(op, "its weights are stored shuffled.", "Convert the model with the default weights format.")
    weights, data = _weights(importer, op, 2, 0)
    outputs, features = data.shape
    rows, rest = divmod(element_count(x.shape), features)
    if rest:
        raise ModelError(
            f"{importer.place(op)}: an input of shape {x.shape} cannot be cut into rows of {features}. Convert the "
            "model again."
        )
    if element_count(output.shape) != rows * outputs or output.shape[-1] != outputs:
        importer.require_shape(op, output, (rows, outputs))
    bias = _bias(importer, op, outputs)
    limits = _accumulator_limits(importer, op, data, bias, x.zero_point)
    assert weights.quantisation is not None  # _weights() refuses otherwise
    reals = conv_multipliers(x.scale, weights.quantisation.scales, output.scale)
    requantise = _requantise(importer, op, reals, limits, output, ir.Rounding.AWAY)
    matrix = importer.reshaped(op, x, (rows, features), "matrix")
    product = output
    if len(output.shape) != 2:
        product = ir.Tensor(f"{output.name}/product", (rows, outputs), output.scale, output.zero_point)
        importer.graph.tensors[product.name] = product
    importer.append(
        ir.FullyConnected(
            product.name, op.kind, (matrix.name,), product.name, data, bias, x.zero_point, requantise
        )
    )  # fmt: skip
    if product is not output:
        importer.append(ir.Reshape(output.name, op.kind, (product.name,), output.name))
