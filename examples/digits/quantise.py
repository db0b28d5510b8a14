"""From the trained network to int8 by TFLite's rules.

Weights are symmetric, one scale for each output channel (one in all for the classifier); biases are int32 in units of
input scale times weight scale; activations have the range that they showed on the calibration images, with zero exactly
representable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from layers import Array
from network import Network

__all__ = ["Quantised", "QuantisedWeights", "quantise"]


@dataclass(frozen=True)
class QuantisedWeights:
    """``weights`` int8, output channels last; ``scales`` float64 (outputs,) or (1,); ``bias`` int32 (outputs,)."""

    weights: npt.NDArray[np.int8]
    scales: npt.NDArray[np.float64]
    bias: npt.NDArray[np.int32]


@dataclass(frozen=True)
class Quantised:
    """Integers of all layers by name, and scale and zero point of each activation (``image`` is the input)."""

    weights: Mapping[str, QuantisedWeights]
    activations: Mapping[str, tuple[float, int]]


def _activation(values: Array) -> tuple[float, int]:
    """Scale and zero point that map the range of ``values``, widened to hold zero, to -128..127."""
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    scale = float(np.float32((high - low) / 255))
    return scale, int(np.clip(np.rint(-128 - low / scale), -128, 127))


def _weights(weights: Array, bias: Array, input_scale: float, per_channel: bool) -> QuantisedWeights:
    axes = tuple(range(weights.ndim - 1)) if per_channel else None
    largest = np.maximum(np.atleast_1d(np.abs(weights).max(axes)), 1e-9)
    scales = (largest / 127).astype(np.float32).astype(np.float64)
    integers = np.clip(np.rint(weights / scales), -127, 127).astype(np.int8)
    return QuantisedWeights(integers, scales, np.rint(bias / (scales * input_scale)).astype(np.int32))


def quantise(network: Network, images: Array) -> Quantised:
    """``images``: for calibration, float64 (n, 8, 8, 1) from 0 to 1."""
    activations = {"image": (float(np.float32(1 / 255)), -128)}
    for name, values in network.forward(images).items():
        activations[name] = _activation(values)
    inputs = {
        "stem": "image",
        "depthwise": "stem",
        "pointwise": "depthwise",
        # The pool in between changes no scale.
        "wide": "add",
        "classifier": "wide",
    }
    weights = {}
    for name, source in inputs.items():
        layer_weights, bias = getattr(network, name).parameters
        weights[name] = _weights(layer_weights, bias, activations[source][0], per_channel=name != "classifier")
    return Quantised(weights, activations)
