"""The page of a regression: written from stored results, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tensaw.regress.dashboard import dashboard
from tensaw.regress.jobs import Job, Result
from tensaw.regress.page import BEGIN, END, main
from tensaw.regress.parts import proofs
from tensaw.regress.store import Store, read_request
from tensaw.regress.summary import summarise
from tensaw.spec.errors import InputError
from tensaw.verify.blocks import BLOCKS
from tensaw.verify.proofs import ProofResult

REQUEST = {"seed": 4, "amounts": {"fuzz": 2000}, "first": 0, "configs": [], "golden": False}


def _mutant(number: int, status: str, text: str) -> Result:
    facts = {"killed": int(status == "pass"), "mutant": f"tensaw_pe: {text}"}
    return Result("mutants", f"4-{number:05}", status, "", "", 1.0, facts)  # type: ignore[arg-type]


def _store(folder: Path) -> None:
    measured = {"config": "nano", "lines": 100, "lines_hit": 97, "branches": 10, "branches_hit": 9, "toggles": 1000,
                "toggles_hit": 800, "excluded": 3, "missing": ["m: x = 1;"], "quiet": []}  # fmt: skip
    store = Store(folder, REQUEST, resume=False)
    store.add(
        Job("fuzz", "4-000000", {}),
        [
            Result("fuzz", "4-000000", "pass", "", "", 60.0, {"files": 1000}),
            Result("fuzz", "4-000000/3", "fail", "tflite: IndexError\nmore", "python"),
            Result("benches", "pe", "pass", "", "", 2.0, {"coverage": {"pe": {"point": {"low": 1, "high": 0}}}}),
            Result("coverage", "nano-4", "pass", "", "", 3.0, {"measured": measured}),
            _mutant(1, "pass", "inv"), _mutant(2, "fail", "const0"), _mutant(3, "skip", "const1"),
        ],
    )  # fmt: skip
    store.add_session(90)
    store.add_session(30)
    store.close()


def test_page(tmp_path: Path) -> None:
    _store(tmp_path / "work")
    assert read_request(tmp_path / "work") == REQUEST
    path = tmp_path / "page.md"
    path.write_text(f"# Before\n\n{BEGIN}\nold\n{END}\n\nAfter.\n")
    assert main([str(tmp_path / "work"), "-o", str(path), "--revision", "abc"]) == 0
    text = path.read_text()
    assert text.startswith(f"# Before\n\n{BEGIN}\n`tensaw regress --fuzz 2000 --seed 4`, revision abc, Python 3.")
    assert text.endswith(f"{END}\n\nAfter.\n") and "old" not in text
    for part in (
        "7 results: 4 pass, 2 fail, 1 do not apply. 2 minutes on the clock, 1 minutes of work.",
        "**Not finished**: 1 jobs had not been done when this was written.",
        "| damaged files for everything that reads one | 2,000 | 2 | 1 | 1 | 0 | 1.0 | files 1,000 |",
        "1 of 2 bins of 1 points hit, 50.0%.\n- not hit: pe: point: high",
        "| nano | 97 of 100, 97.0% | 9 of 10, 90.0% | 800 of 1,000, 80.0% | 3 |",
        "- `nano`, `m: x = 1;`",
        "1 of 2 mutants that change something are noticed, 50.0%; 1 more change nothing",
        "| `tensaw_pe` | 1 | 1 | 1 |",
        "- `4-00002: tensaw_pe: const0`",
        "- `fuzz/4-000000/3`: tflite: IndexError\n",
    ):
        assert part in text, part


def test_blocks_that_share_a_bench_hit_its_points_together() -> None:
    points = {"load_command_port": {"p": {"LOAD": 3, "ARRAY": 0}}, "array_command_port": {"p": {"LOAD": 0, "ARRAY": 1}}}
    assert BLOCKS["load_command_port"].bench == BLOCKS["array_command_port"].bench
    results = [Result("benches", name, "pass", facts={"coverage": {name: own}}) for name, own in points.items()]
    found = summarise(results, 0)["coverage"]
    assert (found["points"], found["bins"], found["hit"], found["missing"]) == (1, 2, 2, [])


def test_a_module_all_of_whose_mutants_are_noticed_is_drawn() -> None:
    summary = summarise([_mutant(1, "pass", "inv")], 0)
    drawn = dashboard(summary, REQUEST, 1.0, "1")
    assert '<td class="text">tensaw_pe</td><td>1</td><td>0</td>\n<td>0</td>' in drawn


def test_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), "-o", str(tmp_path / "page.md")]) == 2
    assert f"The folder {str(tmp_path)!r} holds no record of a regression." in capsys.readouterr().err
    _store(tmp_path / "work")
    assert main([str(tmp_path / "work"), "-o", str(tmp_path / "page.md")]) == 2
    assert "cannot be read: No such file or directory." in capsys.readouterr().err
    (tmp_path / "page.md").write_text(END + BEGIN)
    assert main([str(tmp_path / "work"), "-o", str(tmp_path / "page.md")]) == 2
    assert f"must hold the lines {BEGIN} and {END}, in this order" in capsys.readouterr().err
    assert (tmp_path / "page.md").read_text() == END + BEGIN


def test_proofs_are_a_part() -> None:
    jobs = list(proofs.PART.jobs(3, 0, {}))
    assert len(jobs) == 3 and all(job.arguments == {"proof": job.name} for job in jobs)
    with pytest.raises(InputError) as caught:
        list(proofs.PART.jobs(0, 0, {}))
    assert str(caught.value) == "The number of proofs must be 1 or more, not 0."
    broken = ProofResult("fifo", "fail", "bounded", 9, 4, 2, ("order",), ("full",), 1.5, 1.4, "")
    result = proofs._result(broken)
    assert (result.status, result.text) == ("fail", "fail; broken: order; not reached: full")
    assert result.command == "python -m tensaw.verify.prove fifo" and result.facts["by_induction"] == 0
    held = ProofResult("fifo", "pass", "induction", 9, 4, 2, (), (), 1.5, 1.4, "")
    assert proofs._result(held).status == "pass" and proofs._result(held).facts["by_induction"] == 1
