"""The device under test on its pseudo-terminal: with pyserial, and with the code of the benchmark's own runner."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import serial

from tensaw.cli.main import main
from tensaw.compiler.frontends import load
from tensaw.compiler.pipeline import compile_graph
from tensaw.mlperf.benchmarks import benchmark_of
from tensaw.mlperf.engine import SessionEngine
from tensaw.mlperf.protocol import DeviceUnderTest
from tensaw.mlperf.serve import PseudoTerminal, serve
from tensaw.model.graph import run_graph
from tensaw.runtime import Session
from tensaw.spec.config import PRESETS
from tensaw.spec.errors import InputError

KWS = "mlperf_tiny/kws_dscnn_int8.tflite"


@contextmanager
def served(models: Path, backend: str = "golden") -> Iterator[str]:
    """The keyword network behind a terminal; its name."""
    program = compile_graph(load(models / KWS), PRESETS["small"])
    with Session(program, backend, optimise="build") as session, PseudoTerminal() as port:
        device = DeviceUnderTest(
            SessionEngine(session, 50e6, simulated=True), benchmark_of(program), "npu", program.inputs[0],
            program.outputs[0],
        )  # fmt: skip
        server = threading.Thread(target=serve, args=(device, port, 2.0))
        server.start()
        yield port.name
        server.join()


def test_with_pyserial(models: Path) -> None:
    with served(models) as name, serial.Serial(name, 115200, timeout=5) as port:
        port.write(b"profile%")
        answer = b""
        while b"m-ready" not in answer:
            answer += port.read(1)
        assert b"m-model-[kws01]\r\n" in answer


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder ``benchmark/runner`` of a clone of mlcommons/tiny, which TENSAW_MLPERF_TINY names; never a copy."""
    clone = os.environ.get("TENSAW_MLPERF_TINY")
    if not clone:
        pytest.skip("set TENSAW_MLPERF_TINY to a clone of github.com/mlcommons/tiny to test with its runner's code")
    folder = Path(clone) / "benchmark" / "runner"
    monkeypatch.syspath_prepend(str(folder))
    return folder


@pytest.mark.parametrize("backend", ["golden", "verilator"])
def test_with_the_runners_own_device_code(runner: Path, models: Path, backend: str) -> None:
    """Accuracy mode loads and infers once, performance mode many times; the parsing is the runner's."""
    dut_class = importlib.import_module("device_under_test").DUT
    data = np.load(models / "mlperf_tiny/reference_outputs/kws_dscnn_int8.npz")
    with served(models, backend) as name, dut_class(name, 115200) as dut:
        assert dut.get_name() == "npu" and dut.get_model() == "kws01"
        for number in (0, 8):
            dut.load(data["inputs"][number].tobytes())
            lines = dut.infer(70, 10)
            output = data["outputs"][number].reshape(-1)
            wanted = ",".join(f"{(int(value) + 128) / 256:0.3f}" for value in output)
            assert f"m-results-[{wanted}]" in lines
            laps = [int(line.removeprefix("m-lap-us-")) for line in lines if line.startswith("m-lap-us-")]
            assert len(laps) == 2 and (laps[1] > laps[0]) == (backend != "golden")


def test_the_whole_command(runner: Path, models: Path, tmp_path: Path) -> None:
    link = tmp_path / "dut"
    command = [
        sys.executable, "-m", "tensaw.cli.main", "mlperf-dut", str(models / KWS), "--sim", "golden",
        "--link", str(link), "--quiet-seconds", "3",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("kws01 on tensaw base 16x16, simulated in golden: ")
        dut_class = importlib.import_module("device_under_test").DUT
        with dut_class(str(link), 115200) as dut:
            assert dut.get_name() == "tensaw base 16x16, simulated in golden"
        assert process.wait(20) == 0 and not link.is_symlink()


def test_time_of_a_simulation_is_cycles_by_clock(models: Path, rng: np.random.Generator) -> None:
    graph = load(models / KWS)
    program = compile_graph(graph, PRESETS["small"])
    value = rng.integers(-128, 128, (1, 49, 10, 1), np.int8)
    with Session(program, optimise="build") as session:
        cycles = session.run({program.inputs[0].name: value}).cycles
        engine = SessionEngine(session, 50e6, simulated=True)
        output, seconds = engine.infer(value, 70)
        assert engine.cycles == cycles and seconds == pytest.approx(70 * cycles / 50e6)
        (golden,) = run_graph(graph, {program.inputs[0].tensor: value}).values()
        np.testing.assert_array_equal(output.reshape(-1), golden.reshape(-1))


@pytest.mark.parametrize("clock", [0.0, -1.0, 1e12])
def test_impossible_clocks(models: Path, clock: float) -> None:
    program = compile_graph(load(models / KWS), PRESETS["small"])
    with Session(program, "golden") as session, pytest.raises(InputError, match="The clock must be between 0.001 and"):
        SessionEngine(session, clock, simulated=True)


def test_a_link_that_cannot_be_made(tmp_path: Path, models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    taken = tmp_path / "taken"
    taken.write_text("")
    assert main(["mlperf-dut", str(models / KWS), "--sim", "golden", "--link", str(taken)]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "The link" in told and "Give a path that does not exist in a folder that you may write to." in told
    assert taken.read_text() == ""
