"""Small quantised ``.onnx`` networks with random weights, for examples and tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tensaw.networks.onnx_writer import Activation, Form, OnnxWriter

__all__ = ["random_network", "small_network"]


def small_network(form: Form = "qdq", shape: Sequence[int] = (1, 3, 8, 8), *, unsigned: bool = False) -> OnnxWriter:
    """Conv, MaxPool, Flatten, Gemm, Softmax; random weights; float32 ``image`` in, integer ``softmax`` out."""
    random = np.random.default_rng(5)
    offset = 128 if unsigned else 0
    net = OnnxWriter(form, unsigned=unsigned)
    x = net.input("image", shape, 0.05, 3 + offset)
    limit = 63 if unsigned else 127
    w = net.weights(
        "w", random.integers(-limit, limit + 1, (4, 3, 3, 3)).astype(np.int8), random.uniform(0.01, 0.02, 4)
    )
    b = net.bias("b", random.integers(-99, 99, 4), x, w)
    y = net.operator("Conv", [x, w, b], scale=0.1, zero_point=offset - 7, name="conv")
    net.node("MaxPool", [y.name], "pooled", kernel_shape=[2, 2], strides=[2, 2])
    net.node("Flatten", ["pooled"], "flat")
    flat = Activation("flat", y.scale, y.zero_point)
    v = net.weights("v", random.integers(-limit, limit + 1, (36, 5)).astype(np.int8), 0.01, axis=1)
    z = net.operator("Gemm", [flat, v], scale=0.3, zero_point=offset, name="gemm")
    net.output(net.operator("Softmax", [z], scale=1 / 256, zero_point=offset - 128, name="softmax"), (1, 5))
    return net


def random_network(seed: int, form: Form, unsigned: bool) -> tuple[OnnxWriter, dict[str, np.ndarray]]:
    """Two to five random operators on an image, then MaxPool, Flatten, Gemm, Softmax; and an input for it."""
    random = np.random.default_rng(seed)
    net = OnnxWriter(form, unsigned=unsigned)
    limit, offset = (63, 128) if unsigned else (127, 0)
    channels, height, width = int(random.integers(1, 5)), int(random.integers(8, 14)), int(random.integers(8, 14))
    x = net.input("image", (1, channels, height, width), 0.04, offset + int(random.integers(-20, 20)))
    sample = random.normal(0, 2, (1, channels, height, width)).astype(np.float32)

    def output(name: str, low: float = 0.03, high: float = 0.06) -> dict[str, Any]:
        """Name, scale and zero point of an operator's result."""
        zero_point = offset + int(random.integers(-30, 30))
        return {"name": name, "scale": float(np.float32(random.uniform(low, high))), "zero_point": zero_point}

    def conv(x: Activation, channels: int, outputs: int, groups: int, index: int) -> Activation:
        """A 3x3 convolution whose results have about the spread of its input."""
        integers = random.integers(-limit, limit + 1, (outputs, channels // groups, 3, 3)).astype(np.int8)
        spread = 0.6 * limit * (9 * channels / groups) ** 0.5
        weights = net.weights(f"weights_{index}", integers, random.uniform(0.5, 1, outputs) / spread)
        bias = net.bias(f"bias_{index}", random.integers(-500, 500, outputs), x, weights)
        where = output(f"conv_{index}")
        return net.operator("Conv", [x, weights, bias], **where, group=groups, pads=[1, 1, 1, 1])

    for i in range(int(random.integers(2, 6))):
        match int(random.integers(6)):
            case 0:
                outputs = int(random.integers(2, 9))
                x, channels = conv(x, channels, outputs, 1, i), outputs
            case 1:
                x = conv(x, channels, channels, channels, i)
            case 2:
                x = net.operator("Add", [x, conv(x, channels, channels, 1, i)], **output(f"add_{i}"))
            case 3:
                x = net.operator("Concat", [x, conv(x, channels, 3, 1, i)], **output(f"concat_{i}"), axis=1)
                channels += 3
            case 4:
                window: dict[str, Any] = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
                x = net.operator("AveragePool", [x], **output(f"average_{i}"), **window)
            case _:
                x = net.operator("LeakyRelu", [x], **output(f"leaky_{i}"), alpha=0.1)
    net.node("MaxPool", [x.name], "pooled", kernel_shape=[2, 2], strides=[2, 2])
    net.node("Flatten", ["pooled"], "flat")
    features = channels * (height // 2) * (width // 2)
    integers = random.integers(-limit, limit + 1, (10, features)).astype(np.int8)
    weights = net.weights("weights", integers, 1 / (limit * features**0.5))
    flat = Activation("flat", x.scale, x.zero_point)
    y = net.operator("Gemm", [flat, weights], **output("gemm", 0.02, 0.04), transB=1)
    net.output(net.operator("Softmax", [y], scale=1 / 256, zero_point=offset - 128, name="softmax"), (1, 10))
    return net, {"image": sample}
