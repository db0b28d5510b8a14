"""Tools that stand in for Yosys, nextpnr and the packers: they write what those write, at once."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

YOSYS = """
import json, sys
if "--version" in sys.argv: print("Yosys 0.70 (stand-in)"); sys.exit()
print("2.1. Executing HIERARCHY pass (managing design hierarchy).")
wires = lambda **ports: {name: [bit] for name, bit in ports.items()}
cells = {
    "memory": {"type": "DP16KD", "attributes": {}, "connections": wires(DIA0=2, DOA0=3)},
    "product": {"type": "MULT18X18D", "attributes": {}, "connections": wires(A0=3, P0=4)},
    "lut": {"type": "LUT4", "attributes": {}, "connections": wires(A=4, Z=2)},
}
for cell in cells.values():
    direction = lambda port: "output" if port in ("DOA0", "P0", "Z") else "input"
    cell["port_directions"] = {port: direction(port) for port in cell["connections"]}
netlist = {"creator": "stand-in", "modules": {"top": {"attributes": {"top": "1"}, "ports": {}, "cells": cells}}}
for name in ("tensaw_board.json", "all.json"):
    json.dump(netlist, open(name, "w"))
json.dump({"design": {"num_cells_by_type": CELLS}}, open("cells.json", "w"))
"""
NEXTPNR = """
import json, sys, time
if "--version" in sys.argv: print("nextpnr-ecp5 -- Version 0.11"); sys.exit()
option = lambda name: sys.argv[sys.argv.index(name) + 1]
print("Info: Packing LUTs..")
print("Info: Routing..")
source = json.load(open(option("--json")))
if option("--json") == "all.json":  # sites of macros
    cells = [("DP16KD", "X4/Y9/EBR0"), ("DP16KD", "X9/Y9/EBR1"), ("MULT18X18D", "X5/Y4/MULT18_1")]
    site = lambda kind, bel: {"type": kind, "attributes": {"NEXTPNR_BEL": bel}}
    placed = {str(number): site(*cell) for number, cell in enumerate(cells)}
    json.dump({"modules": {"all": {"attributes": {"top": "1"}, "cells": placed}}}, open(option("--write"), "w"))
    sys.exit()
if "--no-place" not in sys.argv and "--no-tmdriv" not in sys.argv:
    cells = source["modules"]["top"]["cells"].values()
    assert all("BEL" in cell["attributes"] for cell in cells if cell["type"] != "LUT4")
aim = float(option("--freq"))
if "--write" in sys.argv:  # three flip-flops in a row, the one in the middle far away
    flipflop = lambda bel, d, q: {
        "type": "TRELLIS_FF", "parameters": {}, "attributes": {"NEXTPNR_BEL": bel},
        "port_directions": {"M": "input", "Q": "output"}, "connections": {"M": [d], "Q": [q]}}
    cells = {"a": flipflop("X5/Y5/SLICEA.FF0", 3, 1), "b": flipflop("X80/Y90/SLICED.FF1", 1, 2),
             "c": flipflop("X6/Y5/SLICEB.FF1", 2, 3)}
    settings = {"target_freq": "%f" % (1e6 * aim), "router": "router2"}
    top = {"attributes": {"top": "1"}, "settings": settings, "cells": cells}
    json.dump({"modules": {"top": top}}, open(option("--write"), "w"))
    sys.exit()
if "--no-place" in sys.argv:
    (top,) = source["modules"].values()
    assert top["cells"]["b"]["attributes"]["NEXTPNR_BEL"].split("/")[1] == "Y5"
    assert not {"router", "target_freq"} & set(top["settings"])
seed = int(option("--seed"))
reached = SPEEDS[seed - 1]
second = "--router" in sys.argv and option("--router") == "router2"
if isinstance(reached, tuple):
    reached = reached[second]
if reached is None:
    for number in range(1, 500):
        left = max(300, 350 - number)
        print(f"Info:     iter={number} wires=900 overused={left} overuse=600" if second else
              f"Info: {1000 * number:10} |{number:9}{number:11} |{236:5}{764:6} |{left:10}|    0.58   9.00|")
    sys.stdout.flush()
    time.sleep(1000)
open(option("--textcfg"), "w").write(f"seed {seed}")
step = lambda kind, cell, delay: {"type": kind, "delay": delay, "from": {"cell": cell}, "to": {"cell": cell}}
path = [step("clk-to-q", "core.npu.array.feeder.x", 0.5), step("routing", "core.npu.array.feeder.x", 1.5),
        step("logic", "core.npu.output.lane_0.y_LUT4_Z", 0.3), step("setup", "core.npu.output.lane_0.y", 0.1)]
json.dump({
    "fmax": {"$glbnet$clk": {"achieved": reached, "constraint": aim}},
    "utilization": {"TRELLIS_COMB": {"used": 1000, "available": 83640}, "DP16KD": {"used": 60, "available": 208}},
    "critical_paths": [{"from": "posedge $glbnet$clk", "to": "posedge $glbnet$clk", "path": path},
                       {"from": "<async>", "to": "<async>", "path": [step("logic", "pad", 99.0)]}],
}, open(option("--report"), "w"))
"""
ECPPACK = """
import sys
if "--help" in sys.argv: print("Project Trellis ecppack 1.4"); sys.exit()
assert sys.argv[1] == "--compress"
open(sys.argv[3], "w").write("bitstream of " + open(sys.argv[2]).read())
"""


@pytest.fixture
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """``stand_ins(cells, speeds)``: tools on PATH; the netlist has these cells, seed i reaches speeds[i-1] MHz;
    with None its routing never ends, with two values each router has its own."""
    folder = tmp_path / "bin"

    def make(cells: dict[str, int], speeds: list[Any], **others: str) -> Path:
        folder.mkdir(exist_ok=True)
        texts = {
            "yosys": YOSYS.replace("CELLS", repr(cells)),
            "nextpnr-ecp5": NEXTPNR.replace("SPEEDS", repr(speeds)),
            "ecppack": ECPPACK,
            **others,
        }
        for name, text in texts.items():
            (folder / name).write_text(f"#!{sys.executable}\n{text}")
            (folder / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        return folder

    return make
