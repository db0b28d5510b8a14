"""``python -m tensaw.bench.scaling``: reference networks on arrays of several sizes, beside what their tiles need."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tensaw.bench.estimating import estimate_run
from tensaw.bench.limits import tile_limit
from tensaw.bench.references import compile_reference, models_folder, simulate
from tensaw.spec.config import PRESETS, NpuConfig
from tensaw.spec.errors import TensawError

__all__ = ["NETWORKS", "SIZES", "Scaled", "main", "scaled"]

_BASE = PRESETS["base"]

SIZES: tuple[NpuConfig, ...] = (
    PRESETS["nano"],
    PRESETS["small"],
    _BASE.replace(name="r12c10", rows=12, columns=10, requant_lanes=10),
    _BASE.replace(name="r8c16", rows=8),
    _BASE,
    PRESETS["large"],
)
"""Arrays of 4×4, 8×8, 12×10, 8×16, 16×16 and 32×32."""
NETWORKS: tuple[tuple[str, bool], ...] = (("IC", True), ("VWW", True), ("VWW", False))
"""Reference networks, and whether without the channels that need not be computed."""


@dataclass(frozen=True)
class Scaled:
    """A network's ``cycles`` on a configuration, and what its tiles need (:func:`tensaw.bench.limits.tile_limit`)."""

    config: NpuConfig
    network: str
    cycles: int
    limit: int

    @property
    def ratio(self) -> float:
        return self.cycles / self.limit


def scaled(folder: Path, config: NpuConfig, network: str, remove_channels: bool, estimate: bool = False) -> Scaled:
    """Measure on the RTL in Verilator, or by the cycle model. Raises TensawError."""
    program = compile_reference(folder, network, config, remove_channels)
    result = estimate_run(program) if estimate else simulate(program)
    name = network if remove_channels else f"{network}, all channels"
    return Scaled(config, name, result.cycles, tile_limit(program))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tensaw.bench.scaling", description=__doc__)
    parser.add_argument("--models", type=Path, metavar="DIR", help="folder of the reference networks")
    parser.add_argument("--estimate", action="store_true", help="by the cycle model instead of the RTL")
    arguments = parser.parse_args(argv)
    print("| configuration | array | network | cycles | limit of the tiles | ratio |")
    print("|---|---|---|---:|---:|---:|")
    try:
        folder = models_folder(arguments.models)
        for config in SIZES:
            for network, remove_channels in NETWORKS:
                item = scaled(folder, config, network, remove_channels, arguments.estimate)
                print(
                    f"| {config.name} | {config.rows}×{config.columns} | {item.network} | {item.cycles:,} "
                    f"| {item.limit:,} | {item.ratio:.2f} |",
                    flush=True,
                )
    except TensawError as error:
        parser.exit(2, f"{error}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
