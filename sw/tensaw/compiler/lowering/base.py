"""What every lowering offers to the planner, and what they share."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np

from tensaw.compiler.builder import Builder
from tensaw.compiler.ir import Conv2d, Op, Requantise
from tensaw.compiler.regions import Box, Image, Layout, View
from tensaw.compiler.runs import Drain, SecondOperand
from tensaw.compiler.stages import Operand, Stage
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import Operation, TableKind

__all__ = ["Lowering", "broadcast_box", "passing_layout", "span_needed", "spread_layout"]

MOST_STEPS = 255
"""Kernel steps in one direction, and rows between them."""
COMBINED_CYCLES = 4
"""Cycles of the output stage for a beat with a second operand."""


def span_needed(start: int, stop: int, stride: int, reach: int, before: int, size: int) -> tuple[int, int]:
    """Input positions that outputs ``start`` to ``stop - 1`` need along one axis, cut to 0..size.

    ``reach``: extent of the kernel, dilation included; ``before``: padding in front.
    """
    first = start * stride - before
    last = (stop - 1) * stride - before + reach
    return min(max(first, 0), size), max(min(last, size), 0)


def broadcast_box(box: Box, image: Image, operand: Image) -> Box:
    """The part of a broadcast ``operand`` that output ``box`` of ``image`` meets."""
    if (operand.batch, operand.height) == (image.batch, image.height):
        y0, y1 = box.y0, box.y1
    else:
        batch = box.y0 // image.height if operand.batch > 1 else 0
        row = box.y0 % image.height
        y0 = batch * operand.height + (row if operand.height > 1 else 0)
        y1 = y0 + (box.height if operand.height > 1 else 1)
    x0, x1 = (box.x0, box.x1) if operand.width > 1 else (0, 1)
    c0, c1 = (box.c0, box.c1) if operand.channels > 1 else (0, 1)
    return Box(y0, y1, x0, x1, c0, c1)


def spread_layout(config: NpuConfig, channels: int, op: Op | None = None) -> Layout:
    """Layout of pixels of which the array reads the same bytes one after the other: never all from the same bank, which
    nobody else could read for the length of a kernel step. But dense, if taken tap by tap the kernel of the reader
    ``op`` needs more chunks than as runs of bytes."""
    taps = op.weights.shape[2] if isinstance(op, Conv2d) and op.dilation[1] == op.groups == 1 else 1
    apart, joined = taps * -(-channels // config.rows), -(-taps * channels // config.rows)
    spread = channels % (4 * config.word_bytes) == 0 and apart == joined
    return Layout(channels + config.word_bytes if spread else channels)


def passing_layout(config: NpuConfig, image: Image, op: Op, output: Image) -> Layout | None:
    """Layout of an input that the array reads more slowly than STORE reads results, where these do not fit beside it.

    STORE cannot pass the array, which reads first, in any bank: in dense rows it stays behind for whole kernel steps.
    Rows that begin five of eight banks further let it go on for a while at each row's end. None: dense rows do, or the
    padding would be too much.
    """
    if not isinstance(op, Conv2d) or op.groups > 1 or op.stride[1] * image.channels >= config.bus_bytes:
        return None
    if image.size + output.size <= config.scratchpad_bytes or image.height == 1:
        return None
    line, word = image.width * image.channels, config.word_bytes
    layout = Layout(image.channels, word, (config.banks, (line // word + config.banks - 3) % config.banks))
    small = layout.size(image.whole) <= config.scratchpad_bytes // 8
    return layout if small or 2 * layout.pitch(image.width) <= 3 * line else None


class Lowering(ABC):
    """One stage's way onto the machine.

    ``per_image``: output boxes may not span images of a batch. ``width_step``, ``channel_step``: boxes begin and end at
    multiples of these (or at the tensor's end).
    """

    per_image: bool = False
    width_step: int = 1
    channel_step: int = 1
    unit: str = "array"
    """Where the operator runs, for reports."""
    prepares: bool = False

    def __init__(self, config: NpuConfig, stage: Stage, layouts: Mapping[str, Layout]) -> None:
        self.config = config
        self.stage = stage
        self.layouts = layouts
        self.image = stage.output.image
        self.channel_step = min(config.columns, self.image.channels)
        self.per_image = self.image.batch > 1

    def weight_bytes(self, channels: int) -> int:
        """Bytes of the weight stream for so many output channels, for estimates."""
        return 0

    @property
    def stream_bytes(self) -> int:
        """Bytes of the weight stream for the whole output, for estimates."""
        return self.weight_bytes(self.image.channels)

    def array_cycles(self, height: int, width: int, channels: int) -> int:
        """Estimate of the array's cycles for a box of the output."""
        return height * width * -(-channels // self.config.columns)

    def box_cycles(self, height: int, width: int, channels: int) -> int:
        """Estimate of the cycles for a box of the output if nothing has to be waited for."""
        tiles = -(-channels // self.config.columns)
        beats = -(-min(channels, self.config.columns) // self.config.requant_lanes)
        output = height * width * tiles * beats * (1 if self.stage.second is None else COMBINED_CYCLES)
        return max(self.array_cycles(height, width, channels), output)

    @property
    def macs(self) -> int:
        """Multiply-accumulates as TFLite counts them (padding included); 0 for what is no matrix product."""
        return 0

    def layout(self, operand: Operand) -> Layout:
        """Layout of an operand that has its whole tensor, or all channels of a part of it, in the scratchpad."""
        return self.layouts.get(operand.storage) or Layout(operand.image.channels)

    def part_layout(self, operand: Operand, box: Box) -> Layout:
        """Layout of a buffer that holds ``box`` of an operand or of the output.

        What the array does not read is dense where that is possible: it then moves in long bursts.
        """
        whole = self.layout(operand)
        if whole.plane:  # rows of a plane would cross the bus slowly, and parts have room for pixels of an odd number
            words = -(-operand.image.channels // whole.plane) // 2 * 2 + 1
            whole = Layout(words * whole.plane, whole.row_align, whole.rows)
        if whole.row_align > 1:
            return (
                whole
                if box.channels == operand.image.channels
                else dataclasses.replace(whole, pixel_pitch=box.channels)
            )
        return spread_layout(self.config, box.channels, self.stage.op)

    def needs(self, index: int, box: Box) -> Box:
        """The part of operand ``index`` that output ``box`` needs; may be empty."""
        if index < len(self.stage.inputs):
            return self.input_box(index, box)
        return broadcast_box(box, self.image, self.stage.operands[index].image)

    @abstractmethod
    def input_box(self, index: int, box: Box) -> Box:
        """The part of main input ``index`` that output ``box`` needs; may be empty."""

    def prepare(self, builder: Builder, most: int = 4) -> None:  # noqa: B027  (most have nothing to prepare)
        """Add up to ``most`` of the actions that are better done early, where :attr:`prepares` is set."""

    @abstractmethod
    def emit(self, builder: Builder, box: Box, views: Sequence[View], out: View) -> None:
        """Add the actions that compute ``box``; ``views`` hold at least what :meth:`needs` says."""

    # Shared parts ---------------------------------------------------------------------------------------------------

    def load_table(self, builder: Builder) -> bool:
        """Have the output stage hold the stage's table; whether it has one."""
        table = self.stage.table
        if table is None:
            return False
        # Entry v & 255 of the machine's table is for value v, the IR's begins with the one for -128.
        content = np.roll(table.astype(np.int8), 128).view(np.uint8)
        builder.table(TableKind.LOOKUP, content, content.tobytes())
        return True

    def drain(
        self, builder: Builder, box: Box, out: View, tile: int, requantise: Requantise, views: Sequence[View],
        bias: bool = False, pixels: int = 1,
    ) -> Drain:  # fmt: skip
        """The OUTPUT registers for ``box`` in tiles of ``tile`` channels, ``pixels`` neighbouring pixels at a time."""
        channels = box.channels
        return Drain(
            base=out.address(box.y0, box.x0, box.c0), pitch=out.pitch, pixel_pitch=out.pixel_pitch * pixels,
            tile=min(tile, channels) * pixels, last=((channels - 1) % tile + 1) * pixels,
            requantise=requantise, bias=bias, second=self._second(box, views, tile * pixels, pixels),
            table=self.load_table(builder),
        )  # fmt: skip

    def _second(self, box: Box, views: Sequence[View], tile: int, pixels: int) -> SecondOperand | None:
        second = self.stage.second
        if second is None:
            return None
        op, image = second.op, second.operand.image
        need = broadcast_box(box, self.image, image)
        view = views[len(self.stage.inputs)]
        own, other = second.first, 1 - second.first
        return SecondOperand(
            base=view.address(need.y0, need.x0, need.c0),
            pitch=view.pitch if need.height > 1 else 0,
            pixel_pitch=view.pixel_pitch * pixels if need.width > 1 else 0,
            tile_step=min(tile, box.channels * pixels),
            operation=Operation(int(op.operation)),
            zero_points=(op.zero_points[own], op.zero_points[other]),
            scales=((op.multipliers[own], op.shifts[own]), (op.multipliers[other], op.shifts[other])),
            reverse=own == 1,
            requantise=op.requantise,
        )
