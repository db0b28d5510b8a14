"""QuantizeLinear and DequantizeLinear, and the QOperator form as what it stands for: dequantise, compute, quantise.

So each arithmetic operator is written once, on values that :class:`~..onnx_values.Real` describes, for both forms.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from tensaw.compiler.frontends.onnx_parse import MICROSOFT
from tensaw.compiler.frontends.onnx_registry import OPERATORS, Call, Handler, operator
from tensaw.compiler.frontends.onnx_values import (
    Constant,
    FloatInput,
    Integers,
    Pending,
    QuantisedConstant,
    Real,
    Value,
)

__all__ = ["dequantise", "quantise"]

_SIGNS = {np.dtype(np.int8): False, np.dtype(np.uint8): True}
_WEIGHT_TYPES = (np.int8, np.uint8, np.int32)


def _scale(call: Call, index: int) -> npt.NDArray[np.float32]:
    """A scale input: positive, finite, shape ``(1,)`` or ``(channels,)``."""
    array = call.numbers(index)
    if array is None or array.dtype.kind != "f" or array.ndim > 1 or array.size == 0:
        raise call.wrong(f"has no scale (a float or a list of floats) as its input {index}")
    scale = array.astype(np.float32).reshape(-1)
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        raise call.wrong(
            f"has a scale of {scale[~(np.isfinite(scale) & (scale > 0))][0]}, which must be positive and finite"
        )
    return scale


def _zero_point(call: Call, index: int) -> npt.NDArray | None:
    """A zero point input, shape ``(1,)`` or ``(channels,)``, in its own integer type."""
    array = call.numbers(index)
    if array is None:
        return None
    if array.dtype.kind not in "iu" or array.ndim > 1 or array.size == 0:
        raise call.wrong(f"has no zero point (an integer or a list of integers) as its input {index}")
    return array.reshape(-1)


def _single(call: Call, scale: npt.NDArray, zero_point: npt.NDArray | None) -> tuple[float, int]:
    """Scale and zero point of an activation, which must be one each."""
    if scale.size != 1 or (zero_point is not None and zero_point.size != 1):
        raise call.unsupported(
            f"quantises an activation per channel ({scale.size} scales), and activations have one scale each",
            "quantise activations per tensor; only weights may have a scale per channel",
        )
    return float(scale[0]), 0 if zero_point is None else int(zero_point[0])


def dequantise(
    call: Call, value: Value, scale: npt.NDArray[np.float32], zero_point: npt.NDArray | None, axis: int
) -> Real | QuantisedConstant:
    """``(value - zero_point) * scale`` of an integer activation or constant; ``axis`` for scales per channel."""
    if isinstance(value, Integers):
        real_scale, zero = _single(call, scale, zero_point)
        if zero_point is not None and _SIGNS.get(zero_point.dtype) is not value.unsigned:
            raise call.wrong(f"has a zero point of type {zero_point.dtype}, unlike the tensor that it belongs to")
        zero -= 128 if value.unsigned else 0
        call.builder.learn_scale(value.view.tensor, real_scale, zero)
        return Real.dequantised(value.view, real_scale, zero)
    if not isinstance(value, Constant) or value.array.dtype.kind == "f":
        raise call.wrong("dequantises a tensor that holds no integers")
    integers = value.array
    if integers.dtype not in _WEIGHT_TYPES:
        raise call.unsupported(
            f"holds {integers.dtype} values, and quantised tensors must be int8 or uint8 (biases int32)",
            "quantise with weight_type=QuantType.QInt8 and activation_type=QuantType.QInt8",
        )
    zeros = np.zeros(1, integers.dtype) if zero_point is None else zero_point
    along: int | None = None
    if scale.size > 1:
        (along,) = call.axes((axis,), integers.ndim)
        zeros = np.broadcast_to(zeros, scale.shape) if zeros.size == 1 else zeros
        if zeros.shape != scale.shape or integers.shape[along] != scale.size:
            raise call.wrong(
                f"has {scale.size} scales and {zeros.size} zero points for {integers.shape[along]} channels on axis "
                f"{axis}"
            )
    elif zeros.size != 1:
        raise call.wrong(f"has 1 scale and {zeros.size} zero points")
    return QuantisedConstant(integers, scale, zeros, along)


def quantise(call: Call, value: Value, scale: npt.NDArray, zero_point: npt.NDArray | None, dtype: np.dtype) -> Value:
    """The int8 or uint8 tensor that QuantizeLinear makes of a float activation."""
    if dtype not in _SIGNS:
        raise call.unsupported(
            f"quantises to {dtype}, and activations must be int8 or uint8",
            "quantise with activation_type=QuantType.QInt8",
        )
    real_scale, zero = _single(call, scale, zero_point)
    if isinstance(value, Real | Pending | FloatInput):
        unsigned = _SIGNS[dtype]
        zero -= 128 if unsigned else 0
        return call.builder.quantise(value, call.node.outputs[0], real_scale, zero, unsigned)
    raise call.wrong("quantises a tensor that holds integers already")


def _quantise_constant(
    call: Call, array: npt.NDArray, scale: npt.NDArray, zero_point: npt.NDArray | None, dtype: np.dtype, axis: int
) -> Constant:
    """QuantizeLinear of a constant, folded: float weights behind a pair of QuantizeLinear and DequantizeLinear."""
    zeros = np.zeros(1, dtype) if zero_point is None else zero_point
    if dtype not in _SIGNS:
        raise call.unsupported(f"quantises a constant to {dtype}", "quantise weights to int8")
    if scale.size > 1:
        (along,) = call.axes((axis,), array.ndim)
        if array.shape[along] != scale.size or zeros.size not in (1, scale.size):
            raise call.wrong(f"has {scale.size} scales for {array.shape[along]} channels on axis {axis}")
        across = [-1 if i == along else 1 for i in range(array.ndim)]
        scale, zeros = scale.reshape(across), zeros.reshape(across)
    limits = np.iinfo(dtype)
    levels = np.rint(array.astype(np.float32) / scale).astype(np.float64) + zeros.astype(np.int64)
    levels = np.nan_to_num(np.clip(levels, limits.min, limits.max)).astype(dtype)
    return Constant(levels.reshape(array.shape))


@operator("QuantizeLinear")
def quantize_linear(call: Call) -> Value:
    """Per-tensor int8 or uint8 activations, constants also per channel; the end of an operator, or a table."""
    _no_blocks(call)
    scale, zero_point = _scale(call, 1), _zero_point(call, 2)
    kind = call.attribute("output_dtype", 0)
    dtype = zero_point.dtype if zero_point is not None else np.dtype(np.int8 if kind == TensorProto.INT8 else np.uint8)
    if zero_point is None and kind not in (0, TensorProto.INT8, TensorProto.UINT8):
        raise call.unsupported("quantises to a type other than int8 and uint8", "quantise to int8")
    value = call.value(0)
    axis = call.attribute("axis", 1)
    if isinstance(value, QuantisedConstant):
        return _quantise_constant(call, value.real(), scale, zero_point, dtype, axis)
    if isinstance(value, Constant):
        return _quantise_constant(call, value.array, scale, zero_point, dtype, axis)
    return quantise(call, value, scale, zero_point, dtype)


@operator("DequantizeLinear")
def dequantize_linear(call: Call) -> Value:
    """Per-tensor int8 or uint8 activations; int8, uint8 and int32 constants, also per channel. Costs nothing."""
    _no_blocks(call)
    return dequantise(call, call.value(0), _scale(call, 1), _zero_point(call, 2), call.attribute("axis", 1))


def _no_blocks(call: Call) -> None:
    if call.attribute("block_size", 0):
        raise call.unsupported(
            "quantises in blocks, and there must be one scale for a tensor or for a channel",
            "quantise weights per channel",
        )


@dataclass(frozen=True)
class _QForm:
    """A QOperator: its float operator, the places of its inputs (alone or with scale and zero point) and output's."""

    core: str
    inputs: tuple[tuple[int, int, int] | int, ...]
    output: tuple[int, int]
    weight_axis: int = 0


_UNARY, _BINARY = ((0, 1, 2),), ((0, 1, 2), (3, 4, 5))
_FORMS = {
    ("", "QLinearConv"): _QForm("Conv", (*_BINARY, 8), (6, 7)),
    ("", "QLinearMatMul"): _QForm("MatMul", _BINARY, (6, 7), weight_axis=-1),
    (MICROSOFT, "QGemm"): _QForm("Gemm", (*_BINARY, 6), (7, 8), weight_axis=1),
    (MICROSOFT, "QLinearAdd"): _QForm("Add", _BINARY, (6, 7)),
    (MICROSOFT, "QLinearMul"): _QForm("Mul", _BINARY, (6, 7)),
    (MICROSOFT, "QLinearGlobalAveragePool"): _QForm("GlobalAveragePool", _UNARY, (3, 4)),
    (MICROSOFT, "QLinearAveragePool"): _QForm("AveragePool", _UNARY, (3, 4)),
    (MICROSOFT, "QLinearReduceMean"): _QForm("ReduceMean", _UNARY, (3, 4)),
    (MICROSOFT, "QLinearSoftmax"): _QForm("Softmax", _UNARY, (3, 4)),
    (MICROSOFT, "QLinearLeakyRelu"): _QForm("LeakyRelu", _UNARY, (3, 4)),
    (MICROSOFT, "QLinearSigmoid"): _QForm("Sigmoid", _UNARY, (3, 4)),
}


def _qoperator(form: _QForm) -> Handler:
    """The function of a QOperator: its core's, between dequantised inputs and a quantised output."""

    def run(call: Call) -> Value:
        if call.attribute("channels_last", 0):
            raise call.unsupported("has channels_last set", "quantise the model without layout optimisation")
        axis = form.weight_axis
        if form.core == "Gemm" and call.attribute("transB", 0):
            axis = 0
        inputs: list[Value | None] = []
        for entry in form.inputs:
            if isinstance(entry, int):
                inputs.append(call.input(entry))
            else:
                value, scale, zero_point = entry
                inputs.append(
                    dequantise(call, call.value(value), _scale(call, scale), _zero_point(call, zero_point), axis)
                )
        opset = call.attribute("opset", call.opset)
        result = OPERATORS["", form.core](replace(call, inputs=tuple(inputs), opset=opset))
        return _finish(call, result, *form.output)

    run.__doc__ = f"As {form.core}, in the QOperator form."
    return run


def _finish(call: Call, result: Value, scale: int, zero_point: int) -> Value:
    if call.input(scale) is None:
        # QGemm without an output scale: the result stays float.
        return result
    zeros = _zero_point(call, zero_point)
    dtype = np.dtype(np.uint8) if zeros is None else zeros.dtype
    return quantise(call, result, _scale(call, scale), zeros, dtype)


for (_domain, _name), _form in _FORMS.items():
    operator(_name, domain=_domain)(_qoperator(_form))
for _name in ("QuantizeLinear", "DequantizeLinear"):
    operator(_name, domain=MICROSOFT)(OPERATORS["", _name])


@operator("QLinearConcat", domain=MICROSOFT)
def qlinear_concat(call: Call) -> Value:
    """As Concat, in the QOperator form."""
    if len(call.inputs) < 5 or len(call.inputs) % 3 != 2:
        raise call.wrong(f"has {len(call.inputs)} inputs, which are not two and three for each tensor")
    inputs = tuple(
        dequantise(call, call.value(i), _scale(call, i + 1), _zero_point(call, i + 2), 0)
        for i in range(2, len(call.inputs), 3)
    )
    return _finish(call, OPERATORS["", "Concat"](replace(call, inputs=inputs)), 0, 1)
