"""Memory windows as the bus blocks see them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .bench import Bench

__all__ = ["Window", "anywhere", "random_access", "set_windows", "splits"]


@dataclass(frozen=True)
class Window:
    """``base`` (a bus address, a multiple of 16), ``size`` in bytes, and what is allowed."""

    base: int
    size: int
    read: int = 1
    write: int = 1


def anywhere(bench: Bench, size: int) -> int:
    """A bus address for a memory of so many bytes, a multiple of 4 KiB: each test has its own, so that all bits of
    addresses are used. It takes nothing from the test's other randomness."""
    own = np.random.default_rng(int(bench.rng.bit_generator.state["state"]["state"]) & 0xFFFFFFFF)
    return int(own.integers(((1 << bench.config.address_width) - size) // 4096 + 1)) * 4096


def set_windows(port: Any, windows: list[Window]) -> None:
    """Drive a port of regions_layout."""
    port.set([{"base": w.base, "size": w.size, "read": w.read, "write": w.write} for w in windows])


def random_access(bench: Bench, window: Window, longest: int = 600) -> tuple[int, int]:
    """Offset and bytes of an access inside a window: anywhere, at its ends, or around a multiple of 4 KiB."""
    integers, beat = bench.integers, bench.config.bus_bytes
    burst = beat * bench.config.burst_beats
    count = bench.choose(1, beat, beat + 1, integers(1, 4 * beat), burst, burst + 1, integers(1, longest))
    count = min(count, window.size)
    room = window.size - count
    offset = bench.choose(0, room, integers(0, room))
    if bench.chance(0.4):  # the access begins, ends or goes on a little around a page's end
        page = (window.base + integers(0, window.size)) // 4096 * 4096 - window.base
        offset = max(0, min(room, page - bench.choose(0, 1, beat, count, count + 1, integers(0, count))))
    return offset, count


def splits(bench: Bench, base: int, offset: int, count: int, most_bursts: int | None = None) -> list[tuple[int, int]]:
    """The bursts of an access, or the first of them, as (address of the first beat, beats): as long as allowed, none
    across 4 KiB."""
    beat, most = bench.config.bus_bytes, bench.config.burst_beats
    first, last = (base + offset) // beat, (base + offset + count - 1) // beat
    bursts = []
    while first <= last and (most_bursts is None or len(bursts) < most_bursts):
        beats = min(last - first + 1, most, 4096 // beat - first % (4096 // beat))
        bursts.append((first * beat, beats))
        first += beats
    return bursts
