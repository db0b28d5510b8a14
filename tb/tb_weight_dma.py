"""The WEIGHT unit: a linear stream from memory into the ring, as far as there is room."""

from __future__ import annotations

import numpy as np
from common.bench import Bench, testcase
from common.commands import registers_of, words_of_run
from common.coverage import Cover
from common.managers import ReadManagerModel, far_origin, from_origin
from common.pauses import STYLES, Pace, make_pace
from common.streams import Sink, Source

from tensaw.spec.isa import Unit, encode
from tensaw.spec.registers import ErrorCode

COVER = Cover("weight_dma")
cover_beats = COVER.point("beats of a run", ("1", "2", "a burst", "a burst and one", "more"))
cover_stall = COVER.cross("stall", ("requests", "data", "ring"), STYLES)
cover_state = COVER.point("state", ("idle", "running", "bus", "room"))
cover_error = COVER.point("error", (
    "no such turn", "no bytes", "bytes not aligned", "offset not aligned", "beyond the region", "no region",
    "READ_SLVERR", "READ_DECERR", "ILLEGAL_COMMAND",
))  # fmt: skip
cover_large = COVER.point("large run", ("goes on", "the next one"))
cover_next = COVER.point("next run", ("asked for while data comes", "asked for later"))

SIZE = 1 << 13
IDLE, RUNNING, BUS, ROOM = 0, 1, 6, 7


class WeightBench(Bench):
    """Plays sequencer, read manager and ring. What reaches the ring is compared with memory, beat by beat."""

    def prepare(self) -> None:
        self.regions = [self.bytes(SIZE) for _ in range(4)]
        self.origin = far_origin(self, SIZE)
        self.expected = np.zeros(0, np.uint8)
        self.arrived = 0
        self.drained = 0
        self.turns: list[int] = []
        self.capacity = 3 * self.config.burst_beats

    def begin(self, requests: str = "never", data: str = "never", ring: str = "never") -> None:
        ports, rng = self.ports, self.rng
        self.manager = ReadManagerModel(
            self, ports.read, self.regions, make_pace(rng, requests), make_pace(rng, data), self.origin
        )
        self.words = Source(self, ports.words, self.pace("never", "rarely"))
        self.start_soon(self.ring(make_pace(rng, ring)))
        for part, style in (("requests", requests), ("data", data), ("ring", ring)):
            cover_stall((part, style))

    async def ring(self, pace: Pace) -> None:
        """Room for some bursts, emptied at a pace."""
        ports, beat = self.ports, self.config.bus_bytes
        ports.ring.ready.set(1)
        names = {IDLE: "idle", RUNNING: "running", BUS: "bus", ROOM: "room"}
        while True:
            held = self.arrived - self.drained
            space = self.capacity - held
            ports.space.set(space)
            await self.edge
            state = ports.state.get()
            cover_state(names.get(state))
            assert (state == RUNNING) == (ports.ring.valid.get() and ports.ring.ready.get()), "state of a beat"
            if state in (ROOM, BUS):
                assert (state == ROOM) == (space < self.config.burst_beats), "state of the room"
            if state != IDLE:
                assert ports.busy.get(), "idle, but under way"
            if held and pace():
                self.drained += 1
            if ports.ring.valid.get():
                assert held < self.capacity, "a beat for which there is no room"
                found = np.frombuffer(ports.ring.payload.bits().to_bytes(beat, "little"), np.uint8)
                wanted = self.expected[self.arrived * beat : (self.arrived + 1) * beat]
                assert np.array_equal(found, wanted), f"beat {self.arrived}: {found} instead of {wanted}"
                self.arrived += 1

    def run(self, beats: int, tag: int = 0) -> tuple[int, int]:
        """A run of so many beats from a random place; region and offset."""
        beat = self.config.bus_bytes
        region, offset = (
            self.integers(0, 3),
            self.choose(0, SIZE // beat - beats, self.integers(0, SIZE // beat - beats)),
        )
        turn = self.integers(0, 2)
        self.turns.append(turn)
        registers = registers_of(Unit.WEIGHT, {
            "MEMORY": {"region": region, "offset": offset * beat},
            "RUN": {"tag": tag, "bytes": beats * beat, "turn": turn},
        })  # fmt: skip
        self.words.send(*words_of_run(Unit.WEIGHT, from_origin(registers, self.origin)))
        content = self.regions[region][offset * beat : (offset + beats) * beat]
        self.expected = np.concatenate([self.expected, content])
        burst = self.config.burst_beats
        names = {burst + 1: "a burst and one", burst: "a burst", 1: "1", 2: "2"}
        cover_beats(names.get(beats, "more"))
        return region, offset * beat

    async def settled(self) -> None:
        total = len(self.expected) // self.config.bus_bytes
        await self.until(lambda: self.arrived == total, 30_000, "all beats")
        await self.clocks(6)
        assert self.arrived == total, f"{self.arrived} beats instead of {total}"
        assert self.manager.turns == self.turns[len(self.turns) - len(self.manager.turns) :], "turns of the accesses"
        assert not self.ports.busy.get() and self.words.idle and self.manager.idle
        assert not self.ports.error.valid.get()


def lengths(bench: WeightBench) -> int:
    burst = bench.config.burst_beats
    return bench.choose(1, 2, burst, burst + 1, bench.integers(3, 4 * burst))


@testcase(WeightBench)
async def random_runs(bench: WeightBench) -> None:
    """Runs of all lengths, with each neighbour pausing in each way; the ring never overflows."""
    for style in STYLES:
        for part in ("requests", "data", "ring"):
            bench.begin(**{part: style})
            for number in range(bench.count(7)):
                bench.run(lengths(bench), number)
            await bench.settled()
            await bench.restart()
    bench.begin(*(bench.choose(*STYLES[1:]) for _ in range(3)))
    for number in range(bench.count(12)):
        bench.run(lengths(bench), number)
    await bench.settled()


@testcase(WeightBench)
async def a_beat_a_cycle(bench: WeightBench) -> None:
    """Also from run to run: the next one is asked of the bus while the data of this one arrives."""
    bench.begin()
    bench.capacity = 10_000
    total = 0
    for number in range(6):
        bench.run(20, number)
        total += 20
    await bench.until(lambda: len(bench.manager.requests) == 2, 50, "two requests")
    cover_next("asked for while data comes" if bench.arrived < 20 else None)
    await bench.settled()
    times = bench.manager.beat_times
    assert times[-1] - times[0] + 1 <= total + 2
    bench.run(3)
    await bench.settled()
    cover_next("asked for later")


@testcase(WeightBench)
async def full_ring(bench: WeightBench) -> None:
    """With no room for a burst nothing comes, and the state says so; then it goes on."""
    bench.begin()
    bench.capacity = bench.config.burst_beats - 1
    bench.run(2 * bench.config.burst_beats, 5)
    await bench.clocks(60)
    assert not bench.arrived and bench.ports.state.get() == ROOM and bench.ports.tag.get() == 5
    bench.capacity = 3 * bench.config.burst_beats
    await bench.settled()
    assert bench.ports.state.get() == IDLE


@testcase(WeightBench)
async def large_runs(bench: WeightBench) -> None:
    """Anywhere and of any length: what is asked of memory, whose data is awaited, and that the next run has to wait."""
    ports, beat = bench.ports, bench.config.bus_bytes
    most = (1 << 28) // beat - 1
    for _ in range(bench.count(40)):
        few, space = bench.integers(1, 5), max(bench.config.burst_beats, 1 << bench.integers(0, 15))
        ports.space.set(space)
        runs = [registers_of(Unit.WEIGHT, {
            "MEMORY": {"region": bench.integers(0, 7), "offset": bench.integers(0, (1 << 32) // beat - 1) * beat},
            "RUN": {
                "tag": bench.integers(0, 0xFFFF), "turn": bench.integers(0, 2),
                "bytes": min(bench.choose(few, (1 << bench.integers(3, 24)) + few, bench.integers(1, most)), most)
                * beat,
            },
        }) for _ in range(3)]  # fmt: skip
        asked: list[dict[str, int]] = []
        Sink(bench, ports.read.request, bench.pace(), asked.append)
        Source(
            bench, ports.words, bench.pace("never"), [word for run in runs for word in words_of_run(Unit.WEIGHT, run)]
        )
        data = Source(bench, ports.read.data, bench.pace("never"))
        Sink(bench, ports.ring, bench.pace("never"), lambda word: None)
        await bench.until(lambda asked=asked: len(asked) == 2, 200, "two requests")
        await bench.clocks(2)
        beats = runs[0]["RUN"]["bytes"] // beat
        data.send(*range(min(beats, few)))
        await bench.until(lambda data=data: data.idle, 30, "the first beats")
        begun = beats <= few
        await bench.until(lambda asked=asked, begun=begun: len(asked) == 2 + begun, 200, "the next request")
        await bench.clocks(20)
        wanted = [run["MEMORY"] | {name: run["RUN"][name] for name in ("bytes", "turn")} for run in runs[: 2 + begun]]
        assert asked == wanted, f"{asked} instead of {wanted}"
        assert ports.busy.get() and ports.tag.get() == runs[begun]["RUN"]["tag"] and ports.state.get() == BUS
        assert ports.read.credit.get() == space
        ports.space.set(bench.integers(0, bench.config.burst_beats - 1))
        await bench.clocks(2)
        assert ports.state.get() == ROOM
        cover_large(("goes on", "the next one")[begun])
        await bench.restart()


@testcase(WeightBench)
async def errors(bench: WeightBench) -> None:
    """Everything that can be wrong with a run, or with the memory, is reported with the run's tag, and what the memory
    says with its address; also while the runs before it are under way."""
    beat = bench.config.bus_bytes
    for what in (
        "no such turn", "no bytes", "bytes not aligned", "offset not aligned", "beyond the region", "no region",
        "READ_SLVERR", "READ_DECERR", "ILLEGAL_COMMAND",
    ) * bench.count(2):  # fmt: skip
        bench.begin()
        bench.manager.elsewhere = int(bench.rng.integers(1 << 64, dtype=np.uint64))
        tags = bench.rng.permutation(1 << 16)[:3].tolist()
        lengths = [bench.integers(1, 12) for _ in range(3)]
        for number in range(2):
            bench.run(lengths[number], tags[number])
        tag = tags[2]
        if bench.chance(0.3):
            await bench.settled()
        lengths[2] += 1
        memory, count, code = {"region": 1, "offset": 4 * beat}, lengths[2] * beat, ErrorCode.ILLEGAL_VALUE
        if what == "no bytes":
            count = 0
        elif what == "bytes not aligned":
            count += 1 << bench.integers(0, beat.bit_length() - 2)
        elif what == "offset not aligned":
            memory["offset"] += 1 << bench.integers(0, beat.bit_length() - 2)
        elif what in ("beyond the region", "no region"):
            code = ErrorCode.OUTSIDE_REGION
            memory |= {"offset": SIZE - count + beat} if what != "no region" else {"region": 4}
        elif what.startswith("READ"):
            code = ErrorCode[what]
            bench.manager.fail_beat = bench.integers(bench.arrived, sum(lengths) - 1), code
        turn = 3 if what == "no such turn" else bench.integers(0, 2)
        registers = {"MEMORY": memory, "RUN": {"tag": tag, "bytes": count, "turn": turn}}
        words = words_of_run(Unit.WEIGHT, from_origin(registers, bench.origin))
        if what == "ILLEGAL_COMMAND":
            code, tag = ErrorCode.ILLEGAL_COMMAND, 0
            words = [encode("WEIGHT.MEMORY") | bench.integers(1 << 35, (1 << 54) - 1)]
        bench.words.send(*words)
        place = memory["region"], memory["offset"]
        bench.expected = np.concatenate([bench.expected, bench.regions[place[0] % 4][place[1] :][:8192]])
        error = bench.ports.error
        await bench.until(lambda error=error: bool(error.valid.get()), 500, what)
        address = words[0] if what == "ILLEGAL_COMMAND" else 0
        if bench.manager.told is not None:
            assert code == bench.manager.told[0], what
            address = bench.manager.told[1]
        if what.startswith("READ"):
            tag = tags[bench.manager.failed]
        found = error.code.get(), error.tag.get()
        assert found == (code, tag), f"{what}: {found} instead of {(code, tag)}"
        assert code == ErrorCode.ILLEGAL_VALUE or error.address.get() == address, what
        cover_error(what)
        await bench.restart()


@testcase(WeightBench)
async def halt_and_reset(bench: WeightBench) -> None:
    """While halted nothing is asked for; a reset ends a run at any time."""
    ports = bench.ports
    for number in range(bench.count(6)):
        bench.begin("never", bench.choose("never", "often"))
        ports.halt.set(1)
        bench.run(5)
        bench.run(30)
        await bench.clocks(15)
        assert not bench.manager.requests and ports.busy.get()
        ports.halt.set(0)
        await bench.clocks(2 * number + bench.integers(1, 9))
        await bench.restart()
        assert not ports.busy.get()
        bench.begin()
        bench.run(4)
        await bench.settled()
        await bench.restart()
