"""``python -m tensaw.verify.bench``: what it says, how it ends, and a file of one's own in the place of a block."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from tensaw.spec.errors import InputError
from tensaw.verify import simulate
from tensaw.verify.bench import main
from tensaw.verify.blocks import BLOCKS, bench_config, block_named
from tensaw.verify.elaborate import elaborate
from tensaw.verify.results import BenchRun, BenchTest, merge, missing
from tensaw.verify.simulate import library_path, run_bench

needs_icarus = pytest.mark.skipif(not shutil.which("iverilog"), reason="Icarus Verilog is not installed")


@pytest.fixture
def verilog() -> str:
    return elaborate(BLOCKS["pe"], bench_config("nano")).verilog


def test_the_list_names_every_block(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()] == list(BLOCKS)


@needs_icarus
def test_a_good_block(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    assert main(["pe", "--seed", "7", "--coverage", "--json", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and all(line.startswith("pass  pe nano icarus seed 7: ") for line in lines)
    (run,) = json.loads(path.read_text())
    assert run["passed"] and run["coverage"]["pe.exchange"]["load, swap"] > 0
    assert run["command"] == "python -m tensaw.verify.bench pe --config nano --sim icarus --seed 7"


@needs_icarus
def test_a_mutant_is_noticed_and_the_first_failure_ends_the_run(
    verilog: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "mutant.v"
    assert "$signed(psum_in) + " in verilog
    path.write_text(verilog.replace("$signed(psum_in) + ", "$signed(psum_in) - "))
    assert main(["pe", "--verilog", str(path)]) == 1
    output = capsys.readouterr().out
    assert output.count("FAIL") == 1 and "AssertionError: cycle" in output
    assert (
        f"repeat with: python -m tensaw.verify.bench pe --config nano --sim icarus --seed 0 --verilog {path}" in output
    )


@needs_icarus
def test_waves(tmp_path: Path) -> None:
    assert main(["pe", "--test", "reset", "--waves", str(tmp_path / "waves")]) == 0
    assert (tmp_path / "waves" / "pe.fst").stat().st_size > 100


@needs_icarus
def test_a_hang_is_ended(verilog: str, tmp_path: Path) -> None:
    path = tmp_path / "loop.v"
    loop = "  reg spin = 1'b0;\n  always @(posedge clk) while (!spin) spin = 1'b0;\nendmodule"
    path.write_text(verilog.replace("endmodule", loop, 1))
    run = run_bench(BLOCKS["pe"], verilog=path, limit=3)
    assert not run.passed and run.trouble.startswith("the simulator ended without results")
    assert run.failure == run.trouble


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["nothing"], "There is no bench for a block 'nothing'; there are benches for pe, systolic_array, "),
        (["pe", "--config", "huge"], "There is no configuration 'huge' for benches; there are nano, small, "),
        (["pe", "--verilog", "missing.v"], "The Verilog file 'missing.v' cannot be read: No such file or directory."),
    ],
)
def test_mistakes_are_explained(arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.startswith(text) and captured.err.count("\n") == 1


@needs_icarus
def test_what_does_not_compile(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "broken.v"
    path.write_text("module tensaw_processing_element (\n")
    assert main(["pe", "--verilog", str(path)]) == 2
    assert capsys.readouterr().err.startswith("The simulator of the block pe could not be built: ")


def test_an_unknown_simulator() -> None:
    with pytest.raises(InputError, match="The simulator must be one of icarus, verilator, not 'vcs'."):
        run_bench(block_named("pe"), simulator="vcs")


def test_an_installed_package_has_no_benches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(simulate, "__file__", str(tmp_path / "a" / "b" / "c" / "simulate.py"))
    with pytest.raises(InputError, match="in the repository of tensaw, not in the installed package. Clone"):
        simulate.bench_directory()


def test_coverage_of_several_runs_adds_up() -> None:
    total = merge([{"a.x": {"1": 2, "2": 0}}, {"a.x": {"1": 1, "2": 0}, "a.y": {"low": 0}}, {"a.y": {"low": 4}}])
    assert total == {"a.x": {"1": 3, "2": 0}, "a.y": {"low": 4}}
    assert missing(total) == ["a.x: 2"]


def test_a_run_without_tests_has_not_passed() -> None:
    assert not BenchRun("pe", "nano", "icarus", 0, "", 0.0).passed
    failed = BenchRun("pe", "nano", "icarus", 0, "", 0.0, (BenchTest("a", "", 0, 0), BenchTest("b", "oh", 0, 0)))
    assert not failed.passed and failed.failure == "b: oh"


def test_simulators_find_the_libraries_of_this_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """One in the cache may have been built by another environment, which is gone."""
    monkeypatch.setenv("LD_LIBRARY_PATH", "/elsewhere")
    own, other = library_path().split(os.pathsep)
    assert list(Path(own).glob("libcocotbvpi_*.so")) and other == "/elsewhere"
