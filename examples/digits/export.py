"""The quantised network as ``.tflite`` and as QDQ ``.onnx``."""

from __future__ import annotations

import numpy as np
from quantise import Quantised

from tensaw.networks import TfliteBuilder
from tensaw.networks.onnx_writer import Activation, OnnxWriter

__all__ = ["to_onnx", "to_tflite"]


def to_tflite(network: Quantised) -> bytes:
    """Input ``image`` int8 (1, 8, 8, 1), output ``digit`` int8 (1, 10)."""
    builder = TfliteBuilder("digits")

    def parameters(name: str, axes: tuple[int, ...] | None) -> dict:
        values = network.weights[name]
        scale, zero_point = network.activations[name]
        return {
            "weights": values.weights if axes is None else values.weights.transpose(axes),
            "bias": values.bias,
            "weight_scale": values.scales,
            "out_scale": scale,
            "out_zp": zero_point,
            "name": name,
        }

    outputs_first = (3, 0, 1, 2)
    image = builder.input((1, 8, 8, 1), *network.activations["image"], name="image")
    stem = builder.conv2d(image, **parameters("stem", outputs_first), activation="RELU")
    depthwise = builder.depthwise_conv2d(stem, **parameters("depthwise", None), activation="RELU")
    pointwise = builder.conv2d(depthwise, **parameters("pointwise", outputs_first))
    scale, zero_point = network.activations["add"]
    add = builder.add(stem, pointwise, out_scale=scale, out_zp=zero_point, activation="RELU", name="add")
    pool = builder.max_pool2d(add, 2, name="pool")
    wide = builder.conv2d(pool, **parameters("wide", outputs_first), padding="VALID", activation="RELU")
    flat = builder.reshape(wide, (1, 128), name="flat")
    classifier = builder.fully_connected(flat, **parameters("classifier", (1, 0)))
    builder.output(builder.softmax(classifier, name="digit"))
    return builder.finish()


def to_onnx(network: Quantised) -> bytes:
    """Input ``image`` float32 (1, 1, 8, 8) from 0 to 1, output ``digit`` float32 (1, 10)."""
    writer = OnnxWriter("qdq", name="digits")

    def convolution(name: str, x: Activation, pad: int, activation: str = "Relu") -> Activation:
        values = network.weights[name]
        integers = values.weights if values.weights.ndim == 4 else values.weights[:, :, None, :]
        weights = writer.weights(f"{name}_weights", integers.transpose(3, 2, 0, 1), values.scales, axis=0)
        return writer.operator(
            "Conv",
            [x, weights, writer.bias(f"{name}_bias", values.bias, x, weights)],
            scale=network.activations[name][0],
            zero_point=network.activations[name][1],
            name=name,
            activation=activation,
            pads=[pad] * 4,
            kernel_shape=list(integers.shape[:2]),
            group=16 if values.weights.ndim == 3 else 1,
        )

    image = writer.input("image", (1, 1, 8, 8), *network.activations["image"])
    stem = convolution("stem", image, 1)
    depthwise = convolution("depthwise", stem, 1)
    pointwise = convolution("pointwise", depthwise, 0, activation="")
    scale, zero_point = network.activations["add"]
    add = writer.operator("Add", [stem, pointwise], scale=scale, zero_point=zero_point, name="add", activation="Relu")
    pool = writer.operator(
        "MaxPool", [add], scale=scale, zero_point=zero_point, name="pool", kernel_shape=[2, 2], strides=[2, 2]
    )
    wide = convolution("wide", pool, 0)
    scale, zero_point = network.activations["wide"]
    flat = writer.operator("Flatten", [wide], scale=scale, zero_point=zero_point, name="flat", axis=1)
    values = network.weights["classifier"]
    # Flattened, ONNX's images have their channels first.
    integers = values.weights.reshape(2, 2, 32, 10).transpose(3, 2, 0, 1).reshape(10, 128)
    weights = writer.weights("classifier_weights", integers, np.float32(values.scales[0]))
    scale, zero_point = network.activations["classifier"]
    classifier = writer.operator(
        "Gemm",
        [flat, weights, writer.bias("classifier_bias", values.bias, flat, weights)],
        scale=scale,
        zero_point=zero_point,
        name="classifier",
        transB=1,
    )
    digit = writer.operator("Softmax", [classifier], scale=1 / 256, zero_point=-128, name="probability", axis=-1)
    writer.output(digit, (1, 10), dtype="float32")
    return writer.to_bytes()
