"""``python -m tensaw.networks.synthetic``: networks of well-known shapes with random weights, for measuring.

    python -m tensaw.networks.synthetic gemm 512 512 512 -o gemm.tflite
    python -m tensaw.networks.synthetic resnet50 -o resnet50.tflite
    python -m tensaw.networks.synthetic mobilenet-v2 --image 96 -o mobilenet.tflite

Cycles depend on shapes only, so random weights measure what trained ones would. The same seed gives the same file.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from tensaw.networks.random_layers import SCALE, RandomLayers
from tensaw.networks.tflite_builder import TensorHandle

__all__ = ["gemm", "main", "mobilenet_v2", "resnet"]


class _Layers(RandomLayers):
    """With the blocks of residual networks."""

    def bottleneck(self, x: TensorHandle, channels: int, stride: int) -> TensorHandle:
        """1 × 1, 3 × 3 (with the stride) and 1 × 1 to four times the channels, added to the input or its projection."""
        wide = 4 * channels
        y = self.convolution(x, channels, 1)
        y = self.convolution(y, channels, 3, stride)
        y = self.convolution(y, wide, 1, rectified=False)
        if stride > 1 or x.shape[3] != wide:
            x = self.convolution(x, wide, 1, stride, rectified=False)
        return self.builder.add(y, x, activation="RELU", out_scale=math.hypot(x.scale, y.scale), out_zp=-128)

    def inverted_residual(
        self, x: TensorHandle, channels: int, stride: int, expansion: int, kernel: int
    ) -> TensorHandle:
        """1 × 1 to ``expansion`` times the channels, depthwise (with the stride), 1 × 1; plus the input if alike."""
        y = self.convolution(x, expansion * x.shape[3], 1) if expansion > 1 else x
        y = self.depthwise(y, kernel, stride)
        y = self.convolution(y, channels, 1, rectified=False)
        if stride > 1 or x.shape[3] != channels:
            return y
        return self.builder.add(y, x, out_scale=math.hypot(x.scale, y.scale), out_zp=3)


def gemm(rows: int, depth: int, columns: int, seed: int = 0, convolution: bool = False) -> bytes:
    """(rows, depth) by (depth, columns): FULLY_CONNECTED with one scale or, as ``convolution``, a 1 × 1 CONV_2D with a
    scale for each channel over an image of ``rows`` pixels, as square as can be."""
    kind = "conv" if convolution else "gemm"
    layers = _Layers(f"{kind}_{rows}x{depth}x{columns}", seed)
    if convolution:
        height = next(side for side in range(math.isqrt(rows), 0, -1) if rows % side == 0)
        x = layers.builder.input((1, height, rows // height, depth), SCALE, 5)
        y = layers.convolution(x, columns, 1, rectified=False)
    else:
        x = layers.builder.input((rows, depth), SCALE, 5)
        y = layers.builder.fully_connected(x, **layers.weights(x, (columns, depth), per_channel=False), out_zp=3)
    layers.builder.output(y)
    return layers.builder.finish()


def resnet(
    seed: int = 0, image: int = 224, width: int = 64, blocks: Sequence[int] = (3, 4, 6, 3), classes: int = 1000
) -> bytes:
    """ResNet-50 (K. He et al., "Deep residual learning for image recognition", 2016; the stride in the 3 × 3
    convolutions) with random weights, batch normalisation folded.

    ``width``: channels of the stem; ``blocks``: bottleneck blocks of each stage, which begin with a stride of 2 but for
    the first. Smaller ones make smaller networks of the same kind.
    """
    layers = _Layers("resnet50" if tuple(blocks) == (3, 4, 6, 3) else "resnet", seed)
    x = layers.builder.input((1, image, image, 3), SCALE, -3)
    x = layers.convolution(x, width, 7, 2)
    x = layers.builder.max_pool2d(x, 3, stride=2, padding="SAME")
    for stage, count in enumerate(blocks):
        for block in range(count):
            x = layers.bottleneck(x, width << stage, 2 if stage and not block else 1)
    x = layers.builder.mean(x)
    x = layers.builder.fully_connected(x, **layers.weights(x, (classes, x.shape[1]), per_channel=False), out_zp=0)
    layers.builder.output(x)
    return layers.builder.finish()


_STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""MobileNetV2's stages: expansion, channels, blocks, stride of the first of them."""


def mobilenet_v2(seed: int = 0, image: int = 224, width: float = 1.0, kernel: int = 3, classes: int = 1000) -> bytes:
    """MobileNetV2 (M. Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks", 2018) with random
    weights, batch normalisation folded, RELU in place of RELU6.

    ``image``: height and width, pixels; ``width`` scales the channels, to multiples of 8; ``kernel``: of the depthwise
    layers (the paper's are 3).
    """

    def scaled(channels: int) -> int:
        return max(8, math.floor(channels * width / 8 + 0.5) * 8)

    layers = _Layers("mobilenet_v2", seed)
    x = layers.builder.input((1, image, image, 3), SCALE, -3)
    x = layers.convolution(x, scaled(32), 3, 2)
    for expansion, channels, count, stride in _STAGES:
        for block in range(count):
            x = layers.inverted_residual(x, scaled(channels), 1 if block else stride, expansion, kernel)
    x = layers.convolution(x, max(1280, scaled(1280)), 1)
    x = layers.builder.mean(x)
    x = layers.builder.fully_connected(x, **layers.weights(x, (classes, x.shape[1]), per_channel=False), out_zp=0)
    layers.builder.output(x)
    return layers.builder.finish()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tensaw.networks.synthetic",
        description="Write a network of a well-known shape with random weights: the same seed gives the same file.",
    )
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    product = kinds.add_parser("gemm", help="a product of two matrices, M × K by K × N")
    for name in ("M", "K", "N"):
        product.add_argument(name, type=_size)
    product.add_argument("--convolution", action="store_true", help="as a 1 × 1 convolution; else fully connected")
    kinds.add_parser("resnet50", help="ResNet-50 over 224 × 224 × 3, 25 M parameters")
    mobile = kinds.add_parser("mobilenet-v2", help="MobileNetV2: inverted residuals with depthwise convolutions")
    mobile.add_argument("--image", type=_size, default=224, metavar="N", help="height and width, pixels (224)")
    mobile.add_argument("--width", type=_width, default=1.0, metavar="W", help="times the channels (1.0)")
    mobile.add_argument("--kernel", type=int, choices=(3, 5, 7), default=3, help="of the depthwise layers (3)")
    for kind in kinds.choices.values():
        kind.add_argument("--seed", type=int, default=0, metavar="S", help="of the weights (0)")
        kind.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.tflite")
    arguments = parser.parse_args(argv)
    if arguments.kind == "gemm":
        content = gemm(arguments.M, arguments.K, arguments.N, arguments.seed, arguments.convolution)
    elif arguments.kind == "resnet50":
        content = resnet(arguments.seed)
    else:
        content = mobilenet_v2(arguments.seed, arguments.image, arguments.width, arguments.kernel)
    try:
        arguments.output.write_bytes(content)
    except OSError as error:
        parser.exit(2, f"The network cannot be written to {str(arguments.output)!r}: {error.strerror}.\n")
    print(f"{arguments.output}: {len(content):,} bytes, seed {arguments.seed}")
    return 0


def _size(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1 << 16:
        raise argparse.ArgumentTypeError(f"must be a number between 1 and {1 << 16}, not {text}")
    return int(text)


def _width(text: str) -> float:
    try:
        width = float(text)
    except ValueError:
        width = 0.0
    if not 0.05 <= width <= 4:
        raise argparse.ArgumentTypeError(f"must be a number between 0.05 and 4, not {text}")
    return width


if __name__ == "__main__":
    sys.exit(main())
