"""The sequencer: each word to its unit's queue, the end of the program, and programs that are none."""

from __future__ import annotations

import numpy as np
from common.bench import Bench, testcase
from common.coverage import Cover
from common.managers import ReadManagerModel, far_origin
from common.pauses import STYLES, make_pace
from common.scoreboard import Scoreboard
from common.streams import Sink

from tensaw.spec.isa import END_WORD, Unit, encode
from tensaw.spec.registers import ErrorCode

UNITS = (Unit.WEIGHT, Unit.LOAD, Unit.ARRAY, Unit.OUTPUT, Unit.STORE)
NAMES = tuple(unit.name for unit in UNITS)

COVER = Cover("sequencer")
cover_stall = COVER.cross("stall", NAMES + ("memory",), STYLES)
cover_after = COVER.cross("word after word", NAMES, NAMES)
cover_queue = COVER.cross("queue", NAMES, ("empty", "full"))
cover_end = COVER.point("end waits for", ("queue", "unit", "bus", "nothing"))
cover_error = COVER.point("error", (
    "no unit", "unit 15", "CONTROL, no END", "END with bits", "no end", "empty program", "fetch",
))  # fmt: skip

SIZE = 1 << 14


class SequencerBench(Bench):
    """Plays registers, read manager and the five units."""

    def prepare(self) -> None:
        self.regions = [self.bytes(SIZE)]
        self.boards = [Scoreboard(name) for name in NAMES]
        self.origin = far_origin(self, SIZE)

    def begin(self, memory: str = "never", units: dict[str, str] | None = None) -> None:
        ports, rng = self.ports, self.rng
        paces = make_pace(rng, "never"), make_pace(rng, memory)
        self.manager = ReadManagerModel(self, ports.read, self.regions, *paces, self.origin)
        self.sinks = []
        for unit, board in zip(UNITS, self.boards, strict=True):
            style = (units or {}).get(unit.name, "never")
            port = getattr(ports, unit.name.lower())
            self.sinks.append(Sink(self, port, make_pace(rng, style), board.check))
            cover_stall((unit.name, style))
        cover_stall(("memory", memory))
        ports.bus_idle.set(1)

    async def start_program(self, words: list[int], count: int | None = None) -> None:
        content = np.array(words + [0] * (len(words) % 2), "<u8").view(np.uint8)
        offset = 16 * self.integers(0, (SIZE - len(content)) // 16)
        self.regions[0][offset : offset + len(content)] = content
        ports = self.ports
        ports.program_offset.set(self.origin + offset)
        ports.program_bytes.set(len(content) if count is None else count)
        ports.start.set(1)
        await self.clocks()
        ports.start.set(0)

    def word(self, unit: Unit) -> int:
        """Any bits: the unit itself decides whether they are a command."""
        return int(unit) << 60 | int(self.rng.integers(1 << 60))

    def program(self, length: int) -> list[int]:
        """Random words for all units, expected there, and the end."""
        words: list[int] = []
        before = None
        while len(words) < length:
            number = self.integers(0, 4)
            for _ in range(self.choose(1, 1, 2, 5)):
                words.append(self.word(UNITS[number]))
                self.boards[number].expect(words[-1])
                cover_after((before, NAMES[number]) if before else None)
                before = NAMES[number]
        return [*words, encode("CONTROL.END", tag=self.integers(0, 0xFFFF))]

    @property
    def left(self) -> int:
        return sum(board.left for board in self.boards)

    async def ended(self) -> None:
        await self.until(lambda: bool(self.ports.done.get()), 30_000, "done")
        assert not self.left, "done before all words were taken"
        assert not self.ports.fetch_error.valid.get() and not self.ports.error.valid.get()


@testcase(SequencerBench)
async def random_programs(bench: SequencerBench) -> None:
    """Words of all units in any mixture, with each unit and the memory pausing in each way."""
    for style in STYLES:
        for part in (*NAMES, "memory"):
            bench.begin(style if part == "memory" else "never", {part: style})
            await bench.start_program(bench.program(bench.count(30)))
            await bench.ended()
            await bench.restart()


@testcase(SequencerBench)
async def full_queues(bench: SequencerBench) -> None:
    """A full queue stops the words behind it, loses none, and shows how many wait."""
    depth = bench.config.queue_depth
    for number, name in enumerate(NAMES):
        bench.begin()
        bench.sinks[number].pace = lambda: False
        words = [bench.word(UNITS[number]) for _ in range(depth + 5)]
        bench.boards[number].expect(*words)
        last = bench.word(UNITS[(number + 1) % 5])
        bench.boards[(number + 1) % 5].expect(last)
        await bench.start_program([*words, last, END_WORD])
        await bench.clocks(2 * depth + 60)
        queued = bench.ports.queued.get()[number]
        assert queued == min(depth, 255) and bench.boards[(number + 1) % 5].left == 1, f"{name}: {queued} queued"
        cover_queue((name, "full"))
        bench.sinks[number].pace = lambda: True
        await bench.ended()
        assert not bench.ports.queued.get().any()
        cover_queue((name, "empty"))
        await bench.restart()


@testcase(SequencerBench)
async def two_full_queues(bench: SequencerBench) -> None:
    """A full queue does not hold up words for another unit in front of it, nor lets it take more than it has room."""
    depth = bench.config.queue_depth
    for one in range(5):
        for other in range(5):
            if one == other:
                continue
            bench.begin()
            bench.sinks[one].pace = bench.sinks[other].pace = lambda: False
            words = [bench.word(UNITS[number]) for number in [one] * depth + [other] * (depth + 2)]
            for word in words:
                bench.boards[UNITS.index(Unit(word >> 60))].expect(word)
            await bench.start_program([*words, END_WORD])
            await bench.clocks(2 * depth + 30)
            queued = bench.ports.queued.get()
            assert queued[one] == queued[other] == min(depth, 255), f"{queued} queued"
            bench.sinks[one].pace = bench.sinks[other].pace = lambda: True
            await bench.ended()
            await bench.restart()


@testcase(SequencerBench)
async def the_end_waits(bench: SequencerBench) -> None:
    """``done`` only when all queues are empty and all units and the bus are idle, and then for good."""
    ports = bench.ports
    for what in ("queue", "unit", "bus", "nothing"):
        for number in range(5):
            bench.begin()
            program = bench.program(9)
            if what == "queue":
                if not bench.boards[number].left:
                    program.insert(0, bench.word(UNITS[number]))
                    bench.boards[number].expect(program[0])
                bench.sinks[number].pace = lambda: False
            ports.units_busy.set((1 << number) * (what == "unit"))
            ports.bus_idle.set(int(what != "bus"))
            await bench.start_program(program)
            if what != "nothing":
                await bench.clocks(100)
                assert not ports.done.get()
                bench.sinks[number].pace = lambda: True
                ports.units_busy.set(0)
                ports.bus_idle.set(1)
                for _ in range(3):  # idle for a moment only: not the end
                    await bench.clocks(bench.integers(1, 4))
                    ports.units_busy.set(1 << bench.integers(0, 4))
                    await bench.clocks(2)
                    assert not ports.done.get()
                    ports.units_busy.set(0)
            await bench.ended()
            cover_end(what)
            await bench.clocks(4)
            assert ports.done.get(), "done is held"
            await bench.restart()
            assert not ports.done.get()


@testcase(SequencerBench)
async def errors(bench: SequencerBench) -> None:
    """What is wrong with a program is reported, with the word; nothing is handed out after it."""
    ports = bench.ports
    kinds = "no unit", "unit 15", "CONTROL, no END", "END with bits", "no end", "empty program", "fetch"
    bits = 0
    for number, what in enumerate(kind for kind in kinds for _ in range(2)):
        bits = bits ^ (1 << 54) - 1 if number % 2 else bench.integers(0, (1 << 54) - 1)  # each bit is seen both ways
        bench.begin()
        words = bench.program(6)[:-1]
        bad, error, code = 0, ports.fetch_error, ErrorCode.ILLEGAL_COMMAND
        if what == "no unit":
            bad = bench.choose(0, *range(7, 15)) << 60 | bench.integers(0, 63) << 54 | bits
        elif what == "unit 15":
            bad = 63 * (1 - number % 2) << 54 | 15 << 60 | bits
        elif what == "CONTROL, no END":
            bad, error = int(Unit.CONTROL) << 60 | bench.integers(1, 63) << 54 | bits, ports.error
        elif what == "END with bits":
            bad, error = END_WORD | 1 << bench.choose(16, 53, bench.integers(16, 53)), ports.error
        elif what in ("no end", "empty program"):
            code = ErrorCode.NO_END
            words = [] if what == "empty program" else words + [bench.word(Unit.LOAD)] * (len(words) % 2)
            for board in bench.boards:
                board._expected.clear()
            for word in words:
                bench.boards[UNITS.index(Unit(word >> 60))].expect(word)
        else:
            code = ErrorCode.READ_DECERR
        if code == ErrorCode.ILLEGAL_COMMAND:
            words += [bad, bench.word(Unit.LOAD), bench.word(Unit.STORE), END_WORD]
        if what == "fetch":
            bench.regions[0] = bench.regions[0][:16]
            bench.boards[0]._expected.clear()
            ports.program_bytes.set(32)
            ports.start.set(1)
            await bench.clocks()
            ports.start.set(0)
            code = ErrorCode.OUTSIDE_REGION
            for board in bench.boards:
                board._expected.clear()
        else:
            await bench.start_program(words)
        await bench.until(lambda error=error: bool(error.valid.get()), 300, what)
        await bench.clocks(20)
        assert error.valid.get() and error.code.get() == code, f"{what}: {ErrorCode(error.code.get()).name}"
        if code == ErrorCode.ILLEGAL_COMMAND:
            assert error.address.get() == bad, what
        if what == "fetch":
            for address in (bits, bits ^ (1 << 64) - 1):  # a region may lie anywhere
                ports.read.error.address.set(address)
                await bench.clocks()
                assert error.address.get() == address
        for board in bench.boards:
            board.finish()
        assert not ports.done.get()
        other = ports.error if error is ports.fetch_error else ports.fetch_error
        assert not other.valid.get()
        cover_error(what)
        await bench.restart()


@testcase(SequencerBench)
async def halt(bench: SequencerBench) -> None:
    """While halted no word is handed out and none goes into a queue; afterwards none is missing."""
    ports = bench.ports
    for _ in range(bench.count(4)):
        bench.begin("rarely")
        await bench.start_program(bench.program(40))
        for _ in range(4):
            await bench.clocks(bench.integers(1, 25))
            ports.halt.set(1)
            await bench.clocks(2)
            left, queued = bench.left, ports.queued.get().tolist()
            await bench.clocks(20)
            assert bench.left == left and ports.queued.get().tolist() == queued
            ports.halt.set(0)
        await bench.ended()
        await bench.restart()
