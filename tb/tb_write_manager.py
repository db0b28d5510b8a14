"""The write manager: the store DMA's bytes over AXI4, with cocotbext-axi's memory behind it."""

from __future__ import annotations

from collections import deque

import numpy as np
from cocotbext.axi import AxiResp
from common.axi import AxiMemory
from common.bench import Bench, testcase
from common.coverage import Cover
from common.pauses import STYLES, make_pace
from common.regions import Window, anywhere, large_access, random_access, set_windows, splits
from common.streams import Source

from tensaw.spec.registers import ErrorCode

COVER = Cover("write_manager")
cover_bursts = COVER.point("bursts of a request", ("1", "2", "more"))
cover_lanes = COVER.cross("lanes", ("aligned", "later first"), ("to last", "earlier last"))
cover_single = COVER.point("one beat", ("whole", "first bytes", "last bytes", "inner bytes"))
cover_page = COVER.point("4 KiB boundary", ("crosses it", "ends at it", "elsewhere"))
cover_stall = COVER.cross("stall", ("aw", "w", "b", "data"), STYLES)
cover_error = COVER.point("error", ("WRITE_SLVERR", "WRITE_DECERR", "OUTSIDE_REGION", "not allowed"))
cover_halt = COVER.point("halted", ("beats owed", "nothing owed"))
cover_outstanding = COVER.point("outstanding", ("fewer", "as many as allowed"))
cover_answer = COVER.point("answer", ("OKAY", "SLVERR", "DECERR"))

START, SIZE, MEMORY = 0x1000, 0x6000, 0x8000
"""Of the largest window, in the memory; and bytes of the memory."""


class WriteBench(Bench):
    """The store DMA in front, a memory behind; every byte of the memory is compared, not only those written."""

    def begin(self) -> None:
        place = anywhere(self, MEMORY)
        self.base = place + START
        self.windows = [
            Window(self.base, SIZE),
            Window(self.base + 0x800, 0x2000),
            Window(self.base + 0x10, 0x4321),
            Window(0, 64, 1, 0),
        ]
        set_windows(self.ports.regions, self.windows)
        self.memory = AxiMemory(self, "axi_", MEMORY, place, read=False)
        self.golden = self.memory.content.copy()
        self.error: tuple[int, int] | None = None
        self.drive()

    def drive(self) -> None:
        """Give requests and data, and watch."""
        self.requests = Source(self, self.ports.store.request, make_pace(self.rng, "never"), early=True)
        self.data = Source(self, self.ports.store.data, make_pace(self.rng, "never"))
        self.bursts: list[int] = []
        self.beats = self.requested = self.due = self.acknowledged = self.issued = 0
        self.start_soon(self.watch())

    def move(self) -> None:
        """Memory and windows to another bus address, while nothing is under way."""
        place = int(self.rng.integers(((1 << self.config.address_width) - MEMORY) // 4096 + 1)) * 4096
        shift = place - self.memory.base
        self.base += shift
        self.memory.base = place
        self.windows = [*(Window(w.base + shift, w.size) for w in self.windows[:3]), Window(0, 64, 1, 0)]
        set_windows(self.ports.regions, self.windows)

    def pause(self, aw: str, w: str, b: str, data: str) -> None:
        paces = {"aw": make_pace(self.rng, aw), "w": make_pace(self.rng, w), "b": make_pace(self.rng, b)}
        self.memory.set_paces(paces)
        self.data.pace = make_pace(self.rng, data)
        for part, style in (("aw", aw), ("w", w), ("b", b), ("data", data)):
            cover_stall((part, style))

    async def watch(self) -> None:
        """Beats are counted as they go; ``done`` is 1 exactly while all bursts of the requests taken before have been
        acknowledged, ``idle`` while those that have been issued have."""
        dut, ports, error = self.dut, self.ports, self.ports.store.error
        request = ports.store.request
        while True:
            await self.edge
            beat = ports.beats.get()
            assert beat == (int(dut.axi__wvalid.value) and int(dut.axi__wready.value))
            self.beats += beat
            if error.valid.get() and self.error is None:
                self.error = error.code.get(), error.address.get()
            if self.error is None and not ports.halt.get() and not int(dut.rst.value):
                done = self.acknowledged == self.due
                assert ports.store.done.get() == done, f"{self.acknowledged} of {self.due} bursts are acknowledged"
                if ports.idle.get():
                    assert self.acknowledged == self.issued and not int(dut.axi__awvalid.value), (
                        "idle, but bursts are owed"
                    )
                else:
                    assert not done, "all is done, but not idle"
            self.acknowledged += int(dut.axi__bvalid.value) and int(dut.axi__bready.value)
            self.issued += int(dut.axi__awvalid.value) and int(dut.axi__awready.value)
            if request.valid.get() and request.ready.get() and self.requested < len(self.bursts):
                self.due += self.bursts[self.requested]
                self.requested += 1

    def send(self, region: int, offset: int, count: int) -> None:
        """A request into the memory."""
        base = self.windows[region].base
        content = self.give(region, offset, count)
        start = base + offset - self.memory.base
        self.golden[start : start + count] = content
        beat, lane = self.config.bus_bytes, (base + offset) % self.config.bus_bytes
        parts = splits(self, base, offset, count)
        cover_bursts({1: "1", 2: "2"}.get(len(parts), "more"))
        later, earlier = lane > 0, (lane + count) % beat > 0
        cover_lanes((("aligned", "later first")[later], ("to last", "earlier last")[earlier]))
        if lane + count <= beat:
            cover_single(("whole", "first bytes", "last bytes", "inner bytes")[earlier + 2 * later])
        start, end = base + offset, base + offset + count
        crosses = start // 4096 != (end - 1) // 4096
        cover_page("crosses it" if crosses else "ends at it" if end % 4096 == 0 else "elsewhere")

    def give(self, region: int, offset: int, count: int) -> np.ndarray:
        """A request and its beats, with rubbish in the lanes around its bytes."""
        beat, base = self.config.bus_bytes, self.windows[region].base
        content = self.bytes(count)
        lane = (base + offset) % beat
        padded = self.bytes(-(-(lane + count) // beat) * beat)
        padded[lane : lane + count] = content
        self.requests.send({"region": region, "offset": offset, "bytes": count})
        self.data.send(*(int.from_bytes(part.tobytes(), "little") for part in padded.reshape(-1, beat)))
        self.bursts.append(len(splits(self, base, offset, count)))
        return content

    def send_random(self, longest: int = 300) -> None:
        region = self.integers(0, 2)
        self.send(region, *random_access(self, self.windows[region], longest))

    async def settled(self, limit: int = 40_000) -> None:
        done = self.ports.store.done
        await self.until(lambda: self.requests.idle and self.data.idle, limit, "all data to be taken")
        await self.clocks(3)
        await self.until(lambda: bool(done.get()), limit, "done")
        assert self.ports.idle.get() and self.error is None
        wrong = np.flatnonzero(self.memory.content != self.golden)
        assert not len(wrong), f"{len(wrong)} bytes of the memory are wrong, the first at {wrong[0]:#x}"

    async def reset_all(self) -> None:
        """A reset with the bus idle, as every start of the NPU makes it."""
        self.requests.withdraw()
        self.data.withdraw()
        self.dut.rst.value = 1
        self.ports.halt.set(0)
        await self.clocks(3)
        self.dut.rst.value = 0
        self.error = None
        self.bursts.clear()
        self.requested = self.due = self.acknowledged = self.issued = 0
        self.golden = self.memory.content.copy()
        await self.clocks(2)


@testcase(WriteBench)
async def random_writes(bench: WriteBench) -> None:
    """Requests of all lengths and alignments, with every channel pausing in each way."""
    bench.begin()
    for style in STYLES:
        for part in range(4):
            styles = ["never", "never", "never", "never"]
            styles[part] = style
            bench.pause(*styles)
            for _ in range(bench.count(4)):
                bench.send_random()
            await bench.settled()
    assert bench.beats == sum(beats for _, beats in bench.memory.writes)


@testcase(WriteBench)
async def every_lane(bench: WriteBench) -> None:
    """One beat, from each lane to each: the other bytes of the word stay."""
    bench.begin()
    beat = bench.config.bus_bytes
    for first in range(beat):
        for last in range(first, beat) if beat == 8 else (first, beat - 1):
            bench.send(0, 0x200 + beat * bench.integers(0, 15) + first, last - first + 1)
    await bench.settled()


@testcase(WriteBench)
async def a_beat_a_cycle(bench: WriteBench) -> None:
    """Also from burst to burst; addresses run ahead."""
    bench.begin()
    count = 64 * bench.config.bus_bytes
    bench.send(0, 0, count)
    dut = bench.dut
    times = []

    async def watch() -> None:
        while True:
            await bench.edge
            if int(dut.axi__wvalid.value):
                times.append(bench.cycle)

    bench.start_soon(watch())
    await bench.settled()
    if bench.config.burst_beats >= 4:
        # cocotbext-axi takes W only behind its AW; beyond that nothing may be lost.
        assert times[-1] - times[0] + 1 <= 64 * 1.5 + 8


@testcase(WriteBench)
async def errors(bench: WriteBench) -> None:
    """A failing burst is told with its address, an access outside with its own; nothing is written outside."""
    beat = bench.config.bus_bytes
    bench.begin()
    for what in ("WRITE_SLVERR", "WRITE_DECERR", "OUTSIDE_REGION", "not allowed"):
        for _ in range(bench.count(3)):
            bench.move()
            bench.send_random(60)
            await bench.settled()
            bench.memory.fail.clear()
            region, count = 0, bench.integers(beat, 40 * beat)
            offset = bench.integers(0, SIZE - count)
            code, failing = ErrorCode.OUTSIDE_REGION, 0
            written = len(bench.memory.writes)
            if what == "OUTSIDE_REGION":
                offset = SIZE - count + 1
            elif what == "not allowed":
                region, offset, count = 3, 0, 8
            else:
                code = ErrorCode[what]
                resp = AxiResp.SLVERR if what == "WRITE_SLVERR" else AxiResp.DECERR
                failing = (bench.base + offset + bench.integers(0, count - 1)) // beat * beat
                bench.memory.fail[failing] = resp
            address = bench.windows[region].base + offset
            if code == ErrorCode.OUTSIDE_REGION:
                bench.requests.send({"region": region, "offset": offset, "bytes": count})
                bench.bursts.append(1)  # which never comes
            else:
                bench.send(region, offset, count)
                parts = splits(bench, bench.base, offset, count)
                address = next(start for start, beats in parts if start <= failing < start + beats * beat)
            await bench.until(lambda: bench.error is not None, 900, what)
            assert bench.error == (code, address), f"{bench.error} instead of {(code, address)}"
            assert code != ErrorCode.OUTSIDE_REGION or len(bench.memory.writes) == written
            await bench.until(lambda: bench.requests.idle and bench.data.idle, 900, "the other data")
            await bench.clocks(20)
            assert bench.ports.idle.get()
            cover_error(what)
            await bench.reset_all()


@testcase(WriteBench)
async def answers(bench: WriteBench) -> None:
    """Anywhere in the address space, on a bus without a memory: as many bursts as allowed wait for their answers, each
    answer is for the oldest one, and told with its address in the cycle after it if it is an error."""
    axi, beat = bench.ports.axi, bench.config.bus_bytes
    for _ in range(bench.count(6)):
        size = bench.integers(0x100, 0x2000)
        room = ((1 << bench.config.address_width) - size) // 16
        bench.windows = [Window(16 * bench.integers(0, room), size) for _ in range(4)]
        set_windows(bench.ports.regions, bench.windows)
        bench.error = None
        bench.drive()
        bursts: list[tuple[int, int]] = []
        written: list[tuple[int, bytes]] = []
        for _ in range(bench.count(25)):
            region, count = bench.integers(0, 3), bench.choose(1, bench.integers(1, 5 * beat), bench.integers(1, 0x100))
            offset = bench.choose(0, size - count, bench.integers(0, size - count))
            content, base = bench.give(region, offset, count), bench.windows[region].base
            bursts += splits(bench, base, offset, count)
            written += [(base + offset + at, bytes([byte])) for at, byte in enumerate(content)]
        wanted, bytes_wanted = deque(bursts), deque(written)
        waiting: deque[int] = deque()
        beats: deque[tuple[int, bool]] = deque()
        paces = [bench.pace() for _ in range(3)]
        told: tuple[int, int] | None = None
        quiet = 0
        while wanted or beats or waiting or told:
            held = len(waiting) < bench.constants["outstanding"] and wanted and quiet < 60  # let them fill
            answer, resp = 0, bench.choose(0, 0, 2, 3)
            if waiting and not beats and not held:
                answer = int(paces[2]())
            axi.bvalid.set(answer)
            axi.bresp.set(resp)
            axi.awready.set(int(paces[0]()))
            axi.wready.set(int(bool(beats) and paces[1]()))
            bench.error = None
            await bench.clocks()
            error = bench.ports.store.error
            found = (error.code.get(), error.address.get()) if error.valid.get() else None
            assert found == told, f"{found} is told instead of {told}"
            told = None
            quiet += 1
            if answer:
                address, quiet = waiting.popleft(), 0
                cover_answer(AxiResp(resp).name)
                if resp:
                    told = (ErrorCode.WRITE_SLVERR if resp == 2 else ErrorCode.WRITE_DECERR), address
            if axi.wvalid.get() and axi.wready.get():
                address, last = beats.popleft()
                quiet = 0
                assert axi.wlast.get() == last, f"wlast of the beat at {address:#x}"
                data, strobes = axi.wdata.bits().to_bytes(beat, "little"), axi.wstrb.get()
                for lane in range(beat):
                    if strobes >> lane & 1:
                        assert bytes_wanted.popleft() == (address + lane, data[lane : lane + 1]), f"{address + lane:#x}"
            if axi.awvalid.get() and axi.awready.get():
                burst = wanted.popleft()
                quiet = 0
                assert (axi.awaddr.get(), axi.awlen.get() + 1) == burst, f"{axi.awaddr.get():#x} instead of {burst}"
                beats += [(burst[0] + n * beat, n == burst[1] - 1) for n in range(burst[1])]
                waiting.append(burst[0])
                assert len(waiting) <= bench.constants["outstanding"]
                cover_outstanding("as many as allowed" if len(waiting) == bench.constants["outstanding"] else "fewer")
        axi.bvalid.set(0)
        assert not bytes_wanted
        await bench.clocks(3)
        await bench.restart()


@testcase(WriteBench)
async def large_requests(bench: WriteBench) -> None:
    """Of requests of any size, up to the last byte of a window of any size, the first bursts; one byte more is
    refused."""
    axi, store = bench.ports.axi, bench.ports.store
    for turn in range(bench.count(50)):
        access = large_access(bench, turn)
        bench.windows = access.windows
        set_windows(bench.ports.regions, bench.windows)
        requests = Source(bench, store.request, make_pace(bench.rng, "never"), early=True)
        requests.send({"region": access.region, "offset": access.offset, "bytes": access.count})
        axi.awready.set(1)
        taken, error = [], None
        for _ in range(16):
            await bench.clocks()
            if axi.awvalid.get():
                taken.append((axi.awaddr.get(), axi.awlen.get() + 1))
            if store.error.valid.get():
                error = store.error.code.get(), store.error.address.get()
        access.check(bench, taken, error)
        await bench.restart()


@testcase(WriteBench)
async def halt_pays_what_it_owes(bench: WriteBench) -> None:
    """Beats owed to bursts that have been issued are sent without strobes; then the manager is idle and a reset leads
    back."""
    bench.begin()
    for number in range(bench.count(6)):
        bench.pause("never", "never", bench.choose("never", "often"), "never")
        bench.data.pace = make_pace(bench.rng, "mostly" if number % 2 else "never")
        for place in range(3):  # apart, so that half of them done shows which bytes are whose
            bench.send(0, 0x800 * place + bench.integers(0, 0x600), bench.integers(1, 200))
        before = bench.memory.content.copy()
        await bench.clocks(bench.integers(6, 60))
        owed = not bench.ports.idle.get()
        cover_halt("beats owed" if owed else "nothing owed")
        bench.ports.halt.set(1)
        await bench.clocks(2)
        await bench.until(lambda: bool(bench.ports.idle.get()), 3000, "idle")
        issued = len(bench.memory.writes)
        await bench.clocks(30)
        assert len(bench.memory.writes) == issued and bench.ports.idle.get()
        content = bench.memory.content
        touched = np.flatnonzero(content != before)
        assert np.array_equal(content[touched], bench.golden[touched]), "bytes that nobody gave were written"
        await bench.reset_all()
        bench.send_random()
        await bench.settled()
    bench.ports.halt.set(1)
    cover_halt("nothing owed")
    await bench.clocks(20)
    assert bench.ports.idle.get()
