"""``python -m tensaw.bench.accuracy``: how far the cycle model is from the RTL, as the table docs/timing_accuracy.md.

Every configuration needs its simulator; those not in the cache are built, which takes minutes each.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tensaw.bench.estimating import estimate_run
from tensaw.bench.references import REFERENCES, compile_reference, models_folder, simulate
from tensaw.runtime import RunResult
from tensaw.spec.config import PRESETS, NpuConfig
from tensaw.spec.errors import TensawError

__all__ = ["CONFIGS", "MEMORIES", "Comparison", "compare", "main", "table"]

_BASE, _SMALL = PRESETS["base"], PRESETS["small"]

CONFIGS: dict[str, NpuConfig] = {
    **PRESETS,
    **{
        config.name: config
        for config in (
            _BASE.replace(name="base16", bus_bytes=16),
            _BASE.replace(name="r12c10", rows=12, columns=10, requant_lanes=5),
            _BASE.replace(name="r8c16", rows=8),
            _BASE.replace(name="r16c8", columns=8, requant_lanes=8, bus_bytes=16),
            _BASE.replace(name="r32c16", rows=32, bus_bytes=16),
            _SMALL.replace(name="r5c7", rows=5, columns=7, requant_lanes=3, column_group=2),
            _BASE.replace(name="lanes4", requant_lanes=4, acc_entries=128),
            _BASE.replace(name="tight", scratchpad_bytes=24 << 10, weight_bytes=8 << 10, acc_entries=128),
            _SMALL.replace(name="bursts4", burst_beats=4, outstanding_reads=2, queue_depth=16),
            _SMALL.replace(name="bursts64", burst_beats=64, outstanding_reads=16, weight_bytes=16 << 10),
        )
    },
}
"""The presets and ten others: odd shapes, few lanes, small memories, short and long bursts."""
MEMORIES = ((32, 8), (100, 20))
"""Read and write latency of the two memories."""
_WORTH_A_LOOK = 1000
"""Cycles of the shortest layer whose error is reported."""


@dataclass(frozen=True)
class Comparison:
    """One run. ``error``: estimate / RTL - 1; ``layer_error``: the largest of a layer of more than 1,000 cycles (0 if
    there is none), and that layer's number."""

    config: NpuConfig
    network: str
    read_latency: int
    rtl: int
    estimate: int
    layer_error: float
    layer: int

    @property
    def error(self) -> float:
        return self.estimate / self.rtl - 1


def compare(config: NpuConfig, network: str, read_latency: int, rtl: RunResult, estimate: RunResult) -> Comparison:
    """The errors of an estimate."""
    errors = [
        (mine.cycles / theirs.cycles - 1, number)
        for number, (mine, theirs) in enumerate(zip(estimate.layers, rtl.layers, strict=True))
        if theirs.cycles > _WORTH_A_LOOK
    ]
    error, layer = max(errors, key=lambda item: abs(item[0]), default=(0.0, 0))
    return Comparison(config, network, read_latency, rtl.cycles, estimate.cycles, error, layer)


def measure(folder: Path, configs: Iterable[NpuConfig]) -> list[Comparison]:
    """Simulate and estimate every reference network on every configuration with both memories. Raises TensawError."""
    found = []
    for config in configs:
        for network in REFERENCES:
            program = compile_reference(folder, network, config)
            for read, write in MEMORIES:
                rtl, estimate = simulate(program, read, write), estimate_run(program, read, write)
                found.append(compare(config, network, read, rtl, estimate))
                print(_row(found[-1]), file=sys.stderr, flush=True)
    return found


def _row(item: Comparison) -> str:
    config = item.config
    return (
        f"| {config.name} | {config.rows}×{config.columns} | {config.bus_bytes} | {item.network} | {item.read_latency} "
        f"| {item.rtl:,} | {item.estimate:,} | {item.error:+.2%} | {item.layer_error:+.2%} |"
    )


def table(found: Sequence[Comparison]) -> str:
    """The page."""
    worst = max(found, key=lambda item: abs(item.error))
    worst_layer = max(found, key=lambda item: abs(item.layer_error))
    configs = list({item.config.name: item.config for item in found}.values())
    memories = " and ".join(f"{read}/{write}" for read, write in MEMORIES)
    lines = [
        "# How far the cycle model is from the hardware",
        "",
        "Made by `python -m tensaw.bench.accuracy`; do not edit. What the model is and leaves out is in",
        "[performance.md](performance.md).",
        "",
        f"{len(configs)} configurations, {len(REFERENCES)} networks, memories that answer reads/writes after",
        f"{memories} cycles; Verilator on the RTL. *Layer* is the largest error of a layer of more than 1,000 cycles.",
        "",
        f"Largest error of a network: {worst.error:+.2%} ({worst.network} on {worst.config.name}); of a layer: "
        f"{worst_layer.layer_error:+.2%}",
        f"(layer {worst_layer.layer} of {worst_layer.network} on {worst_layer.config.name}).",
        "",
        "| configuration | array | bus bytes | network | read latency | RTL cycles | estimate | error | layer |",
        "|---|---|---:|---|---:|---:|---:|---:|---:|",
        *map(_row, found),
        "",
        "The configurations, where they differ from `base`:",
        "",
        *(f"- `{config.name}`: {_differences(config)}" for config in configs),
    ]
    return "\n".join(lines) + "\n"


def _differences(config: NpuConfig) -> str:
    base = _BASE.to_dict()
    changed = [f"{name} {value}" for name, value in config.to_dict().items() if name != "name" and value != base[name]]
    return ", ".join(changed) or "nothing"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tensaw.bench.accuracy", description=__doc__)
    parser.add_argument("--models", type=Path, metavar="DIR", help="folder of the reference networks")
    parser.add_argument(
        "--configs", default=",".join(CONFIGS), metavar="NAME,...", help=f"some of {', '.join(CONFIGS)}; default: all"
    )
    parser.add_argument("--output", type=Path, metavar="FILE.md", help="write the page there; default: stdout")
    arguments = parser.parse_args(argv)
    names = arguments.configs.split(",")
    if unknown := [name for name in names if name not in CONFIGS]:
        parser.error(f"there is no configuration {unknown[0]!r}; choose from {', '.join(CONFIGS)}")
    try:
        text = table(measure(models_folder(arguments.models), [CONFIGS[name] for name in names]))
    except TensawError as error:
        parser.exit(2, f"{error}\n")
    if arguments.output is None:
        print(text, end="")
    else:
        arguments.output.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
