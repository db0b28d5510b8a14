"""Random networks on random configurations: RTL against the golden models, in every byte of memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from tensaw.regress.bench import Bench, Outcome
from tensaw.regress.cases import GROUP, Case
from tensaw.regress.jobs import Job, Part, Result
from tensaw.regress.shrink import shrink
from tensaw.spec.errors import InputError

__all__ = ["PART"]

_NAME = "random"


def _jobs(amount: int, seed: int, options: Mapping[str, Any]) -> Iterator[Job]:
    """A job for each group of cases with one configuration.

    Options: ``first`` index (0), ``configs`` (names to choose from), ``golden`` (no RTL), ``waves`` (folder for the
    waveforms of failures).
    """
    first = options.get("first", 0)
    configs = tuple(options.get("configs") or ())
    for name in configs:
        Case(seed, 0, (name,))  # refuses unknown names before the work
    if amount < 0 or first < 0:
        raise InputError(f"The number of random cases must be 0 or more, not {min(amount, first)}.")
    for group, members in groupby(range(first, first + amount), lambda index: index // GROUP):
        indices = list(members)
        shared = {key: options[key] for key in ("golden", "waves") if options.get(key)}
        name = f"{seed}-{group * GROUP:06}" if len(indices) > 1 else f"{seed}-{indices[0]:06}-alone"
        yield Job(_NAME, name, {"seed": seed, "indices": indices, "configs": list(configs), **shared})


def _run(job: Job) -> list[Result]:
    """Run the cases of a group on one simulator; failures are shrunk and their waves recorded."""
    values = job.arguments
    waves = Path(values["waves"]) if values.get("waves") else None
    results = []
    with Bench(rtl=not values.get("golden")) as bench:
        for index in values["indices"]:
            case = Case(values["seed"], index, tuple(values["configs"]) or Case.configs)
            outcome = bench.run(case)
            if outcome.failed:
                results.append(_failure(bench, outcome, waves))
            else:
                status = "skip" if outcome.kind == "refused" else "pass"
                results.append(_result(outcome, status, outcome.text))
    return results


def _result(outcome: Outcome, status: Any, text: str) -> Result:
    case = outcome.case
    operators = Counter(op.kind for op in case.graph.ops)
    facts = {
        "kind": outcome.kind, "config": case.config.to_dict(), "cycles": outcome.cycles, "operators": dict(operators),
        "description": str(case),
    }  # fmt: skip
    return Result(_NAME, f"{case.seed}-{case.index:06}", status, text, case.command, round(outcome.seconds, 3), facts)


def _failure(bench: Bench, outcome: Outcome, waves: Path | None) -> Result:
    smaller = shrink(bench, outcome)
    text = f"{outcome.case}\n{outcome.kind}: {outcome.text}"
    if smaller is not outcome:
        text += f"\nsmaller: {smaller.case}\n{smaller.kind}: {smaller.text}"
    if waves is not None and smaller.kind == "hardware":
        text += f"\n{bench.record(smaller, waves)}"
    return _result(outcome, "fail", text)


PART = Part(_NAME, "random networks on random configurations", _jobs, _run)
