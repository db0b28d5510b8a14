"""The command port of a unit: words to registers and runs, and words that are none."""

from __future__ import annotations

from typing import Any

from common.bench import Bench, testcase
from common.coverage import Cover
from common.pauses import STYLES, make_pace
from common.scoreboard import Scoreboard
from common.streams import Sink, Source

from tensaw.spec.isa import PAYLOAD_BITS, Field, Unit, Word, encode, words_of
from tensaw.spec.registers import ErrorCode

COVER = Cover("command_port")
cover_field = COVER.cross("field", tuple(f"{unit.name}.{word.name}.{field.name}" for unit in (
    Unit.WEIGHT, Unit.LOAD, Unit.ARRAY, Unit.OUTPUT, Unit.STORE
) for word in words_of(unit) for field in word.fields), ("lowest", "highest"))  # fmt: skip
cover_stall = COVER.cross("stall", ("words", "runs"), STYLES)
cover_illegal = COVER.cross("illegal", tuple(unit.name for unit in Unit if unit != Unit.CONTROL), (
    "unknown code", "bit above the last field"
))  # fmt: skip

UNITS = {unit.name: unit for unit in Unit}


class PortBench(Bench):
    """A copy of the unit's registers beside the block; each offered run is compared with all of them."""

    def prepare(self) -> None:
        self.unit = Unit(self.constants["unit"])
        self.words = words_of(self.unit)
        self.board = Scoreboard("runs")
        self.shadow: dict[str, dict[str, int]] = {
            word.name.lower(): {field.name: 0 for field in word.fields} for word in self.words
        }

    def begin(self, words: str = "never", runs: str = "never") -> None:
        self.source = Source(self, self.ports.words, make_pace(self.rng, words))
        self.sink = Sink(self, self.ports.run, make_pace(self.rng, runs), self.board.check)
        cover_stall(("words", words))
        cover_stall(("runs", runs))

    def value(self, field: Field, word: Word) -> int:
        low, high = field.range
        chosen = self.choose(low, high, self.integers(low, high))
        if chosen in (low, high):
            name = f"{self.unit.name}.{word.name}.{field.name}"
            cover_field((name, "lowest" if chosen == low else "highest"))
        return chosen

    def send(self, word: Word) -> None:
        """A random word of this kind."""
        values = {field.name: self.value(field, word) for field in word.fields}
        self.source.send(encode(word.full_name, **values))
        self.shadow[word.name.lower()] = values
        if "tag" in values:
            expected: dict[str, Any] = {name: dict(fields) for name, fields in self.shadow.items()}
            self.board.expect({"action": int(word.name == "TABLE"), **expected})

    async def settled(self) -> None:
        await self.until(lambda: self.source.idle and not self.board.left, 9000, "all runs")
        assert not self.ports.error.valid.get() and not self.ports.busy.get()


@testcase(PortBench)
async def random_words(bench: PortBench) -> None:
    """Every word of the unit with extreme and random fields, in random order; a run shows all registers."""
    for style in STYLES:
        for words, runs in ((style, "never"), ("never", style)):
            bench.begin(words, runs)
            for number in range(bench.count(40)):
                bench.send(bench.words[number % len(bench.words)] if bench.chance(0.5) else bench.choose(*bench.words))
            await bench.settled()
            await bench.restart()


@testcase(PortBench)
async def offers(bench: PortBench) -> None:
    """While an action is on offer nothing is read; ``busy`` and ``tag`` tell of it."""
    ports = bench.ports
    bench.begin()
    bench.sink.pace = lambda: False
    for word in bench.words:
        if any(field.name == "tag" for field in word.fields):
            bench.send(word)
            tag = bench.shadow[word.name.lower()]["tag"]
            bench.send(bench.words[1])
            await bench.until(lambda: bool(ports.busy.get()), 20, "the offer")
            taken = bench.source.taken
            await bench.clocks(9)
            assert bench.source.taken == taken and ports.tag.get() == tag and ports.run.valid.get()
            bench.sink.pace = lambda: True
            await bench.settled()
            bench.sink.pace = lambda: False


@testcase(PortBench)
async def words_behind_an_offer(bench: PortBench) -> None:
    """Whatever word waits behind an action on offer, the offer stays what it is."""
    bench.begin()
    bench.sink.pace = lambda: False
    actions = [word for word in bench.words if any(field.name == "tag" for field in word.fields)]
    for word in bench.words * bench.count(6):
        bench.send(word)
        bench.send(bench.choose(*actions))
        bench.send(word)
        await bench.until(lambda: bool(bench.ports.busy.get()), 20, "the offer")
        await bench.clocks(6)
        while bench.board.left or not bench.source.idle:
            bench.sink.pace = lambda: True
            await bench.clocks()
            bench.sink.pace = lambda: False
            await bench.clocks(3)


@testcase(PortBench)
async def a_word_a_cycle(bench: PortBench) -> None:
    """Register words are taken one a cycle, an action costs two cycles."""
    bench.begin()
    for _ in range(50):
        bench.send(bench.words[-1] if bench.words[-1].name != "TABLE" else bench.words[-2])
    start = bench.cycle
    await bench.until(lambda: bench.source.idle, 60, "all words")
    assert bench.cycle - start <= 52
    for _ in range(10):
        bench.send(bench.words[0])
    start = bench.cycle
    await bench.settled()
    assert bench.cycle - start <= 23


@testcase(PortBench)
async def illegal_words(bench: PortBench) -> None:
    """An unknown code and bits above the last field: ILLEGAL_COMMAND with the word, nothing is read after it."""
    ports = bench.ports
    known = {word.code: word for word in bench.words}
    cases = [(code, 0, "unknown code") for code in range(64) if code not in known][:: 5 if bench.effort == 1 else 1]
    for word in bench.words:
        free = range(sum(field.width for field in word.fields), PAYLOAD_BITS)
        for bit in {free[0], free[-1], bench.choose(*free)} if free else ():
            cases.append((word.code, 1 << bit, "bit above the last field"))
    for code, extra, what in cases:
        bench.begin()
        bench.send(bench.words[1])
        illegal = int(bench.unit) << 60 | code << PAYLOAD_BITS | extra
        bench.source.send(illegal)
        await bench.until(lambda: bool(ports.error.valid.get()), 20, "the error")
        cover_illegal((bench.unit.name, what))
        taken = bench.source.taken
        bench.source.send(encode(f"{bench.unit.name}.RUN"))
        await bench.clocks(6)
        error = ports.error
        found = error.code.get(), error.address.get(), error.tag.get(), error.valid.get()
        assert found == (ErrorCode.ILLEGAL_COMMAND, illegal, 0, 1), f"{found} for {illegal:#x}"
        assert bench.source.taken == taken and not ports.run.valid.get()
        await bench.restart()
        assert not ports.error.valid.get()


@testcase(PortBench)
async def reset_clears_registers(bench: PortBench) -> None:
    """After a reset nothing is on offer, and a cycle later all registers are 0."""
    bench.begin()
    bench.sink.pace = lambda: False
    for word in bench.words:
        bench.send(word)
    await bench.clocks(len(bench.words) + bench.integers(0, 3))
    await bench.restart()
    assert not bench.ports.run.valid.get() and not bench.ports.busy.get()
    await bench.clocks()
    assert not bench.ports.run.payload.bits() and not bench.ports.tag.get()
    bench.begin()
    bench.send(bench.words[0])
    await bench.settled()
