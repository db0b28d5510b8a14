"""What a regression found, in numbers: the values of its JSON file and of its dashboard."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tensaw.regress.jobs import Result
from tensaw.regress.parts import PARTS
from tensaw.verify.blocks import BLOCKS
from tensaw.verify.results import merge, missing

__all__ = ["summarise"]

_SLOWEST = 20


def summarise(results: Iterable[Result], missing: int) -> dict[str, Any]:
    """JSON values: ``cases``, ``failures`` and ``skipped`` of all results, ``configurations`` of the random cases,
    ``parts`` with the same numbers for each, the failures' texts, and the slowest. ``missing``: jobs not done."""
    found = list(results)
    parts: dict[str, dict[str, Any]] = {}
    for name in PARTS:
        own = [result for result in found if result.part == name]
        if own:
            parts[name] = {"title": PARTS[name].title, **_count(own), **_facts(own)}
    random = [result for result in found if result.part == "random"]
    return {
        **_count(found),
        "configurations": parts.get("random", {}).get("configurations", 0),
        "jobs_not_done": missing,
        "parts": parts,
        "operators": _operators(random),
        "coverage": _coverage(found),
        "line_coverage": [result.facts["measured"] for result in found if "measured" in result.facts],
        "mutants": _mutants(found),
        "failed": [result.to_dict() for result in found if result.status == "fail"],
        "slowest": [
            {"part": result.part, "name": result.name, "seconds": result.seconds}
            for result in sorted(found, key=lambda result: -result.seconds)[:_SLOWEST]
        ],
    }


def _count(results: Sequence[Result]) -> dict[str, Any]:
    counts = Counter(result.status for result in results)
    return {
        "cases": len(results),
        "passed": counts["pass"],
        "failures": counts["fail"],
        "skipped": counts["skip"],
        "seconds": round(sum(result.seconds for result in results), 1),
    }


def _facts(results: Sequence[Result]) -> dict[str, Any]:
    """Of numbers among the facts the sum, of configurations how many differ."""
    sums: defaultdict[str, int] = defaultdict(int)
    configs: set[tuple[Any, ...]] = set()
    for result in results:
        for name, value in result.facts.items():
            if isinstance(value, int) and not isinstance(value, bool):
                sums[name] += value
        config = result.facts.get("config")
        if isinstance(config, Mapping):
            configs.add(tuple(sorted((key, value) for key, value in config.items() if key != "name")))
    return {**sums, **({"configurations": len(configs)} if configs else {})}


def _coverage(results: Iterable[Result]) -> dict[str, Any]:
    """Bins of the coverage points that the benches know and have hit, and those that they have not. Blocks that share a
    bench hit its points together."""
    bench = {block.name: block.bench for block in BLOCKS.values()}
    runs = [
        {f"{bench.get(block, block)}: {point}": bins for point, bins in points.items()}
        for result in results
        for block, points in result.facts.get("coverage", {}).items()
    ]
    total = merge(runs)
    bins = sum(len(hits) for hits in total.values())
    left = missing(total)
    return {"points": len(total), "bins": bins, "hit": bins - len(left), "missing": left}


def _mutants(results: Iterable[Result]) -> dict[str, Any]:
    """``killed``, ``equivalent`` and ``survived`` of all mutants and by their module; ``survivors`` by name."""
    by_module: defaultdict[str, Counter[str]] = defaultdict(Counter)
    total: Counter[str] = Counter()
    survivors = []
    for result in results:
        if "mutant" not in result.facts:
            continue
        fate = {"pass": "killed", "skip": "equivalent"}.get(result.status, "survived")
        total[fate] += 1
        by_module[result.facts["mutant"].partition(":")[0]][fate] += 1
        if fate == "survived":
            survivors.append(f"{result.name}: {result.facts['mutant']}")
    return {
        **{fate: total[fate] for fate in ("killed", "equivalent", "survived")},
        "modules": {name: dict(fates) for name, fates in sorted(by_module.items())},
        "survivors": survivors,
    }


def _operators(results: Iterable[Result]) -> dict[str, int]:
    """How often each operator ran in the random cases that passed."""
    counts: Counter[str] = Counter()
    for result in results:
        if result.status == "pass":
            counts.update(result.facts.get("operators", {}))
    return dict(counts.most_common())
