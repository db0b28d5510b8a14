"""``python -m tensaw.bench.layers``: what share of the multipliers single layers put to use, kind by kind.

Depthwise convolutions stand between two 1 × 1 convolutions, as in the networks that have them; few-channel stems are a
network's first layer, so that the time until the image is there counts.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tensaw.bench.estimating import estimate_run
from tensaw.bench.references import simulate
from tensaw.compiler.frontends.tflite import load_tflite
from tensaw.compiler.pipeline import compile_graph
from tensaw.networks.random_layers import SCALE, RandomLayers
from tensaw.networks.tflite_builder import Pair
from tensaw.runtime import RunResult
from tensaw.spec.config import NpuConfig, load_config
from tensaw.spec.errors import TensawError
from tensaw.spec.program import Program

__all__ = ["KINDS", "Case", "Rate", "depthwise_cases", "main", "measure", "program"]


@dataclass(frozen=True)
class Case:
    """A layer over an image (height, width, channels); ``outputs`` channels, 0: depthwise, one for each input channel.
    SAME padding."""

    image: tuple[int, int, int]
    kernel: tuple[int, int]
    stride: Pair = 1
    dilation: Pair = 1
    outputs: int = 0

    def __str__(self) -> str:
        height, width, channels = self.image
        text = f"{height}×{width}×{channels}"
        return text if not self.outputs else f"{text} → {self.outputs}"


@dataclass(frozen=True)
class Rate:
    """A layer's cycles, waits for the layer before it and for memory included."""

    case: Case
    macs: int
    cycles: int
    bound_by: str

    @property
    def rate(self) -> float:
        """Useful multiplications a cycle; those with padding count."""
        return self.macs / self.cycles


def program(case: Case, config: NpuConfig, seed: int = 0) -> Program:
    """The program of a small network that holds the layer. Raises TensawError."""
    layers = RandomLayers("layer", seed)
    x = layers.builder.input((1, *case.image), SCALE, -3)
    if case.outputs:
        x = layers.convolution(x, case.outputs, case.kernel, case.stride)
    else:
        x = layers.convolution(x, case.image[2], 1)
        x = layers.depthwise(x, case.kernel, case.stride, case.dilation)
    layers.builder.output(layers.convolution(x, case.outputs or case.image[2], 1))
    return compile_graph(load_tflite(layers.builder.finish(), "layer"), config)


def measure(case: Case, config: NpuConfig, estimate: bool = False) -> Rate:
    """By the RTL in Verilator, or by the cycle model. Raises TensawError."""
    compiled = program(case, config)
    result: RunResult = estimate_run(compiled) if estimate else simulate(compiled)
    layer = result.layers[0 if case.outputs else 1]
    return Rate(case, layer.macs, layer.cycles, layer.bound_by)


def depthwise_cases(kernel: tuple[int, int], strides: Iterable[int]) -> list[Case]:
    """Depthwise layers of 100 and more output pixels and 16 and more channels, multiples of 16 or not."""
    outputs = ((10, 10), (4, 25), (25, 4), (12, 14), (15, 15), (28, 28), (56, 56))
    channels = (16, 17, 24, 32, 40, 48, 60, 64, 100, 128)
    return [
        Case((height * stride, width * stride, count), kernel, stride)
        for stride in strides
        for height, width in outputs
        for count in channels
        if height * width * count <= 56 * 56 * 32
    ]


KINDS: dict[str, list[Case]] = {
    "depthwise": depthwise_cases((3, 3), (1, 2)),
    "kernels": [
        Case((24, 24, channels), kernel, stride, dilation)
        for channels in (16, 40)
        for kernel, stride, dilation in (
            *(((size, size), 1, 1) for size in (2, 3, 4, 5, 7)), ((5, 5), 2, 1), ((3, 3), 1, 2), ((3, 3), 3, 1),
            *(((1, size), 1, 1) for size in (3, 5, 9)), *(((size, 1), 1, 1) for size in (3, 5, 9)),
        )
    ],
    "stems": [
        *(
            Case((size, size, 3), (3, 3), stride, outputs=outputs)
            for size in (32, 64, 96, 128, 224) for stride in (1, 2) for outputs in (8, 16, 32)
            if size < 128 or stride == 2
        ),
        *(
            Case((height, width, 1), (10, 4), stride, outputs=outputs)
            for height, width in ((49, 10), (49, 40), (98, 40)) for stride in (1, 2) for outputs in (16, 64)
        ),
    ],
}  # fmt: skip


def _pair(value: Pair) -> str:
    both = (value, value) if isinstance(value, int) else value
    return str(both[0]) if both[0] == both[1] else f"{both[0]}×{both[1]}"


def table(rates: Sequence[Rate], config: NpuConfig) -> str:
    """Markdown."""
    lines = ["| image | kernel | stride | dilation | cycles | MACs a cycle | of the peak | bound by |"]
    lines.append("|---|---|---|---|---:|---:|---:|---|")
    for item in rates:
        case = item.case
        lines.append(
            f"| {case} | {case.kernel[0]}×{case.kernel[1]} | {_pair(case.stride)} | {_pair(case.dilation)} "
            f"| {item.cycles:,} | {item.rate:.1f} | {item.rate / config.macs_per_cycle:.0%} | {item.bound_by} |"
        )
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tensaw.bench.layers", description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"some of {', '.join(KINDS)}; default: all")
    parser.add_argument("--config", default="base", metavar="NAME|FILE.toml", help="default: base")
    parser.add_argument("--estimate", action="store_true", help="by the cycle model instead of the RTL")
    arguments = parser.parse_args(argv)
    if unknown := [kind for kind in arguments.kinds if kind not in KINDS]:
        parser.error(f"there is no kind {unknown[0]!r}; choose from {', '.join(KINDS)}")
    try:
        config = load_config(arguments.config)
        for kind in arguments.kinds or KINDS:
            rates = [measure(case, config, arguments.estimate) for case in KINDS[kind]]
            print(f"## {kind}, {config.rows}×{config.columns}\n\n{table(rates, config)}", flush=True)
    except TensawError as error:
        parser.exit(2, f"{error}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
