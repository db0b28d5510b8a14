"""The weight buffer: bytes in, rows out, in order, around the end of the ring and back."""

from __future__ import annotations

import numpy as np
from common.bench import Bench, testcase
from common.coverage import Cover

COVER = Cover("weight_ring")
cover_level = COVER.point("level", ("empty", "full", "between"))
cover_release = COVER.point("released at once", ("0", "1", "some", "all"))
cover_read = COVER.point("row read", ("oldest", "newest", "in the cycle it appeared", "between"))
cover_wrap = COVER.point("wraps", ("write", "read", "tail"))
cover_together = COVER.point("in one cycle", ("write and release", "read and release", "write, read and release"))


class RingBench(Bench):
    """A list of rows beside the block. Writes keep to ``space`` of a cycle ago, reads and releases to ``available``."""

    def prepare(self) -> None:
        config = self.config
        self.rows = config.weight_rows
        self.content = self.bytes(4 * config.weight_bytes * self.effort + 4096)
        self.written = 0
        """Bytes taken."""
        self.tail = 0
        self.before = 0
        self.room = 0
        """Beats for which there was room a cycle ago: a writer hears of freed rows so late."""
        self.pending: list[np.ndarray | None] = [None, None]

    @property
    def row_bytes(self) -> int:
        return self.config.weight_row_bytes

    def row(self, number: int) -> np.ndarray:
        start = number * self.row_bytes
        return self.content[start : start + self.row_bytes]

    async def cycle_of(self, writing: float, reading: float, releasing: float, at_once: int = 1) -> None:
        """One cycle: perhaps a beat, perhaps a read of some row, perhaps a release."""
        ports, beat = self.ports, self.config.bus_bytes
        arrived = self.written // max(self.row_bytes, beat) * max(self.row_bytes, beat) // self.row_bytes
        held = arrived - self.tail
        assert ports.write.ready.get() == 1
        space = (self.config.weight_bytes - (self.written - self.tail * self.row_bytes)) // beat
        write = min(space, self.room) > 0 and self.chance(writing) and self.written + beat <= len(self.content)
        ports.write.valid.set(int(write))
        content = self.content[self.written : self.written + beat] if write else self.bytes(beat)
        ports.write.payload.set_bits(int.from_bytes(content.tobytes(), "little"))
        read = held > 0 and self.chance(reading)
        place = self.choose(0, held - 1, self.integers(0, max(held - 1, 0)))
        ports.read_enable.set(int(read))
        if read:
            ports.read_row.set(place)
        else:
            self.randomise(ports.read_row)
        release = min(held, self.integers(1, at_once)) if self.chance(releasing) else 0
        ports.release.set(release)
        await self.clocks()
        # Of this cycle: what is held and, of the request two cycles ago, the data.
        assert ports.available.get() == held, f"available {ports.available.get()} instead of {held}"
        assert ports.space.get() == min(space, 0xFFFF), f"space {ports.space.get()} instead of {space}"
        wanted = self.pending.pop(0)
        if wanted is not None:
            found = np.frombuffer(ports.read_data.bits().to_bytes(self.row_bytes, "little"), np.uint8)
            assert np.array_equal(found, wanted), f"row {found} instead of {wanted}"
        self.pending.append(self.row(self.tail + place) if read else None)
        self.sample(held, space, write, read, place, release)
        self.before = held
        self.room = space - write
        self.written += beat * write
        self.tail += release

    def sample(self, held: int, space: int, write: bool, read: bool, place: int, release: int) -> None:
        cover_level("empty" if self.written == self.tail * self.row_bytes else "full" if not space else "between")
        cover_release("0" if not release else "all" if release == held > 1 else "1" if release == 1 else "some")
        if read:
            fresh = place >= self.before
            name = "oldest" if place == 0 else "newest" if place == held - 1 else "between"
            cover_read("in the cycle it appeared" if fresh else name)
        if write and read and release:
            cover_together("write, read and release")
        elif release and (write or read):
            cover_together("write and release" if write else "read and release")
        ring = self.config.weight_bytes
        cover_wrap("write" if write and (self.written + self.config.bus_bytes) % ring == 0 else None)
        around = self.tail % self.rows
        cover_wrap("read" if read and around + place >= self.rows else None)
        cover_wrap("tail" if release and around + release >= self.rows else None)


@testcase(RingBench)
async def random_traffic(bench: RingBench) -> None:
    """Everything at once, at rates at which the ring is sometimes full and sometimes empty."""
    for _ in range(bench.count(12)):
        rates = bench.choose((1.0, 0.6, 0.1), (0.3, 0.6, 0.9), (0.8, 0.9, 0.6), (1.0, 1.0, 1.0))
        for _ in range(120):
            await bench.cycle_of(*rates, at_once=bench.choose(1, 1, 3, bench.rows))


@testcase(RingBench)
async def full_and_around(bench: RingBench) -> None:
    """Filled to the last byte, emptied, and so on until writes, reads and the tail have passed the end."""
    for _ in range(3):
        while (bench.config.weight_bytes - (bench.written - bench.tail * bench.row_bytes)) >= bench.config.bus_bytes:
            await bench.cycle_of(1.0, 0.3, 0.0)
        cover_level("full")
        for _ in range(40):
            await bench.cycle_of(0.2, 1.0, 0.5, at_once=1)
        for _ in range(200):
            if bench.tail * bench.row_bytes == bench.written:
                break
            await bench.cycle_of(0.0, 1.0, 1.0, at_once=bench.rows // 3)
    if bench.rows < 400:
        for _ in range(2 * bench.rows):  # a row out for each one in, all the way around
            await bench.cycle_of(1.0, 1.0, 1.0, at_once=max(1, bench.config.bus_bytes // bench.row_bytes))


@testcase(RingBench)
async def reset_empties_it(bench: RingBench) -> None:
    """After a reset the ring is empty, and what was half written is forgotten."""
    for _ in range(bench.count(5)):
        for _ in range(bench.integers(1, 20)):
            await bench.cycle_of(0.8, 0.5, 0.3)
        await bench.restart()
        for _ in range(20):
            await bench.cycle_of(0.8, 0.8, 0.3)
        await bench.restart()
