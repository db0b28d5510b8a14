"""The STORE unit: strided rows from the scratchpad to memory, byte for byte, nothing around them."""

from __future__ import annotations

import numpy as np
from common.bench import Bench, testcase
from common.commands import Registers, registers_of, words_of_run
from common.coverage import Cover
from common.managers import WriteManagerModel, far_origin, from_origin
from common.pauses import STYLES, make_pace
from common.scratchpad import PadReads
from common.streams import Source
from common.tokens import UnitTokens
from common.transfer_checks import ERRORS, check_errors, check_large_runs
from common.transfers import BYTES, random_transfer, row_bytes

from tensaw.model.machine_memory import Region, store
from tensaw.spec.isa import Unit

COVER = Cover("store_dma")
cover_row = COVER.point("row", BYTES)
cover_shape = COVER.cross("shape", ("1 row", "rows"), ("1 plane", "planes"))
cover_alignment = COVER.cross("alignment", ("memory aligned", "memory not"), ("scratchpad aligned", "scratchpad not"))
cover_edge = COVER.point("reaches", ("start of region", "end of region", "start of scratchpad", "end of scratchpad"))
cover_stall = COVER.cross("stall", ("requests", "data", "answers", "scratchpad"), STYLES)
cover_large = COVER.point("large run", ("goes on", "ILLEGAL_VALUE", "OUTSIDE_REGION"))
MEMORY_ERRORS = ("WRITE_SLVERR", "WRITE_DECERR")
cover_error = COVER.point("error", (*ERRORS, *MEMORY_ERRORS))

SIZE = 1 << 13
IDLE, RUNNING, TOKENS, BUS = 0, 1, 2, 6


class StoreBench(Bench):
    """Plays sequencer, tokens, write manager and scratchpad. When tokens are given, all regions are compared with what
    the golden model made of them: rows in place, every byte beside them as before."""

    def prepare(self) -> None:
        self.memory = self.bytes(self.config.scratchpad_bytes)
        self.regions = [self.bytes(SIZE) for _ in range(4)]
        self.origin = far_origin(self, SIZE)
        self.golden = [region.copy() for region in self.regions]
        self.runs: list[Registers] = []
        self.tags: list[int] = []
        self.compared = 0

    def begin(
        self, requests: str = "never", data: str = "never", answers: str = "never", scratchpad: str = "never"
    ) -> None:
        ports, rng = self.ports, self.rng
        self.tokens = UnitTokens(self, ports.tokens, self.pace("never", "often"))
        self.pad = PadReads(self, ports.read, self.memory, make_pace(rng, scratchpad))
        paces = (make_pace(rng, style) for style in (requests, data, answers))
        self.manager = WriteManagerModel(self, ports.write, self.regions, *paces, origin=self.origin)
        self.words = Source(self, ports.words, self.pace("never", "rarely"))
        self.start_soon(self.compare())
        for part, style in (("requests", requests), ("data", data), ("answers", answers), ("scratchpad", scratchpad)):
            cover_stall((part, style))

    def send(self, run: Registers) -> None:
        self.tokens.expect(run["RUN"]["wait"], run["RUN"]["signal"])
        self.words.send(*words_of_run(Unit.STORE, from_origin(run, self.origin)))
        self.runs.append(run)
        self.tags.append(run["RUN"]["tag"])
        self.sample(run)

    def sample(self, run: Registers) -> None:
        count, beat = run["ROWS"]["bytes"], self.config.bus_bytes
        cover_row(row_bytes(self, count))
        cover_shape((("1 row", "rows")[run["ROWS"]["count"] > 1], ("1 plane", "planes")[run["PLANES"]["count"] > 1]))
        offset, address = run["MEMORY"]["offset"], run["SCRATCHPAD"]["address"]
        aligned = ("memory aligned", "memory not")[offset % beat > 0]
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
        """Tokens are given when everything has been written and acknowledged."""
        while True:
            await self.edge
            given = self.ports.tokens.give.get()
            if self.ports.busy.get() and not given and not self.ports.error.valid.get():
                tag = self.tags[self.compared]
                assert self.ports.tag.get() == tag, f"tag {self.ports.tag.get()} of the run with tag {tag}"
            if given:
                assert self.manager.idle, "tokens given before the acknowledgement"
                run = self.runs[self.compared]
                store([Region(data) for data in self.golden], self.memory, run)
                for number, (found, wanted) in enumerate(zip(self.regions, self.golden, strict=True)):
                    wrong = np.flatnonzero(found != wanted)
                    assert not len(wrong), f"run {self.compared}: byte {wrong[0]} of region {number} is wrong ({run})"
                self.compared += 1

    async def settled(self, limit: int = 30_000) -> None:
        await self.until(lambda: self.compared == len(self.runs), limit, "all runs")
        await self.clocks(10)
        self.tokens.finish()
        assert not self.ports.busy.get() and self.words.idle and self.manager.idle
        assert not self.ports.error.valid.get()


@testcase(StoreBench)
async def random_runs(bench: StoreBench) -> None:
    """Strided rows of all alignments, with each neighbour pausing in each way."""
    for style in STYLES:
        for part in ("requests", "data", "answers", "scratchpad"):
            bench.begin(**{part: style})
            for _ in range(bench.count(4)):
                bench.send(random_transfer(bench, Unit.STORE, SIZE, overlap=bench.chance(0.2)))
            await bench.settled()
            await bench.restart()


@testcase(StoreBench)
async def everything_stalls(bench: StoreBench) -> None:
    """Many runs with pauses everywhere."""
    bench.begin(*(bench.choose(*STYLES[1:]) for _ in range(4)))
    for _ in range(bench.count(25)):
        bench.send(random_transfer(bench, Unit.STORE, SIZE))
    await bench.settled()


@testcase(StoreBench)
async def speed(bench: StoreBench) -> None:
    """A beat a cycle, also over short rows."""
    beat = bench.config.bus_bytes
    for rows, count in ((1, 64 * beat), (16, 4 * beat), (32, 2 * beat)):
        bench.begin()
        bench.send(registers_of(Unit.STORE, {
            "ROWS": {"bytes": count, "count": rows}, "PLANES": {"count": 1},
            "ROW_PITCH": {"memory": count + 2 * beat, "scratchpad": count},
        }))  # fmt: skip
        await bench.settled()
        times = bench.manager.beat_times
        assert times[-1] - times[0] + 1 <= len(times) * 1.1 + 2, f"{times[-1] - times[0] + 1} cycles for {len(times)}"
        await bench.restart()


@testcase(StoreBench)
async def large_runs(bench: StoreBench) -> None:
    """What is asked of memory first by runs whose counts, pitches and places are anything that registers hold."""
    await check_large_runs(bench, Unit.STORE, bench.ports.write.request, cover_large)


@testcase(StoreBench)
async def errors(bench: StoreBench) -> None:
    """Everything that can be wrong with a run, or with the memory, is reported with the run's tag, and what the memory
    says with its address; also while the runs before it are under way."""
    await check_errors(bench, Unit.STORE, SIZE, MEMORY_ERRORS, 24, cover_error)


@testcase(StoreBench)
async def states(bench: StoreBench) -> None:
    """What it waits for: tokens, the bus, nothing."""
    for _ in range(bench.count(3)):
        bench.begin()
        bench.tokens.refuse = True
        ask, bench.manager.take = bench.manager.take, lambda: False
        run = random_transfer(bench, Unit.STORE, SIZE)
        run["ROWS"]["count"] = 1
        seen = [bench.ports.state.get()]
        bench.send(run)
        await bench.clocks(40)
        seen.append(bench.ports.state.get())
        bench.tokens.refuse = False
        await bench.clocks(40)
        seen.append(bench.ports.state.get())
        bench.manager.take = ask
        await bench.settled()
        seen.append(bench.ports.state.get())
        assert seen == [IDLE, TOKENS, BUS, IDLE], f"states {seen}"
        await bench.restart()


@testcase(StoreBench)
async def halt_and_reset(bench: StoreBench) -> None:
    """While halted no run starts and no row is asked for; a reset ends a run at any time."""
    ports = bench.ports
    for number in range(bench.count(6)):
        bench.begin("never", bench.choose("never", "often"))
        ports.halt.set(1)
        for _ in range(3):
            bench.send(random_transfer(bench, Unit.STORE, SIZE))
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
        bench.send(random_transfer(bench, Unit.STORE, SIZE))
        await bench.settled()
        await bench.restart()
