"""Proof of tensaw.rtl.bus.skid_buffer."""

from __future__ import annotations

from tensaw.formal.bench import Bench, Planted, proof, transfer
from tensaw.formal.order import Order
from tensaw.rtl.bus.skid_buffer import SkidBuffer

_MODULE = "tensaw.rtl.bus.skid_buffer"


@proof(
    "bus.skid_buffer",
    depth=4,
    cover_depth=8,
    planted=(
        Planted(_MODULE, "self.i.ready.eq(~spare_valid)", "self.i.ready.eq(1)"),
        Planted(_MODULE, "with m.If(~valid | self.o.ready):", "with m.If(self.o.ready):"),
    ),
)
def skid_buffer(b: Bench) -> None:
    """Every item comes out once, in order and unchanged; it stays on offer until it is taken, at the latest one cycle
    after it came in; ``level`` is the number of items inside."""
    dut = b.add(SkidBuffer(8))
    b.source(dut.i)
    b.sink(dut.o)
    order = Order(
        b,
        enters=transfer(dut.i),
        entering=dut.i.payload,
        offers=dut.o.valid,
        leaves=transfer(dut.o),
        leaving=dut.o.payload,
        capacity=2,
    )
    b.prove_stream(dut.o, "o")
    b.prove("level", dut.level == order.inside, "level counts the items inside")
    b.prove("prompt", (order.inside == 0) | dut.o.valid, "what is inside is on offer")
    b.prove("room", (order.inside == 2) | dut.i.ready, "what is not full takes more")
    # Where the picked item is.
    b.prove("spare", ~(order.picked & (order.ahead == 1)) | (b.inside("dut.spare") == order.value), "it waits behind")
