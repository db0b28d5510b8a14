"""The processing element: products, sums and the exchange of weights, in every cycle."""

from __future__ import annotations

import numpy as np
from common.bench import Bench, testcase
from common.coverage import Cover

COVER = Cover("pe")
cover_operand = COVER.cross("operands", (-128, -1, 0, 1, 127), (-128, -1, 0, 1, 127))
cover_exchange = COVER.cross("exchange", ("no load", "load"), ("no swap", "swap"))
cover_sum = COVER.point("sum", ("lowest", "highest", "wraps"))

EDGES = np.array([-128, -127, -1, 0, 1, 126, 127])


class PeBench(Bench):
    """Keeps the history of what was given and computes each sum from the definition."""

    def prepare(self) -> None:
        self.width = self.ports.psum_in.width

    async def clear(self) -> None:
        """Both weights are 0, and nothing is under way: no reset does that."""
        ports = self.ports
        for load, swap in ((1, 0), (0, 1), *([(0, 0)] * self.constants["latency"])):
            for port, value in (
                (ports.x, 0),
                (ports.weight, 0),
                (ports.psum_in, 0),
                (ports.load, load),
                (ports.swap, swap),
            ):
                port.set(value)
            await self.clocks()
        self.following = self.working = 0
        self.products: list[int] = []

    def wrap(self, value: int) -> int:
        """Two's complement of the partial sum's width."""
        half = 1 << (self.width - 1)
        return (value + half) % (2 * half) - half

    async def run(
        self, x: np.ndarray, swap: np.ndarray, weight: np.ndarray, load: np.ndarray, above: np.ndarray
    ) -> None:
        """A value of each array in each cycle; checks the sum of every cycle: x of cycle t meets above of t + 2."""
        ports = self.ports
        latency = self.constants["latency"]
        await self.clear()
        for t in range(len(x)):
            ports.x.set(x[t])
            ports.swap.set(swap[t])
            ports.weight.set(weight[t])
            ports.load.set(load[t])
            ports.psum_in.set(above[t])
            # The swap gets the weight that was loaded before this cycle.
            if swap[t]:
                self.working = self.following
            if load[t]:
                self.following = int(weight[t])
            self.products.append(int(x[t]) * self.working)
            cover_exchange((("no load", "load")[int(load[t])], ("no swap", "swap")[int(swap[t])]))
            if abs(int(x[t])) in (0, 1, 127, 128) and abs(self.working) in (0, 1, 127, 128):
                pair = int(x[t]), self.working
                cover_operand(pair if 127 not in (-pair[0], -pair[1]) else None)
            await self.clocks()
            if t >= latency:
                total = int(above[t - 1]) + self.products[t - latency]
                if self.wrap(total) != total:
                    cover_sum("wraps")
                elif total in (-(1 << (self.width - 1)), (1 << (self.width - 1)) - 1):
                    cover_sum("lowest" if total < 0 else "highest")
                found = ports.psum_out.get()
                assert found == self.wrap(total), f"cycle {t}: {found} instead of {self.wrap(total)}"


def sums(bench: PeBench, count: int) -> np.ndarray:
    top = 1 << (bench.width - 1)
    values = bench.rng.integers(-top, top, count)
    edge = bench.rng.random(count) < 0.3
    return np.where(edge, bench.rng.choice([-top, top - 1, 0, -1], count), values)


@testcase(PeBench)
async def random_stream(bench: PeBench) -> None:
    """Weights come and are exchanged at random while activations stream."""
    count = bench.count(2000)
    rng = bench.rng
    x, weight = (
        np.where(rng.random(count) < 0.5, rng.choice(EDGES, count), rng.integers(-128, 128, count)) for _ in "xw"
    )
    await bench.run(x, rng.random(count) < 0.2, weight, rng.random(count) < 0.3, sums(bench, count))


@testcase(PeBench)
async def extreme_products(bench: PeBench) -> None:
    """Every pair of extreme operands, with sums that just fit and that wrap."""
    pairs = [(x, w) for w in EDGES for x in EDGES for _ in range(2)]
    top = 1 << (bench.width - 1)
    x = np.repeat([pair[0] for pair in pairs], 4)
    weight = np.repeat([pair[1] for pair in pairs], 4)
    above = np.zeros(len(x), int)
    for index, (a, w) in enumerate(pairs):
        # What reaches the highest and lowest sum exactly, and one beyond it.
        exact = [top - 1 - int(a) * int(w), top - int(a) * int(w), -top - int(a) * int(w), -top - 1 - int(a) * int(w)]
        above[4 * index : 4 * index + 4] = [bench.wrap(value) for value in exact]
    above = np.roll(above, 2)
    load = np.arange(len(x)) % 4 == 0
    await bench.run(x, np.roll(load, 1), weight, load, above)


@testcase(PeBench)
async def keeps_its_weights(bench: PeBench) -> None:
    """Neither weight changes while nothing is loaded and swapped, whatever the weight inputs hold."""
    count = bench.count(300)
    rng = bench.rng
    load, swap = np.zeros(count, bool), np.zeros(count, bool)
    load[[0, 2]], swap[[1]] = True, True
    swap[count // 2] = True
    await bench.run(rng.integers(-128, 128, count), swap, rng.integers(-128, 128, count), load, sums(bench, count))


@testcase(PeBench)
async def weights_are_loaded_anew_after_a_reset(bench: PeBench) -> None:
    """What a reset has interrupted is in no later sum."""
    await bench.run(*(np.array(values) for values in ([5] * 6, [0, 1] * 3, [7] * 6, [1, 0] * 3, [0] * 6)))
    await bench.restart()
    await bench.run(*(np.array(values) for values in ([9] * 9, [0, 0, 1] * 3, [3] * 9, [1, 0, 0] * 3, [100] * 9)))
