"""Layers of a small convolutional network in NumPy, with the gradients that training needs.

Images are float64 (batch, height, width, channels). Each layer keeps from ``forward`` what its ``backward`` needs;
``backward`` takes the loss's gradient by the output, sets the ``gradients`` of its parameters and returns that by
the input.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import numpy.typing as npt

__all__ = ["Array", "Convolution", "Dense", "Depthwise", "Layer", "MaxPool", "Relu"]

Array = npt.NDArray[np.float64]


def _pad(x: Array, amount: int) -> Array:
    return np.pad(x, ((0, 0), (amount, amount), (amount, amount), (0, 0)))


def _patches(x: Array, size: int) -> Array:
    """(batch, height, width, size, size, channels) of a padded image."""
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))
    return windows.transpose(0, 1, 2, 4, 5, 3)


def _scatter(patches: Array, shape: tuple[int, ...], pad: int) -> Array:
    """Gradient by an image of ``shape`` from that by its patches: every pixel collects from all patches it is in."""
    _, height, width, size, _, _ = patches.shape
    total = np.zeros((shape[0], shape[1] + 2 * pad, shape[2] + 2 * pad, shape[3]))
    for y in range(size):
        for x in range(size):
            total[:, y : y + height, x : x + width] += patches[:, :, :, y, x]
    return total[:, pad : pad + shape[1], pad : pad + shape[2]]


class Layer(ABC):
    """A layer with ``parameters`` and their ``gradients``, in the same order; none by default."""

    parameters: list[Array]
    gradients: list[Array]

    def __init__(self) -> None:
        self.parameters = []
        self.gradients = []

    @abstractmethod
    def forward(self, x: Array) -> Array:
        """The layer's output; what ``backward`` needs is kept."""

    @abstractmethod
    def backward(self, gradient: Array) -> Array:
        """From the loss's gradient by the output to that by the input; sets ``gradients``."""


class Convolution(Layer):
    """``size`` × ``size`` convolution, stride 1; weights (size, size, inputs, outputs), bias (outputs,)."""

    def __init__(self, rng: np.random.Generator, size: int, inputs: int, outputs: int, pad: int) -> None:
        super().__init__()
        spread = np.sqrt(2 / (size * size * inputs))
        self.pad = pad
        self.size = size
        self.parameters = [rng.normal(0, spread, (size, size, inputs, outputs)), np.zeros(outputs)]

    def forward(self, x: Array) -> Array:
        self.shape = x.shape
        self.seen = _patches(_pad(x, self.pad), self.size)
        return np.tensordot(self.seen, self.parameters[0], 3) + self.parameters[1]

    def backward(self, gradient: Array) -> Array:
        self.gradients = [np.tensordot(self.seen, gradient, ([0, 1, 2], [0, 1, 2])), gradient.sum((0, 1, 2))]
        return _scatter(np.tensordot(gradient, self.parameters[0], ([3], [3])), self.shape, self.pad)


class Depthwise(Layer):
    """3 × 3 depthwise convolution, stride 1, same size; weights (3, 3, channels), bias (channels,)."""

    def __init__(self, rng: np.random.Generator, channels: int) -> None:
        super().__init__()
        self.parameters = [rng.normal(0, np.sqrt(2 / 9), (3, 3, channels)), np.zeros(channels)]

    def forward(self, x: Array) -> Array:
        self.shape = x.shape
        self.seen = _patches(_pad(x, 1), 3)
        return np.einsum("nyxijc,ijc->nyxc", self.seen, self.parameters[0]) + self.parameters[1]

    def backward(self, gradient: Array) -> Array:
        self.gradients = [np.einsum("nyxijc,nyxc->ijc", self.seen, gradient), gradient.sum((0, 1, 2))]
        return _scatter(gradient[:, :, :, None, None] * self.parameters[0], self.shape, 1)


class Dense(Layer):
    """Fully connected on the flattened input; weights (inputs, outputs), bias (outputs,)."""

    def __init__(self, rng: np.random.Generator, inputs: int, outputs: int) -> None:
        super().__init__()
        self.parameters = [rng.normal(0, np.sqrt(1 / inputs), (inputs, outputs)), np.zeros(outputs)]

    def forward(self, x: Array) -> Array:
        self.shape = x.shape
        self.seen = x.reshape(len(x), -1)
        return self.seen @ self.parameters[0] + self.parameters[1]

    def backward(self, gradient: Array) -> Array:
        self.gradients = [self.seen.T @ gradient, gradient.sum(0)]
        return (gradient @ self.parameters[0].T).reshape(self.shape)


class Relu(Layer):
    """``max(x, 0)``."""

    def forward(self, x: Array) -> Array:
        self.positive = x > 0
        return x * self.positive

    def backward(self, gradient: Array) -> Array:
        return gradient * self.positive


class MaxPool(Layer):
    """The largest of each 2 × 2 window."""

    def forward(self, x: Array) -> Array:
        batch, height, width, channels = x.shape
        windows = x.reshape(batch, height // 2, 2, width // 2, 2, channels)
        result = windows.max((2, 4))
        self.chosen = windows == result[:, :, None, :, None]
        self.shape = x.shape
        return result

    def backward(self, gradient: Array) -> Array:
        return (self.chosen * gradient[:, :, None, :, None]).reshape(self.shape)
