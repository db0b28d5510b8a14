"""``tensaw regress``: all that is checked beyond the test suite, in any amount, on any number of cores or machines."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tensaw.cli import files, options, terminal
from tensaw.cli.frame import FINE, WRONG_RESULT
from tensaw.spec.errors import InputError

if TYPE_CHECKING:
    from tensaw.regress.jobs import Job, Result
    from tensaw.regress.store import Store

SUMMARY = "run random, fault, formal and other checks of the hardware, and say how to repeat what fails"
EXAMPLE = """tensaw regress --random 200 --seed 7 --json regress.json
tensaw regress --seed 7 --index 31
tensaw regress --full --html dashboard.html --junit junit.xml
tensaw regress --full --resume
tensaw regress --full --dask tcp://10.0.0.1:8786"""

FULL = {
    "random": 5000, "faults": 2000, "coverage": 200, "proofs": 1000, "fuzz": 100_000, "benches": 10, "mutants": 1000,
}  # fmt: skip
"""Amount of each part in a full regression; of the proofs, all there are."""
_TELL_EVERY = 10.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_argument_group("what to check")
    what.add_argument("--full", action="store_true", help=f"everything: {_full_text()}")
    what.add_argument("--random", type=int, metavar="N", help="random networks on random configurations")
    what.add_argument("--faults", type=int, metavar="N", help="faults of memory, programs, windows and software")
    what.add_argument("--benches", type=int, metavar="N", help="the cocotb benches of all blocks, with N seeds")
    what.add_argument("--mutants", type=int, metavar="N", help="mutants of the Verilog, each to be noticed")
    what.add_argument("--fuzz", type=int, metavar="N", help="damaged files, for everything that reads one")
    what.add_argument("--coverage", type=int, metavar="N", help="lines covered by N networks and faults, two arrays")
    what.add_argument("--proofs", type=int, metavar="N", help="the first N formal proofs; there are fewer than 1000")
    what.add_argument("--seed", type=int, default=0, metavar="S", help="of everything random; default: 0")
    what.add_argument("--index", type=int, metavar="I", help="of the random cases, this one alone")
    what.add_argument("--first", type=int, default=0, metavar="I", help="begin with this random case; default: 0")
    what.add_argument(
        "--configs", metavar="NAME,...", help="configurations of the random cases, by name; default: any legal one"
    )
    what.add_argument("--golden", action="store_true", help="random cases on the golden models only, without RTL")
    how = parser.add_argument_group("how")
    how.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="processes; default: all cores")
    how.add_argument("--dask", metavar="ADDRESS", help="do the work on the Dask cluster with its scheduler there")
    how.add_argument("--time-limit", type=float, metavar="MINUTES", help="begin nothing new after so long")
    how.add_argument("--resume", action="store_true", help="keep the results that the --work folder has already")
    how.add_argument(
        "--work", type=Path, default=Path("build/regress"), metavar="DIR",
        help="for results and the waves of failures; default: build/regress",
    )  # fmt: skip
    out = parser.add_argument_group("results")
    out.add_argument("--junit", type=Path, metavar="FILE.xml", help="write them as JUnit XML")
    out.add_argument(
        "--html", type=Path, metavar="FILE.html", help="write the dashboard; default: in the --work folder"
    )
    options.add_json(parser)


def _full_text() -> str:
    return ", ".join(f"{amount:,} {name}" for name, amount in FULL.items())


def execute(arguments: argparse.Namespace) -> int:
    from tensaw.regress.store import Store

    if arguments.jobs < 1:
        raise InputError(f"--jobs must be 1 or more, not {arguments.jobs}.")
    if arguments.time_limit is not None and arguments.time_limit <= 0:
        raise InputError(f"--time-limit must be more than 0 minutes, not {arguments.time_limit:g}.")
    files.require_writable(arguments.junit, arguments.html, options.json_file(arguments))
    amounts = _amounts(arguments)
    request: dict[str, Any] = {"seed": arguments.seed, "amounts": amounts, **_settings(arguments)}
    jobs = _jobs(amounts, arguments, request)
    start = time.monotonic()
    store = Store(arguments.work, request, arguments.resume)
    console = terminal.output(arguments)
    console.print(
        f"seed {arguments.seed}; results in {arguments.work}" + (", resumed" if store.results else ""), markup=False
    )
    interrupted = False
    try:
        _work(jobs, store, arguments, start)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        store.add_session(time.monotonic() - start)
        store.close()
    failures = _report(arguments, jobs, store, request)
    if interrupted:
        print("tensaw: interrupted; `--resume` with the same options goes on from here", file=sys.stderr)
        return 130
    return WRONG_RESULT if failures else FINE


def _amounts(arguments: argparse.Namespace) -> dict[str, int]:
    """How much of each part. Raises InputError if nothing is asked for."""
    amounts = dict(FULL) if arguments.full else {}
    for name in FULL:
        given = getattr(arguments, name)
        if given is not None:
            amounts[name] = given
    if arguments.index is not None:
        amounts = {"random": 1}
    if not amounts:
        raise InputError(
            "There is nothing to check: give --full or the number of checks of a part, such as --random 200."
        )
    return amounts


def _settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """What else decides which checks are made."""
    return {
        "first": arguments.first if arguments.index is None else arguments.index,
        "configs": arguments.configs.split(",") if arguments.configs else [],
        "golden": arguments.golden,
    }


def _jobs(amounts: dict[str, int], arguments: argparse.Namespace, request: dict[str, Any]) -> list[Job]:
    from tensaw.regress.parts import PARTS

    settings = {**request, "waves": str(arguments.work.absolute() / "waves")}
    return [job for name, amount in amounts.items() for job in PARTS[name].jobs(amount, arguments.seed, settings)]


def _work(jobs: list[Job], store: Store, arguments: argparse.Namespace, start: float) -> None:
    """Do what has not been done. Raises KeyboardInterrupt."""
    from tensaw.regress.execute import on_cluster, on_this_machine

    counts = Counter(result.status for results in store.results.values() for result in results)
    told = [time.monotonic()]
    missing = store.missing(jobs)
    done = [len(jobs) - len(missing)]
    with terminal.progress("Checking", len(jobs)) as step:

        def finished(job: Job, results: list[Result]) -> None:
            store.add(job, results)
            done[0] += 1
            counts.update(result.status for result in results)
            text = f"{sum(counts.values()):,} checks, {counts['fail']} failures"
            step.update(completed=done[0], note=text)
            for result in results:
                if result.status == "fail":
                    print(f"FAILED {result.part}/{result.name}\n{_indented(result)}", file=sys.stderr, flush=True)
            if not sys.stderr.isatty() and time.monotonic() - told[0] > _TELL_EVERY:
                told[0] = time.monotonic()
                print(f"{done[0]} of {len(jobs)} jobs, {text}, {told[0] - start:.0f} s", file=sys.stderr, flush=True)

        deadline = None if arguments.time_limit is None else start + 60 * arguments.time_limit
        if arguments.dask:
            on_cluster(missing, arguments.dask, finished, deadline)
        else:
            on_this_machine(missing, arguments.jobs, finished, deadline)


def _indented(result: Result) -> str:
    lines = [*result.text.splitlines(), *([f"repeat: {result.command}"] if result.command else [])]
    return "\n".join("  " + line for line in lines)


def _report(arguments: argparse.Namespace, jobs: list[Job], store: Store, request: dict[str, Any]) -> int:
    """Write and print what was found; returns the number of failures."""
    from tensaw.regress.dashboard import dashboard
    from tensaw.regress.junit import junit_xml
    from tensaw.regress.summary import summarise

    found = [result for job in jobs for result in store.results.get(job.key, [])]
    summary = summarise(found, len(store.missing(jobs)))
    page = arguments.html or arguments.work / "dashboard.html"
    files.write(page, dashboard(summary, request, store.seconds, version("tensaw")))
    if arguments.junit is not None:
        files.write(arguments.junit, junit_xml(found))
    terminal.emit_json(arguments, {"request": request, "wall_seconds": round(store.seconds, 1), **summary})
    console = terminal.output(arguments)
    rows = [
        (name, part["cases"], part["passed"], part["failures"], part["skipped"], f"{part['seconds']:,.0f} s")
        for name, part in summary["parts"].items()
    ]
    terminal.print_table(console, ("part", "checks", "pass", "fail", "do not apply", "work"), rows)
    if summary["jobs_not_done"]:
        console.print(f"{summary['jobs_not_done']} jobs were not done; `--resume` does them.", markup=False)
    console.print(f"Dashboard: {page}", markup=False)
    return summary["failures"]
