"""The digits network: stem, residual block of depthwise and pointwise convolution, pool, convolution, classifier.

    image 8×8×1 ─ stem 3×3, 16 ─┬─ depthwise 3×3 ─ pointwise 1×1, 16 ─ add ─ max pool 2×2 ─ wide 3×3, 32 ─ classifier
                                └───────────────────────────────────────┘

Small enough to train in half a minute on one core, and with one of each kind of operator that vision networks are
made of.
"""

from __future__ import annotations

import numpy as np
from layers import Array, Convolution, Dense, Depthwise, Layer, MaxPool, Relu

__all__ = ["Network", "softmax"]


def softmax(x: Array) -> Array:
    """Along the last axis."""
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


class Network:
    """The network in floating point. ``stem`` and the like are its weighted layers."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.stem = Convolution(rng, 3, 1, 16, pad=1)
        self.depthwise = Depthwise(rng, 16)
        self.pointwise = Convolution(rng, 1, 16, 16, pad=0)
        self.wide = Convolution(rng, 3, 16, 32, pad=0)
        self.classifier = Dense(rng, 2 * 2 * 32, 10)
        self.weighted: list[Layer] = [self.stem, self.depthwise, self.pointwise, self.wide, self.classifier]
        self._stem_relu, self._depthwise_relu, self._add_relu, self._wide_relu = Relu(), Relu(), Relu(), Relu()
        self._pool = MaxPool()

    def forward(self, images: Array) -> dict[str, Array]:
        """Every activation by the name of the layer that makes it, activation functions included; ``images`` (n, 8, 8,
        1) from 0 to 1, ``classifier`` (n, 10) before softmax."""
        stem = self._stem_relu.forward(self.stem.forward(images))
        depthwise = self._depthwise_relu.forward(self.depthwise.forward(stem))
        pointwise = self.pointwise.forward(depthwise)
        add = self._add_relu.forward(stem + pointwise)
        wide = self._wide_relu.forward(self.wide.forward(self._pool.forward(add)))
        return {
            "stem": stem,
            "depthwise": depthwise,
            "pointwise": pointwise,
            "add": add,
            "wide": wide,
            "classifier": self.classifier.forward(wide),
        }

    def backward(self, gradient: Array) -> None:
        """Set all layers' gradients from that by the classifier's output."""
        gradient = self.wide.backward(self._wide_relu.backward(self.classifier.backward(gradient)))
        both = self._add_relu.backward(self._pool.backward(gradient))
        through = self.depthwise.backward(self._depthwise_relu.backward(self.pointwise.backward(both)))
        self.stem.backward(self._stem_relu.backward(both + through))

    def accuracy(self, images: Array, labels: np.ndarray) -> float:
        """Share of images whose largest output is their label."""
        return float((self.forward(images)["classifier"].argmax(1) == labels).mean())
