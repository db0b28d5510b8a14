"""Proofs of the queues, amaranth.lib.fifo, in the depths that the hardware uses."""

from __future__ import annotations

from amaranth.hdl import Mux, Value
from amaranth.lib.fifo import SyncFIFO, SyncFIFOBuffered

from tensaw.formal.bench import Bench, Planted, proof
from tensaw.formal.order import Order

_MODULE = "amaranth.lib.fifo"


def _modulo(value: Value, depth: int) -> Value:
    return Mux(value >= depth, value - depth, value)


def _watch(b: Bench, queue: SyncFIFO | SyncFIFOBuffered) -> Order:
    b.drive(queue.w_data, "w_data")
    b.drive(queue.w_en, "w_en")
    b.drive(queue.r_en, "r_en")
    order = Order(
        b,
        enters=queue.w_en & queue.w_rdy,
        entering=queue.w_data,
        offers=queue.r_rdy,
        leaves=queue.r_rdy & queue.r_en,
        leaving=queue.r_data,
        capacity=queue.depth,
        behind=min(queue.depth - 1, 7),
    )
    b.prove("level", queue.level == order.inside, "level counts what is inside")
    held = ~b.past(queue.r_rdy & ~queue.r_en) | (queue.r_rdy & (b.past(queue.r_data) == queue.r_data))
    b.prove("held", held, "what is on offer stays until it is taken")
    return order


def _sync(b: Bench, depth: int) -> None:
    queue = b.add(SyncFIFO(width=4, depth=depth))
    order = _watch(b, queue)
    b.prove("room", queue.w_rdy == (order.inside != depth), "it takes more until it is full")
    b.prove("prompt", queue.r_rdy == (order.inside != 0), "what is inside is on offer")
    place = _modulo(b.inside("dut.consume") + order.ahead, depth)
    b.prove("place", ~order.picked | (b.row("dut", place) == order.value), "the picked entry is in its place")


def _buffered(b: Bench, depth: int) -> None:
    queue = b.add(SyncFIFOBuffered(width=4, depth=depth))
    order = _watch(b, queue)
    b.prove("room", queue.w_rdy | (order.inside + 1 >= depth), "it takes more until it is full, or nearly so")
    fresh = b.past(queue.w_en & queue.w_rdy) & (order.inside == 1)
    b.prove("prompt", queue.r_rdy | (order.inside == 0) | fresh, "it is on offer a cycle later at the latest")
    place = _modulo(b.inside("dut.consume") + order.ahead - queue.r_rdy, depth - 1)
    first = queue.r_rdy & (order.ahead == 0)
    b.prove("place", ~order.picked | first | (b.row("dut", place) == order.value), "the picked entry is in its place")
    b.prove("inner", b.inside("dut.inner_level") + queue.r_rdy == order.inside, "the entries in memory")


_SYNC = (
    Planted(_MODULE, "self.w_rdy.eq(self.level != self.depth),", "self.w_rdy.eq(1),"),
    Planted(_MODULE, "w_port.en.eq(self.w_en & self.w_rdy),", "w_port.en.eq(self.w_en),"),
)
_BUFFERED = (
    Planted(_MODULE, "self.w_rdy.eq(inner_level != inner_depth)", "self.w_rdy.eq(1)"),
    Planted(_MODULE, "inner_r_rdy & (~self.r_rdy | self.r_en)", "inner_r_rdy"),
)


@proof("queue.sync_3", depth=2, cover_depth=8, planted=_SYNC)
def sync_3(b: Bench) -> None:
    """Every entry comes out once, in order and unchanged, and none is taken that has no room; three entries."""
    _sync(b, 3)


@proof("queue.sync_8", depth=2, cover_depth=12)
def sync_8(b: Bench) -> None:
    """The same with eight entries: bursts of the managers, rows ahead of LOAD and STORE, beats of STORE."""
    _sync(b, 8)


@proof("queue.sync_16", depth=2, cover_depth=12)
def sync_16(b: Bench) -> None:
    """The same with sixteen entries: beats in the lanes of the output stage."""
    _sync(b, 16)


@proof("queue.buffered_4", depth=2, cover_depth=12, planted=_BUFFERED)
def buffered_4(b: Bench) -> None:
    """The same of the queue whose memory is read a cycle ahead, four entries: vectors of the accumulators."""
    _buffered(b, 4)


@proof("queue.buffered_6", depth=2, cover_depth=14)
def buffered_6(b: Bench) -> None:
    """The same with six entries: rows of the weight loader for the output stage."""
    _buffered(b, 6)


@proof("queue.buffered_8", depth=2, cover_depth=14)
def buffered_8(b: Bench) -> None:
    """The same with eight entries: operands of the output stage."""
    _buffered(b, 8)


@proof("queue.buffered_32", depth=2, cover_depth=14)
def buffered_32(b: Bench) -> None:
    """The same with 32 entries: program fetch."""
    _buffered(b, 32)


@proof("queue.buffered_64", depth=2, cover_depth=14)
def buffered_64(b: Bench) -> None:
    """The same with 64 entries."""
    _buffered(b, 64)
