"""The STORE unit: strided rows from the scratchpad to memory, byte for byte, nothing around them."""

from __future__ import annotations

from itertools import islice

import numpy as np
from common.bench import Bench, testcase
from common.commands import Registers, registers_of, words_of_run
from common.coverage import Cover
from common.managers import WriteManagerModel, covering, far_origin, from_origin
from common.pauses import STYLES, make_pace
from common.scratchpad import PadReads
from common.streams import Sink, Source
from common.tokens import UnitTokens
from common.transfers import BYTES, accesses, large_transfer, random_transfer, row_bytes, rows_of

from tensaw.model.machine_memory import Region, store
from tensaw.spec.isa import Unit, encode
from tensaw.spec.registers import ErrorCode

COVER = Cover("store_dma")
cover_row = COVER.point("row", BYTES)
cover_shape = COVER.cross("shape", ("1 row", "rows"), ("1 plane", "planes"))
cover_alignment = COVER.cross("alignment", ("memory aligned", "memory not"), ("scratchpad aligned", "scratchpad not"))
cover_edge = COVER.point("reaches", ("start of region", "end of region", "start of scratchpad", "end of scratchpad"))
cover_stall = COVER.cross("stall", ("requests", "data", "answers", "scratchpad"), STYLES)
cover_large = COVER.point("large run", ("goes on", "ILLEGAL_VALUE", "OUTSIDE_REGION"))
cover_error = COVER.point("error", (
    "no bytes", "no rows", "no planes", "beyond the scratchpad", "beyond the region", "no region", "WRITE_SLVERR",
    "WRITE_DECERR", "ILLEGAL_COMMAND",
))  # fmt: skip

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
    ports, pad = bench.ports, bench.config.scratchpad_bytes
    for turn in range(bench.count(60)):
        run = large_transfer(bench, Unit.STORE, turn)
        tokens = UnitTokens(bench, ports.tokens, bench.pace("never"))
        tokens.expect(run["RUN"]["wait"], run["RUN"]["signal"])
        asked: list[dict[str, int]] = []
        Sink(bench, ports.write.request, lambda asked=asked: len(asked) < 6, asked.append)
        Source(bench, ports.words, bench.pace("never"), words_of_run(Unit.STORE, run))
        wanted, code = [], 0
        for offset, address, *_ in islice(rows_of(run), 7):
            code = ErrorCode.ILLEGAL_VALUE if address + run["ROWS"]["bytes"] > pad else offset >> 32
            if code or len(wanted) == 6:
                break
            wanted.append(
                {"region": run["MEMORY"]["region"], "offset": offset, "bytes": run["ROWS"]["bytes"], "turn": 0}
            )
        await bench.clocks(50)
        assert asked == wanted, f"{asked} instead of {wanted} for {run}"
        code = ErrorCode.OUTSIDE_REGION if code == 1 else code
        found = ports.error.code.get() if ports.error.valid.get() else 0
        assert found == code and ports.busy.get() and ports.tag.get() == run["RUN"]["tag"], f"error {found} for {run}"
        assert not code or (ports.error.tag.get(), ports.error.address.get()) == (run["RUN"]["tag"], 0)
        cover_large(ErrorCode(code).name if code else "goes on")
        await bench.restart()


@testcase(StoreBench)
async def errors(bench: StoreBench) -> None:
    """Everything that can be wrong with a run, or with the memory, is reported with the run's tag, and what the memory
    says with its address; also while the runs before it are under way."""
    pad, ports = bench.config.scratchpad_bytes, bench.ports
    for what in (
        "no bytes", "no rows", "no planes", "beyond the scratchpad", "beyond the region", "no region", "WRITE_SLVERR",
        "WRITE_DECERR", "ILLEGAL_COMMAND",
    ) * bench.count(2):  # fmt: skip
        bench.begin()
        bench.manager.elsewhere = int(bench.rng.integers(1 << 64, dtype=np.uint64))
        tags = bench.rng.permutation(1 << 16)[:3].tolist()
        runs = [random_transfer(bench, Unit.STORE, SIZE, tag) for tag in tags]
        for before in runs[:2]:
            bench.send(before)
        run, tag = runs[2], tags[2]
        code = ErrorCode.ILLEGAL_VALUE
        words = None
        if what == "no bytes":
            run["ROWS"]["bytes"] = 0
        elif what == "no rows":
            run["ROWS"]["count"] = 0
        elif what == "no planes":
            run["PLANES"]["count"] = 0
        elif what == "beyond the scratchpad":
            run["SCRATCHPAD"]["address"] = pad - run["ROWS"]["bytes"] + 1
        elif what in ("beyond the region", "no region"):
            code = ErrorCode.OUTSIDE_REGION
            run["MEMORY"] |= {"offset": SIZE - run["ROWS"]["bytes"] + 1} if what != "no region" else {"region": 4}
        elif what == "ILLEGAL_COMMAND":
            code, tag = ErrorCode.ILLEGAL_COMMAND, 0
            words = [encode("STORE.RUN") | bench.integers(1 << 24, (1 << 54) - 1)]
        else:
            code = ErrorCode[what]
            beats = sum(len(covering(offset, count, bench.config.bus_bytes)) for offset, count in accesses(*runs))
            bench.manager.fail_beat = bench.integers(0, beats - 1), code
        if words is None:
            words = words_of_run(Unit.STORE, from_origin(run, bench.origin))
            bench.tokens.expect(run["RUN"]["wait"], run["RUN"]["signal"])
            bench.tags.append(tag)
        bench.words.send(*words)
        error = ports.error
        await bench.until(lambda error=error: bool(error.valid.get()), 2000, what)
        address = words[0] if what == "ILLEGAL_COMMAND" else 0
        if bench.manager.told is not None:
            assert code == bench.manager.told[0], what
            address = bench.manager.told[1]
        if bench.manager.fail_beat is not None:
            owners = [tag for run, tag in zip(runs, tags, strict=True) for _ in accesses(run)]
            tag = owners[bench.manager.failed]
        found = error.code.get(), error.tag.get(), error.address.get()
        assert found == (code, tag, address), f"{what}: {found} instead of {(code, tag, address)}"
        cover_error(what)
        await bench.restart()


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
