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
        Belongs to ``words`` of the next cycle.
    lanes : Out(rows × signed 8), columns, seconds : Out(groups × columns × signed 8)
        For the array; what does not take part is 0.

    Timing
    ------
    Registered: one cycle from ``words``, two from ``slot``, of which all that chooses between bytes is made first.
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
        size, width = config.word_bytes, max(config.rows, config.columns)

        def kept(value: Value, name: str) -> Signal:
            register = Signal(len(value), name=name, reset_less=True)
            m.d.sync += register.eq(value)
            return register

        offset = [kept(slot.offset[number], f"offset{number}") for number in range(3)]
        rotated = [_rotate(m, self.words[number], offset[number], size, f"rotated{number}") for number in range(3)]
        pad = kept(slot.pad, "pad").as_signed()
        # A vector that crosses the end of its word goes on in the next one, which slot 1 holds.
        crosses = kept(Cat(slot.pair & (slot.offset[0] + lane >= size) for lane in range(width)), "crosses")
        # By group, lanes that exist, and whether its second pixel does; who takes no part.
        exists = [
            kept(Mux(slot.row_valid[group], slot.exists, 0), f"exists{group}") for group in range(max(1, config.groups))
        ]
        second_exists = kept(Mux(slot.second_exists, slot.row_valid, 0), "second_exists")
        no_lane, no_column = kept(~slot.rows, "no_lane"), kept(~slot.groups, "no_column")
        no_second = kept(~Mux(slot.second, slot.groups, 0), "no_second")

        def vector(lane: int) -> Value:
            """Byte of slot 0 and its successor."""
            low, high = rotated[0][8 * (lane % size) :][:8], rotated[1][8 * (lane % size) :][:8]
            return Mux(crosses[lane], high, low)

        # Not reset: what the array makes of data without a position goes to no accumulator.
        lanes, columns, seconds = (
            Signal.like(port, name=name, reset_less=True)
            for name, port in (("lane", self.lanes), ("column", self.columns), ("second", self.seconds))
        )
        m.d.comb += [self.lanes.eq(lanes), self.columns.eq(columns), self.seconds.eq(seconds)]
        for row in range(config.rows):
            with m.If(no_lane[row]):
                m.d.sync += lanes[row].eq(0)
            with m.Else():
                m.d.sync += lanes[row].eq(Mux(exists[0][row], vector(row).as_signed(), pad))
        for group in range(config.groups):
            for column in range(config.columns):
                source = vector(column) if group == 0 else rotated[group][8 * column :][:8]
                with m.If(no_column[group]):
                    m.d.sync += columns[group][column].eq(0)
                with m.Else():
                    m.d.sync += columns[group][column].eq(Mux(exists[group][column], source.as_signed(), pad))
                further = self.words[3 + group][8 * column :][:8]
                with m.If(no_second[group]):
                    m.d.sync += seconds[group][column].eq(0)
                with m.Else():
                    m.d.sync += seconds[group][column].eq(Mux(second_exists[group], further.as_signed(), pad))
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
