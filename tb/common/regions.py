"""Memory windows as the bus blocks see them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tensaw.spec.registers import ErrorCode

from .bench import Bench

__all__ = ["LargeAccess", "Window", "anywhere", "large_access", "random_access", "set_windows", "splits"]


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


@dataclass(frozen=True)
class LargeAccess:
    """An access, the windows that it is to (one of which is not empty), and whether it ends a byte ``beyond`` that."""

    region: int
    offset: int
    count: int
    windows: list[Window]
    beyond: bool
    space: int

    @property
    def address(self) -> int:
        """Of its first byte on the bus."""
        return (self.windows[self.region].base + self.offset) % self.space

    def check(self, bench: Bench, taken: list[tuple[int, int]], error: tuple[int, int] | None) -> None:
        """Compare the first bursts, as (address, beats), and the error, as (code, address)."""
        base = self.windows[self.region].base
        first = [] if self.beyond else splits(bench, base, self.offset, self.count, len(taken) or 1)
        assert taken == first, f"{taken} instead of {first} for {self}"
        assert self.beyond or len(taken) > 3 or taken == splits(bench, base, self.offset, self.count), (
            f"{taken}: {self}"
        )
        refused = (ErrorCode.OUTSIDE_REGION, self.address) if self.beyond else None
        assert error == refused, f"{error} instead of {refused} for {self}"


def large_access(bench: Bench, turn: int) -> LargeAccess:
    """An access of any size, up to the last byte of a window of any size at any place, or a byte further: in ``turn``
    after turn of every power of two."""
    integers, space = bench.integers, 1 << bench.config.address_width
    power, beyond, region = 4 + turn // 2 % 25, turn % 2, integers(0, 3)
    size = min((1 << max(13, power + 1)) + integers(0, (1 << integers(14, 32)) - 1), (1 << 32) - 16)
    windows = [Window(0, 0) for _ in range(4)]
    windows[region] = Window(integers(0, (space - size) // 16) * 16, size)
    count = min((1 << power) + integers(-15, 64), (1 << 28) - 1)
    return LargeAccess(region, size - count + beyond, count, windows, bool(beyond), space)


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
