"""Random networks: golden operators, instruction-level model and RTL agree on every byte of memory."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tensaw.regress.bench import Bench, Outcome
from tensaw.regress.cases import GROUP, Case

SEED = 2026
"""Seed of all cases here; ``tensaw regress --random N --seed`` runs more of them."""
SMALL = ("r4c4b8", "r5c7b8", "r9c3b8", "r16c4b16")
"""Whose simulators are built quickly: one to three kernel rows at once in DEPTHWISE mode, both bus widths."""
FOUND = [
    (1, 20, "r4c4b8"),  # OUTPUT waited for the ARRAY run that it was to empty
    (1, 15, "r5c7b8"),
    (12, 19, "r16c4b16"),  # an idle depthwise group's old weights met the next run's inputs
    (12, 68, "r16c4b16"),
]
"""Seed, index, configuration of cases that have failed."""


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with Bench() as opened:
        yield opened


def check(outcome: Outcome) -> None:
    print(outcome.case.command)
    assert not outcome.failed, f"{outcome.case}\n{outcome.kind}: {outcome.text}\n{outcome.case.command}"


@pytest.mark.parametrize("index", range(40))
def test_on_hardware(bench: Bench, index: int) -> None:
    check(bench.run(Case(SEED, index, SMALL)))


@pytest.mark.parametrize(("seed", "index", "config"), FOUND)
def test_what_once_failed(bench: Bench, seed: int, index: int, config: str) -> None:
    check(bench.run(Case(seed, index, (config,), pruned=False)))


@pytest.mark.parametrize("index", range(0, 40 * GROUP, GROUP + 1))
def test_on_any_configuration(index: int) -> None:
    with Bench(rtl=False) as golden:
        check(golden.run(Case(SEED, index)))
