"""Proofs of tensaw.rtl.dma.load and store: bytes between bus and scratchpad. (Runs and tokens: dma_transfer.)"""

from __future__ import annotations

from amaranth.hdl import Cat, Mux, Signal, Value

from tensaw.formal.bench import Bench, Planted, proof, transfer
from tensaw.formal.configs import CONFIG
from tensaw.formal.order import Order
from tensaw.rtl.dma.load import LoadDma
from tensaw.rtl.dma.store import StoreDma
from tensaw.rtl.dma.transfer import Transfer
from tensaw.rtl.interfaces import READ_LATENCY

_LOAD, _STORE = "tensaw.rtl.dma.load", "tensaw.rtl.dma.store"


def _cut_transfer(b: Bench, most: int) -> tuple[Transfer, Signal]:
    """Take the runs away; also returns how many of them have had their last step and have not ended."""
    dut = b.cut("dut.transfer")
    step = dut.step
    b.ignore("words", "tokens")
    b.assume(b.holds_still(step))
    ending = Signal(range(most + 2), name="ending")
    final = transfer(step) & step.payload.final
    b.m.d.sync += ending.eq(ending + final - dut.complete)
    b.assume(~step.valid | (ending != most))
    return dut, ending


@proof(
    "dma.store",
    depth=2,
    cover_depth=18,
    planted=(
        Planted(_STORE, "steps.i.valid.eq(step.valid & ~full)", "steps.i.valid.eq(step.valid)"),
        Planted(_STORE, "goes & (reserved == _BUFFER - 1)", "goes & (reserved == _BUFFER - 2)"),
        Planted(_STORE, "ending & (reserved == 0) & write.done", "ending & write.done"),
        Planted(_STORE, "eq(step.payload.base)", "eq(step.payload.base + step.payload.lane)"),
        Planted(_STORE, "with m.If(goes & step.payload.final):", "with m.If(goes):"),
    ),
)
def store(b: Bench) -> None:
    """Of every step one beat goes to the bus: the byte at the step's ``base`` at lane 0, and those behind it at the
    lanes behind it, in the order of the steps; none is read without room for it. A run ends when its last beat
    has gone and all writes have been acknowledged."""
    m = b.m
    dut = b.add(StoreDma(CONFIG))
    b.drive(dut.halt, "halt")
    moves, ending = _cut_transfer(b, 1)
    b.drive(dut.read.ready, "read_ready")
    b.drive(dut.write.done, "done")
    b.ignore("write")
    b.sink(dut.write.data)

    # A scratchpad that shows something that depends on the address.
    def shown(address: Value) -> Value:
        return Cat(address, ~address)[:48]

    coming = [b.past(shown(dut.read.address), cycles + 1) for cycles in range(READ_LATENCY)]
    m.d.comb += dut.read.data.eq(coming[-1])

    steps, queue = b.part("dut.steps"), b.part("dut.buffer")
    step, first = moves.step.payload, steps.o.payload
    taken = transfer(dut.read)
    begin = Signal(24)
    m.d.comb += begin.eq(step.base)

    order = Order(
        b,
        enters=transfer(moves.step),
        entering=shown(begin),
        offers=dut.write.data.valid,
        leaves=transfer(dut.write.data),
        leaving=dut.write.data.payload[:48],
        capacity=queue.depth,
        behind=4,
    )
    b.prove_stream(dut.write.data, "data")
    b.prove("read", taken == transfer(steps.o), "a step is done with when it is read")
    b.prove("address", ~dut.read.valid | (dut.read.address == first), "from its address")
    b.prove("ends", ~moves.complete | ((ending == 1) & dut.write.done & (order.inside == 0)), "a run ends behind all")
    ends = ~((ending == 1) & dut.write.done & (order.inside == 0)) | moves.complete
    b.prove("ends_then", ends, "and as soon as that is so")

    # What the block's registers mean.
    stages = range(READ_LATENCY + 1)
    valid = [b.inside(f"dut.valid_{stage}") for stage in stages]
    on_way = sum(valid, start=Value.cast(0))
    reserved = b.inside("dut.reserved")
    b.prove("reserved", reserved == queue.level + on_way + steps.level, "beats whose steps have come are counted")
    b.prove("known_full", b.inside("dut.full") == (reserved == queue.depth), "up to the last place")
    b.prove("bounded", reserved <= queue.depth, "and have room")
    b.prove("inside", order.inside == reserved, "none is lost")
    where = (b.inside("dut.buffer.consume") + order.ahead)[:3]
    place = b.row("dut.buffer", where)[:48]
    b.prove("queued", ~(order.picked & (order.ahead < queue.level)) | (place == order.value), "in the buffer")
    values = [*coming, b.inside("dut.beat")[:48]]
    ahead = queue.level
    for stage in reversed(stages):
        here = order.picked & valid[stage] & (order.ahead == ahead)
        b.prove(f"stage_{stage}", ~here | (values[stage] == order.value), "or on the way to it")
        ahead = ahead + valid[stage]
    for number, entry in enumerate((first, b.inside("dut.steps.spare"))):
        here = order.picked & (order.ahead == ahead + number)
        b.prove(f"step_{number}", ~here | (shown(entry) == order.value), "or still to be read")
    b.prove("final", ending == b.inside("dut.ending"), "the last step is known")
    b.cover("full", (order.inside == queue.depth) & ~b.past(dut.write.data.ready), "the bus waits")
    b.cover("ended", moves.complete & b.past(transfer(dut.write.data)), "a run ends")


@proof(
    "dma.load",
    depth=2,
    cover_depth=12,
    planted=(
        Planted(
            _LOAD,
            "read.data.ready.eq(room & transfer.step.valid & ~step.fill)",
            "read.data.ready.eq(room & ~step.fill)",
        ),
        Planted(_LOAD, "finished.eq(written & entry.final)", "finished.eq(writes.o.valid & entry.final)"),
        Planted(_LOAD, "address.eq(step.base)", "address.eq(step.base + step.lane)"),
        Planted(_LOAD, "Cat((low <= byte) & (high >= byte", "Cat((high >= byte"),
        Planted(_LOAD, "m.d.sync += [progress.rows.eq(0), progress", "m.d.sync += [progress"),
    ),
)
def load(b: Bench) -> None:
    """Every step is written once, in order: with one bus beat, of which as many bytes count from the step's lane on as
    the step has and the first of them goes to the step's address, each beat for one step; or with the byte of a fill,
    which takes no beat. A write stays on offer until it is taken; a run ends with its last one, and its progress is the
    lines of the planes that are written."""
    m = b.m
    dut = b.add(LoadDma(CONFIG))
    b.drive(dut.halt, "halt")
    moves, ending = _cut_transfer(b, 2)
    b.source(dut.read.data)
    b.ignore("read")
    b.drive(dut.write.ready, "write_ready")
    step, beat = moves.step.payload, dut.read.data
    fill = Cat(*[moves.value] * CONFIG.word_bytes)
    word = Mux(step.fill, fill, beat.payload)
    begin = Signal(24)
    m.d.comb += begin.eq(step.base)
    mask = (((((1 << step.last_lane) << 1) - 1)[:8] >> step.lane << step.lane) << begin[:3])[:15]
    b.assume(~moves.step.valid | (step.lane <= step.last_lane))
    write = dut.write
    order = Order(
        b,
        enters=transfer(moves.step),
        entering=Cat(begin, mask, mask[8:].any(), word),
        offers=write.valid,
        leaves=write.valid & write.ready,
        leaving=Cat(write.address, write.mask, write.across, write.data),
        capacity=2,
    )
    b.prove("beat", transfer(beat) == (transfer(moves.step) & ~step.fill), "a beat for each step, none for a fill")
    b.prove("credit", dut.read.credit == 0xFFFF, "whatever comes can wait")
    writes = b.part("dut.writes")
    entry, spare = writes.o.payload, writes.o.payload.shape()(b.inside("dut.writes.spare"))
    written = write.valid & write.ready
    ended, finished = b.past(written & entry.end), b.past(written & entry.final)
    b.prove("ends", moves.complete == finished, "a run ends a cycle after its last write")
    b.prove("plane", b.inside("dut.ended") == ended, "so does a plane")
    with m.If(written):
        same = order.inside != 0
        b.prove("some", same, "only what came is written")
    rows, completed = Signal(16), Signal(8)
    with m.If(moves.complete):
        m.d.sync += [rows.eq(0), completed.eq(completed + 1)]
    with m.Elif(ended):
        m.d.sync += rows.eq(rows + moves.lines)
    progress = dut.progress
    counted = (progress.rows == rows) & (progress.completed == completed) & progress.last_tile
    b.prove("progress", counted, "progress is the lines of planes that are written")

    # What the block's registers mean.
    b.prove("level", writes.level == order.inside, "writes wait in two places")
    second = Cat(spare.address, spare.mask, spare.across, spare.data)
    b.prove("spare", ~(order.picked & (order.ahead == 1)) | (second == order.value), "the younger one behind")
    finals = (writes.o.valid & entry.final) + ((writes.level == 2) & spare.final) + finished
    b.prove("final", ending == finals, "last steps are last writes")
    b.cover("full", (writes.level == 2) & beat.valid & written & ~b.past(written), "the scratchpad was busy")
    b.cover("fills", written & (write.data[:16] == 0x5A5A) & b.past(step.fill), "a fill")
    b.cover("ended", moves.complete & (progress.rows == 6), "a run of several planes ends")
