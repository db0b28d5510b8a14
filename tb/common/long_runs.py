"""Runs of the ARRAY unit with sizes, places and steps that need all bits of their fields: only their first positions
can be looked at, so only one loop is long, those inside it short."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile

from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import Mode

from .array_runs import Position, positions, random_run
from .bench import Bench
from .commands import Registers

__all__ = ["LOOPS", "edge_number", "first_positions", "long_run", "loops_of"]

LOOPS = {
    "tiles": 12, "rows": 16, "columns": 16, "block rows": 16, "block columns": 16, "y": 8, "x": 8, "chunks": 16,
    "decimation": 6,
}  # fmt: skip
"""Which loop of a run is long, and how many bits its length has."""


def loops_of(mode: Mode) -> dict[str, int]:
    """Those of a mode: chunks are CONV's, decimation DEPTHWISE's and PAIRS'."""
    by_channel = mode in (Mode.DEPTHWISE, Mode.PAIRS)
    unused = [loop for loop, used in (("chunks", mode == Mode.CONV), ("decimation", by_channel)) if not used]
    return {loop: bits for loop, bits in LOOPS.items() if loop not in unused}


def edge_number(bench: Bench, bits: int, low: int = 1, bit: int | None = None) -> int:
    """A number of so many bits, at least ``low``: often a power of two or close to one, where borrows and carries go
    far. ``bit``: which one."""
    near = (1 << (bench.integers(0, bits - 1) if bit is None else bit)) + bench.integers(-1, 4)
    if bit is not None:
        return min(max(low, near), (1 << bits) - 1)
    return min(max(low, bench.choose(near, near, near, bench.integers(0, (1 << bits) - 1))), (1 << bits) - 1)


def first_positions(config: NpuConfig, run: Registers, most: int) -> Iterator[Position]:
    """The first positions of a run, up to ``most``: those that have a place in the accumulators, at coordinates that
    hardware counts (bytes of a row in 26 bits, rows in 18)."""
    legal = takewhile(
        lambda at: -(1 << 25) <= at.x < 1 << 25 and -(1 << 17) <= at.y < 1 << 17
        and (not at.keep or at.index < config.acc_half),
        positions(config, run),
    )  # fmt: skip
    return (position for position, _ in zip(legal, range(most), strict=False))


def long_run(bench: Bench, mode: Mode, loop: str, bit: int | None = None) -> Registers:
    """A run with one long loop of ``LOOPS``, anywhere in an image of any size. ``bit``: the loop is about as long as
    two to this power."""
    bits = LOOPS[loop]
    run = random_run(bench, mode, height=bench.integers(1, 2), width=bench.integers(1, 3), tiles=bench.integers(1, 2))
    run["KERNEL_Y"]["steps"], run["KERNEL_X"]["steps"] = bench.integers(1, 2), bench.integers(1, 2)
    run["KERNEL_X"]["chunks"] = bench.integers(1, 2) if mode == Mode.CONV else 1
    if loop not in ("decimation", "columns", "block columns"):
        run["STEP"]["decimation"] = 1 if mode in (Mode.CONV, Mode.POOL) else bench.integers(1, 2)
    out, block = run["OUT"], run["BLOCK"]
    if loop in ("tiles", "y", "x", "chunks") and bench.chance(0.7):  # short inside, so that their end comes soon
        for name in ("KERNEL_Y", "KERNEL_X"):
            run[name]["steps"] = 1
        run["KERNEL_X"]["chunks"] = out["height"] = out["width"] = 1
    if loop == "tiles":
        run["TILES"]["count"] = edge_number(bench, bits, bit=bit)
    elif loop == "rows":
        out["height"], block["height"] = edge_number(bench, bits, bit=bit), bench.integers(1, 2)
    elif loop == "columns":
        out["width"], block["width"] = edge_number(bench, bits, bit=bit), bench.integers(1, 2)
    elif loop == "block rows":  # such a block may be larger than a half
        out["height"], block["height"] = edge_number(bench, bits), edge_number(bench, bits, bit=bit)
    elif loop == "block columns":
        out["width"], block["width"] = edge_number(bench, bits), edge_number(bench, bits, bit=bit)
    elif loop in ("y", "x"):
        run[f"KERNEL_{loop.upper()}"]["steps"] = edge_number(bench, bits, bit=bit)
    elif loop == "chunks":
        run["KERNEL_X"]["chunks"] = edge_number(bench, bits, bit=bit)
    else:  # registers hold up to three less
        run["STEP"]["decimation"] = edge_number(bench, bits, bit=bit) | bench.choose(0, 3)
    _place_anywhere(bench, run, mode)
    run["STEP"]["join"] = 0  # rows may not share what is no padding
    return run


def _place_anywhere(bench: Bench, run: Registers, mode: Mode) -> None:
    """Addresses, coordinates and steps of any size; the image's corner is often close."""
    config, integers = bench.config, bench.integers
    word, groups = config.word_bytes, run["RUN"]["groups"]
    by_channel = mode in (Mode.DEPTHWISE, Mode.PAIRS)
    unit = word if by_channel else 1
    run["INPUT"]["base"] = integers(0, (1 << 24) // unit - 1) * unit
    if by_channel:
        # Words of up to three rows lie in different banks.
        run["INPUT"]["pitch"] += 8 * word * integers(0, ((1 << 21) - run["INPUT"]["pitch"]) // (8 * word) - 1)
        rows = run["KERNEL_Y"]["group_rows"] = integers(0, 255) if groups < 2 else 1 + 4 * integers(0, 1)
        run["KERNEL_Y"]["group_pitch"] = rows * run["INPUT"]["pitch"] % (1 << 24)
    else:
        run["INPUT"]["pitch"] = integers(0, (1 << 24) - 1)
    if mode == Mode.PAIRS:
        run["STEP"]["position"] += 16 * word * integers(0, ((1 << 20) - run["STEP"]["position"]) // (16 * word) - 1)
    else:
        run["STEP"]["position"] = bench.choose(run["STEP"]["position"], edge_number(bench, 20, 0) // unit * unit)
    window = run["WINDOW"]
    window["height"], window["row_bytes"] = edge_number(bench, 16, 0), edge_number(bench, 24, 0)
    near = integers(-3, 3)
    run["ORIGIN"]["y"] = bench.choose(
        near, min(window["height"] + near, (1 << 15) - 1), integers(-1 << 15, (1 << 15) - 1)
    )
    near = integers(-2 * word, 2 * word) // unit * unit
    x = bench.choose(near, window["row_bytes"] + near, integers(-1 << 23, (1 << 23) - 1) // unit * unit)
    run["ORIGIN"]["x"] = min(x, (1 << 23) - 1) // unit * unit
    run["STEP"]["row"], run["KERNEL_Y"]["rows"] = integers(0, 255), integers(0, 255)
    run["KERNEL_X"]["bytes"] = edge_number(bench, 20, 0) // unit * unit
    run["TILES"]["input_step"] = integers(0, (1 << 24) // unit - 1) * unit
