"""The accumulators: blocks of positions summed over kernel steps in one half while the other one is emptied."""

from __future__ import annotations

import numpy as np
from common.bench import Bench, testcase
from common.coverage import Cover
from common.pauses import STYLES, make_pace
from common.scoreboard import Scoreboard
from common.streams import Sink

COVER = Cover("accumulators")
cover_positions = COVER.point("positions", ("1", "2", "odd", "even", "half full"))
cover_steps = COVER.point("steps", ("1", "2", "more"))
cover_again = COVER.point("cycles until accumulated again", (1, 2, 3, "more"))
cover_mode = COVER.cross("mode and stall of the output", ("sum", "maximum"), STYLES)
cover_halves = COVER.point("halves busy at an opening", ("none", "other"))
cover_wrap = COVER.point("wraps", ("upwards", "downwards"))


class AccumulatorsBench(Bench):
    """Plays the feeder: opens a half once it is free, gives control and, two cycles later, sums."""

    def prepare(self) -> None:
        self.board = Scoreboard("vectors")
        self.half = 0
        self.later: list[np.ndarray | None] = [None, None]
        self.maximum = 0

    def listen(self, style: str) -> None:
        Sink(self, self.ports.vectors, make_pace(self.rng, style), lambda v: self.board.check(v.tolist()))

    async def give(self, control: dict[str, int], sums: np.ndarray | None) -> None:
        """One cycle: this position's control, the sums of the one two cycles before."""
        ports = self.ports
        ports.control.set(control)
        due = self.later.pop(0)
        if due is None:
            self.randomise(ports.sums)
        else:
            ports.sums.set(due)
        self.later.append(sums)
        await self.clocks()
        ports.open.set(0)

    async def nothing(self) -> None:
        control = {"half": self.integers(0, 1), "index": self.integers(0, self.config.acc_half - 1),
                   "first": self.integers(0, 1), "last": self.integers(0, 1), "final": self.integers(0, 1)}  # fmt: skip
        await self.give(control, None)

    def sums(self) -> np.ndarray:
        width = 16 + (self.config.rows - 1).bit_length()
        top = 1 << (width - 1)
        if self.chance(0.3):
            return self.rng.choice([-top, top - 1, 0, -1], self.config.columns)
        return self.rng.integers(-top, top, self.config.columns)

    async def block(
        self, positions: int, steps: int, maximum: bool, style: str, values: np.ndarray | None = None
    ) -> None:
        """Open the next half and give a whole block; ``values`` (steps, positions, columns)."""
        ports, pace = self.ports, make_pace(self.rng, style)
        while ports.busy.get() >> self.half & 1:
            await self.nothing()
        cover_halves("other" if ports.busy.get() else "none")
        ports.open.set(1)
        ports.open_half.set(self.half)
        if values is None:
            values = np.array([[self.sums() for _ in range(positions)] for _ in range(steps)])
        total = values[0].copy()
        for step in values[1:]:
            total = np.maximum(total, step) if maximum else total + step
        wrapped = (total + (1 << 31)) % (1 << 32) - (1 << 31)
        cover_wrap("upwards" if (total > wrapped).any() else "downwards" if (total < wrapped).any() else None)
        self.board.expect(*wrapped.tolist())
        await self.nothing()
        ports.open_half.set(self.integers(0, 1))
        for step in range(steps):
            for index in range(positions):
                while not pace():
                    await self.nothing()
                final = step == steps - 1 and index == positions - 1
                await self.give(
                    {"valid": 1, "half": self.half, "index": index, "first": step == 0, "last": step == steps - 1,
                     "final": final, "maximum": maximum},
                    values[step, index],
                )  # fmt: skip
        if steps > 1 and style == "never":
            cover_again(positions if positions <= 3 else "more")
        half = self.config.acc_half
        names = {1: "1", 2: "2", half: "half full"}
        cover_positions(names.get(positions, "odd" if positions % 2 else "even"))
        cover_steps({1: "1", 2: "2"}.get(steps, "more"))
        self.half ^= 1

    async def drained(self) -> None:
        """All has come, both halves are free, and nothing else comes."""
        for _ in range(6000):
            if not self.board.left and not self.ports.busy.get():
                break
            await self.nothing()
        self.board.finish()
        for _ in range(12):
            await self.nothing()
        assert self.ports.busy.get() == 0


@testcase(AccumulatorsBench)
async def random_blocks(bench: AccumulatorsBench) -> None:
    """Blocks of any size and number of steps, with gaps on one side and back-pressure on the other."""
    for style in STYLES:
        for maximum in (False, True):
            cover_mode((("sum", "maximum")[maximum], style))
            bench.listen(style)
            for _ in range(bench.count(6)):
                half = bench.config.acc_half
                positions = bench.choose(1, 2, 3, min(half, bench.integers(4, 12)))
                await bench.block(
                    positions, bench.choose(1, 2, 2, 3, 4), maximum, bench.choose("never", "rarely", "often")
                )
            await bench.drained()
            await bench.restart()


@testcase(AccumulatorsBench)
async def a_half_full(bench: AccumulatorsBench) -> None:
    """Blocks that use every entry, both halves in turn, and single positions between them."""
    half = bench.config.acc_half
    bench.listen("rarely")
    for positions in (half, half, 1, half, half - 1, half):
        await bench.block(positions, 2, False, "never")
    await bench.drained()


@testcase(AccumulatorsBench)
async def back_to_back(bench: AccumulatorsBench) -> None:
    """The same entry every cycle, every second, every third: the newest sum is forwarded."""
    bench.listen("never")
    for positions in (1, 2, 3, 1, 1, 4):
        for maximum in (False, True):
            await bench.block(positions, 5, maximum, "never")
    await bench.drained()


@testcase(AccumulatorsBench)
async def wraps_at_32_bits(bench: AccumulatorsBench) -> None:
    """Sums beyond 32 bits wrap around (the definition of isa.md), in both directions."""
    width = 16 + (bench.config.rows - 1).bit_length()
    top = 1 << (width - 1)
    steps = (1 << 31) // top + 3
    if steps > 5000:
        return  # small arrays take too long to get there
    bench.listen("never")
    for value in (top - 1, -top):
        values = np.full((steps, 1, bench.config.columns), value)
        await bench.block(1, steps, False, "never", values)
    await bench.drained()


@testcase(AccumulatorsBench)
async def one_position_a_cycle(bench: AccumulatorsBench) -> None:
    """Through both halves without a gap, as fast as they are taken: in as many cycles as there are positions."""
    half = bench.config.acc_half
    bench.listen("never")
    await bench.block(half, 1, False, "never")
    start = bench.cycle
    for _ in range(6):
        await bench.block(half, 1, False, "never")
    assert bench.cycle - start <= 6 * (half + 8), f"{bench.cycle - start} cycles for {6 * half} positions"
    await bench.drained()


@testcase(AccumulatorsBench)
async def reset_in_the_middle(bench: AccumulatorsBench) -> None:
    """A reset forgets blocks, finished or not; the next block goes to half 0 and is right."""
    for _ in range(bench.count(6)):
        bench.listen("mostly")
        for _ in range(bench.integers(1, 3)):
            if bench.ports.busy.get() == 3:
                break
            await bench.block(min(bench.integers(1, 12), bench.config.acc_half), 2, False, "rarely")
        await bench.restart()
        assert bench.ports.busy.get() == 0
        bench.listen("never")
        await bench.block(2, 2, False, "never")
        await bench.drained()
        await bench.restart()
