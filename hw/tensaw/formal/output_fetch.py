"""Proof of tensaw.rtl.output.fetch."""

from __future__ import annotations

from amaranth.hdl import Mux

from tensaw.formal.bench import Bench, Planted, proof, transfer
from tensaw.formal.configs import CONFIG
from tensaw.formal.order import Order
from tensaw.rtl.interfaces import READ_LATENCY
from tensaw.rtl.output.fetch import OperandFetch

_MODULE = "tensaw.rtl.output.fetch"


@proof(
    "output.fetch",
    depth=2,
    cover_depth=16,
    planted=(
        Planted(
            _MODULE,
            "self.addresses.ready.eq(asked.i.ready & room)",
            "self.addresses.ready.eq(asked.i.ready)",
        ),
        Planted(_MODULE, "queue.w_en.eq(arriving[0])", "queue.w_en.eq(arriving[1])"),
        Planted(_MODULE, "promised.eq(promised + accepted - consume)", "promised.eq(promised + accepted)"),
    ),
)
def output_fetch(b: Bench) -> None:
    """What lies at each address comes out once, in the order of the addresses; an address is only taken when
    there is room for what it brings; an operand is offered until it is taken."""
    m = b.m
    dut = b.add(OperandFetch(CONFIG))
    b.source(dut.addresses)
    b.sink(dut.data)
    b.drive(dut.read.ready, "read_ready")
    # A scratchpad that holds at each address the low bits of it.
    width = len(dut.data.payload)
    asked = transfer(dut.read)
    coming = [b.past(dut.read.address[:width], cycles + 1) for cycles in range(READ_LATENCY)]
    m.d.comb += dut.read.data.eq(coming[-1])
    queue, buffer = b.part("dut.queue"), b.part("dut.request")
    order = Order(
        b,
        enters=transfer(dut.addresses),
        entering=dut.addresses.payload[:width],
        offers=dut.data.valid,
        leaves=transfer(dut.data),
        leaving=dut.data.payload,
        capacity=queue.depth,
    )
    b.prove_stream(dut.data, "data")

    # What the block's state means.
    arriving = b.inside("dut.arriving")
    b.prove("promised", b.inside("dut.promised") == order.inside, "addresses whose operand has not left are counted")
    read = sum(arriving, start=queue.level)
    b.prove("arriving", read + buffer.level == order.inside, "they wait, or their operands are on the way or here")
    spare = b.inside("dut.request.spare_valid")
    b.prove("spare", ~spare | b.inside("dut.request.valid"), "the second place is filled after the first")
    b.prove("inner", b.inside("dut.queue.inner_level") + queue.r_rdy == queue.level, "the entries in memory")
    place = b.inside("dut.queue.consume") + order.ahead - queue.r_rdy
    place = Mux(place >= queue.depth - 1, place - (queue.depth - 1), place)
    here = order.picked & (order.ahead < queue.level)
    first = queue.r_rdy & (order.ahead == 0)
    b.prove("place", ~here | first | (b.row("dut.queue", place) == order.value), "in its place")
    waits = order.picked & (order.ahead >= read)
    second = order.ahead != read
    kept = Mux(second, b.inside("dut.request.spare"), b.inside("dut.request.payload"))
    b.prove("waits", ~waits | (kept[:width] == order.value), "or waiting")
    ahead = queue.level
    for cycles in reversed(range(READ_LATENCY)):
        comes = arriving[READ_LATENCY - 1 - cycles]
        on_way = order.picked & comes & (order.ahead == ahead)
        b.prove(f"on_way_{cycles}", ~on_way | (coming[cycles] == order.value), "or on its way")
        b.prove(f"comes_{cycles}", comes == b.past(asked, cycles + 1), "as many cycles behind its address")
        ahead = ahead + comes
    b.cover("full", (order.inside == queue.depth) & ~b.past(dut.data.ready), "as many as there is room for")
    b.cover("flows", transfer(dut.data) & b.past(transfer(dut.data)) & asked & b.past(asked), "one a cycle")
