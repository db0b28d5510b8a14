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
    ``rows`` (modulus, rest): and which one, so that neighbouring rows lie in different banks. ``plane``: that many
    channels after the other form images of their own, one behind the other; 0: all channels of a pixel lie together.
    """

    pixel_pitch: int
    row_align: int = 1
    rows: tuple[int, int] = (1, 0)
    plane: int = 0

    def pitch(self, width: int) -> int:
        """Bytes from row to row of a box of ``width`` pixels."""
        units = -(-width * self.pixel_pitch // self.row_align)
        modulus, rest = self.rows
        return (units + (rest - units) % modulus) * self.row_align

    def size(self, box: Box) -> int:
        """Bytes from the first to behind the last byte of a box."""
        return self.view(box, 0).end

    def view(self, box: Box, base: int) -> View:
        pitch = self.pitch(box.width)
        return View(box, base, pitch, self.pixel_pitch, self.plane, box.height * pitch if self.plane else 0)


@dataclass(frozen=True)
class View:
    """``box`` of a tensor in the scratchpad; ``base`` is the address of its first byte, ``plane_pitch`` the distance of
    planes of ``plane`` channels."""

    box: Box
    base: int
    pitch: int
    pixel_pitch: int
    plane: int = 0
    plane_pitch: int = 0

    def address(self, y: int, x: int, c: int = 0) -> int:
        """Byte address of channel ``c`` of pixel (y, x), in the tensor's coordinates."""
        box = self.box
        plane, channel = divmod(c - box.c0, self.plane) if self.plane else (0, c - box.c0)
        place = (y - box.y0) * self.pitch + (x - box.x0) * self.pixel_pitch
        return self.base + plane * self.plane_pitch + place + channel

    def ranges(self, c0: int, c1: int) -> list[tuple[int, int]]:
        """Channels ``c0`` to ``c1 - 1`` plane by plane."""
        first = self.box.c0
        bounds = [c0, *(range(first, c1, self.plane) if self.plane else ()), c1]
        bounds = [bound for bound in bounds if c0 < bound < c1]
        return list(zip([c0, *bounds], [*bounds, c1], strict=True))

    @property
    def end(self) -> int:
        """Address behind the last byte."""
        return self.address(self.box.y1 - 1, self.box.x1 - 1, self.box.c1 - 1) + 1
