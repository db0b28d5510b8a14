"""The burst splitter: accesses in regions to bursts that AXI allows, and those that no region allows."""

from __future__ import annotations

from common.bench import Bench, testcase
from common.coverage import Cover
from common.pauses import STYLES, make_pace
from common.regions import Window, random_access, set_windows, splits
from common.scoreboard import Scoreboard
from common.streams import Sink, Source

COVER = Cover("burst_splitter")
cover_bursts = COVER.point("bursts of an access", ("1", "2", "more"))
cover_page = COVER.point("4 KiB boundary", ("ends at it", "begins at it", "crosses it", "by one byte", "elsewhere"))
cover_lanes = COVER.cross("lanes", ("aligned", "later first"), ("to last", "earlier last"))
cover_stall = COVER.cross("stall", ("requests", "bursts"), STYLES)
cover_refused = COVER.point("refused", (
    "one byte beyond", "first byte beyond", "other permission", "closed", "no region", "length overflows",
))  # fmt: skip
cover_large = COVER.point("large access", ("to the end", "one byte beyond"))


class SplitterBench(Bench):
    """Four windows anywhere, in any order, another choice after each reset: three that may be used (one of them ends
    with the address space, one is small) and one that may not. Bursts of each asker are expected in its order."""

    def prepare(self) -> None:
        self.askers = self.constants["askers"]
        self.boards = [Scoreboard(f"bursts of asker {asker}") for asker in range(self.askers)]
        self.reads = self.constants["reads"]
        space = 1 << self.config.address_width
        mine, other = {"read": self.reads, "write": 1 - self.reads}, {"read": 1 - self.reads, "write": self.reads}
        windows = [
            Window(self.integers(0, space // 16 - 0x300) * 16, 0x3000, **mine),
            Window(space - 0x2000, 0x2000, 1, 1),
            Window(self.integers(0, space // 4096 - 1) * 4096 + 0xFF0, 40, **mine),
            Window(self.integers(0, space // 16 - 0x100) * 16, 0x1000, **other),
        ]
        self.places = [int(place) for place in self.rng.permutation(4)]
        """Where each of these is among the regions."""
        self.open(windows)

    def open(self, windows: list[Window]) -> None:
        self.windows = windows
        regions = [windows[self.places.index(region)] for region in range(4)]
        set_windows(self.ports.regions, regions)

    def begin(self, requests: str = "never", bursts: str = "never") -> None:
        ports, rng = self.ports, self.rng
        self.sources = [
            Source(self, ports.requests[asker], make_pace(rng, requests), early=self.askers == 1)
            for asker in range(self.askers)
        ]
        self.sinks = [
            Sink(self, ports.bursts[asker], make_pace(rng, bursts), board.check)
            for asker, board in enumerate(self.boards)
        ]
        cover_stall(("requests", requests))
        cover_stall(("bursts", bursts))

    @property
    def left(self) -> int:
        return sum(board.left for board in self.boards)

    @property
    def idle(self) -> bool:
        """Everything has been taken, and nothing is in work."""
        return not self.left and all(source.idle for source in self.sources) and not self.ports.busy.get()

    def send(
        self, access: tuple[int, int, int] | None = None, most: int | None = None, asker: int | None = None
    ) -> None:
        """An access (window, offset, bytes), or a random one, of an asker, or of any; of its bursts the first ``most``
        are expected."""
        asker = self.integers(0, self.askers - 1) if asker is None else asker
        if access is None:
            number = self.integers(0, 2)
            offset, count = random_access(
                self, self.windows[number], 3 * self.config.bus_bytes * self.config.burst_beats
            )
        else:
            number, offset, count = access
        window = self.windows[number]
        turn = self.integers(0, 3)
        self.sources[asker].send({"region": self.places[number], "offset": offset, "bytes": count, "turn": turn})
        beat = self.config.bus_bytes
        start, end = window.base + offset, window.base + offset + count
        parts = splits(self, window.base, offset, count, most)
        for index, (address, beats) in enumerate(parts):
            last = address + beats * beat >= end
            self.boards[asker].expect({
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
            await bench.until(lambda: bench.idle, 20_000, "all bursts")
            await bench.clocks(4)
            assert bench.idle and not bench.ports.refused.get()
            await bench.restart()


@testcase(SplitterBench)
async def large_accesses(bench: SplitterBench) -> None:
    """Windows and accesses of all sizes up to what their registers hold, to the last byte of the window and one byte
    beyond it: the first bursts of those that fit, a refusal of the others."""
    space, beat = 1 << bench.config.address_width, bench.config.bus_bytes
    for number in range(bench.count(60)):
        power = 4 + number // 2 % 25
        bits = bench.integers(max(13, power + 1), 32)
        size = min(bench.integers(1 << bits - 1, (1 << bits) - 1), space - 16)
        count = min((1 << power) + bench.integers(-15, 16 * beat), (1 << 28) - 1, size)
        bench.open([*bench.windows[:3], Window(bench.integers(0, (space - size) // 16) * 16, size)])
        bench.begin()
        beyond, asker = number % 2, number // 2 % bench.askers
        offset = size - count + beyond
        if not beyond:
            offset = bench.choose(offset, bench.integers(0, offset))
            bench.send((3, offset, count), most=4, asker=asker)
            await bench.until(lambda: not bench.left, 60, "the first bursts")
            assert not bench.ports.refused.get()
            bench.sinks[asker].pace = lambda: False
        else:
            await refused(bench, asker, 3, offset, count)
        cover_large(("to the end", "one byte beyond")[beyond])
        await bench.restart()


@testcase(SplitterBench)
async def long_access(bench: SplitterBench) -> None:
    """All bursts of an access of thousands of beats."""
    size = 1 << 20
    bench.open(
        [*bench.windows[:3], Window(bench.integers(0, (1 << bench.config.address_width) // 16 - size) * 16, size)]
    )
    bench.begin()
    beats = 900 * bench.config.burst_beats + bench.integers(0, 1 << 11)
    bench.send((3, bench.integers(0, 4096), beats * bench.config.bus_bytes))
    await bench.until(lambda: bench.idle, 20_000, "all bursts")


async def refused(bench: SplitterBench, asker: int, number: int, offset: int, count: int) -> None:
    """Send an access and a good one behind it: the error is told and held, and nothing comes but what was expected."""
    region = bench.places[number] if number < 4 else number
    bench.sources[asker].send(
        {"region": region, "offset": offset, "bytes": count, "turn": 0},
        {"region": bench.places[1], "offset": 0, "bytes": 1, "turn": 0},
    )
    ports = bench.ports
    await bench.until(lambda: bool(ports.refused.get()), 9000, "the error")
    for other in range(bench.askers):  # too late
        bench.sources[other].send({"region": bench.places[1], "offset": 0, "bytes": 1, "turn": 0})
    await bench.until(lambda: not bench.left, 9000, "the bursts before")
    await bench.clocks(20)
    for board in bench.boards:
        board.finish()
    assert ports.refused.get() == 1 << asker
    if number < 4:
        address = (bench.windows[number].base + offset) % (1 << bench.config.address_width)
        assert ports.refused_address.get() == address, f"{ports.refused_address.get():#x} instead of {address:#x}"


@testcase(SplitterBench)
async def refuses_what_is_outside(bench: SplitterBench) -> None:
    """OUTSIDE_REGION with the bus address, held; nothing of that access or of later ones comes."""
    for what in ("one byte beyond", "first byte beyond", "other permission", "closed", "no region", "length overflows"):
        bench.begin()
        asker = bench.integers(0, bench.askers - 1)
        for _ in range(3):
            bench.send(asker=asker)
        number = 0
        count = bench.integers(1, 40)
        offset = bench.windows[0].size - count + 1
        if what == "first byte beyond":
            offset = bench.windows[0].size
        elif what == "other permission":
            number, offset = 3, 0
        elif what == "closed":
            await bench.until(lambda: not bench.left, 5000, "the bursts before")
            bench.open([Window(0x100, 0), *bench.windows[1:]])
            offset = 0
        elif what == "no region":
            number, offset = bench.integers(4, 7), 16
        elif what == "length overflows":
            offset, count = (1 << 32) - 4, 8
        await refused(bench, asker, number, offset, count)
        cover_refused(what)
        await bench.restart()
        assert not bench.ports.refused.get()


@testcase(SplitterBench)
async def a_burst_every_other_cycle(bench: SplitterBench) -> None:
    """One asker has a burst every other cycle, also from access to access, of one beat each or of many; but an access
    every third cycle where there are several askers."""
    for asker in range(bench.askers):
        for short in (False, True):
            bench.begin()
            for _ in range(12):
                bench.send((0, bench.integers(0, 0x2FFF), 1) if short else None, asker=asker)
            board = bench.boards[asker]
            total = board.left
            pauses = 12 if bench.askers > 1 else 0
            await bench.until(lambda board=board: board.count > 0, 20, "the first burst")
            start = bench.cycle
            await bench.until(lambda: not bench.left, 3 * total + 20, "all bursts")
            assert bench.cycle - start <= 2 * total + pauses + 2
            await bench.restart()


@testcase(SplitterBench)
async def askers_do_not_wait_for_others(bench: SplitterBench) -> None:
    """However long the bursts of some are not taken, those of another one come, as often as without them."""
    for asker in range(bench.askers):
        bench.begin()
        for other in range(bench.askers):
            if other != asker:
                bench.sinks[other].pace = lambda: False
                for _ in range(3):
                    bench.send(asker=other)
        await bench.clocks(20)
        for _ in range(20):
            bench.send((0, bench.integers(0, 0x2FFF), 1), asker=asker)
        start, board = bench.cycle, bench.boards[asker]
        await bench.until(lambda board=board: not board.left, 200, "its bursts")
        assert bench.cycle - start <= (3 if bench.askers > 1 else 2) * 20 + 8
        await bench.restart()


@testcase(SplitterBench)
async def all_askers_at_once(bench: SplitterBench) -> None:
    """Short accesses of all: an access every other cycle, every third of the last asker alone; none is left behind."""
    bench.begin()
    for asker in range(bench.askers):
        for _ in range(20):
            bench.send((0, bench.integers(0, 0x2FFF), 1), asker=asker)
    start = bench.cycle
    await bench.until(lambda: not bench.left, 400, "all bursts")
    assert bench.cycle - start <= 2 * 20 * (bench.askers - 1) + 3 * 20 + 20


@testcase(SplitterBench)
async def reset_in_an_access(bench: SplitterBench) -> None:
    """A reset ends an access at any time."""
    for _ in range(bench.count(5)):
        bench.begin("never", "often")
        for _ in range(4):
            bench.send()
        await bench.clocks(bench.integers(2, 14))
        await bench.restart()
        assert not bench.ports.busy.get()
        assert not any(bench.ports.bursts[asker].valid.get() for asker in range(bench.askers))
        bench.begin()
        bench.send()
        await bench.until(lambda: not bench.left, 900, "the access")
        await bench.restart()
