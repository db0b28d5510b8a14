"""The row stepper: rows to steps of a beat or a word of fill."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from common.bench import Bench, testcase
from common.coverage import Cover
from common.pauses import STYLES, make_pace
from common.scoreboard import Scoreboard
from common.streams import Sink, Source

COVER = Cover("row_stepper")
cover_row = COVER.cross("row", ("transfer", "fill"), ("1 step", "2 steps", "more"))
cover_lanes = COVER.cross("lanes", ("from first", "later"), ("to last", "earlier"))
cover_long = COVER.point("long row", ("goes on",))
cover_stall = COVER.cross("stall", ("rows", "steps"), STYLES)


class StepperBench(Bench):
    """Sends rows, compares every step."""

    def prepare(self) -> None:
        self.board = Scoreboard("steps")

    def begin(self, rows: str, steps: str) -> None:
        self.source = Source(self, self.ports.span, make_pace(self.rng, rows))
        self.sink = Sink(self, self.ports.step, make_pace(self.rng, steps), self.board.check)
        cover_stall(("rows", rows))
        cover_stall(("steps", steps))

    def row(self) -> None:
        """A random row, by its bytes."""
        config = self.config
        fill = self.integers(0, 1)
        unit = config.word_bytes if fill else config.bus_bytes
        first = 0 if fill else self.choose(0, self.integers(0, unit - 1))
        count = self.choose(1, unit - first, self.integers(1, 4 * unit), unit)
        room = config.scratchpad_bytes - count
        address = self.choose(0, room, self.integers(0, room))
        beats = (first + count - 1) // unit + 1
        last = (first + count - 1) % unit
        marks = {"end": self.integers(0, 1), "final": self.integers(0, 1)}
        span = {"base": address - first, "more": beats - 1, "first_lane": first, "last_lane": last, "fill": fill}
        self.source.send({**span, **marks})
        self.board.expect(*self.steps(address, first, count, unit, fill, marks))
        cover_row((("transfer", "fill")[fill], {1: "1 step", 2: "2 steps"}.get(beats, "more")))
        cover_lanes((("from first", "later")[first > 0], ("to last", "earlier")[last < unit - 1]))

    def steps(
        self, address: int, first: int, count: int, unit: int, fill: int, marks: dict[str, int]
    ) -> Iterator[dict[str, int]]:
        """``marks`` of the row are those of its last step."""
        while count:
            taken = min(count, unit - first)
            shown = marks if taken == count else dict.fromkeys(marks, 0)
            yield {"base": address - first, "lane": first, "last_lane": first + taken - 1, "fill": fill, **shown}
            address, count, first = address + taken, count - taken, 0


@testcase(StepperBench)
async def random_rows(bench: StepperBench) -> None:
    """Rows of both kinds with pauses on both sides."""
    for style in STYLES:
        for rows, steps in ((style, "never"), ("never", style)):
            bench.begin(rows, steps)
            for _ in range(bench.count(40)):
                bench.row()
            await bench.until(lambda: not bench.board.left, 5000, "all steps")
            await bench.clocks(2)
            assert not bench.ports.step.valid.get()
            await bench.restart()


@testcase(StepperBench)
async def a_step_a_cycle(bench: StepperBench) -> None:
    """Without a gap from row to row."""
    bench.begin("never", "never")
    for _ in range(30):
        bench.row()
    total = bench.board.left
    await bench.until(lambda: bench.board.count > 0, 20, "the first step")
    start = bench.cycle
    await bench.until(lambda: not bench.board.left, total + 9, "all steps")
    assert bench.cycle - start <= total


@testcase(StepperBench)
async def long_rows(bench: StepperBench) -> None:
    """The first steps of rows of all lengths that the scratchpad holds: none of them is the last one."""
    pad = bench.config.scratchpad_bytes
    for number in range(bench.count(60)):
        fill = number % 2
        unit = bench.config.word_bytes if fill else bench.config.bus_bytes
        power = 1 << bench.integers(2, pad.bit_length())
        first = 0 if fill else bench.integers(0, unit - 1)
        count = min(pad, power + bench.integers(0, 4 * unit), bench.choose(pad, power * 4))
        address = bench.choose(0, pad - count, bench.integers(0, pad - count))
        beats, last = (first + count - 1) // unit + 1, (first + count - 1) % unit
        bench.begin("never", "never")
        bench.source.send({
            "base": address - first, "more": beats - 1, "first_lane": first, "last_lane": last, "fill": fill,
            "end": 1, "final": 1,
        })  # fmt: skip
        steps = bench.steps(address, first, count, unit, fill, {"end": 1, "final": 1})
        bench.board.expect(*islice(steps, 5))
        bench.sink.pace = lambda: bool(bench.board.left)
        await bench.until(lambda: not bench.board.left, 20, "the first steps")
        cover_long("goes on" if beats > 5 else None)
        await bench.restart()


@testcase(StepperBench)
async def reset_in_a_row(bench: StepperBench) -> None:
    """A reset ends a row."""
    for _ in range(bench.count(4)):
        bench.begin("never", "often")
        for _ in range(5):
            bench.row()
        await bench.clocks(bench.integers(2, 9))
        await bench.restart()
        assert not bench.ports.step.valid.get()
        bench.begin("never", "never")
        bench.row()
        await bench.until(lambda: not bench.board.left, 99, "the row")
        await bench.restart()
