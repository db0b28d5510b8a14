"""Cut a stage's output into boxes so that what a box needs fits the scratchpad bytes left for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tensaw.compiler.lowering.base import Lowering
from tensaw.compiler.regions import Box
from tensaw.spec.config import NpuConfig

__all__ = ["TilePlan", "plan_tiles"]

_MOST_EXTENT = 16384
"""Rows or columns of one box: well inside the 16 bits of the loop counters."""
_TILE_CYCLES = 100
"""What one more box costs: commands, and the fill of the pipeline."""
_ACCESS_CYCLES = 5
"""What an access takes at least: a memory that answers after 32 cycles with 8 bursts under way."""
_Axis = tuple[list[tuple[int, int]], list[tuple[int, int]]]
"""Ranges of an axis in order and, for each operand and the output, the extent of the largest and the sum of all."""


@dataclass(frozen=True)
class TilePlan:
    """Boxes in the order in which they run, and the staging buffers of the operands that are not resident.

    ``sizes``: bytes of one buffer for each operand and, last, the output (0: resident, no buffer); ``copies``: 2 if a
    box's transfers may overlap with its predecessor's work.
    """

    boxes: tuple[Box, ...]
    sizes: tuple[int, ...]
    copies: int
    cost: float

    @property
    def staging(self) -> int:
        return sum(self.sizes) * self.copies


def _cuts(size: int, step: int) -> list[tuple[int, int]]:
    return [(start, min(start + step, size)) for start in range(0, size, step)]


def _halvings(size: int, step: int) -> Iterator[int]:
    """``size`` and its halves, quarters..., each a multiple of ``step``, down to ``step``."""
    units = -(-size // step)
    while True:
        yield min(units * step, size)
        if units == 1:
            return
        units = -(-units // 2)


class _Tiler:
    def __init__(self, lowering: Lowering, staged: tuple[bool, ...], config: NpuConfig) -> None:
        self.lowering = lowering
        self.image = lowering.image
        self.staged = staged
        self.config = config
        self.operands = (*lowering.stage.operands, lowering.stage.output)
        self._axes: dict[tuple[str, int], _Axis] = {}

    def rows(self, step: int) -> list[tuple[int, int]]:
        """Row ranges of height ``step``; inside single images where the lowering asks for it."""
        image = self.image
        if not self.lowering.per_image:
            return _cuts(image.rows, step)
        return [
            (first + y0, first + y1)
            for first in range(0, image.rows, image.height)
            for y0, y1 in _cuts(image.height, step)
        ]

    def axis(self, name: str, step: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Cuts of an axis, and for each operand the (largest, total) extent needed over these cuts."""
        if (name, step) in self._axes:
            return self._axes[name, step]
        image = self.image
        if name == "y":
            cuts = self.rows(step)
        else:
            cuts = _cuts(image.width if name == "x" else image.channels, step)
        extents = []
        for index in range(len(self.operands)):
            sizes = []
            for start, stop in cuts:
                y0, y1 = (start, stop) if name == "y" else (0, min(image.height, image.rows))
                x = (start, stop) if name == "x" else (0, image.width)
                c = (start, stop) if name == "c" else (0, image.channels)
                box = Box(y0, y1, *x, *c)
                need = box if index == len(self.operands) - 1 else self.lowering.needs(index, box)
                sizes.append(max({"y": need.height, "x": need.width, "c": need.channels}[name], 0))
            extents.append((max(sizes), sum(sizes)))
        self._axes[name, step] = cuts, extents
        return cuts, extents

    def sizes(self, height: int, width: int, channels: int) -> tuple[int, ...]:
        """Bytes of a staging buffer for each operand and the output."""
        word = self.config.word_bytes
        parts = [self.axis("y", height)[1], self.axis("x", width)[1], self.axis("c", channels)[1]]
        result = []
        for index, (operand, staged) in enumerate(zip(self.operands, self.staged, strict=True)):
            extent = [part[index][0] for part in parts]
            if not staged or 0 in extent:
                result.append(0 if not staged else word)
                continue
            box = Box(0, extent[0], 0, extent[1], 0, extent[2])
            size = self.lowering.part_layout(operand, box).size(box)
            result.append(-(-size // word) * word)
        return tuple(result)

    def cost(self, height: int, width: int, channels: int, copies: int) -> float:
        """Estimated bus cycles: transfers, weights that are streamed again, and a fixed cost for every box."""
        axes = [self.axis("y", height), self.axis("x", width), self.axis("c", channels)]
        moved = 0.0
        for index, staged in enumerate(self.staged):
            if staged:
                moved += self.transfer_cycles(index, axes)
        pieces = len(axes[0][0]) * len(axes[1][0])
        stream = self.lowering.stream_bytes
        if pieces > 1 and stream // len(axes[2][0]) > self.config.weight_bytes // 2:
            stream *= pieces
        boxes = pieces * len(axes[2][0])
        cycles = moved + stream / self.config.bus_bytes + boxes * _TILE_CYCLES
        return cycles * (1.25 if copies == 1 and boxes > 1 else 1.0)

    def transfer_cycles(self, index: int, axes: list[_Axis]) -> float:
        """Bus cycles in which all boxes of an operand move. Bytes that follow each other in memory and in the buffer
        are one access; short ones wait for the memory's answers."""
        image = self.operands[index].image
        (rows, all_rows), (width, all_widths), (channels, all_channels) = (axis[1][index] for axis in axes)
        size = all_rows * all_widths * all_channels
        if 0 in (rows, width, channels):
            return 0.0
        layout = self.lowering.part_layout(self.operands[index], Box(0, rows, 0, width, 0, channels))
        length = channels
        if channels == image.channels and layout.pixel_pitch == channels:
            length *= width
            if width == image.width and layout.pitch(width) == length:
                length *= rows
        return size / length * max(-(-length // self.config.bus_bytes), _ACCESS_CYCLES)

    def boxes(self, height: int, width: int, channels: int) -> tuple[Box, ...]:
        return tuple(
            Box(y0, y1, x0, x1, c0, c1)
            for c0, c1 in self.axis("c", channels)[0]
            for y0, y1 in self.axis("y", height)[0]
            for x0, x1 in self.axis("x", width)[0]
        )


def plan_tiles(
    lowering: Lowering, staged: tuple[bool, ...], capacity: int, config: NpuConfig, height: int | None = None
) -> TilePlan | None:
    """The cheapest cut whose staging buffers fit ``capacity`` bytes; None if even single positions do not.

    ``staged``: for each operand and, last, the output, whether it is not resident. ``height``: the most rows of a box.
    """
    tiler = _Tiler(lowering, staged, config)
    image = lowering.image
    rows = min(image.height if lowering.per_image else image.rows, _MOST_EXTENT, height or _MOST_EXTENT)
    widest = min(image.width, _MOST_EXTENT // lowering.width_step * lowering.width_step)
    best: tuple[float, int, int, int, int] | None = None
    for channels in _halvings(image.channels, lowering.channel_step):
        for width in _halvings(widest, lowering.width_step):
            for copies in (2, 1):
                fits = _tallest(tiler, rows, width, channels, capacity // copies)
                if fits is None:
                    continue
                if copies == 2 and (fits, width, channels) == (rows, image.width, image.channels):
                    continue  # A single box needs no second buffer; the other branch finds it.
                cost = tiler.cost(fits, width, channels, copies)
                if best is None or cost < best[0]:
                    best = cost, fits, width, channels, copies
            if best is not None and not any(staged):
                break
        if best is not None and not any(staged):
            break
    if best is None:
        return None
    cost, fits, width, channels, copies = best
    return TilePlan(tiler.boxes(fits, width, channels), tiler.sizes(fits, width, channels), copies, cost)


def _tallest(tiler: _Tiler, rows: int, width: int, channels: int, capacity: int) -> int | None:
    """Most rows of a box whose buffers fit; evened out over the boxes."""
    low, high = 0, rows
    while low < high:
        middle = (low + high + 1) // 2
        if sum(tiler.sizes(middle, width, channels)) <= capacity:
            low = middle
        else:
            high = middle - 1
    if low == 0:
        return None
    return -(-rows // -(-rows // low))
