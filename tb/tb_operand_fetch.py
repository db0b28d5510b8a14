"""The operand fetch: bytes from each address, in order, whatever the scratchpad refuses or the consumer delays."""

from __future__ import annotations

import numpy as np
from common.bench import Bench, testcase
from common.coverage import Cover
from common.pauses import STYLES, make_pace
from common.scoreboard import Scoreboard
from common.scratchpad import PadReads
from common.streams import Sink, Source

COVER = Cover("operand_fetch")
cover_stall = COVER.cross("stall", ("addresses", "scratchpad", "consumer"), STYLES)
cover_full = COVER.point("queue", ("full", "empty"))


class FetchBench(Bench):
    """Plays walk, scratchpad and lanes."""

    def prepare(self) -> None:
        self.memory = self.bytes(self.config.scratchpad_bytes)
        self.board = Scoreboard("operands")

    def begin(self, addresses: str, scratchpad: str, consumer: str) -> None:
        rng, lanes = self.rng, self.config.requant_lanes
        self.source = Source(self, self.ports.addresses, make_pace(rng, addresses))
        self.pad = PadReads(self, self.ports.read, self.memory, make_pace(rng, scratchpad))
        self.sink = Sink(
            self, self.ports.data, make_pace(rng, consumer),
            lambda bits: self.board.check(np.frombuffer(int(bits).to_bytes(lanes, "little"), np.uint8).tolist()),
        )  # fmt: skip
        for part, style in (("addresses", addresses), ("scratchpad", scratchpad), ("consumer", consumer)):
            cover_stall((part, style))

    def send(self, count: int) -> None:
        for address in self.rng.integers(0, 1 << self.config.address_bits, count).tolist():
            self.source.send(address)
            at = (address + np.arange(self.config.requant_lanes)) % len(self.memory)
            self.board.expect(self.memory[at].tolist())

    async def settled(self) -> None:
        await self.until(lambda: not self.board.left, 20_000, "all operands")
        await self.clocks(8)
        cover_full("empty")


@testcase(FetchBench)
async def random_stalls(bench: FetchBench) -> None:
    """Every pattern of pauses on every side."""
    for style in STYLES:
        for place in range(3):
            styles = ["never", "never", "never"]
            styles[place] = style
            bench.begin(*styles)
            bench.send(bench.count(50))
            await bench.settled()
            await bench.restart()
    for _ in range(bench.count(3)):
        bench.begin(*(bench.choose(*STYLES) for _ in range(3)))
        bench.send(bench.count(60))
        await bench.settled()
        await bench.restart()


@testcase(FetchBench)
async def nobody_takes(bench: FetchBench) -> None:
    """Reads stop when the queue is promised away, none is lost, and they go on."""
    bench.begin("never", "never", "never")
    bench.sink.pace = lambda: False
    bench.send(40)
    await bench.clocks(30)
    requested = len(bench.pad.addresses)
    await bench.clocks(10)
    assert requested == len(bench.pad.addresses) < 40
    cover_full("full")
    bench.sink.pace = lambda: True
    await bench.settled()


@testcase(FetchBench)
async def one_a_cycle(bench: FetchBench) -> None:
    """With nobody pausing an operand a cycle."""
    bench.begin("never", "never", "never")
    bench.send(100)
    start = bench.cycle
    await bench.until(lambda: not bench.board.left, 200, "all operands")
    assert bench.cycle - start <= 112


@testcase(FetchBench)
async def reset_in_the_middle(bench: FetchBench) -> None:
    """A reset forgets everything that was asked for."""
    for _ in range(bench.count(5)):
        bench.begin("never", "rarely", "mostly")
        bench.send(20)
        await bench.clocks(bench.integers(3, 25))
        await bench.restart()
        bench.begin("never", "never", "never")
        bench.send(10)
        await bench.settled()
        await bench.restart()
