"""The performance counters: each event counted once, while a run is on."""

from __future__ import annotations

import numpy as np
from common.bench import Bench, testcase
from common.counting import ROUND, set_counters
from common.coverage import Cover

from tensaw.spec.registers import COUNTERS

COVER = Cover("counters")
cover_event = COVER.cross("event", tuple(name for name, _ in COUNTERS), ("alone", "with all"))
cover_phase = COVER.cross("phase", ("running", "not running"), ("cleared", "not cleared"))


class CountersBench(Bench):
    """Numbers beside the block, which are as they will be when all that was told is counted."""

    def prepare(self) -> None:
        self.values = [0] * len(COUNTERS)
        self.step = [self.config.bus_bytes if name.startswith("BYTES") else 1 for name, _ in COUNTERS]
        self.history: list[list[int]] = []

    async def cycle_of(self, events: np.ndarray, running: bool, clear: bool) -> None:
        ports = self.ports
        ports.running.set(int(running))
        ports.clear.set(int(clear))
        names = [name.lower() for name, _ in COUNTERS]
        ports.events.set({name: int(hit) for name, hit in zip(names[1:], events[1:], strict=True)})
        await self.clocks()
        # An event counts in the next cycle, unless that clears.
        self.history.append(list(self.values))
        if clear:
            self.values = [0] * len(COUNTERS)
        hits = [index == 0 or bool(hit) for index, hit in enumerate(events)]
        if running:
            counted = zip(self.values, self.step, hits, strict=True)
            self.values = [(value + step * hit) % (1 << 64) for value, step, hit in counted]
        cover_phase((("not running", "running")[running], ("not cleared", "cleared")[clear]))

    async def half(self, index: int, upper: bool) -> int:
        """Read one half."""
        ports = self.ports
        ports.index.set(index)
        ports.upper.set(int(upper))
        ports.hide.set(1)
        ports.read.set(1)
        await self.clocks()
        ports.hide.set(0)
        ports.read.set(0)
        await self.clocks()
        assert ports.word.get() == 0, "what was known before is shown"
        await self.clocks(3)
        word = ports.word.get()
        self.randomise(ports.index)
        await self.clocks(self.integers(0, 5))
        assert ports.word.get() == word, "a word does not stay"
        return word

    async def check(self) -> None:
        """With nothing being counted: all halves in any order."""
        ports = self.ports
        ports.running.set(0)
        ports.clear.set(0)
        await self.clocks(2)
        for number in self.rng.permutation(2 * len(COUNTERS)).tolist():
            index, upper = divmod(number, 2)
            wanted = self.values[index] >> 32 * upper & 0xFFFFFFFF
            found = await self.half(index, bool(upper))
            assert found == wanted, f"{COUNTERS[index][0]}: {found:#x} instead of {wanted:#x}"
        ports.hide.set(1)
        await self.clocks()
        ports.hide.set(0)
        await self.clocks()
        assert ports.word.get() == 0


@testcase(CountersBench)
async def random_events(bench: CountersBench) -> None:
    """Any events at once, running or not, with a clear now and then."""
    rng = bench.rng
    running = True
    for _ in range(bench.count(12)):
        for _ in range(bench.integers(1, 70)):
            running ^= bench.chance(0.05)
            await bench.cycle_of(rng.random(len(COUNTERS)) < 0.5, running, bench.chance(0.02))
        await bench.check()


@testcase(CountersBench)
async def one_by_one(bench: CountersBench) -> None:
    """Each event moves its own counter and no other."""
    nothing = np.zeros(len(COUNTERS), bool)
    for number, (name, _) in enumerate(COUNTERS):
        events = nothing.copy()
        events[number] = True
        for _ in range(number + 2):
            await bench.cycle_of(events, True, False)
        await bench.check()
        cover_event((name, "alone"))
    for _ in range(5):
        await bench.cycle_of(~nothing, True, False)
    await bench.check()
    for name, _ in COUNTERS:
        cover_event((name, "with all"))
    await bench.cycle_of(nothing, False, True)
    assert not any(bench.values)
    await bench.check()


@testcase(CountersBench)
async def a_clear_at_any_time(bench: CountersBench) -> None:
    """A clear of one cycle, whatever is being added then, leaves nothing of what was counted before."""
    everything = np.ones(len(COUNTERS), bool)
    for pause in range(2 * ROUND):
        for _ in range(3):
            await bench.cycle_of(everything, True, False)
        for _ in range(pause):
            await bench.cycle_of(everything, pause % 3 == 0, False)
        await bench.cycle_of(everything, False, True)
        assert not any(bench.values)
        await bench.check()


@testcase(CountersBench)
async def read_while_counting(bench: CountersBench) -> None:
    """What is read in a run is what was counted when it was asked for, or since; reads as often as they may come
    lose nothing."""
    everything = np.ones(len(COUNTERS), bool)
    ports = bench.ports
    for _ in range(bench.count(60)):
        index = bench.integers(0, len(COUNTERS) - 1)
        ports.index.set(index)
        ports.upper.set(0)
        ports.read.set(1)
        least = bench.history[-1][index] if bench.history else 0
        for _ in range(5):
            await bench.cycle_of(everything, True, False)
            ports.read.set(0)
        found = ports.word.get()
        assert least <= found <= bench.values[index], f"{found} where {least} to {bench.values[index]} are counted"
    await bench.check()


@testcase(CountersBench)
async def large_counts(bench: CountersBench) -> None:
    """Counters of any value count on, and are cleared; they are put there, as no simulation counts so far."""
    everything = np.ones(len(COUNTERS), bool)
    before: list[int] = []
    for number in range(bench.count(24)):
        ones = [(1 << bench.integers(1, 64)) - bench.integers(1, 3) for _ in COUNTERS]
        random = [int.from_bytes(bench.rng.bytes(8), "little") for _ in COUNTERS]
        # Each bit both ways, long carries, and any value.
        start = [~value for value in before] if number % 4 == 1 else random if number % 4 == 0 else ones
        before = start
        bench.ports.running.set(0)
        await set_counters(bench, bench.dut, [value % (1 << 64) for value in start])
        bench.values = [value % (1 << 64) // step * step for value, step in zip(start, bench.step, strict=True)]
        await bench.check()
        for _ in range(4):
            await bench.cycle_of(bench.rng.random(len(COUNTERS)) < 0.7, True, False)
        await bench.check()
        await bench.cycle_of(everything, bench.chance(0.5), True)
        await bench.check()


@testcase(CountersBench)
async def carries(bench: CountersBench) -> None:
    """Counts go on past the low bits; a long stretch adds up."""
    everything = np.ones(len(COUNTERS), bool)
    for _ in range(bench.count(1100)):
        await bench.cycle_of(everything, True, False)
    await bench.check()
