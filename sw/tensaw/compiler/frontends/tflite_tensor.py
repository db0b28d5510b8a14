"""``.tflite`` operators without weights: element-wise, pooling, shapes, softmax."""

from __future__ import annotations

import numpy as np

from tensaw.compiler import ir
from tensaw.compiler.frontends.tflite_file import FileOperator
from tensaw.compiler.frontends.tflite_import import Importer, element_count, handles
from tensaw.compiler.frontends.tflite_matrix import fused_range, window_geometry
from tensaw.compiler.quantise import add_scales, mean_multiplier, mul_multiplier, softmax_scaling
from tensaw.compiler.tables import IDENTITY
from tensaw.model.softmax import MAXIMUM_DEPTH
from tensaw.spec.errors import ModelError

__all__: list[str] = []

_REQUANTISE_AGAIN = "Quantise again with data that represent the real inputs."


def _one(value: int) -> np.ndarray:
    return np.array([value], np.int64)


def _same_quantisation(importer: Importer, op: FileOperator, x: ir.Tensor, output: ir.Tensor) -> None:
    if (x.scale, x.zero_point) != (output.scale, output.zero_point):
        importer.refuse(
            op,
            f"its input {x.name!r} (scale {x.scale:g}, zero point {x.zero_point}) and its output (scale "
            f"{output.scale:g}, zero point {output.zero_point}) are quantised differently.",
            "Convert again with a converter that unifies the scales of this operator, or put a QUANTIZE before it.",
        )


@handles("ADD", "SUB", "MUL")
def elementwise(importer: Importer, op: FileOperator) -> None:
    """Two int8 tensors that broadcast, one of them possibly constant; fused activation."""
    a = importer.int8(op, importer.operand(op, 0))
    b = importer.int8(op, importer.operand(op, 1))
    output = importer.int8(op, importer.result(op))
    if a.data is not None and b.data is not None:
        importer.refuse(op, "both of its inputs are constants.", "Fold the constant before converting the model.")
    try:
        shape = np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        raise ModelError(
            f"{importer.place(op)}: shapes {a.shape} and {b.shape} do not broadcast. Convert the model again."
        ) from None
    importer.require_shape(op, output, shape)
    low, high = fused_range(importer, op, output)
    operation = ir.ElementwiseKind[op.kind]
    multipliers = shifts = (0, 0)
    if operation is ir.ElementwiseKind.MUL:
        multiplier, shift = mul_multiplier(a.scale, b.scale, output.scale)
        if shift > 14:
            # A product of two differences has up to 17 bits.
            importer.refuse(op, "its output scale is too small: requantising overflows 32 bits.", _REQUANTISE_AGAIN)
    else:
        scales = add_scales(a.scale, b.scale, output.scale)
        multipliers, shifts, multiplier, shift = scales.multipliers, scales.shifts, scales.multiplier, scales.shift
        if scales.real >= 1:
            importer.refuse(
                op,
                "its output scale is more than 2^19 times smaller than its larger input scale, which LiteRT refuses.",
                _REQUANTISE_AGAIN,
            )
    requantise = ir.Requantise(_one(multiplier), _one(shift), output.zero_point, low, high, ir.Rounding.DOUBLE)
    zero_points = (a.zero_point, b.zero_point)
    importer.append(
        ir.Elementwise(
            output.name, op.kind, (a.name, b.name), output.name, operation, zero_points, multipliers, shifts, requantise
        )
    )


@handles("AVERAGE_POOL_2D", "MAX_POOL_2D")
def pool_2d(importer: Importer, op: FileOperator) -> None:
    """Any window and stride; SAME or VALID (an average counts image positions only); fused activation."""
    x = importer.int8(op, importer.operand(op, 0))
    output = importer.int8(op, importer.result(op))
    importer.require_image(op, x)
    _same_quantisation(importer, op, x, output)
    kernel = (op.options["FilterHeight"], op.options["FilterWidth"])
    stride, _, padding, size = window_geometry(importer, op, x, kernel)
    importer.require_shape(op, output, (1, *size, x.shape[3]))
    low, high = fused_range(importer, op, output)
    kind = ir.PoolKind.MAX if op.kind == "MAX_POOL_2D" else ir.PoolKind.AVERAGE
    importer.append(ir.Pool2d(output.name, op.kind, (x.name,), output.name, kind, kernel, stride, padding, low, high))


@handles("MEAN")
def mean(importer: Importer, op: FileOperator) -> None:
    """Over all of the axes between batch and channels (height and width); dimensions kept or dropped."""
    x = importer.int8(op, importer.operand(op, 0))
    output = importer.int8(op, importer.result(op))
    rank = len(x.shape)
    raw_axes = importer.integers(op, 1, "axes").ravel()
    if np.any((raw_axes < -rank) | (raw_axes >= rank)):
        raise ModelError(
            f"{importer.place(op)}: an axis of {raw_axes.tolist()} is outside its input of shape {x.shape}."
        )
    axes = {int(axis) % rank for axis in raw_axes}
    left = [axis for axis in range(1, rank - 1) if axis not in axes and x.shape[axis] > 1]
    if rank not in (3, 4) or x.shape[0] != 1 or left or not axes <= set(range(1, rank - 1)):
        importer.refuse(
            op,
            f"it averages an input of shape {x.shape} over the axes {sorted(axes)}.",
            "Average over height and width of (1, height, width, channels) only.",
        )
    image = importer.reshaped(op, x, (1, x.shape[1], x.shape[2] if rank == 4 else 1, x.shape[-1]), "image")
    count = image.shape[1] * image.shape[2]
    kept = tuple(1 if axis in axes else size for axis, size in enumerate(x.shape))
    dropped = tuple(size for axis, size in enumerate(x.shape) if axis not in axes)
    importer.require_shape(op, output, kept if op.options["KeepDims"] else dropped)
    multiplier, shift = mean_multiplier(x.scale, output.scale, count)
    reach = 255 * count
    if reach << max(shift, 0) >= 1 << 31:
        importer.refuse(op, "its sums overflow 32 bits when they are requantised.", _REQUANTISE_AGAIN)
    requantise = ir.Requantise(_one(multiplier), _one(shift), output.zero_point, -128, 127, ir.Rounding.DOUBLE)
    canonical = output
    if output.shape not in ((1, x.shape[-1]), (1, 1, 1, x.shape[-1])):
        canonical = ir.Tensor(f"{output.name}/mean", (1, x.shape[-1]), output.scale, output.zero_point)
        importer.graph.tensors[canonical.name] = canonical
    importer.append(ir.Mean(canonical.name, op.kind, (image.name,), canonical.name, -x.zero_point * count, requantise))
    if canonical is not output:
        importer.append(ir.Reshape(output.name, op.kind, (canonical.name,), output.name))


@handles("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
def reshape(importer: Importer, op: FileOperator) -> None:
    """To any fixed shape (costs nothing)."""
    x = importer.int8(op, importer.operand(op, 0))
    output = importer.int8(op, importer.result(op))
    if element_count(x.shape) != element_count(output.shape):
        raise ModelError(
            f"{importer.place(op)}: it turns shape {x.shape} into {output.shape}, which holds another number of "
            "elements. Convert the model again."
        )
    importer.append(ir.Reshape(output.name, op.kind, (x.name,), output.name))


@handles("PAD", "PADV2")
def pad(importer: Importer, op: FileOperator) -> None:
    """Constant padding along any axis but the batch; PAD writes zero, PADV2 a constant."""
    x = importer.int8(op, importer.operand(op, 0))
    output = importer.int8(op, importer.result(op))
    amounts = importer.integers(op, 1, "paddings")
    if amounts.shape != (len(x.shape), 2) or amounts.min() < 0:
        raise ModelError(
            f"{importer.place(op)}: paddings {amounts.tolist()} do not fit an input of shape {x.shape}. Convert the "
            "model again."
        )
    if len(x.shape) > 1 and amounts[0].any():
        importer.refuse(op, "it pads the batch.", "Pad height, width or channels only.")
    padding = tuple((int(before), int(after)) for before, after in amounts)
    shape = tuple(before + size + after for size, (before, after) in zip(x.shape, padding, strict=True))
    importer.require_shape(op, output, shape)
    value = output.zero_point
    if op.kind == "PADV2":
        data = importer.constant(op, 2, "padding values", ("INT8",)).data
        assert data is not None  # constant() refuses otherwise
        if data.size != 1:
            raise ModelError(f"{importer.place(op)} has {data.size} padding values, not one. Convert the model again.")
        value = int(data.ravel()[0])
    importer.append(ir.Pad(output.name, op.kind, (x.name,), output.name, padding, value))


@handles("CONCATENATION")
def concatenation(importer: Importer, op: FileOperator) -> None:
    """Any number of inputs along any axis, all of the output's scale and zero point, as LiteRT requires."""
    inputs = [importer.int8(op, importer.operand(op, position)) for position in range(len(op.inputs))]
    output = importer.int8(op, importer.result(op))
    if not inputs:
        raise ModelError(f"{importer.place(op)} has no inputs. Convert the model again.")
    fused_range(importer, op, output)
    if op.options["FusedActivationFunction"] != "NONE":
        importer.refuse(op, "it has a fused activation function.", "Apply the activation to its inputs.")
    for x in inputs:
        _same_quantisation(importer, op, x, output)
    rank = len(output.shape)
    axis = op.options["Axis"] + (rank if op.options["Axis"] < 0 else 0)
    shapes = [x.shape for x in inputs]
    fits = 0 <= axis < rank and all(
        len(shape) == rank and shape[:axis] + shape[axis + 1 :] == output.shape[:axis] + output.shape[axis + 1 :]
        for shape in shapes
    )
    if not fits or sum(shape[axis] for shape in shapes) != output.shape[axis]:
        raise ModelError(
            f"{importer.place(op)}: inputs of shapes {', '.join(map(str, shapes))} along axis {op.options['Axis']} do "
            f"not make {output.shape}. Convert the model again."
        )
    tables = np.tile(IDENTITY, (len(inputs), 1))
    importer.append(ir.Concat(output.name, op.kind, tuple(x.name for x in inputs), output.name, axis, tables))


@handles("SOFTMAX")
def softmax(importer: Importer, op: FileOperator) -> None:
    """Over the last axis, at most 4095 long; the output has scale 1/256 and zero point -128."""
    x = importer.int8(op, importer.operand(op, 0))
    output = importer.int8(op, importer.result(op))
    importer.require_shape(op, output, x.shape)
    if output.zero_point != -128 or abs(output.scale * 256 - 1) > 0.001:
        importer.refuse(
            op,
            f"its output has scale {output.scale:g} and zero point {output.zero_point}, not 1/256 and -128.",
            "Convert the model with the TFLite converter, which gives softmax that scale.",
        )
    if not x.shape or x.shape[-1] > MAXIMUM_DEPTH:
        importer.refuse(
            op,
            f"it normalises {x.shape[-1] if x.shape else 0} values at once; at most {MAXIMUM_DEPTH} are possible.",
            "Take the softmax on the host.",
        )
    beta = op.options["Beta"]
    if not (np.isfinite(beta) and beta * x.scale * (1 << 26) > 1):
        importer.refuse(op, f"beta {beta:g} times its input scale {x.scale:g} is not above 2^-26.", _REQUANTISE_AGAIN)
    multiplier, shift, diff_min = softmax_scaling(beta, x.scale)
    importer.append(ir.Softmax(output.name, op.kind, (x.name,), output.name, multiplier, shift, diff_min))
