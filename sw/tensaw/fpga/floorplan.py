"""What an ECP5's netlist gets before place and route: sites for block RAMs and multipliers, trimmed carry chains."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tensaw.boards.board import Board
from tensaw.fpga.carries import trim_carries
from tensaw.fpga.placed import tile_of
from tensaw.fpga.placement import AREA, Graph, Grid, place_macros
from tensaw.fpga.tools import find_tool, run
from tensaw.harness.cache import cached, digest
from tensaw.spec.errors import ToolError

__all__ = ["floorplan", "macro_sites"]

_MACROS = {"DP16KD": "block RAM", "MULT18X18D": "DSP"}
"""Kinds of cells that get sites, and the name of the resource."""
_TIGHT = {
    ("CCU2C", "COUT"): 4.0,
    **{port: 3.0 for port in (("PFUMX", "ALUT"), ("PFUMX", "BLUT"), ("L6MUX21", "D0"), ("L6MUX21", "D1"))},
}
"""Weight of nets within carry chains and wide functions, whose cells stay together, by a cell's kind and port."""
_THROUGH = 4.0
"""Weight of nets of a multiplier without registers: both its wires and what is between are in one path. Not so in a
crowded device, where wires are scarce."""
_MOST_PINS = 400
"""Nets of more cells say nothing of places: clocks and resets."""

_GATHERED, _SPREAD = 0.75, 0.6
"""What logic may fill of a tile in a device that is not crowded, and in one that is, where it is spread over the whole
device; where that does not suffice, all tiles are filled alike."""

Netlist = dict[str, Any]


def floorplan(
    board: Board, source: Path, target: Path, seed: int, crowded: bool, log: Path,
    progress: Callable[[int, int], None] | None = None,
) -> None:  # fmt: skip
    """Write the netlist ``source`` (Yosys's JSON) to ``target``, its macros with the attribute BEL, its carry chains
    trimmed. ``crowded``: see :func:`tensaw.fpga.fit.crowded`."""
    netlist = json.loads(source.read_text())
    top = _top(netlist)
    cells = top["cells"]
    trim_carries(cells, {bit for port in top["ports"].values() for bit in port["bits"]})
    sites = macro_sites(board, log)
    names, graph = _graph(cells, 1.0 if crowded else _THROUGH)
    grid = _grid(sites)
    density = _SPREAD if crowded else _GATHERED
    for kind, chosen in place_macros(graph, grid, seed, density, progress).items():
        for cell, site in zip(graph.macros[kind], chosen, strict=True):
            cells[names[cell]]["attributes"]["BEL"] = sites[kind][site]
    target.write_text(json.dumps(netlist))


def _top(netlist: Netlist) -> Netlist:
    return next(module for module in netlist["modules"].values() if int(module["attributes"].get("top", "0"), 2))


def macro_sites(board: Board, log: Path) -> dict[str, list[str]]:
    """Names of all sites of each kind, as nextpnr says them for a design that uses every one; cached."""
    yosys, nextpnr = find_tool("yosys"), find_tool("nextpnr-ecp5")
    counts = {kind: board.resources[resource] for kind, resource in _MACROS.items()}
    arguments = [*board.nextpnr, "--json", "all.json", "--lpf-allow-unconstrained", "--no-route", "--no-tmdriv"]
    ports = {
        "DP16KD": ".DIA0(d), .CLKA(c), .WEA(d), .CEA(1'b1), .CLKB(c), .DOB0(w[i + {start}])",
        "MULT18X18D": ".A0(d), .B0(d), .CLK0(c), .P0(w[i + {start}])",
    }
    parts, start = [], 0
    for kind, count in counts.items():
        connections = ports[kind].format(start=start)
        parts.append(f"for (i = 0; i < {count}; i = i + 1) begin : g{start} (* keep *) {kind} u ({connections}); end")
        start += count
    verilog = (
        f"module all(input c, input d, output q); wire [{start - 1}:0] w; genvar i;\n"
        f"generate {' '.join(parts)} endgenerate assign q = ^w; endmodule\n"
    )

    def make(place: Path) -> None:
        (place / "all.v").write_text(verilog)
        run(yosys, ["-q", "-p", "read_verilog all.v; synth_ecp5 -top all -json all.json"], place, log)
        run(nextpnr, [*arguments, "--write", "placed.json"], place, log)
        found: dict[str, list[str]] = {kind: [] for kind in counts}
        try:
            placed = json.loads((place / "placed.json").read_text())
        except (OSError, ValueError):
            raise ToolError(f"{nextpnr.name} wrote no placed design. The whole log is in {str(log)!r}.") from None
        for cell in _top(placed)["cells"].values():
            if cell["type"] in found:
                found[cell["type"]].append(cell["attributes"]["NEXTPNR_BEL"])
        (place / "sites.json").write_text(json.dumps({kind: sorted(names) for kind, names in found.items()}))

    key = digest({"verilog": verilog, "script": " ".join([*arguments, yosys.version, nextpnr.version])})
    return json.loads((cached("sites", key, make) / "sites.json").read_text())


def _grid(sites: dict[str, list[str]]) -> Grid:
    """The device as its sites show it: they reach from side to side, and rows of logic lie between their rows."""
    places = {kind: np.array([tile_of(name) for name in names], dtype=np.float64) for kind, names in sites.items()}
    every = np.concatenate(list(places.values()))
    taken = sorted({int(row) for row in every[:, 1]})
    height = taken[-1] + taken[0] + 1
    room = np.ones(height)
    room[taken] = 0
    return Grid(int(every[:, 0].max() + every[:, 0].min()) + 1, height, room, places)


def _graph(cells: Netlist, through: float) -> tuple[list[str], Graph]:
    """Names of the cells, and what connects them; ``through`` is the weight of nets of a multiplier without
    registers."""
    names: list[str] = []
    members: dict[int, set[int]] = defaultdict(set)
    weights: dict[int, float] = {}
    macros: dict[str, list[int]] = {kind: [] for kind in _MACROS}
    area = []
    for name, cell in cells.items():
        kind = cell["type"]
        if kind in macros:
            macros[kind].append(len(names))
        registers = (value for name, value in cell.get("parameters", {}).items() if re.match(r"REG_.*_CLK", name))
        least = through if kind == "MULT18X18D" and all(value == "NONE" for value in registers) else 1.0
        for port, bits in cell["connections"].items():
            for bit in bits:
                if isinstance(bit, int):
                    members[bit].add(len(names))
                    weights[bit] = max(weights.get(bit, 1.0), _TIGHT.get((kind, port), least))
        names.append(name)
        area.append(AREA.get(kind, 0.0))
    nets = [(sorted(group), weights[bit]) for bit, group in members.items() if 2 <= len(group) <= _MOST_PINS]
    return names, Graph(
        area=np.array(area),
        macros={kind: np.array(found, dtype=np.int64) for kind, found in macros.items() if found},
        net=np.repeat(np.arange(len(nets)), [len(group) for group, _ in nets]),
        cell=np.array([cell for group, _ in nets for cell in group], dtype=np.int64),
        weight=np.array([weight for _, weight in nets]),
    )
