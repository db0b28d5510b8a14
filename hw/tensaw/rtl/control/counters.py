"""Performance counters."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from tensaw.spec.config import NpuConfig
from tensaw.spec.registers import COUNTERS

__all__ = ["Counters", "events_layout"]

_BEATS = ("BYTES_READ", "BYTES_WRITTEN")
_SPAN_BITS = 7
"""Twice the events counted between two visits of a counter: two cycles, for each counter and each read in between."""


def events_layout() -> data.StructLayout:
    """One bit for each counter but CYCLES, named like it in lower case, 1 in each cycle that counts. For
    ``bytes_read`` and ``bytes_written`` that is a beat of the bus."""
    return data.StructLayout({name.lower(): 1 for name, _ in COUNTERS if name != "CYCLES"})


class Counters(wiring.Component):
    """Counts events of a run in 64 bits each, which one adder carries on for all of them in turn.

    Parameters
    ----------
    config : NpuConfig
        ``bus_bytes``: what a beat counts.

    Members
    -------
    clear : In(1)
        Set all to 0.
    running : In(1)
        Count; otherwise hold.
    events : In(events_layout())
    read : In(1), index : In(4), upper : In(1)
        Show a half of a counter, whose number is its place in tensaw.spec.registers.COUNTERS, less than their count.
        Every fourth cycle at most; ``index`` and ``upper`` stay for four cycles.
    word : Out(32)
        That half from four cycles later on; 0 from the cycle after ``clear`` or ``hide``.
    hide : In(1)
        Show nothing.

    Timing
    ------
    An event is counted two cycles later (it is registered first, to keep long paths out of the counters); what is
    shown includes it from then on.
    """

    clear: Signal
    running: Signal
    events: Any
    read: Signal
    index: Signal
    upper: Signal
    hide: Signal
    word: Signal

    def __init__(self, config: NpuConfig) -> None:
        self.config = config
        super().__init__(
            {
                "clear": In(1),
                "running": In(1),
                "events": In(events_layout()),
                "read": In(1),
                "index": In(range(len(COUNTERS))),
                "upper": In(1),
                "hide": In(1),
                "word": Out(32),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        number = len(COUNTERS)

        # The low bits of each counter, which count by themselves. Bus traffic is counted in beats, and shown in bytes.
        beat_bits = exact_log2(self.config.bus_bytes)
        low_bits = _SPAN_BITS + beat_bits
        lows = []
        for name, _ in COUNTERS:
            unit_bits = beat_bits if name in _BEATS else 0
            count = Signal(low_bits - unit_bits, name=name.lower())
            event = Signal(name=f"event_{name.lower()}")
            m.d.sync += event.eq(self.running & (1 if name == "CYCLES" else self.events[name.lower()]))
            with m.If(self.clear):
                m.d.sync += count.eq(0)
            with m.Elif(event):
                m.d.sync += count.eq(count + 1)
            lows.append(count << unit_bits)

        # All bits, as they were when the counter was last visited: two cycles for each, in turn or to be read.
        m.submodules.totals = totals = Memory(shape=64, depth=1 << self.index.shape().width, init=[])
        row = totals.read_port(domain="comb")
        write = totals.write_port()
        untouched = Signal(number, init=(1 << number) - 1)  # since the last clear: 0, whatever the memory holds
        turn = Signal(range(number))
        wanted = Signal()  # a read has come in a cycle in which the next counter was not chosen
        adding = Signal()
        place = Signal.like(turn)  # of the counter at hand, chosen while the one before it is added
        asked = Signal()  # it is to be shown
        before = Signal(64, reset_less=True)
        blank = Signal(init=1)  # it is 0 instead
        now = Signal(low_bits)
        total = Signal(64)
        showing = Signal()
        added = Signal.like(place)
        m.d.comb += [
            row.addr.eq(place),
            # Fewer than half of the numbers that the low bits have were counted: they have gone round if the highest
            # one has become 0.
            total.eq(Cat(now, Mux(blank, 0, before[low_bits:]) + (~blank & before[low_bits - 1] & ~now[-1]))),
            write.addr.eq(added),
            write.data.eq(total),
            write.en.eq(adding),
        ]
        m.d.sync += adding.eq(~adding)
        with m.If(adding):
            m.d.sync += [untouched.bit_select(added, 1).eq(0), asked.eq(wanted | self.read), wanted.eq(0)]
            with m.If(showing):
                m.d.sync += self.word.eq(Mux(self.upper, total[32:], total[:32]))
            with m.If(wanted | self.read):
                m.d.sync += place.eq(self.index)
            with m.Else():
                m.d.sync += [place.eq(turn), turn.eq(Mux(turn == number - 1, 0, turn + 1))]
        with m.Else():
            m.d.sync += [added.eq(place), showing.eq(asked), before.eq(row.data), wanted.eq(self.read)]
            m.d.sync += blank.eq(untouched.bit_select(place, 1))
            with m.Switch(place):
                for index, low in enumerate(lows):
                    with m.Case(index):
                        m.d.sync += now.eq(low)
        with m.If(self.clear):
            m.d.sync += [untouched.eq((1 << number) - 1), blank.eq(1), now.eq(0)]
        with m.If(self.clear | self.hide):
            m.d.sync += self.word.eq(0)
        return m
