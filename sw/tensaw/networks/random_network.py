"""Random legal networks: every operator, odd sizes, strides, dilations, quantisations and residual branches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tensaw.networks.tflite_builder import TensorHandle, TfliteBuilder

__all__ = ["OPERATORS", "random_network"]

_ACTIVATIONS = ("NONE", "RELU", "RELU6", "RELU_N1_TO_1")
_MAXIMUM_CHANNELS = 24


class _Generator:
    """State of one network: the builder, and the tensors that later operators may read."""

    def __init__(
        self, rng: np.random.Generator, name: str, more_inputs: int, pruning: np.random.Generator | None
    ) -> None:
        self.rng = rng
        self.more_inputs = more_inputs
        self.pruning = pruning
        self.builder = TfliteBuilder(name)
        shape = (1, *(int(v) for v in rng.integers(1, 13, 2)), int(rng.integers(1, _MAXIMUM_CHANNELS + 1)))
        self.x = self.builder.input(shape, *self.quantisation())
        self.history = [self.x]

    # Random pieces -------------------------------------------------------------------------------------------------

    def pick(self, options: Sequence[str]) -> str:
        return options[int(self.rng.integers(len(options)))]

    def number(self, low: int, high: int) -> int:
        """Uniform in [low, high]."""
        return int(self.rng.integers(low, high + 1))

    def quantisation(self) -> tuple[float, int]:
        """A scale such that the int8 range means a few units, and a zero point that is often at an end."""
        zero_point = (-128, 0, 127, self.number(-128, 127), self.number(-128, 127))[self.number(0, 4)]
        return float(10 ** self.rng.uniform(-2.5, -0.5)), zero_point

    def out(self, scale: float) -> dict[str, Any]:
        """A random output zero point, and a scale around ``scale``, but never so far out that products of products
        leave what can be requantised."""
        wanted = float(scale * self.rng.uniform(0.4, 2.5))
        return {"out_scale": min(max(wanted, 1e-5), 1e5), "out_zp": self.quantisation()[1]}

    def weights(self, shape: tuple[int, ...], taps: int, channels: int) -> dict[str, Any]:
        """Weights, biases and scales that keep the results within a few times the output's range."""
        values = self.rng.integers(-127, 128, shape)
        values[self.rng.random(shape) < 0.1] = 0
        if self.pruning is not None:
            gone = self.pruning.random(channels) < self.pruning.choice([0.0, 0.3, 0.7])
            values[(..., gone) if len(shape) == 3 else gone] = 0
        scale = self.rng.uniform(0.2, 2.0, channels if self.rng.random() < 0.7 else 1)
        bias = None if self.rng.random() < 0.2 else self.rng.integers(-(1 << 14), 1 << 14, channels)
        out = self.out(self.x.scale)
        # A sum of `taps` products spans about sqrt(taps) · 73 · 73 steps; aim at ±100 steps of the output.
        scale = scale * 100 * float(out["out_scale"]) / (self.x.scale * 73 * 73 * np.sqrt(taps))
        return {"weights": values, "bias": bias, "weight_scale": scale, **out}

    def window(self, limit: int) -> dict[str, Any]:
        """Kernel, stride, dilation and padding that fit the current image."""
        height, width = self.x.shape[1:3]
        padding = self.pick(("SAME", "VALID"))
        kernel, dilation = [], []
        for size in (height, width):
            taps = self.number(1, limit if padding == "SAME" else min(limit, size))
            spread = self.number(1, 3) if self.rng.random() < 0.3 else 1
            if padding == "VALID" and (taps - 1) * spread + 1 > size:
                spread = 1
            kernel.append(taps)
            dilation.append(spread)
        stride = (self.number(1, 3), self.number(1, 3))
        # LiteRT, like TensorFlow, does not stride and dilate at once.
        if max(dilation) > 1:
            stride = (1, 1)
        return {"kernel": tuple(kernel), "stride": stride, "dilation": tuple(dilation), "padding": padding}

    def image(self) -> TensorHandle:
        """The current tensor as an image (1, height, width, channels)."""
        if len(self.x.shape) != 4:
            self.x = self.builder.reshape(self.x, (1, 1, 1, int(np.prod(self.x.shape))))
        return self.x

    # Operators -----------------------------------------------------------------------------------------------------

    def conv_2d(self) -> TensorHandle:
        channels = self.image().shape[3]
        divisors = [d for d in range(1, channels + 1) if channels % d == 0]
        groups = divisors[self.number(0, len(divisors) - 1)] if self.rng.random() < 0.2 else 1
        window = self.window(5)
        height, width = window.pop("kernel")
        outputs = groups * self.number(1, max(1, _MAXIMUM_CHANNELS // groups))
        taps = height * width * (channels // groups)
        layer = self.weights((outputs, height, width, channels // groups), taps, outputs)
        return self.builder.conv2d(self.x, **window, **layer, activation=self.pick(_ACTIVATIONS))

    def depthwise_conv_2d(self) -> TensorHandle:
        channels = self.image().shape[3]
        window = self.window(5)
        height, width = window.pop("kernel")
        outputs = channels * (self.number(2, 3) if self.rng.random() < 0.2 else 1)
        layer = self.weights((height, width, outputs), height * width, outputs)
        activation = self.pick(_ACTIVATIONS)
        return self.builder.depthwise_conv2d(self.x, **window, **layer, activation=activation)

    def fully_connected(self) -> TensorHandle:
        keep = self.rng.random() < 0.3
        features = self.x.shape[-1] if keep else int(np.prod(self.x.shape))
        if features > 512:
            keep, features = True, self.x.shape[-1]
        outputs = self.number(1, 40)
        layer = self.weights((outputs, features), features, outputs)
        activation = self.pick(_ACTIVATIONS)
        return self.builder.fully_connected(self.x, **layer, activation=activation, keep_dims=keep)

    def _second(self) -> TensorHandle:
        """A second operand: another input, an earlier tensor of the same shape (a residual branch), or a constant."""
        if self.more_inputs:
            self.more_inputs -= 1
            return self.builder.input(self.x.shape, *self.quantisation())
        earlier = [t for t in self.history if t.shape == self.x.shape]
        if earlier and self.rng.random() < 0.7:
            return earlier[self.number(0, len(earlier) - 1)]
        shape = tuple(size if self.rng.random() < 0.6 else 1 for size in self.x.shape)
        return self.builder.constant(self.rng.integers(-128, 128, shape), *self.quantisation())

    def _elementwise(self, kind: str) -> TensorHandle:
        operands = [self.x, self._second()]
        if self.rng.random() < 0.5:
            operands.reverse()
        scales = [operand.scale for operand in operands]
        if scales[0] * scales[1] > 1e5:  # see `out`: a product's scale could not follow
            kind = "add"
        method = getattr(self.builder, kind)
        # Products of two differences are up to 2^16, typically 73 · 73.
        out = self.out(scales[0] * scales[1] * 73 if kind == "mul" else max(scales))
        return method(*operands, activation=self.pick(_ACTIVATIONS), **out)

    def add(self) -> TensorHandle:
        return self._elementwise("add")

    def sub(self) -> TensorHandle:
        return self._elementwise("sub")

    def mul(self) -> TensorHandle:
        return self._elementwise("mul")

    def _pool(self, kind: str) -> TensorHandle:
        self.image()
        window = self.window(5)
        del window["dilation"]
        method = getattr(self.builder, kind)
        return method(self.x, window.pop("kernel"), **window, activation=self.pick(_ACTIVATIONS))

    def average_pool_2d(self) -> TensorHandle:
        return self._pool("average_pool2d")

    def max_pool_2d(self) -> TensorHandle:
        return self._pool("max_pool2d")

    def mean(self) -> TensorHandle:
        axes = ((1, 2), (2, 1), (-3, -2))[self.number(0, 2)]
        _, height, width, _ = self.image().shape
        out = self.out(self.x.scale / np.sqrt(height * width))
        return self.builder.mean(self.x, axes, keep_dims=self.rng.random() < 0.5, **out)

    def reshape(self) -> TensorHandle:
        shapes: list[tuple[int, ...]] = [(1, int(np.prod(self.x.shape)))]
        if len(self.x.shape) == 4:
            shapes.append((1, self.x.shape[2], self.x.shape[1], self.x.shape[3]))
        return self.builder.reshape(self.x, shapes[self.number(0, len(shapes) - 1)])

    def squeeze(self) -> TensorHandle:
        ones = [axis for axis, size in enumerate(self.x.shape) if size == 1 and axis > 0]
        return self.builder.squeeze(self.x, ones) if ones else self.expand_dims()

    def expand_dims(self) -> TensorHandle:
        return self.reshape() if len(self.x.shape) > 4 else self.builder.expand_dims(self.x, 1)

    def pad(self) -> TensorHandle:
        self.image()
        amounts = [(0, 0), *((self.number(0, 3), self.number(0, 3)) for _ in range(2)), (0, self.number(0, 2))]
        value = self.number(-128, 127) if self.rng.random() < 0.5 else None
        return self.builder.pad(self.x, amounts, value=value)

    def concatenation(self) -> TensorHandle:
        alike = [t for t in self.history if (t.scale, t.zero_point) == (self.x.scale, self.x.zero_point)]
        axis = self.number(1, max(1, len(self.x.shape) - 1)) if len(self.x.shape) > 1 else 0
        rest = self.x.shape[:axis] + self.x.shape[axis + 1 :]
        fitting = [t for t in alike if t.shape[:axis] + t.shape[axis + 1 :] == rest] or [self.x]
        chosen = [fitting[self.number(0, len(fitting) - 1)] for _ in range(self.number(1, 2))]
        return self.builder.concatenation([self.x, *chosen], axis)

    def softmax(self) -> TensorHandle:
        if self.x.shape[-1] > 500:
            # LiteRT aborts when the sum of the exponentials reaches 512.
            return self.reshape()
        return self.builder.softmax(self.x, beta=float(self.rng.uniform(0.2, 3.0)))

    def _pointwise(self, kind: str) -> TensorHandle:
        out = self.out(1 / 128 if kind == "TANH" else self.x.scale)
        return self.builder.pointwise(kind, self.x, alpha=float(self.rng.uniform(-0.5, 1.5)), **out)


def _pointwise(kind: str) -> Callable[[_Generator], TensorHandle]:
    return lambda generator: generator._pointwise(kind)


_MAKERS: dict[str, Callable[[_Generator], TensorHandle]] = {
    "CONV_2D": _Generator.conv_2d,
    "DEPTHWISE_CONV_2D": _Generator.depthwise_conv_2d,
    "FULLY_CONNECTED": _Generator.fully_connected,
    "ADD": _Generator.add,
    "SUB": _Generator.sub,
    "MUL": _Generator.mul,
    "AVERAGE_POOL_2D": _Generator.average_pool_2d,
    "MAX_POOL_2D": _Generator.max_pool_2d,
    "MEAN": _Generator.mean,
    "RESHAPE": _Generator.reshape,
    "SQUEEZE": _Generator.squeeze,
    "EXPAND_DIMS": _Generator.expand_dims,
    "PAD": _Generator.pad,
    "CONCATENATION": _Generator.concatenation,
    "SOFTMAX": _Generator.softmax,
} | {
    kind: _pointwise(kind)
    for kind in (
        "RELU", "RELU6", "RELU_N1_TO_1", "LEAKY_RELU", "HARD_SWISH", "LOGISTIC", "TANH", "QUANTIZE",
    )
}  # fmt: skip

OPERATORS: tuple[str, ...] = tuple(_MAKERS)
"""Operator types that :func:`random_network` can use."""


def random_network(
    rng: np.random.Generator,
    operators: Sequence[str] = OPERATORS,
    max_layers: int = 5,
    name: str = "random",
    more_inputs: int = 0,
    pruning: np.random.Generator | None = None,
) -> bytes:
    """A ``.tflite`` file of 1 to ``max_layers`` random operators out of ``operators`` (and RESHAPE where needed).

    One int8 input of at most 12 × 12 × 24, and up to ``more_inputs`` others where an operator takes two; outputs are
    the last tensor and, now and then, one in the middle. With ``pruning`` many filters are zero everywhere. The same
    state of both generators gives the same bytes.
    """
    generator = _Generator(rng, name, more_inputs, pruning)
    for _ in range(generator.number(1, max_layers)):
        generator.x = _MAKERS[generator.pick(operators)](generator)
        generator.history.append(generator.x)
    generator.builder.output(generator.x)
    middle = generator.history[generator.number(1, len(generator.history) - 1)]
    if middle is not generator.x and rng.random() < 0.2:
        generator.builder.output(middle)
    return generator.builder.finish()
