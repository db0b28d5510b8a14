"""Comparing tensors of a run with what they should be, and naming the first difference: layer, tile, element."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tensaw.report.figures import short_name
from tensaw.spec.program import Program

__all__ = ["Difference", "compare", "tile_of"]

_RANGE = re.compile(r"(rows|columns|channels|elements)\s+(\d+)(?:\.\.(\d+))?")
_AXES = {"rows": -3, "columns": -2, "channels": -1, "elements": -1}


@dataclass(frozen=True)
class Difference:
    """``count`` of ``size`` elements differ; the first, in memory order, at ``element``: ``found`` for ``expected``.

    ``layer`` and ``op`` are empty if no layer writes the tensor; ``tile`` if the program's listing does not say.
    """

    tensor: str
    layer: str
    op: str
    tile: str
    element: tuple[int, ...]
    found: float
    expected: float
    count: int
    size: int

    def __str__(self) -> str:
        name = short_name(self.tensor)
        place = f"layer {short_name(self.layer)!r} ({self.op})" if self.layer else f"tensor {name!r}"
        tile = f", tile {self.tile}" if self.tile else ""
        return (
            f"{place}{tile}: element {list(self.element)} of {name!r} is {self.found:g}, not "
            f"{self.expected:g}; {self.count} of {self.size} elements differ."
        )


def tile_of(program: Program, layer: int, element: tuple[int, ...]) -> str:
    """The first tile of a layer whose ranges hold an element of its output, by the program's listing; else empty."""
    for tag in program.tags:
        if tag.layer == layer and tag.tile and _holds(tag.tile, element):
            return tag.tile
    return ""


def _holds(tile: str, element: tuple[int, ...]) -> bool:
    ranges = _RANGE.findall(tile)
    for what, first, last in ranges:
        axis = _AXES[what]
        if len(element) < -axis or not int(first) <= element[axis] <= int(last or first):
            return False
    return bool(ranges)


def _element(number: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(index) for index in np.unravel_index(number, shape)) if shape else ()


def compare(
    program: Program,
    tensor: str,
    found: npt.NDArray[Any],
    expected: npt.NDArray[Any],
    written: str | None = None,
    shape: tuple[int, ...] | None = None,
) -> Difference | None:
    """None if the two hold the same bytes in the same order; shapes may differ by reshaping.

    ``tensor`` is the name to show. ``written`` is that of the tensor by which the layer is found, and ``shape`` its
    shape, if they are others: the IR's name of an output, or what a reshape renames.
    Raises ValueError for different sizes or types.
    """
    if found.size != expected.size or found.dtype != expected.dtype:
        raise ValueError(f"{found.dtype} {found.shape} cannot be compared with {expected.dtype} {expected.shape}")
    wrong = np.flatnonzero(found.reshape(-1) != expected.reshape(-1))
    if not len(wrong):
        return None
    first = int(wrong[0])
    element = _element(first, found.shape)
    numbers = [number for number, layer in enumerate(program.layers) if layer.output == (written or tensor)]
    layer = program.layers[numbers[0]] if numbers else None
    return Difference(
        tensor,
        layer.name if layer else "",
        layer.kind if layer else "",
        tile_of(program, numbers[0], _element(first, shape or found.shape)) if numbers else "",
        element,
        found.reshape(-1)[first].item(),
        expected.reshape(-1)[first].item(),
        len(wrong),
        found.size,
    )
