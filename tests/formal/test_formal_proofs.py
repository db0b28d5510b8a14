"""The proofs themselves, and the bugs that they must find. One test each, so that they run beside each other."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tensaw.verify.proofs import catalogue, run_planted, run_proof

PROOFS = catalogue()
BUGS = [(proof, bug) for proof in PROOFS.values() for bug in proof.planted[:1]]
"""One for each proof; all of them: ``python -m tensaw.verify.prove --planted``."""


@pytest.mark.parametrize("name", PROOFS)
def test_it_holds(name: str) -> None:
    result = run_proof(PROOFS[name])
    assert result.status == "pass", result
    assert result.properties >= 3 and result.covers >= 2


@pytest.mark.parametrize("name", PROOFS)
def test_it_says_what_it_proves(name: str) -> None:
    proof = PROOFS[name]
    bench = proof.bench()
    assert proof.summary.endswith(".") and bench.properties and bench.covers
    assert not bench.undriven
    assert not proof.bounded or len(proof.bounded) > 20
    group = [other for other in PROOFS.values() if other.name.rpartition(".")[0] == name.rpartition(".")[0]]
    assert any(other.planted for other in group)


def test_all_bugs_can_still_be_planted() -> None:
    for proof in PROOFS.values():
        for bug in proof.planted:
            spec = importlib.util.find_spec(bug.module)
            assert spec is not None and spec.origin is not None
            assert Path(spec.origin).read_text().count(bug.old) == 1, (proof.name, bug)


@pytest.mark.parametrize("proof, bug", BUGS, ids=[f"{proof.name}-{bug.old[:40]}" for proof, bug in BUGS])
def test_it_finds_a_planted_bug(proof, bug) -> None:
    result = run_planted(proof, bug)
    assert result.status == "fail", result
