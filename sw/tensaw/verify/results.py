"""What a bench run found: its tests, and the coverage points that it has seen."""

from __future__ import annotations

import xml.etree.ElementTree
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

__all__ = ["BenchRun", "BenchTest", "Coverage", "merge", "missing", "read_tests"]

Coverage: TypeAlias = Mapping[str, Mapping[str, int]]
"""Point to bin to number of hits."""


@dataclass(frozen=True)
class BenchTest:
    """One cocotb test: ``text`` is empty if it passed, else the error with its traceback."""

    name: str
    text: str
    seconds: float
    cycles: int

    @property
    def passed(self) -> bool:
        return not self.text


@dataclass(frozen=True)
class BenchRun:
    """A bench on one configuration, in one simulator, with one seed.

    ``trouble``: why the simulator left no results, empty if it did. ``command`` repeats the run.
    """

    block: str
    config: str
    simulator: str
    seed: int
    command: str
    seconds: float
    tests: tuple[BenchTest, ...] = ()
    coverage: Coverage = field(default_factory=dict)
    trouble: str = ""

    @property
    def passed(self) -> bool:
        """Whether there were tests and all of them passed."""
        return not self.trouble and bool(self.tests) and all(test.passed for test in self.tests)

    @property
    def failure(self) -> str:
        """What went wrong first, empty if nothing did."""
        if self.trouble:
            return self.trouble
        return next((f"{test.name}: {test.text}" for test in self.tests if not test.passed), "")

    def to_json(self) -> dict[str, Any]:
        return {
            "block": self.block, "config": self.config, "simulator": self.simulator, "seed": self.seed,
            "command": self.command, "seconds": round(self.seconds, 2), "passed": self.passed, "trouble": self.trouble,
            "tests": [
                {"name": test.name, "passed": test.passed, "text": test.text, "seconds": round(test.seconds, 3),
                 "cycles": test.cycles}
                for test in self.tests
            ],
            "coverage": self.coverage,
        }  # fmt: skip


def read_tests(path: Path, clock_ns: float) -> tuple[BenchTest, ...]:
    """The tests in a JUnit file of cocotb's."""
    tests = []
    for case in xml.etree.ElementTree.parse(path).getroot().iter("testcase"):
        properties = {item.get("name"): item.get("value", "") for item in case.iter("property")}
        bad = [item for kind in ("failure", "error", "skipped") for item in case.iter(kind)]
        if any("RegressionTerminated" in str(item.get("type")) for item in bad):
            continue  # not begun: an earlier failure has ended the run
        text = "\n".join((item.text or item.get("message") or item.tag).strip() for item in bad)
        cycles = round(float(properties.get("sim_time_duration") or 0) / clock_ns)
        tests.append(BenchTest(str(case.get("name")), text, float(case.get("time", 0)), cycles))
    return tuple(tests)


def merge(runs: Iterable[Coverage]) -> dict[str, dict[str, int]]:
    """Hits of all runs together. Every run names all bins of the points that it knows, hit or not."""
    total: dict[str, dict[str, int]] = {}
    for coverage in runs:
        for point, bins in coverage.items():
            sums = total.setdefault(point, {})
            for name, hits in bins.items():
                sums[name] = sums.get(name, 0) + hits
    return total


def missing(coverage: Coverage) -> list[str]:
    """``point: bin`` for every bin without a hit."""
    return [f"{point}: {name}" for point, bins in coverage.items() for name, hits in bins.items() if not hits]
