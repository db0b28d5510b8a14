"""Proof of tensaw.rtl.bus.read_manager: AR and R of ``m_axi_*``, which are this block's ports."""

from __future__ import annotations

from amaranth.hdl import Cat, Mux, Signal, Value
from amaranth.lib import data

from tensaw.formal.axi import channel, constant_regions
from tensaw.formal.bench import Bench, Planted, proof, transfer
from tensaw.formal.bus_burst_splitter import assume_splitter
from tensaw.formal.configs import CONFIG
from tensaw.formal.shadow import Shadow
from tensaw.rtl.bus.read_manager import ASKERS, ReadManager
from tensaw.spec.isa import Turn
from tensaw.spec.registers import ErrorCode

_MODULE = "tensaw.rtl.bus.read_manager"
_BUFFERS = {"fetch": 8, "weight": 5}
"""Beats that an asker can hold which takes whatever comes; load makes the bus wait instead."""


@proof(
    "bus.read_manager",
    depth=2,
    cover_depth=14,
    planted=(
        Planted(_MODULE, "now.eq(credit - promised)", "now.eq(credit)"),
        Planted(_MODULE, "order.r_en.eq(taken & r.o.payload.last)", "order.r_en.eq(taken)"),
        Planted(_MODULE, "may_issue.eq(place_for_ar & place_in_queue", "may_issue.eq(place_for_ar"),
        Planted(_MODULE, "may_issue.eq(place_for_ar & place_in_queue", "may_issue.eq(place_in_queue"),
        Planted(_MODULE, "(level != depth) & ((level != depth - 1) | ~issues)", "(level != depth)"),
        Planted(_MODULE, "(turn == Turn.SHARED) & shared_turn", "(turn == Turn.SHARED) & 0"),
        Planted(_MODULE, "(room[:few] >= beats)", "(room[:few] + 1 >= beats)"),
        Planted(_MODULE, "askers.w_data.eq(issuing)", "askers.w_data.eq(1)"),
        Planted(_MODULE, "self.idle.eq(~order.r_rdy & ~issues)", "self.idle.eq(~order.r_rdy)"),
        Planted(_MODULE, "told_address.eq(Mux(bad, order", "told_address.eq(Mux(told.any(), order"),
    ),
)
def read_manager(b: Bench) -> None:
    """AR and R keep AXI4's rules: what is offered waits unchanged; every burst is shown once, lies in a region that may
    be read and crosses no 4 KiB; never more than outstanding_reads are under way. Every beat goes to the asker of its
    burst, once, in order, unchanged; no asker gets a beat for which it gave no credit, and weight waits for at most
    three bursts of load, for none where it goes first, and goes before none where it goes last. In a halt nothing is
    issued and what comes is dropped; ``idle`` is only told when nothing is under way; an error response is told to its
    asker with the burst's address."""
    m = b.m
    dut = b.add(ReadManager(CONFIG))
    axi, capacity = dut.axi, CONFIG.outstanding_reads
    order, askers, r, ar = (b.part(f"dut.{name}") for name in ("order", "askers", "r", "ar"))
    constant_regions(b, CONFIG, dut.regions)
    b.drive(dut.halt, "halt")
    b.assume(dut.halt | ~b.past(dut.halt))
    b.drive(axi.arready, "arready")
    splitter = assume_splitter(b, "dut.splitter")
    ports = [getattr(dut, asker) for asker in ASKERS]
    grants = [b.inside(f"dut.grant_{asker}") for asker in ASKERS]

    # Bursts from being issued to their last beat: beats that have still to come over R, and to leave R's buffer.
    few = range(CONFIG.burst_beats + 1)
    layout = data.StructLayout(
        {"asker": 2, "address": CONFIG.address_width, "beats": few, "come": few, "leave": few, "fired": 1}
    )
    pushed = Signal(layout)
    for index, grant in enumerate(grants):
        burst = splitter.bursts[index].payload
        with m.If(grant):
            m.d.comb += [pushed.asker.eq(index), pushed.address.eq(burst.address)]
            m.d.comb += [getattr(pushed, name).eq(burst.beats) for name in ("beats", "come", "leave")]
    taken = transfer(r.o)
    bursts = Shadow(b, layout, capacity, Cat(grants).any(), pushed, taken & r.o.payload.last, "bursts")
    entries, oldest = bursts.entries, bursts.entries[0]
    coming = bursts.first([e.come != 0 for e in entries])
    unfired = bursts.first([~e.fired for e in entries])
    for index, after in enumerate(bursts.after):
        with m.If(coming[index] & axi.rvalid & axi.rready):
            m.d.comb += after.come.eq(entries[index].come - 1)
        with m.If(unfired[index] & axi.arvalid & axi.arready):
            m.d.comb += after.fired.eq(1)
    with m.If(taken):
        m.d.comb += bursts.after[0].leave.eq(oldest.leave - 1)

    # The memory answers the bursts in their order.
    now = layout(bursts.select(coming, [e.as_value() for e in entries]))
    for name in ("rvalid", "rdata", "rresp", "rlast", "rid"):
        b.drive(getattr(axi, name), name)
    b.assume(b.holds_still(channel(axi, "r", "data", "resp", "last", "id")))
    b.assume(~axi.rvalid | (now.fired & (axi.rlast == (now.come == 1))))

    # The askers: two that take whatever comes and give credit for what they can hold, one that makes the bus wait.
    held: dict[str, Signal] = {}
    for asker, port in zip(ASKERS, ports, strict=True):
        b.source(port.request)
        b.assume(port.request.payload.bytes != 0)
        if asker not in _BUFFERS:
            b.drive(port.data.ready, "data_ready")
            m.d.comb += port.credit.eq(0xFFFF)
            continue
        depth = _BUFFERS[asker]
        held[asker] = level = Signal(range(2 * depth), name=f"{asker}_level")
        used = b.free(1, f"{asker}_uses")
        m.d.comb += [port.data.ready.eq(1), port.credit.eq(depth - level)]
        m.d.sync += level.eq(level + transfer(port.data) - (used & (level != 0)))
        b.prove(f"{asker}_credit", ~port.data.valid | (level < depth), f"{asker} has room for each of its beats")

    # The ports.
    b.prove_stream(channel(axi, "ar", "addr", "len", "size", "burst", "id", "lock", "cache", "prot", "qos"), "ar")
    b.prove("size", (axi.arsize == 3) & (axi.arburst == 1) & (axi.arid == 0), "INCR bursts of whole words, ID 0")
    shown = layout(bursts.select(unfired, [e.as_value() for e in entries]))
    same = (axi.araddr == shown.address) & (axi.arlen == shown.beats - 1)
    waits = sum((bursts.valid(i) & ~e.fired for i, e in enumerate(entries)), start=Value.cast(0))
    b.prove("ar", ~axi.arvalid | ((waits != 0) & same), "AR shows each burst once, in order")
    b.prove("page", ~axi.arvalid | ((axi.araddr & 0xFFF) + ((axi.arlen + 1) << 3) <= 0x1000), "no burst crosses 4 KiB")
    b.prove("one_grant", sum(grants, start=Value.cast(0)) <= 1, "one burst is issued at a time")
    b.prove("halted", ~(b.past(dut.halt) & Cat(grants).any()), "nothing is issued in a halt, from its second cycle on")
    b.prove("idle", dut.idle == (bursts.count == 0), "idle: no burst is under way")
    gets = [transfer(port.data) for port in ports]
    with m.If(taken):
        whole = Mux(b.past(dut.halt), ~Cat(gets).any(), sum(gets, start=Value.cast(0)) == 1)
        b.prove("delivered", whole, "a beat goes to one")
    b.prove("not_lost", taken | ~Cat(gets).any(), "and leaves R's buffer when it is taken")
    for index, (asker, port) in enumerate(zip(ASKERS, ports, strict=True)):
        with m.If(port.data.valid):
            b.prove(f"{asker}_own", bursts.valid(0) & (oldest.asker == index), f"{asker} gets the beats of its bursts")
            b.prove(f"{asker}_data", port.data.payload == r.o.payload.data, "as they came")
        bad = b.past(r.o.valid & r.o.payload.resp[1] & (oldest.asker == index))
        code, address = b.past(Mux(r.o.payload.resp == 2, 1, 2)), b.past(oldest.address)
        told = port.error.valid & (port.error.code == code) & (port.error.address == address)
        b.prove(f"{asker}_error", ~bad | told, f"an error response is told to {asker} a cycle later, with its address")
        refused = b.past(splitter.refused[index] & ~(r.o.valid & r.o.payload.resp[1]))
        outside = port.error.address == b.past(splitter.refused_address)
        outside = port.error.valid & (port.error.code == ErrorCode.OUTSIDE_REGION) & outside
        b.prove(f"{asker}_refused", ~refused | outside, "a refusal likewise, when there is no such response")
        b.prove(f"{asker}_no_error", bad | refused | ~port.error.valid, "and no other")
    overtaken = Signal(range(4))
    fetch, load, weight = grants
    offered, turn = b.inside("dut.offer_weight"), splitter.bursts[2].payload.turn
    with m.If(weight | ~offered):
        m.d.sync += overtaken.eq(0)
    with m.Elif(load & (overtaken != 3)):
        m.d.sync += overtaken.eq(overtaken + 1)
    waits_long = load & offered & (turn == Turn.SHARED) & (overtaken == 3)
    b.prove("patience", ~waits_long, "load overtakes a burst of weight that may go at most three times")
    counted = b.inside("dut.overtaken")
    b.prove("overtaken", overtaken == sum(counted, start=Value.cast(0)), "which is counted")
    b.prove("ones", (counted & (counted + 1)) == 0, "in ones")
    b.prove("first", ~(load & offered & (turn == Turn.FIRST)), "or not at all where weight goes first")
    b.prove("last", ~(weight & b.inside("dut.offer_load") & (turn == Turn.LAST)), "weight may have to go last")

    # What the block's state means.
    may, issues, issuing = b.inside("dut.may_issue"), b.inside("dut.issues"), b.inside("dut.issuing")
    b.prove("issuing", (issuing == b.past(Cat(grants))) & (issues == issuing.any()), "what was granted is issued")
    b.prove("order_level", order.level + issues == bursts.count, "or in the queue, which holds the bursts under way")
    owner = b.inside("dut.owner")
    b.prove("askers_level", askers.level + owner.any() == order.level, "their askers likewise, the first one's before")
    b.prove("owner", ~(bursts.valid(0) & oldest.fired) | owner.any(), "it is known once data may come")
    b.prove("ar_valid", ar.level + issues == waits, "a burst not yet taken is in AR's buffer")
    b.prove("may", ~may | issues | (ar.i.ready & (bursts.count < capacity)), "which has room if one may be issued")
    b.prove("place", ~issues | ar.i.ready, "or is")
    inside = sum((Mux(bursts.valid(i), e.leave - e.come, 0) for i, e in enumerate(entries)), start=Value.cast(0))
    b.prove("r_level", r.level == inside, "beats that came and did not leave are in R's buffer")
    b.prove("r_last", ~r.o.valid | (r.o.payload.last == (oldest.leave == 1)), "the last beat of a burst is marked")
    spare = r.shape(b.inside("dut.r.spare"))
    second = Mux(oldest.leave == 1, entries[1].leave == 1, oldest.leave == 2)
    b.prove("r_spare", (r.level != 2) | (spare.last == second), "so in the second place")
    consume, consume_asker = b.inside("dut.order.consume"), b.inside("dut.askers.consume")
    for i, e in enumerate(entries):
        with m.If(bursts.valid(i)):
            whole = (e.address[:3] == 0) & (e.address[3:12] + e.beats <= 512)
            b.prove(f"whole_{i}", whole, "a burst stays in its page")
            some = (e.come <= e.leave) & (e.leave != 0) & (e.leave <= e.beats) & (e.beats <= CONFIG.burst_beats)
            b.prove(f"some_{i}", some, "a burst has beats, which leave after they came")
            sound = (e.asker < len(ASKERS)) & (e.fired | (e.come == e.beats))
            b.prove(f"sound_{i}", sound, "and come after its address was taken")
            row = b.row("dut.order", (consume + i) % capacity)
            queued = b.row("dut.askers", (consume_asker + i - owner.any()) % capacity)
            queued = Mux(owner.any(), owner, queued) if i == 0 else queued
            asker = Cat(e.asker == index for index in range(len(ASKERS)))
            newest = issues & (bursts.count == i + 1)
            b.prove(f"order_{i}", newest | ((row == e.address) & (queued == asker)), "asker and address are queued")
            own = splitter.bursts[0].payload
            own = Mux(e.asker == 2, splitter.bursts[2].payload, Mux(e.asker == 1, splitter.bursts[1].payload, own))
            own = splitter.bursts[0].payload.shape()(own)
            same = (issuing == asker) & (own.address == e.address) & (own.beats == e.beats)
            b.prove(f"newest_{i}", ~newest | same, "or will be, with what its splitter still shows")
            if i:
                before = entries[i - 1]
                ordered = (e.leave == e.beats) & ((e.come == e.beats) | (before.come == 0)) & (before.fired | ~e.fired)
                b.prove(f"ordered_{i}", ordered, "bursts go one after the other")
            with m.If(unfired[i] & ~newest):
                b.prove(f"ar_{i}", ar.o.payload.as_value() == Cat(e.address, e.beats), "it waits in AR's buffer")
            with m.If(~e.fired & ~unfired[i] & ~newest):
                b.prove(f"spare_{i}", b.inside("dut.ar.spare") == Cat(e.address, e.beats), "maybe in the second place")
    for index, (asker, grant) in enumerate(zip(ASKERS, grants, strict=True)):
        burst = splitter.bursts[index]
        due = [Mux(bursts.valid(i) & (e.asker == index), e.leave, 0) for i, e in enumerate(entries)]
        promised, room = b.inside(f"dut.promised_{asker}"), b.inside(f"dut.room_{asker}")
        plenty, late = b.inside(f"dut.plenty_{asker}"), b.inside(f"dut.counted_{asker}")
        b.prove(f"{asker}_plenty", plenty == (room >= CONFIG.burst_beats), "whether there is room for any burst")
        b.prove(f"{asker}_promised", promised == sum(due, late), "what is promised is under way, or came just now")
        if asker in held:
            depth = _BUFFERS[asker]
            promised = promised - late
            granted = b.past(Mux(grant, burst.payload.beats, 0))
            waits, beats = b.inside(f"dut.enough_{asker}"), burst.payload.beats
            b.prove(f"{asker}_waits", ~waits | burst.valid | b.past(grant), "room is seen for a burst on offer")
            b.prove(
                f"{asker}_enough", ~(waits & burst.valid) | (held[asker] + promised + beats <= depth), "which it has"
            )
            b.prove(f"{asker}_granted", (granted == 0) | ~burst.valid, "bursts do not follow each other at once")
            b.prove(f"{asker}_level", held[asker] + promised <= depth, "what is under way has room")
            fresh = room + held[asker] + promised <= depth + granted
            b.prove(f"{asker}_room", fresh, "the room known is the last cycle's")

    b.cover("full", bursts.count == capacity, "as many bursts as are allowed are under way")
    three = (bursts.count == 3) & (entries[0].asker != entries[1].asker) & (entries[2].asker == 2)
    b.cover("three", three, "bursts of several askers")
    b.cover("starved", b.inside("dut.room_weight") == 0, "an asker without room")
    b.cover("turn", (overtaken == 3) & weight & b.inside("dut.offer_load"), "weight has its turn")
    b.cover("waits", (overtaken == 3) & load & offered, "and waits for longer where it goes last")
    b.cover("error", dut.load.error.valid & b.past(taken), "an error response")
    b.cover("drained", dut.halt & dut.idle & b.past(taken), "a halt comes to rest")
    b.cover("long", taken & r.o.payload.last & (oldest.beats == CONFIG.burst_beats), "a whole burst")
