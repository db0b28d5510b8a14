"""``tensaw estimate`` and ``tensaw bench``: tables, JSON, files; the simulation replaced by the golden model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tensaw.bench.vela import VELA_HINT, find_vela
from tensaw.cli import calls
from tensaw.cli.main import main
from tensaw.runtime import RunResult, Session
from tensaw.spec.program import Program

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits"
MODEL = str(DIGITS / "digits_int8.tflite")


class Simulated:
    """A session whose outputs are the golden model's, and whose cycles are the estimate's."""

    wrong = False

    def __init__(self, program: Program) -> None:
        self.program = program

    def __enter__(self) -> Simulated:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def run(self, inputs: Mapping[str, np.ndarray]) -> RunResult:
        with Session(self.program, "golden") as session:
            outputs = session.run(inputs).outputs
        result = calls.estimate_program(self.program, 32, 8)
        result.outputs = {name: array + 1 if self.wrong else array for name, array in outputs.items()}
        return result


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> type[Simulated]:
    def open_session(program: Program, backend: str, **_: Any) -> Simulated:
        assert backend == "verilator"
        return Simulated(program)

    monkeypatch.setattr(calls, "open_session", open_session)
    monkeypatch.setattr(calls, "check_tools", lambda backend: None)
    monkeypatch.setattr(Simulated, "wrong", False)
    return Simulated


def run_json(path: Path, *arguments: str, code: int = 0) -> dict[str, Any]:
    assert main([*arguments, "--json", str(path)]) == code
    return json.loads(path.read_text())


def test_estimate_gives_the_documented_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = run_json(tmp_path / "e.json", "estimate", MODEL)
    assert values["command"] == "estimate" and values["config"]["name"] == "base"
    assert values["cycles"] == sum(layer["cycles"] for layer in values["layers"]) > 0
    assert 0 < values["utilization"] < 1
    for layer in values["layers"]:
        assert layer["cycles"] == sum(layer["states"].values())
        assert layer["bound_by"] in {"nothing", *layer["states"]}
    text = capsys.readouterr().out
    assert "bound by" in text and f"about {values['cycles']:,} cycles" in text


def test_estimate_knows_configurations_and_memories(tmp_path: Path) -> None:
    cycles = [
        run_json(tmp_path / "e.json", "estimate", MODEL, *options)["cycles"]
        for options in (
            (),
            ("--read-latency", "100"),
            ("--set", "columns=12", "--set", "requant_lanes=12"),
            ("--config", "nano"),
        )
    ]
    assert cycles == sorted(set(cycles))


def test_estimate_writes_report_and_trace(tmp_path: Path) -> None:
    report, trace = tmp_path / "e.html", tmp_path / "e.json"
    assert main(["estimate", MODEL, "--report", str(report), "--trace", str(trace)]) == 0
    assert "the cycle model" in report.read_text()
    assert json.loads(trace.read_text())["traceEvents"]


def test_estimate_refuses_an_impossible_memory(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["estimate", MODEL, "--read-latency", "0"]) == 2
    assert "read_latency of the simulated memory must be between 1 and 100000, not 0." in " ".join(
        capsys.readouterr().err.split()
    )


def test_bench_by_estimate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drawing = tmp_path / "b.svg"
    values = run_json(
        tmp_path / "b.json", "bench", MODEL, "--estimate", "--compare", "--plot", str(drawing), "--set", "rows=12"
    )
    (network,) = values["networks"]
    assert values["source"] == network["source"] == "estimate" and network["matches_golden"] is None
    assert network["cycles"] > network["limit"] > 0
    assert {"SCALE-Sim WS", "SCALE-Sim OS"} <= set(network["compared"])
    assert drawing.read_text().startswith("<svg")
    text = capsys.readouterr().out
    assert "by the cycle model" in text and "other designs for the same files" in text
    assert (VELA_HINT in text) == (find_vela() is None)


def test_bench_simulates_and_compares_bytes(tmp_path: Path, simulated: type[Simulated]) -> None:
    (network,) = run_json(tmp_path / "b.json", "bench", MODEL)["networks"]
    assert network["source"] == "rtl" and network["matches_golden"] is True and network["compared"] == {}
    simulated.wrong = True
    (network,) = run_json(tmp_path / "b.json", "bench", MODEL, code=1)["networks"]
    assert network["matches_golden"] is False


def test_bench_refuses_before_any_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", str(tmp_path), "--estimate"]) == 2
    assert "There is no network in" in capsys.readouterr().err
    assert main(["bench", MODEL, "--plot", str(tmp_path / "none" / "b.svg")]) == 2
    assert "cannot be written" in capsys.readouterr().err
    assert main(["bench", MODEL, "--plot", str(tmp_path / "b.jpg")]) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert error == f"tensaw: --plot draws .svg and .png files; {str(tmp_path / 'b.jpg')!r} ends in neither."
    assert list(tmp_path.iterdir()) == []
