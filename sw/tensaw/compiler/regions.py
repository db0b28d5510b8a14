"""Boxes of tensors and where they lie in the scratchpad.

Every tensor is seen as an image of (rows, width, channels): the rows of all images of a batch one below the other, a
matrix (M, K) as M rows of one pixel with K channels. Lower ranks are filled with ones in front, higher ones merged into
the batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Box", "Image", "Layout", "View", "image_of"]


@dataclass(frozen=True)
class Image:
    """Shape of a tensor as ``batch`` images of ``height`` × ``width`` pixels of ``channels`` bytes."""

    batch: int
    height: int
    width: int
    channels: int

    @property
    def rows(self) -> int:
        """Rows of all images together."""
        return self.batch * self.height

    @property
    def size(self) -> int:
        return self.rows * self.width * self.channels

    @property
    def whole(self) -> Box:
        return Box(0, self.rows, 0, self.width, 0, self.channels)


def image_of(shape: tuple[int, ...], rank: int | None = None) -> Image:
    """The natural image of a tensor's shape.

    A matrix (M, K) is M rows of one pixel, so that its rows can be tiled and followed as those of an image; but where
    it meets tensors of a higher ``rank`` under broadcasting it is one row of M pixels, as NumPy aligns it.
    """
    if len(shape) == 2 and (rank is None or rank <= 2):
        return Image(1, shape[0], 1, shape[1])
    filled = (1,) * (4 - len(shape)) + tuple(shape)
    return Image(math.prod(filled[:-3]), *filled[-3:])


@dataclass(frozen=True)
class Box:
    """Rows y0..y1-1, columns x0..x1-1, channels c0..c1-1 of an :class:`Image`."""

    y0: int
    y1: int
    x0: int
    x1: int
    c0: int
    c1: int

    @property
    def height(self) -> int:
        return self.y1 - self.y0

    @property
    def width(self) -> int:
        return self.x1 - self.x0

    @property
    def channels(self) -> int:
        return self.c1 - self.c0

    @property
    def empty(self) -> bool:
        return self.height <= 0 or self.width <= 0 or self.channels <= 0

    def intersect(self, other: Box) -> Box:
        return Box(
            max(self.y0, other.y0), min(self.y1, other.y1),
            max(self.x0, other.x0), min(self.x1, other.x1),
            max(self.c0, other.c0), min(self.c1, other.c1),
        )  # fmt: skip

    def moved(self, rows: int, x: int, c: int) -> Box:
        return Box(self.y0 + rows, self.y1 + rows, self.x0 + x, self.x1 + x, self.c0 + c, self.c1 + c)

    def __str__(self) -> str:
        return f"rows {self.y0}..{self.y1 - 1}, columns {self.x0}..{self.x1 - 1}, channels {self.c0}..{self.c1 - 1}"


@dataclass(frozen=True)
class Layout:
    """How a box of a tensor is laid out in the scratchpad.

    ``pixel_pitch`` bytes from pixel to pixel, at least the channels. ``row_align``: the row pitch is a multiple of it;
    ``rows`` (modulus, rest): and which one, so that neighbouring rows lie in different banks.
    """

    pixel_pitch: int
    row_align: int = 1
    rows: tuple[int, int] = (1, 0)

    def pitch(self, width: int) -> int:
        """Bytes from row to row of a box of ``width`` pixels."""
        units = -(-width * self.pixel_pitch // self.row_align)
        modulus, rest = self.rows
        return (units + (rest - units) % modulus) * self.row_align

    def size(self, box: Box) -> int:
        """Bytes from the first to behind the last byte of a box."""
        return (box.height - 1) * self.pitch(box.width) + (box.width - 1) * self.pixel_pitch + box.channels

    def view(self, box: Box, base: int) -> View:
        return View(box, base, self.pitch(box.width), self.pixel_pitch)


@dataclass(frozen=True)
class View:
    """``box`` of a tensor in the scratchpad; ``base`` is the address of its first byte."""

    box: Box
    base: int
    pitch: int
    pixel_pitch: int

    def address(self, y: int, x: int, c: int = 0) -> int:
        """Byte address of channel ``c`` of pixel (y, x), in the tensor's coordinates."""
        box = self.box
        return self.base + (y - box.y0) * self.pitch + (x - box.x0) * self.pixel_pitch + (c - box.c0)

    @property
    def end(self) -> int:
        """Address behind the last byte."""
        return self.address(self.box.y1 - 1, self.box.x1 - 1, self.box.c1)
