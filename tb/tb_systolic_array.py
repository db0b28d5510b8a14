"""The array: every position's sums, while weights of the next step shift in."""

from __future__ import annotations

import numpy as np
from common.bench import Bench, testcase
from common.coverage import Cover
from common.scoreboard import Scoreboard

COVER = Cover("systolic_array")
cover_groups = COVER.point("groups", ("none", "one", "two", "three"))
cover_pairs = COVER.point("pairs", ("no", "yes"))
cover_steps = COVER.point("positions of a step", ("1", "2 to rows", "more than rows"))
cover_rows = COVER.point("rows loaded", ("one", "some", "all"))
cover_values = COVER.point("extremes", ("-128 * -128", "-128 * 127", "all products highest"))


class ArrayBench(Bench):
    """Gives steps of positions and, between their swaps, the weights of the next step; checks all sums."""

    def prepare(self) -> None:
        config = self.config
        self.board = Scoreboard("sums")
        self.following = np.zeros((config.rows, config.columns), np.int64)
        self.working = np.zeros_like(self.following)
        self.lanes: list[np.ndarray] = []
        self.columns: list[np.ndarray] = []
        self.seconds: list[np.ndarray] = []
        self.pairs: list[bool] = []
        self.by_column: list[np.ndarray] = []
        self.weights: list[np.ndarray] = []
        self.swapped = -1000
        self.start_soon(self.collect())

    def step(self, lanes: np.ndarray, columns: np.ndarray, groups: np.ndarray, swap: bool) -> None:
        """One cycle's position."""
        ports = self.ports
        pairs = self.config.taps == 3 and self.chance(0.4)
        # What takes no part is 0.
        by_column = np.zeros(self.config.rows, bool)
        for group in np.flatnonzero(groups):
            by_column[group * self.config.taps : (group + 1) * self.config.taps] = True
        lanes = np.where(by_column, 0, lanes)
        columns = np.where(groups[:, None], columns, 0)
        seconds = np.where(groups[:, None] & pairs, self.rng.integers(-128, 128, columns.shape), 0)
        ports.lanes.set(lanes)
        ports.columns.set(list(columns))
        cover_pairs("yes" if pairs else "no")
        ports.seconds.set(list(seconds))
        ports.pairs.set(int(pairs))
        self.seconds.append(seconds)
        self.pairs.append(pairs)
        ports.by_column.set(int(sum(1 << group for group in np.flatnonzero(groups))))
        ports.swap.set(int(swap))
        if swap:
            self.working = self.following.copy()
            self.swapped = self.cycle
        self.lanes.append(lanes)
        self.columns.append(columns)
        self.by_column.append(groups)
        self.weights.append(self.working)

    def load(self, row: int | None, values: np.ndarray) -> None:
        """Give a weight row to an array row in this cycle; None: values on the bus that no row takes."""
        ports = self.ports
        ports.weight_row.set(values)
        ports.weight_select.set(0 if row is None else 1 << row)
        if row is not None:
            assert self.cycle >= self.swapped + row, "the bench breaks the rule for loading"
            self.following = self.following.copy()
            self.following[row] = values

    def sums_of(self, position: int) -> np.ndarray:
        """By the definition: row r of a group of kernel rows sees the columns of a position r mod taps later; with
        ``pairs`` the three rows see the columns, the second pixels and the next position's columns."""
        config = self.config
        total = np.zeros(config.columns, np.int64)
        for row in range(config.rows):
            group, tap = divmod(row, config.taps)
            x: np.ndarray | np.int64 = self.lanes[position][row]
            if group < config.groups and self.by_column[position][group]:
                x = self.columns[position + tap][group]
                if self.pairs[position] and tap:
                    x = self.seconds[position][group] if tap == 1 else self.columns[position + 1][group]
            total += x * self.weights[position][row]
        return total

    async def collect(self) -> None:
        """Sums come ``latency`` cycles after their position; until then they are nobody's."""
        latency, begin = self.constants["latency"], self.cycle
        while True:
            await self.edge
            position = self.cycle - 1 - begin - latency
            if 0 <= position < len(self.lanes) - self.config.taps:
                found, wanted = self.ports.sums.get(), self.sums_of(position)
                assert np.array_equal(found, wanted), f"position {position}: {found} instead of {wanted}"
                self.board.count += 1

    async def run(self, steps: int, extremes: bool) -> None:
        config, rng = self.config, self.rng
        shape = config.groups, config.columns

        def values(*size: int) -> np.ndarray:
            if extremes:
                return rng.choice([-128, 127], size)
            return rng.integers(-128, 128, size)

        if not self.lanes:  # weights are not reset
            for row in range(config.rows):
                await self.nothing(row)
        for _ in range(steps):
            order = rng.permutation(config.rows)[: self.choose(1, config.rows, self.integers(1, config.rows))]
            cover_rows("one" if len(order) == 1 else "all" if len(order) == config.rows else "some")
            waiting = list(order)
            wanted = self.choose(1, self.integers(2, config.rows), config.rows + self.integers(1, 9))
            cover_steps("1" if wanted == 1 else "2 to rows" if wanted <= config.rows else "more than rows")
            given = 0
            while waiting or given < wanted:
                mask = rng.random(config.groups) < self.choose(0.0, 0.5, 1.0)
                cover_groups(("none", "one", "two", "three")[int(mask.sum())])
                # The first position of a step takes the weights that the last one loaded.
                self.step(values(config.rows), values(*shape), mask, swap=given == 0)
                given += 1
                # What is loaded in the cycle of a swap belongs to the next step already.
                ready = [row for row in waiting if self.cycle >= self.swapped + row]
                row = ready[0] if ready and self.chance(0.8) else None
                if row is not None:
                    waiting.remove(row)
                self.load(row, values(config.columns))
                if extremes:
                    cover_values(self.choose("-128 * -128", "-128 * 127"))
                await self.clocks()

    async def nothing(self, row: int | None) -> None:
        """A cycle without activations, in which a row's weights become 0."""
        config = self.config
        self.load(row, np.zeros(config.columns, int))
        self.step(
            np.zeros(config.rows, int), np.zeros((config.groups, config.columns), int),
            np.zeros(config.groups, bool), False,
        )  # fmt: skip
        await self.clocks()

    async def drain(self) -> None:
        config = self.config
        for _ in range(self.constants["latency"] + config.taps):
            await self.nothing(None)
        assert self.board.count >= len(self.lanes) - self.constants["latency"] - config.taps


@testcase(ArrayBench)
async def random_steps(bench: ArrayBench) -> None:
    """Steps of any length, any part of the rows loaded in any order, rows and groups fed in any mixture."""
    await bench.run(bench.count(60), extremes=False)
    await bench.drain()


@testcase(ArrayBench)
async def reset_in_the_middle(bench: ArrayBench) -> None:
    """After a reset all weights are 0 and nothing of the old positions comes out."""
    for _ in range(4):
        await bench.run(bench.count(3), extremes=False)
        await bench.restart()
    await bench.run(4, extremes=False)
    await bench.drain()


@testcase(ArrayBench)
async def extreme_values(bench: ArrayBench) -> None:
    """Only -128 and 127 on both sides."""
    await bench.run(bench.count(8), extremes=True)
    await bench.drain()


@testcase(ArrayBench)
async def largest_sum(bench: ArrayBench) -> None:
    """All products (-128)² and all 127·(-128): the partial sums' width holds them."""
    config = bench.config
    for row in range(config.rows):
        bench.load(row, np.full(config.columns, -128))
        bench.step(
            np.zeros(config.rows, int),
            np.zeros((config.groups, config.columns), int),
            np.zeros(config.groups, bool),
            False,
        )
        await bench.clocks()
    for number, value in enumerate((-128, 127, -128)):
        bench.load(None, bench.rng.integers(-128, 128, config.columns))
        full = np.full(config.rows, value)
        bench.step(full, np.full((config.groups, config.columns), value), np.zeros(config.groups, bool), number == 0)
        await bench.clocks()
    cover_values("all products highest")
    await bench.drain()
