"""The tokens: four by four counters, taken and given by everybody at once."""

from __future__ import annotations

import numpy as np
from cocotb.triggers import Timer
from common.bench import Bench, testcase
from common.coverage import Cover

from tensaw.spec.isa import Peer
from tensaw.spec.registers import ErrorCode

COVER = Cover("tokens")
NAMES = tuple(peer.name for peer in Peer)
cover_counter = COVER.cross("counter", NAMES, NAMES, ("given", "taken", "given and taken at once", "full"))
cover_masks = COVER.cross("taken at once", NAMES, tuple(range(5)))
cover_level = COVER.point("level", ("0", "1", "some", "255"))
cover_overflow = COVER.point("overflow", ("256th token", "given and taken at 255"))


class TokensBench(Bench):
    """A matrix of counts beside the block."""

    def prepare(self) -> None:
        self.held = np.zeros((4, 4), int)
        self.took = np.zeros(4, bool)  # in the cycle before: then ready is not told in the next one
        self.ready = np.ones(4, bool)  # told in the next cycle; at first nothing is wanted
        self.wanted = np.zeros((4, 4), bool)  # what ready is about
        self.settle = Timer(2, "ns")

    async def cycle_of(self, give: np.ndarray, want: np.ndarray, eager: float) -> None:
        """``give`` (giver, taker) and ``want`` (taker, giver) masks; who may take does so with this probability."""
        ports = self.ports
        for peer in range(4):
            port = ports.peers[peer]
            port.give.set(int(give[peer].any()))
            port.give_mask.set(int(sum(1 << taker for taker in np.flatnonzero(give[peer]))))
            port.take_mask.set(int(sum(1 << giver for giver in np.flatnonzero(want[peer]))))
            if not give[peer].any() and self.chance(0.5):
                port.give_mask.set(self.integers(0, 15))
        await self.settle
        takes = np.zeros((4, 4), bool)
        for peer in range(4):
            port = ports.peers[peer]
            ready = bool(self.ready[peer])
            assert port.take_ready.get() == ready, f"take_ready of {Peer(peer).name} is {port.take_ready.get()}"
            take = ready and bool((want[peer] == self.wanted[peer]).all()) and self.chance(eager)
            port.take.set(int(take))
            there = bool((self.held[want[peer], peer] > 0).all())
            self.ready[peer] = there and not self.took[peer] and not take
            self.took[peer] = take
            if take:
                takes[:, peer] = want[peer]
                cover_masks((Peer(peer).name, int(want[peer].sum())))
        self.wanted = want.copy()
        await self.clocks()
        for giver in range(4):
            for taker in range(4):
                names = Peer(giver).name, Peer(taker).name
                if give[giver, taker] or takes[giver, taker]:
                    both = give[giver, taker] and takes[giver, taker]
                    cover_counter(
                        (*names, "given and taken at once" if both else "given" if give[giver, taker] else "taken")
                    )
        self.held += give.astype(int) - takes.astype(int)
        for level in np.unique(self.held):
            cover_level({0: "0", 1: "1", 255: "255"}.get(int(level), "some"))

    def full(self, probability: float) -> np.ndarray:
        return self.rng.random((4, 4)) < probability


@testcase(TokensBench)
async def random_traffic(bench: TokensBench) -> None:
    """All units at once; a token can be taken from two cycles after it was given."""
    for _ in range(bench.count(8)):
        giving, wanting = bench.choose((0.1, 0.5), (0.3, 0.3), (0.5, 0.2), (0.05, 0.8))
        want = bench.wanted
        for _ in range(240):
            give = bench.full(giving) & (bench.held < 250)
            want = bench.full(wanting) if bench.chance(0.4) else want
            await bench.cycle_of(give, want, 0.7)
    assert not bench.ports.error.valid.get()


@testcase(TokensBench)
async def full_counters(bench: TokensBench) -> None:
    """255 tokens are kept, all of them; while one is taken another can be given."""
    nobody = np.zeros((4, 4), bool)
    everybody = ~nobody
    for _ in range(255):
        await bench.cycle_of(everybody, nobody, 0.0)
        if bench.chance(0.3):  # at any level they stay while nothing happens
            await bench.cycle_of(nobody, nobody, 0.0)
    for giver in NAMES:
        for taker in NAMES:
            cover_counter((giver, taker, "full"))
    await bench.cycle_of(nobody, everybody, 0.0)
    await bench.cycle_of(everybody, everybody, 1.0)
    cover_overflow("given and taken at 255")
    for _ in range(3):
        await bench.cycle_of(nobody, nobody, 0.0)
    assert not bench.ports.error.valid.get()
    for _ in range(255):
        await bench.cycle_of(nobody, everybody, 0.0)
        await bench.cycle_of(nobody, everybody, 1.0)
        for _ in range(bench.integers(1, 2)):
            await bench.cycle_of(nobody, bench.full(0.5), 0.0)
    assert not bench.held.any()
    for _ in range(3):
        await bench.cycle_of(nobody, everybody, 1.0)


@testcase(TokensBench)
async def overflow(bench: TokensBench) -> None:
    """The 256th waiting token is ILLEGAL_VALUE, whichever the counter, held until reset."""
    nobody = np.zeros((4, 4), bool)
    for giver in range(4):
        for taker in range(4):
            give = nobody.copy()
            give[giver, taker] = True
            bench.ports.peers[giver].give.set(1)
            bench.ports.peers[giver].give_mask.set(1 << taker)
            await bench.clocks(256)
            assert not bench.ports.error.valid.get()
            bench.ports.peers[giver].give.set(0)
            await bench.clocks(bench.integers(2, 6))
            error = bench.ports.error
            assert (error.valid.get(), error.code.get()) == (1, ErrorCode.ILLEGAL_VALUE)
            cover_overflow("256th token")
            await bench.restart()
            assert not error.valid.get()


@testcase(TokensBench)
async def reset_takes_all(bench: TokensBench) -> None:
    """After a reset there are no tokens."""
    nobody = np.zeros((4, 4), bool)
    for _ in range(3):
        await bench.cycle_of(~nobody, nobody, 0.0)
    await bench.restart()
    for _ in range(4):
        await bench.cycle_of(nobody, bench.full(0.5), 1.0)
