"""Functional coverage: named points with bins, on cocotb-coverage, whose hits are written for merging.

Points are declared at the top of a bench, by literal names, so that the test plan can be checked without running it.
Bins do not depend on the configuration: what one configuration cannot reach, another one must.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from itertools import product
from typing import Any

from cocotb_coverage.coverage import CoverPoint, coverage_db

__all__ = ["Cover", "write_coverage"]


class Cover:
    """The coverage points of one block.

    A point is a function to be called with the bin that has happened; None says that none has. Other values raise
    KeyError: a bin that nobody declared is a mistake in the bench.
    """

    def __init__(self, block: str) -> None:
        self._block = block

    def point(self, name: str, bins: Iterable[Any], at_least: int = 1) -> Callable[[Any], None]:
        """Declare ``block.name``; each bin is to be hit at least so many times."""
        known = list(bins)
        allowed = {*known, None}
        full_name = f"{self._block}.{name}"

        @CoverPoint(full_name, xf=lambda value: value, bins=known, at_least=at_least)
        def hit(value: Any) -> None:
            pass

        done: dict[Any, int] = {}

        def sample(value: Any) -> None:
            if value not in allowed:
                raise KeyError(f"{full_name} has no bin {value!r}")
            if value is not None and done.get(value, 0) < 1000:  # counting on would cost time and say nothing
                done[value] = done.get(value, 0) + 1
                hit(value)

        return sample

    def cross(
        self, name: str, *axes: Iterable[Any], without: Callable[..., bool] | None = None, at_least: int = 1
    ) -> Callable[[Any], None]:
        """A point whose bins are tuples, one value of each axis, but for those for which ``without(*bin)`` holds."""
        bins = [item for item in product(*axes) if without is None or not without(*item)]
        return self.point(name, bins, at_least)


def write_coverage(path: str) -> None:
    """JSON: point to bin to hits. Bins hit less often than wanted count as not hit."""
    points = {
        name: {_label(label): hits if hits >= item.at_least else 0 for label, hits in item.detailed_coverage.items()}
        for name, item in coverage_db.items()
        if isinstance(item, CoverPoint)
    }
    with open(path, "w") as file:
        json.dump(points, file)


def _label(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
