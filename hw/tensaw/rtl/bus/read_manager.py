"""The read half of the memory port, shared by program fetch, load DMA and weight DMA."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, fifo, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from tensaw.rtl.bus.axi4 import SLVERR, Axi4ReadSignature, inside_regions, regions_layout
from tensaw.rtl.bus.burst_splitter import BurstSplitter
from tensaw.rtl.bus.skid_buffer import SkidBuffer
from tensaw.rtl.checks import FORMAL, check, check_held
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
        No new burst is issued and no data handed on, from the next cycle on; what is on its way is taken and dropped.
        Only a reset leads back.
    idle : Out(1)
        Nothing is on its way over the bus: no burst waits on AR or for data.
    beats : Out(1)
        A beat was taken from the bus (for counting bytes).
    axi : Out(Axi4ReadSignature(config))

    Timing
    ------
    Request to ``arvalid`` seven cycles; a burst every other cycle.
    Data reaches the asker one cycle after its handshake on R, one beat a cycle. All AXI outputs come from registers.

    An error is told to its asker a cycle after it is known, in one cycle or more; of two at once only the bad beat's.

    Which burst goes first: fetch, then load, then weight, but at most three bursts of load in a row while weight waits;
    weight before load where its access says ``Turn.FIRST``, never where it says ``Turn.LAST``.
    A burst goes out only if its asker's ``credit`` covers it and all that was issued before, so that an asker without
    room never blocks the others. Bursts are INCR, cross no 4 KiB, ID 0.
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
        # Of the bursts under way the addresses, and the askers but for the oldest one's: a bit for each.
        m.submodules.order = order = fifo.SyncFIFO(width=address_bits, depth=config.outstanding_reads)
        m.submodules.askers = askers = fifo.SyncFIFO(width=count, depth=config.outstanding_reads)

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
        name = "tensaw_read_burst_splitter"
        splitter = place(m, platform, "splitter", BurstSplitter, config, "read", count, module=name)
        bursts = [splitter.bursts[index] for index in range(count)]
        m.d.comb += splitter.regions.eq(self.regions)
        offers = [Signal(name=f"offer_{asker}") for asker in ASKERS]
        grants = [Signal(name=f"grant_{asker}") for asker in ASKERS]
        delivered = [Signal(name=f"delivered_{asker}") for asker in ASKERS]
        most = config.outstanding_reads * config.burst_beats
        few = config.burst_beats.bit_length()  # bits of a burst's beats, of which there is a power of two at most
        for index, (asker, port, burst) in enumerate(zip(ASKERS, ports, bursts, strict=True)):
            promised = Signal(range(most + 1), name=f"promised_{asker}")
            room = Signal(signed(18), name=f"room_{asker}")
            plenty = Signal(name=f"plenty_{asker}")  # room for any burst
            enough = Signal(name=f"enough_{asker}")  # or, seen a cycle later, for the one on offer
            beats = burst.payload.beats[:few]
            now = Signal.like(room, name=f"room_now_{asker}")
            unlimited = Signal(name=f"unlimited_{asker}")
            credit = Signal.like(port.credit, name=f"credit_{asker}")
            m.d.comb += [
                splitter.requests[index].payload.eq(port.request.payload),
                splitter.requests[index].valid.eq(port.request.valid),
                port.request.ready.eq(splitter.requests[index].ready),
                burst.ready.eq(grants[index]),
                now.eq(credit - promised),
                # Who has room for all that may be under way needs no counting, which is left out where credit is fixed.
                offers[index].eq(burst.valid & (plenty | enough | unlimited)),
            ]
            # ``room`` may lag by a cycle: the same asker's next burst comes two cycles later at the earliest. So may
            # credit: it falls before what is promised does.
            counted = Signal(name=f"counted_{asker}")  # a beat was delivered in the cycle before
            m.d.sync += [
                credit.eq(port.credit),
                unlimited.eq(credit.all()),
                room.eq(now),
                plenty.eq(~now[-1] & now[few - 1 : -1].any()),
                enough.eq(burst.valid & ~room[-1] & (room[few:-1].any() | (room[:few] >= beats))),
                counted.eq(delivered[index]),
                promised.eq(promised + Mux(grants[index], beats - counted, (-counted).as_signed())),
            ]
            sound = ~counted | (promised != 0)
            check(m, platform, sound, f"promised_{asker}", "a beat was delivered that was not counted")

        fetch, load, weight = offers
        overtaken = Signal(_PATIENCE)  # as many ones, from bit 0
        shared_turn, weight_turn = Signal(), Signal()
        turn = bursts[2].payload.turn
        # Behind each burst a cycle passes, in which is found out whether there is a place for the next one. To AR and
        # into the queue a burst goes in the cycle after its choice: it stays on its splitter's port for so long.
        may_issue = Signal()
        granted = Signal()
        chosen = Signal(count)  # one at most
        issuing = Signal(count)
        issues = Signal()  # there is one
        issued = Signal(ar.shape)
        level, depth = order.level, config.outstanding_reads
        place_in_queue = (level != depth) & ((level != depth - 1) | ~issues)
        place_for_ar = ~ar.o.valid | axi.arready | (ar.i.ready & ~issues)
        m.d.sync += [
            may_issue.eq(place_for_ar & place_in_queue & ~self.halt),
            issuing.eq(Cat(grants)),
            issues.eq(granted),
        ]
        m.d.comb += [
            granted.eq(Cat(grants).any()),
            shared_turn.eq(overtaken[-1]),
            weight_turn.eq((turn == Turn.FIRST) | ((turn == Turn.SHARED) & shared_turn)),
            chosen.eq(Cat(fetch, ~fetch & load & ~(weight & weight_turn), ~fetch & weight & (~load | weight_turn))),
            Cat(grants).eq(Mux(may_issue & ~issues, chosen, 0)),
        ]
        with m.If(grants[2] | ~weight):
            m.d.sync += overtaken.eq(0)
        with m.Elif(grants[1]):
            m.d.sync += overtaken.eq(Cat(1, overtaken))
        for name in ("address", "beats"):
            values = [burst.payload[name] for burst in bursts]
            m.d.comb += issued[name].eq(Mux(issuing[2], values[2], Mux(issuing[1], values[1], values[0])))
        m.d.comb += [
            ar.i.payload.eq(issued),
            ar.i.valid.eq(issues),
            order.w_data.eq(issued.address),
            order.w_en.eq(issues),
            askers.w_data.eq(issuing),
            askers.w_en.eq(issues),
        ]

        # Data goes to the asker of the oldest burst, known before its first beat can come. A bad beat is told a cycle
        # later, a refusal in all cycles without.
        owner = Signal(count)  # none: 0
        dropping = Signal()
        taken = Signal()
        bad = Signal()
        told = Signal(count)
        told_code = Signal(ErrorCode, reset_less=True)
        told_address = Signal(address_bits, reset_less=True)
        m.d.sync += [
            dropping.eq(self.halt),
            told.eq(Mux(bad, owner, splitter.refused)),
            told_code.eq(ErrorCode.OUTSIDE_REGION),
            told_address.eq(Mux(bad, order.r_data, splitter.refused_address)),
        ]
        with m.If(bad):
            code = Mux(r.o.payload.resp == SLVERR, ErrorCode.READ_SLVERR.value, ErrorCode.READ_DECERR.value)
            m.d.sync += told_code.eq(code)
        m.d.comb += [
            bad.eq(r.o.valid & r.o.payload.resp[1]),
            taken.eq(r.o.valid & r.o.ready),
            order.r_en.eq(taken & r.o.payload.last),
            askers.r_en.eq(~owner.any() | order.r_en),
            self.idle.eq(~order.r_rdy & ~issues),
        ]
        with m.If(askers.r_en):
            m.d.sync += owner.eq(Mux(askers.r_rdy, askers.r_data, 0))
        for index, port in enumerate(ports):
            mine = owner[index]
            m.d.comb += [
                port.data.payload.eq(r.o.payload.data),
                port.data.valid.eq(r.o.valid & mine & ~dropping),
                delivered[index].eq(taken & mine),
                port.error.valid.eq(told[index]),
                port.error.code.eq(told_code),
                port.error.address.eq(told_address),
            ]
        ready = Cat(owner[index] & port.data.ready for index, port in enumerate(ports))
        m.d.comb += r.o.ready.eq(dropping | ready.any())

        if platform != FORMAL:  # whose proof of the splitter says so
            inside = inside_regions(config, self.regions, "read", issued.address, issued.beats)
            check(m, platform, ~issues | inside, "window", "a read leaves the regions that allow it")
        check(m, platform, ~r.o.valid | owner.any(), "asked", "a read beat comes that no burst asked for")
        outstanding = "more bursts are under way than outstanding_reads"
        check(m, platform, order.level <= config.outstanding_reads, "outstanding", outstanding)
        check(m, platform, ~issues | ar.i.ready, "ar_place", "a burst is issued and AR has no place for it")
        check_held(m, platform, "ar", axi.arvalid, axi.arready, ar.o.payload)
        return m
