"""The performance counters: each event counted once, while a run is on."""

from __future__ import annotations

import numpy as np
from common.bench import Bench, testcase
from common.coverage import Cover

from tensaw.spec.registers import COUNTERS

COVER = Cover("counters")
cover_event = COVER.cross("event", tuple(name for name, _ in COUNTERS), ("alone", "with all"))
cover_phase = COVER.cross("phase", ("running", "not running"), ("cleared", "not cleared"))


class CountersBench(Bench):
    """Numbers beside the block, which lag two cycles behind it."""

    def prepare(self) -> None:
        self.values = np.zeros(len(COUNTERS), np.int64)
        self.step = np.array([self.config.bus_bytes if name.startswith("BYTES") else 1 for name, _ in COUNTERS])
        self.registered = np.zeros(len(COUNTERS), bool)

    async def cycle_of(self, events: np.ndarray, running: bool, clear: bool) -> None:
        ports = self.ports
        ports.running.set(int(running))
        ports.clear.set(int(clear))
        names = [name.lower() for name, _ in COUNTERS]
        ports.events.set({name: int(hit) for name, hit in zip(names[1:], events[1:], strict=True)})
        await self.clocks()
        found = np.array(ports.values.get())
        assert np.array_equal(found, self.values), f"{found} instead of {self.values}"
        if clear:
            self.values[:] = 0
        else:
            self.values = self.values + self.step * self.registered
        events = events.copy()
        events[0] = True  # every cycle
        self.registered = events & running
        cover_phase((("not running", "running")[running], ("not cleared", "cleared")[clear]))


@testcase(CountersBench)
async def random_events(bench: CountersBench) -> None:
    """Any events at once, running or not, with a clear now and then."""
    rng = bench.rng
    running = True
    for _ in range(bench.count(400)):
        running ^= bench.chance(0.05)
        await bench.cycle_of(rng.random(len(COUNTERS)) < 0.5, running, bench.chance(0.02))


@testcase(CountersBench)
async def one_by_one(bench: CountersBench) -> None:
    """Each event moves its own counter and no other."""
    nothing = np.zeros(len(COUNTERS), bool)
    for number, (name, _) in enumerate(COUNTERS):
        events = nothing.copy()
        events[number] = True
        for _ in range(number + 2):
            await bench.cycle_of(events, True, False)
        cover_event((name, "alone"))
    for _ in range(5):
        await bench.cycle_of(~nothing, True, False)
    for name, _ in COUNTERS:
        cover_event((name, "with all"))
    await bench.cycle_of(nothing, False, False)
    await bench.cycle_of(nothing, False, False)
    await bench.cycle_of(nothing, False, True)
    await bench.cycle_of(nothing, False, False)
    assert not bench.values.any()


@testcase(CountersBench)
async def carries(bench: CountersBench) -> None:
    """Counts go on past the low bits; a long stretch adds up."""
    everything = np.ones(len(COUNTERS), bool)
    for _ in range(bench.count(520)):
        await bench.cycle_of(everything, True, False)
