"""Run control: reset, start, end and halt of a run, and its first error."""

from __future__ import annotations

from common.bench import Bench, testcase
from common.coverage import Cover

from tensaw.spec.isa import Unit
from tensaw.spec.registers import ErrorCode

SOURCES = {
    "fetch_error": 0,
    **{f"{unit.name.lower()}_error": int(unit) for unit in Unit},
    "token_error": int(Unit.CONTROL),
}
"""Who reports errors, and the unit that ERROR names for each; of simultaneous ones the earlier counts."""

STEADY = ("array_error", "output_error", "control_error", "token_error")
"""Those whose address stays until the reset."""

COVER = Cover("run_control")
cover_source = COVER.cross("error from", tuple(SOURCES), ("alone", "first of several"))
cover_end = COVER.point("run ends with", ("done", "error", "stop", "error and done at once", "error and stop at once"))
cover_ignored = COVER.point(
    "ignored", ("start in a run", "start in reset", "stop outside", "later error", "stop in halt")
)
cover_bus = COVER.point("halt waits for the bus", ("idle at once", "later"))


class ControlBench(Bench):
    """Leads the block through runs and checks what every output is in every phase."""

    def expect(self, **values: int) -> None:
        found = {name: getattr(self.ports, name).get() for name in values}
        assert found == values, f"{found} instead of {values}"

    async def pulse(self, name: str) -> None:
        port = getattr(self.ports, name)
        port.set(1)
        await self.clocks()
        port.set(0)

    async def begin(self) -> None:
        """A start: two cycles of reset, two for its way, the run's first. The bus is idle: the last run saw to it."""
        self.ports.bus_idle.set(1)
        await self.clocks()
        self.expect(core_reset=0, start=0, halt=1, running=0, busy=0, finished=0, failed=0)
        await self.pulse("start_request")
        for cycle in range(4):
            if cycle == 1 and self.chance(0.5):
                self.ports.start_request.set(1)
                cover_ignored("start in reset")
            await self.clocks()
            self.ports.start_request.set(0)
            reset = int(cycle < 2)
            self.expect(core_reset=reset, start=0, halt=1, running=0, busy=1)
            if cycle:
                self.expect(code=0, unit=0, tag=0, address=0)
        await self.clocks()
        self.expect(core_reset=0, start=1, halt=0, running=1, busy=1, finished=0)
        for _ in range(self.integers(1, 5)):
            await self.clocks()
            self.expect(core_reset=0, start=0, halt=0, running=1, busy=1, finished=0, failed=0)

    async def until_failed(self) -> None:
        """In a halt: running until the bus is idle, for some cycles at least."""
        ports = self.ports
        later = self.chance(0.5)
        ports.bus_idle.set(int(not later))
        cover_bus("later" if later else "idle at once")
        for _ in range(self.integers(9, 20) if later else 0):
            await self.clocks()
            self.expect(halt=1, running=1, busy=1, failed=0, core_reset=0)
            if self.chance(0.3):
                ports.stop_request.set(1)
                cover_ignored("stop in halt")
        ports.stop_request.set(0)
        ports.bus_idle.set(1)
        for _ in range(12):
            await self.clocks()
            if ports.failed.get():
                break
            self.expect(halt=1, running=1, busy=1)
        self.expect(failed=1, halt=1, running=1)
        await self.clocks()
        self.expect(failed=0, halt=1, running=0, busy=0, core_reset=0)

    def report(self, name: str, valid: int = 1, values: tuple[int, int, int] | None = None) -> tuple[int, int, int]:
        port = getattr(self.ports, name)
        values = values or (
            self.integers(1, 255),
            self.integers(0, 0xFFFF),
            int.from_bytes(self.rng.bytes(8), "little"),
        )
        port.valid.set(valid)
        for member, value in zip((port.code, port.tag, port.address), values, strict=True):
            member.set(value)
        return values

    def clear(self) -> None:
        for name in SOURCES:
            getattr(self.ports, name).valid.set(0)


@testcase(ControlBench)
async def good_runs(bench: ControlBench) -> None:
    """Reset, start, done; requests that come at the wrong time change nothing."""
    for _ in range(bench.count(6)):
        await bench.begin()
        await bench.pulse("start_request")
        cover_ignored("start in a run")
        await bench.clocks(3)
        bench.expect(running=1, core_reset=0, halt=0)
        bench.ports.done.set(1)
        await bench.clocks()
        bench.expect(finished=0, running=1)
        await bench.clocks()
        bench.expect(finished=1, failed=0)
        bench.ports.done.set(bench.integers(0, 1))
        await bench.clocks()
        bench.expect(finished=0, running=0, busy=0, halt=1, code=0)
        bench.ports.done.set(0)
        await bench.pulse("stop_request")
        cover_ignored("stop outside")
        cover_end("done")


@testcase(ControlBench)
async def errors(bench: ControlBench) -> None:
    """Each reporter's error ends the run at once and is kept; later ones, and those of lower rank, are not."""
    names = list(SOURCES)
    for rank, name in enumerate(names):
        values = bench.integers(1, 254), bench.integers(0, 0xFFFF), int.from_bytes(bench.rng.bytes(8), "little")
        for others in (False, True):
            await bench.begin()
            code, tag, address = bench.report(name, values=values)
            values = code ^ 0xFF, tag ^ 0xFFFF, address ^ (1 << 64) - 1  # so that each bit is seen both ways
            if others:
                for other in names[rank + 1 :]:
                    bench.report(other, bench.integers(0, 1) if other != names[-1] else 1)
            end = bench.choose("error", "error and done at once", "error and stop at once")
            bench.ports.done.set(int("done" in end))
            bench.ports.stop_request.set(int("stop" in end))
            await bench.clocks()
            bench.expect(finished=0)
            bench.ports.done.set(0)
            bench.ports.stop_request.set(0)
            await bench.clocks()
            bench.expect(finished=0, halt=0)
            await bench.clocks()
            bench.expect(finished=0, halt=0)
            await bench.clocks()
            bench.expect(halt=1)
            bench.report(bench.choose(*(other for other in names if other != name or name not in STEADY)))
            cover_ignored("later error")
            await bench.until_failed()
            bench.expect(code=code, unit=SOURCES[name], tag=tag, address=address)
            cover_source((name, "first of several" if others else "alone"))
            cover_end(end)
            bench.clear()


@testcase(ControlBench)
async def stops(bench: ControlBench) -> None:
    """A stop halts the run, with the code STOPPED."""
    for _ in range(bench.count(4)):
        await bench.begin()
        await bench.pulse("stop_request")
        await bench.clocks(2)
        bench.expect(halt=0)
        await bench.clocks()
        bench.expect(halt=1)
        await bench.until_failed()
        bench.expect(code=ErrorCode.STOPPED, unit=0, tag=0, address=0)
        cover_end("stop")


@testcase(ControlBench)
async def reset_in_a_run(bench: ControlBench) -> None:
    """A reset of everything leads back to where no run is."""
    for phase in range(4):
        await bench.begin()
        if phase:
            bench.report("load_error")
            await bench.clocks(phase)
        await bench.restart()
        bench.expect(core_reset=0, start=0, halt=1, running=0, busy=0, finished=0, failed=0, code=0)
