"""Layers with random weights whose results use most of int8's range, for networks to measure."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tensaw.networks.tflite_builder import Pair, TensorHandle, TfliteBuilder

__all__ = ["SCALE", "RandomLayers"]

SCALE = 0.05
"""Of inputs and of what layers give."""
_INPUT_STEPS, _WEIGHT_STEPS, _OUTPUT_STEPS = 60, 73, 50
"""Root mean squares, in steps of int8, that activations and weights are taken to have and results shall have."""


class RandomLayers:
    """A network under construction; the same seed gives the same weights."""

    def __init__(self, name: str, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.builder = TfliteBuilder(name)

    def weights(
        self, x: TensorHandle, shape: tuple[int, ...], per_channel: bool = True, axis: int = 0
    ) -> dict[str, Any]:
        """Weights, biases and scales of a layer with ``shape[axis]`` outputs."""
        channels = shape[axis]
        taps = math.prod(shape) // channels
        spread = self.rng.uniform(0.7, 1.4, channels if per_channel else 1)
        step = _OUTPUT_STEPS * SCALE / (x.scale * math.sqrt(taps) * _INPUT_STEPS * _WEIGHT_STEPS)
        return {
            "weights": self.rng.integers(-127, 128, shape, np.int8),
            "bias": self.rng.integers(-(1 << 12), 1 << 12, channels, np.int32),
            "weight_scale": spread * step,
            "out_scale": SCALE,
        }

    def convolution(
        self, x: TensorHandle, channels: int, kernel: Pair, stride: Pair = 1, rectified: bool = True
    ) -> TensorHandle:
        """CONV_2D with SAME padding, followed by RELU unless ``rectified`` is unset."""
        height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
        values = self.weights(x, (channels, height, width, x.shape[3]))
        activation, zero_point = ("RELU", -128) if rectified else ("NONE", 3)
        return self.builder.conv2d(x, **values, stride=stride, activation=activation, out_zp=zero_point)

    def depthwise(self, x: TensorHandle, kernel: Pair, stride: Pair = 1, dilation: Pair = 1) -> TensorHandle:
        """DEPTHWISE_CONV_2D with SAME padding and RELU, one output for each input channel."""
        height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
        values = self.weights(x, (height, width, x.shape[3]), axis=2)
        return self.builder.depthwise_conv2d(
            x, **values, stride=stride, dilation=dilation, activation="RELU", out_zp=-128
        )
