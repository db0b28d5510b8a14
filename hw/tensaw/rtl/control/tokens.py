"""Tokens: the counters by which LOAD, ARRAY, OUTPUT and STORE wait for each other."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tensaw.rtl.checks import check
from tensaw.rtl.interfaces import PEERS, ErrorSignature
from tensaw.spec.registers import ErrorCode

__all__ = ["TokenSignature", "Tokens"]


class TokenSignature(wiring.Signature):
    """A unit's access to its tokens.

    Members
    -------
    take_mask : Out(4)
        Bit p: a token given by peer p is needed (the ``wait`` field).
    take_ready : In(1)
        All tokens of the ``take_mask`` of the cycle before were there (also if the mask was 0); those that are there
        stay until they are taken. A register; 0 in the two cycles after a take.
    take : Out(1)
        Take those of ``take_mask`` in this cycle; only while ``take_ready``, and not with a mask that is new.
    give_mask : Out(4)
        Bit p: peer p gets a token (the ``signal`` field).
    give : Out(1)
        Give them in this cycle. They can be taken from two cycles later on.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "take_mask": Out(PEERS),
                "take_ready": In(1),
                "take": Out(1),
                "give_mask": Out(PEERS),
                "give": Out(1),
            }
        )


class Tokens(wiring.Component):
    """4 × 4 counters: ``count[giver][taker]``, 0 after reset, at most 255.

    Members
    -------
    peers : In(TokenSignature()) × 4
        In the order of tensaw.spec.isa.Peer.
    error : Out(ErrorSignature)
        ILLEGAL_VALUE from two cycles later on, until reset: a 256th token was given before the first was taken. To be
        reported for unit CONTROL.

    Timing
    ------
    All peers may give in every cycle and take in every third one: that something is taken is known late, and counted a
    cycle later.
    """

    peers: Any
    error: Any

    def __init__(self) -> None:
        super().__init__({"peers": In(TokenSignature()).array(PEERS), "error": Out(ErrorSignature())})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        overflow = Signal()
        lost = Signal(PEERS * PEERS)
        took = Signal(PEERS)
        with m.If(lost.any()):
            m.d.sync += overflow.eq(1)
        ready: list[list[Any]] = [[] for _ in range(PEERS)]
        m.d.comb += [self.error.valid.eq(overflow), self.error.code.eq(ErrorCode.ILLEGAL_VALUE)]
        m.d.sync += took.eq(Cat(peer.take for peer in self.peers))
        for giver in range(PEERS):
            for taker in range(PEERS):
                # 256 for a moment where a token is given and one taken at 255.
                count = Signal(9, name=f"count_{giver}_{taker}")
                some = Signal(name=f"some_{giver}_{taker}")  # ``count`` is not 0
                give = Signal(name=f"give_{giver}_{taker}")
                take = Signal(name=f"take_{giver}_{taker}")  # was taken in the cycle before
                m.d.comb += [
                    give.eq(self.peers[giver].give & self.peers[giver].give_mask[taker]),
                    lost[PEERS * giver + taker].eq(count[8] & ~take),
                ]
                m.d.sync += take.eq(self.peers[taker].take & self.peers[taker].take_mask[giver])
                with m.If(give ^ take):  # one adder for both directions
                    m.d.sync += [
                        count.eq(count + Cat(1, take.replicate(len(count) - 1))),
                        some.eq(give | (count[1:] != 0)),
                    ]
                ready[taker].append(some | ~self.peers[taker].take_mask[giver])
        for taker in range(PEERS):
            peer = self.peers[taker]
            m.d.sync += peer.take_ready.eq(Cat(ready[taker]).all() & ~took[taker] & ~peer.take)
            there = ~peer.take | peer.take_ready
            check(m, platform, there, f"take_{taker}", f"peer {taker} takes tokens that are not there")
        return m
