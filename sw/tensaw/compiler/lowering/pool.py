"""Pools, means and everything that only copies: the POOL mode passes input bytes to the accumulators unchanged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from tensaw.compiler.builder import Builder
from tensaw.compiler.ir import Mean, Pool2d, PoolKind, Requantise, Rounding
from tensaw.compiler.lowering.base import MOST_STEPS, Lowering
from tensaw.compiler.lowering.window import Window
from tensaw.compiler.regions import Box, Layout, View
from tensaw.compiler.runs import IDENTITY, ArrayRun
from tensaw.compiler.stages import Stage
from tensaw.compiler.weights import pack_tiles, spread
from tensaw.spec.config import NpuConfig
from tensaw.spec.errors import UnsupportedError
from tensaw.spec.isa import Mode

__all__ = ["MeanLowering", "PoolLowering", "channel_tile", "division"]

MOST_TILES = 4095


def channel_tile(config: NpuConfig, channels: int) -> int:
    """Channels in a tile: as many as fit the columns, fewer if all tiles then are equal."""
    tiles = -(-channels // config.columns)
    return channels // tiles if channels % tiles == 0 else config.columns


def division(count: int, low: int = -128, high: int = 127) -> Requantise:
    """Requantisation that divides by ``count`` (1 to 2**16), ties away from zero.

    With M = ceil(2**t / count) the product sum · M / 2**t exceeds sum / count by less than |sum| / 2**t. Sums of at
    most count int8 values are less than 2**7 · count in magnitude, and quotients that are no tie lie at least
    1 / (2 count) away from one, so that no result changes while 2**8 · count² < 2**t; here 2**t is at least
    2**29 · count.
    """
    exponent = 30 + (count - 1).bit_length()
    multiplier = -(-(1 << exponent) // count)
    if multiplier >= 1 << 31:
        exponent -= 1
        multiplier = -(-(1 << exponent) // count)
    return Requantise(np.array([multiplier]), np.array([31 - exponent]), 0, low, high, Rounding.AWAY)


def check_kernel(stage: Stage, kernel: tuple[int, int]) -> None:
    """Refuse windows with more rows or columns than the kernel loops count."""
    for what, value in (("rows", kernel[0]), ("columns", kernel[1])):
        if value > MOST_STEPS:
            raise UnsupportedError(
                f"{stage.op.kind} {stage.op.name!r} has a window of {value} {what}; at most {MOST_STEPS} are "
                "supported. Pool in two stages."
            )


class PoolLowering(Lowering):
    """MAX_POOL_2D and AVERAGE_POOL_2D. Averages run once for each count of positions inside the image."""

    unit = "array, pool"

    def __init__(self, config: NpuConfig, stage: Stage, layouts: Mapping[str, Layout]) -> None:
        super().__init__(config, stage, layouts)
        op = stage.op
        assert isinstance(op, Pool2d)
        self._op = op
        self.window = Window(op.kernel, op.stride, (1, 1), op.padding[:2], stage.inputs[0].image, self.image.height)
        check_kernel(stage, op.kernel)
        self.channel_step = channel_tile(config, self.image.channels)

    def array_cycles(self, height: int, width: int, channels: int) -> int:
        return self.window.kernel[0] * self.window.kernel[1] * super().array_cycles(height, width, channels)

    def input_box(self, index: int, box: Box) -> Box:
        return self.window.needs(box, box.c0, box.c1)

    def emit(self, builder: Builder, box: Box, views: Sequence[View], out: View) -> None:
        op = self._op
        if op.operation == PoolKind.MAX:
            quant = Requantise(IDENTITY.multiplier, IDENTITY.shift, 0, op.low, op.high, Rounding.SINGLE)
            pool_runs(self, builder, box, views, out, quant, pad_value=-128, maximum=True)
            return
        first = box.y0 // self.image.height * self.image.height
        image = self.stage.inputs[0].image
        for y0, y1, rows in self._equal_counts(box.y0 - first, box.y1 - first, 0, image.height):
            for x0, x1, columns in self._equal_counts(box.x0, box.x1, 1, image.width):
                part = Box(first + y0, first + y1, x0, x1, box.c0, box.c1)
                pool_runs(self, builder, part, views, out, division(rows * columns, op.low, op.high))

    def _equal_counts(self, start: int, stop: int, axis: int, size: int) -> Iterator[tuple[int, int, int]]:
        """Parts of an output range whose windows have equally many positions inside: (start, stop, count)."""
        kernel, stride, before = self._op.kernel[axis], self._op.stride[axis], self._op.padding[axis]

        def inside(position: int) -> int:
            begin = position * stride - before
            return min(begin + kernel, size) - max(begin, 0)

        first = start
        for position in range(start + 1, stop + 1):
            if position == stop or inside(position) != inside(first):
                yield first, position, inside(first)
                first = position


class MeanLowering(Lowering):
    """MEAN over height and width: one window as large as the image."""

    unit = "array, pool"

    def __init__(self, config: NpuConfig, stage: Stage, layouts: Mapping[str, Layout]) -> None:
        super().__init__(config, stage, layouts)
        op = stage.op
        assert isinstance(op, Mean)
        self._op = op
        image = stage.inputs[0].image
        kernel = (image.height, image.width)
        self.window = Window(kernel, (1, 1), (1, 1), (0, 0), image, 1)
        check_kernel(stage, kernel)
        self.channel_step = channel_tile(config, self.image.channels)

    def array_cycles(self, height: int, width: int, channels: int) -> int:
        return self.window.kernel[0] * self.window.kernel[1] * super().array_cycles(height, width, channels)

    def input_box(self, index: int, box: Box) -> Box:
        return self.window.needs(box, box.c0, box.c1)

    def emit(self, builder: Builder, box: Box, views: Sequence[View], out: View) -> None:
        pool_runs(self, builder, box, views, out, self._op.requantise, bias=self._op.bias)


def pool_runs(
    lowering: PoolLowering | MeanLowering, builder: Builder, box: Box, views: Sequence[View], out: View,
    requantise: Requantise, pad_value: int = 0, maximum: bool = False, bias: int | None = None,
) -> None:  # fmt: skip
    """Runs of a sliding window over ``views[0]``, channels in tiles."""
    config, window = lowering.config, lowering.window
    tile = channel_tile(config, box.channels)
    for c0 in range(box.c0, box.c1, MOST_TILES * tile):
        c1 = min(c0 + MOST_TILES * tile, box.c1)
        part = Box(box.y0, box.y1, box.x0, box.x1, c0, c1)
        placed = window.place(part, views[0], c0)
        pitch = views[0].pixel_pitch
        tiles = -(-(c1 - c0) // tile)
        run = ArrayRun(
            mode=Mode.POOL, base=placed.base, pitch=views[0].pitch,
            window=(placed.height, (placed.width - 1) * pitch + tile), origin=(placed.y, placed.x * pitch),
            step=(window.stride[0], window.stride[1] * pitch), size=(part.height, part.width),
            kernel_y=(window.kernel[0], 1), kernel_x=(window.kernel[1], pitch),
            tiles=tiles, input_step=tile if tiles > 1 else 0, pad_value=pad_value, maximum=maximum,
            end=views[0].end,
        )  # fmt: skip
        blob = None
        if bias is not None:
            values = np.full(c1 - c0, bias, np.int32)
            blob = builder.store.blob(
                ("bias", bias, c1 - c0, tile),
                lambda: pack_tiles(config, None, spread(config, values, tile)),  # noqa: B023
            )
        drain = lowering.drain(builder, part, out, tile, requantise, views, bias=bias is not None)
        builder.pair(run, drain, blob)
