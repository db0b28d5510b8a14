"""``--device``: the commands on a golden board, which answers like a real one."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest

from tensaw.cli.main import main
from tensaw.compiler.frontends import load
from tensaw.compiler.pipeline import compile_graph
from tensaw.harness.golden_board import BoardTerminal, GoldenBoard
from tensaw.runtime import Session
from tensaw.runtime.link import connect
from tensaw.spec.config import PRESETS
from tensaw.spec.errors import DeviceError, InputError

MODEL = str(Path(__file__).resolve().parents[2] / "examples" / "digits" / "digits_int8.tflite")


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().err.split())


def test_run(port: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run.json"
    assert main(["run", MODEL, "--device", port, "--output", str(tmp_path / "y.npz"), "--json", str(path)]) == 0
    values = json.loads(path.read_text())
    assert values["matches_golden"] and values["sim"] == "board" and values["config"]["name"] == "small"
    assert values["device"] == {
        "board": "ulx3s-85f", "config": "small", "digest": f"0x{PRESETS['small'].digest:08x}", "build": "00" * 8,
        "clock_mhz": 100.0, "baud": 3_000_000, "memory_bytes": 1 << 18,
    }  # fmt: skip
    told = capsys.readouterr().out
    assert "1 of 1 run equal the golden model in every output byte." in told and "at the board's 100 MHz" in told
    assert main(["run", MODEL, "--device", port, "--config", "small"]) == 0


def test_a_board_with_another_configuration(port: str, board: GoldenBoard, capsys: pytest.CaptureFixture[str]) -> None:
    before = board.memory.copy()
    assert main(["run", MODEL, "--device", port, "--config", "nano"]) == 2
    assert said(capsys) == (
        f"tensaw: The program 'digits_int8.tflite' was compiled for the configuration 'nano' (digest "
        f"0x{PRESETS['nano'].digest:08x}), the board 'ulx3s-85f' has 'small' (0x{PRESETS['small'].digest:08x}): "
        "compile the model for the board's configuration, which `tensaw run` does by itself without --config."
    )
    assert (board.memory == before).all()
    assert main(["run", MODEL, "--device", port]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--device", "x", "--waves", "w.vcd"], "--waves is for simulations; a board at --device has none."),
        (["--device", "x", "--stalls", "0.1"], "--stalls is for simulations; a board at --device has none."),
        (["--device", "x", "--sim", "icarus"], "--sim is for simulations; a board at --device has none."),
        (["--baud", "9600"], "--baud is the rate of a board's serial port: give the port with --device."),
        (["--device", "x", "--report", "r.html"], "A board does not count each layer's, which --report would show"),
        (["--device", "x"], "There is no port 'x': connect the board, or look for its name with"),
    ],
)
def test_what_does_not_fit(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(["run", MODEL, *arguments]) == 2
    assert message in said(capsys)
    assert not os.listdir(tmp_path)


def test_the_same_interface_as_the_simulators(port: str, board: GoldenBoard, rng: np.random.Generator) -> None:
    graph = load(Path(MODEL))
    program = compile_graph(graph, PRESETS["small"])
    images = rng.integers(-128, 128, (3, 1, 8, 8, 1), np.int8)
    with Session(program, "golden") as golden, Session(program, "board", device=port) as session:
        for image in images:
            ours, theirs = golden.run({"image": image}), session.run({"image": image})
            np.testing.assert_array_equal(ours.outputs["digit"], theirs.outputs["digit"])
            assert theirs.counters["cycles"] == theirs.cycles > 0
    link = connect(port)
    with Session(program, "board", device=link) as session:
        session.run({"image": images[0]})
    assert link.read_memory(0, 4)  # what was open stays open
    link.close()
    with pytest.raises(InputError, match="The back end 'board' with device None does not fit: the back end 'board'"):
        Session(program, "board")
    with pytest.raises(InputError, match="The back end 'golden' with device 'x' does not fit"):
        Session(program, "golden", device="x")
    with pytest.raises(InputError, match="A board has no waveforms: choose the back end verilator or icarus."):
        Session(program, "board", device="x", waves="x.vcd")


def test_a_program_that_is_too_large_and_memory_that_it_must_not_write(port: str, board: GoldenBoard) -> None:
    program = compile_graph(load(Path(MODEL)), PRESETS["small"])
    board.stuck.append((5, 3, 0 if board.memory[5] & 8 else 1))
    with Session(program, "board", device=port) as session:
        # The filler of the guard below the first region.
        board.stuck[0] = (5, 3, 0 if session._filler[5] & 8 else 1)
        with pytest.raises(DeviceError, match="The run changed 1 bytes of memory that it must not write, the first at"):
            session.run({"image": np.zeros((1, 8, 8, 1), np.int8)})


def test_a_memory_that_is_too_small(board: GoldenBoard) -> None:
    tiny = GoldenBoard(dataclasses.replace(board.identity, memory_bytes=4096))
    program = compile_graph(load(Path(MODEL)), PRESETS["small"])
    with BoardTerminal(tiny) as terminal, pytest.raises(InputError) as error:
        Session(program, "board", device=terminal.port)
    assert "bytes of memory, but the board has 4,096: use a board with more memory, or a smaller network." in str(
        error.value
    )


def test_a_run_that_stops_with_an_error(port: str, board: GoldenBoard) -> None:
    program = compile_graph(load(Path(MODEL)), PRESETS["small"])
    with Session(program, "board", device=port) as session:
        board.memory[session.placement.regions[0] + program.program_offset :][: program.program_bytes] = 0
        with pytest.raises(DeviceError, match="The NPU stopped with ILLEGAL_COMMAND in "):
            session.run({"image": np.zeros((1, 8, 8, 1), np.int8)})
