"""Line and toggle coverage of the verilated whole: which statements ran, which bits changed, over a set of runs."""

from __future__ import annotations

import re
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tensaw.harness import build_verilator, npu_verilog
from tensaw.regress.bench import Bench
from tensaw.regress.cases import Case
from tensaw.spec.config import NpuConfig
from tensaw.verify.faults.campaign import Faults
from tensaw.verify.faults.cases import FaultCase
from tensaw.verify.simulate import bench_directory

__all__ = ["EXCLUSIONS", "Covered", "Exclusion", "Place", "judge", "measure", "read_exclusions", "read_points"]

EXCLUSIONS = "coverage_exclusions.toml"
"""In ``tb/``: what no run of a sound program can reach, each with the reason."""

_FILE = "tensaw_npu.v"
_POINT = re.compile(r"^C '(.*)' (\d+)$")


class Place(NamedTuple):
    """A point of Verilator's: ``kind`` line, branch or toggle; ``lines`` of the Verilog that it stands for; ``what``
    happens there, such as ``count[3]:0->1``. Instances of a module share it."""

    kind: str
    module: str
    line: int
    column: int
    what: str
    lines: tuple[int, ...]


@dataclass(frozen=True)
class Exclusion:
    """Points that do not count: ``module`` and ``text`` (a line's source, a toggle's signal) are regular expressions
    for the whole."""

    kind: str
    module: str
    text: str
    reason: str


@dataclass(frozen=True)
class Covered:
    """Lines, branches and toggles of one configuration: how many there are, how many were hit, and the rest as text."""

    lines: int
    lines_hit: int
    branches: int
    branches_hit: int
    toggles: int
    toggles_hit: int
    excluded: int
    missing: tuple[str, ...]
    """``module: source line`` of the lines without a hit."""
    quiet: tuple[str, ...]
    """``module: signal`` of the signals with bits that never changed, and how many those are."""


def read_points(paths: Iterable[Path]) -> Counter[Place]:
    """Hits of all files together, of the NPU's own Verilog."""
    hits: Counter[Place] = Counter()
    for path in paths:
        for place, count in _read(path):
            hits[place] += count
    return hits


def _read(path: Path) -> Iterator[tuple[Place, int]]:
    with open(path) as file:
        for text in file:
            if (match := _POINT.match(text)) is None:
                continue
            pairs = (part.partition("\x02") for part in match[1].split("\x01") if part)
            values = {key: value for key, _, value in pairs}
            if Path(values["f"]).name != _FILE:
                continue
            kind, _, module = values["page"].removeprefix("v_").partition("/")
            lines = tuple(_numbers(values.get("S", "")))
            yield Place(kind, module, int(values["l"]), int(values["n"]), values.get("o", ""), lines), int(match[2])


def _numbers(text: str) -> Iterator[int]:
    """Of ``3,7-9``."""
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def read_exclusions(path: Path) -> list[Exclusion]:
    """The entries ``[[exclude]]`` of a TOML file."""
    return [Exclusion(**entry) for entry in tomllib.loads(path.read_text("utf-8")).get("exclude", [])]


def judge(hits: Counter[Place], verilog: str, exclusions: Sequence[Exclusion]) -> Covered:
    """What was covered of this Verilog."""
    source = verilog.splitlines()
    best: dict[tuple[str, int], int] = {}
    branches: list[tuple[str, str, int]] = []
    signals: dict[tuple[str, str], list[int]] = {}
    for place, count in hits.items():
        if place.kind == "toggle":
            signal = re.split(r"[\[:]", place.what)[0]
            signals.setdefault((place.module, signal), []).append(count)
            continue
        if place.kind == "branch":
            branches.append((place.module, source[place.line - 1].strip(), count))
        for line in place.lines or (place.line,):
            key = place.module, line
            best[key] = max(best.get(key, 0), count)

    def counts(kind: str, module: str, text: str) -> bool:
        return not any(
            each.kind == kind and re.fullmatch(each.module, module) and re.fullmatch(each.text, text)
            for each in exclusions
        )

    lines = [(module, source[line - 1].strip(), count) for (module, line), count in sorted(best.items())]
    counted = [entry for entry in lines if counts("line", *entry[:2])]
    own_branches = [entry for entry in branches if counts("line", *entry[:2])]
    own_signals = {key: found for key, found in signals.items() if counts("toggle", *key)}
    toggles = [count for found in own_signals.values() for count in found]
    return Covered(
        len(counted), sum(count > 0 for *_, count in counted),
        len(own_branches), sum(count > 0 for *_, count in own_branches),
        len(toggles), sum(count > 0 for count in toggles),
        len(lines) - len(counted) + sum(map(len, signals.values())) - len(toggles),
        tuple(f"{module}: {text}" for module, text, count in counted if not count),
        tuple(
            f"{module}: {signal} ({found.count(0)} of {len(found)})"
            for (module, signal), found in sorted(own_signals.items()) if 0 in found
        ),
    )  # fmt: skip


def measure(config: NpuConfig, cases: Sequence[Case], faults: Sequence[FaultCase]) -> Covered:
    """Run cases and faults, which must use this configuration, and see what they cover. Raises ToolError, and
    RuntimeError if one of them fails."""
    files = npu_verilog(config, trace=True, checks=False)
    executable = build_verilator(files, config, trace=True, optimise="build", coverage=True)
    with tempfile.TemporaryDirectory(prefix="tensaw-coverage-") as place:
        folders = [Path(place) / name for name in ("cases", "faults")]
        for folder in folders:
            folder.mkdir()
        with Bench(executable=executable, coverage=folders[0]) as bench:
            for outcome in map(bench.run, cases):
                if outcome.failed:
                    raise RuntimeError(f"{outcome.case.command} fails: {outcome.text}")
        with Faults(Bench(executable=executable, coverage=folders[1])) as site:
            for found in map(site.run, faults):
                if found.failed:
                    raise RuntimeError(f"{found.case.command} fails: {found.text}")
        hits = read_points(path for folder in folders for path in sorted(folder.glob("*.dat")))
    (verilog,) = files.values()
    return judge(hits, verilog, read_exclusions(bench_directory() / EXCLUSIONS))
