"""How many cycles a stage takes when it is cut into boxes: the array, the memory port, and what does not overlap."""

from __future__ import annotations

import enum
from collections import Counter
from dataclasses import dataclass, field

from tensaw.compiler.lowering.base import Lowering
from tensaw.compiler.regions import Box
from tensaw.spec.config import NpuConfig

__all__ = ["Axis", "BoxCost", "Order"]

_READ_LATENCY = 36
"""Cycles from asking the memory to its answer, about. Short rows wait for it: only so many are asked for ahead."""
_BOX_CYCLES = 30
"""What one more box costs: command words, and units that start."""

_TRAFFIC = 0.01
"""What a cycle of the memory port costs while the array works: other masters, and energy."""


class Order(enum.Enum):
    """Which of the loops over boxes is the outer one: output channels, or positions."""

    CHANNELS_OUTER = enum.auto()
    CHANNELS_INNER = enum.auto()


@dataclass(frozen=True)
class Axis:
    """``cuts``: (start, stop) along one axis of the output; ``needs``: extents along it of each operand and, last, the
    output, for each cut."""

    cuts: tuple[tuple[int, int], ...]
    needs: tuple[tuple[int, ...], ...]
    largest: tuple[int, ...] = field(init=False)
    total: tuple[int, ...] = field(init=False)
    extents: tuple[tuple[int, int], ...] = field(init=False)
    """Different extents of the output with how often they occur."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "largest", tuple(max(sizes) for sizes in self.needs))
        object.__setattr__(self, "total", tuple(sum(sizes) for sizes in self.needs))
        object.__setattr__(self, "extents", tuple(Counter(stop - start for start, stop in self.cuts).items()))

    def __len__(self) -> int:
        return len(self.cuts)


class BoxCost:
    """Costs of one stage.

    Parameters
    ----------
    lowering : Lowering
    staged : tuple of bool
        For each operand and, last, the output, whether it is not resident.
    config : NpuConfig
    """

    def __init__(self, lowering: Lowering, staged: tuple[bool, ...], config: NpuConfig) -> None:
        self._lowering, self._staged, self._config = lowering, staged, config
        self._operands = (*lowering.stage.operands, lowering.stage.output)
        self._shortest = _READ_LATENCY / config.outstanding_reads
        self._ring = config.kept_rows * config.weight_row_bytes
        self._cycles: dict[tuple[int, int, int], int] = {}
        self._fixed = [
            self._needs(index, lowering.channel_step) == self._needs(index, lowering.image.channels)
            for index in range(len(lowering.stage.operands))
        ]

    def _needs(self, index: int, channels: int) -> Box:
        """What the first so many output channels need of an operand."""
        image = self._lowering.image
        return self._lowering.needs(index, Box(0, min(image.height, image.rows), 0, image.width, 0, channels))

    def __call__(self, y: Axis, x: Axis, c: Axis, inputs: int, outputs: int, order: Order) -> float:
        """Estimated cycles for boxes along these axes, with ``inputs`` and ``outputs`` buffers of each operand.

        Units that overlap take as long as the slowest of them: the array (or the output stage) with the transfers for
        which there is no second buffer, reads, and writes. In front comes the first box's input, behind the last one's
        output.
        """
        bus = self._config.bus_bytes
        pieces = len(y) * len(x)
        boxes = pieces * len(c)
        array = self._array(y, x, c)
        loads, first = 0.0, 0.0
        for index, staged in enumerate(self._staged[:-1]):
            if staged:
                whole, single = self._transfer(index, y, x, c, self._shortest)
                # A buffer that holds what the next box needs is not loaded again.
                kept = order is Order.CHANNELS_INNER or pieces <= inputs
                loads += whole / len(c) if self._fixed[index] and kept else whole
                first += single
        stores, last = self._transfer(len(self._staged) - 1, y, x, c, 2.0) if self._staged[-1] else (0.0, 0.0)
        weights, stall = self._weights(pieces, len(c), array / max(boxes, 1), order)
        serial = array + stall
        if inputs == 1:
            serial += loads - first
        if outputs == 1:
            serial += stores - last
        reads = loads + weights / bus
        return first + max(serial, reads, stores) + last + boxes * _BOX_CYCLES + _TRAFFIC * (reads + stores)

    def _array(self, y: Axis, x: Axis, c: Axis) -> int:
        total = 0
        for height, many_y in y.extents:
            for width, many_x in x.extents:
                for channels, many_c in c.extents:
                    shape = height, width, channels
                    if shape not in self._cycles:
                        self._cycles[shape] = self._lowering.box_cycles(*shape)
                    total += self._cycles[shape] * many_y * many_x * many_c
        return total

    def _transfer(self, index: int, y: Axis, x: Axis, c: Axis, shortest: float) -> tuple[float, float]:
        """Cycles of all transfers of an operand, and of one of the largest; a row takes at least ``shortest``."""
        operand = self._operands[index]
        height, width, channels = y.largest[index], x.largest[index], c.largest[index]
        image, layout = operand.image, self._lowering.part_layout(operand, Box(0, height, 0, width, 0, channels))
        if channels < image.channels or layout.pixel_pitch != channels:
            rows, length = height * width, channels
        elif width < image.width or layout.pitch(width) != width * image.channels:
            rows, length = height, width * channels
        else:
            rows, length = 1, height * width * channels
        one = rows * max(length / self._config.bus_bytes, shortest)
        totals = y.total[index] * x.total[index] * c.total[index]
        return one * totals / max(height * width * channels, 1), one

    def _weights(self, pieces: int, ranges: int, box: float, order: Order) -> tuple[float, float]:
        """Bytes of weights that are streamed, and cycles in which the ring has no room for what comes next."""
        stream = self._lowering.stream_bytes
        if pieces == 1 or not stream:
            return stream, 0.0
        part = stream / ranges
        if part > self._ring or (order is Order.CHANNELS_INNER and ranges > 1):
            return stream * pieces, 0.0
        # The last box of a range makes room for the next range's weights as it goes.
        late = max(2 * part - self._ring, 0.0) / self._config.bus_bytes
        return stream, (ranges - 1) * max(late - box, 0.0)
