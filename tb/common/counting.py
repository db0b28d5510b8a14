"""The counters' state, for benches that want values which no simulation counts to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tensaw.spec.registers import COUNTERS

if TYPE_CHECKING:
    from .bench import Bench

__all__ = ["ROUND", "set_counters"]

ROUND = 2 * len(COUNTERS)
"""Cycles in which each counter is visited once, if none is read."""


async def set_counters(bench: Bench, block: Any, values: list[int]) -> None:
    """Put all counters of the block, which must not be counting, to these values (bits below a step are dropped)."""
    await bench.clocks(ROUND + 2)  # so that the memory's rows are what counts
    if not int(block.adding.value):  # a visit begins, and will write the row that it has read
        await bench.clocks()
    steps = [bench.config.bus_bytes if name.startswith("BYTES") else 1 for name, _ in COUNTERS]
    for index, ((name, _), value, step) in enumerate(zip(COUNTERS, values, steps, strict=True)):
        low = getattr(block, name.lower())
        low.value = value // step % (1 << len(low))
        block.totals[index].value = value // step * step
    await bench.clocks()
