"""Faults of memory, programs, windows, software: does the NPU stop with the cause, and run the next program right?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

from tensaw.regress.jobs import Job, Part, Result
from tensaw.spec.errors import InputError
from tensaw.verify.faults.campaign import Faults, Outcome
from tensaw.verify.faults.cases import FAULT_CONFIGS, GROUP, FaultCase

__all__ = ["PART"]

_NAME = "faults"


def _jobs(amount: int, seed: int, options: Mapping[str, Any]) -> Iterator[Job]:
    """A job for each group of cases with one configuration. Raises InputError for a negative amount."""
    if amount < 0:
        raise InputError(f"The number of faults must be 0 or more, not {amount}.")
    for group, indices in groupby(range(amount), lambda index: index // GROUP):
        yield Job(_NAME, f"{seed}-{group * GROUP:06}", {"seed": seed, "indices": list(indices)})


def _run(job: Job) -> list[Result]:
    """Run the cases of a group on one simulator."""
    values = job.arguments
    with Faults() as faults:
        return [_result(faults.run(FaultCase(values["seed"], index, FAULT_CONFIGS))) for index in values["indices"]]


def _result(outcome: Outcome) -> Result:
    case = outcome.case
    facts = {
        case.kind: 1, f"ended {outcome.end}": 1, "config": case.config.to_dict(), "cycles": outcome.cycles,
        "description": outcome.text,
    }  # fmt: skip
    status = "fail" if outcome.failed else "pass"
    text = f"{case}\n{outcome.text}" if outcome.failed else ""
    return Result(_NAME, f"{case.seed}-{case.index:06}", status, text, case.command, round(outcome.seconds, 3), facts)


PART = Part(_NAME, "faults of memory, programs, windows and software", _jobs, _run)
