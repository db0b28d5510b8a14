"""The performance counters: each event counted once, while a run is on."""

from __future__ import annotations

import numpy as np
from cocotb.handle import Force, Release
from common.bench import Bench, testcase
from common.coverage import Cover

from tensaw.spec.registers import COUNTERS

COVER = Cover("counters")
cover_event = COVER.cross("event", tuple(name for name, _ in COUNTERS), ("alone", "with all"))
cover_phase = COVER.cross("phase", ("running", "not running"), ("cleared", "not cleared"))


class CountersBench(Bench):
    """Numbers beside the block, which lag two cycles behind it."""

    def prepare(self) -> None:
        self.values = [0] * len(COUNTERS)
        self.step = [self.config.bus_bytes if name.startswith("BYTES") else 1 for name, _ in COUNTERS]
        self.registered = np.zeros(len(COUNTERS), bool)

    async def cycle_of(self, events: np.ndarray, running: bool, clear: bool) -> None:
        ports = self.ports
        ports.running.set(int(running))
        ports.clear.set(int(clear))
        names = [name.lower() for name, _ in COUNTERS]
        ports.events.set({name: int(hit) for name, hit in zip(names[1:], events[1:], strict=True)})
        await self.clocks()
        found = list(ports.values.get())
        assert found == self.values, f"{found} instead of {self.values}"
        if clear:
            self.values = [0] * len(COUNTERS)
        else:
            counted = zip(self.values, self.step, self.registered, strict=True)
            self.values = [(value + step * int(hit)) % (1 << 64) for value, step, hit in counted]
        events = events.copy()
        events[0] = True  # every cycle
        self.registered = events & running
        cover_phase((("not running", "running")[running], ("not cleared", "cleared")[clear]))

    async def far(self, values: list[int]) -> None:
        """Put the counters to these values (what is below a counter's step does not count)."""
        registers = [getattr(self.dut, name.lower()) for name, _ in COUNTERS]
        wanted = [value % (1 << 64) // step for value, step in zip(values, self.step, strict=True)]
        for register, value in zip(registers, wanted, strict=True):
            register.value = Force(value)
        self.ports.running.set(1)
        self.ports.clear.set(0)
        self.ports.events.set({name.lower(): 1 for name, _ in COUNTERS[1:]})
        await self.clocks(3)
        for register in registers:
            register.value = Release()
        self.ports.running.set(0)
        await self.clocks(3)
        found = list(self.ports.values.get())
        # How far a register goes at its release depends on the simulator.
        for value, step, now, (name, _) in zip(wanted, self.step, found, COUNTERS, strict=True):
            assert (now - value * step) % (1 << 64) in [number * step for number in range(3)], f"{name} is {now}"
        self.values = found
        self.registered = np.zeros(len(COUNTERS), bool)


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
    assert not any(bench.values)


@testcase(CountersBench)
async def large_counts(bench: CountersBench) -> None:
    """Counters of any value count on, and are cleared; they get there by force, as no simulation counts so far."""
    everything = np.ones(len(COUNTERS), bool)
    before: list[int] = []
    for number in range(bench.count(48)):
        ones = [(1 << bench.integers(1, 64)) - bench.integers(1, 3) for _ in COUNTERS]
        random = [int.from_bytes(bench.rng.bytes(8), "little") for _ in COUNTERS]
        # Each bit both ways, long carries, and any value.
        start = [~value for value in before] if number % 4 == 1 else random if number % 4 == 0 else ones
        before = start
        await bench.far(start)
        for _ in range(4):
            await bench.cycle_of(bench.rng.random(len(COUNTERS)) < 0.7, True, False)
        await bench.cycle_of(everything, True, bench.chance(0.3))


@testcase(CountersBench)
async def carries(bench: CountersBench) -> None:
    """Counts go on past the low bits; a long stretch adds up."""
    everything = np.ones(len(COUNTERS), bool)
    for _ in range(bench.count(520)):
        await bench.cycle_of(everything, True, False)
