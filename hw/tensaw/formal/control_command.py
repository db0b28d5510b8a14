"""Proofs of tensaw.rtl.control.command, for the unit with one action and for the one with two."""

from __future__ import annotations

from amaranth.hdl import Cat, Mux, Signal, Value

from tensaw.formal.bench import Bench, Planted, proof, transfer
from tensaw.rtl.control.command import Action, CommandPort, word_layout
from tensaw.spec.isa import PAYLOAD_BITS, Unit, words_of

_MODULE = "tensaw.rtl.control.command"


def _prove(b: Bench, unit: Unit) -> None:
    m = b.m
    dut = b.add(CommandPort(None, unit))
    b.source(dut.words)
    b.sink(dut.run)
    kinds = words_of(unit)
    taken, due, failed = transfer(dut.words), Signal(), Signal()
    # The word that was taken last and has not had its effect: it has it unless an action waits.
    word, held = Signal(64), Signal()
    acts = held & ~due & ~failed
    with m.If(taken):
        m.d.sync += [held.eq(1), word.eq(dut.words.payload)]
        b.prove("order", ~held | acts, "no word is read while one waits")
    with m.Elif(acts):
        m.d.sync += held.eq(0)

    # What words mean, read from the specification: the registers, and actions due.
    code = word[PAYLOAD_BITS:60]
    legal, starts, table = Signal(), Signal(), Signal()
    registers = {}
    for kind in kinds:
        name, bits = kind.name.lower(), word_layout(kind).size
        registers[name] = register = Signal(bits, name=f"register_{name}")
        with m.If(code == kind.code):
            m.d.comb += [legal.eq((word[:PAYLOAD_BITS] >> bits) == 0), starts.eq(kind.name in ("RUN", "TABLE"))]
            m.d.comb += table.eq(kind.name == "TABLE")
            with m.If(acts & legal):
                m.d.sync += register.eq(word[:bits])
    due_table, failing = Signal(), Signal(64)
    with m.If(transfer(dut.run)):
        m.d.sync += due.eq(0)
    with m.If(acts):
        m.d.sync += [due.eq(legal & starts), failed.eq(~legal)]
        with m.If(legal & starts):
            m.d.sync += due_table.eq(table)
        with m.If(~legal):
            m.d.sync += failing.eq(word)
    b.prove_stream(dut.run, "run")
    b.prove("offered", dut.run.valid == due, "each action is offered once, as soon as may be, until it is taken")
    action = Mux(due_table, Value.cast(Action.TABLE), Value.cast(Action.RUN))
    b.prove("action", ~due | (Value.cast(dut.run.payload.action) == action), "as the action that it is")
    b.prove("error", dut.error.valid == failed, "an illegal word, and no other, is an error, which stays")
    b.prove("error_word", ~failed | (dut.error.address == failing), "told with the word")
    b.prove("after_error", ~(failed & due), "and no action comes after it")
    b.prove("room", dut.words.ready | (held & ~acts) | failed, "words are read otherwise")
    b.prove("busy", dut.busy == due, "busy while an action waits")
    for name, register in registers.items():
        same = failed | (Value.cast(dut.run.payload[name]) == register)
        b.prove(f"register_{name}", same, f"{name} is what the last of its words said")

    # What the block's registers mean.
    opposites = (b.inside("dut.free") != due) & (b.inside("dut.working") != failed)
    b.prove("opposites", opposites, "two of them the other way round")
    clear = ~Cat(Value.cast(dut.run.payload[name]) for name in registers).any()
    b.prove("fresh", ~b.inside("dut.fresh") | (clear & ~held & ~due & ~failed), "what a reset has cleared")
    b.prove("held", failed | (b.inside("dut.held") == held), "the word that waits")
    kept = b.inside("dut.word")
    b.prove("word", failed | ~held | (kept == word), "is the one taken last")
    sizes = sorted({word_layout(kind).size for kind in kinds})
    for kind in kinds:
        known = b.inside(f"dut.is_{kind.name.lower()}") == (code == kind.code)
        b.prove(f"is_{kind.name.lower()}", failed | ~held | known, "its kind is known")
    for size in sizes:
        fits = Cat(code == kind.code for kind in kinds if word_layout(kind).size == size).any()
        known = (b.inside(f"dut.has_{size}_bits") == fits) & (
            b.inside(f"dut.exceeds_{size}_bits") == word[size:PAYLOAD_BITS].any()
        )
        b.prove(f"size_{size}", failed | ~held | known, "and its size")
    b.cover("second", transfer(dut.run) & b.past(transfer(dut.run), 2), "an action every other cycle")
    b.cover("waits", transfer(dut.run) & b.past(due, 3), "an action that waits")
    b.cover("illegal", failed & b.past(due, 2), "an illegal word behind an action")
    for kind in kinds:
        if kind.name in ("RUN", "TABLE"):
            starts_it = due & (due_table == (kind.name == "TABLE"))
            b.cover(f"action_{kind.name.lower()}", starts_it & (registers[kind.name.lower()] != 0), f"{kind.name}")


@proof(
    "control.command.load",
    depth=2,
    cover_depth=6,
    planted=(
        Planted(_MODULE, "self.words.ready.eq(~(held & ~free) & working)", "self.words.ready.eq(working)"),
        Planted(_MODULE, "coming[size:PAYLOAD_BITS].any()", "coming[size + 1 : PAYLOAD_BITS].any()"),
        Planted(_MODULE, "~(held & (~free | ~legal))", "~(held & ~free)"),
    ),
)
def load(b: Bench) -> None:
    """Each word is read once; registers are what their last words said; each action is offered once, with them, and
    nothing has an effect until it is taken; an illegal word is an error and the end."""
    _prove(b, Unit.LOAD)


@proof(
    "control.command.array",
    depth=2,
    cover_depth=6,
    planted=(Planted(_MODULE, 'Action.TABLE if kind.name == "TABLE" else Action.RUN', "Action.RUN"),),
)
def array(b: Bench) -> None:
    """The same for ARRAY, which has TABLE as a second action."""
    _prove(b, Unit.ARRAY)
