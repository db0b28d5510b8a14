"""The row walker: the rows of a strided transfer, and what does not fit."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from common.bench import Bench, testcase
from common.commands import Registers
from common.coverage import Cover
from common.pauses import STYLES, make_pace
from common.scoreboard import Scoreboard
from common.streams import Sink
from common.transfers import BYTES, large_transfer, random_transfer, row_bytes, rows_of

from tensaw.spec.isa import Unit

ILLEGAL = (
    "bytes 0", "rows 0", "planes 0", "first row beyond", "later row beyond", "later plane beyond", "pitch overflows",
)  # fmt: skip
"""What makes a transfer illegal."""

COVER = Cover("row_walker")
cover_size = COVER.cross("row", BYTES, ("transfer", "fill"))
cover_shape = COVER.cross("shape", ("1 row", "rows"), ("1 plane", "planes"))
cover_end = COVER.point("ends", ("with the scratchpad", "with 32 bits of offset", "elsewhere"))
cover_illegal = COVER.point("illegal", ILLEGAL)
cover_outside = COVER.point("outside", ("row", "plane", "fill ignores it"))
cover_large = COVER.point("large walk", ("goes on", "finished", "illegal", "outside"))
cover_stall = COVER.point("stall", STYLES)

SIZE = 1 << 20


class WalkerBench(Bench):
    """Starts walks and compares their rows."""

    def prepare(self) -> None:
        self.board = Scoreboard("rows")
        self.finished = 0
        self.start_soon(self.count_ends())

    def listen(self, style: str) -> Sink:
        cover_stall(style)
        return Sink(self, self.ports.row, make_pace(self.rng, style), self.take)

    def take(self, row: dict[str, Any]) -> None:
        if row["span"]["fill"]:
            row["access"] = None
        self.board.check(row)

    async def count_ends(self) -> None:
        row = self.ports.row
        while True:
            await self.edge
            if self.ports.finished.get():
                assert row.valid.get() and row.ready.get(), "finished without a row taken"
                self.finished += 1

    def rows(self, run: Registers, fill: int) -> Iterator[dict[str, Any]]:
        """All rows by the definition of isa.md; stops before the first that does not fit."""
        unit = self.config.word_bytes if fill else self.config.bus_bytes
        count = run["ROWS"]["bytes"]
        if not count:
            return
        for offset, address, end, final in rows_of(run):
            if address + count > self.config.scratchpad_bytes or (offset >> 32 and not fill):
                return
            first = 0 if fill else offset % unit
            access = {"region": run["MEMORY"]["region"], "offset": offset, "bytes": count, "turn": 0}
            yield {
                "access": None if fill else access,
                "span": {
                    "base": address - first, "more": (first + count - 1) // unit, "first_lane": first,
                    "last_lane": (first + count - 1) % unit, "fill": fill, "end": int(end), "final": int(final),
                },
            }  # fmt: skip

    async def start_walk(self, run: Registers, fill: int, most: int | None = None) -> None:
        """Begin a walk; expect its first ``most`` rows."""
        names = ("MEMORY", "SCRATCHPAD", "ROWS", "ROW_PITCH", "PLANES", "PLANE_PITCH")
        self.board.expect(*islice(self.rows(run, fill), most))
        self.ports.walk.set({**{name.lower(): run[name] for name in names}, "fill": fill})
        await self.clocks()
        self.ports.start.set(1)
        await self.clocks()
        self.ports.start.set(0)

    async def walk(self, run: Registers, fill: int) -> None:
        cover_size((row_bytes(self, run["ROWS"]["bytes"]), ("transfer", "fill")[fill]))
        cover_shape((("1 row", "rows")[run["ROWS"]["count"] > 1], ("1 plane", "planes")[run["PLANES"]["count"] > 1]))
        ended = self.finished
        await self.start_walk(run, fill)
        await self.until(lambda: not self.board.left, 5000, "all rows")
        await self.clocks(2)
        assert self.finished == ended + 1, "finished with the last row"
        assert not self.ports.illegal.get() and not self.ports.outside.get()


@testcase(WalkerBench)
async def random_walks(bench: WalkerBench) -> None:
    """Rows and planes, transfers and fills, taken at every pace; also up to the last byte there is."""
    for style in STYLES:
        bench.listen(style)
        for _ in range(bench.count(12)):
            run = random_transfer(bench, Unit.LOAD, SIZE, overlap=bench.chance(0.3))
            last = max(row["span"]["base"] for row in bench.rows(run, 1)) + run["ROWS"]["bytes"]
            cover_end("with the scratchpad" if last == bench.config.scratchpad_bytes else "elsewhere")
            await bench.walk(run, bench.integers(0, 1))
        await bench.restart()
    bench.listen("never")
    run = random_transfer(bench, Unit.LOAD, SIZE)
    extent = max(row["access"]["offset"] for row in bench.rows(run, 0)) - run["MEMORY"]["offset"]
    run["MEMORY"]["offset"] = (1 << 32) - 1 - extent
    await bench.walk(run, 0)
    cover_end("with 32 bits of offset")


@testcase(WalkerBench)
async def large_walks(bench: WalkerBench) -> None:
    """The first eight rows of walks with counts, pitches and places of all sizes, up to one that does not fit."""
    ports, pad = bench.ports, bench.config.scratchpad_bytes
    for turn in range(bench.count(300)):
        run, fill = large_transfer(bench, Unit.LOAD, turn), bench.integers(0, 1)
        sink = bench.listen("never")
        sink.pace = lambda: bench.board.count < 8
        await bench.start_walk(run, fill, most=8)
        rows = list(islice(rows_of(run), 9))
        bad = [(offset, address) for offset, address, *_ in rows if address + run["ROWS"]["bytes"] > pad or (
            offset >> 32 and not fill)]  # fmt: skip
        await bench.until(lambda: not bench.board.left, 60, "the first rows")
        await bench.clocks(4)
        illegal = bool(bad) and bad[0][1] + run["ROWS"]["bytes"] > pad
        found = ports.illegal.get(), ports.outside.get(), bench.finished
        finished = not bad and len(rows) < 9
        assert found == (illegal, bool(bad) and not illegal, finished), f"{found} in {run}"
        cover_large("illegal" if illegal else "outside" if bad else "finished" if finished else "goes on")
        await bench.restart()


def broken(bench: WalkerBench, what: str) -> Registers:
    """A transfer that is illegal in this way."""
    pad = bench.config.scratchpad_bytes
    run = random_transfer(bench, Unit.LOAD, SIZE)
    run["ROWS"] |= {"bytes": 9, "count": 3}
    run["PLANES"]["count"] = 2
    run["SCRATCHPAD"]["address"] = 0
    run["ROW_PITCH"]["scratchpad"], run["PLANE_PITCH"]["scratchpad"] = 10, 40
    if what in ("bytes 0", "rows 0", "planes 0"):
        register, field = {"bytes 0": ("ROWS", "bytes"), "rows 0": ("ROWS", "count"), "planes 0": ("PLANES", "count")}[
            what
        ]
        run[register][field] = 0
    elif what == "first row beyond":
        run["SCRATCHPAD"]["address"] = pad - bench.integers(0, 8)
    elif what == "later row beyond":
        run["SCRATCHPAD"]["address"] = pad - 9 - 10 - bench.integers(0, 9)
    elif what == "later plane beyond":
        run["SCRATCHPAD"]["address"] = pad - 9 - 20 - bench.integers(0, 39)
    else:  # the sum of addresses must not wrap around to legal ones
        run["ROW_PITCH"]["scratchpad"] = (1 << 24) - 1
        run["SCRATCHPAD"]["address"] = 20
    return run


@testcase(WalkerBench)
async def refuses_what_does_not_fit(bench: WalkerBench) -> None:
    """``illegal`` is held; rows before the one that does not fit come, none after it."""
    for what in ILLEGAL:
        for fill in (0, 1):
            bench.listen(bench.choose(*STYLES[:3]))
            await bench.start_walk(broken(bench, what), fill)
            await bench.until(lambda: bool(bench.ports.illegal.get()), 200, what)
            await bench.clocks(20)
            bench.board.finish()
            assert bench.ports.illegal.get() and not bench.ports.outside.get() and not bench.finished
            cover_illegal(what)
            await bench.restart()
            bench.listen("never")
            await bench.walk(random_transfer(bench, Unit.LOAD, SIZE), fill)
            await bench.restart()


@testcase(WalkerBench)
async def offsets_beyond_32_bits(bench: WalkerBench) -> None:
    """``outside`` where a row's memory offset does not fit 32 bits; a fill does not care."""
    for what in ("row", "plane", "fill ignores it"):
        for _ in range(bench.count(2)):
            fill = int(what.startswith("fill"))
            bench.listen("never")
            run = random_transfer(bench, Unit.LOAD, SIZE)
            run["ROWS"]["count"], run["PLANES"]["count"] = 2 + (what == "row"), 2
            run["ROWS"]["bytes"] = 4
            run["SCRATCHPAD"]["address"], run["ROW_PITCH"]["scratchpad"] = 0, 4
            run["PLANE_PITCH"]["scratchpad"] = 16
            run["ROW_PITCH"]["memory"] = bench.choose(7, (1 << 28) - 1) if what == "row" else 4
            run["PLANE_PITCH"]["memory"] = bench.choose(32, (1 << 28) - 1)
            inner = (run["ROWS"]["count"] - 1) * run["ROW_PITCH"]["memory"]
            past = inner if what == "row" else run["PLANE_PITCH"]["memory"]
            run["MEMORY"]["offset"] = (1 << 32) - past + bench.choose(0, 1, 3)
            if fill:
                await bench.walk(run, 1)
            else:
                await bench.start_walk(run, 0)
                await bench.until(lambda: bool(bench.ports.outside.get()), 200, "outside")
                await bench.clocks(9)
                bench.board.finish()
                assert bench.ports.outside.get() and not bench.ports.illegal.get() and not bench.finished
            cover_outside(what)
            await bench.restart()
