"""``tensaw board``: on a golden board, and what does not fit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tensaw.boards.definitions import BOARDS
from tensaw.boards.pages import TRIED
from tensaw.cli.main import main
from tensaw.harness.golden_board import GoldenBoard
from tensaw.spec.config import PRESETS

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits" / "digits_int8.tflite"


def run_json(path: Path, *arguments: str, code: int = 0) -> dict:
    assert main([*arguments, "--json", str(path)]) == code
    return json.loads(path.read_text())


def test_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = run_json(tmp_path / "j", "board", "list")
    assert [board["name"] for board in values["boards"]] == list(BOARDS) == list(TRIED)
    told = capsys.readouterr().out
    assert "32 MiB SDRAM, 16 bits" in told and "no Vivado at hand" in told


def test_info(port: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = run_json(tmp_path / "j", "board", "info", "--device", port)
    assert values["config"] == PRESETS["small"].to_dict() and values["clock_mhz"] == 100.0
    assert values["damaged_frames"] == 0 and "ulx3s-85f" in capsys.readouterr().out


def test_test(port: str, board: GoldenBoard, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = run_json(tmp_path / "j", "board", "test", "--device", port, "--memory", "4096", "--model", str(DIGITS))
    assert (
        values["passed"]
        and len(values["steps"]) == 8
        and "digits_int8.tflite: 10 values" in values["steps"][-1]["text"]
    )
    assert "ulx3s-85f works: all 8 steps passed." in capsys.readouterr().out
    board.stuck.append((100, 1, 1))
    values = run_json(tmp_path / "j", "board", "test", "--device", port, "--memory", "4096", code=1)
    assert not values["passed"] and values["steps"][-1]["step"] == "memory"
    told = capsys.readouterr().out.splitlines()
    assert told[-3].startswith("FAILED memory: Bit 1 of the byte at 0x64 always reads 1")
    assert told[-2].startswith("What it means: The cell is stuck,")
    assert told[-1].startswith("What to check: Look at the solder joints of the memory")


def test_bench(port: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = run_json(tmp_path / "j", "board", "bench", "--device", port, "--bytes", "5000")
    assert values["bytes"] == 5000 and values["line_bytes_per_second"] == 300_000 and values["resent"] == 0
    assert "of the line's rate" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bench", "--device", "x", "--bytes", "10"], "--bytes must be at least 1024, not 10."),
        (["info", "--device", "ttyNONE"], "There is no port 'ttyNONE': connect the board, or look for its name with"),
        (["sim", "ulx4s"], "There is no board 'ulx4s'; the boards are ulx3s-85f, "),
        (["sim", "arty-a7-100t"], "There is no virtual arty-a7-100t: the primitives of its family (xilinx7) have no"),
        (["sim", "ulx3s-85f", "--drop", "2"], "The fault drop must be a probability of 0 to 0.5, not 2.0."),
        (["sim", "ulx3s-85f", "--stuck-bit", "1:2"], "--stuck-bit must be of the form BYTE:BIT:VALUE, such as"),
        (["sim", "ulx3s-85f", "--stuck-pe", "a"], "--stuck-pe must be of the form ROW:COLUMN:BIT:VALUE, such as"),
        (["sim", "ulx3s-85f", "--stuck-pe", "0:0:70:1"], "70:1 must be a bit of its sum, and 0 or 1."),
        (["sim", "ulx3s-85f", "--baud", "20000000"], "runs at 20,000,000 baud, which needs a clock of at least 120"),
    ],
)  # fmt: skip
def test_what_does_not_fit(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["board", *arguments]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
