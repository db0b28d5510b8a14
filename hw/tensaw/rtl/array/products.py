"""Small products by shifting and adding, for address steps that change once a run."""

from __future__ import annotations

from amaranth import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["AddressProducts"]


class AddressProducts(wiring.Component):
    """``row * pitch``, ``kernel_rows * pitch`` and ``y * pitch``, modulo 2**24, in eight cycles.

    They are wanted while the previous run still streams, so a multiplier would be idle hardware.

    Members
    -------
    start : In(1)
        Takes the operands, which must stay until ``done``.
    pitch : In(24), row : In(8), kernel_rows : In(8), y : In(signed 16)
    done : Out(1)
        Results are valid; falls in the cycle after ``start``.
    row_pitch, kernel_pitch, origin : Out(24)
    """

    start: Signal
    pitch: Signal
    row: Signal
    kernel_rows: Signal
    y: Signal
    done: Signal
    row_pitch: Signal
    kernel_pitch: Signal
    origin: Signal

    def __init__(self) -> None:
        super().__init__(
            {
                "start": In(1),
                "pitch": In(24),
                "row": In(8),
                "kernel_rows": In(8),
                "y": In(signed(16)),
                "done": Out(1),
                "row_pitch": Out(24),
                "kernel_pitch": Out(24),
                "origin": Out(24),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        steps = Signal(range(9))
        row, kernel_rows, y = Signal(8), Signal(8), Signal(16)
        weight = Signal(24)
        """pitch << step, and for y (two bits a step) pitch << 2·step."""
        weight_y = Signal(24)
        with m.If(self.start):
            m.d.sync += [
                steps.eq(8),
                self.done.eq(0),
                row.eq(self.row),
                kernel_rows.eq(self.kernel_rows),
                y.eq(self.y),
                weight.eq(self.pitch),
                weight_y.eq(self.pitch),
                self.row_pitch.eq(0),
                self.kernel_pitch.eq(0),
                self.origin.eq(0),
            ]
        with m.Elif(steps != 0):
            m.d.sync += [
                steps.eq(steps - 1),
                row.eq(row >> 1),
                kernel_rows.eq(kernel_rows >> 1),
                y.eq(y >> 2),
                weight.eq(weight << 1),
                weight_y.eq(weight_y << 2),
                self.done.eq(steps == 1),
            ]
            with m.If(row[0]):
                m.d.sync += self.row_pitch.eq(self.row_pitch + weight)
            with m.If(kernel_rows[0]):
                m.d.sync += self.kernel_pitch.eq(self.kernel_pitch + weight)
            # The top bit of y counts negative: in the last step bit 1 is subtracted.
            low = Signal(24)
            high = Signal(25)
            with m.If(y[0]):
                m.d.comb += low.eq(weight_y)
            with m.If(y[1]):
                m.d.comb += high.eq(weight_y << 1)
            with m.If(steps == 1):
                m.d.sync += self.origin.eq(self.origin + low - high)
            with m.Else():
                m.d.sync += self.origin.eq(self.origin + low + high)
        return m
