"""The test plan against the benches that exist, and what is found where they disagree."""

from __future__ import annotations

from pathlib import Path

import pytest

from tensaw.spec.errors import InputError
from tensaw.verify.plan import load_plan, problems

ROOT = Path(__file__).resolve().parents[2]


def test_every_promise_is_kept_and_every_test_serves_one() -> None:
    assert problems(load_plan(ROOT / "tb" / "testplan.toml"), ROOT) == []


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('"extreme_products"', '"extreme_product"', "pe: '{0}' names the test 'extreme_product', which does not exist"),
        ('"extreme_products"', '"random_stream"', "pe: the test extreme_products serves no promise"),
        ('"operands"', '"operand"', "pe: '{0}' names the coverage point 'operand', which does not exist"),
        ('"operands"', '"sum"', "pe: the coverage point 'operands' serves no promise"),
        ('tests = ["keeps_its_weights"]', "tests = []", "pe: '{1}' names no test and no proof"),
        ('tests = ["keeps_its_weights"]', 'proofs = ["pe"]', "pe: '{1}' names the proof 'pe', which does not exist"),
        ('["control.tokens"]', '["memory.ram"]', "the proof control.tokens serves no promise"),
        ('stage = "V1"', 'stage = "V9"', "pe: '{0}' has the unknown stage 'V9'"),
        ("[pe]", "[pes]", "the plan says nothing of pe"),
    ],
)
def test_disagreements_are_found(tmp_path: Path, old: str, new: str, problem: str) -> None:
    text = (ROOT / "tb" / "testplan.toml").read_text()
    assert old in text
    path = tmp_path / "testplan.toml"
    text = text.replace("[[pe.", "[[pes.") if new == "[pes]" else text
    path.write_text(text.replace(old, new))
    promises = [promise.text for promise in load_plan(ROOT / "tb" / "testplan.toml").sections[0].promises]
    assert problem.format(promises[0], promises[-2]) in problems(load_plan(path), ROOT)


def test_what_is_no_plan_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "testplan.toml"
    with pytest.raises(InputError, match="cannot be read: No such file"):
        load_plan(path)
    path.write_text('[stages]\nV1 = "a"\n[pe]\ntitle = "t"\n[[pe.promise]]\ntext = "x"\nprice = 3\n')
    with pytest.raises(InputError, match="is not one: a promise of pe has 'price'. It has a table"):
        load_plan(path)
