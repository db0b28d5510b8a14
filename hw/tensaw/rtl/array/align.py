"""From scratchpad words to array inputs: rotation to the addressed byte, padding, and the lanes that take part."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tensaw.spec.config import NpuConfig

__all__ = ["Aligner", "slot_layout"]


def slot_layout(config: NpuConfig) -> data.StructLayout:
    """What the words of one position are to become.

    ``offset``: byte in the word of each slot's first byte. ``row_valid``: slot g's row exists. ``exists``: lanes that
    exist in the row. ``rows``: array rows that take part. ``groups``: slots that are vectors for the columns
    (DEPTHWISE, POOL, PAIRS). ``pair``: slots 0 and 1 are neighbouring words of one vector. ``second``: there are second
    pixels (PAIRS); ``second_exists``: they exist in the row.
    """
    return data.StructLayout(
        {
            "offset": data.ArrayLayout(range(config.word_bytes), 3),
            "row_valid": 3,
            "exists": max(config.rows, config.columns),
            "rows": config.rows,
            "groups": config.groups,
            "pair": 1,
            "second": 1,
            "second_exists": 1,
            "pad": signed(8),
        }
    )


class Aligner(wiring.Component):
    """Rotates up to three words, takes further ones as they are, and fills in what does not exist.

    Parameters
    ----------
    config : NpuConfig

    Members
    -------
    words : In(3 + groups × word)
    slot : In(slot_layout)
        Belongs to ``words`` of the same cycle.
    lanes : Out(rows × signed 8), columns, seconds : Out(groups × columns × signed 8)
        For the array; what does not take part is 0.

    Timing
    ------
    Registered: one cycle.
    """

    words: Any
    slot: Any
    lanes: Any
    columns: Any
    seconds: Any

    def __init__(self, config: NpuConfig) -> None:
        self._config = config
        super().__init__(
            {
                "words": In(data.ArrayLayout(8 * config.word_bytes, 3 + config.groups)),
                "slot": In(slot_layout(config)),
                "lanes": Out(data.ArrayLayout(signed(8), config.rows)),
                "columns": Out(data.ArrayLayout(data.ArrayLayout(signed(8), config.columns), config.groups)),
                "seconds": Out(data.ArrayLayout(data.ArrayLayout(signed(8), config.columns), config.groups)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, slot = self._config, self.slot
        size = config.word_bytes
        rotated = [_rotate(m, self.words[number], slot.offset[number], size, f"rotated{number}") for number in range(3)]
        width = max(config.rows, config.columns)

        exists = slot.exists

        # A vector that crosses the end of its word goes on in the next one, which slot 1 holds.
        first_word = Signal(width)
        m.d.comb += first_word.eq(Cat((slot.offset[0] + lane) < size for lane in range(width)))

        def vector(lane: int) -> Value:
            """Byte of slot 0 and its successor."""
            low, high = rotated[0][8 * (lane % size) :][:8], rotated[1][8 * (lane % size) :][:8]
            return Mux(first_word[lane] | ~slot.pair, low, high)

        # Not reset: what the array makes of data without a position goes to no accumulator.
        lanes, columns, seconds = (
            Signal.like(port, name=name, reset_less=True)
            for name, port in (("lane", self.lanes), ("column", self.columns), ("second", self.seconds))
        )
        m.d.comb += [self.lanes.eq(lanes), self.columns.eq(columns), self.seconds.eq(seconds)]
        for row in range(config.rows):
            with m.If(~slot.rows[row]):
                m.d.sync += lanes[row].eq(0)
            with m.Else():
                m.d.sync += lanes[row].eq(Mux(slot.row_valid[0] & exists[row], vector(row).as_signed(), slot.pad))
        for group in range(config.groups):
            for column in range(config.columns):
                source = vector(column) if group == 0 else rotated[group][8 * column :][:8]
                with m.If(~slot.groups[group]):
                    m.d.sync += columns[group][column].eq(0)
                with m.Else():
                    m.d.sync += columns[group][column].eq(
                        Mux(slot.row_valid[group] & exists[column], source.as_signed(), slot.pad)
                    )
                further = self.words[3 + group][8 * column :][:8]
                with m.If(~(slot.groups[group] & slot.second)):
                    m.d.sync += seconds[group][column].eq(0)
                with m.Else():
                    m.d.sync += seconds[group][column].eq(
                        Mux(slot.row_valid[group] & slot.second_exists, further.as_signed(), slot.pad)
                    )
        return m


def _rotate(m: Module, word: Value, offset: Value, size: int, name: str) -> Signal:
    """Byte i of the result is byte (i + offset) modulo ``size``."""
    result = word
    for bit in range(len(offset)):
        amount = 8 << bit
        turned = Signal(8 * size, name=f"{name}_{bit}")
        m.d.comb += turned.eq(Mux(offset[bit], Cat(result[amount:], result[:amount]), result))
        result = turned
    return result  # type: ignore[return-value]
