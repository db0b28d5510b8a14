"""Faults on the simulated NPU: a part of the campaign, and that it finds what is wrong."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest

from tensaw.regress import bench as bench_module
from tensaw.regress.parts import faults as part
from tensaw.spec.errors import InputError
from tensaw.spec.isa import END_WORD, IllegalWord, decode
from tensaw.verify.faults import __main__ as command
from tensaw.verify.faults.campaign import Faults
from tensaw.verify.faults.cases import FAULT_CONFIGS, GROUP, KINDS, FaultCase
from tensaw.verify.faults.scenarios import SCENARIOS
from tensaw.verify.faults.words import damage

SEED = 2027
"""Seed of all cases here; ``tensaw regress --faults N --seed`` runs more of them."""
SMALL = ("r4c4b8", "r16c4b16")


@pytest.fixture(scope="module")
def faults() -> Iterator[Faults]:
    with Faults() as opened:
        yield opened


@pytest.mark.parametrize("index", range(60))
def test_the_npu_stands(faults: Faults, index: int) -> None:
    outcome = faults.run(FaultCase(SEED, index, SMALL))
    print(outcome.case.command)
    assert not outcome.failed, f"{outcome.case}\n{outcome.text}\n{outcome.case.command}"


def test_every_kind_is_among_them() -> None:
    kinds = Counter(FaultCase(SEED, index, SMALL).kind for index in range(60))
    assert set(kinds) == set(KINDS) == set(SCENARIOS)


def test_a_case_is_repeatable_alone() -> None:
    case = FaultCase(3, GROUP + 5)
    name = case.config.name
    alone = FaultCase.alone(3, GROUP + 5, name)
    assert name == FAULT_CONFIGS[1]
    assert (alone.kind, alone.network, alone.timing, alone.config) == (
        case.kind, case.network, case.timing, case.config,
    )  # fmt: skip
    assert case.command == f"python -m tensaw.verify.faults --seed 3 --index {GROUP + 5} --config {name}"


def test_unknown_configurations_and_amounts_are_refused() -> None:
    with pytest.raises(InputError, match="^There is no configuration 'r1c1b1'; choose from r4c4b8, "):
        FaultCase(0, 0, ("r1c1b1",))
    with pytest.raises(InputError, match="^The number of faults must be 0 or more, not -1.$"):
        list(part.PART.jobs(-1, 0, {}))


def test_damaged_programs_are_of_many_kinds() -> None:
    words = np.array([END_WORD] * 40, np.uint64)
    names = set()
    illegal = 0
    for seed in range(100):
        changed, name = damage(np.random.default_rng(seed), words)
        assert len(changed) == len(words) and all(0 <= word < 1 << 64 for word in changed)
        names.add(name)
        for word in changed:
            try:
                decode(word)
            except IllegalWord:
                illegal += 1
    assert len(names) == 8 and 100 < illegal < 2000


PLANTED = {
    # What memory answers to writes is not looked at.
    "write_error": (r"(assign \w+ = )axi__bvalid & axi__bresp\[1\];", r"\g<1>1'h0;"),
    # Settings can be changed during a run.
    "registers": (r"(assign \w+ = port__write_enable) & ~busy;", r"\g<1>;"),
}


def test_hardware_that_does_not_stand_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    true_verilog = bench_module.npu_verilog

    def wrong_verilog(config, trace):
        ((name, text),) = true_verilog(config, trace=trace).items()
        for old, new in PLANTED.values():
            text, count = re.subn(old, new, text)
            assert count == 1, old
        return {name: text}

    monkeypatch.setattr(bench_module, "npu_verilog", wrong_verilog)
    with Faults() as faults:
        for kind in PLANTED:
            cases = [FaultCase(SEED, index, ("r4c4b8",)) for index in range(200)]
            outcomes = [faults.run(case) for case in [case for case in cases if case.kind == kind][:4]]
            assert any(outcome.failed for outcome in outcomes), outcomes


def test_the_command_says_what_happened(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--seed", str(SEED), "--index", "0", "--config", "r4c4b8"]) == 0
    assert capsys.readouterr().out.startswith("0: r4c4b8: ")
    assert command.main(["--index", "0", "--config", "r1c1b1"]) == 2
    assert capsys.readouterr().err.startswith("There is no configuration 'r1c1b1'")


def test_results_of_the_part_tell_how_runs_ended() -> None:
    (job,) = part.PART.jobs(2, SEED, {})
    results = part.PART.run(job)
    assert [result.name for result in results] == [f"{SEED}-000000", f"{SEED}-000001"]
    assert all(result.status == "pass" and result.facts["cycles"] > 100 for result in results)
    assert sum(value for result in results for name, value in result.facts.items() if name.startswith("ended ")) == 2
