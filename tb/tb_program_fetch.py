"""The program fetch: every word of the program once, in order, ahead of its use."""

from __future__ import annotations

from cocotb.handle import Force, Release
from common.bench import Bench, testcase
from common.coverage import Cover
from common.long_runs import edge_number
from common.managers import ReadManagerModel, far_origin
from common.pauses import STYLES, make_pace
from common.scoreboard import Scoreboard
from common.streams import Sink, Source

from tensaw.spec.registers import ErrorCode

COVER = Cover("program_fetch")
cover_words = COVER.point("words", ("0", "2", "as many as the buffer", "more"))
cover_stall = COVER.cross("stall", ("requests", "data", "words"), STYLES)
cover_error = COVER.point("error", (
    "offset", "length", "length too large", "beyond the region", "READ_SLVERR", "READ_DECERR",
))  # fmt: skip

SIZE = 1 << 13


class FetchBench(Bench):
    """Plays registers, read manager and sequencer."""

    def prepare(self) -> None:
        self.regions = [self.bytes(SIZE)]
        self.board = Scoreboard("words")
        self.origin = far_origin(self, SIZE)

    def begin(self, requests: str = "never", data: str = "never", words: str = "never") -> None:
        ports, rng = self.ports, self.rng
        paces = make_pace(rng, requests), make_pace(rng, data)
        self.manager = ReadManagerModel(self, ports.read, self.regions, *paces, self.origin)
        self.sink = Sink(self, ports.words, make_pace(rng, words), self.board.check)
        for part, style in (("requests", requests), ("data", data), ("words", words)):
            cover_stall((part, style))

    async def go(self, offset: int, count: int) -> None:
        ports = self.ports
        ports.offset.set(self.origin + offset)
        ports.bytes.set(count)
        assert not ports.exhausted.get()
        ports.start.set(1)
        await self.clocks()
        ports.start.set(0)

    async def one_word(self) -> None:
        """Take exactly one."""
        answers = [False, True]
        self.sink.pace = lambda: answers.pop() if answers else False
        await self.until(lambda: not answers, 9, "a word")

    async def program(self, words: int) -> None:
        offset = 16 * self.choose(0, (SIZE - 8 * words) // 16, self.integers(0, (SIZE - 8 * words) // 16))
        content = self.regions[0][offset : offset + 8 * words]
        self.board.expect(*content.view("<u8").tolist())
        await self.go(offset, 8 * words)
        await self.until(lambda: not self.board.left, 20_000, "all words")
        await self.clocks(3)
        assert self.ports.exhausted.get() and not self.ports.error.valid.get() and self.manager.idle
        depth = max(16, 2 * self.config.burst_beats) * self.config.bus_bytes // 8
        names = {0: "0", 2: "2", depth: "as many as the buffer"}
        cover_words(names.get(words, "more" if words > depth else None))


@testcase(FetchBench)
async def random_programs(bench: FetchBench) -> None:
    """Programs of all lengths, with each neighbour pausing in each way; a reset before each, as the NPU has it."""
    depth = max(16, 2 * bench.config.burst_beats) * bench.config.bus_bytes // 8
    for style in STYLES:
        for part in ("requests", "data", "words"):
            bench.begin(**{part: style})
            await bench.program(2 * bench.integers(1, depth))
            await bench.restart()
    for words in (0, 2, depth, 4 * depth + 2):
        bench.begin(*(bench.choose(*STYLES) for _ in range(3)))
        await bench.program(words)
        await bench.restart()


@testcase(FetchBench)
async def long_programs(bench: FetchBench) -> None:
    """Programs of any length are asked for whole, and ``exhausted`` is not told within their first words."""
    ports = bench.ports
    beat = bench.config.bus_bytes
    for _ in range(bench.count(60)):
        count, offset = 16 * edge_number(bench, 24), 16 * bench.integers(0, (1 << 28) - 1)
        beats = [int.from_bytes(bench.rng.bytes(beat), "little") for _ in range(min(count // beat, 6))]
        bench.board.expect(*(beat_ >> bits & (1 << 64) - 1 for beat_ in beats for bits in range(0, 8 * beat, 64)))
        Sink(bench, ports.words, make_pace(bench.rng, "never"), bench.board.check)
        ports.offset.set(offset)
        ports.bytes.set(count)
        ports.start.set(1)
        await bench.clocks()
        ports.start.set(0)
        await bench.until(lambda: bool(ports.read.request.valid.get()), 9, "the request")
        assert ports.read.request.payload.get() | {"turn": 0} == {
            "region": 0,
            "offset": offset,
            "bytes": count,
            "turn": 0,
        }
        ports.read.request.ready.set(1)
        await bench.clocks()
        ports.read.request.ready.set(0)
        Source(bench, ports.read.data, make_pace(bench.rng, "never"), beats)
        await bench.until(lambda: not bench.board.left, 40, "the first words")
        await bench.clocks(2)
        assert ports.exhausted.get() == (len(beats) * beat == count), (
            f"exhausted after {len(beats)} beats of {count} bytes"
        )
        await bench.restart()


@testcase(FetchBench)
async def counts_any_length(bench: FetchBench) -> None:
    """What is left of a program is counted in all bits: put there by force, as no test's program is so long."""
    bench.begin()
    bench.sink.pace = lambda: False
    left, width = bench.dut.left, len(bench.dut.left)
    beat = bench.config.bus_bytes // 8
    bench.board.expect(*bench.regions[0][: 8 * 2 * beat * 2 * width].view("<u8").tolist())
    await bench.go(0, 8 * 2 * beat * 2 * width)
    await bench.clocks(40)
    for bit in range(width):
        for value in ((1 << bit) + 1, (1 << width) - 1 - (1 << bit)):
            value = max(value, 2) % (1 << width)
            left.value = Force(value)
            await bench.clocks(2)
            left.value = Release()
            await bench.clocks(1)
            for taken in range(3):
                found = int(bench.dut.left.value)
                assert found == value - taken, f"{found} beats are left instead of {value - taken}"
                if taken < 2:
                    for _ in range(beat):
                        await bench.one_word()
                    await bench.clocks(2)
    assert not bench.board.left


@testcase(FetchBench)
async def exhausted_with_the_last_word(bench: FetchBench) -> None:
    """``exhausted`` rises with the last word, not before."""
    bench.begin()
    bench.sink.pace = lambda: False
    bench.board.expect(*bench.regions[0][:48].view("<u8").tolist())
    await bench.go(0, 48)
    await bench.clocks(40)
    for left in range(5, -1, -1):
        assert not bench.ports.exhausted.get()
        await bench.one_word()
        await bench.clocks(3)
        assert bench.board.left == left
    assert bench.ports.exhausted.get()


@testcase(FetchBench)
async def a_word_a_cycle(bench: FetchBench) -> None:
    """Words come one a cycle where the memory gives them."""
    bench.begin()
    words = 100
    bench.board.expect(*bench.regions[0][: 8 * words].view("<u8").tolist())
    await bench.go(0, 8 * words)
    await bench.until(lambda: bench.sink.taken > 0, 50, "the first word")
    start = bench.cycle
    await bench.until(lambda: not bench.board.left, 999, "all words")
    assert bench.cycle - start <= words * 1.2 + 4


@testcase(FetchBench)
async def errors(bench: FetchBench) -> None:
    """Illegal places and lengths, and errors of the memory, are reported and held."""
    for what in ("offset", "length", "length too large", "beyond the region", "READ_SLVERR", "READ_DECERR"):
        bench.begin()
        offset, count, code = 64, 160, ErrorCode.ILLEGAL_VALUE
        if what == "offset":
            offset += bench.choose(1, 2, 4, 8)
        elif what == "length":
            count += bench.choose(1, 2, 4, 8)
        elif what == "length too large":
            count = 1 << bench.choose(28, 29, 30, 31)
        elif what == "beyond the region":
            offset, code = SIZE - 80, ErrorCode.OUTSIDE_REGION
        else:
            code = ErrorCode[what]
            bench.manager.fail = 0, 96, code
        bench.sink.receive = lambda word: None
        await bench.go(offset, count)
        error = bench.ports.error
        await bench.until(lambda error=error: bool(error.valid.get()), 99, what)
        assert error.code.get() == code
        if code != ErrorCode.ILLEGAL_VALUE:
            assert error.address.get() == (96 if what.startswith("READ") else offset)
            address = int.from_bytes(bench.rng.bytes(8), "little")
            for one in (address, ~address & (1 << 64) - 1):  # a region may lie anywhere
                bench.ports.read.error.address.set(one)
                await bench.clocks()
                assert error.address.get() == one
        else:
            await bench.clocks(30)
            assert error.valid.get() and not bench.manager.requests and not bench.ports.exhausted.get()
        cover_error(what)
        await bench.restart()
    bench.begin()
    await bench.program(4)
