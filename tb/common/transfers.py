"""Random strided transfers between memory regions and the scratchpad."""

from __future__ import annotations

from collections.abc import Iterator

from tensaw.spec.isa import Unit

from .bench import Bench
from .commands import Registers, registers_of

__all__ = ["BYTES", "accesses", "large_transfer", "random_transfer", "row_bytes", "rows_of"]

BYTES = ("1", "less than a beat", "a beat", "a beat and one", "several beats")


def row_bytes(bench: Bench, count: int) -> str:
    """The bin of BYTES of a row's length."""
    beat = bench.config.bus_bytes
    if count == 1 or count == beat or count == beat + 1:
        return {1: "1", beat: "a beat", beat + 1: "a beat and one"}[count]
    return "less than a beat" if count < beat else "several beats"


def rows_of(run: Registers) -> Iterator[tuple[int, int, bool, bool]]:
    """All rows of a LOAD or STORE in their order: offset in memory, address in the scratchpad, whether it is the last
    one of its plane and of the transfer. Neither is cut to the bits that its register has."""
    rows, planes = run["ROWS"]["count"], run["PLANES"]["count"]
    for plane in range(planes):
        for row in range(rows):
            offset, address = (
                base + plane * run["PLANE_PITCH"][side] + row * run["ROW_PITCH"][side]
                for base, side in ((run["MEMORY"]["offset"], "memory"), (run["SCRATCHPAD"]["address"], "scratchpad"))
            )
            yield offset, address, row == rows - 1, row == rows - 1 and plane == planes - 1


def accesses(*runs: Registers) -> list[tuple[int, int]]:
    """Offset and bytes of all rows of some LOADs or STOREs, in their order."""
    return [(offset, run["ROWS"]["bytes"]) for run in runs for offset, *_ in rows_of(run)]


def large_transfer(bench: Bench, unit: Unit, turn: int) -> Registers:
    """A LOAD or STORE whose counts, pitches and places are anything that their registers hold, most often a power of
    two and a little, another one in each ``turn``: of several rows, some do not fit into the scratchpad or into 32 bits
    of offset."""
    integers, choose, pad = bench.integers, bench.choose, bench.config.scratchpad_bytes

    def number(bits: int, low: int = 0) -> int:
        few, power = integers(low, 3), 1 << 2 + (turn + bits) % (bits - 2)
        power = min(power + integers(0, 3), (1 << bits) - 1)
        return choose(few, few, power, power, integers(low, (1 << bits) - 1))

    count = min(choose(1, number(24, 1), integers(1, pad)), pad)
    memory = choose(integers(0, (1 << 32) - 1), (1 << 32) - number(31, 1), number(32))
    return registers_of(unit, {
        "MEMORY": {"region": integers(0, 7), "offset": memory},
        "SCRATCHPAD": {"address": choose(0, pad - count, integers(0, pad - count))},
        "ROWS": {"bytes": count, "count": number(16, 1)},
        "ROW_PITCH": {"memory": number(28), "scratchpad": choose(0, 0, 0, number(24))},
        "PLANES": {"count": number(16, 1)},
        "PLANE_PITCH": {"memory": number(28), "scratchpad": choose(0, 0, 0, number(24))},
        "RUN": {"tag": integers(0, 0xFFFF), "wait": integers(0, 15), "signal": integers(0, 15)},
    })  # fmt: skip


def random_transfer(
    bench: Bench, unit: Unit, size: int, tag: int | None = None, *, overlap: bool = False, fill: bool = False
) -> Registers:
    """A legal LOAD or STORE within regions of ``size`` bytes, often at the very ends of region and scratchpad; with any
    tag if none is given.

    With ``overlap`` rows may lie upon each other on the side that is written.
    """
    integers, choose, pad = bench.integers, bench.choose, bench.config.scratchpad_bytes
    beat, word = bench.config.bus_bytes, bench.config.word_bytes
    count = choose(1, integers(1, beat), beat, beat + 1, integers(1, 5 * beat), word, word + 1)
    rows, planes = choose(1, integers(1, 4)), choose(1, integers(1, 3))

    def pitches(room: int) -> tuple[int, int, int]:
        """Row pitch, plane pitch and the first byte, so that everything lies in ``room`` bytes."""
        row = count * (not overlap) + choose(0, integers(0, 2 * beat), beat)
        plane = (rows - 1) * row + count * (not overlap) + choose(0, integers(0, 3 * beat))
        extent = (planes - 1) * plane + (rows - 1) * row + count
        first = choose(0, room - extent, integers(0, room - extent))
        return row, plane, first

    row_memory, plane_memory, offset = pitches(size)
    row_pad, plane_pad, address = pitches(pad)
    run: dict[str, int] = {
        "tag": integers(0, 0xFFFF) if tag is None else tag,
        "wait": integers(0, 15),
        "signal": integers(0, 15),
    }
    if unit is Unit.LOAD:
        run |= {"fill": int(fill), "value": integers(0, 255)}
    return registers_of(unit, {
        "MEMORY": {"region": integers(0, 3), "offset": offset},
        "SCRATCHPAD": {"address": address},
        "ROWS": {"bytes": count, "count": rows},
        "ROW_PITCH": {"memory": row_memory, "scratchpad": row_pad},
        "PLANES": {"count": planes},
        "PLANE_PITCH": {"memory": plane_memory, "scratchpad": plane_pad},
        "RUN": run,
    })  # fmt: skip
