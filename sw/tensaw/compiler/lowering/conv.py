"""CONV_2D, FULLY_CONNECTED and, where the array's own mode does not serve them, DEPTHWISE_CONV_2D."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from tensaw.compiler.builder import Builder
from tensaw.compiler.ir import Conv2d, DepthwiseConv2d, FullyConnected
from tensaw.compiler.lowering.base import MOST_STEPS, Lowering
from tensaw.compiler.lowering.packing import Kernel, Packing, choose_packing, pack_weights
from tensaw.compiler.lowering.parameters import channel_parameters
from tensaw.compiler.lowering.window import Window
from tensaw.compiler.regions import Box, Layout, View
from tensaw.compiler.runs import ArrayRun, block_shape, position_cycles
from tensaw.compiler.stages import Stage
from tensaw.spec.config import NpuConfig
from tensaw.spec.errors import UnsupportedError
from tensaw.spec.isa import Mode

__all__ = ["ConvLowering", "check_window"]

_MOST_TILES = 4095


def check_window(stage: Stage, window: Window) -> None:
    """Refuse kernels that the address generators cannot step through."""
    for what, value, most in (
        ("kernel rows", window.kernel[0], MOST_STEPS),
        ("rows between kernel rows (dilation)", window.dilation[0], MOST_STEPS),
        ("rows between outputs (stride)", window.stride[0], MOST_STEPS),
    ):
        if value > most:
            raise UnsupportedError(
                f"{stage.op.kind} {stage.op.name!r} has {value} {what}; the array's address generator offers at most "
                f"{most}. Split the operator or downsample its input before it."
            )


def _grouped(op: Conv2d | DepthwiseConv2d | FullyConnected) -> npt.NDArray[np.int8]:
    """Weights as (groups, outputs, height, width, inputs)."""
    if isinstance(op, FullyConnected):
        return op.weights[None, :, None, None, :]
    if isinstance(op, DepthwiseConv2d):
        height, width, channels = op.weights.shape
        shape = (height, width, channels // op.multiplier, op.multiplier, 1)
        return op.weights.reshape(shape).transpose(2, 3, 0, 1, 4)
    outputs, height, width, inputs = op.weights.shape
    return op.weights.reshape(op.groups, outputs // op.groups, height, width, inputs)


class ConvLowering(Lowering):
    """Products with a weight matrix: vectors of input bytes down the rows, output channels along the columns."""

    def __init__(self, config: NpuConfig, stage: Stage, layouts: Mapping[str, Layout]) -> None:
        super().__init__(config, stage, layouts)
        op = stage.op
        assert isinstance(op, Conv2d | DepthwiseConv2d | FullyConnected)
        self._weights = _grouped(op)
        groups, outputs, height, width, inputs = self._weights.shape
        if isinstance(op, FullyConnected):
            stride, dilation, before = (1, 1), (1, 1), (0, 0)
        else:
            stride, dilation, before = op.stride, op.dilation, op.padding[:2]
        self.window = Window((height, width), stride, dilation, before, stage.inputs[0].image, self.image.height)
        check_window(stage, self.window)
        self._kernel = Kernel(groups, outputs, inputs, height, width, stride[1], dilation[1])
        self._zero_point = op.input_zero_point
        sums = self._weights.astype(np.int64).sum(axis=(2, 3, 4)).reshape(-1)
        self._parameters = channel_parameters(op.bias, op.input_zero_point, sums, op.requantise)
        packing = self._packing(self.layout(stage.inputs[0]).pixel_pitch, self.layout(stage.output).pixel_pitch)
        self._whole_packing = packing
        self.width_step = packing.pixels
        if groups > 1:
            self.channel_step = packing.tile if outputs <= config.columns else outputs
        else:
            self.channel_step = packing.tile

    @property
    def macs(self) -> int:
        kernel, image = self._kernel, self.image
        return image.size * kernel.height * kernel.width * kernel.inputs

    def weight_bytes(self, channels: int) -> int:
        packing, side = self._whole_packing, 4 if self._parameters.requantise.multiplier.size == 1 else 9
        steps = self._kernel.height * packing.x_steps * packing.chunks
        return self._tiles(channels) * (side + steps * packing.rows) * self.config.weight_row_bytes

    def _tiles(self, channels: int) -> int:
        """Tiles of so many output channels."""
        if self._kernel.groups == 1 or self._kernel.outputs <= self.config.columns:
            return -(-channels // self._whole_packing.tile)
        return -(-channels // self._kernel.outputs) * -(-self._kernel.outputs // self.config.columns)

    def array_cycles(self, height: int, width: int, channels: int) -> int:
        packing = self._whole_packing
        steps = self._kernel.height * packing.x_steps * packing.chunks
        width = -(-width // packing.pixels)
        block = block_shape(height, width, self.config.acc_half)
        return self._tiles(channels) * steps * position_cycles((height, width), block, packing.rows + 1)

    def cycles(self) -> int:
        """Estimate for the whole image, to compare with other ways."""
        stage, kernel = self.stage, self._kernel
        packing = self._packing(self.layout(stage.inputs[0]).pixel_pitch, self.layout(stage.output).pixel_pitch)
        groups_each = -(-kernel.outputs // self.config.columns)
        tiles = -(-kernel.groups * kernel.outputs // packing.tile) if groups_each == 1 else kernel.groups * groups_each
        positions = max(self.image.rows * self.image.width // packing.pixels, packing.rows)
        return tiles * kernel.height * packing.x_steps * packing.chunks * positions

    def _packing(self, pitch: int, out_pitch: int) -> Packing:
        stage, image, kernel = self.stage, self.image, self._kernel
        most = 1
        second_fits = stage.second is None or (
            stage.second.operand.image == image and self.layout(stage.second.operand).pixel_pitch == out_pitch
        )
        if kernel.groups == 1 and out_pitch == image.channels and second_fits:
            most = max(1, self.config.columns // kernel.outputs)
        side = 4 if self._parameters.requantise.multiplier.size == 1 else 9
        return choose_packing(self.config, kernel, pitch, image.height, image.width, most, side)

    def input_box(self, index: int, box: Box) -> Box:
        kernel = self._kernel
        if kernel.groups == 1:
            return self.window.needs(box, 0, kernel.inputs)
        first, last = box.c0 // kernel.outputs, -(-box.c1 // kernel.outputs)
        return self.window.needs(box, first * kernel.inputs, last * kernel.inputs)

    def emit(self, builder: Builder, box: Box, views: Sequence[View], out: View) -> None:
        kernel = self._kernel
        packing = self._packing(views[0].pixel_pitch, out.pixel_pitch)
        if packing.pixels > self.width_step:
            raise AssertionError("a box is not a whole number of runs wide")
        for c0, c1 in (part for whole in self._ranges(box, packing) for part in out.ranges(*whole)):
            part = Box(box.y0, box.y1, box.x0, box.x1, c0, c1)
            group = c0 // kernel.outputs
            lanes = kernel.inputs
            if kernel.groups > 1:
                lanes *= min(packing.groups, max(1, (c1 - c0) // kernel.outputs))
            placed = self.window.place(part, views[0], group * kernel.inputs if kernel.groups > 1 else 0)
            pitch, pixels = views[0].pixel_pitch, packing.pixels
            tiles = -(-(c1 - c0) // packing.tile)
            shared = kernel.groups > 1 and kernel.outputs <= self.config.columns
            run = ArrayRun(
                mode=Mode.CONV, base=placed.base, pitch=views[0].pitch,
                window=(placed.height, (placed.width - 1) * pitch + lanes),
                origin=(placed.y, placed.x * pitch),
                step=(self.window.stride[0], kernel.stride * pitch * pixels),
                size=(part.height, part.width // pixels),
                kernel_y=(kernel.height, self.window.dilation[0]),
                kernel_x=(packing.x_steps, kernel.dilation * pitch if packing.x_steps > 1 else 0),
                chunks=packing.chunks, tiles=tiles,
                input_step=packing.groups * kernel.inputs if shared and tiles > 1 else 0,
                pad_value=self._zero_point, weight_rows=packing.rows, end=views[0].end,
            )  # fmt: skip
            drain = self.drain(
                builder, part, out, packing.tile, self._parameters.requantise, views, bias=True, pixels=pixels
            )
            blob = builder.store.blob(
                (self.stage.op.name, c0, c1, packing, pitch),
                lambda: self._pack(c0, c1, packing, pitch),  # noqa: B023
            )
            builder.pair(run, drain, blob)

    def _ranges(self, box: Box, packing: Packing) -> list[tuple[int, int]]:
        """Output channels of each run: whole tiles of groups first, then what is left; with large groups one by one."""
        kernel = self._kernel
        most = _MOST_TILES * packing.tile
        bounds = [box.c0]
        if kernel.groups == 1:
            bounds += range(box.c0 + most, box.c1, most)
        elif kernel.outputs > self.config.columns:
            bounds += range(box.c0 + kernel.outputs, box.c1, kernel.outputs)
        else:
            whole = box.channels // packing.tile * packing.tile
            bounds += [*range(box.c0 + most, box.c0 + whole, most), *([box.c0 + whole] if whole else [])]
        bounds = [bound for bound in bounds if bound < box.c1]
        return list(zip(bounds, [*bounds[1:], box.c1], strict=True))

    def _pack(self, c0: int, c1: int, packing: Packing, pitch: int) -> npt.NDArray[np.uint8]:
        kernel = self._kernel
        if kernel.groups == 1:
            weights = self._weights[:, c0:c1]
        elif kernel.outputs > self.config.columns:
            weights = self._weights[c0 // kernel.outputs : c0 // kernel.outputs + 1]
        else:
            weights = self._weights[c0 // kernel.outputs : c1 // kernel.outputs]
        rows = pack_weights(self.config, kernel, packing, weights, pitch)
        return self._parameters.pack(self.config, rows, c0, c1, packing.tile, packing.pixels)
