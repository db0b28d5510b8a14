"""Proof of tensaw.rtl.bus.write_manager: AW, W and B of ``m_axi_*``, which are this block's ports."""

from __future__ import annotations

from amaranth.hdl import Mux, Signal, Value
from amaranth.lib import data

from tensaw.formal.axi import channel, constant_regions
from tensaw.formal.bench import Bench, Planted, proof, transfer
from tensaw.formal.bus_burst_splitter import assume_splitter
from tensaw.formal.configs import CONFIG
from tensaw.formal.shadow import Shadow
from tensaw.rtl.bus.write_manager import WriteManager
from tensaw.spec.registers import ErrorCode

_MODULE = "tensaw.rtl.bus.write_manager"
_OUTSTANDING = 3
_EVERYTHING = 0xFF
_OWED = data.StructLayout({"beats": 9, "first_lane": 3, "last_lane": 3})


@proof(
    "bus.write_manager",
    depth=4,
    cover_depth=24,
    planted=(
        Planted(_MODULE, "last.eq(left == 1)", "last.eq(left == 2)"),
        Planted(_MODULE, "everything >> (~current.last_lane)", "everything >> (~current.first_lane)"),
        Planted(_MODULE, "owed.w_rdy & awaited.w_rdy", "owed.w_rdy"),
        Planted(_MODULE, "left.eq(next_burst.beats), first.eq(1)]", "left.eq(next_burst.beats - 1), first.eq(1)]"),
        Planted(
            _MODULE, "store.done.eq(~awaited.r_rdy & ~splitter.busy)", "store.done.eq(~owed.r_rdy & ~splitter.busy)"
        ),
    ),
)
def write_manager(b: Bench) -> None:
    """AW, W and B keep AXI4's rules: what is offered waits unchanged; each burst has as many beats as its AW said, the
    last one marked, in the order of the AWs; strobes cover the bytes asked for and no others, none at all while halted;
    bursts lie in a region that may be written and cross no 4 KiB; never more are under way than allowed; ``done`` and
    ``idle`` are only told when all is acknowledged; an error response is told with its own burst's address."""
    m = b.m
    dut = b.add(WriteManager(CONFIG, _OUTSTANDING))
    axi, store = dut.axi, dut.store
    owed, awaited = b.part("dut.owed"), b.part("dut.awaited")
    aw, w = b.part("dut.aw"), b.part("dut.w")
    constant_regions(b, CONFIG, dut.regions)
    b.source(store.request)
    b.source(store.data)
    b.assume(store.request.payload.bytes != 0)
    b.drive(dut.halt, "halt")
    b.assume(dut.halt | ~b.past(dut.halt))
    for name in ("awready", "wready", "bvalid", "bresp", "bid"):
        b.drive(getattr(axi, name), name)
    splitter = assume_splitter(b, "dut.splitter")

    # Bursts from being issued to being acknowledged: beats that have still to enter W's buffer, and to leave it.
    burst = splitter.bursts[0].payload
    layout = data.StructLayout(
        {
            "address": CONFIG.address_width,
            "beats": 9,
            "first_lane": 3,
            "last_lane": 3,
            "enter": 9,
            "leave": 9,
            "fired": 1,
        }
    )
    issue = b.inside("dut.issue")
    entry = [burst.address, burst.beats, burst.first_lane, burst.last_lane, burst.beats, burst.beats, 0]
    pushed = Signal(layout)
    m.d.comb += [getattr(pushed, name).eq(value) for name, value in zip(layout.members, entry, strict=True)]
    bursts = Shadow(b, layout, _OUTSTANDING, issue, pushed, axi.bvalid, "bursts")
    entering = bursts.first([e.enter != 0 for e in bursts.entries])
    leaving = bursts.first([e.leave != 0 for e in bursts.entries])
    unfired = bursts.first([~e.fired for e in bursts.entries])
    moved = b.inside("dut.moved")
    for index, after in enumerate(bursts.after):
        with m.If(entering[index] & moved):
            m.d.comb += after.enter.eq(bursts.entries[index].enter - 1)
        with m.If(leaving[index] & axi.wvalid & axi.wready):
            m.d.comb += after.leave.eq(bursts.entries[index].leave - 1)
        with m.If(unfired[index] & axi.awvalid & axi.awready):
            m.d.comb += after.fired.eq(1)
    oldest = bursts.entries[0]
    b.assume(~axi.bvalid | (bursts.valid(0) & oldest.fired & (oldest.leave == 0)))

    # The ports.
    b.prove_stream(channel(axi, "aw", "addr", "len", "size", "burst", "id", "lock", "cache", "prot", "qos"), "aw")
    b.prove_stream(channel(axi, "w", "data", "strb", "last"), "w")
    b.prove("size", (axi.awsize == 3) & (axi.awburst == 1) & (axi.awid == 0), "INCR bursts of whole words, ID 0")
    next_aw = bursts.select(unfired, [e.as_value() for e in bursts.entries])
    next_aw = layout(next_aw)
    same = (axi.awaddr == next_aw.address) & (axi.awlen == next_aw.beats - 1)
    b.prove("aw", ~axi.awvalid | (_any(unfired) & same), "AW shows each burst once, in order")
    b.prove("page", ~axi.awvalid | ((axi.awaddr & 0xFFF) + ((axi.awlen + 1) << 3) <= 0x1000), "no burst crosses 4 KiB")
    current = layout(bursts.select(leaving, [e.as_value() for e in bursts.entries]))
    mask = _strobes(current, current.leave)
    with m.If(axi.wvalid):
        b.prove("w", _any(leaving), "a beat belongs to a burst")
        b.prove("wlast", axi.wlast == (current.leave == 1), "the last beat of each burst, and no other, is marked")
        b.prove("strobes", (axi.wstrb & ~mask) == 0, "no byte is written that was not asked for")
        b.prove(
            "all_strobes", (axi.wstrb == mask) | dut.halt, "until the halt all bytes are written that were asked for"
        )
    b.prove("bready", axi.bready, "responses are always taken")
    b.prove("halted", ~(dut.halt & issue), "nothing is issued in a halt")
    b.prove("takes", (store.data.valid & store.data.ready) == (moved & ~dut.halt), "a beat is taken when it is sent")
    b.prove("data", ~moved | dut.halt | (w.i.payload.data == store.data.payload), "and sent as it was")
    clean = ~bursts.valid(0)
    b.prove("idle", dut.idle == clean, "idle: every burst is acknowledged")
    b.prove("done", ~store.done | (clean & ~splitter.busy), "done: every access is acknowledged")
    b.prove("not_done", store.done | ~clean | splitter.busy, "and done as soon as it is")
    failed = b.past(axi.bvalid & axi.bresp[1])
    where = b.past(oldest.address)
    code = Mux(b.past(axi.bresp) == 2, 3, 4)
    told = store.error.valid & (store.error.code == code) & (store.error.address == where)
    b.prove("error", ~failed | told, "an error response is told with its code and its burst's address")
    refused = b.past(splitter.refused[0] & ~(axi.bvalid & axi.bresp[1]))
    outside = store.error.address == b.past(splitter.refused_address)
    outside = store.error.valid & (store.error.code == ErrorCode.OUTSIDE_REGION) & outside
    b.prove("refused", ~refused | outside, "a refusal with the access's, when there is no such response")
    b.prove("no_error", failed | refused | ~store.error.valid, "no other error is told")

    # What the block's state means.
    to_enter = sum((bursts.valid(i) & (e.enter != 0) for i, e in enumerate(bursts.entries)), start=Value.cast(0))
    sending, left = b.inside("dut.sending"), b.inside("dut.left")
    now = layout(bursts.select(entering, [e.as_value() for e in bursts.entries]))
    held = _OWED(b.inside("dut.current"))
    b.prove("owed", owed.level + sending == to_enter, "queued and current bursts are those with beats to enter")
    b.prove("awaited", awaited.level == bursts.count, "the addresses kept are those of the bursts under way")
    with m.If(sending):
        same = (held.beats == now.beats) & (held.first_lane == now.first_lane) & (held.last_lane == now.last_lane)
        b.prove("current", _any(entering) & same & (left == now.enter), "the current burst is the first of them")
        b.prove("first", b.inside("dut.first") == (left == held.beats), "its first beat is known")
    waiting_aw = sum((bursts.valid(i) & ~e.fired for i, e in enumerate(bursts.entries)), start=Value.cast(0))
    inside_w = sum(
        (Mux(bursts.valid(i), e.leave - e.enter, 0) for i, e in enumerate(bursts.entries)), start=Value.cast(0)
    )
    b.prove("aw_level", aw.level == waiting_aw, "bursts not yet taken are in AW's buffer")
    b.prove("w_level", w.level == inside_w, "beats that entered and did not leave are in W's buffer")
    spare_aw, spare_w = aw.shape(b.inside("dut.aw.spare")), w.shape(b.inside("dut.w.spare"))
    consume = {name: b.inside(f"dut.{name}.consume") for name in ("owed", "awaited")}
    for i, e in enumerate(bursts.entries):
        with m.If(bursts.valid(i)):
            fields = (e.beats != 0) & (e.beats <= CONFIG.burst_beats) & (e.enter <= e.leave) & (e.leave <= e.beats)
            b.prove(f"sound_{i}", fields, "a burst has beats, which leave after they entered")
            whole = (e.address[:3] == 0) & (e.address[3:12] + e.beats <= 512)
            b.prove(f"whole_{i}", whole, "a burst stays in its page")
            where = (consume["awaited"] + i) % _OUTSTANDING
            b.prove(f"address_{i}", b.row("dut.awaited", where) == e.address, "its address is kept")
            if i:
                before = bursts.entries[i - 1]
                ordered = ((e.enter == e.beats) | (before.enter == 0)) & ((e.leave == e.beats) | (before.leave == 0))
                b.prove(f"ordered_{i}", ordered & (before.fired | ~e.fired), "bursts go one after the other")
        place = sum((bursts.valid(j) & (bursts.entries[j].enter != 0) for j in range(i)), start=Value.cast(0))
        with m.If(bursts.valid(i) & (e.enter != 0) & (place >= sending)):
            row = b.row("dut.owed", (consume["owed"] + place - sending) % _OUTSTANDING)
            kept = Value.cast(row) == data_of(e)
            b.prove(f"owed_{i}", kept & (e.enter == e.beats), "its beats and lanes are queued")
        with m.If(bursts.valid(i) & ~e.fired):
            ahead = sum((bursts.valid(j) & ~bursts.entries[j].fired for j in range(i)), start=Value.cast(0))
            shown = Mux(ahead == 0, aw.o.payload.as_value(), spare_aw.as_value())
            b.prove(f"aw_{i}", shown == e.address | e.beats << CONFIG.address_width, "its address waits in AW's buffer")
    second = layout(Mux(current.leave == 1, _following(bursts, leaving).as_value(), current.as_value()))
    second_leave = Mux(current.leave == 1, second.leave, current.leave - 1)
    with m.If(w.level == 2):
        b.prove("second_last", spare_w.last == (second_leave == 1), "the second beat in W's buffer is marked likewise")
        allowed = _strobes(second, second_leave)
        b.prove("second_strobes", (spare_w.strobe & ~allowed) == 0, "its strobes, too")
        b.prove("second_all", (spare_w.strobe == allowed) | dut.halt, "and all of them")

    b.cover("full", bursts.count == _OUTSTANDING, "as many bursts as are allowed are under way")
    b.cover("ahead", (bursts.count == 2) & bursts.entries[1].fired & (oldest.leave == oldest.beats), "AW runs ahead")
    b.cover("unaligned", axi.wvalid & axi.wready & axi.wlast & (axi.wstrb == 0x18), "a burst of two bytes in one word")
    b.cover("several", transfer(store.data) & (now.enter == 1) & (now.beats == CONFIG.burst_beats), "a whole burst")
    b.cover("answered", axi.bvalid & b.past(axi.bvalid), "responses follow each other")
    b.cover("drained", dut.halt & dut.idle & b.past(axi.bvalid), "a halt comes to rest")


def _any(choices: list[Value]) -> Value:
    return sum(choices, start=Value.cast(0)).any()


def data_of(entry: data.View) -> Value:
    """What the queue of owed bursts holds of one."""
    return entry.beats | entry.first_lane << 9 | entry.last_lane << 12


def _strobes(burst: data.View, left: Value) -> Value:
    """Bytes of a burst's beat with ``left`` beats from it on."""
    first = Mux(left == burst.beats, _EVERYTHING << burst.first_lane, _EVERYTHING)
    return first & Mux(left == 1, _EVERYTHING >> ~burst.last_lane, _EVERYTHING) & _EVERYTHING


def _following(bursts: Shadow, chosen: list[Value]) -> data.View:
    """The entry behind the chosen one."""
    entries = bursts.entries
    values = [entries[min(i + 1, len(entries) - 1)].as_value() for i in range(len(entries))]
    return entries[0].shape()(bursts.select(chosen, values))
