"""DEPTHWISE_CONV_2D on the array: each column takes its own channel, the taps sit in the rows."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from tensaw.compiler.builder import Builder
from tensaw.compiler.ir import DepthwiseConv2d
from tensaw.compiler.lowering.base import MOST_STEPS, Lowering
from tensaw.compiler.lowering.conv import check_window
from tensaw.compiler.lowering.parameters import channel_parameters
from tensaw.compiler.lowering.window import Window
from tensaw.compiler.regions import Box, Image, Layout, View
from tensaw.compiler.runs import ArrayRun
from tensaw.compiler.stages import Stage
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import Mode

__all__ = ["DepthwiseLowering", "depthwise_layout", "depthwise_steps", "usable_channels"]

_MOST_TILES = 4095
_MOST_DECIMATION = 63


def usable_channels(config: NpuConfig, channels: int, pixel_pitch: int, base: int = 0) -> int:
    """Largest number of neighbouring channels, at most ``columns``, that never straddle a scratchpad word when channels
    are taken in groups of that size; ``base``: address of the first channel of a pixel, modulo the word."""
    word = config.word_bytes
    starts = {(base + pixel * pixel_pitch) % word for pixel in range(word)}
    for size in range(min(config.columns, channels), 1, -1):
        if all(
            (start + first) % word + min(size, channels - first) <= word
            for start in starts
            for first in range(0, channels, size)
        ):
            return size
    return 1


def depthwise_layout(
    config: NpuConfig, image: Image, dilation: tuple[int, int] = (1, 1), stride: int = 1, planes: bool = False
) -> Layout:
    """Layout of an input tensor in which the array's depthwise modes work best: pixels padded as little as the fewest
    channel groups allow, and rows an odd number of words apart, so that three kernel rows come from different banks.

    For an even ``stride`` in x pixels and rows are such that two pixels of each kernel row can be read together, unless
    that takes too much of the scratchpad; then, if ``planes`` may be, in planes of a word's channels."""
    word = config.word_bytes
    channels = image.channels
    if stride // math.gcd(stride, dilation[1]) % 2 == 0 and (pairs := _pairs_layout(config, image, dilation, planes)):
        return pairs
    if channels >= word:
        pitches = [channels, -(-channels // word) * word]
    else:
        pitches = list(range(channels, word + 1))
    best = min(pitches, key=lambda pitch: (-(-channels // usable_channels(config, channels, pitch)), pitch))
    return Layout(best, word, (2, 1) if dilation[0] % 4 and config.groups > 1 else (1, 0))


def _pairs_layout(config: NpuConfig, image: Image, dilation: tuple[int, int], planes: bool) -> Layout | None:
    """Layout for PAIRS mode, if it can be used."""
    word, channels = config.word_bytes, image.channels
    aligned = config.columns == word or channels <= config.columns
    if config.taps < 3 or not aligned or dilation[0] % 2 == 0 or dilation[1] % 2 == 0:
        return None
    least = -(-channels // word)
    far_apart = config.banks == 8 and least % 8 == 4
    words = least if least % 2 or far_apart else least + 1
    layout = Layout(words * word, word, (2, 1) if far_apart else (4, 2))
    if words > least and layout.size(image.whole) > config.scratchpad_bytes // 2:
        layout = Layout(word, word, (4, 2), word)
        return layout if planes and config.columns == word else None
    return layout


def depthwise_steps(config: NpuConfig, kernel: tuple[int, int], groups: int) -> int:
    """Kernel steps of one channel group."""
    return -(-kernel[0] // groups) * -(-kernel[1] // config.taps)


class DepthwiseLowering(Lowering):
    """One input channel in each column; up to three kernel rows and three taps of each in a step.

    The taps of a row are successive pixels of the stream, which comes two pixels at a time where every second sum would
    be dropped and the banks of the scratchpad allow it (PAIRS). With a dilation d in x the stream is every d-th pixel
    of the row: outputs whose taps lie on the same of these pixels become a run of their own, and the array skips the
    others.
    """

    unit = "array, depthwise"

    def __init__(self, config: NpuConfig, stage: Stage, layouts: Mapping[str, Layout]) -> None:
        super().__init__(config, stage, layouts)
        op = stage.op
        assert isinstance(op, DepthwiseConv2d) and op.multiplier == 1
        self._op = op
        kernel = (op.weights.shape[0], op.weights.shape[1])
        image = stage.inputs[0].image
        self.window = Window(kernel, op.stride, op.dilation, op.padding[:2], image, self.image.height)
        check_window(stage, self.window)
        sums = op.weights.astype(np.int64).sum(axis=(0, 1))
        self._parameters = channel_parameters(op.bias, op.input_zero_point, sums, op.requantise)

    @property
    def macs(self) -> int:
        return self.image.size * self.window.kernel[0] * self.window.kernel[1]

    def weight_bytes(self, channels: int) -> int:
        kernel = self.window.kernel
        return channels * (kernel[0] * kernel[1] + 9)

    def array_cycles(self, height: int, width: int, channels: int) -> int:
        return self.cycles() * height * width * channels // self.image.size

    @staticmethod
    def suits(stage: Stage, config: NpuConfig) -> bool:
        """Whether the mode can do the operator at all."""
        op = stage.op
        if not isinstance(op, DepthwiseConv2d) or op.multiplier != 1 or config.rows < config.taps:
            return False
        steps = depthwise_steps(config, (op.weights.shape[0], op.weights.shape[1]), 1)
        return op.stride[1] <= _MOST_DECIMATION and steps <= MOST_STEPS

    @property
    def phases(self) -> int:
        """Runs for the outputs of a row, in turn."""
        return self._op.dilation[1] // math.gcd(self._op.dilation[1], self._op.stride[1])

    @property
    def decimation(self) -> int:
        """Pixels of the stream from output to output of a run."""
        return self._op.stride[1] // math.gcd(self._op.dilation[1], self._op.stride[1])

    def cycles(self) -> int:
        """Estimate for the whole image, to compare with other ways."""
        layout = self.layout(self.stage.inputs[0])
        image, config = self.image, self.config
        groups = self._groups(layout.pitch(self.stage.inputs[0].image.width))
        tiles = -(-image.channels // usable_channels(config, image.channels, layout.pixel_pitch))
        at_once = 2 if self._pairs(layout.pixel_pitch, layout.pitch(self.stage.inputs[0].image.width), groups) else 1
        decimation = self.decimation // at_once
        surplus = max(2 if at_once == 2 else config.taps, decimation) - decimation
        row = image.width * decimation + min(self.phases, image.width) * (surplus - self._padded(at_once))
        return tiles * depthwise_steps(config, self.window.kernel, groups) * image.rows * row

    def _groups(self, pitch: int) -> int:
        """Kernel rows that can be taken together with this row pitch."""
        word, dilation = self.config.word_bytes, self._op.dilation[0]
        group_pitch = dilation * pitch
        apart = group_pitch % word == 0 and group_pitch // word % 4 != 0
        most = min(self.config.groups, self.window.kernel[0]) if apart else 1
        while most > 1 and dilation * most > MOST_STEPS:
            most -= 1
        return most

    def _pairs(self, pixel_pitch: int, pitch: int, groups: int) -> bool:
        """Whether two pixels can be read together in so many kernel rows."""
        config, (down, right) = self.config, self._op.dilation
        word = config.word_bytes
        if config.taps < 3 or self.decimation % 2 or pixel_pitch % word or pitch % word:
            return False
        pixel, row = right * pixel_pitch // word, down * pitch // word
        apart = pixel % 2 == 1 and (groups == 1 or row % 4 == 2)
        return apart or (config.banks == 8 and pixel % 8 == 4 and (groups == 1 or row % 2 == 1))

    def _padded(self, at_once: int) -> bool:
        """Whether rows of the whole image can be joined, see :meth:`_join`."""
        kernel, (_, left, _, right), step = self.window.kernel[1], self._op.padding, self._op.dilation[1]
        if at_once == 2 or self.config.taps < 3 or self.decimation > 2 or kernel > 3:
            return False
        return kernel < 3 or (left >= step and right >= step)

    def _join(self, run: ArrayRun, lanes: int) -> ArrayRun:
        """The run, its rows joined where the last tap of a row is padding, or has no weight, and so is the first one of
        the next row. ``lanes``: bytes of a pixel that matter."""
        if run.mode != Mode.DEPTHWISE or self.config.taps < 3 or run.decimation > 2 or run.kernel_x[0] > 1:
            return run
        last = run.origin[1] + ((run.size[1] - 1) * run.decimation + 2) * run.step[1]
        padded = last >= run.window[1] and run.origin[1] + lanes <= 0
        return dataclasses.replace(run, join=self.window.kernel[1] < 3 or padded)

    def input_box(self, index: int, box: Box) -> Box:
        return self.window.needs(box, box.c0, box.c1)

    def emit(self, builder: Builder, box: Box, views: Sequence[View], out: View) -> None:
        op, config, view = self._op, self.config, views[0]
        pitch = view.pixel_pitch
        first = view.address(view.box.y0, view.box.x0, box.c0)
        size = usable_channels(config, min(box.channels, view.plane or box.channels), pitch, first)
        if view.pitch % config.word_bytes:
            size = 1
        groups = self._groups(view.pitch)
        taps = config.taps
        whole_words = first % config.word_bytes == 0 and (size % config.word_bytes == 0 or box.channels <= size)
        pairs = whole_words and self._pairs(pitch, view.pitch, groups)
        at_once = 2 if pairs else 1
        most = _MOST_TILES * size
        ranges = [(c0, min(c0 + most, box.c1)) for c0 in range(box.c0, box.c1, most)]
        for c0, c1 in (part for whole in ranges for part in view.ranges(*whole)):
            part = Box(box.y0, box.y1, box.x0, box.x1, c0, c1)
            placed = self.window.place(part, view, c0)
            run = ArrayRun(
                mode=Mode.PAIRS if pairs else Mode.DEPTHWISE, base=placed.base, pitch=view.pitch,
                window=(placed.height, (placed.width - 1) * pitch + min(size, c1 - c0)),
                origin=(placed.y, placed.x * pitch), step=(op.stride[0], at_once * op.dilation[1] * pitch),
                decimation=self.decimation // at_once,
                size=(part.height, part.width),
                kernel_y=(-(-self.window.kernel[0] // groups), groups * op.dilation[0]),
                kernel_x=(-(-self.window.kernel[1] // taps), taps * op.dilation[1] * pitch),
                groups=groups, group_rows=op.dilation[0] if groups > 1 else 0,
                tiles=-(-(c1 - c0) // size), input_step=size if c1 - c0 > size else 0,
                pad_value=op.input_zero_point, weight_rows=config.taps * groups, end=view.end,
            )  # fmt: skip
            drain = self.drain(builder, part, out, size, self._parameters.requantise, views, bias=True)
            blob = builder.store.blob(
                (op.name, c0, c1, size, groups),
                lambda: self._pack(c0, c1, size, groups),  # noqa: B023
            )
            # The first pixels come last: a layer that follows takes rows from there on.
            for phase in reversed(range(min(self.phases, part.width))):
                builder.pair(
                    self._join(
                        dataclasses.replace(
                            run, origin=(run.origin[0], run.origin[1] + phase * op.stride[1] * pitch),
                            size=(part.height, -(-(part.width - phase) // self.phases)),
                        ),
                        min(size, c1 - c0),
                    ),
                    drain.every(self.phases, phase),
                    blob,
                )  # fmt: skip

    def _pack(self, c0: int, c1: int, size: int, groups: int) -> npt.NDArray[np.uint8]:
        """Rows of the tiles: row ``3g + j`` of a step holds tap (g, j) of every column's channel."""
        config, taps = self.config, self.config.taps
        height, width = self.window.kernel
        steps = -(-height // groups), -(-width // taps)
        tiles = -(-(c1 - c0) // size)
        padded = np.zeros((steps[0] * groups, steps[1] * taps, tiles * size), np.int8)
        padded[:height, :width, : c1 - c0] = self._op.weights[:, :, c0:c1]
        parts = padded.reshape(steps[0], groups, steps[1], taps, tiles, size).transpose(4, 0, 2, 1, 3, 5)
        rows = np.zeros((tiles, *steps, groups, taps, config.weight_row_bytes), np.int8)
        rows[..., :size] = parts
        return self._parameters.pack(config, rows.reshape(tiles, -1, config.weight_row_bytes), c0, c1, size)
