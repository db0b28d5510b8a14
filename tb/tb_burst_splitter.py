"""The burst splitter: accesses in regions to bursts that AXI allows, and those that no region allows."""

from __future__ import annotations

from typing import Any

from common.bench import Bench, testcase
from common.coverage import Cover
from common.pauses import STYLES, make_pace
from common.regions import Window, random_access, set_windows, splits
from common.scoreboard import Scoreboard
from common.streams import Sink, Source

from tensaw.spec.registers import ErrorCode

COVER = Cover("burst_splitter")
cover_bursts = COVER.point("bursts of an access", ("1", "2", "more"))
cover_page = COVER.point("4 KiB boundary", ("ends at it", "begins at it", "crosses it", "by one byte", "elsewhere"))
cover_lanes = COVER.cross("lanes", ("aligned", "later first"), ("to last", "earlier last"))
cover_stall = COVER.cross("stall", ("requests", "bursts"), STYLES)
cover_refused = COVER.point("refused", (
    "one byte beyond", "first byte beyond", "other permission", "closed", "no region", "length overflows",
))  # fmt: skip


class SplitterBench(Bench):
    """Four windows, one of them at the very end of a page and one that may not be used."""

    def prepare(self) -> None:
        self.board = Scoreboard("bursts")
        self.reads = self.constants["reads"]
        width = self.config.address_width
        mine = {"read": self.reads, "write": 1 - self.reads}
        self.windows = [
            Window(0x1000, 0x3000, **mine),
            Window((1 << width) - 0x2000, 0x2000, 1, 1),
            Window(0x5FF0, 40, **mine),
            Window(0x9000, 0x1000, 1 - self.reads, self.reads),
        ]
        set_windows(self.ports.regions, self.windows)

    def begin(self, requests: str = "never", bursts: str = "never") -> None:
        self.source = Source(self, self.ports.request, make_pace(self.rng, requests))
        self.sink = Sink(self, self.ports.bursts, make_pace(self.rng, bursts), self.board.check)
        cover_stall(("requests", requests))
        cover_stall(("bursts", bursts))

    def send(self) -> None:
        number = self.integers(0, 2)
        window = self.windows[number]
        offset, count = random_access(self, window, 3 * self.config.bus_bytes * self.config.burst_beats)
        turn = self.integers(0, 3)
        self.source.send({"region": number, "offset": offset, "bytes": count, "turn": turn})
        beat = self.config.bus_bytes
        start, end = window.base + offset, window.base + offset + count
        parts = splits(self, window.base, offset, count)
        for index, (address, beats) in enumerate(parts):
            last = index == len(parts) - 1
            self.board.expect({
                "address": address, "beats": beats, "last": int(last), "first_lane": 0 if index else start % beat,
                "last_lane": (end - 1) % beat if last else beat - 1, "turn": turn,
            })  # fmt: skip
        cover_bursts({1: "1", 2: "2"}.get(len(parts), "more"))
        crosses = start // 4096 != (end - 1) // 4096
        cover_page("by one byte" if crosses and (end % 4096 == 1 or start % 4096 == 4095) else None)
        name = "crosses it" if crosses else "ends at it" if end % 4096 == 0 else "begins at it"
        cover_page(name if crosses or end % 4096 == 0 or start % 4096 == 0 else "elsewhere")
        cover_lanes((("aligned", "later first")[start % beat > 0], ("to last", "earlier last")[end % beat > 0]))


@testcase(SplitterBench)
async def random_accesses(bench: SplitterBench) -> None:
    """Accesses anywhere in their windows, with pauses on both sides."""
    for style in STYLES:
        for requests, bursts in ((style, "never"), ("never", style)):
            bench.begin(requests, bursts)
            for _ in range(bench.count(15)):
                bench.send()
            await bench.until(lambda: not bench.board.left and bench.source.idle, 20_000, "all bursts")
            await bench.clocks(4)
            assert not bench.ports.busy.get() and not bench.ports.error.valid.get()
            await bench.restart()


@testcase(SplitterBench)
async def refuses_what_is_outside(bench: SplitterBench) -> None:
    """OUTSIDE_REGION with the bus address, held; nothing of that access or of later ones comes."""
    for what in ("one byte beyond", "first byte beyond", "other permission", "closed", "no region", "length overflows"):
        bench.begin()
        for _ in range(3):
            bench.send()
        number, window = 0, bench.windows[0]
        count = bench.integers(1, 40)
        offset = window.size - count + 1
        if what == "first byte beyond":
            offset = window.size
        elif what == "other permission":
            number, window, offset = 3, bench.windows[3], 0
        elif what == "closed":
            await bench.until(lambda: not bench.board.left, 5000, "the bursts before")
            window = Window(0x100, 0)
            set_windows(bench.ports.regions, [window, *bench.windows[1:]])
            offset = 0
        elif what == "no region":
            number, offset = bench.integers(4, 7), 16
        elif what == "length overflows":
            offset, count = (1 << 32) - 4, 8
        request: dict[str, Any] = {"region": number, "offset": offset, "bytes": count, "turn": 0}
        bench.source.send(request, {"region": 0, "offset": 0, "bytes": 1, "turn": 0})
        await bench.until(lambda: bool(bench.ports.error.valid.get()), 9000, what)
        await bench.clocks(20)
        bench.board.finish()
        error = bench.ports.error
        assert (error.valid.get(), error.code.get()) == (1, ErrorCode.OUTSIDE_REGION)
        if number < 4:
            address = (window.base + offset) % (1 << bench.config.address_width)
            assert error.address.get() == address, f"{error.address.get():#x}"
        cover_refused(what)
        await bench.restart()
        assert not error.valid.get()


@testcase(SplitterBench)
async def a_burst_every_other_cycle(bench: SplitterBench) -> None:
    """The first three cycles after its access was taken, then one every other cycle, also from access to access."""
    bench.begin()
    for _ in range(12):
        bench.send()
    total = bench.board.left
    await bench.until(lambda: bench.board.count > 0, 20, "the first burst")
    start = bench.cycle
    await bench.until(lambda: not bench.board.left, 3 * total + 20, "all bursts")
    assert bench.cycle - start <= 2 * total + 2


@testcase(SplitterBench)
async def reset_in_an_access(bench: SplitterBench) -> None:
    """A reset ends an access at any time."""
    for _ in range(bench.count(5)):
        bench.begin("never", "often")
        for _ in range(4):
            bench.send()
        await bench.clocks(bench.integers(2, 14))
        await bench.restart()
        assert not bench.ports.busy.get() and not bench.ports.bursts.valid.get()
        bench.begin()
        bench.send()
        await bench.until(lambda: not bench.board.left, 900, "the access")
        await bench.restart()
