"""``tensaw regress``: results in every form, resumed, spread, and its mistakes."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tensaw.cli.main import main
from tensaw.regress.parts import random_cases


def regress(work: Path, *arguments: str) -> int:
    return main(["regress", "--golden", "--jobs", "1", "--work", str(work), *arguments])


def mistake(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["regress", *arguments]) == 2
    return " ".join(capsys.readouterr().err.split())


def test_results_in_every_form(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {name: tmp_path / f"out.{name}" for name in ("json", "junit", "html")}
    options = [word for name, path in files.items() for word in (f"--{name}", str(path))]
    assert regress(tmp_path / "work", "--random", "20", "--seed", "7", *options) == 0
    assert "seed 7; results in" in capsys.readouterr().out
    values = json.loads(files["json"].read_text())
    assert (values["cases"], values["failures"], values["configurations"]) == (20, 0, 2)
    assert values["parts"]["random"]["passed"] + values["skipped"] == 20
    assert sum(values["operators"].values()) >= values["parts"]["random"]["passed"]
    suite = ElementTree.parse(files["junit"]).getroot()[0]
    assert (suite.get("name"), suite.get("tests"), suite.get("failures")) == ("random", "20", "0")
    page = files["html"].read_text()
    assert "All checks pass" in page and "http" not in page.replace("http-equiv", "")


def test_failures_are_shown_with_what_repeats_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    true_run = random_cases.Bench.run

    def run(self, case):
        outcome = true_run(self, case)
        return type(outcome)(case, "program", "planted <fault>") if case.index == 3 else outcome

    monkeypatch.setattr(random_cases.Bench, "run", run)
    files = {name: tmp_path / f"out.{name}" for name in ("json", "junit", "html")}
    options = [word for name, path in files.items() for word in (f"--{name}", str(path))]
    assert regress(tmp_path / "work", "--random", "5", *options) == 1
    told = capsys.readouterr().err
    assert "FAILED random/0-000003" in told and "repeat: tensaw regress --seed 0 --index 3\n" in told
    (failed,) = json.loads(files["json"].read_text())["failed"]
    assert failed["command"] == "tensaw regress --seed 0 --index 3"
    assert "planted &lt;fault&gt;" in files["html"].read_text()
    (failure,) = ElementTree.parse(files["junit"]).getroot().iter("failure")
    assert failure.text and "repeat: tensaw regress" in failure.text


def test_an_interrupted_regression_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[int] = []
    true_run = random_cases.Bench.run

    def run(self, case):
        if case.index == 20 and 20 not in ran:
            ran.append(case.index)
            raise KeyboardInterrupt
        ran.append(case.index)
        return true_run(self, case)

    monkeypatch.setattr(random_cases.Bench, "run", run)
    assert regress(tmp_path, "--random", "40") == 130
    captured = capsys.readouterr()
    assert "`--resume` with the same options goes on from here" in captured.err
    assert "2 jobs were not done" in captured.out
    # What was being written when it ended is left out.
    with open(tmp_path / "results.jsonl", "a") as file:
        file.write('{"job": "random/0-0000')
    assert regress(tmp_path, "--random", "40", "--resume", "--json", str(tmp_path / "out.json")) == 0
    assert json.loads((tmp_path / "out.json").read_text())["cases"] == 40
    assert sorted(ran) == sorted([*range(40), *range(16, 21)])


def test_nothing_new_begins_after_the_time_limit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert regress(tmp_path, "--random", "64", "--time-limit", "1e-6") == 0
    assert "jobs were not done; `--resume` does them." in capsys.readouterr().out


def test_several_processes(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    arguments = ["--golden", "--jobs", "2", "--random", "40", "--work", str(tmp_path), "--json", str(out)]
    assert main(["regress", *arguments]) == 0
    assert json.loads(out.read_text())["cases"] == 40


@pytest.mark.filterwarnings("ignore")
def test_a_cluster_of_two_workers_gives_the_same(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed", reason="the package distributed is not installed")
    found = {}
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None, local_directory=str(tmp_path)
    ) as cluster:
        for name, options in {"cluster": ["--dask", cluster.scheduler_address], "here": []}.items():
            out = tmp_path / f"{name}.json"
            assert regress(tmp_path / name, "--random", "40", "--seed", "3", "--json", str(out), *options) == 0
            values = json.loads(out.read_text())
            found[name] = {key: values[key] for key in ("cases", "passed", "skipped", "configurations", "operators")}
    assert found["cluster"] == found["here"] and found["here"]["cases"] == 40


def test_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def refused(*arguments: str) -> str:
        return mistake(capsys, "--work", str(tmp_path / "work"), *arguments)

    assert refused() == (
        "tensaw: There is nothing to check: give --full or the number of checks of a part, such as --random 200."
    )
    assert "--jobs must be 1 or more, not 0." in refused("--random", "1", "--jobs", "0")
    assert "--time-limit must be more than 0 minutes, not -1." in refused("--random", "1", "--time-limit", "-1")
    assert "There is no configuration 'none'; choose from " in refused("--random", "1", "--configs", "none")
    assert "The number of random cases must be 0 or more, not -1." in refused("--random", "-1")
    (tmp_path / "file").write_text("")
    assert "for the regression's results cannot be used" in mistake(
        capsys, "--random", "1", "--work", str(tmp_path / "file")
    )


def test_only_the_same_regression_is_resumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert regress(tmp_path, "--random", "1") == 0
    told = mistake(capsys, "--random", "1", "--seed", "2", "--golden", "--work", str(tmp_path), "--resume")
    assert "records a regression that was asked for something else (seed)." in told
    (tmp_path / "results.jsonl").write_text("no record\n")
    told = mistake(capsys, "--random", "1", "--work", str(tmp_path), "--resume")
    assert "is not the record of a regression, so there is nothing to resume; leave out --resume." in told


def test_without_a_scheduler(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("distributed", reason="the package distributed is not installed")
    told = mistake(capsys, "--random", "1", "--work", str(tmp_path), "--dask", "tcp://127.0.0.1:9")
    assert "No Dask scheduler answers at 'tcp://127.0.0.1:9'" in told
