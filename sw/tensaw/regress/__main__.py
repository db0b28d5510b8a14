"""``python -m tensaw.regress``: run random cases, and say how to repeat those that fail."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from tensaw.regress.bench import Bench, Outcome
from tensaw.regress.cases import ANY, Case
from tensaw.regress.configs import CONFIGS
from tensaw.regress.shrink import shrink
from tensaw.spec.errors import TensawError

__all__ = ["main"]

_REPORT_EVERY = 10.0


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tensaw.regress", description=__doc__)
    parser.add_argument("--cases", type=int, default=100, metavar="N", help="how many cases (100)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the sequence of cases (0)")
    parser.add_argument("--index", type=int, metavar="I", help="run this case of the sequence alone")
    parser.add_argument("--first", type=int, default=0, metavar="I", help="begin with this case of the sequence (0)")
    parser.add_argument(
        "--configs", metavar="NAME,...", default=",".join(CONFIGS),
        help=f"configurations to choose from: {', '.join(CONFIGS)}; or {ANY} for any legal one",
    )  # fmt: skip
    parser.add_argument("--golden", action="store_true", help="golden models only, no RTL")
    parser.add_argument("--minutes", type=float, metavar="M", help="end after so many minutes")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write all outcomes to this file")
    return parser.parse_args(argv)


def _print_failure(bench: Bench, outcome: Outcome) -> None:
    suffix = "" if bench.rtl else " --golden"
    print(f"FAILED ({outcome.kind}): {outcome.case.command}{suffix}")
    print(f"  {outcome.case}\n  {outcome.text}")
    smaller = shrink(bench, outcome)
    if smaller is not outcome:
        print(f"  smaller: {smaller.case}\n  {smaller.text}")
    sys.stdout.flush()


def _run(bench: Bench, cases: Iterable[Case], minutes: float | None) -> list[Outcome]:
    outcomes: list[Outcome] = []
    start = told = time.monotonic()
    for case in cases:
        outcome = bench.run(case)
        outcomes.append(outcome)
        if outcome.failed:
            _print_failure(bench, outcome)
        now = time.monotonic()
        if now - told > _REPORT_EVERY:
            told = now
            print(f"{_summary(outcomes)}, {now - start:.0f} s", file=sys.stderr, flush=True)
        if minutes is not None and now - start > 60 * minutes:
            break
    return outcomes


def _summary(outcomes: Sequence[Outcome]) -> str:
    counts = Counter(outcome.kind for outcome in outcomes)
    cycles = sum(outcome.cycles for outcome in outcomes)
    kinds = ", ".join(f"{count} {kind}" for kind, count in counts.most_common())
    return f"{len(outcomes)} cases ({kinds}), {cycles:,} cycles simulated"


def _to_json(outcome: Outcome) -> dict[str, object]:
    case = outcome.case
    return {
        "seed": case.seed, "index": case.index, "command": case.command, "description": str(case),
        "kind": outcome.kind, "text": outcome.text, "cycles": outcome.cycles, "seconds": round(outcome.seconds, 3),
    }  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """0 if all cases pass, 1 if one fails, 2 for arguments or tools that do not do."""
    arguments = _arguments(argv)
    names = tuple(arguments.configs.split(","))
    first = arguments.first if arguments.index is None else arguments.index
    count = arguments.cases if arguments.index is None else 1
    try:
        cases = (Case(arguments.seed, index, names) for index in range(first, first + count))
        with Bench(rtl=not arguments.golden) as bench:
            outcomes = _run(bench, cases, arguments.minutes)
    except TensawError as error:
        print(error, file=sys.stderr)
        return 2
    if arguments.json is not None:
        arguments.json.write_text(json.dumps([_to_json(outcome) for outcome in outcomes], indent=1))
    print(_summary(outcomes))
    return int(any(outcome.failed for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
