"""Who pauses when: patterns of idle cycles and back-pressure, one choice for each handshake of a test."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

__all__ = ["Pace", "STYLES", "make_pace"]

Pace: TypeAlias = Callable[[], bool]
"""Asked once a cycle: go on in this cycle?"""

STYLES = ("never", "rarely", "often", "mostly", "bursts")
"""How much a handshake pauses."""


def make_pace(rng: np.random.Generator, style: str) -> Pace:
    """A pattern of the style: random single cycles with a probability, or stretches of going and of pausing."""
    if style == "never":
        return lambda: True
    if style != "bursts":
        probability = {"rarely": 0.1, "often": 0.5, "mostly": 0.85}[style]
        pool = _Pool(rng)
        return lambda: pool.next() >= probability
    left, going = 0, True

    def stretches() -> bool:
        nonlocal left, going
        if left == 0:
            going = not going
            left = int(rng.geometric(0.1 if going else 0.15))
        left -= 1
        return going

    return stretches


class _Pool:
    """Random numbers in [0, 1), drawn many at a time: one at a time costs more than a clock cycle of the bench."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng, self._values = rng, []

    def next(self) -> float:
        if not self._values:
            self._values = self._rng.random(512).tolist()
        return self._values.pop()
