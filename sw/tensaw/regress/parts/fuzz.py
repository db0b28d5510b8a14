"""Damaged files: an ordinary error or a result each time, in time, within memory, nothing left half-written."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from tensaw.regress.jobs import Job, Part, Result
from tensaw.spec.errors import InputError
from tensaw.verify.fuzz.attempt import attempt
from tensaw.verify.fuzz.damage import DamagedFile

__all__ = ["PART"]

_NAME = "fuzz"
_TOGETHER = 1000
"""Files of a job."""
_TOLD = 20
"""Failures of a job that get a result of their own."""


def _jobs(amount: int, seed: int, options: Mapping[str, Any]) -> Iterator[Job]:
    """``amount`` files. Raises InputError."""
    if amount < 1:
        raise InputError(f"The number of damaged files must be 1 or more, not {amount}.")
    for first in range(0, amount, _TOGETHER):
        count = min(_TOGETHER, amount - first)
        yield Job(_NAME, f"{seed}-{first:06}", {"seed": seed, "first": first, "count": count})


def _run(job: Job) -> list[Result]:
    """A result for the files together, and one for each of those with which something is wrong."""
    values = job.arguments
    start = time.perf_counter()
    counts: Counter[str] = Counter()
    found: list[Result] = []
    longest = 0.0
    for index in range(values["first"], values["first"] + values["count"]):
        case = DamagedFile(values["seed"], index)
        done = attempt(case)
        counts[done.outcome] += 1
        longest = max(longest, done.seconds)
        if done.outcome == "bad" and len(found) < _TOLD:
            name = f"{job.name}/{index:06}"
            found.append(Result(_NAME, name, "fail", f"{case.kind}: {done.text}", case.command, round(done.seconds, 3)))
    facts = {
        "files": values["count"], "files_read": counts["read"], "files_refused": counts["refused"],
        "slowest_file": round(longest, 3),
    }  # fmt: skip
    text = f"{counts['bad']} of {values['count']} files are not read or refused as they should be."
    status = "fail" if counts["bad"] else "pass"
    seconds = round(time.perf_counter() - start, 3)
    return [*found, Result(_NAME, job.name, status, text if counts["bad"] else "", "", seconds, facts)]


PART = Part(_NAME, "damaged files for everything that reads one", _jobs, _run)
