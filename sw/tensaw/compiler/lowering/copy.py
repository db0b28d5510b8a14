"""Operators that only move or combine values: elementwise, lookup, pad, concatenate. Each is a copy through the
accumulators, with the second operand or the table added by the output stage."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from tensaw.compiler.builder import Builder
from tensaw.compiler.ir import Concat, Pad
from tensaw.compiler.lowering.base import Lowering, broadcast_box
from tensaw.compiler.lowering.pool import MOST_TILES, channel_tile
from tensaw.compiler.regions import Box, Layout, View
from tensaw.compiler.runs import IDENTITY, ArrayRun, Drain
from tensaw.compiler.stages import Stage
from tensaw.compiler.weights import pack_tiles
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import Mode, TableKind

__all__ = ["ConcatLowering", "CopyLowering", "PadLowering"]


class CopyLowering(Lowering):
    """ADD, SUB, MUL, table functions: the first operand goes through the array unchanged, broadcast as needed."""

    unit = "output stage"

    def __init__(self, config: NpuConfig, stage: Stage, layouts: Mapping[str, Layout]) -> None:
        super().__init__(config, stage, layouts)
        self.channel_step = channel_tile(config, self.image.channels)

    def input_box(self, index: int, box: Box) -> Box:
        return broadcast_box(box, self.image, self.stage.inputs[index].image)

    def emit(self, builder: Builder, box: Box, views: Sequence[View], out: View) -> None:
        need = self.input_box(0, box)
        if need.channels == box.channels:
            copy_runs(self, builder, box, need, views, out)
        else:
            self._expand(builder, box, need, views, out)

    def _expand(self, builder: Builder, box: Box, need: Box, views: Sequence[View], out: View) -> None:
        """One input channel to all output channels: a product with ones."""
        config, view = self.config, views[0]
        tile = channel_tile(config, box.channels)
        run = ArrayRun(
            mode=Mode.CONV, base=view.address(need.y0, need.x0, need.c0), pitch=view.pitch,
            window=(need.height, (need.width - 1) * view.pixel_pitch + 1), origin=(0, 0),
            step=(int(need.height > 1), view.pixel_pitch if need.width > 1 else 0), size=(box.height, box.width),
            tiles=-(-box.channels // tile), weight_rows=1,
        )  # fmt: skip

        def ones() -> np.ndarray:
            weights = np.ones((run.tiles, 1, config.weight_row_bytes), np.int8)
            return pack_tiles(config, weights, None)

        drain = self.drain(builder, box, out, tile, IDENTITY, views)
        builder.pair(run, drain, builder.store.blob(("ones", run.tiles), ones))


class PadLowering(Lowering):
    """PAD: the input is copied with a window larger than itself; whole images or channels of padding are constant."""

    unit = "array, pool"

    def __init__(self, config: NpuConfig, stage: Stage, layouts: Mapping[str, Layout]) -> None:
        super().__init__(config, stage, layouts)
        op = stage.op
        assert isinstance(op, Pad)
        self._value = op.value
        padding = ((0, 0),) * (4 - len(op.padding)) + tuple(op.padding)
        if len(op.padding) == 2:  # A matrix is rows of one pixel.
            padding = ((0, 0), op.padding[0], (0, 0), op.padding[1])
        self._before = tuple(before for before, _ in padding)
        self.per_image = True

    def _source(self, box: Box) -> tuple[Box, int, int]:
        """Input box under the output ``box``, not cut to the image in x and y, and the first row and the number of rows
        of its image; the image does not exist if that number is 0."""
        image, own = self.stage.inputs[0].image, self.image
        batch, y = divmod(box.y0, own.height)
        batch -= self._before[0]
        exists = 0 <= batch < image.batch
        first = batch * image.height if exists else 0
        y0 = first + y - self._before[1]
        x0, c0 = box.x0 - self._before[2], box.c0 - self._before[3]
        return (
            Box(y0, y0 + box.height, x0, x0 + box.width, c0, c0 + box.channels), first, image.height * exists,
        )  # fmt: skip

    def input_box(self, index: int, box: Box) -> Box:
        source, first, rows = self._source(box)
        image = self.stage.inputs[0].image
        return source.intersect(Box(first, first + rows, 0, image.width, 0, image.channels))

    def emit(self, builder: Builder, box: Box, views: Sequence[View], out: View) -> None:
        channels = self.stage.inputs[0].image.channels
        middle = (max(box.c0, self._before[3]), min(box.c1, self._before[3] + channels))
        bounds = sorted({box.c0, box.c1, *(c for c in middle if box.c0 < c < box.c1)})
        for c0, c1 in zip(bounds, bounds[1:], strict=False):
            part = Box(box.y0, box.y1, box.x0, box.x1, c0, c1)
            source, first, rows = self._source(part)
            exists = rows > 0 and 0 <= source.c0 < channels and not views[0].box.empty
            if exists:
                copy_runs(self, builder, part, source, views, out, self._value, (first, first + rows))
            else:
                constant_runs(self, builder, part, views, out, self._value)


class ConcatLowering(Lowering):
    """CONCATENATION: each input is copied to its place, through its table where scales differ."""

    unit = "output stage"

    def __init__(self, config: NpuConfig, stage: Stage, layouts: Mapping[str, Layout]) -> None:
        super().__init__(config, stage, layouts)
        op = stage.op
        assert isinstance(op, Concat)
        self._tables = op.tables
        images = [operand.image for operand in stage.inputs]
        axes = ("channels", "width", "height", "batch")
        growing = [axis for axis in axes if getattr(images[0], axis) != getattr(self.image, axis)]
        self._axis = growing[0] if growing else "channels"
        self._starts = [0]
        for image in images:
            self._starts.append(self._starts[-1] + getattr(image, self._axis))
        self.per_image = True

    def _shift(self, index: int, box: Box) -> tuple[int, int, int] | None:
        """Input minus output coordinates (rows, x, c) for a box inside one image; None if the input lacks the image."""
        own, start = self.stage.inputs[index].image, self._starts[index]
        batch = box.y0 // self.image.height
        source = batch - start * (self._axis == "batch")
        if not 0 <= source < own.batch:
            return None
        rows = source * own.height - batch * self.image.height - start * (self._axis == "height")
        return rows, -start * (self._axis == "width"), -start * (self._axis == "channels")

    def input_box(self, index: int, box: Box) -> Box:
        shift = self._shift(index, box)
        if shift is None:
            return Box(0, 0, 0, 0, 0, 0)
        own = self.stage.inputs[index].image
        batch = box.y0 // self.image.height - self._starts[index] * (self._axis == "batch")
        image = Box(batch * own.height, (batch + 1) * own.height, 0, own.width, 0, own.channels)
        return box.moved(*shift).intersect(image)

    def emit(self, builder: Builder, box: Box, views: Sequence[View], out: View) -> None:
        identity = np.arange(-128, 128)
        for index, table in enumerate(self._tables):
            need, shift = self.input_box(index, box), self._shift(index, box)
            if need.empty or shift is None:
                continue
            passes = not np.array_equal(table, identity)
            if passes:
                content = np.roll(table.astype(np.int8), 128).view(np.uint8)
                builder.table(TableKind.LOOKUP, content, content.tobytes())
            part = need.moved(*(-step for step in shift))
            copy_runs(self, builder, part, need, [views[index]], out, table=passes)


def copy_runs(
    lowering: Lowering, builder: Builder, box: Box, source: Box, views: Sequence[View], out: View,
    pad_value: int = 0, rows: tuple[int, int] | None = None, table: bool = False,
) -> None:  # fmt: skip
    """Copy ``source`` of ``views[0]`` to ``box`` of ``out``; extents of 1 are broadcast.

    What lies outside the view, or outside ``rows``, reads as ``pad_value``.
    """
    view = views[0]
    top, bottom = view.box.y0, view.box.y1
    if rows is not None:
        top, bottom = max(top, rows[0]), min(bottom, rows[1])
    if source.y0 - top > 30000:
        top = source.y0
    tile = channel_tile(lowering.config, box.channels)
    most = MOST_TILES * tile
    for first in range(0, box.channels, most):
        count = min(most, box.channels - first)
        part = Box(box.y0, box.y1, box.x0, box.x1, box.c0 + first, box.c0 + first + count)
        tiles = -(-count // tile)
        drain = lowering.drain(builder, part, out, tile, IDENTITY, views)
        if table:
            drain = dataclasses.replace(drain, table=True)
        run = ArrayRun(
            mode=Mode.POOL, base=view.address(top, view.box.x0, source.c0 + first), pitch=view.pitch,
            window=(min(bottom - top, 65535), (view.box.width - 1) * view.pixel_pitch + tile),
            origin=(source.y0 - top, (source.x0 - view.box.x0) * view.pixel_pitch),
            step=(int(source.height > 1), view.pixel_pitch if source.width > 1 else 0), size=(part.height, part.width),
            tiles=tiles, input_step=tile if tiles > 1 else 0, pad_value=pad_value, end=view.end,
        )  # fmt: skip
        inside = view.box.x0 <= source.x0 and source.x1 <= view.box.x1
        if inside and count == box.channels:
            run, drain = _flatten(lowering, run, drain, part, source)
        builder.pair(run, drain, None)


def _flatten(lowering: Lowering, run: ArrayRun, drain: Drain, box: Box, source: Box) -> tuple[ArrayRun, Drain]:
    """The same copy with rows seen as bytes, where pixels follow each other without gaps: fewer, fuller vectors."""
    channels, width = box.channels, box.width
    second = drain.second
    pitches = {run.step[1], drain.pixel_pitch} | ({second.pixel_pitch} if second is not None else set())
    if pitches != {channels} or width == 1:
        return run, drain
    length = width * channels
    size = max(size for size in range(1, lowering.config.columns + 1) if length % size == 0)
    if length // size >= width * run.tiles or length // size > 65535:
        return run, drain
    window = run.window[0], (source.x1 - source.x0) * channels + run.origin[1]
    run = dataclasses.replace(
        run, window=window, step=(run.step[0], size), size=(run.size[0], length // size), tiles=1, input_step=0
    )
    if second is not None:
        second = dataclasses.replace(second, pixel_pitch=size, tile_step=size)
    return run, dataclasses.replace(drain, pixel_pitch=size, tile=size, last=size, second=second)


def constant_runs(lowering: Lowering, builder: Builder, box: Box, views: Sequence[View], out: View, value: int) -> None:
    """Fill ``box`` of ``out``: a copy from a window that has no rows."""
    tile = channel_tile(lowering.config, box.channels)
    for c0 in range(box.c0, box.c1, MOST_TILES * tile):
        part = Box(box.y0, box.y1, box.x0, box.x1, c0, min(c0 + MOST_TILES * tile, box.c1))
        run = ArrayRun(
            mode=Mode.POOL, base=0, pitch=0, window=(0, 0), origin=(0, 0), step=(0, 0),
            size=(part.height, part.width), tiles=-(-part.channels // tile), pad_value=value,
        )  # fmt: skip
        builder.pair(run, lowering.drain(builder, part, out, tile, IDENTITY, views), None)
