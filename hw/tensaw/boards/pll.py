"""Settings of phase-locked loops: from the clock that a board has to the one that is wanted. No hardware here.

Each function returns the settings whose frequency is nearest to the one wanted without exceeding it. They raise
InputError where nothing comes within 5 %.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tensaw.spec.errors import InputError

__all__ = ["Ecp5Pll", "GowinPll", "Ice40Pll", "Xilinx7Pll", "ecp5_pll", "gowin_pll", "ice40_pll", "xilinx7_pll"]


@dataclass(frozen=True)
class Ecp5Pll:
    """EHXPLLL with feedback from CLKOP; CLKOS has the same frequency, ``phase`` degrees later."""

    frequency: int
    input_divider: int
    feedback_divider: int
    output_divider: int
    phase: int

    @property
    def phases(self) -> tuple[int, int, int]:
        """CLKOP_CPHASE, CLKOS_CPHASE, CLKOS_FPHASE: cycles of the oscillator, and eighths of one."""
        zero = max(self.output_divider // 2 - 1, 0)
        eighths = 8 * zero + round(8 * self.output_divider * self.phase / 360)
        return zero, eighths // 8, eighths % 8


@dataclass(frozen=True)
class Ice40Pll:
    """SB_PLL40 with simple feedback."""

    frequency: int
    divr: int
    divf: int
    divq: int
    filter_range: int


@dataclass(frozen=True)
class GowinPll:
    """rPLL; CLKOUTP has the same frequency, ``phase`` degrees later."""

    frequency: int
    idiv_sel: int
    fbdiv_sel: int
    odiv_sel: int
    phase: int


@dataclass(frozen=True)
class Xilinx7Pll:
    """PLLE2_BASE."""

    frequency: int
    divide: int
    multiply: int
    output_divider: int


def ecp5_pll(source: int, wanted: int, phase: int = 0) -> Ecp5Pll:
    """Oscillator 400 to 800 MHz, phase comparison from 3.125 MHz on; as near to 600 MHz as may be."""

    def choices() -> Iterator[tuple[int, float, tuple[int, ...]]]:
        for input_divider in range(1, int(source / 3.125e6) + 1):
            for feedback in range(1, 81):
                frequency = source * feedback / input_divider
                for divider in range(1, 129):
                    oscillator = frequency * divider
                    if 400e6 <= oscillator <= 800e6 and frequency <= wanted:
                        yield int(frequency), abs(oscillator - 600e6), (input_divider, feedback, divider)

    frequency, settings = _best(source, wanted, choices())
    input_divider, feedback, divider = settings
    return Ecp5Pll(frequency, input_divider, feedback, divider, phase)


def ice40_pll(source: int, wanted: int) -> Ice40Pll:
    """Oscillator 533 to 1066 MHz, phase comparison 10 to 133 MHz."""

    def choices() -> Iterator[tuple[int, float, tuple[int, ...]]]:
        for divr in range(16):
            compared = source / (divr + 1)
            if not 10e6 <= compared <= 133e6:
                continue
            filter_range = 1 + sum(compared >= limit for limit in (17e6, 26e6, 44e6, 66e6, 101e6))
            for divf in range(128):
                oscillator = compared * (divf + 1)
                for divq in range(1, 7):
                    if 533e6 <= oscillator <= 1066e6 and oscillator / 2**divq <= wanted:
                        yield int(oscillator / 2**divq), divr, (divr, divf, divq, filter_range)

    frequency, settings = _best(source, wanted, choices())
    return Ice40Pll(frequency, *settings)


def gowin_pll(source: int, wanted: int, phase: int = 0) -> GowinPll:
    """Oscillator 500 to 1250 MHz, phase comparison 3 to 500 MHz."""

    def choices() -> Iterator[tuple[int, float, tuple[int, ...]]]:
        for idiv in range(64):
            if not 3e6 <= source / (idiv + 1) <= 500e6:
                continue
            for fbdiv in range(64):
                frequency = source * (fbdiv + 1) / (idiv + 1)
                for odiv in (2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128):
                    if 500e6 <= frequency * odiv <= 1250e6 and frequency <= wanted:
                        yield int(frequency), abs(frequency * odiv - 875e6), (idiv, fbdiv, odiv)

    frequency, settings = _best(source, wanted, choices())
    idiv, fbdiv, odiv = settings
    return GowinPll(frequency, idiv, fbdiv, odiv, phase)


def xilinx7_pll(source: int, wanted: int) -> Xilinx7Pll:
    """Oscillator 800 to 1600 MHz (speed grade 1), phase comparison from 19 MHz on."""

    def choices() -> Iterator[tuple[int, float, tuple[int, ...]]]:
        for divide in range(1, int(source / 19e6) + 1):
            for multiply in range(2, 65):
                oscillator = source * multiply / divide
                for divider in range(1, 129):
                    if 800e6 <= oscillator <= 1600e6 and oscillator / divider <= wanted:
                        yield int(oscillator / divider), abs(oscillator - 1200e6), (divide, multiply, divider)

    frequency, settings = _best(source, wanted, choices())
    return Xilinx7Pll(frequency, *settings)


def _best(source: int, wanted: int, choices: Iterator[tuple[int, float, tuple[int, ...]]]) -> tuple[int, Any]:
    frequency, _, settings = max(choices, key=lambda choice: (choice[0], -choice[1]), default=(0, 0.0, ()))
    if frequency < 0.95 * wanted:
        raise InputError(
            f"A clock of {wanted / 1e6:g} MHz cannot be made from the board's {source / 1e6:g} MHz: the nearest below "
            f"is {frequency / 1e6:g} MHz. Choose another one with --clock."
        )
    return frequency, settings
