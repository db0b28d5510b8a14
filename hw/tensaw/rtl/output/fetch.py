"""Reads operands ahead of the lanes, so that the scratchpad's latency and refusals do not stop them."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from tensaw.rtl.bus.skid_buffer import SkidBuffer
from tensaw.rtl.checks import check
from tensaw.rtl.interfaces import READ_LATENCY, ReadPortSignature
from tensaw.spec.config import NpuConfig

__all__ = ["OperandFetch"]


class OperandFetch(wiring.Component):
    """A queue between a scratchpad read port, whose data comes when it comes, and a consumer that may wait.

    Parameters
    ----------
    config : NpuConfig
    depth : int
        Entries of the queue, a power of two; 4 keep up with one beat a cycle but for the queue's own latency.

    Members
    -------
    addresses : In(stream of address_bits)
    read : Out(ReadPortSignature(requant_lanes))
    data : Out(stream of requant_lanes bytes)
        The bytes from each address on, in order.

    Timing
    ------
    An address is passed on while the queue has room for what is under way; READ_LATENCY + 3 cycles from address to
    data.
    """

    addresses: Any
    read: Any
    data: Any

    def __init__(self, config: NpuConfig, depth: int = 8) -> None:
        self._bits = config.address_bits
        self._width = 8 * config.requant_lanes
        self._depth = depth
        super().__init__(
            {
                "addresses": In(stream.Signature(self._bits)),
                "read": Out(ReadPortSignature(config.requant_lanes)),
                "data": Out(stream.Signature(self._width)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.request = asked = SkidBuffer(self._bits)
        m.submodules.queue = queue = fifo.SyncFIFOBuffered(width=self._width, depth=self._depth)
        promised = Signal(range(self._depth + 1))  # accepted and not yet consumed
        arriving = Signal(READ_LATENCY)  # bit 0: data comes in this cycle
        request, consume = Signal(), Signal()
        room = ~promised[-1]  # fewer than the power of two that ``depth`` is
        m.d.comb += [
            asked.i.valid.eq(self.addresses.valid & room),
            asked.i.payload.eq(self.addresses.payload),
            self.addresses.ready.eq(asked.i.ready & room),
            self.read.valid.eq(asked.o.valid),
            self.read.address.eq(asked.o.payload),
            asked.o.ready.eq(self.read.ready),
            request.eq(self.read.valid & self.read.ready),
            queue.w_data.eq(self.read.data),
            queue.w_en.eq(arriving[0]),
            self.data.payload.eq(queue.r_data),
            self.data.valid.eq(queue.r_rdy),
            consume.eq(self.data.valid & self.data.ready),
            queue.r_en.eq(consume),
        ]
        accepted = self.addresses.valid & self.addresses.ready
        m.d.sync += [arriving.eq(Cat(arriving[1:], request)), promised.eq(promised + accepted - consume)]
        under_way = queue.level + sum(arriving, start=asked.level)
        check(m, platform, promised == under_way, "promised", "the promised entries are not those under way")
        return m
