"""Logic on late paths that must move together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tensaw.fpga.moves import Moves
from tensaw.fpga.placed import Placed
from tensaw.fpga.tiles import Tiles
from tensaw.fpga.timing import Timing


def register(x: int, y: int, inward: int, outward: int) -> dict[str, Any]:
    return {
        "type": "TRELLIS_FF", "parameters": {}, "attributes": {"NEXTPNR_BEL": f"X{x}/Y{y}/SLICEA.FF0"},
        "port_directions": {"M": "input", "Q": "output"}, "connections": {"M": [inward], "Q": [outward]},
    }  # fmt: skip


def lut(x: int, y: int, inward: list[int], outward: int) -> dict[str, Any]:
    pins = dict(zip("ABCD", ([net] for net in inward), strict=False))
    return {
        "type": "TRELLIS_COMB", "parameters": {}, "attributes": {"NEXTPNR_BEL": f"X{x}/Y{y}/SLICEA.K0"},
        "port_directions": {**dict.fromkeys(pins, "input"), "F": "output"}, "connections": {**pins, "F": [outward]},
    }  # fmt: skip


def test_a_cone_of_logic_follows_its_register(tmp_path: Path) -> None:
    """Four LUTs, a fifth behind them and its register lie far from the registers before and behind them. Each alone
    would win nothing, nor would those of one path: the other LUTs would be left behind."""

    def memory(x: int, y: int, port: str, net: int) -> dict[str, Any]:  # holds a register where it is
        return {
            "type": "DP16KD", "parameters": {}, "attributes": {"NEXTPNR_BEL": f"X{x}/Y{y}/EBR0"},
            "port_directions": {port: "output" if port == "DOB0" else "input"}, "connections": {port: [net]},
        }  # fmt: skip

    cells = {
        "both": lut(71, 61, [11, 12, 13, 14], 20),
        "end": register(71, 62, 20, 21),
        "behind": register(10, 14, 21, 22),
    }
    cells["to"] = memory(6, 14, "DIA0", 22)
    for number in range(1, 5):
        cells[f"start{number}"] = register(10, 7 + number, 30 + number, number)
        cells[f"lut{number}"] = lut(69 + number, 60, [number], 10 + number)
        cells[f"from{number}"] = memory(6, 7 + number, "DOB0", 30 + number)
    top = {"attributes": {"top": "1"}, "settings": {}, "cells": cells}
    (tmp_path / "x.json").write_text(json.dumps({"modules": {"top": top}}))
    placed = Placed(tmp_path / "x.json")
    timing, tiles = Timing(placed), Tiles(placed)
    before = float(timing.lengths(timing.arrivals()).max())
    moves = Moves(placed, timing, tiles)
    moves.improve(8000)
    after = float(timing.lengths(timing.arrivals()).max())
    assert before > 10_000 and after <= 8000 and moves.done >= 6
    assert tiles.legal()
    where = dict(zip(placed.names, placed.x.tolist(), strict=True))
    assert all(where[name] < 50 for name in ("lut1", "lut2", "lut3", "lut4", "both", "end"))
