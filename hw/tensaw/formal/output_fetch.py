"""Proof of tensaw.rtl.output.fetch."""

from __future__ import annotations

from amaranth.hdl import Mux

from tensaw.formal.bench import Bench, Planted, proof, transfer
from tensaw.formal.configs import CONFIG
from tensaw.formal.order import Order
from tensaw.rtl.output.fetch import OperandFetch

_MODULE = "tensaw.rtl.output.fetch"


@proof(
    "output.fetch",
    depth=2,
    cover_depth=14,
    planted=(
        Planted(
            _MODULE,
            "self.addresses.ready.eq(self.read.ready & (promised != self._depth))",
            "self.addresses.ready.eq(self.read.ready)",
        ),
        Planted(_MODULE, "queue.w_en.eq(arriving[0])", "queue.w_en.eq(arriving[1])"),
        Planted(_MODULE, "promised.eq(promised + request - consume)", "promised.eq(promised + request)"),
    ),
)
def output_fetch(b: Bench) -> None:
    """What lies at each address comes out once, in the order of the addresses; an address is only passed on to the
    scratchpad when there is room for what it brings; an operand is offered until it is taken."""
    m = b.m
    dut = b.add(OperandFetch(CONFIG))
    b.source(dut.addresses)
    b.sink(dut.data)
    b.drive(dut.read.ready, "read_ready")
    # A scratchpad that holds at each address the low bits of it, and answers two cycles later.
    width = len(dut.data.payload)
    asked = transfer(dut.read)
    coming = b.past(dut.read.address[:width])
    arrives = b.past(coming)
    m.d.comb += dut.read.data.eq(arrives)
    b.prove("same", asked == transfer(dut.addresses), "an address is taken when the scratchpad has it")
    b.prove("address", ~asked | (dut.read.address == dut.addresses.payload), "as it is")
    queue = b.part("dut.queue")
    order = Order(
        b,
        enters=asked,
        entering=dut.read.address[:width],
        offers=dut.data.valid,
        leaves=transfer(dut.data),
        leaving=dut.data.payload,
        capacity=queue.depth,
    )
    b.prove_stream(dut.data, "data")

    # What the block's state means.
    arriving = b.inside("dut.arriving")
    b.prove("promised", b.inside("dut.promised") == order.inside, "addresses whose operand has not left are counted")
    b.prove(
        "arriving", queue.level + arriving[0] + arriving[1] == order.inside, "their operands are on the way or here"
    )
    b.prove("inner", b.inside("dut.queue.inner_level") + queue.r_rdy == queue.level, "the entries in memory")
    place = b.inside("dut.queue.consume") + order.ahead - queue.r_rdy
    place = Mux(place >= queue.depth - 1, place - (queue.depth - 1), place)
    here = order.picked & (order.ahead < queue.level)
    first = queue.r_rdy & (order.ahead == 0)
    b.prove("place", ~here | first | (b.row("dut.queue", place) == order.value), "in its place")
    on_way = order.picked & ~here
    next_one = arriving[0] & (order.ahead == queue.level)
    b.prove("on_way", ~on_way | (Mux(next_one, arrives, coming) == order.value), "or on its way")
    b.prove("entered", arriving[1] == b.past(asked), "a cycle behind its address")
    b.prove("comes", arriving[0] == b.past(asked, 2), "or two")
    b.cover("full", (order.inside == queue.depth) & ~b.past(dut.data.ready), "as many as there is room for")
    b.cover("flows", transfer(dut.data) & b.past(transfer(dut.data)) & asked & b.past(asked), "one a cycle")
