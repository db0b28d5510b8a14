"""What must come, in which order, against what came."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

import numpy as np

__all__ = ["Scoreboard", "same"]


def same(a: Any, b: Any) -> bool:
    """Equality that looks into dicts, sequences and NumPy arrays."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[name], b[name]) for name in a)
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return np.array_equal(np.asarray(a), np.asarray(b))
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


class Scoreboard:
    """A queue of expected items; ``check`` compares the next one and raises AssertionError where they differ."""

    def __init__(self, name: str, expected: Iterable[Any] = ()) -> None:
        self.name = name
        self.count = 0
        """Items that came."""
        self._expected = deque(expected)

    def expect(self, *items: Any) -> None:
        self._expected.extend(items)

    @property
    def left(self) -> int:
        """Items that have not come yet."""
        return len(self._expected)

    def check(self, item: Any) -> None:
        if not self._expected:
            raise AssertionError(f"{self.name}: item {self.count} was not expected: {item}")
        wanted = self._expected.popleft()
        if not same(wanted, item):
            raise AssertionError(f"{self.name}: item {self.count} is {_short(item)} instead of {_short(wanted)}")
        self.count += 1

    def finish(self) -> None:
        """All that was expected must have come."""
        if self._expected:
            raise AssertionError(f"{self.name}: {self.left} items never came; the first is {_short(self._expected[0])}")


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) < 400 else f"{text[:400]}..."
