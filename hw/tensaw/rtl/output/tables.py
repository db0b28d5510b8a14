"""From rows of the weight stream to the words of the lookup and exponent tables."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from tensaw.rtl.interfaces import SideKind, side_row_layout
from tensaw.spec.config import NpuConfig

__all__ = ["LOOKUP_WORDS", "TableLoader", "table_write_layout"]

LOOKUP_WORDS = 64
"""The 256 bytes of the lookup table lie in words of 32 bits, as the entries of the exponent table do."""


def table_write_layout() -> data.StructLayout:
    """``lookup`` or ``exponent``: write ``word`` to ``address`` of that table."""
    return data.StructLayout({"lookup": 1, "exponent": 1, "address": 8, "word": 32})


class TableLoader(wiring.Component):
    """Takes table rows apart.

    Parameters
    ----------
    config : NpuConfig

    Members
    -------
    rows : In(stream of side_row_layout)
        LOOKUP and EXPONENT rows in any order, and no others.
    write : Out(table_write_layout)
        To every copy of the tables.

    Timing
    ------
    One 32-bit word a cycle: 64 cycles for 256 bytes. A row is taken with its last word, which is written in the cycle
    after.
    """

    rows: Any
    write: Any

    def __init__(self, config: NpuConfig) -> None:
        self._config = config
        super().__init__(
            {
                "rows": In(stream.Signature(side_row_layout(config))),
                "write": Out(table_write_layout()),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        words = self._config.weight_row_bytes // 4
        bits = (words - 1).bit_length()
        place = Signal(bits)
        row = self.rows.payload
        address, word = Signal(8, reset_less=True), Signal(32, reset_less=True)
        take, lookup = self.rows.valid, row.kind == SideKind.LOOKUP
        m.d.comb += [
            self.rows.ready.eq(take & (place == words - 1)),
            self.write.address.eq(address),
            self.write.word.eq(word),
        ]
        m.d.sync += [
            self.write.lookup.eq(take & lookup),
            self.write.exponent.eq(take & ~lookup),
            address.eq(Cat(place, row.index)),
            word.eq(row.row.word_select(place, 32) if bits else row.row),
        ]
        if bits:
            with m.If(take):
                m.d.sync += place.eq(place + 1)
        return m
