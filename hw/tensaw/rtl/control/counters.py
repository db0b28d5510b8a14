"""Performance counters."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from tensaw.spec.config import NpuConfig
from tensaw.spec.registers import COUNTERS

__all__ = ["Counters", "events_layout"]

_BEATS = ("BYTES_READ", "BYTES_WRITTEN")


def events_layout() -> data.StructLayout:
    """One bit for each counter but CYCLES, named like it in lower case, 1 in each cycle that counts. For
    ``bytes_read`` and ``bytes_written`` that is a beat of the bus."""
    return data.StructLayout({name.lower(): 1 for name, _ in COUNTERS if name != "CYCLES"})


class Counters(wiring.Component):
    """Counts events of a run in 64 bits each.

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
    values : Out(64 × counters)
        In the order of tensaw.spec.registers.COUNTERS.

    Timing
    ------
    An event is counted two cycles later (it is registered first, to keep long paths out of the counters).
    """

    clear: Signal
    running: Signal
    events: Any
    values: Any

    def __init__(self, config: NpuConfig) -> None:
        self.config = config
        super().__init__(
            {
                "clear": In(1),
                "running": In(1),
                "events": In(events_layout()),
                "values": Out(data.ArrayLayout(64, len(COUNTERS))),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        for index, (name, _) in enumerate(COUNTERS):
            # Bus traffic is counted in beats, and shown in bytes.
            unit_bits = exact_log2(self.config.bus_bytes) if name in _BEATS else 0
            count = Signal(64 - unit_bits, name=name.lower())
            event = Signal(name=f"event_{name.lower()}")
            m.d.sync += event.eq(self.running & (1 if name == "CYCLES" else self.events[name.lower()]))
            m.d.comb += self.values[index].eq(count << unit_bits)
            with m.If(self.clear):
                m.d.sync += count.eq(0)
            with m.Elif(event):
                m.d.sync += count.eq(count + 1)
        return m
