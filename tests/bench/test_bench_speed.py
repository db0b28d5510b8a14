"""The tools are as quick as they should be, in processor time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tensaw.bench import speed as speed_module
from tensaw.bench.speed import Speed, main, measure


def test_nothing_is_slow(models: Path) -> None:
    found = measure(models / "mlperf_tiny")
    assert len(found) == 11
    assert not [speed for speed in found if speed.unit == "s" and not speed.fine]
    # Two processors that share a core are half as quick each: here only what no such sharing explains.
    (simulation,) = (speed for speed in found if speed.unit == "cycles/s")
    assert simulation.value > simulation.limit / 3 and simulation.limit == 150_000


def test_what_is_slow_is_said(
    models: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = [Speed("a", 2.0, "s", 1.0), Speed("b", 2e5, "cycles/s", 1e5), Speed("c", 1.0, "cycles/s", 1e5)]
    monkeypatch.setattr(speed_module, "measure", lambda folder: figures)
    assert main(["--models", str(models / "mlperf_tiny")]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "a: 2.00 s, at most 1.00  MISSED",
        "b: 200,000 cycles/s, at least 100,000",
        "c: 1 cycles/s, at least 100,000  MISSED",
    ]


def test_missing_networks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--models", str(tmp_path)]) == 2
    assert "Give the folder of the MLPerf Tiny networks with --models" in capsys.readouterr().err
