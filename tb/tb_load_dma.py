"""The LOAD unit: strided rows and fills into the scratchpad, byte for byte, nothing around them."""

from __future__ import annotations

import numpy as np
from common.bench import Bench, testcase
from common.commands import Registers, registers_of, words_of_run
from common.coverage import Cover
from common.managers import ReadManagerModel, far_origin, from_origin
from common.pauses import STYLES, make_pace
from common.scratchpad import PadWrites
from common.streams import Source
from common.tokens import UnitTokens
from common.transfer_checks import ERRORS, check_errors, check_large_runs
from common.transfers import BYTES, random_transfer, row_bytes

from tensaw.model.machine_memory import Region, load
from tensaw.spec.isa import Unit

COVER = Cover("load_dma")
cover_row = COVER.cross("row", BYTES, ("transfer", "fill"))
cover_shape = COVER.cross("shape", ("1 row", "rows"), ("1 plane", "planes"))
cover_alignment = COVER.cross("alignment", ("memory aligned", "memory not"), ("scratchpad aligned", "scratchpad not"))
cover_edge = COVER.point("reaches", ("start of region", "end of region", "start of scratchpad", "end of scratchpad"))
cover_stall = COVER.cross("stall", ("requests", "data", "scratchpad"), STYLES)
cover_large = COVER.point("large run", ("goes on", "ILLEGAL_VALUE", "OUTSIDE_REGION"))
MEMORY_ERRORS = ("READ_SLVERR", "READ_DECERR")
cover_error = COVER.point("error", (*ERRORS, *MEMORY_ERRORS))

SIZE = 1 << 13
IDLE, RUNNING, TOKENS, BUS = 0, 1, 2, 6


class LoadBench(Bench):
    """Plays sequencer, tokens, read manager and scratchpad. When tokens are given, the whole scratchpad is compared
    with what the golden model made of it: rows in place, every byte beside them as before, but for those of the next
    run, which may already be under way. Each time that progress counts lines, so are the planes that they are."""

    def prepare(self) -> None:
        self.memory = self.bytes(self.config.scratchpad_bytes)
        self.golden = self.memory.copy()
        self.regions = [self.bytes(SIZE) for _ in range(4)]
        self.origin = far_origin(self, SIZE)
        self.runs: list[Registers] = []
        self.tags: list[int] = []
        self.broken = False
        """A run that ends in an error is among them: rows that came before it are anywhere."""
        self.compared = 0
        self.shown = 0, 0

    def begin(self, requests: str = "never", data: str = "never", scratchpad: str = "never") -> None:
        ports, rng = self.ports, self.rng
        self.tokens = UnitTokens(self, ports.tokens, self.pace("never", "often"))
        self.writes = PadWrites(self, ports.write, self.memory, make_pace(rng, scratchpad), self.check_write)
        self.manager = ReadManagerModel(
            self, ports.read, self.regions, make_pace(rng, requests), make_pace(rng, data), self.origin
        )
        self.words = Source(self, ports.words, self.pace("never", "rarely"))
        self.start_soon(self.compare())
        for part, style in (("requests", requests), ("data", data), ("scratchpad", scratchpad)):
            cover_stall((part, style))

    def check_write(self, address: int, content: np.ndarray) -> None:
        assert len(content), "a write of no bytes"
        assert address + len(content) <= len(self.memory), "a write beyond the scratchpad"

    def send(self, run: Registers) -> None:
        self.tokens.expect(run["RUN"]["wait"], run["RUN"]["signal"])
        self.words.send(*words_of_run(Unit.LOAD, from_origin(run, self.origin)))
        self.runs.append(run)
        self.tags.append(run["RUN"]["tag"])
        self.sample(run)

    def sample(self, run: Registers) -> None:
        count, beat = run["ROWS"]["bytes"], self.config.bus_bytes
        fill = run["RUN"]["fill"]
        cover_row((row_bytes(self, count), ("transfer", "fill")[fill]))
        cover_shape((("1 row", "rows")[run["ROWS"]["count"] > 1], ("1 plane", "planes")[run["PLANES"]["count"] > 1]))
        offset, address = run["MEMORY"]["offset"], run["SCRATCHPAD"]["address"]
        aligned = ("memory aligned", "memory not")[offset % beat > 0]
        if not fill:
            cover_alignment((aligned, ("scratchpad aligned", "scratchpad not")[address % self.config.word_bytes > 0]))
        last = {
            side: (run["PLANES"]["count"] - 1) * run["PLANE_PITCH"][side]
            + (run["ROWS"]["count"] - 1) * run["ROW_PITCH"][side] + count
            for side in ("memory", "scratchpad")
        }  # fmt: skip
        cover_edge("start of region" if not offset else None)
        cover_edge("end of region" if offset + last["memory"] == SIZE else None)
        cover_edge("start of scratchpad" if not address else None)
        cover_edge("end of scratchpad" if address + last["scratchpad"] == len(self.memory) else None)

    async def compare(self) -> None:
        """At each giving of tokens: the run's bytes can be read in the next cycle."""
        while True:
            await self.edge
            given = self.ports.tokens.give.get()
            if self.ports.busy.get() and not given and not self.ports.error.valid.get():
                tag = self.tags[self.compared]
                assert self.ports.tag.get() == tag, f"tag {self.ports.tag.get()} of the run with tag {tag}"
            if given:
                run = self.runs[self.compared]
                self.execute(self.golden, run)
                differs = self.memory != self.golden
                for later in self.runs[self.compared + 1 : self.compared + 2]:
                    differs[self.execute(self.golden.copy(), later)] = False
                wrong = np.flatnonzero(differs & (not self.broken))
                assert not len(wrong), f"run {self.compared}: byte {wrong[0]} of the scratchpad is wrong ({run})"
                self.compared += 1
            self.follow()

    def execute(self, scratchpad: np.ndarray, run: Registers) -> np.ndarray:
        """Addresses of all bytes that the golden model's run wrote."""
        footprint = load([Region(data) for data in self.regions], scratchpad, run)
        return np.concatenate([part.ravel() for part in footprint.scratchpad_writes])

    def follow(self) -> None:
        """Progress: in the cycle in which it counts lines, their plane can be read."""
        progress = self.ports.progress
        shown = progress.completed.get(), progress.rows.get()
        assert progress.last_tile.get()
        if shown == self.shown or not self.runs:
            return
        before, self.shown = self.shown, shown
        if shown[0] != before[0]:
            assert shown == ((before[0] + 1) % 256, 0), f"progress {shown} behind {before}"
            return
        # At most one run has ended without having given its tokens.
        number = self.compared + (shown[0] - self.compared) % 256
        run = self.runs[number]
        lines = run["RUN"]["lines"]
        planes = shown[1] // lines
        assert shown[1] == before[1] + lines, f"{before[1]} lines become {shown[1]} by planes of {lines}"
        begun = self.golden.copy()
        for earlier in self.runs[self.compared : number]:
            self.execute(begun, earlier)
        written = self.execute(begun, {**run, "PLANES": {"count": planes}})
        rest = self.execute(begun.copy(), run)[len(written) :]
        there = np.setdiff1d(written, rest)
        assert np.array_equal(self.memory[there], begun[there]), f"plane {planes} of {run} is counted too early"

    async def settled(self, limit: int = 30_000) -> None:
        await self.until(lambda: self.compared == len(self.runs), limit, "all runs")
        await self.clocks(10)
        self.tokens.finish()
        assert not self.ports.busy.get() and self.words.idle and self.manager.idle
        assert not self.ports.error.valid.get() and np.array_equal(self.memory, self.golden)


@testcase(LoadBench)
async def random_runs(bench: LoadBench) -> None:
    """Strided rows and fills of all alignments, with each neighbour pausing in each way."""
    for style in STYLES:
        for part in ("requests", "data", "scratchpad"):
            bench.begin(**{part: style})
            for _ in range(bench.count(5)):
                fill = bench.chance(0.3)
                bench.send(random_transfer(bench, Unit.LOAD, SIZE, overlap=bench.chance(0.2), fill=fill))
            await bench.settled()
            await bench.restart()


@testcase(LoadBench)
async def everything_stalls(bench: LoadBench) -> None:
    """Many runs with pauses everywhere."""
    bench.begin(*(bench.choose(*STYLES[1:]) for _ in range(3)))
    for _ in range(bench.count(25)):
        bench.send(random_transfer(bench, Unit.LOAD, SIZE, fill=bench.chance(0.2)))
    await bench.settled()


@testcase(LoadBench)
async def lines(bench: LoadBench) -> None:
    """Each plane counts its lines when it can be read, and the end of a run counts the run."""
    for style in STYLES:
        bench.begin(scratchpad=style)
        for _ in range(bench.count(6)):
            run = random_transfer(bench, Unit.LOAD, SIZE, fill=bench.chance(0.3))
            run["RUN"]["lines"] = bench.choose(1, 4095, bench.integers(1, 4095))
            bench.send(run)
        await bench.settled()
        assert bench.shown == (len(bench.runs) % 256, 0)
        await bench.restart()
    bench.begin()
    run = registers_of(Unit.LOAD, {"ROWS": {"bytes": 1, "count": 1}, "PLANES": {"count": 16}})
    run["RUN"] |= {"fill": 1, "lines": 4095}
    bench.send(run)  # all bits of the count of lines
    await bench.settled()
    await bench.restart()
    bench.begin()
    for _ in range(260):  # the count of runs goes round
        run = registers_of(Unit.LOAD, {
            "ROWS": {"bytes": 1, "count": 1}, "PLANES": {"count": 1}, "SCRATCHPAD": {"address": bench.integers(0, 999)},
        })  # fmt: skip
        run["RUN"] |= {"fill": 1, "lines": 1}
        bench.send(run)
    await bench.settled()
    assert bench.shown == (4, 0)


@testcase(LoadBench)
async def from_run_to_run(bench: LoadBench) -> None:
    """The bus does not rest between runs."""
    beat = bench.config.bus_bytes
    bench.begin()
    for number in range(5):
        bench.send(registers_of(Unit.LOAD, {
            "ROWS": {"bytes": 24 * beat, "count": 1}, "PLANES": {"count": 1},
            "MEMORY": {"offset": 24 * beat * number}, "SCRATCHPAD": {"address": 24 * beat * number % 512},
        }))  # fmt: skip
    await bench.settled()
    times = bench.manager.beat_times
    assert times[-1] - times[0] + 1 == len(times) == 120


@testcase(LoadBench)
async def speed(bench: LoadBench) -> None:
    """A beat a cycle, also over short rows; a fill a word a cycle."""
    beat, word = bench.config.bus_bytes, bench.config.word_bytes
    for rows, count in ((1, 64 * beat), (16, 4 * beat), (32, 2 * beat)):
        bench.begin()
        bench.send(registers_of(Unit.LOAD, {
            "ROWS": {"bytes": count, "count": rows}, "PLANES": {"count": 1},
            "ROW_PITCH": {"memory": count + 2 * beat, "scratchpad": count},
        }))  # fmt: skip
        await bench.settled()
        times = bench.manager.beat_times
        assert times[-1] - times[0] + 1 <= len(times) * 1.1 + 2, f"{times[-1] - times[0] + 1} cycles for {len(times)}"
        await bench.restart()
    bench.begin()
    run = registers_of(Unit.LOAD, {
        "SCRATCHPAD": {"address": 7}, "ROWS": {"bytes": 32 * word, "count": 2}, "PLANES": {"count": 1},
        "ROW_PITCH": {"memory": 0, "scratchpad": 32 * word}, "MEMORY": {"region": 7, "offset": (1 << 32) - 1},
    })  # fmt: skip
    run["RUN"] |= {"fill": 1, "value": 0x80}
    bench.send(run)
    await bench.settled()
    times = bench.writes.times
    assert len(times) == 64 and times[-1] - times[0] <= 72 and not bench.manager.requests


@testcase(LoadBench)
async def large_runs(bench: LoadBench) -> None:
    """What is asked of memory first by runs whose counts, pitches and places are anything that registers hold."""
    await check_large_runs(bench, Unit.LOAD, bench.ports.read.request, cover_large)


@testcase(LoadBench)
async def errors(bench: LoadBench) -> None:
    """Everything that can be wrong with a run, or with the memory, is reported with the run's tag, and what the memory
    says with its address; also while the runs before it are under way."""
    await check_errors(bench, Unit.LOAD, SIZE, MEMORY_ERRORS, 45, cover_error)


@testcase(LoadBench)
async def states(bench: LoadBench) -> None:
    """What it waits for: tokens, the bus, nothing."""
    for _ in range(bench.count(3)):
        bench.begin()
        bench.tokens.refuse = True
        ask, bench.manager.give = bench.manager.give, lambda: False
        run = random_transfer(bench, Unit.LOAD, SIZE)
        run["ROWS"]["count"] = 1
        seen = [bench.ports.state.get()]
        bench.send(run)
        await bench.clocks(40)
        seen.append(bench.ports.state.get())
        bench.tokens.refuse = False
        await bench.clocks(40)
        seen.append(bench.ports.state.get())
        bench.manager.give = ask
        await bench.settled()
        seen.append(bench.ports.state.get())
        assert seen == [IDLE, TOKENS, BUS, IDLE], f"states {seen}"
        await bench.restart()


@testcase(LoadBench)
async def halt_and_reset(bench: LoadBench) -> None:
    """While halted no run starts and no row is asked for; a reset ends a run at any time."""
    ports = bench.ports
    for number in range(bench.count(6)):
        bench.begin("never", bench.choose("never", "often"), "never")
        ports.halt.set(1)
        for _ in range(3):
            bench.send(random_transfer(bench, Unit.LOAD, SIZE))
        await bench.clocks(40)
        assert not bench.manager.requests and not bench.tokens.take_times and ports.busy.get()
        ports.halt.set(0)
        await bench.clocks(number + bench.integers(3, 40))
        ports.halt.set(1)
        await bench.clocks()
        asked = len(bench.manager.requests)
        await bench.clocks(25)
        assert len(bench.manager.requests) <= asked + 1
        await bench.restart()
        assert not ports.busy.get()
        bench.begin()
        bench.send(random_transfer(bench, Unit.LOAD, SIZE))
        await bench.settled()
        await bench.restart()
