"""Biases, multipliers and shifts of the channels of a tile, for two tiles."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from tensaw.rtl.checks import check
from tensaw.rtl.interfaces import SideKind
from tensaw.rtl.memory.ram import Ram
from tensaw.spec.config import NpuConfig

__all__ = ["ParameterStore", "beats_of", "parameter_places", "parameter_row_layout"]

SHIFT_BITS = 6


def beats_of(config: NpuConfig) -> int:
    """Lane beats of a full vector: ``columns`` channels, ``requant_lanes`` at a time."""
    return -(-config.columns // config.requant_lanes)


def _chunks(first: int, count: int, config: NpuConfig) -> list[list[int]]:
    """Channels ``first`` ... ``first + count - 1`` in groups that one write can store: all of one beat. Channels beyond
    the array's columns are left out; a row of such channels only is one empty group."""
    groups: dict[int, list[int]] = {}
    for channel in range(first, min(first + count, config.columns)):
        groups.setdefault(channel // config.requant_lanes, []).append(channel)
    return list(groups.values()) or [[]]


_PLACES = tuple((kind, index) for kind in (SideKind.BIAS, SideKind.MULTIPLIER) for index in range(4)) + (
    (SideKind.SHIFT, 0),
)
"""Kind and index of a tile's rows."""


def parameter_row_layout(config: NpuConfig) -> data.StructLayout:
    """A row of parameters: which of a tile's rows it is (a bit for each of 4 BIAS, 4 MULTIPLIER and one SHIFT row),
    whether it is the tile's last one, and its bytes."""
    return data.StructLayout({"places": len(_PLACES), "last": 1, "row": config.weight_row_bytes * 8})


def parameter_places(row: Any) -> Value:
    """``places`` of a row, a view of ``side_row_layout``; 0 if it holds no parameters."""
    return Cat((row.kind == kind) & (row.index[:2] == index) for kind, index in _PLACES)


class ParameterStore(wiring.Component):
    """Two sets of channel parameters: one is read while the other is filled from the weight stream.

    Parameters
    ----------
    config : NpuConfig

    Members
    -------
    rows : In(stream of parameter_row_layout)
        Rows of a tile, the last one marked. Rows of an unfilled set keep older values.
    filled : Out(1)
        The set to be read next is complete.
    release : In(1)
        Its tile is finished (the last read is requested in this cycle at the latest): free it and go to the other one.
    enable : In(1), beat : In
        Reads the parameters of channels ``beat * lanes`` and following; valid in the next cycle, held while 0.
    bias, multiplier : Out(lanes × signed 32)
    shift : Out(lanes × signed 6)

    Timing
    ------
    A row is taken in one cycle for each group of its channels that lies within one beat: one cycle with as many lanes
    as columns. Rows wait while both sets are full. Reset empties both sets.
    """

    rows: Any
    filled: Signal
    release: Signal
    enable: Signal
    beat: Signal
    bias: Any
    multiplier: Any
    shift: Any

    def __init__(self, config: NpuConfig) -> None:
        self._config = config
        lanes = config.requant_lanes
        super().__init__(
            {
                "rows": In(stream.Signature(parameter_row_layout(config))),
                "filled": Out(1),
                "release": In(1),
                "enable": In(1),
                "beat": In(range(max(2, beats_of(config)))),
                "bias": Out(data.ArrayLayout(signed(32), lanes)),
                "multiplier": Out(data.ArrayLayout(signed(32), lanes)),
                "shift": Out(data.ArrayLayout(signed(SHIFT_BITS), lanes)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config = self._config
        lanes, width = config.requant_lanes, config.weight_row_bytes
        beat_bits = (beats_of(config) - 1).bit_length()
        depth = 2 << beat_bits

        both = Signal()  # sets are filled; sets are filled, and read, in turn
        write_set, read_set = Signal(), Signal()
        chunk = Signal(range(width + 1))
        row = self.rows.payload
        last_chunk = Signal(init=1)
        store = Signal()
        fills = Signal()
        m.d.comb += [
            store.eq(self.rows.valid & ~both),
            self.rows.ready.eq(store & last_chunk),
            fills.eq(self.rows.ready & row.last),
        ]
        m.d.sync += [
            both.eq(~self.release & (both | (self.filled & fills))),
            self.filled.eq(fills | Mux(self.release, both, self.filled)),
            write_set.eq(write_set ^ fills),
            read_set.eq(read_set ^ self.release),
        ]
        with m.If(store):
            m.d.sync += chunk.eq(Mux(last_chunk, 0, chunk + 1))
        check(m, platform, ~self.release | self.filled, "release", "a set is freed that is not filled")

        first_place = 0
        words = [_chunks(index * width // 4, width // 4, config) for index in range(4)]
        bytes_ = [_chunks(0, width, config)]
        for name, out, bits, unit, rows in (
            ("bias", self.bias, 32, 32, words),
            ("multiplier", self.multiplier, 32, 32, words),
            ("shift", self.shift, SHIFT_BITS, 8, bytes_),
        ):
            ram = Ram(depth, bits * lanes, bits)
            m.submodules[f"{name}_memory"] = ram
            beat = Signal(max(1, beat_bits), name=f"{name}_beat")
            m.d.comb += [
                ram.write_address.eq(Cat(beat[:beat_bits], write_set)),
                ram.read_enable.eq(self.enable),
                ram.read_address.eq(Cat(self.beat[:beat_bits], read_set)),
                Value.cast(out).eq(ram.read_data),
            ]
            sources: list[dict[int, list[Value]]] = [{} for _ in range(lanes)]  # per lane: place in the row -> when
            for index, groups in enumerate(rows):
                here = row.places[first_place + index]
                for number, channels in enumerate(groups):
                    now = here
                    if len(groups) > 1:
                        now = here & (chunk == number)
                        with m.If(now):
                            m.d.comb += last_chunk.eq(number == len(groups) - 1)
                    written = [channel % lanes for channel in channels]
                    for lane, channel in zip(written, channels, strict=True):
                        sources[lane].setdefault(channel - index * width * 8 // unit, []).append(now)
                    with m.If(now):
                        m.d.comb += [
                            beat.eq(channels[0] // lanes if channels else 0),
                            ram.write_enable.eq(Cat(store & (lane in written) for lane in range(lanes))),
                        ]
            first_place += len(rows)
            for lane, places in enumerate(sources):
                value = ram.write_data[bits * lane :][:bits]
                for number, (place, when) in enumerate(sorted(places.items())):
                    with m.If(Cat(when).any() if number else 1):
                        m.d.comb += value.eq(row.row[unit * place :][:bits])
        return m
