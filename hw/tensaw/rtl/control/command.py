"""From command words to runs: the shadow registers of one unit."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from tensaw.rtl.interfaces import ErrorSignature
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import PAYLOAD_BITS, Unit, Word, words_of
from tensaw.spec.registers import ErrorCode

__all__ = ["Action", "CommandPort", "run_layout", "word_layout"]


class Action(enum.Enum, shape=1):  # type: ignore[call-arg]
    """Which action a payload of :class:`CommandPort` stands for."""

    RUN = 0
    TABLE = 1


def word_layout(word: Word) -> data.StructLayout:
    """The fields of a command word, from bit 0 of its payload upwards."""
    return data.StructLayout(
        {field.name: signed(field.width) if field.signed else field.width for field in word.fields}
    )


def run_layout(unit: Unit) -> data.StructLayout:
    """``action`` and one member for each word kind of the unit, named in lower case."""
    return data.StructLayout({"action": Action, **{word.name.lower(): word_layout(word) for word in words_of(unit)}})


def _is_action(word: Word) -> bool:
    """Words with a tag start something; all others set registers."""
    return any(field.name == "tag" for field in word.fields)


class CommandPort(wiring.Component):
    """Keeps the shadow registers of one unit and offers its actions (RUN, and TABLE for ARRAY).

    Parameters
    ----------
    config : NpuConfig or None
        Not used today: the words are the same in every configuration.
    unit : Unit
        Whose words arrive. Their unit bits are not looked at again (the sequencer has).

    Members
    -------
    words : In(stream of 64)
        Command words.
    run : Out(stream of run_layout(unit))
        ``payload.action``, the fields of that action (``payload.run.tag``) and all shadow registers
        (``payload.input.base``). The member of the other action keeps its last value.
    busy : Out(1)
        An action is on offer (the same as ``run.valid``).
    tag : Out(16)
        Tag of the action on offer, or of the last one.
    error : Out(ErrorSignature)
        ILLEGAL_COMMAND with the word as address and tag 0, held until reset: a code that the unit does not have, or
        bits above the last field. No word after it has an effect.

    Timing
    ------
    One word a cycle, each registered, with its kind, before it is looked at, since it may come from far. An action is
    offered two cycles after its word was taken; one more word is taken meanwhile and waits until the action is taken,
    so an action costs two cycles. All registers are 0 two cycles after reset began.
    """

    words: Any
    run: Any
    busy: Signal
    tag: Signal
    error: Any

    def __init__(self, config: NpuConfig | None, unit: Unit) -> None:
        self.unit = unit
        super().__init__(
            {
                "words": In(stream.Signature(64)),
                "run": Out(stream.Signature(run_layout(unit))),
                "busy": Out(1),
                "tag": Out(16),
                "error": Out(ErrorSignature()),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        kinds = words_of(self.unit)
        sizes = sorted({word_layout(kind).size for kind in kinds})
        # What is known of a word as it comes is kept beside it.
        word = Signal(64, reset_less=True)
        held = Signal()  # ``word`` is one that has not had its effect
        is_kind = [Signal(name=f"is_{kind.name.lower()}", reset_less=True) for kind in kinds]
        has_size = [Signal(name=f"has_{size}_bits", reset_less=True) for size in sizes]
        exceeds = [Signal(name=f"exceeds_{size}_bits", reset_less=True) for size in sizes]
        legal = Signal()
        pending = Signal()
        failed = Signal()
        # The same the other way round, for use in here: those above are wanted far away.
        free = Signal(init=1)
        working = Signal(init=1)
        action = Signal(Action)
        fresh = Signal(init=1)  # a cycle behind the reset: a register near the many that it clears
        m.d.sync += fresh.eq(0)

        m.d.comb += [
            self.words.ready.eq(~(held & ~free) & working),
            legal.eq(Cat(has & ~over for has, over in zip(has_size, exceeds, strict=True)).any()),
            self.run.valid.eq(pending),
            self.run.payload.action.eq(action),
            self.busy.eq(pending),
            self.error.valid.eq(failed),
            self.error.code.eq(ErrorCode.ILLEGAL_COMMAND),
            self.error.address.eq(word),
        ]
        with m.If(self.run.ready):
            m.d.sync += [pending.eq(0), free.eq(1)]
        with m.If(self.words.ready):
            m.d.sync += held.eq(self.words.valid)
        coming = self.words.payload
        codes = [coming[PAYLOAD_BITS:60] == kind.code for kind in kinds]
        with m.If(~(held & ~free)):
            m.d.sync += [mine.eq(code) for mine, code in zip(is_kind, codes, strict=True)]
            for size, has, over in zip(sizes, has_size, exceeds, strict=True):
                of_size = [code for kind, code in zip(kinds, codes, strict=True) if word_layout(kind).size == size]
                m.d.sync += [has.eq(Cat(of_size).any()), over.eq(coming[size:PAYLOAD_BITS].any())]
        # An illegal word stays, to be shown; what comes behind it is lost.
        with m.If(working & ~(held & (~free | ~legal))):
            m.d.sync += word.eq(coming)

        # What the word does. An illegal one may leave its fields in a register: no action follows it.
        take = held & free & working
        for kind, mine in zip(kinds, is_kind, strict=True):
            shadow = Signal(word_layout(kind), name=kind.name.lower(), reset_less=True)
            m.d.comb += self.run.payload[kind.name.lower()].eq(shadow)
            with m.If(take & mine):
                m.d.sync += shadow.eq(word[: word_layout(kind).size])
                if _is_action(kind):
                    m.d.sync += action.eq(Action.TABLE if kind.name == "TABLE" else Action.RUN)
                    with m.If(legal):
                        m.d.sync += [pending.eq(1), free.eq(0)]
            with m.If(fresh):
                m.d.sync += shadow.eq(0)
        with m.If(take & ~legal):
            m.d.sync += [failed.eq(1), working.eq(0)]

        tag = self.run.payload.run.tag
        if any(kind.name == "TABLE" for kind in kinds):
            tag = Mux(action == Action.TABLE, self.run.payload.table.tag, tag)
        m.d.comb += self.tag.eq(tag)
        return m
