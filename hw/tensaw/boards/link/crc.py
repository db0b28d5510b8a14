"""CRC-32 of zlib, a bit a cycle: bytes come slowly enough on a serial line."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Crc32"]

_POLYNOMIAL = 0xEDB88320
_RESIDUE = 0xDEBB20E3
"""The register after a message and its own CRC, low byte first."""


class Crc32(wiring.Component):
    """CRC of the bytes since ``clear``.

    Members
    -------
    clear : In(1)
        Begin a new CRC with the next byte.
    start : In(1), byte : In(8)
        Take a byte; not while ``busy``, nor together with ``clear``.
    busy : Out(1)
    value : Out(32)
        CRC of the bytes taken so far, while not ``busy``.
    good : Out(1)
        The last four bytes taken are the CRC of those before, low byte first; while not ``busy``.

    Timing
    ------
    ``busy`` for nine cycles after ``start``. Reset: as ``clear``.
    """

    clear: Signal
    start: Signal
    byte: Signal
    busy: Signal
    value: Signal
    good: Signal

    def __init__(self) -> None:
        super().__init__(
            {"clear": In(1), "start": In(1), "byte": In(8), "busy": Out(1), "value": Out(32), "good": Out(1)}
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        register = Signal(32, init=0xFFFFFFFF)
        left = Signal(range(10))
        # The comparison takes a cycle of its own, behind the last bit.
        m.d.comb += [self.busy.eq(left != 0), self.value.eq(~register)]
        m.d.sync += self.good.eq(register == _RESIDUE)
        with m.If(self.clear):
            m.d.sync += [register.eq(0xFFFFFFFF), left.eq(0)]
        with m.Elif(self.start):
            m.d.sync += [register.eq(register ^ self.byte), left.eq(9)]
        with m.Elif(self.busy):
            shifted = Cat(register[1:], 0)
            m.d.sync += left.eq(left - 1)
            with m.If(left != 1):
                m.d.sync += register.eq(shifted ^ Mux(register[0], _POLYNOMIAL, 0))
        return m
