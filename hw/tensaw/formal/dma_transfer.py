"""Proofs of tensaw.rtl.dma.transfer: the runs of LOAD and STORE, their tokens and their errors."""

from __future__ import annotations

from amaranth.hdl import Mux, Signal, Value
from amaranth.lib import data

from tensaw.formal.bench import Bench, Planted, proof, transfer
from tensaw.formal.configs import CONFIG
from tensaw.formal.shadow import Shadow
from tensaw.rtl.dma.row_walker import span_layout
from tensaw.rtl.dma.transfer import Transfer
from tensaw.spec.isa import Unit
from tensaw.spec.registers import ErrorCode

_MODULE = "tensaw.rtl.dma.transfer"


def _prove(b: Bench, unit: Unit) -> None:
    m, load = b.m, unit is Unit.LOAD
    most = 2 if load else 1
    dut = b.add(Transfer(CONFIG, unit))
    b.drive(dut.halt, "halt")
    b.assume(dut.halt | ~b.past(dut.halt))
    b.drive(dut.tokens.take_ready, "take_ready")
    for name in ("valid", "code", "address"):
        b.drive(getattr(dut.bus_error, name), f"bus_error_{name}")
    b.sink(dut.request)
    b.sink(dut.step)

    # What other proofs say of the parts. Commands are on offer until they are taken.
    port = b.cut("dut.port")
    b.ignore("words")
    b.assume(b.holds_still(port.run))
    b.assume(port.busy == port.run.valid)
    run = port.run.payload
    fill = run.run.fill if load else Value.cast(0)
    # The walker offers rows from its start to the last one, which it marks.
    walker, walking = b.cut("dut.walker"), Signal()
    row = walker.row.payload
    m.d.sync += walking.eq((walking | walker.start) & ~walker.finished)
    b.assume(b.holds_still(walker.row))
    b.assume(~walker.row.valid | (walking & ~walker.illegal & ~walker.outside))
    b.assume(walker.finished == (transfer(walker.row) & row.span.final))
    b.assume(row.span.fill == fill)
    went = b.past(transfer(walker.row))
    b.assume(~went | (~walker.row.valid & (Value.cast(row.span) == b.past(Value.cast(row.span)))))
    # The queue behind it keeps what it is given; here only the last rows are counted.
    ahead, last_ahead = b.cut("dut.ahead"), Signal(4)
    first = span_layout(CONFIG)(ahead.r_data)
    moves = ahead.r_rdy & ahead.r_en
    put = ahead.w_en & ahead.w_rdy
    b.assume(ahead.w_rdy | ~b.past(ahead.w_rdy & ~ahead.w_en))
    m.d.sync += last_ahead.eq(last_ahead + (put & span_layout(CONFIG)(ahead.w_data).final) - (moves & first.final))
    b.assume(~(ahead.r_rdy & first.final) | (last_ahead != 0))
    # The stepper makes one step or more of each row, and marks the last one of the last row.
    stepper, holds, holds_last = b.cut("dut.stepper"), Signal(), Signal()
    final_step = transfer(stepper.step) & stepper.step.payload.final
    row_ends = b.free(1, "row_ends")
    b.assume(~stepper.step.valid | holds)
    b.assume(b.holds_still(stepper.step))
    b.assume(stepper.step.payload.final == (holds_last & row_ends))
    b.assume(stepper.span.ready == (~holds | (transfer(stepper.step) & row_ends)))
    with m.If(stepper.span.ready):
        m.d.sync += [holds.eq(stepper.span.valid), holds_last.eq(stepper.span.valid & first.final)]
    # Whoever takes the steps says so once the last one has had its effect.
    ending = Signal(2)
    b.drive(dut.complete, "complete")
    b.assume(~dut.complete | (ending != 0))
    m.d.sync += ending.eq(ending + final_step - dut.complete)

    # Runs from their tokens to their end.
    layout = data.StructLayout({"signal": 4, "tag": 16, "fill": 1, "lines": 12})
    entry = Signal(layout)
    tokens = dut.tokens
    m.d.comb += [entry.signal.eq(run.run.signal), entry.tag.eq(run.run.tag), entry.fill.eq(fill)]
    if load:
        m.d.comb += entry.lines.eq(run.run.lines)
    runs = Shadow(b, layout, most, tokens.take, entry, dut.complete, "runs")
    oldest = runs.entries[0]
    b.prove(
        "take", ~tokens.take | (port.run.valid & tokens.take_ready & ~dut.halt), "tokens are taken when all are there"
    )
    b.prove("mask", ~tokens.take | (tokens.take_mask == run.run.wait), "those that the run waits for")
    b.prove("start", walker.start == tokens.take, "its rows begin with them")
    b.prove("one_walk", ~(walker.start & walking), "one run's rows at a time")
    b.prove("alone", ~((runs.count == 2) & (oldest.fill | runs.entries[-1].fill)), "a fill is alone") if load else None
    gives = b.past(dut.complete)
    b.prove("give", tokens.give == gives, "tokens are given behind the end of each run, once")
    b.prove("given", ~gives | (tokens.give_mask == b.past(oldest.signal)), "those of that run")
    taken = port.run.ready & port.run.valid
    walked = b.past(walker.finished)
    b.prove("next", taken == walked, "the command is done with when its last row is on its way")
    request = transfer(dut.request)
    asks = transfer(walker.row) & ~fill
    b.prove("asked", request == asks, "a row is asked for, once, as it goes on its way; a fill is not")
    b.prove("row", ahead.w_en == went, "each row once")
    b.prove("row_room", ~ahead.w_en | ahead.w_rdy, "with room for it")
    b.prove("row_kept", ~put | (ahead.w_data == Value.cast(row.span)), "as it is")
    b.prove("access", dut.request.payload == row.access, "the access is the row's")
    b.prove("halted", ~(dut.halt & (transfer(walker.row) | request | tokens.take)), "nothing begins in a halt")
    b.prove("active", dut.active == (runs.count != 0), "active while a run is under way")
    b.prove("busy", dut.busy == (dut.active | port.run.valid | gives), "busy while one waits, too")
    b.prove("tag", ~dut.active | (dut.tag == oldest.tag), "the tag is the oldest run's")
    if load:
        b.prove("lines", ~dut.active | (dut.lines == oldest.lines), "so are the lines")

    # Errors.
    newest, asking = Signal(16), Signal(16)
    with m.If(tokens.take):
        m.d.sync += newest.eq(run.run.tag)
    if load:
        with m.If(request):
            m.d.sync += asking.eq(newest)
    else:  # which has one run at a time: nothing is told about one that has ended
        m.d.comb += asking.eq(newest)
    over = Value.cast(0) if load else ~dut.active
    stepping = runs.entries[1].tag if load else oldest.tag
    stepping = Mux(ending == 0, oldest.tag, stepping)
    refused = dut.bus_error.code == ErrorCode.OUTSIDE_REGION
    with m.If(dut.bus_error.valid):
        same = (dut.error.code == dut.bus_error.code) & (dut.error.address == dut.bus_error.address)
        b.prove("bus_error", dut.error.valid & same, "an error of the bus is told")
        b.prove(
            "refused", ~refused | over | (dut.error.tag == asking), "a refusal with the tag of the run that asked last"
        )
        # A LOAD hears of bad data a cycle after it came.
        awaited, whose = runs.count > ending, stepping
        if load:
            awaited, whose = b.past(awaited), b.past(stepping)
        right = refused | ~awaited | (dut.error.tag == whose)
        b.prove("bad_data", right, "bad data with that of the run that it was for")
    with m.Elif(walker.illegal | walker.outside):
        code = Mux(walker.outside, ErrorCode.OUTSIDE_REGION, ErrorCode.ILLEGAL_VALUE)
        whose = over | (dut.error.tag == newest)
        b.prove("illegal", dut.error.valid & (dut.error.code == code) & whose, "so is a bad row")
    with m.Else():
        b.prove("command", dut.error.valid == port.error.valid, "and a bad command, and nothing else")

    # What the block's registers mean.
    b.prove("count", b.inside("dut.count") == runs.count, "runs are counted")
    b.prove("walked", b.inside("dut.walked") == walked, "the walk's end is known a cycle later")
    b.prove("walking", b.inside("dut.walking") == (walking | walked), "so is the walk")
    b.prove("command_kept", ~(walking | walked) | port.run.valid, "the run that walks is the command on offer")
    comes_last = went & row.span.final
    under_way = walking + comes_last + last_ahead + holds_last + ending
    b.prove("ledger", under_way == runs.count, "each run has its last row, in one place")
    b.prove("last", ~holds_last | holds, "which is a row")
    b.prove("latest", over | (b.inside("dut.latest_tag") == newest), "the newest run's tag")
    b.prove("asker", over | (b.inside("dut.asked_tag") == asking), "the asker's tag")
    kept = ("oldest", "behind")[:most]
    for name, e, number in zip(kept, runs.entries, range(most), strict=True):
        register = data.StructLayout({"signal": 4, "tag": 16, "lines": 12})(b.inside(f"dut.{name}"))
        same = (register.signal == e.signal) & (register.tag == e.tag) & (register.lines == e.lines)
        b.prove(f"kept_{name}", ~runs.valid(number) | same, f"{name} is kept")
    if load:
        b.prove("stepped", b.inside("dut.stepped") == ending, "runs whose last step is taken are counted")
        b.prove("filling", ~oldest.fill | ~runs.valid(0) | b.inside("dut.filling"), "a fill is known")
        newest_fill = Mux(runs.count == 2, runs.entries[1].fill, oldest.fill)
        b.prove("filling_newest", (runs.count == 0) | (b.inside("dut.filling") == newest_fill), "by its newest run")
        b.cover("both", (runs.count == 2) & dut.complete & b.past(final_step), "two runs are under way")
        b.cover("fill", tokens.take & fill & b.past(dut.complete, 2), "a fill waits for the run before it")
    b.cover("gives", tokens.give & (tokens.give_mask == 5) & tokens.take, "tokens are given while others are taken")
    b.cover("late", dut.bus_error.valid & ~refused & (ending != 0), "an error behind the last step")


@proof(
    "dma.transfer.load",
    depth=2,
    cover_depth=12,
    planted=(
        Planted(_MODULE, "giving.eq(self.complete)", "giving.eq(self.complete & (left == 0))"),
        Planted(_MODULE, "room.eq(Mux(fill | filling, count == 0, count != most))", "room.eq(count != most)"),
        Planted(_MODULE, "~walking & room & tokens.take_ready", "~walking & tokens.take_ready"),
        Planted(_MODULE, "Mux(count == most, behind, taken)", "behind"),
        Planted(_MODULE, "Mux(stepped == 0, oldest.tag, behind.tag)", "oldest.tag"),
        Planted(_MODULE, "accepted.eq((row.span.fill | self.request.ready)", "accepted.eq((row.span.fill | 1)"),
    ),
)
def load(b: Bench) -> None:
    """Each run takes its tokens once, when all are there, and gives its own, once, behind its end, in the order of the
    runs; its rows begin when it has them, each is asked of the bus once; two runs are under way at most, a fill alone.
    Nothing begins in a halt. Errors carry the tag of the run whose fault they are."""
    _prove(b, Unit.LOAD)


@proof(
    "dma.transfer.store",
    depth=2,
    cover_depth=12,
    planted=(Planted(_MODULE, "given.eq(oldest.signal)", "given.eq(run.run.signal)"),),
)
def store(b: Bench) -> None:
    """The same of STORE, whose next run begins when the one before it has ended."""
    _prove(b, Unit.STORE)
