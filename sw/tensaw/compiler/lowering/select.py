"""Which lowering a stage gets, and which layouts its tensors should have."""

from __future__ import annotations

from collections.abc import Mapping

from tensaw.compiler.ir import (
    Concat,
    Conv2d,
    DepthwiseConv2d,
    Elementwise,
    FullyConnected,
    Lookup,
    Mean,
    Pad,
    Pool2d,
    Softmax,
)
from tensaw.compiler.lowering.base import Lowering, passing_layout, spread_layout
from tensaw.compiler.lowering.conv import ConvLowering
from tensaw.compiler.lowering.copy import ConcatLowering, CopyLowering, PadLowering
from tensaw.compiler.lowering.depthwise import DepthwiseLowering, depthwise_layout
from tensaw.compiler.lowering.pool import MeanLowering, PoolLowering
from tensaw.compiler.lowering.softmax import SoftmaxLowering
from tensaw.compiler.regions import Layout
from tensaw.compiler.stages import Network, Operand, Stage
from tensaw.spec.config import NpuConfig

__all__ = ["choose_layouts", "lower"]

_LOWERINGS: dict[type, type[Lowering]] = {
    Conv2d: ConvLowering,
    FullyConnected: ConvLowering,
    Pool2d: PoolLowering,
    Mean: MeanLowering,
    Elementwise: CopyLowering,
    Lookup: CopyLowering,
    Pad: PadLowering,
    Concat: ConcatLowering,
    Softmax: SoftmaxLowering,
}


def lower(config: NpuConfig, stage: Stage, layouts: Mapping[str, Layout]) -> Lowering:
    """The lowering of a stage. Raises UnsupportedError if the machine cannot do it."""
    if not isinstance(stage.op, DepthwiseConv2d):
        return _LOWERINGS[type(stage.op)](config, stage, layouts)
    if DepthwiseLowering.suits(stage, config):
        own, general = DepthwiseLowering(config, stage, layouts), ConvLowering(config, stage, layouts)
        return own if own.cycles() <= general.cycles() else general
    return ConvLowering(config, stage, layouts)


def choose_layouts(config: NpuConfig, network: Network) -> dict[str, Layout]:
    """Layouts by storage, for those that are not dense: what their readers like best, above all depthwise ones."""
    layouts = {}
    for stage in sorted(network.stages, key=lambda stage: DepthwiseLowering.suits(stage, config)):
        for operand in stage.inputs:
            image = operand.image
            if network.storages[operand.storage].dense or image.rows * image.width == 1:
                continue
            if DepthwiseLowering.suits(stage, config):
                assert isinstance(stage.op, DepthwiseConv2d)
                dilation, stride, planes = stage.op.dilation, stage.op.stride[1], _made_for(network, stage, operand)
                layout = depthwise_layout(config, image, dilation, stride, planes)
                if layout.plane and layout.size(image.whole) + stage.output.image.size > config.scratchpad_bytes:
                    layout = depthwise_layout(config, image, dilation, stride)
                layouts[operand.storage] = layout
            elif (layout := spread_layout(config, image.channels, stage.op)).pixel_pitch != image.channels:
                layouts[operand.storage] = layout
            elif (passing := passing_layout(config, image, stage.op, stage.output.image)) is not None:
                layouts[operand.storage] = passing
    return layouts


def _made_for(network: Network, stage: Stage, operand: Operand) -> bool:
    """Whether an ordinary convolution makes the operand for this stage alone: both can treat its channels in parts."""
    makers = [other.op for other in network.stages if other.output.storage == operand.storage]
    readers = [other for other in network.stages for read in other.operands if read.storage == operand.storage]
    ordinary = len(makers) == 1 and isinstance(makers[0], Conv2d) and makers[0].groups == 1
    return ordinary and len(readers) == 1 and readers[0] is stage
