"""Trimmed carry chains do what they did before: proved, by Yosys's own equivalence check."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tensaw.fpga import carries
from tensaw.fpga.carries import trim_carries
from tensaw.fpga.tools import find_tool, run
from tensaw.spec.errors import ToolError

VERILOG = """
module top(input [8:0] a, input [8:0] b, output [8:0] sum, output [8:0] difference);
  assign sum = a + b;
  assign difference = a - b;
endmodule
"""
SYNTHESIS = "read_verilog a.v\nsynth_ecp5 -top top -json a.json"
CHECK = """
read_verilog a.v
proc
design -stash gold
read_json b.json
techmap -autoproc -map +/ecp5/cells_sim.v
proc
flatten
opt_clean
design -stash gate
design -copy-from gold -as gold top
design -copy-from gate -as gate top
equiv_make gold gate equiv
hierarchy -top equiv
equiv_simple -undef
equiv_status -assert
"""


def yosys(folder: Path, script: str) -> None:
    (folder / "s.ys").write_text(script)
    run(find_tool("yosys"), ["-s", "s.ys"], folder, folder / "log")


def netlist(folder: Path) -> dict:
    (folder / "a.v").write_text(VERILOG)
    yosys(folder, SYNTHESIS)
    return json.loads((folder / "a.json").read_text())


def trim(netlist: dict) -> tuple[int, int]:
    top = netlist["modules"]["top"]
    return trim_carries(top["cells"], {bit for port in top["ports"].values() for bit in port["bits"]})


def test_sums_stay_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = netlist(tmp_path)
    after = json.loads(json.dumps(before))
    assert trim(after) == (2, 2)
    (tmp_path / "b.json").write_text(json.dumps(after))
    yosys(tmp_path, CHECK)

    constant = carries._constant
    monkeypatch.setattr(carries, "_constant", lambda value, carry: constant("0", carry))
    assert trim(before) == (2, 2)
    (tmp_path / "b.json").write_text(json.dumps(before))
    with pytest.raises(ToolError):
        yosys(tmp_path, CHECK)


def test_a_second_time_nothing_is_left_to_trim(tmp_path: Path) -> None:
    cells = netlist(tmp_path)
    trim(cells)
    trimmed = json.dumps(cells)
    assert trim(cells) == (0, 0)
    assert json.dumps(cells) == trimmed


def test_carries_that_are_ports_stay(tmp_path: Path) -> None:
    top = netlist(tmp_path)["modules"]["top"]
    every = {bit for cell in top["cells"].values() for bits in cell["connections"].values() for bit in bits}
    assert trim_carries(top["cells"], every)[0] == 0
