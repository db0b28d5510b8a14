"""``python -m tensaw.regress.page WORK -o FILE.md``: the figures of a regression as a page of the documentation.

Only what is between its two marks in the file is written; what people write around them stays.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tensaw.regress.store import Store, read_request
from tensaw.regress.summary import summarise
from tensaw.spec.errors import InputError, TensawError

__all__ = ["BEGIN", "END", "main", "page"]

BEGIN, END = "<!-- begin of the figures -->", "<!-- end of the figures -->"
_LISTED = 40
"""Survivors and failures that are listed."""


def page(summary: Mapping[str, Any], request: Mapping[str, Any], seconds: float, note: str) -> str:
    """Markdown. ``summary`` of :func:`tensaw.regress.summary.summarise`, ``request`` what was asked for, ``seconds`` on
    the clock, ``note`` a sentence about what ran it."""
    return "\n".join(_lines(summary, request, seconds, note))


def _lines(summary: Mapping[str, Any], request: Mapping[str, Any], seconds: float, note: str) -> Iterator[str]:
    amounts = " ".join(f"--{name} {amount}" for name, amount in request["amounts"].items())
    yield f"`tensaw regress {amounts} --seed {request['seed']}`, {note}."
    yield ""
    yield (
        f"{summary['cases']:,} results: {summary['passed']:,} pass, {summary['failures']:,} fail, "
        f"{summary['skipped']:,} do not apply. {seconds / 60:,.0f} minutes on the clock, "
        f"{summary['seconds'] / 60:,.0f} minutes of work."
    )
    if summary["jobs_not_done"]:
        yield ""
        yield f"**Not finished**: {summary['jobs_not_done']:,} jobs had not been done when this was written."
    yield from _table(
        ("part", "asked for", "results", "pass", "fail", "do not apply", "minutes of work", "figures"),
        (
            (part["title"], request["amounts"].get(name, ""), part["cases"], part["passed"], part["failures"],
             part["skipped"], round(part["seconds"] / 60, 1), _figures(part))
            for name, part in summary["parts"].items()
        ),
    )  # fmt: skip
    yield from _coverage(summary)
    yield from _mutants(summary["mutants"])
    if summary["failed"]:
        yield from ("", "### What failed", "")
        for failure in summary["failed"][:_LISTED]:
            if "mutant" not in failure["facts"]:
                yield f"- `{failure['part']}/{failure['name']}`: {failure['text'].splitlines()[0][:200]}"


def _figures(part: Mapping[str, Any]) -> str:
    known = ("title", "cases", "passed", "failures", "skipped", "seconds")
    own = [(name, value) for name, value in part.items() if name not in known]
    return ", ".join(f"{name.replace('_', ' ')} {value:,}" for name, value in own)


def _table(head: Sequence[str], rows: Iterator[Sequence[Any]]) -> Iterator[str]:
    yield ""
    yield "| " + " | ".join(head) + " |"
    yield "|---" * len(head) + "|"
    for row in rows:
        cells = (f"{cell:,}" if isinstance(cell, int) else str(cell).replace("|", "\\|") for cell in row)
        yield "| " + " | ".join(cells) + " |"


def _coverage(summary: Mapping[str, Any]) -> Iterator[str]:
    points = summary["coverage"]
    if points["points"]:
        yield from ("", "### Coverage", "")
        yield (
            f"Functional points of the benches: {points['hit']:,} of {points['bins']:,} bins of {points['points']:,} "
            f"points hit, {points['hit'] / points['bins']:.1%}."
        )
        yield from (f"- not hit: {name}" for name in points["missing"][:_LISTED])
    if summary["line_coverage"]:
        yield from _table(
            ("configuration", "lines that ran", "branches taken", "changes of a bit, up and down", "points left out"),
            (
                (each["config"], *(_share(each, kind) for kind in ("lines", "branches", "toggles")), each["excluded"])
                for each in summary["line_coverage"]
            ),
        )
        yield ""
        yield "Lines that did not run:"
        yield ""
        for each in summary["line_coverage"]:
            yield from (f"- `{each['config']}`, {_code(text)}" for text in each["missing"][:_LISTED])


def _share(values: Mapping[str, Any], kind: str) -> str:
    hit, total = values[f"{kind}_hit"], values[kind]
    return f"{hit:,} of {total:,}, {hit / total:.1%}"


def _code(text: str) -> str:
    return f"`{text.replace('`', ' ')}`"


def _mutants(mutants: Mapping[str, Any]) -> Iterator[str]:
    real = mutants["killed"] + mutants["survived"]
    if not real:
        return
    yield from ("", "### Mutants", "")
    yield (
        f"{mutants['killed']:,} of {real:,} mutants that change something are noticed, "
        f"{mutants['killed'] / real:.1%}; {mutants['equivalent']:,} more change nothing, by proof or for a "
        "reason given in `tb/equivalent_mutants.toml`."
    )
    yield from _table(
        ("module", "noticed", "change nothing", "survive"),
        (
            (f"`{name}`", fates.get("killed", 0), fates.get("equivalent", 0), fates.get("survived", 0))
            for name, fates in mutants["modules"].items()
        ),
    )
    yield ""
    yield from (f"- {_code(text)}" for text in mutants["survivors"])


def _stored(folder: Path) -> tuple[dict[str, Any], dict[str, Any], float]:
    """(summary, request, seconds). Raises InputError."""
    from tensaw.regress.parts import PARTS

    request = read_request(folder)
    store = Store(folder, request, resume=True)
    store.close()
    jobs = [
        job for name, amount in request["amounts"].items() for job in PARTS[name].jobs(amount, request["seed"], request)
    ]
    found = [result for job in jobs for result in store.results.get(job.key, [])]
    return summarise(found, len(store.missing(jobs))), request, store.seconds


def main(argv: Sequence[str] | None = None) -> int:
    """0, or 2 for arguments that do not do."""
    about = (__doc__ or "").split("\n\n")[0]
    parser = argparse.ArgumentParser(prog="python -m tensaw.regress.page", description=about)
    parser.add_argument("work", type=Path, metavar="WORK", help="the --work folder of the regression")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE.md", required=True, help="the page, which has the marks"
    )
    parser.add_argument("--revision", default="", metavar="TEXT", help="what was tested, such as a commit")
    arguments = parser.parse_args(argv)
    try:
        summary, request, seconds = _stored(arguments.work)
        try:
            text = arguments.output.read_text("utf-8")
        except OSError as error:
            raise InputError(f"The page {str(arguments.output)!r} cannot be read: {error.strerror or error}.") from None
        if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
            raise InputError(
                f"The page {str(arguments.output)!r} must hold the lines {BEGIN} and {END}, in this order; what is "
                "between them is replaced."
            )
    except TensawError as error:
        print(f"tensaw: {error}", file=sys.stderr)
        return 2
    revision = f"revision {arguments.revision}, " if arguments.revision else ""
    note = f"{revision}Python {platform.python_version()}, {os.cpu_count()} cores"
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    figures = page(summary, request, seconds, note)
    arguments.output.write_text(f"{before}{BEGIN}\n{figures}\n{END}{after}", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
