"""Functions of single values: one table, however many of them follow each other between two quantisations."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from tensaw.compiler.frontends.onnx_parse import MICROSOFT
from tensaw.compiler.frontends.onnx_registry import Call, operator
from tensaw.compiler.frontends.onnx_values import Constant, Integers, Pending, QuantisedConstant, Real, Value

__all__ = ["apply"]

Array = npt.NDArray[np.float32]
_erf = np.vectorize(math.erf, otypes=[np.float32])


def apply(call: Call, function: Callable[[Array], npt.NDArray]) -> Value:
    """The first input's values through ``function``; constants are folded."""
    value = call.value(0)
    if isinstance(value, QuantisedConstant):
        return Constant(np.asarray(function(value.real()), np.float32))
    if isinstance(value, Constant) and value.array.dtype.kind == "f":
        return Constant(np.asarray(function(value.array.astype(np.float32)), np.float32))
    if isinstance(value, Real):
        return value.mapped(function, call.label, call.node.op_type)
    raise call.unquantised(0, call.activation(0))


def _sigmoid(x: Array) -> Array:
    return np.float32(1) / (np.float32(1) + np.exp(-x))


def _clamp(call: Call, low: float, high: float) -> Value:
    """Clamps need no table behind an arithmetic operator: they narrow its output range."""
    value = call.value(0)
    if isinstance(value, Pending):
        return value.clamped(low, high)
    if isinstance(value, Integers):
        raise call.unsupported(
            "works on integers", "clamp between DequantizeLinear and QuantizeLinear, as quantisation tools do"
        )
    return apply(call, lambda x: np.minimum(np.maximum(x, np.float32(low)), np.float32(high)))


@operator("Relu")
def relu(call: Call) -> Value:
    """Folded into the operator before it, or a table."""
    return _clamp(call, 0.0, math.inf)


@operator("Clip")
def clip(call: Call) -> Value:
    """Constant bounds (Relu6 among them), as attributes or inputs; folded into the operator before it, or a table."""
    bounds = [call.attribute("min", -math.inf), call.attribute("max", math.inf)]
    for index in (1, 2):
        array = call.numbers(index)
        if array is not None:
            if array.size != 1 or array.dtype.kind != "f":
                raise call.wrong(f"has a bound of shape {list(array.shape)} and type {array.dtype}, not one float")
            bounds[index - 1] = float(array.reshape(-1)[0])
    if math.isnan(bounds[0]) or math.isnan(bounds[1]):
        raise call.wrong("has a bound that is not a number")
    return _clamp(call, bounds[0], bounds[1])


@operator("LeakyRelu")
def leaky_relu(call: Call) -> Value:
    """Any alpha; a table."""
    alpha = np.float32(call.attribute("alpha", 0.01))
    return apply(call, lambda x: np.where(x >= 0, x, alpha * x))


@operator("PRelu")
def prelu(call: Call) -> Value:
    """One slope for the whole tensor; a table."""
    slope = call.numbers(1)
    if slope is None or slope.size != 1:
        raise call.unsupported(
            "has a slope per channel, and a table serves a whole tensor", "use one slope, or LeakyRelu"
        )
    alpha = np.float32(slope.reshape(-1)[0])
    return apply(call, lambda x: np.where(x >= 0, x, alpha * x))


@operator("HardSigmoid")
def hard_sigmoid(call: Call) -> Value:
    """Any alpha and beta; a table."""
    alpha, beta = np.float32(call.attribute("alpha", 0.2)), np.float32(call.attribute("beta", 0.5))
    return apply(call, lambda x: np.clip(alpha * x + beta, np.float32(0), np.float32(1)))


@operator("HardSwish")
def hard_swish(call: Call) -> Value:
    """A table."""
    sixth, half = np.float32(1 / 6), np.float32(0.5)
    return apply(call, lambda x: x * np.clip(sixth * x + half, np.float32(0), np.float32(1)))


@operator("Sigmoid")
def sigmoid(call: Call) -> Value:
    """A table."""
    return apply(call, _sigmoid)


@operator("Tanh")
def tanh(call: Call) -> Value:
    """A table."""
    return apply(call, np.tanh)


@operator("Elu")
def elu(call: Call) -> Value:
    """Any alpha; a table."""
    alpha = np.float32(call.attribute("alpha", 1.0))
    return apply(call, lambda x: np.where(x >= 0, x, alpha * np.expm1(x)))


@operator("Softplus")
def softplus(call: Call) -> Value:
    """A table."""
    return apply(call, lambda x: np.logaddexp(x, np.float32(0)))


@operator("Erf")
def erf(call: Call) -> Value:
    """A table."""
    return apply(call, _erf)


@operator("Abs")
def absolute(call: Call) -> Value:
    """A table."""
    return apply(call, np.abs)


@operator("Neg")
def negate(call: Call) -> Value:
    """A table."""
    return apply(call, np.negative)


@operator("Exp")
def exponential(call: Call) -> Value:
    """A table."""
    return apply(call, np.exp)


@operator("Sqrt")
def square_root(call: Call) -> Value:
    """A table."""
    return apply(call, np.sqrt)


@operator("Gelu")
def gelu(call: Call) -> Value:
    """approximate "none" and "tanh"; a table."""
    if call.attribute("approximate", "none") == "tanh":
        factor = np.float32(math.sqrt(2 / math.pi))
        cubic = np.float32(0.044715)
        return apply(call, lambda x: x / 2 * (1 + np.tanh(factor * (x + cubic * x * x * x))))
    return apply(call, lambda x: x / 2 * (1 + _erf(x / np.float32(math.sqrt(2)))))


@operator("Gelu", domain=MICROSOFT)
def contrib_gelu(call: Call) -> Value:
    """The exact form; a table."""
    return gelu(replace(call, node=replace(call.node, attributes={})))
