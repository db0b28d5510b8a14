"""Runs of the array and the output stage as the lowerings describe them, and the registers that they stand for."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tensaw.compiler.actions import Rows
from tensaw.compiler.ir import Requantise, Rounding
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import Mode, Operation

__all__ = [
    "IDENTITY",
    "ArrayRun",
    "Drain",
    "SecondOperand",
    "block_shape",
    "position_cycles",
    "quant_fields",
    "scale_fields",
    "second_registers",
]

IDENTITY = Requantise(np.array([1 << 30]), np.array([1]), 0, -128, 127, Rounding.SINGLE)
"""Requantisation that changes nothing but clamps to int8."""


def block_shape(height: int, width: int, entries: int) -> tuple[int, int]:
    """Rows and columns of a block of at most ``entries`` positions: whole rows where possible, balanced."""
    if width <= entries:
        blocks = -(-height // (entries // width))
        return -(-height // blocks), width
    return 1, -(-width // -(-width // entries))


@dataclass(frozen=True)
class ArrayRun:
    """Registers of an ARRAY.RUN, see tensaw.spec.isa; ``rows`` and ``position`` in the units of that table."""

    mode: Mode
    base: int
    pitch: int
    window: tuple[int, int]
    """Rows, and bytes of a row, that exist."""
    origin: tuple[int, int]
    """Row, and byte in the row, of the first position at the first kernel step."""
    step: tuple[int, int]
    """Rows from output row to output row; bytes from streamed position to position."""
    size: tuple[int, int]
    """Output rows and columns."""
    decimation: int = 1
    join: bool = False
    """DEPTHWISE: where a block holds whole rows, each one's last position is the next one's first."""
    kernel_y: tuple[int, int] = (1, 0)
    """Steps, and rows from step to step."""
    kernel_x: tuple[int, int] = (1, 0)
    """Steps, and bytes from step to step."""
    chunks: int = 1
    group_rows: int = 0
    groups: int = 0
    tiles: int = 1
    input_step: int = 0
    pad_value: int = 0
    weight_rows: int = 0
    maximum: bool = False
    end: int | None = None
    """Address behind the last input byte that matters: surplus lanes of the last tile or chunk read further, bytes
    that are thrown away or multiplied by 0."""

    @property
    def steps(self) -> int:
        return self.kernel_y[0] * self.kernel_x[0] * self.chunks

    def streamed(self, height: int, width: int, taps: int) -> int:
        """Positions streamed for a block of one kernel step."""
        if self.mode in (Mode.DEPTHWISE, Mode.PAIRS):
            taps = 2 if self.mode == Mode.PAIRS else taps
            shared = height - 1 if self.join and width == self.size[1] else 0
            return height * ((width - 1) * self.decimation + max(taps, self.decimation)) - shared
        return height * width

    def part(self, y: int, x: int, height: int, width: int) -> ArrayRun:
        """The run for a part of the output positions."""
        origin = self.origin[0] + y * self.step[0], self.origin[1] + x * self.decimation * self.step[1]
        return dataclasses.replace(self, origin=origin, size=(height, width))

    def rows_read(self, config: NpuConfig) -> Rows | None:
        """The rows of bytes inside the window that the run may touch and that matter; None if there are none."""
        height, width = self.size
        lanes = self.weight_rows if self.mode == Mode.CONV else config.columns
        last_y = (height - 1) * self.step[0] + (self.kernel_y[0] - 1) * self.kernel_y[1]
        last_y += (max(self.groups, 1) - 1) * self.group_rows
        positions = (width - 1) * self.decimation + {Mode.DEPTHWISE: config.taps - 1, Mode.PAIRS: 1}.get(self.mode, 0)
        last_x = positions * self.step[1] + (self.kernel_x[0] - 1) * self.kernel_x[1]
        last_x += (self.chunks - 1) * self.weight_rows + lanes
        y0, y1 = max(self.origin[0], 0), min(self.origin[0] + last_y + 1, self.window[0])
        x0, x1 = max(self.origin[1], 0), min(self.origin[1] + last_x, self.window[1])
        if y0 >= y1 or x0 >= x1:
            return None
        length = x1 - x0 + (self.tiles - 1) * self.input_step
        if self.end is not None:
            length = min(length, self.end - (self.base + (y1 - 1) * self.pitch + x0))
        return Rows(self.base + y0 * self.pitch + x0, self.pitch, y1 - y0, length)

    def cycles(self, config: NpuConfig, block: tuple[int, int]) -> int:
        """Cycles of the run if weights and inputs are always there: each kernel step takes its positions, but at least
        as long as the next step's weight rows need to shift in."""
        cycles = position_cycles(self.size, block, self.weight_rows, lambda h, w: self.streamed(h, w, config.taps))
        return cycles * self.steps * self.tiles


@dataclass(frozen=True)
class SecondOperand:
    """Registers of the output stage's second operand."""

    base: int
    pitch: int
    pixel_pitch: int
    tile_step: int
    operation: Operation
    zero_points: tuple[int, int]
    scales: tuple[tuple[int, int], tuple[int, int]]
    reverse: bool
    requantise: Requantise


@dataclass(frozen=True)
class Drain:
    """Registers of an OUTPUT.RUN that empties the accumulators."""

    base: int
    pitch: int
    pixel_pitch: int
    tile: int
    last: int
    requantise: Requantise
    """Per tensor (one multiplier), or per channel, then streamed."""
    bias: bool = False
    second: SecondOperand | None = None
    table: bool = False

    def part(self, y: int, x: int) -> Drain:
        second = self.second
        if second is not None:
            base = second.base + y * second.pitch + x * second.pixel_pitch
            second = dataclasses.replace(second, base=base)
        return dataclasses.replace(self, base=self.base + y * self.pitch + x * self.pixel_pitch, second=second)

    def every(self, step: int, first: int) -> Drain:
        """The registers for every ``step``-th column from column ``first`` on."""
        part, second = self.part(0, first), None
        if part.second is not None:
            second = dataclasses.replace(part.second, pixel_pitch=part.second.pixel_pitch * step)
        return dataclasses.replace(part, pixel_pitch=part.pixel_pitch * step, second=second)


def position_cycles(
    size: tuple[int, int], block: tuple[int, int], weight_rows: int,
    streamed: Callable[[int, int], int] = operator.mul,
) -> int:  # fmt: skip
    """Cycles of one kernel step over positions of a size in blocks: ``streamed`` (height, width) of each block, but at
    least as many as the next step's weight rows need to shift in."""
    return sum(
        many_y * many_x * max(streamed(height, width), weight_rows)
        for height, many_y in _extents(size[0], block[0])
        for width, many_x in _extents(size[1], block[1])
    )


def _extents(total: int, block: int) -> list[tuple[int, int]]:
    """Sizes of the parts when ``total`` is cut into blocks, each with how often it occurs."""
    whole, rest = divmod(total, block)
    return [(block, whole)] * (whole > 0) + [(rest, 1)] * (rest > 0)


def quant_fields(quant: Requantise) -> dict[str, int]:
    """Fields of OUTPUT.QUANT and QUANT_OUT."""
    return {
        "zero_point": quant.zero_point, "low": quant.low, "high": quant.high, "rounding": int(quant.rounding),
    }  # fmt: skip


def scale_fields(scale: tuple[int, int]) -> dict[str, int]:
    """Fields of a word with a multiplier and a shift."""
    return {"multiplier": int(scale[0]), "shift": int(scale[1])}


def second_registers(second: SecondOperand) -> dict[str, dict[str, int]]:
    """Registers of the output stage's second operand."""
    registers = {
        "OPERAND": {"base": second.base, "pitch": second.pitch},
        "OPERAND_STEP": {
            "pixel_pitch": second.pixel_pitch, "tile_step": second.tile_step, "zero_a": second.zero_points[0],
            "zero_b": second.zero_points[1], "operation": int(second.operation), "reverse": int(second.reverse),
        },
        "SCALE_OUT": scale_fields((int(second.requantise.multiplier[0]), int(second.requantise.shift[0]))),
        "QUANT_OUT": quant_fields(second.requantise),
    }  # fmt: skip
    if second.operation != Operation.MUL:
        registers |= {"SCALE_A": scale_fields(second.scales[0]), "SCALE_B": scale_fields(second.scales[1])}
    return registers
