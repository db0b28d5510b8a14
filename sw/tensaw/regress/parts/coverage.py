"""Line and toggle coverage of the whole: how much of the Verilog random networks and faults have run."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from tensaw.regress.cases import Case
from tensaw.regress.jobs import Job, Part, Result
from tensaw.spec.errors import InputError
from tensaw.verify.blocks import bench_config
from tensaw.verify.faults.cases import FaultCase
from tensaw.verify.line_coverage import Covered, measure

__all__ = ["LEAST", "PART"]

LEAST = 0.95
"""Share of the lines that must have run."""
_NAME = "coverage"
_CONFIGS = ("nano", "r5c7b16")
"""A preset; and odd sizes with the wide bus."""


def _jobs(amount: int, seed: int, options: Mapping[str, Any]) -> Iterator[Job]:
    """``amount`` random networks and as many faults on each of the configurations. Raises InputError."""
    if amount < 1:
        raise InputError(f"The number of runs for coverage must be 1 or more, not {amount}.")
    for config in _CONFIGS:
        yield Job(_NAME, f"{config}-{seed}", {"config": config, "seed": seed, "count": amount})


def _run(job: Job) -> list[Result]:
    values = job.arguments
    name, seed, indices = values["config"], values["seed"], range(values["count"])
    start = time.perf_counter()
    cases = [Case(seed, index, (name,)) for index in indices]
    covered = measure(bench_config(name), cases, [FaultCase(seed, index, (name,)) for index in indices])
    return [_result(job.name, covered, round(time.perf_counter() - start, 3), values)]


def _result(name: str, covered: Covered, seconds: float, values: Mapping[str, Any]) -> Result:
    share = covered.lines_hit / covered.lines
    text = f"{share:.1%} of the lines ran, {LEAST:.0%} should; those that did not:\n" + "\n".join(covered.missing)
    found = {
        "lines": covered.lines, "lines_hit": covered.lines_hit, "branches": covered.branches,
        "branches_hit": covered.branches_hit, "toggles": covered.toggles, "toggles_hit": covered.toggles_hit,
        "excluded": covered.excluded,
    }  # fmt: skip
    lists = {"missing": list(covered.missing), "quiet": list(covered.quiet)}
    enough = share >= LEAST
    command = f"tensaw regress --coverage {values['count']} --seed {values['seed']}"
    facts = {**found, "measured": {"config": values["config"], **found, **lists}}
    return Result(_NAME, name, "pass" if enough else "fail", "" if enough else text, command, seconds, facts)


PART = Part(_NAME, "line and toggle coverage of the whole", _jobs, _run)
