"""Proofs of tensaw.rtl.control.sequencer and of the program fetch in front of it."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from operator import add, or_

from amaranth.hdl import Cat, Const, Mux, Signal

from tensaw.formal.bench import Bench, Planted, proof, transfer
from tensaw.formal.configs import CONFIG
from tensaw.formal.order import Order
from tensaw.rtl.control.fetch import Fetch
from tensaw.rtl.control.sequencer import QUEUED_UNITS, Sequencer
from tensaw.spec.isa import END_WORD, Unit
from tensaw.spec.registers import ErrorCode

_SEQUENCER = "tensaw.rtl.control.sequencer"
_FETCH = "tensaw.rtl.control.fetch"
_REST = 4


@proof(
    "control.sequencer",
    depth=2,
    cover_depth=25,
    planted=(
        Planted(_SEQUENCER, "ready.append(mine & room)", "ready.append(mine)"),
        Planted(_SEQUENCER, "looked_at = fetch.words.valid & ~self.halt", "looked_at = fetch.words.valid"),
        Planted(_SEQUENCER, "& ~((queue.level == depth - 1) & queue.w_en)", ""),
        Planted(_SEQUENCER, "& ~word[end_bits:PAYLOAD_BITS].any()", ""),
        Planted(_SEQUENCER, "queue.r_en.eq(port.ready & ~self.halt)", "queue.r_en.eq(port.ready)"),
        Planted(_SEQUENCER, "calm.eq(self.bus_idle & ~self.units_busy.any()", "calm.eq(~self.units_busy.any()"),
    ),
)
def sequencer(b: Bench) -> None:
    """Each word of the program goes once, in its turn, into the queue of the unit that it names, and waits while that
    is full, and all behind it; none goes anywhere before the start, behind the end, behind an illegal word or in a
    halt. ``done`` is told behind END when all queues are empty and units and bus have been idle for some cycles. That
    queues keep words and their order is said by control.command_queue."""
    m = b.m
    dut = b.add(Sequencer(CONFIG))
    for name in ("start", "units_busy", "bus_idle", "halt"):
        b.drive(getattr(dut, name), name)
    fetch = b.cut("dut.fetch")
    b.ignore("program_offset", "program_bytes", "read")
    words, word = fetch.words, fetch.words.payload
    started = Signal()
    b.assume(b.holds_still(words))
    b.assume(fetch.exhausted | ~b.past(fetch.exhausted))
    b.assume(~(fetch.exhausted & words.valid))
    b.assume(started | ~(fetch.exhausted | words.valid))
    b.assume(dut.halt | ~b.past(dut.halt) | dut.start | b.past(dut.start))
    queues = {unit: b.cut(f"dut.queue_{unit.name.lower()}") for unit in QUEUED_UNITS}

    over, ended = Signal(), Signal()
    kind = word[60:64]
    known = reduce(or_, (kind == int(unit) for unit in QUEUED_UNITS))
    looked_at = started & words.valid & ~over & ~dut.halt
    with m.If(dut.start):
        m.d.sync += started.eq(1)
    is_end = (word | 0xFFFF) == (END_WORD | 0xFFFF)  # the tag is free, all else is END's
    with m.If(looked_at & ~known):
        m.d.sync += [over.eq(1), ended.eq(is_end)]
    puts = []
    for unit, queue in queues.items():
        name = unit.name.lower()
        port = getattr(dut, name)
        b.sink(port)
        put = queue.w_en
        puts.append(put)
        b.assume(queue.level == b.past(queue.level + put - (queue.r_en & queue.r_rdy)))
        b.assume((queue.level != 0) | ~queue.r_rdy)
        meant, room = looked_at & (kind == int(unit)), b.inside(f"dut.room_{name}")
        full = queue.level == CONFIG.queue_depth
        b.prove(f"{name}_put", put == (meant & room), f"{name} gets its words when there is room")
        b.prove(f"{name}_full", ~full | ~room, "which a full queue has not")
        b.prove(f"{name}_level", queue.level <= CONFIG.queue_depth, "it never holds more than its depth")
        almost = b.past(queue.level >= CONFIG.queue_depth - 1)
        b.prove(f"{name}_waits", room | full | almost, "and one that was far from full has")
        b.prove(f"{name}_word", ~put | (queue.w_data == word[:60]), "all that follows the unit")
        offers = queue.r_rdy & ~dut.halt
        b.prove(f"{name}_offers", port.valid == offers, "its queue is offered, but not in a halt")
        b.prove(f"{name}_leaves", (queue.r_en & queue.r_rdy) == transfer(port), "a word leaves when it is taken")
        b.prove(
            f"{name}_same",
            ~port.valid | (port.payload == Cat(queue.r_data, Const(unit, 4))),
            "and is the queue's first",
        )
    b.prove("once", transfer(words) == reduce(add, puts), "a word goes to one queue as it leaves the fetch")

    quiet = dut.bus_idle & ~dut.units_busy.any() & ~Cat(queue.level != 0 for queue in queues.values()).any()
    # Pauses of units and bus between things to do are shorter than this.
    rest = Signal(range(_REST + 1))
    calm = b.past(quiet)  # which is looked at a cycle later
    b.prove("calm", b.inside("dut.calm") == calm, "whether all was idle")
    m.d.sync += rest.eq(Mux(calm & ended, Mux(rest == _REST, rest, rest + 1), 0))
    b.assume((rest != _REST) | quiet)
    b.prove("done", ~dut.done | ended, "done behind END")
    first = ~b.past(dut.done) & dut.done
    b.prove("done_quiet", ~first | (b.past(quiet & ended) & b.past(quiet & ended, 2)), "when all has been idle")
    b.prove("done_stays", dut.done | ~b.past(dut.done), "which stays")
    told = dut.error.valid | dut.fetch_error.valid
    b.prove("illegal", told | ~over | ended, "a word of no unit, or of CONTROL and not END, is an error")
    control = dut.error.valid & (dut.error.code == ErrorCode.ILLEGAL_COMMAND) & (dut.error.address == word)
    b.prove("control", ~dut.error.valid | (control & over & ~ended & (kind == int(Unit.CONTROL))), "CONTROL's")
    of_fetch = fetch.error.valid | (over & ~ended & ~known) | b.past(started & fetch.exhausted & ~ended)
    b.prove("fetch_error", ~dut.fetch_error.valid | of_fetch | b.past(dut.fetch_error.valid), "the fetch's")
    no_end = started & fetch.exhausted & ~ended & ~over
    b.prove("no_end", ~b.past(no_end) | told | ended, "a program without END is an error")

    # What the block's registers mean.
    counted = b.inside("dut.quiet")
    b.prove("rest", (counted <= 8) & (rest == Mux(counted < _REST, counted, _REST)), "idle cycles are counted")
    b.prove("ended", b.inside("dut.ended") == ended, "ended")
    b.prove("over", (b.inside("dut.illegal") | b.inside("dut.unknown")) == (over & ~ended), "or broken off")
    b.prove("ended_over", over | ~ended, "END is over, too")
    b.prove("kept", ~over | words.valid, "the last word stays on offer")
    b.prove("kept_same", ~over | (~known & (is_end == ended)), "unchanged")
    b.prove("one", ~(b.inside("dut.illegal") & b.inside("dut.unknown")), "for one reason")
    control_word = kind == int(Unit.CONTROL)
    b.prove("illegal_kind", ~b.inside("dut.illegal") | control_word, "CONTROL's words")
    b.prove("unknown_kind", ~b.inside("dut.unknown") | (~control_word & ~known), "words of nobody")
    b.cover("ends", dut.done & b.past(puts[0], 11), "a program ends")
    b.cover("waits", looked_at & known & ~transfer(words) & b.past(transfer(words)), "a word waits for room")
    b.cover("unknown", dut.fetch_error.valid & b.past(transfer(words), 2), "a word of no unit")


def _fetch(b: Bench, config) -> None:
    m, width = b.m, config.bus_bytes
    dut = b.add(Fetch(config))
    offset, length = b.constant(32, "offset"), b.constant(32, "bytes")
    m.d.comb += [dut.offset.eq(offset), dut.bytes.eq(length)]
    legal = (offset[:4] == 0) & (length[:4] == 0) & (length[28:] == 0)
    started = Signal()
    b.drive(dut.start, "start")
    starts = b.past(dut.start)
    b.assume(~((started | starts) & dut.start))
    with m.If(starts):
        m.d.sync += started.eq(1)
    read, buffer = dut.read, b.part("dut.buffer")
    b.drive(read.request.ready, "request_ready")
    for name in ("valid", "code", "address"):
        b.drive(getattr(read.error, name), f"error_{name}")
    b.sink(dut.words)

    # The read manager sends the beats of the request, and no more than there is credit for.
    asked, sent = Signal(), Signal(29)
    begins = transfer(read.request)
    b.source(read.data)
    with m.If(begins):
        m.d.sync += asked.eq(1)
    m.d.sync += sent.eq(sent + transfer(read.data))
    promised = Signal(8)
    grant = b.free(3, "grant")
    b.assume((asked & (promised + grant <= read.credit)) | (grant == 0))
    m.d.sync += promised.eq(promised + grant - transfer(read.data))
    b.assume(~read.data.valid | (asked & (promised != 0) & ((sent << (width // 8 + 2)) < length)))
    b.prove("request", ~read.request.valid | (started & legal & ~asked), "the program is asked for once")
    whole = (read.request.payload.offset == offset) & (read.request.payload.bytes == length)
    b.prove("whole", ~read.request.valid | (whole & (read.request.payload.region == 0)), "all of it, in region 0")
    b.prove_stream(read.request, "request")
    b.prove("taken", ~read.data.valid | read.data.ready, "a beat is always taken")

    # Beats in order; of a wide beat first the lower word, then the upper one.
    upper = Signal()
    if width == 16:
        with m.If(transfer(dut.words)):
            m.d.sync += upper.eq(~upper)
    leaves = transfer(dut.words) & (upper if width == 16 else 1)
    order = Order(
        b,
        enters=transfer(read.data),
        entering=read.data.payload,
        offers=dut.words.valid,
        leaves=leaves,
        leaving=buffer.r_data,
        capacity=buffer.depth,
        behind=3,
    )
    shown = buffer.r_data.word_select(upper, 64) if width == 16 else buffer.r_data
    b.prove("words", ~dut.words.valid | (dut.words.payload == shown), "the words of the beats, in their order")
    b.prove_stream(dut.words, "words")
    left = (length >> (width // 8 + 2)) - sent + order.inside
    gone = b.past(leaves)  # is counted in this cycle
    over = started & legal & (left == 0) & ~gone
    b.prove("exhausted", dut.exhausted == over, "exhausted: every word has been handed on")
    b.prove("counted", b.inside("dut.counted") == gone, "as is seen a cycle later")
    illegal = started & ~legal
    b.prove("illegal", dut.error.valid == (illegal | read.error.valid), "an odd place or length is an error")

    # What the block's state means.
    b.prove("level", buffer.level == order.inside, "what came and is not handed on is in the buffer")
    b.prove("credit", promised + order.inside < buffer.depth, "credit is for what has room")
    place = b.inside("dut.buffer.consume") + order.ahead - buffer.r_rdy
    place = Mux(place >= buffer.depth - 1, place - (buffer.depth - 1), place)
    first = buffer.r_rdy & (order.ahead == 0)
    b.prove("place", ~order.picked | first | (b.row("dut.buffer", place) == order.value), "in its place")
    b.prove("inner", b.inside("dut.buffer.inner_level") + buffer.r_rdy == order.inside, "the entries in memory")
    b.prove("left", ~(started & legal) | (b.inside("dut.left") == (left + gone)[:26]), "beats left are counted")
    b.prove(
        "to_come", ((sent << (width // 8 + 2)) <= length) | ~legal | (sent == 0), "no more come than were asked for"
    )
    nothing = (sent == 0) & (promised == 0) & (order.inside == 0)
    b.prove("not_before", (started & legal) | (nothing & (b.inside("dut.left") == 1)), "nor before")
    b.prove("asked", asked == (started & legal & (length != 0) & ~b.inside("dut.requesting")), "asked for")
    b.prove("nothing", asked | nothing, "nothing comes before that")
    b.prove("asking", ~b.inside("dut.requesting") | (started & legal & (length != 0)), "asking")
    b.prove("illegal_kept", b.inside("dut.illegal") == illegal, "an error stays")
    if width == 16:
        b.prove("upper", (b.inside("dut.upper") == upper) & (~upper | dut.words.valid), "half of a beat is left")
    b.cover("all", dut.exhausted & (sent == 2) & b.past(transfer(dut.words), 2), "a program is handed on")


@proof(
    "control.fetch.narrow",
    depth=2,
    cover_depth=12,
    planted=(
        Planted(_FETCH, "read.credit.eq(depth - buffer.level)", "read.credit.eq(depth)"),
        Planted(_FETCH, "with m.If(requesting & read.request.ready):", "with m.If(0):"),
        Planted(_FETCH, "self.bytes[_LENGTH_BITS:].any()", "self.bytes[_LENGTH_BITS + 1 :].any()"),
    ),
)
def fetch_narrow(b: Bench) -> None:
    """The program is asked for once, as a whole; its words come out once, in order and unchanged; there is room for
    whatever credit was given for; it is exhausted when, and only when, all have been handed on."""
    _fetch(b, CONFIG)


@proof(
    "control.fetch.wide",
    depth=2,
    cover_depth=12,
    planted=(Planted(_FETCH, "buffer.r_en.eq(self.words.ready & upper)", "buffer.r_en.eq(self.words.ready)"),),
)
def fetch_wide(b: Bench) -> None:
    """The same on a bus of 16 bytes, each beat of which is two words."""
    _fetch(b, replace(CONFIG, bus_bytes=16))
