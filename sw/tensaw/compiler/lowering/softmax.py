"""SOFTMAX: rows through the output stage's own unit, with a table of exponentials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tensaw.compiler.builder import Builder
from tensaw.compiler.ir import Softmax
from tensaw.compiler.lowering.base import Lowering
from tensaw.compiler.regions import Box, Layout, View
from tensaw.compiler.stages import Stage
from tensaw.model.softmax import exponent_table
from tensaw.spec.config import NpuConfig
from tensaw.spec.errors import UnsupportedError
from tensaw.spec.isa import TableKind
from tensaw.spec.limits import LONGEST_SOFTMAX

__all__ = ["SoftmaxLowering"]


class SoftmaxLowering(Lowering):
    """Whole rows at a time; a row's elements follow each other."""

    unit = "output stage, softmax"
    prepares = True

    def __init__(self, config: NpuConfig, stage: Stage, layouts: Mapping[str, Layout]) -> None:
        super().__init__(config, stage, layouts)
        op = stage.op
        assert isinstance(op, Softmax)
        self._op = op
        self.channel_step = self.image.channels
        if self.image.channels > LONGEST_SOFTMAX:
            raise UnsupportedError(
                f"{op.kind} {op.name!r} has rows of {self.image.channels} elements; at most {LONGEST_SOFTMAX} are "
                "supported (the sum of exponentials has 32 bits). Compute it on the host instead."
            )

    def input_box(self, index: int, box: Box) -> Box:
        return box

    def prepare(self, builder: Builder, most: int = 4) -> None:
        table = exponent_table(self._op).astype("<i4").view(np.uint8)
        key = (self._op.multiplier, self._op.shift, self._op.diff_min)
        builder.table(TableKind.EXPONENT, table, key, most)

    def emit(self, builder: Builder, box: Box, views: Sequence[View], out: View) -> None:
        self.prepare(builder)
        source = View(box, views[0].address(box.y0, box.x0, box.c0), views[0].pitch, views[0].pixel_pitch)
        target = View(box, out.address(box.y0, box.x0, box.c0), out.pitch, out.pixel_pitch)
        if box.width == 1:
            builder.softmax(source, target)
            return
        # One row of the image has several softmax rows, a pixel apart.
        for y in range(box.y0, box.y1):
            rows = Box(0, box.width, 0, 1, box.c0, box.c1)
            builder.softmax(
                View(rows, source.address(y, box.x0, box.c0), source.pixel_pitch, 0),
                View(rows, target.address(y, box.x0, box.c0), target.pixel_pitch, 0),
            )
