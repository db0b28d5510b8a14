"""Which elements of the array have a multiplier, which share one with a neighbour, and which multiply in logic."""

from __future__ import annotations

from typing import Any

from tensaw.rtl.shared import ExportPlatform
from tensaw.spec.config import NpuConfig

__all__ = ["LANE_MULTIPLIERS", "OTHER_MULTIPLIERS", "Allotment"]

LANE_MULTIPLIERS, OTHER_MULTIPLIERS = 4, 1
"""Multipliers of at most 18×18 bits that a requantise lane takes, and what is neither lane nor array."""


class Allotment:
    """Multipliers of a platform's device for the elements of an array.

    Where there are fewer than elements, neighbouring columns of a group share them in as many rows as it takes, if the
    technology's multipliers are wide enough; not in rows that see activations of single columns, and not in the last,
    in which sums are joined before they are added to. What still has none multiplies in logic: the last elements.

    Attributes
    ----------
    paired : range
        Rows in which neighbouring columns share multipliers: all but the last column of a group with an odd number.
    """

    def __init__(self, config: NpuConfig, platform: Any) -> None:
        self.paired = range(0)
        self._config = config
        technology = platform.technology if isinstance(platform, ExportPlatform) else None
        if technology is None or technology.multipliers is None:
            self._hard = config.rows * config.columns
            return
        available = max(technology.multipliers - config.requant_lanes * LANE_MULTIPLIERS - OTHER_MULTIPLIERS, 0)
        couples = config.columns // config.column_group * (config.column_group // 2)
        couples += config.columns % config.column_group // 2
        missing = config.rows * config.columns - available
        if technology.paired_products and couples and missing > 0:
            last = config.rows - 1
            count = min(last - config.groups * config.taps, -(-missing // couples), available // couples)
            self.paired = range(last - max(count, 0), last)
        self._hard = available - couples * len(self.paired)
        self._alone = config.columns - 2 * couples

    def has_multiplier(self, row: int, column: int) -> bool:
        """Whether an element that shares none has one."""
        columns, group, paired = self._config.columns, self._config.column_group, self.paired
        before = sum(self._alone if other in paired else columns for other in range(row)) if paired else row * columns
        # In a row of pairs elements stand alone at the ends of groups, of all or only of the last.
        place = column if row not in paired else column // group if group % 2 else 0
        return before + place < self._hard
