"""The read manager: three askers' data over one AXI4 port, with cocotbext-axi's memory behind it."""

from __future__ import annotations

from collections import deque

from cocotbext.axi import AxiResp
from common.axi import AxiMemory
from common.bench import Bench, testcase
from common.coverage import Cover
from common.pauses import STYLES, Pace, make_pace
from common.regions import Window, anywhere, large_access, random_access, set_windows, splits
from common.streams import Source

from tensaw.spec.isa import Turn
from tensaw.spec.registers import ErrorCode

ASKERS = ("fetch", "load", "weight")

COVER = Cover("read_manager")
cover_asker = COVER.cross("bursts of", ASKERS, ("1", "2", "more"))
cover_stall = COVER.cross("stall", ("ar", "r", "asker"), STYLES)
cover_page = COVER.point("4 KiB boundary", ("crosses it", "ends at it", "elsewhere"))
cover_full = COVER.point("credit", ("exactly a burst", "less than a burst", "plenty"))
cover_outstanding = COVER.point("outstanding", ("one", "as many as allowed"))
cover_order = COVER.point("goes first", (
    "fetch before load", "load before weight", "weight after three of load", "weight always", "weight never",
))  # fmt: skip
cover_error = COVER.cross("error", ASKERS, ("READ_SLVERR", "READ_DECERR", "OUTSIDE_REGION"))

START, SIZE, MEMORY = 0x1000, 0x6000, 0x8000
"""Of the largest window, in the memory; and bytes of the memory."""


class Asker:
    """One asker: makes requests, has room for some beats, takes them at a pace, compares them with memory."""

    def __init__(self, bench: ReadBench, name: str, pace: Pace, room: int) -> None:
        self.bench, self.name, self.pace, self.room = bench, name, pace, room
        self.port = getattr(bench.ports, name)
        self.requests = Source(bench, self.port.request, make_pace(bench.rng, "never"))
        self.expected: deque[bytes | None] = deque()  # None: undefined
        self.held = 0
        """Beats taken that fill its room."""
        self.taken = 0
        self.error: tuple[int, int] | None = None
        self.turn = int(Turn.SHARED)
        self.emptying = make_pace(bench.rng, "often")
        bench.start_soon(self.receive())

    def ask(self, region: int, offset: int, count: int) -> None:
        self.requests.send({"region": region, "offset": offset, "bytes": count, "turn": self.turn})

    def send(self, region: int, offset: int, count: int) -> None:
        """Ask, and expect the data."""
        bench, beat = self.bench, self.bench.config.bus_bytes
        base = bench.windows[region].base
        self.ask(region, offset, count)
        for address, beats in splits(bench, base, offset, count):
            for number in range(beats):
                at = address + number * beat
                self.expected.append(None if at in bench.content.fail else bench.content.load(at, beat))

    async def receive(self) -> None:
        """Room shrinks with each beat taken and grows again while it is emptied; it must always suffice."""
        port, beat = self.port, self.bench.config.bus_bytes
        waiting: int | None = None
        while True:
            ready = self.pace()
            port.data.ready.set(int(ready))
            port.credit.set(self.room - self.held)
            await self.bench.edge
            if self.held and self.emptying():
                self.held -= 1
            if port.error.valid.get() and self.error is None:
                self.error = port.error.code.get(), port.error.address.get()
            if not port.data.valid.get():
                assert waiting is None or self.bench.halted, f"{self.name}: data was withdrawn"
                waiting = None
                continue
            bits = port.data.payload.bits()
            assert waiting in (None, bits), f"{self.name}: data changed while it waited"
            waiting = None if ready else bits
            if not ready or self.error is not None:
                continue
            assert self.held < self.room, f"{self.name}: a beat for which there is no room"
            assert self.expected, f"{self.name}: data that nobody asked for"
            wanted = self.expected.popleft()
            assert wanted in (None, bits.to_bytes(beat, "little")), f"{self.name}: beat {self.taken} is wrong"
            self.taken += 1
            self.held += 1

    @property
    def idle(self) -> bool:
        return self.requests.idle and not self.expected


class Everywhere:
    """What an Asker wants of a memory, at every address there is."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._beats: dict[int, bytes] = {}
        self.fail: dict[int, AxiResp] = {}

    def load(self, address: int, count: int) -> bytes:
        return self._beats.setdefault(address, self._bench.rng.bytes(count))


class ReadBench(Bench):
    """Three askers in front, a memory behind; made once in a test."""

    halted = False
    content: AxiMemory | Everywhere
    """Where the askers' data is."""

    def begin(self, rooms: tuple[int, int, int] = (1000, 1000, 1000), style: str = "never") -> None:
        place = anywhere(self, MEMORY)
        self.base = place + START
        self.windows = [
            Window(self.base, SIZE),
            Window(self.base + 0x800, 0x2000),
            Window(self.base + 0x10, 0x4321),
            Window(0, 64, 0, 1),
        ]
        set_windows(self.ports.regions, self.windows)
        self.memory = self.content = AxiMemory(self, "axi_", MEMORY, place, write=False)
        self.ask(rooms, style)

    def ask(self, rooms: tuple[int, int, int] = (1000, 1000, 1000), style: str = "never") -> None:
        """Let the askers begin."""
        self.askers = {
            name: Asker(self, name, make_pace(self.rng, style), room) for name, room in zip(ASKERS, rooms, strict=True)
        }
        self.beats = 0
        self.start_soon(self.count_beats())

    def move(self) -> None:
        """Memory and windows to another bus address, while nothing is under way."""
        place = int(self.rng.integers(((1 << self.config.address_width) - MEMORY) // 4096 + 1)) * 4096
        shift = place - self.memory.base
        self.base += shift
        self.memory.base = place
        self.windows = [*(Window(w.base + shift, w.size) for w in self.windows[:3]), Window(0, 64, 0, 1)]
        set_windows(self.ports.regions, self.windows)

    def pause(self, ar: str, r: str, asker: str) -> None:
        self.memory.set_paces({"ar": make_pace(self.rng, ar), "r": make_pace(self.rng, r)})
        for one in self.askers.values():
            one.pace = make_pace(self.rng, asker)
        for part, style in (("ar", ar), ("r", r), ("asker", asker)):
            cover_stall((part, style))

    async def count_beats(self) -> None:
        dut = self.dut
        while True:
            await self.edge
            beat = self.ports.beats.get()
            assert beat == (int(dut.axi__rvalid.value) and int(dut.axi__rready.value))
            self.beats += beat

    def send(self, name: str, longest: int = 300) -> None:
        region = self.integers(0, 2)
        offset, count = random_access(self, self.windows[region], longest)
        self.askers[name].send(region, offset, count)
        parts = splits(self, self.windows[region].base, offset, count)
        cover_asker((name, {1: "1", 2: "2"}.get(len(parts), "more")))
        end = self.windows[region].base + offset + count
        start = end - count
        crosses = start // 4096 != (end - 1) // 4096
        cover_page("crosses it" if crosses else "ends at it" if end % 4096 == 0 else "elsewhere")

    async def reset_all(self) -> None:
        """A reset with the bus idle, as every start of the NPU makes it. Memory and askers go on."""
        for asker in self.askers.values():
            asker.requests.withdraw()
            asker.expected.clear()
        self.dut.rst.value = 1
        self.ports.halt.set(0)
        await self.clocks(3)
        self.dut.rst.value = 0
        for asker in self.askers.values():
            asker.error = None
        await self.clocks(2)

    async def settled(self, limit: int = 30_000) -> None:
        await self.until(lambda: all(asker.idle for asker in self.askers.values()), limit, "all data")
        await self.clocks(10)
        assert self.ports.idle.get() and all(asker.error is None for asker in self.askers.values())


@testcase(ReadBench)
async def random_reads(bench: ReadBench) -> None:
    """All askers at once, each with its own data in order, with the bus and the askers pausing in each way."""
    bench.begin()
    for style in STYLES:
        for part in range(3):
            styles = ["never", "never", "never"]
            styles[part] = style
            bench.pause(*styles)
            for _ in range(bench.count(3)):
                for name in ASKERS:
                    bench.send(name)
            await bench.settled()
    assert bench.beats == sum(asker.taken for asker in bench.askers.values())


@testcase(ReadBench)
async def little_room(bench: ReadBench) -> None:
    """Nothing is asked for that its asker has no room for; the others are not held up."""
    burst = bench.config.burst_beats
    bench.begin((burst, burst, burst))
    bench.pause("rarely", "never", "never")
    for _ in range(bench.count(5)):
        for asker in ASKERS:
            bench.send(asker)
    await bench.settled()
    cover_full("exactly a burst")
    for asker in bench.askers.values():  # less than a burst, but enough
        asker.room = bench.integers(1, burst)
        await bench.until(lambda asker=asker: not asker.held, 400, "room")
        await bench.clocks(3)
        asker.send(0, 0, asker.room * bench.config.bus_bytes)
        await bench.settled(100)
        asker.room = burst
    # One without room for a whole burst gets nothing, until it has.
    poor = bench.askers["load"]
    poor.room = burst - 1
    await bench.clocks(3)
    bench.askers["load"].send(0, 0, burst * bench.config.bus_bytes)
    for _ in range(4):
        bench.send("fetch")
        bench.send("weight")
    before = poor.taken
    await bench.until(lambda: bench.askers["fetch"].idle and bench.askers["weight"].idle, 9000, "the others")
    assert poor.taken == before or burst == 1
    cover_full("less than a burst")
    poor.room = 2 * burst
    await bench.settled()
    cover_full("plenty")


@testcase(ReadBench)
async def outstanding(bench: ReadBench) -> None:
    """As many bursts as allowed are on their way, no more; a beat a cycle through them."""
    bench.begin()
    config = bench.config
    bench.memory.set_paces({"r": lambda: False})
    bench.askers["load"].send(0, 0, 0x1000)
    bench.askers["weight"].send(0, 0x1000, 0x1000)
    await bench.clocks(8 * config.outstanding_reads + 60)
    # Address phases that the memory has taken, and those that wait in the block's own buffers.
    most = len(bench.memory.reads)
    assert most <= config.outstanding_reads
    cover_outstanding("as many as allowed" if most == min(config.outstanding_reads, 4) or most >= 3 else "one")
    assert not bench.ports.idle.get()
    bench.memory.set_paces({"r": lambda: True})
    await bench.settled(90_000)
    cover_outstanding("one")


@testcase(ReadBench)
async def large_requests(bench: ReadBench) -> None:
    """Of requests of any size, up to the last byte of a window of any size, the first bursts; one byte more is
    refused."""
    axi = bench.ports.axi
    for turn in range(bench.count(50)):
        access = large_access(bench, turn)
        bench.windows = access.windows
        set_windows(bench.ports.regions, bench.windows)
        bench.content = Everywhere(bench)
        bench.ask()
        asker, taken = bench.askers[bench.choose(*ASKERS)], []
        asker.ask(access.region, access.offset, access.count)
        axi.arready.set(1)
        for _ in range(16):
            await bench.clocks()
            if axi.arvalid.get():
                taken.append((axi.araddr.get(), axi.arlen.get() + 1))
        access.check(bench, taken, asker.error)
        await bench.restart()


@testcase(ReadBench)
async def priorities(bench: ReadBench) -> None:
    """fetch goes before load, load before weight, but weight has its turn after three bursts of load."""
    bench.begin()
    beat, burst = bench.config.bus_bytes, bench.config.burst_beats
    size = 8 * beat * burst
    blocked = {"ar": False}
    bench.memory.set_paces({"ar": lambda: blocked["ar"]})
    await bench.clocks(4)
    for name, offset in (("weight", 0), ("load", 0x2000), ("fetch", 0x4000)):
        bench.askers[name].send(0, offset, min(size, 0x1000))
    await bench.clocks(30)
    blocked["ar"] = True
    await bench.settled(90_000)
    order = [(address - bench.base) // 0x2000 for address, _ in bench.memory.reads]  # 0 weight, 1 load, 2 fetch
    rest = order[4:]  # the first ones were chosen before all had asked
    last_fetch = max((i for i, who in enumerate(rest) if who == 2), default=-1)
    if 2 in rest:
        assert all(who == 2 for who in rest[: last_fetch + 1]), f"fetch waited: {order}"
        cover_order("fetch before load")
    both = rest[last_fetch + 1 :]
    while both and both[-1] != 0:
        both.pop()
    run = 0
    for place, who in enumerate(both):
        if 1 not in both[place:]:
            break
        if who == 1:
            run += 1
            cover_order("load before weight")
            assert run <= 3, f"weight waits for too many bursts of load: {order}"
        else:
            cover_order("weight after three of load" if run == 3 else None)
            run = 0


@testcase(ReadBench)
async def turns(bench: ReadBench) -> None:
    """An access of weight may say that it goes before load, or only where load asks for nothing."""
    for turn, first in ((Turn.FIRST, "weight"), (Turn.LAST, "load")):
        bench.begin()
        size = 8 * bench.config.bus_bytes * bench.config.burst_beats
        blocked = {"ar": False}
        bench.memory.set_paces({"ar": lambda blocked=blocked: blocked["ar"]})
        await bench.clocks(4)
        bench.askers["weight"].turn = turn
        for name, offset in (("weight", 0), ("load", 0x2000)):
            bench.askers[name].send(0, offset, min(size, 0x1000))
        await bench.clocks(30)
        blocked["ar"] = True
        await bench.settled(90_000)
        order = ["weight" if address < bench.base + 0x2000 else "load" for address, _ in bench.memory.reads]
        # The first ones were chosen before both had asked.
        mine = [place for place, who in enumerate(order) if who == first and place >= 4]
        others = [place for place, who in enumerate(order) if who != first and place >= 4]
        assert not mine or not others or mine[-1] < others[0], f"{turn.name}: {order}"
        cover_order({"weight": "weight always", "load": "weight never"}[first] if mine and others else None)
        await bench.restart()


@testcase(ReadBench)
async def errors(bench: ReadBench) -> None:
    """A failing beat, or an access outside, is told to its asker, with the burst's address; others go on."""
    beat = bench.config.bus_bytes
    bench.begin()
    for name in ASKERS * bench.count(2):
        for what in ("READ_SLVERR", "READ_DECERR", "OUTSIDE_REGION"):
            asker = bench.askers[name]
            bench.memory.fail.clear()
            bench.move()
            for other in ASKERS:
                bench.send(other, 100)
            await bench.settled()
            count = bench.integers(beat, 40 * beat)
            offset = SIZE - count + 1 if what == "OUTSIDE_REGION" else bench.integers(0, SIZE - count)
            address = bench.base + offset
            if what == "OUTSIDE_REGION":
                asker.ask(0, offset, count)
            else:
                failing = (address + bench.integers(0, count - 1)) // beat * beat
                bench.memory.fail[failing] = AxiResp.SLVERR if what == "READ_SLVERR" else AxiResp.DECERR
                parts = splits(bench, bench.base, offset, count)
                address = next(start for start, beats in parts if start <= failing < start + beats * beat)
                asker.send(0, offset, count)
            await bench.until(lambda asker=asker: asker.error is not None, 900, what)
            assert asker.error == (ErrorCode[what], address), f"{asker.error} instead of {(ErrorCode[what], address)}"
            for other in ASKERS:
                assert other == name or bench.askers[other].error is None, f"{other} hears of the error of {name}"
            cover_error((name, what))
            await bench.until(lambda: bool(bench.ports.idle.get()), 900, "idle")
            await bench.reset_all()


@testcase(ReadBench)
async def everywhere(bench: ReadBench) -> None:
    """Anywhere in the address space, on a bus without a memory: as many bursts as allowed are on their way, exactly,
    whoever asks; each is one that its asker needs next, and its data finds him, with room of any size."""
    axi, beat, most = bench.ports.axi, bench.config.bus_bytes, bench.config.outstanding_reads
    longest = bench.config.burst_beats
    for number in range(bench.count(6)):
        size = bench.integers(0x100, 0x2000)
        room = ((1 << bench.config.address_width) - size) // 16
        bench.windows = [Window(16 * bench.integers(0, room), size) for _ in range(4)]
        set_windows(bench.ports.regions, bench.windows)
        bench.content = Everywhere(bench)
        little = [bench.choose(longest, longest + 1, bench.integers(longest, 3 * longest)) for _ in ASKERS]
        plenty = [max(most * longest, 1 << bench.integers(7, 15)) for _ in ASKERS]
        fetch, load, weight = (
            (bench.choose(*some) for some in zip(little, plenty, strict=True)) if number % 2 else plenty
        )
        bench.ask((fetch, load, weight), bench.choose(*STYLES))
        wanted: dict[str, deque[tuple[int, int]]] = {name: deque() for name in ASKERS}
        order = bench.rng.permutation(4).tolist()  # nobody shares a region: a burst's address tells whose it is
        regions = {"fetch": order[:1], "load": order[1:2], "weight": order[2:]}
        for _ in range(bench.count(8)):
            for name in ASKERS:
                region = bench.choose(*regions[name])
                count = bench.choose(1, bench.integers(1, 5 * beat), bench.integers(1, 0x100))
                offset = bench.choose(0, size - count, bench.integers(0, size - count))
                bench.askers[name].turn = bench.integers(0, 2)
                bench.askers[name].send(region, offset, count)
                wanted[name] += splits(bench, bench.windows[region].base, offset, count)
        coming: deque[tuple[int, bool]] = deque()  # beats on their way, and whether each is the last of its burst
        paces = [bench.pace() for _ in range(2)]
        out = quiet = 0
        offering, held = False, True
        while any(wanted.values()) or coming:
            held = held and out < most and any(wanted.values()) and quiet < 60
            if not offering and coming and not held and paces[1]():
                offering = True
            axi.rvalid.set(int(offering))
            if offering:
                address, last = coming[0]
                axi.rdata.set_bits(int.from_bytes(bench.content.load(address, beat), "little"))
                axi.rlast.set(int(last))
            else:
                bench.randomise(axi.rdata, axi.rlast)
            axi.arready.set(int(paces[0]()))
            await bench.clocks()
            quiet += 1
            assert quiet < 500, "nothing goes on"
            if bench.ports.idle.get():
                assert not out and not axi.arvalid.get(), "idle, but something is on its way"
            if offering and axi.rready.get():
                offering, quiet = False, 0
                out -= coming.popleft()[1]
                held = bench.chance(0.02)
            if axi.arvalid.get() and axi.arready.get():
                burst = axi.araddr.get(), axi.arlen.get() + 1
                quiet = 0
                asker = next((name for name in ASKERS if wanted[name] and wanted[name][0] == burst), None)
                assert asker is not None, f"{burst} is what nobody asked for"
                wanted[asker].popleft()
                coming += [(burst[0] + n * beat, n == burst[1] - 1) for n in range(burst[1])]
                out += 1
                assert out <= most, "more bursts on their way than allowed"
                cover_outstanding("as many as allowed" if out == most else None)
        axi.rvalid.set(0)
        await bench.settled()
        await bench.restart()


@testcase(ReadBench)
async def halt(bench: ReadBench) -> None:
    """While halted no burst is issued, what is on its way is taken and dropped, then the manager is idle."""
    bench.begin()
    for _ in range(bench.count(6)):
        bench.pause("never", bench.choose(*STYLES[:3]), "never")
        for name in ASKERS:
            bench.askers[name].send(0, bench.integers(0, 0x4000), 0x600)
        await bench.clocks(bench.integers(5, 60))
        bench.halted = True
        bench.ports.halt.set(1)
        await bench.clocks(3)
        taken = [asker.taken for asker in bench.askers.values()]
        await bench.until(lambda: bool(bench.ports.idle.get()), 3000, "idle")
        issued = len(bench.memory.reads)
        await bench.clocks(30)
        assert len(bench.memory.reads) == issued and bench.ports.idle.get()
        assert taken == [asker.taken for asker in bench.askers.values()], "data was handed on while halted"
        await bench.reset_all()
        bench.halted = False
        for name in ASKERS:
            bench.send(name)
        await bench.settled()
