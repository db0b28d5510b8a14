"""Random strided transfers between memory regions and the scratchpad."""

from __future__ import annotations

from tensaw.spec.isa import Unit

from .bench import Bench
from .commands import Registers, registers_of

__all__ = ["BYTES", "random_transfer", "row_bytes"]

BYTES = ("1", "less than a beat", "a beat", "a beat and one", "several beats")


def row_bytes(bench: Bench, count: int) -> str:
    """The bin of BYTES of a row's length."""
    beat = bench.config.bus_bytes
    if count == 1 or count == beat or count == beat + 1:
        return {1: "1", beat: "a beat", beat + 1: "a beat and one"}[count]
    return "less than a beat" if count < beat else "several beats"


def random_transfer(
    bench: Bench, unit: Unit, size: int, tag: int = 0, *, overlap: bool = False, fill: bool = False
) -> Registers:
    """A legal LOAD or STORE within regions of ``size`` bytes, often at the very ends of region and scratchpad.

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
    run: dict[str, int] = {"tag": tag, "wait": integers(0, 15), "signal": integers(0, 15)}
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
