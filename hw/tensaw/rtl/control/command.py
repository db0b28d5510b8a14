"""From command words to runs: the shadow registers of one unit."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Signal, signed
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
    One word a cycle, each registered before it is looked at: queues may be memories, which are slow. An action is
    offered two cycles after its word was taken; one more word is taken meanwhile and waits until the action is taken,
    so an action costs two cycles. All registers are 0 after reset.
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
        word = Signal(64)
        held = Signal()  # ``word`` is one that has not had its effect
        code = word[PAYLOAD_BITS:60]
        illegal, take = Signal(), Signal()
        pending, failed = Signal(), Signal()
        action = Signal(Action)

        m.d.comb += [
            self.words.ready.eq((~held | take) & ~failed),
            take.eq(held & ~pending & ~failed),
            illegal.eq(1),
            self.run.valid.eq(pending),
            self.run.payload.action.eq(action),
            self.busy.eq(pending),
            self.error.valid.eq(failed),
            self.error.code.eq(ErrorCode.ILLEGAL_COMMAND),
            self.error.address.eq(word),
        ]
        with m.If(self.run.ready):
            m.d.sync += pending.eq(0)
        with m.If(self.words.ready):
            m.d.sync += held.eq(self.words.valid)
            with m.If(~(take & illegal)):  # such a word stays, to be shown; what came behind it is lost
                m.d.sync += word.eq(self.words.payload)

        for kind in kinds:
            layout = word_layout(kind)
            shadow = Signal(layout, name=kind.name.lower())
            m.d.comb += self.run.payload[kind.name.lower()].eq(shadow)
            with m.If(code == kind.code):
                m.d.comb += illegal.eq(word[layout.size : PAYLOAD_BITS].any() if layout.size < PAYLOAD_BITS else 0)
                # An illegal word may leave its fields here: no action follows it.
                with m.If(take):
                    m.d.sync += shadow.eq(word[: layout.size])
                if _is_action(kind):
                    with m.If(take & ~illegal):
                        m.d.sync += [pending.eq(1), action.eq(Action.TABLE if kind.name == "TABLE" else Action.RUN)]
        with m.If(take & illegal):
            m.d.sync += failed.eq(1)

        tag = self.run.payload.run.tag
        if any(kind.name == "TABLE" for kind in kinds):
            tag = Mux(action == Action.TABLE, self.run.payload.table.tag, tag)
        m.d.comb += self.tag.eq(tag)
        return m
