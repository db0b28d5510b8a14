"""Proof of tensaw.rtl.bus.axi_lite: the AXI4-Lite rules of ``s_axi_*``, which are this block's ports."""

from __future__ import annotations

from amaranth.hdl import Cat, Signal

from tensaw.formal.axi import channel
from tensaw.formal.bench import Bench, Planted, proof
from tensaw.rtl.bus.axi_lite import READ_CYCLES, AxiLitePort

_MODULE = "tensaw.rtl.bus.axi_lite"
_PROMPT = READ_CYCLES + 2
"""Most cycles until a request is taken, and from there to the answer, if nothing stands before it."""


@proof(
    "bus.axi_lite",
    depth=9,
    cover_depth=24,
    planted=(
        Planted(_MODULE, "with m.If(answering & axi.bready):", "with m.If(answering):"),
        Planted(_MODULE, "data_ready.eq(~have_data & ~answering)", "data_ready.eq(~have_data)"),
        Planted(_MODULE, "with m.If(waiting[-1]):", "with m.If(waiting[-2]):"),
    ),
)
def axi_lite(b: Bench) -> None:
    """Every write is carried out once, with its own address, data and strobes, whichever of them comes first, and every
    read once; each is answered once, after it was taken, within a few cycles; the answer waits until it is taken."""
    m = b.m
    dut = b.add(AxiLitePort(12))
    axi = dut.axi
    aw, w, ar = channel(axi, "aw", "addr"), channel(axi, "w", "data", "strb"), channel(axi, "ar", "addr")
    for port in (aw, w, ar):
        b.drive(port.valid, "valid")
    for name in ("awaddr", "awprot", "wdata", "wstrb", "araddr", "arprot"):
        b.drive(getattr(axi, name), name)
    for port in (aw, w, ar):
        b.assume(b.holds_still(port))
    b.drive(axi.bready, "bready")
    b.drive(axi.rready, "rready")
    b.drive(dut.write_error, "write_error")
    b.drive(dut.read_data, "read_data")
    b.prove_stream(channel(axi, "b", "resp"), "b")
    b.prove_stream(channel(axi, "r", "data", "resp"), "r")

    # The write: what was taken and not carried out; whether an answer is due.
    address, data, strobe = Signal(10), Signal(32), Signal(4)
    has_address, has_data, due, failed = Signal(), Signal(), Signal(), Signal()
    with m.If(aw.valid & aw.ready):
        m.d.sync += [has_address.eq(1), address.eq(axi.awaddr[2:])]
    with m.If(w.valid & w.ready):
        m.d.sync += [has_data.eq(1), data.eq(axi.wdata), strobe.eq(axi.wstrb)]
    with m.If(dut.write_enable):
        m.d.sync += [has_address.eq(0), has_data.eq(0), due.eq(1), failed.eq(dut.write_error)]
        b.prove("write_asked", has_address & has_data, "a write that is carried out was asked for")
        same = (dut.write_address == address) & (dut.write_data == data) & (dut.write_strobe == strobe)
        b.prove("write_same", same, "it has the address, data and strobes that were given")
        b.prove("write_once", ~due, "one write at a time")
    with m.If(axi.bvalid & axi.bready):
        m.d.sync += due.eq(0)
    b.prove("answer_due", ~axi.bvalid | due, "a write is answered after it was carried out")
    b.prove("answer_code", ~axi.bvalid | (axi.bresp == (failed << 1)), "with OKAY or SLVERR as it went")
    b.prove("address_room", ~(aw.valid & aw.ready) | (~has_address & ~due), "an address is taken when there is room")
    b.prove("data_room", ~(w.valid & w.ready) | (~has_data & ~due), "data is taken when there is room")

    # The read.
    where, asked, enabled, fetched = Signal(10), Signal(), Signal(), Signal(32)
    with m.If(ar.valid & ar.ready):
        m.d.sync += [asked.eq(1), where.eq(axi.araddr[2:])]
        b.prove("read_room", ~asked, "one read at a time")
    m.d.comb += enabled.eq(b.past(dut.read_enable, READ_CYCLES))
    with m.If(enabled):
        m.d.sync += fetched.eq(dut.read_data)
    with m.If(dut.read_enable):
        b.prove("read_asked", asked & (dut.read_address == where), "a read that is carried out was asked for")
    done = Signal()
    with m.If(axi.rvalid & axi.rready):
        m.d.sync += [asked.eq(0), done.eq(0)]
    with m.Elif(dut.read_enable):
        m.d.sync += done.eq(1)
        b.prove("read_once", ~done, "a read is carried out once")
    with m.If(axi.rvalid):
        b.prove("read_answered", asked & done, "a read is answered after it was carried out")
        b.prove("read_data", (axi.rdata == fetched) & (axi.rresp == 0), "with the word that was found, and OKAY")

    # Nothing waits for ever.
    for name, waiting, text in (
        ("address_taken", aw.valid & ~aw.ready & ~has_address & ~due, "an address"),
        ("data_taken", w.valid & ~w.ready & ~has_data & ~due, "data"),
        ("read_taken", ar.valid & ~ar.ready & ~asked, "a read's address"),
        ("write_answered", ((has_address & has_data) | due) & ~axi.bvalid, "a write's answer"),
        ("read_shown", asked & ~axi.rvalid, "a read's answer"),
    ):
        since = Signal(range(_PROMPT + 1), name=f"since_{name}")
        m.d.sync += since.eq(0)
        with m.If(waiting):
            m.d.sync += since.eq(since + 1)
        b.prove(name, ~waiting | (since < _PROMPT), f"{text} does not wait more than {_PROMPT} cycles")

    # What the block's registers mean.
    answering = b.inside("dut.answering")
    b.prove("due", due == answering, "an answer is due while it is shown")
    b.prove("has_address", has_address == b.inside("dut.have_address"), "the address")
    b.prove("has_data", has_data == b.inside("dut.have_data"), "and the data that wait for each other")
    kept = (dut.write_address == address) & (dut.read_address == where)
    b.prove("kept", kept & (dut.write_data == data) & (dut.write_strobe == strobe), "what was taken is kept")
    waits, showing = b.inside("dut.waiting"), b.inside("dut.showing")
    under_way = b.inside("dut.asked") | waits.any() | showing
    b.prove("asked", asked == under_way, "a read is under way")
    b.prove("done", done == (waits.any() | showing), "it has been carried out")
    for cycle in range(READ_CYCLES):
        b.prove(f"waiting_{cycle}", waits[cycle] == b.past(dut.read_enable, cycle + 1), "its word comes")
    steps = Cat(b.inside("dut.asked"), waits, showing, b.inside("dut.read_ready"))
    b.prove("one_step", (steps & (steps - 1))[: len(steps)] == 0, "a read is at one step")

    b.cover("late_address", dut.write_enable & b.past(has_data & ~has_address, 3), "data comes before the address")
    b.cover("late_data", dut.write_enable & b.past(~has_data & has_address, 3), "the address comes before the data")
    b.cover("error", axi.bvalid & axi.bready & (axi.bresp == 2), "a write is refused")
    answers = Signal(2)
    m.d.sync += answers.eq(answers + (axi.bvalid & axi.bready))
    b.cover("second", (answers == 1) & axi.bvalid & axi.rvalid, "a second write and a read are answered")
