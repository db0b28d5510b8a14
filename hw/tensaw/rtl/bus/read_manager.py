"""The read half of the memory port, shared by program fetch, load DMA and weight DMA."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, fifo, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from tensaw.rtl.bus.axi4 import SLVERR, Axi4ReadSignature, regions_layout
from tensaw.rtl.bus.burst_splitter import BurstSplitter
from tensaw.rtl.bus.skid_buffer import SkidBuffer
from tensaw.rtl.checks import check, check_held
from tensaw.rtl.interfaces import ReadRequestSignature
from tensaw.rtl.shared import place
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import Turn
from tensaw.spec.registers import ErrorCode

__all__ = ["ASKERS", "ReadManager"]

ASKERS = ("fetch", "load", "weight")
"""Who may ask, highest priority first."""

_PATIENCE = 3
"""Bursts of the load DMA that may overtake a waiting burst of the weight DMA before it has its turn."""


class ReadManager(wiring.Component):
    """AXI4 read manager for three askers, interleaved burst by burst.

    Parameters
    ----------
    config : NpuConfig
        ``bus_bytes``, ``address_width``, ``burst_beats``, ``outstanding_reads``.

    Members
    -------
    fetch, load, weight : In(ReadRequestSignature(config))
    regions : In(regions_layout(config))
        Must be stable while requests are under way.
    halt : In(1)
        No new burst is issued and no data handed on; what is on its way is taken and dropped. Only a reset leads back.
    idle : Out(1)
        Nothing is on its way over the bus: no burst waits on AR or for data.
    beats : Out(1)
        A beat was taken from the bus (for counting bytes).
    axi : Out(Axi4ReadSignature(config))

    Timing
    ------
    Request to ``arvalid`` five cycles; a burst a cycle if several askers have some, every other cycle for one asker.
    Data reaches the asker one cycle after its handshake on R, one beat a cycle. All AXI outputs come from registers.

    Which burst goes first: fetch, then load, then weight, but at most three bursts of load in a row while weight waits;
    weight before load where its access says ``Turn.FIRST``, never where it says ``Turn.LAST``.
    A burst goes out only if its asker's ``credit`` covers it and all that was issued before, so that an asker without
    room never blocks the others. Bursts are INCR, cross no 4 KiB, ID 0; an error response is told to the asker.
    """

    fetch: Any
    load: Any
    weight: Any
    regions: Any
    halt: Signal
    idle: Signal
    beats: Signal
    axi: Any

    def __init__(self, config: NpuConfig) -> None:
        self.config = config
        super().__init__(
            {
                **{asker: In(ReadRequestSignature(config)) for asker in ASKERS},
                "regions": In(regions_layout(config)),
                "halt": In(1),
                "idle": Out(1),
                "beats": Out(1),
                "axi": Out(Axi4ReadSignature(config)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config, axi = self.config, self.axi
        count = len(ASKERS)
        ports = [getattr(self, asker) for asker in ASKERS]
        address_bits = config.address_width

        m.submodules.ar = ar = SkidBuffer(data.StructLayout({"address": address_bits, "beats": 9}))
        m.submodules.r = r = SkidBuffer(data.StructLayout({"data": config.bus_bytes * 8, "resp": 2, "last": 1}))
        order_layout = data.StructLayout({"asker": range(count), "address": address_bits})
        m.submodules.order = order = fifo.SyncFIFO(width=order_layout.size, depth=config.outstanding_reads)

        m.d.comb += [
            axi.araddr.eq(ar.o.payload.address),
            axi.arlen.eq(ar.o.payload.beats - 1),
            axi.arsize.eq(exact_log2(config.bus_bytes)),
            axi.arburst.eq(1),
            axi.arcache.eq(0b0011),
            axi.arvalid.eq(ar.o.valid),
            ar.o.ready.eq(axi.arready),
            r.i.payload.data.eq(axi.rdata),
            r.i.payload.resp.eq(axi.rresp),
            r.i.payload.last.eq(axi.rlast),
            r.i.valid.eq(axi.rvalid),
            axi.rready.eq(r.i.ready),
            self.beats.eq(axi.rvalid & axi.rready),
        ]

        # Bursts on offer, and whether there is room for their data.
        splitters = [
            place(m, platform, f"splitter_{asker}", BurstSplitter, config, "read", module="tensaw_read_burst_splitter")
            for asker in ASKERS
        ]
        offers = [Signal(name=f"offer_{asker}") for asker in ASKERS]
        grants = [Signal(name=f"grant_{asker}") for asker in ASKERS]
        delivered = [Signal(name=f"delivered_{asker}") for asker in ASKERS]
        most = config.outstanding_reads * config.burst_beats
        for index, (asker, port, splitter) in enumerate(zip(ASKERS, ports, splitters, strict=True)):
            promised = Signal(range(most + 1), name=f"promised_{asker}")
            room = Signal(signed(18), name=f"room_{asker}")
            plenty = Signal(name=f"plenty_{asker}")  # room for any burst
            enough = Signal(name=f"enough_{asker}")  # or, seen a cycle later, for the one on offer
            beats = splitter.bursts.payload.beats
            now = Signal.like(room, name=f"room_now_{asker}")
            m.d.comb += [
                splitter.regions.eq(self.regions),
                splitter.request.payload.eq(port.request.payload),
                splitter.request.valid.eq(port.request.valid),
                port.request.ready.eq(splitter.request.ready),
                splitter.bursts.ready.eq(grants[index]),
                now.eq(port.credit - promised),
                offers[index].eq(splitter.bursts.valid & (plenty | enough)),
            ]
            # ``room`` may lag by a cycle: the same asker's next burst comes two cycles later at the earliest.
            m.d.sync += [
                room.eq(now),
                plenty.eq(now >= config.burst_beats),
                enough.eq(splitter.bursts.valid & ~grants[index] & (room >= beats)),
                promised.eq(promised + Mux(grants[index], beats, 0) - delivered[index]),
            ]
            counted = ~delivered[index] | (promised != 0)
            check(m, platform, counted, f"promised_{asker}", "a beat is delivered that was not counted")

        fetch, load, weight = offers
        overtaken = Signal(range(_PATIENCE + 1))
        shared_turn, weight_turn = Signal(), Signal()
        turn = splitters[2].bursts.payload.turn
        may_issue = Signal()
        m.d.comb += [
            may_issue.eq(ar.i.ready & order.w_rdy & ~self.halt),
            shared_turn.eq(overtaken == _PATIENCE),
            weight_turn.eq((turn == Turn.FIRST) | ((turn == Turn.SHARED) & shared_turn)),
            grants[0].eq(may_issue & fetch),
            grants[1].eq(may_issue & ~fetch & load & ~(weight & weight_turn)),
            grants[2].eq(may_issue & ~fetch & weight & (~load | weight_turn)),
            order.w_en.eq(Cat(grants).any()),
            ar.i.valid.eq(Cat(grants).any()),
        ]
        with m.If(grants[2] | ~weight):
            m.d.sync += overtaken.eq(0)
        with m.Elif(grants[1] & ~shared_turn):
            m.d.sync += overtaken.eq(overtaken + 1)
        entry = Signal(order_layout)
        m.d.comb += order.w_data.eq(entry)
        for index, (grant, splitter) in enumerate(zip(grants, splitters, strict=True)):
            with m.If(grant):
                m.d.comb += [
                    entry.asker.eq(index),
                    entry.address.eq(splitter.bursts.payload.address),
                    ar.i.payload.address.eq(splitter.bursts.payload.address),
                    ar.i.payload.beats.eq(splitter.bursts.payload.beats),
                ]

        # Data goes to the asker of the oldest burst. A bad beat is told a cycle later.
        oldest = data.View(order_layout, order.r_data)
        taken = Signal()
        bad = Signal()
        told = Signal(order_layout)
        told_code = Signal(ErrorCode)
        m.d.sync += [
            bad.eq(r.o.valid & r.o.payload.resp[1]),
            told.eq(oldest),
            told_code.eq(Mux(r.o.payload.resp == SLVERR, ErrorCode.READ_SLVERR.value, ErrorCode.READ_DECERR.value)),
        ]
        m.d.comb += [
            taken.eq(r.o.valid & r.o.ready),
            order.r_en.eq(taken & r.o.payload.last),
            self.idle.eq(~order.r_rdy & (ar.level == 0) & (r.level == 0)),
        ]
        for index, (port, splitter) in enumerate(zip(ports, splitters, strict=True)):
            mine = oldest.asker == index
            m.d.comb += [
                port.data.payload.eq(r.o.payload.data),
                port.data.valid.eq(r.o.valid & mine & ~self.halt),
                delivered[index].eq(taken & mine),
                port.error.valid.eq(splitter.error.valid | (bad & (told.asker == index))),
                port.error.code.eq(splitter.error.code),
                port.error.address.eq(splitter.error.address),
            ]
            with m.If(mine):
                m.d.comb += r.o.ready.eq(port.data.ready | self.halt)
            with m.If(bad & (told.asker == index)):
                m.d.comb += [port.error.code.eq(told_code), port.error.address.eq(told.address)]

        check(m, platform, ~r.o.valid | order.r_rdy, "asked", "a read beat comes that no burst asked for")
        outstanding = "more bursts are under way than outstanding_reads"
        check(m, platform, order.level <= config.outstanding_reads, "outstanding", outstanding)
        check_held(m, platform, "ar", axi.arvalid, axi.arready, ar.o.payload)
        return m
