"""No slipping back: cycles of the reference networks against docs/cycles.json, by the cycle model and on the RTL."""

from __future__ import annotations

from pathlib import Path

import pytest

from tensaw.bench.estimating import estimate_run
from tensaw.bench.track import TRACKED, Tracked, count, judge, read_counts

MEANT = "If that is meant, run `python -m tensaw.bench.track --update`."


@pytest.fixture(scope="module")
def kept(root: Path) -> dict[str, int]:
    return read_counts(root / "docs" / "cycles.json")


def test_all_are_kept_and_nothing_else(kept: dict[str, int]) -> None:
    assert list(kept) == [tracked.key for tracked in TRACKED]


@pytest.mark.parametrize("tracked", TRACKED, ids=lambda tracked: tracked.key)
def test_by_the_cycle_model(tracked: Tracked, kept: dict[str, int], models: Path) -> None:
    now = count(tracked, models / "mlperf_tiny", lambda program: estimate_run(program).cycles)
    assert judge(tracked.key, kept, now) == "", MEANT


@pytest.mark.parametrize("tracked", TRACKED, ids=lambda tracked: tracked.key)
def test_on_the_hardware(tracked: Tracked, kept: dict[str, int], models: Path) -> None:
    assert judge(tracked.key, kept, count(tracked, models / "mlperf_tiny")) == "", MEANT
