"""Proof of tensaw.rtl.control.tokens."""

from __future__ import annotations

from amaranth.hdl import Cat, Signal

from tensaw.formal.bench import Bench, Planted, proof
from tensaw.rtl.control.tokens import Tokens
from tensaw.rtl.interfaces import PEERS

_MODULE = "tensaw.rtl.control.tokens"
_MOST = 255


@proof(
    "control.tokens",
    depth=2,
    cover_depth=6,
    planted=(
        Planted(_MODULE, "with m.If(give ^ take):", "with m.If(give | take):"),
        Planted(_MODULE, ".all() & ~took[taker]", ".all()"),
        Planted(_MODULE, "& ~took[taker] & ~peer.take)", "& ~took[taker])"),
        Planted(
            _MODULE,
            "some | ~self.peers[taker].take_mask[giver]",
            "some | ~self.peers[taker].give_mask[giver]",
        ),
        Planted(_MODULE, "self.peers[taker].take & self.peers[taker].take_mask[giver]", "self.peers[taker].take"),
    ),
)
def tokens(b: Bench) -> None:
    """Each of the 4 × 4 counters is the number of tokens given and not taken, a cycle after a take; none falls below 0,
    since ready is only told when every token wanted was there in the cycle before, and not in the two cycles after a
    take; none rises above 255 without the error, which stays."""
    m = b.m
    dut = b.add(Tokens())
    for number in range(PEERS):
        peer = dut.peers[number]
        b.drive(peer.take_mask, "take_mask")
        b.drive(peer.give_mask, "give_mask")
        b.drive(peer.give, "give")
        b.drive(peer.take, "take")
        same = peer.take_mask == b.past(peer.take_mask)
        b.assume(~peer.take | (peer.take_ready & same))  # which the units are proved to keep
    lost = Signal()  # a token too many was given
    told = dut.error.valid | b.inside("dut.lost").any()
    b.prove("error", lost | ~told, "no error without a token too many")
    b.prove("told", ~lost | told, "a token too many is an error in the next cycle, which stays")
    took = Signal(PEERS)
    m.d.sync += took.eq(Cat(peer.take for peer in dut.peers))
    for taker in range(PEERS):
        ready = Signal(name=f"ready_{taker}")
        m.d.comb += ready.eq(~took[taker] & ~dut.peers[taker].take)
        for giver in range(PEERS):
            waiting = Signal(9, name=f"waiting_{giver}_{taker}")
            gives = dut.peers[giver].give & dut.peers[giver].give_mask[taker]
            takes = dut.peers[taker].take & dut.peers[taker].take_mask[giver]
            name = f"{giver}_{taker}"
            with m.If(gives & ~takes & (waiting == _MOST)):
                m.d.sync += lost.eq(1)
            with m.Elif(~lost):
                m.d.sync += waiting.eq(waiting + gives - takes)
            with m.If(~lost):
                count, taken = b.inside(f"dut.count_{name}"), b.inside(f"dut.take_{name}")
                b.prove(f"count_{name}", count == waiting + taken, "the counter counts tokens given and not taken")
                b.prove(f"some_{name}", b.inside(f"dut.some_{name}") == (count != 0), "whether there are any")
                b.prove(f"not_below_{name}", ~takes | (waiting != 0), "no token is taken that was not given")
                b.prove(f"not_above_{name}", waiting <= _MOST, "nor are there more than 255")
            with m.If(dut.peers[taker].take_mask[giver] & (waiting == 0)):
                m.d.comb += ready.eq(0)
        with m.If(~lost):
            right = dut.peers[taker].take_ready == b.past(ready)
            b.prove(f"ready_{taker}", right, "ready: every token wanted was there")
            b.prove(f"took_{taker}", b.inside("dut.took")[taker] == took[taker], "and none was just taken")
    first = dut.peers[0]
    b.cover("both", first.take & (first.take_mask == 0b1010), "two tokens are taken at once")
    given = dut.peers[1].give & dut.peers[1].give_mask[0]
    b.cover("exchange", given & first.take & first.take_mask[1], "one is given while one is taken")
    b.cover(
        "waits", (first.take_mask == 0b0110) & ~first.take_ready & (b.inside("dut.count_1_0") == 2), "one is missing"
    )
