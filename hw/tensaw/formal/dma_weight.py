"""Proof of tensaw.rtl.dma.weight."""

from __future__ import annotations

from amaranth.hdl import Mux, Signal
from amaranth.lib import data

from tensaw.formal.bench import Bench, Planted, proof, transfer
from tensaw.formal.configs import CONFIG
from tensaw.formal.shadow import Shadow
from tensaw.rtl.dma.weight import WeightDma
from tensaw.spec.isa import Turn
from tensaw.spec.registers import ErrorCode

_MODULE = "tensaw.rtl.dma.weight"


@proof(
    "dma.weight",
    depth=2,
    cover_depth=12,
    planted=(
        Planted(_MODULE, "start.eq(known & ~queued &", "start.eq(known &"),
        Planted(_MODULE, "known.eq(port.run.valid & ~port.run.ready)", "known.eq(port.run.valid)"),
        Planted(_MODULE, "follows.eq(queued & ~some)", "follows.eq(queued & ~some & ~counts)"),
        Planted(_MODULE, "self.busy.eq(port.busy | queued | some)", "self.busy.eq(port.busy | queued)"),
        Planted(_MODULE, "Mux(follows | (queued & refused), queued_tag, tag)", "tag"),
        Planted(_MODULE, "Mux(follows | (queued & refused), queued_tag, tag)", "Mux(queued, queued_tag, tag)"),
        Planted(_MODULE, "| (run.run.turn > max(Turn))", ""),
    ),
)
def weight(b: Bench) -> None:
    """Each run's bytes are asked for once, as a whole, in the order of the runs; every beat goes on to the ring, as it
    came, when it is taken; the unit is busy until the last beat of the last run. Nothing is asked for in a halt, nor
    what is illegal, nor anything behind it; errors carry the tag of the run whose fault they are."""
    m = b.m
    dut = b.add(WeightDma(CONFIG))
    b.drive(dut.halt, "halt")
    b.drive(dut.space, "space")
    port = b.cut("dut.port")
    b.ignore("words")
    run = port.run.payload
    b.assume(b.holds_still(port.run))
    b.assume(port.busy == port.run.valid)
    read, ring = dut.read, dut.ring
    b.drive(read.request.ready, "request_ready")
    for name in ("valid", "code", "address"):
        b.drive(getattr(read.error, name), f"error_{name}")
    b.source(read.data)
    b.sink(ring)

    # Runs that were asked for, with the beats that have not come, or only just.
    layout = data.StructLayout({"beats": 25, "tag": 16})
    entry = Signal(layout)
    asked = transfer(read.request)
    m.d.comb += [entry.beats.eq(run.run.bytes >> 3), entry.tag.eq(run.run.tag)]
    beat = transfer(read.data)
    last = Signal()
    runs = Shadow(b, layout, 2, asked, entry, last, "runs")
    oldest, behind = runs.entries
    counts = b.past(beat)
    m.d.comb += last.eq(counts & (oldest.beats == 1))
    with m.If(counts):
        m.d.comb += runs.after[0].beats.eq(oldest.beats - 1)
    # The read manager sends what was asked for, not at once.
    due = runs.count - b.past(asked)
    b.assume(~read.data.valid | ((due != 0) & ~((due == 1) & (oldest.beats == counts))))

    request = read.request.payload
    legal = (run.run.bytes != 0) & (run.run.bytes[:3] == 0) & (run.memory.offset[:3] == 0) & (run.run.turn <= max(Turn))
    with m.If(read.request.valid):
        same = (request.region == run.memory.region) & (request.offset == run.memory.offset)
        b.prove("request", same & (request.bytes == run.run.bytes) & (request.turn == run.run.turn), "as the run says")
        b.prove("legal", port.run.valid & legal & ~dut.halt, "only a legal run asks, and not in a halt")
    b.prove("once", asked == transfer(port.run), "a run is done with when it has asked")
    b.prove("beats", (ring.valid == read.data.valid) & (beat == transfer(ring)), "a beat goes on when it is taken")
    b.prove("data", ring.payload == read.data.payload, "as it came")
    b.prove("credit", read.credit == dut.space, "the ring's room is the credit")
    b.prove("busy", dut.busy == (port.run.valid | (runs.count != 0)), "busy while a beat has to come, and a cycle more")
    failed = Signal()
    begun = b.inside("dut.known") & ~b.inside("dut.queued") & ~dut.halt & ~failed
    with m.If(begun & ~legal):
        m.d.sync += failed.eq(1)
    b.prove("refused", ~(failed & read.request.valid), "nothing is asked for behind an illegal run")
    b.prove("error", dut.error.valid == (failed | port.error.valid | read.error.valid), "which is an error")
    newest = Mux(runs.count == 2, behind.tag, oldest.tag)
    with m.If(read.error.valid & (runs.count != 0)):
        refused = read.error.code == ErrorCode.OUTSIDE_REGION
        bad = ~b.past(read.data.valid) | (dut.error.tag == oldest.tag)
        known = Mux(refused, (dut.error.tag == newest) | b.past(asked), bad)
        b.prove("error_tag", (dut.error.code == read.error.code) & known, "whose it is, a bad beat's a cycle later")
    with m.Elif(failed & ~read.error.valid):
        code = dut.error.code == ErrorCode.ILLEGAL_VALUE
        b.prove("illegal_tag", code & (dut.error.tag == run.run.tag), "an illegal run's tag")

    # What the block's registers mean.
    left, queued = (-b.inside("dut.left"))[:26], b.inside("dut.queued")
    b.prove("failed", b.inside("dut.failed") == failed, "an error stays")
    known = b.inside("dut.known")
    b.prove("known", ~known | (port.run.valid & (b.inside("dut.illegal") == ~legal)), "whether a run is illegal")
    b.prove("counts", b.inside("dut.counts") == counts, "and whether a beat came")
    b.prove("stays", ~failed | (port.run.valid & ~legal), "with the run")
    b.prove("count", runs.count == queued + (left != 0), "the run whose beats come, and one behind it")
    with m.If(left != 0):
        b.prove("left", (left == oldest.beats) & (dut.tag == oldest.tag), "the beats that have not come")
    queued_entry = layout(Mux(left == 0, oldest.as_value(), behind.as_value()))
    same = (b.inside("dut.queued_beats") == queued_entry.beats) & (b.inside("dut.queued_tag") == queued_entry.tag)
    b.prove("queued", ~queued | (same & (queued_entry.beats != 0)), "the run behind")
    b.cover("follows", last & (runs.count == 2), "one run behind another")
    b.cover("waits", ring.valid & ~ring.ready & (dut.space == 0), "the ring is full")
    b.cover("illegal", failed & (runs.count == 1), "an illegal run behind a legal one")
