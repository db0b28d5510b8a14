"""Cut a stage's output into boxes so that what a box needs fits the scratchpad bytes left for it.

Boxes are bands of rows, ranges of columns and ranges of output channels, in one of two orders: all positions for a
range of channels, whose weights stay in the ring if it can hold them while the input is loaded again for every range;
or all channels for a range of positions, whose input stays while the weights are streamed again. Of each operand that
is not resident there are one or two staging buffers. Of everything that fits, the choice that takes the fewest cycles
by :mod:`tensaw.compiler.planner.box_cost` is taken.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from tensaw.compiler.lowering.base import Lowering
from tensaw.compiler.planner.box_cost import Axis, BoxCost, Order
from tensaw.compiler.regions import Box
from tensaw.spec.config import NpuConfig

__all__ = ["TilePlan", "plan_tiles"]

_MOST_EXTENT = 16384
"""Rows or columns of one box: well inside the 16 bits of the loop counters."""
_ENOUGH_ROWS = 8
"""Bands of so many rows are not made taller by cutting columns: the halo would grow."""
_FEWER_ROWS = 4
"""How many heights below the tallest that fits are tried, each about two thirds of the one before."""


@dataclass(frozen=True)
class TilePlan:
    """Boxes in the order in which they run, and the staging buffers of the operands that are not resident.

    ``sizes``: bytes of one buffer for each operand and, last, the output (0: resident, no buffer); ``copies``: how many
    there are of each, 2 if a box's transfers may overlap with its predecessor's work. ``cost``: estimated cycles.
    """

    boxes: tuple[Box, ...]
    sizes: tuple[int, ...]
    copies: tuple[int, ...]
    cost: float

    @property
    def staging(self) -> int:
        return sum(size * copies for size, copies in zip(self.sizes, self.copies, strict=True))


def _cuts(size: int, step: int) -> list[tuple[int, int]]:
    return [(start, min(start + step, size)) for start in range(0, size, step)]


def _parts(size: int, step: int) -> Iterator[int]:
    """``size`` cut into 1, 2, 3, 4, 6, 8, 12... parts: their extent, a multiple of ``step``, down to ``step``."""
    units = -(-size // step)
    extent = units + 1
    for parts in itertools.chain((1,), (count << shift for shift in range(units.bit_length()) for count in (2, 3))):
        if -(-units // parts) < extent:
            extent = -(-units // parts)
            yield min(extent * step, size)


def _even_parts(size: int, most: int) -> list[int]:
    """The extents into which ``size`` is cut as evenly as possible, descending, none above ``most``."""
    result = []
    parts = -(-size // most)
    while True:
        extent = -(-size // parts)
        result.append(extent)
        if extent == 1:
            return result
        parts = -(-size // (extent - 1))


class _Tiler:
    """Sizes of buffers and costs for boxes of a given height, width and number of channels."""

    def __init__(self, lowering: Lowering, staged: tuple[bool, ...], config: NpuConfig) -> None:
        self.lowering = lowering
        self.image = lowering.image
        self.staged = staged
        self.word = config.word_bytes
        self.operands = (*lowering.stage.operands, lowering.stage.output)
        self.cost = BoxCost(lowering, staged, config)
        self._axes: dict[tuple[str, int], Axis] = {}
        self._sizes: dict[tuple[int, int, int, int], int] = {}

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

    def axis(self, name: str, step: int) -> Axis:
        """Cuts of an axis, and what they need of each operand."""
        if (name, step) in self._axes:
            return self._axes[name, step]
        image = self.image
        if name == "y":
            cuts = self.rows(step)
        else:
            cuts = _cuts(image.width if name == "x" else image.channels, step)
        needs = tuple(tuple(self.need(index, name, *cut) for cut in cuts) for index in range(len(self.operands)))
        self._axes[name, step] = Axis(tuple(cuts), needs)
        return self._axes[name, step]

    def need(self, index: int, name: str, start: int, stop: int) -> int:
        """Extent along an axis of what a range of it needs of an operand, or of the output."""
        image = self.image
        if index == len(self.operands) - 1:
            return stop - start
        x = (start, stop) if name == "x" else (0, image.width)
        c = (start, stop) if name == "c" else (0, image.channels)
        if name == "y":
            return max(self.lowering.needs(index, Box(start, stop, *x, *c)).height, 0)
        # Not every image of a batch need be the same to an operand.
        rows = ((y, y + image.height) for y in range(0, image.rows, image.height))
        needs = [self.lowering.needs(index, Box(*y, *x, *c)) for y in rows]
        return max(0, *(need.width if name == "x" else need.channels for need in needs))

    def size(self, index: int, height: int, width: int, channels: int) -> int:
        """Bytes of a staging buffer that holds so much of an operand, or of the output."""
        key = index, height, width, channels
        if key not in self._sizes:
            size = 1
            if height and width and channels:
                box = Box(0, height, 0, width, 0, channels)
                size = self.lowering.part_layout(self.operands[index], box).size(box)
            self._sizes[key] = -(-size // self.word) * self.word
        return self._sizes[key]

    def sizes(self, height: int, width: int, channels: int) -> tuple[int, ...]:
        """Bytes of a staging buffer for each operand and the output."""
        axes = self.axis("y", height), self.axis("x", width), self.axis("c", channels)
        return tuple(
            self.size(index, *(axis.largest[index] for axis in axes)) if staged else 0
            for index, staged in enumerate(self.staged)
        )

    def boxes(self, height: int, width: int, channels: int, order: Order) -> tuple[Box, ...]:
        ys, xs, cs = (self.axis(name, step).cuts for name, step in (("y", height), ("x", width), ("c", channels)))
        if order is Order.CHANNELS_INNER:
            return tuple(Box(*y, *x, *c) for y in ys for x in xs for c in cs)
        return tuple(Box(*y, *x, *c) for c in cs for y in ys for x in xs)


@dataclass(frozen=True)
class _Choice:
    height: int
    width: int
    channels: int
    inputs: int
    outputs: int
    order: Order


def plan_tiles(lowering: Lowering, staged: tuple[bool, ...], capacity: int, config: NpuConfig) -> TilePlan | None:
    """The cheapest cut whose staging buffers fit ``capacity`` bytes; None if even single positions do not.

    ``staged``: for each operand and, last, the output, whether it is not resident.
    """
    tiler = _Tiler(lowering, staged, config)
    best: tuple[float, _Choice] | None = None
    for choice in _choices(tiler, capacity):
        axes = tiler.axis("y", choice.height), tiler.axis("x", choice.width), tiler.axis("c", choice.channels)
        cost = tiler.cost(*axes, choice.inputs, choice.outputs, choice.order)
        if best is None or cost < best[0]:
            best = cost, choice
    if best is None:
        return None
    cost, choice = best
    shape = choice.height, choice.width, choice.channels
    copies = (*(choice.inputs,) * (len(staged) - 1), choice.outputs)
    return TilePlan(tiler.boxes(*shape, choice.order), tiler.sizes(*shape), copies, cost)


def _choices(tiler: _Tiler, capacity: int) -> Iterator[_Choice]:
    """What fits and may be the best, larger boxes first."""
    lowering, image, staged = tiler.lowering, tiler.image, tiler.staged
    rows = min(image.height if lowering.per_image else image.rows, _MOST_EXTENT)
    heights = _even_parts(image.height if lowering.per_image else image.rows, rows)
    widest = min(image.width, _MOST_EXTENT // lowering.width_step * lowering.width_step)
    found = False
    for channels in _parts(image.channels, lowering.channel_step):
        for width in _parts(widest, lowering.width_step):
            tallest = 0
            for inputs, outputs in ((1, 1), (2, 1), (1, 2), (2, 2)):
                if (inputs > 1 and not any(staged[:-1])) or (outputs > 1 and not staged[-1]):
                    continue
                fits = _tallest(tiler, heights, width, channels, inputs, outputs, capacity)
                if fits is None:
                    continue
                found = True
                tallest = max(tallest, heights[fits])
                for height in _lower(heights, fits):
                    single = (height, width, channels) == (heights[0], image.width, image.channels)
                    if single and inputs + outputs > 2:
                        continue  # A single box needs no second buffer.
                    yield _Choice(height, width, channels, inputs, outputs, Order.CHANNELS_OUTER)
                    if channels < image.channels and (height, width) != (heights[0], image.width):
                        yield _Choice(height, width, channels, inputs, outputs, Order.CHANNELS_INNER)
            if tallest >= _ENOUGH_ROWS:
                break
        if found and not any(staged):
            return


def _tallest(
    tiler: _Tiler, heights: list[int], width: int, channels: int, inputs: int, outputs: int, capacity: int
) -> int | None:
    """Number of the tallest of ``heights`` at which the buffers fit."""
    low, high = 0, len(heights)
    while low < high:
        middle = (low + high) // 2
        *operands, output = tiler.sizes(heights[middle], width, channels)
        if inputs * sum(operands) + outputs * output <= capacity:
            high = middle
        else:
            low = middle + 1
    return None if low == len(heights) else low


def _lower(heights: list[int], first: int) -> Iterator[int]:
    """The height number ``first`` and some below it."""
    height = heights[first]
    yield height
    for _ in range(_FEWER_ROWS):
        lower = [other for other in heights[first + 1 :] if other <= max(2 * height // 3, 1)]
        if not lower or lower[0] == height:
            return
        height = lower[0]
        yield height
