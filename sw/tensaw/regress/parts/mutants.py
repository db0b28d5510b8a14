"""Mutants of the generated Verilog: does a random network or the bench of a block notice each of them?"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from tensaw.regress.jobs import Job, Part, Result
from tensaw.spec.errors import InputError
from tensaw.verify.mutants.hunt import Hunt
from tensaw.verify.mutants.make import find_yosys

__all__ = ["PART"]

_NAME = "mutants"
_TOGETHER = 10
"""Mutants of a job."""


def _jobs(amount: int, seed: int, options: Mapping[str, Any]) -> Iterator[Job]:
    """``amount`` mutants, a few in each job. Raises ToolError without Yosys."""
    if amount < 1:
        raise InputError(f"The number of mutants must be 1 or more, not {amount}.")
    find_yosys()
    for first in range(1, amount + 1, _TOGETHER):
        numbers = list(range(first, min(first + _TOGETHER, amount + 1)))
        yield Job(_NAME, f"{seed}-{first:05}", {"seed": seed, "count": amount, "numbers": numbers})


@lru_cache(1)
def _hunt(count: int, seed: int) -> Hunt:
    """What all jobs in a process share."""
    return Hunt(count, seed)


def _run(job: Job) -> list[Result]:
    """Hunt the mutants of a job: a mutant that nothing notices is a failure, unless it is known to change nothing."""
    values = job.arguments
    hunt = _hunt(values["count"], values["seed"])
    mutants = [hunt.mutants[number - 1] for number in values["numbers"] if number <= len(hunt.mutants)]
    noticed: dict[int, tuple[str, float]] = {}
    for mutant in mutants:
        start = time.perf_counter()
        noticed[mutant.number] = hunt.noticed_by(mutant), time.perf_counter() - start
    excuses = hunt.excuses([mutant for mutant in mutants if not noticed[mutant.number][0]])
    results = []
    for mutant in mutants:
        killer, seconds = noticed[mutant.number]
        excuse = excuses.get(mutant.number, "")
        command = f"--count {values['count']} --seed {values['seed']} --number {mutant.number}"
        results.append(
            Result(
                _NAME, f"{values['seed']}-{mutant.number:05}", "pass" if killer else "skip" if excuse else "fail",
                killer or f"{mutant}\n{excuse or 'Nothing notices it.'}",
                f"python -m tensaw.verify.mutants {command}", round(seconds, 3),
                {"killed": int(bool(killer)), "equivalent": int(bool(excuse)), "mutant": str(mutant)},
            )
        )  # fmt: skip
    return results


PART = Part(_NAME, "mutants of the generated Verilog", _jobs, _run)
