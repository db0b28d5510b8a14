"""The write half of the memory port."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from tensaw.rtl.bus.axi4 import SLVERR, Axi4WriteSignature, inside_regions, regions_layout
from tensaw.rtl.bus.burst_splitter import BurstSplitter
from tensaw.rtl.bus.skid_buffer import SkidBuffer
from tensaw.rtl.checks import FORMAL, check, check_held
from tensaw.rtl.interfaces import BusErrorSignature, access_layout
from tensaw.rtl.shared import place
from tensaw.spec.config import NpuConfig
from tensaw.spec.registers import ErrorCode

__all__ = ["OUTSTANDING_WRITES", "WriteManager", "WriteRequestSignature"]

OUTSTANDING_WRITES = 8
"""Write bursts whose response has not come yet."""


class WriteRequestSignature(wiring.Signature):
    """Linear writes to memory, asked of the AXI write manager.

    Members
    -------
    request : Out(stream of access_layout())
        The next request may be made as soon as one is taken; its ``region`` must be there in the cycle before.
    data : Out(stream of bus word)
        Bus beats covering the requests, in their order: the first byte of a request at its bus lane, the others behind
        it. Bytes outside the request are ignored.
    done : In(1)
        All requests taken so far have been written and acknowledged.
    error : In(BusErrorSignature)
        A request failed.
    """

    def __init__(self, config: NpuConfig) -> None:
        super().__init__(
            {
                "request": Out(stream.Signature(access_layout())),
                "data": Out(stream.Signature(config.bus_bytes * 8)),
                "done": In(1),
                "error": In(BusErrorSignature()),
            }
        )


class WriteManager(wiring.Component):
    """AXI4 write manager for the store DMA.

    Parameters
    ----------
    config : NpuConfig
        ``bus_bytes``, ``address_width``, ``burst_beats``.
    outstanding : int
        Bursts that may be under way.

    Members
    -------
    store : In(WriteRequestSignature(config))
    regions : In(regions_layout(config))
        Must be stable while requests are under way.
    halt : In(1)
        No new burst is issued; beats still owed to issued bursts are sent with all strobes 0. Only a reset leads back.
    idle : Out(1)
        Every issued burst has been acknowledged.
    beats : Out(1)
        A beat was handed to the bus (for counting bytes).
    axi : Out(Axi4WriteSignature(config))

    Timing
    ------
    Request to ``awvalid`` five cycles; data to ``wvalid`` one cycle, one beat a cycle, also from burst to burst. AW may
    run ahead of W by up to ``outstanding`` bursts. All AXI outputs come from registers; ``bready`` is always 1.
    """

    store: Any
    regions: Any
    halt: Signal
    idle: Signal
    beats: Signal
    axi: Any

    def __init__(self, config: NpuConfig, outstanding: int = OUTSTANDING_WRITES) -> None:
        self.config, self.outstanding = config, outstanding
        super().__init__(
            {
                "store": In(WriteRequestSignature(config)),
                "regions": In(regions_layout(config)),
                "halt": In(1),
                "idle": Out(1),
                "beats": Out(1),
                "axi": Out(Axi4WriteSignature(config)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config, axi, store = self.config, self.axi, self.store
        width = config.bus_bytes
        lane = exact_log2(width)
        everything = (1 << width) - 1

        splitter = place(m, platform, "splitter", BurstSplitter, config, "write", module="tensaw_write_burst_splitter")
        m.submodules.aw = aw = SkidBuffer(data.StructLayout({"address": config.address_width, "beats": 9}))
        m.submodules.w = w = SkidBuffer(data.StructLayout({"data": width * 8, "strobe": width, "last": 1}))
        # Bursts whose beats are to be sent, and addresses of those whose response is awaited.
        owed_layout = data.StructLayout({"beats": 9, "first_lane": lane, "last_lane": lane})
        m.submodules.owed = owed = fifo.SyncFIFO(width=owed_layout.size, depth=self.outstanding)
        m.submodules.awaited = awaited = fifo.SyncFIFO(width=config.address_width, depth=self.outstanding)

        bursts = splitter.bursts[0]
        burst = bursts.payload
        issue = Signal()
        room = Signal()  # a place in each queue: known in the cycle that passes behind each burst
        m.d.sync += room.eq(aw.i.ready & owed.w_rdy & awaited.w_rdy)
        entry = Signal(owed_layout)
        m.d.comb += [
            splitter.regions.eq(self.regions),
            splitter.requests[0].payload.eq(store.request.payload),
            splitter.requests[0].valid.eq(store.request.valid),
            store.request.ready.eq(splitter.requests[0].ready),
            issue.eq(bursts.valid & room & ~self.halt),
            bursts.ready.eq(room & ~self.halt),
            aw.i.payload.address.eq(burst.address),
            aw.i.payload.beats.eq(burst.beats),
            aw.i.valid.eq(issue),
            entry.beats.eq(burst.beats),
            entry.first_lane.eq(burst.first_lane),
            entry.last_lane.eq(burst.last_lane),
            owed.w_data.eq(entry),
            owed.w_en.eq(issue),
            awaited.w_data.eq(burst.address),
            awaited.w_en.eq(issue),
            axi.awaddr.eq(aw.o.payload.address),
            axi.awlen.eq(aw.o.payload.beats - 1),
            axi.awsize.eq(lane),
            axi.awburst.eq(1),
            axi.awcache.eq(0b0011),
            axi.awvalid.eq(aw.o.valid),
            aw.o.ready.eq(axi.awready),
        ]

        # The burst being sent.
        sending = Signal()
        first = Signal()
        final = Signal()
        left = Signal(9, reset_less=True)
        current = Signal(owed_layout, reset_less=True)
        next_burst = data.View(owed_layout, owed.r_data)
        moved = Signal()
        last = Signal()
        m.d.comb += [
            last.eq(left == 1),
            w.i.valid.eq(sending & (store.data.valid | self.halt)),
            store.data.ready.eq(sending & w.i.ready & ~self.halt),
            moved.eq(w.i.valid & w.i.ready),
            w.i.payload.data.eq(store.data.payload),
            w.i.payload.last.eq(last),
            w.i.payload.strobe.eq(
                Mux(first, everything << current.first_lane, everything)
                & Mux(last, everything >> (~current.last_lane), everything)
                & Mux(self.halt, 0, everything)
            ),
            final.eq(moved & last),
            owed.r_en.eq(~sending | final),
            axi.wdata.eq(w.o.payload.data),
            axi.wstrb.eq(w.o.payload.strobe),
            axi.wlast.eq(w.o.payload.last),
            axi.wvalid.eq(w.o.valid),
            w.o.ready.eq(axi.wready),
            self.beats.eq(axi.wvalid & axi.wready),
        ]
        with m.If(moved):
            m.d.sync += [left.eq(left - 1), first.eq(0)]
        with m.If(~sending | final):
            m.d.sync += [sending.eq(owed.r_rdy), current.eq(next_burst), left.eq(next_burst.beats), first.eq(1)]

        # Responses. A bad one is told a cycle later, a refusal in all cycles without.
        bad, told = Signal(), Signal()
        told_code = Signal(ErrorCode, reset_less=True)
        told_address = Signal(config.address_width, reset_less=True)
        m.d.comb += [
            axi.bready.eq(1),
            awaited.r_en.eq(axi.bvalid),
            self.idle.eq(~awaited.r_rdy),
            store.done.eq(~awaited.r_rdy & ~splitter.busy),
            bad.eq(axi.bvalid & axi.bresp[1]),
            store.error.valid.eq(told),
            store.error.code.eq(told_code),
            store.error.address.eq(told_address),
        ]
        m.d.sync += [
            told.eq(bad | splitter.refused[0]),
            told_code.eq(ErrorCode.OUTSIDE_REGION),
            told_address.eq(Mux(bad, awaited.r_data, splitter.refused_address)),
        ]
        with m.If(bad):
            code = Mux(axi.bresp == SLVERR, ErrorCode.WRITE_SLVERR.value, ErrorCode.WRITE_DECERR.value)
            m.d.sync += told_code.eq(code)

        if platform != FORMAL:  # whose proof of the splitter says so
            inside = inside_regions(config, self.regions, "write", burst.address, burst.beats)
            check(m, platform, ~issue | inside, "window", "a write leaves the regions that allow it")
        check(m, platform, ~axi.bvalid | awaited.r_rdy, "awaited", "a write response comes that no burst awaits")
        check(m, platform, ~sending | (left != 0), "owed", "a burst has no beats left and is still being sent")
        check_held(m, platform, "aw", axi.awvalid, axi.awready, aw.o.payload)
        check_held(m, platform, "w", axi.wvalid, axi.wready, w.o.payload)
        return m
