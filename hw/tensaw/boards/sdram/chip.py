"""What an SDRAM chip demands, in nanoseconds, and what follows from it for a clock. No hardware here."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Capture", "Pads", "SdramChip", "best_capture"]


@dataclass(frozen=True)
class SdramChip:
    """One chip. Times in nanoseconds from its data sheet, for the slowest part that a board may carry.

    ``row_bits`` and ``column_bits`` address words of ``data_bits`` in each of ``2 ** bank_bits`` banks. ``cas`` is the
    latency of reads in cycles. ``refresh`` is the time from one refresh to the next, ``init`` the wait after power-up.
    ``access`` is the longest time from clock to read data, ``hold`` the shortest time they stay after the next clock;
    ``setup`` and ``input_hold`` what the chip wants at its inputs.
    """

    name: str
    data_bits: int = 16
    row_bits: int = 13
    column_bits: int = 9
    bank_bits: int = 2
    cas: int = 3
    fastest: float = 7.0
    init: float = 200_000.0
    refresh: float = 7_812.5
    trcd: float = 20.0
    trp: float = 20.0
    tras: float = 45.0
    tras_longest: float = 100_000.0
    trc: float = 67.5
    trfc: float = 67.5
    trrd: float = 15.0
    twr: float = 15.0
    tmrd_cycles: int = 2
    access: float = 6.0
    hold: float = 2.5
    setup: float = 1.5
    input_hold: float = 1.0

    @property
    def size(self) -> int:
        """Bytes."""
        return self.data_bits // 8 << (self.row_bits + self.column_bits + self.bank_bits)

    def cycles(self, name: str, clock: int) -> int:
        """The time ``name`` in cycles of ``clock`` hertz, rounded up."""
        # Half a picosecond takes the rounding of the division back.
        return math.ceil(getattr(self, name) * clock / 1e9 - 5e-7 * clock / 1e6)


@dataclass(frozen=True)
class Pads:
    """Shortest and longest time, in nanoseconds, from a clock edge in the FPGA to the chip's clock pin and from the
    chip's data pin to a register in the FPGA, together; and how much commands may be later than the clock."""

    round_trip_least: float
    round_trip_most: float
    skew: float


@dataclass(frozen=True)
class Capture:
    """Phase of the chip's clock behind the FPGA's in degrees, cycles from the edge at which a read command leaves the
    FPGA to the one at which its first data are taken, and the smallest margin of all times, in nanoseconds."""

    phase: int
    cycles: int
    margin: float


def best_capture(chip: SdramChip, pads: Pads, clock: int) -> Capture:
    """The phase, of multiples of 45 degrees, with the largest margin. The margin is negative if there is none."""
    period = 1e9 / clock
    choices = []
    for phase in range(45, 360, 45):
        shift = period * phase / 360
        first = shift + (chip.cas - 1) * period + chip.access + pads.round_trip_most
        last = shift + chip.cas * period + chip.hold + pads.round_trip_least
        for cycles in (chip.cas, chip.cas + 1):
            margins = (
                cycles * period - first,
                last - cycles * period,
                shift - pads.skew - chip.setup,
                period - shift - pads.skew - chip.input_hold,
            )
            choices.append(Capture(phase, cycles, min(margins)))
    return max(choices, key=lambda capture: capture.margin)
