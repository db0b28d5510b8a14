"""``python -m tensaw.bench.track``: the reference networks' cycles against those kept in docs/cycles.json.

``--update`` writes the file anew; a change that makes a network faster updates it, one that makes it slower says why.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tensaw.bench.references import compile_reference, models_folder, simulate
from tensaw.spec.config import PRESETS, NpuConfig
from tensaw.spec.errors import InputError, TensawError
from tensaw.spec.program import Program

__all__ = ["TOLERANCE", "TRACKED", "Tracked", "count", "judge", "main", "read_counts"]

TOLERANCE = 0.01
"""Part by which a count may differ from the one that is kept."""


@dataclass(frozen=True)
class Tracked:
    """A network on a configuration whose cycles are kept, under ``key``; with ``remove_channels`` without those that
    need not be computed."""

    key: str
    network: str
    config: NpuConfig
    remove_channels: bool = True


_WIDE = PRESETS["base"].replace(name="base16", bus_bytes=16)

TRACKED: tuple[Tracked, ...] = (
    *(Tracked(f"{network} base", network, PRESETS["base"]) for network in ("IC", "KWS", "VWW", "AD")),
    Tracked("VWW base, all channels", "VWW", PRESETS["base"], remove_channels=False),
    Tracked("AD base, 16-byte bus", "AD", _WIDE),
)
"""All with a memory that answers reads after 32 and writes after 8 cycles."""

_DEFAULT = Path("docs/cycles.json")


def count(tracked: Tracked, folder: Path, cycles_of: Callable[[Program], int] | None = None) -> int:
    """Cycles now, on the RTL or by ``cycles_of``. Raises TensawError."""
    program = compile_reference(folder, tracked.network, tracked.config, tracked.remove_channels)
    return simulate(program).cycles if cycles_of is None else cycles_of(program)


def read_counts(path: Path) -> dict[str, int]:
    """What the file keeps. Raises InputError."""
    try:
        values = json.loads(path.read_text("utf-8"))["cycles"]
        return {str(key): int(value) for key, value in values.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"The tracked cycle counts {str(path)!r} cannot be read ({error}). Run the command from the repository, or "
            "write them anew with `python -m tensaw.bench.track --update`."
        ) from None


def judge(key: str, kept: Mapping[str, int], now: int) -> str:
    """A sentence if a count is not what is kept, else nothing."""
    if key not in kept:
        return f"{key}: {now:,} cycles, which docs/cycles.json does not know."
    change = now - kept[key]
    if abs(change) <= TOLERANCE * kept[key]:
        return ""
    verb = "grew" if change > 0 else "shrank"
    return f"{key}: cycles {verb} by {abs(change) / kept[key]:.1%}, from {kept[key]:,} to {now:,}."


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 1 if a count differs."""
    parser = argparse.ArgumentParser(prog="python -m tensaw.bench.track", description=__doc__)
    parser.add_argument("--update", action="store_true", help="write the file anew")
    parser.add_argument("--models", type=Path, metavar="DIR", help="folder of the reference networks")
    parser.add_argument("--file", type=Path, default=_DEFAULT, metavar="FILE", help=f"default: {_DEFAULT}")
    arguments = parser.parse_args(argv)
    try:
        folder = models_folder(arguments.models)
        kept = {} if arguments.update else read_counts(arguments.file)
        found = {}
        for tracked in TRACKED:
            found[tracked.key] = count(tracked, folder)
            print(f"{tracked.key}: {found[tracked.key]:,} cycles", flush=True)
    except TensawError as error:
        parser.exit(2, f"{error}\n")
    if arguments.update:
        values = {"read_latency": 32, "write_latency": 8, "cycles": found}
        arguments.file.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
        return 0
    sentences = [sentence for key, now in found.items() if (sentence := judge(key, kept, now))]
    for sentence in sentences:
        print(f"{sentence} If that is meant, write the file anew with --update.", file=sys.stderr)
    return 1 if sentences else 0


if __name__ == "__main__":
    sys.exit(main())
