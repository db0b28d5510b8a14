"""Where the elements of an ONNX tensor (NCHW) lie in the IR's tensor (NHWC), through transposes and reshapes.

A :class:`Layout` splits the ONNX tensor's row-major order into factors and gives the order of these factors in the IR
tensor's memory: ``ir.ravel() == onnx.reshape(factors).transpose(order).ravel()``. A transpose or a reshape in the file
then moves no bytes: it changes the layout, and the next operator that needs a certain order compares.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Layout", "channels_last"]


def channels_last(rank: int) -> tuple[int, ...]:
    """The axes of an ``(N, C, ...)`` tensor in the order in which the IR stores it."""
    return (0, *range(2, rank), 1) if rank > 2 else tuple(range(rank))


@dataclass(frozen=True)
class Layout:
    """``factors``: sizes whose product is the element count; ``order``: their indices, outermost in memory first."""

    factors: tuple[int, ...]
    order: tuple[int, ...]

    @classmethod
    def of(cls, shape: Sequence[int], permutation: Sequence[int] | None = None) -> Layout:
        """A tensor of ``shape`` stored with its axes in the order ``permutation`` (default: as they are)."""
        return cls(tuple(shape), tuple(range(len(shape)) if permutation is None else permutation))

    @classmethod
    def image(cls, shape: Sequence[int]) -> Layout:
        """An ``(N, C, ...)`` tensor stored with its channels last."""
        return cls.of(shape, channels_last(len(shape)))

    def normal(self) -> Layout:
        """The same layout with the fewest factors: no ones, neighbours that stay neighbours merged."""
        kept = [i for i, size in enumerate(self.factors) if size != 1]
        rank = {factor: place for place, factor in enumerate(kept)}
        order = [rank[i] for i in self.order if i in rank]
        runs: list[list[int]] = []
        for factor in order:
            if runs and factor == runs[-1][-1] + 1:
                runs[-1].append(factor)
            else:
                runs.append([factor])
        by_start = sorted(runs)
        sizes = tuple(math.prod(self.factors[kept[i]] for i in run) for run in by_start)
        return Layout(sizes, tuple(by_start.index(run) for run in runs))

    def same_as(self, other: Layout) -> bool:
        """Whether both describe the same order of the same number of elements."""
        return self.normal() == other.normal()

    def split(self, shape: Sequence[int]) -> tuple[Layout, list[list[int]]] | None:
        """This layout with factors that refine ``shape``, and the factors of each axis of it.

        ``None`` where an axis boundary falls inside a factor that it does not divide.
        """
        factors: list[int] = []
        pieces: list[list[int]] = [[] for _ in self.factors]
        groups: list[list[int]] = []
        source, left = -1, 1
        for size in shape:
            group: list[int] = []
            while size > 1:
                while left == 1:
                    source += 1
                    left = self.factors[source]
                step = math.gcd(size, left)
                # The common part must be the outer part of both: what is left of one of them must be used up.
                if step not in (size, left):
                    return None
                group.append(len(factors))
                pieces[source].append(len(factors))
                factors.append(step)
                size //= step
                left //= step
            groups.append(group)
        return Layout(tuple(factors), tuple(i for source in self.order for i in pieces[source])), groups

    def transpose(self, shape: Sequence[int], permutation: Sequence[int]) -> Layout | None:
        """Layout of the transposed view of a tensor of ``shape``; ``None`` where :meth:`split` cannot."""
        found = self.split(shape)
        if found is None:
            return None
        layout, groups = found
        moved = [factor for axis in permutation for factor in groups[axis]]
        place = {factor: i for i, factor in enumerate(moved)}
        return Layout(tuple(layout.factors[i] for i in moved), tuple(place[i] for i in layout.order))

    def axes(self, shape: Sequence[int]) -> tuple[int, ...] | None:
        """The order in which whole axes of ``shape`` are stored; ``None`` where an axis is not stored in one piece."""
        found = self.split(shape)
        if found is None:
            return None
        layout, groups = found
        first = {group[0]: axis for axis, group in enumerate(groups) if group}
        order = [first[i] for i in layout.order if i in first]
        for axis in range(len(shape)):
            if not groups[axis]:
                order.insert(min(axis, len(order)), axis)
        # Where ones leave the choice open, take the image order, then the file's own.
        for candidate in (channels_last(len(shape)), tuple(range(len(shape))), tuple(order)):
            if self.same_as(Layout.of(shape, candidate)):
                return candidate
        return None

    def features(self, rows: int, features: int) -> npt.NDArray[np.intp] | None:
        """For a ``(rows, features)`` view: ONNX index of each stored feature; ``None`` if rows are not outermost."""
        found = self.split((rows, features))
        if found is None:
            return None
        layout, (row_factors, feature_factors) = found
        if list(layout.order[: len(row_factors)]) != row_factors:
            return None
        sizes = [layout.factors[i] for i in feature_factors]
        order = [i - len(row_factors) for i in layout.order[len(row_factors) :]]
        return np.arange(features).reshape(sizes).transpose(order).ravel()
