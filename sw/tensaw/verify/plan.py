"""The test plan: what is promised of each block and of the whole; which tests, coverage points, proofs stand for it.

``tb/testplan.toml`` holds it; ``docs/testplan.md`` is made from it. :func:`problems` compares it with the benches'
source text and the catalogue of proofs, so that no promise goes without one and none without a promise.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tensaw.spec.errors import InputError
from tensaw.verify.blocks import BLOCKS, Block
from tensaw.verify.proofs import catalogue

__all__ = ["Plan", "Promise", "Section", "bench_tests", "coverage_points", "load_plan", "plan_page", "problems"]

_PROMISE_KEYS = {"text", "stage", "tests", "coverage", "proofs"}


@dataclass(frozen=True)
class Promise:
    """``tests``: names of the section's bench tests, or ``path::function`` of others; ``coverage``: the bench's points
    that show that it happened; ``proofs``: names of tensaw.formal that hold it for ever."""

    text: str
    stage: str
    tests: tuple[str, ...]
    coverage: tuple[str, ...] = ()
    proofs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Section:
    """A block, by the name of its bench, or another part of the whole."""

    name: str
    title: str
    promises: tuple[Promise, ...]


@dataclass(frozen=True)
class Plan:
    """``stages``: name to meaning, in their order."""

    stages: dict[str, str]
    sections: tuple[Section, ...]


def load_plan(path: Path) -> Plan:
    """Read a plan. Raises InputError if it is not one."""
    try:
        values = tomllib.loads(path.read_text("utf-8"))
        stages = {str(name): str(text) for name, text in values.pop("stages").items()}
        return Plan(stages, tuple(_section(name, section) for name, section in values.items()))
    except OSError as error:
        raise InputError(f"The test plan {str(path)!r} cannot be read: {error.strerror or error}.") from None
    except (tomllib.TOMLDecodeError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(
            f"The test plan {str(path)!r} is not one: {error}. It has a table [stages], and for each part a title and "
            "promises with text, stage, tests, coverage and proofs."
        ) from None


def _section(name: str, values: dict[str, Any]) -> Section:
    promises = []
    for item in values["promise"]:
        if unknown := set(item) - _PROMISE_KEYS:
            raise ValueError(f"a promise of {name} has {sorted(unknown)[0]!r}")
        tests, coverage, proofs = (tuple(item.get(name, ())) for name in ("tests", "coverage", "proofs"))
        promises.append(Promise(item["text"], item["stage"], tests, coverage, proofs))
    return Section(name, values["title"], tuple(promises))


def _calls(path: Path) -> Iterator[tuple[ast.AST, ast.Call]]:
    """Calls at a module's top level: decorators of functions, and values that are assigned."""
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.AsyncFunctionDef):
            yield from ((node, item) for item in node.decorator_list if isinstance(item, ast.Call))
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            yield node, node.value


def bench_tests(directory: Path, bench: str) -> list[str]:
    """Names of a bench's tests, from its source text."""
    return [
        node.name
        for node, call in _calls(directory / f"tb_{bench}.py")
        if isinstance(node, ast.AsyncFunctionDef) and isinstance(call.func, ast.Name) and call.func.id == "testcase"
    ]


def coverage_points(directory: Path, bench: str) -> list[str]:
    """Names of the coverage points that a bench declares, without the bench's name."""
    return [
        call.args[0].value
        for _, call in _calls(directory / f"tb_{bench}.py")
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in ("point", "cross")
        and isinstance(call.args[0], ast.Constant)
        and isinstance(call.args[0].value, str)
    ]


def problems(plan: Plan, root: Path) -> list[str]:
    """What is wrong with the plan, a line each; ``root`` is the repository."""
    directory = root / "tb"
    benches = {path.stem.removeprefix("tb_") for path in directory.glob("tb_*.py")}
    used = {block.bench for block in BLOCKS.values()}
    found = [f"the bench tb_{name}.py belongs to no block" for name in sorted(benches - used)]
    found += [f"there is no bench tb_{name}.py" for name in sorted(used - benches)]
    names = [section.name for section in plan.sections]
    proofs, proved = catalogue(), set[str]()
    found += [f"the plan says nothing of {name}" for name in sorted(benches) if name not in names]
    for section in plan.sections:
        bench = section.name in benches
        tests = bench_tests(directory, section.name) if bench else []
        points = coverage_points(directory, section.name) if bench else []
        named: set[str] = set()
        for promise in section.promises:
            where = f"{section.name}: {promise.text!r}"
            if promise.stage not in plan.stages:
                found.append(f"{where} has the unknown stage {promise.stage!r}")
            if not promise.tests and not promise.proofs:
                found.append(f"{where} names no test and no proof")
            for test in promise.tests:
                if test not in tests and not _is_pytest(root, test):
                    found.append(f"{where} names the test {test!r}, which does not exist")
            for proof in promise.proofs:
                if proof not in proofs:
                    found.append(f"{where} names the proof {proof!r}, which does not exist")
            proved |= {*promise.proofs}
            for point in promise.coverage:
                if point not in points:
                    found.append(f"{where} names the coverage point {point!r}, which does not exist")
            named |= {*promise.tests, *(f"{point}." for point in promise.coverage)}
        found += [f"{section.name}: the test {test} serves no promise" for test in tests if test not in named]
        found += [
            f"{section.name}: the coverage point {point!r} serves no promise"
            for point in points
            if f"{point}." not in named
        ]
    found += [f"the proof {name} serves no promise" for name in proofs if name not in proved]
    return found


def _is_pytest(root: Path, name: str) -> bool:
    """Whether ``path::function`` is a test function of the repository."""
    place, _, function = name.partition("::")
    path = root / place
    if not function or not path.is_file():
        return False
    tree = ast.parse(path.read_text("utf-8"))
    return any(isinstance(node, ast.FunctionDef) and node.name == function for node in tree.body)


def plan_page(plan: Plan) -> str:
    """The plan in Markdown: a table for each part."""
    lines = ["| stage | meaning |", "|---|---|"]
    lines += [f"| {name} | {text} |" for name, text in plan.stages.items()]
    for section in plan.sections:
        blocks = [block for block in BLOCKS.values() if block.bench == section.name]
        lines += ["", f"## {section.title}", ""]
        if blocks:
            modules = ", ".join(f"`{block.module}`" for block in blocks)
            lines += [f"`tb/tb_{section.name}.py` on {modules}, {_places(blocks[0])}.", ""]
        lines += ["| promise | stage | tests | coverage points | proofs |", "|---|---|---|---|---|"]
        for promise in section.promises:
            lists = (promise.tests, promise.coverage, promise.proofs)
            cells = (promise.text, promise.stage, *(_names(names) for names in lists))
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _places(block: Block) -> str:
    both = ", both simulators" if len(block.simulators) > 1 else ""
    return f"configuration{'s' * (len(block.configs) > 1)} {_names(block.configs)}{both}"


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)
