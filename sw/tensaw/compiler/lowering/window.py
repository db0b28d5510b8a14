"""The sliding window that convolutions and pools share: which input an output box needs, and where it begins."""

from __future__ import annotations

from dataclasses import dataclass

from tensaw.compiler.lowering.base import span_needed
from tensaw.compiler.regions import Box, Image, View

__all__ = ["Placed", "Window"]


@dataclass(frozen=True)
class Placed:
    """A window over a view: scratchpad base of its first row, rows and pixels that exist, and the position (row and
    pixel relative to the base, may be negative) at which the first output's kernel begins."""

    base: int
    height: int
    width: int
    y: int
    x: int


@dataclass(frozen=True)
class Window:
    """Kernel extents (rows, columns), strides, dilations, padding (top, left) over an input image."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    before: tuple[int, int]
    image: Image
    out_height: int
    """Output rows of one image."""

    @property
    def reach(self) -> tuple[int, int]:
        """Rows and columns from the first to behind the last tap."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilation, strict=True))  # type: ignore

    def needs(self, box: Box, c0: int, c1: int) -> Box:
        """Input box of an output box (inside one image), channels ``c0`` to ``c1 - 1``."""
        batch, y = divmod(box.y0, self.out_height)
        first = batch * self.image.height
        y0, y1 = span_needed(y, y + box.height, self.stride[0], self.reach[0], self.before[0], self.image.height)
        x0, x1 = span_needed(box.x0, box.x1, self.stride[1], self.reach[1], self.before[1], self.image.width)
        return Box(first + y0, first + y1, x0, x1, c0, c1)

    def place(self, box: Box, view: View, channel: int) -> Placed:
        """Where the window of an output box begins in ``view``; ``channel``: the first input channel taken.

        Rows of the view that belong to other images are left out. The base is row 0 of the image if the view holds it
        and the origin fits its register, so that a run over the whole image has the coordinates of its producer.
        """
        batch, y = divmod(box.y0, self.out_height)
        first = batch * self.image.height
        top, bottom = max(view.box.y0, first), min(view.box.y1, first + self.image.height)
        origin = first + y * self.stride[0] - self.before[0]
        if origin - top > 30000:
            top = origin
        return Placed(
            base=view.address(top, view.box.x0, channel), height=min(bottom - top, 65535), width=view.box.width,
            y=origin - top, x=box.x0 * self.stride[1] - self.before[1] - view.box.x0,
        )  # fmt: skip
