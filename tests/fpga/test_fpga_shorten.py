"""Wires that get shorter after placement."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tensaw.fpga.placed import Placed
from tensaw.fpga.shorten import shorten
from tensaw.fpga.tiles import Tiles


def lut(site: str, inward: int, outward: int) -> dict[str, Any]:
    return {
        "type": "TRELLIS_COMB", "parameters": {}, "attributes": {"NEXTPNR_BEL": site},
        "port_directions": {"A": "input", "F": "output"}, "connections": {"A": [inward], "F": [outward]},
    }  # fmt: skip


def placed(folder: Path, cells: dict[str, Any]) -> Placed:
    top = {"attributes": {"top": "1"}, "settings": {}, "cells": cells}
    (folder / "x.json").write_text(json.dumps({"modules": {"top": top}}))
    return Placed(folder / "x.json")


def test_a_cell_goes_between_its_neighbours(tmp_path: Path) -> None:
    """Nine LUTs in a ring, one of them far away; those with a tile of their own stay."""
    sites = [f"X{5 + number}/Y5/SLICEA.K0" for number in range(8)] + ["X40/Y40/SLICED.K1"]
    design = placed(tmp_path, {str(n): lut(site, n, (n + 1) % 9) for n, site in enumerate(sites)})
    tiles = Tiles(design)
    result = shorten(design, tiles)
    assert result.before == 7 + (28 + 35) + (35 + 35) and result.after <= 2 * 7
    assert result.moves >= 1 and tiles.legal()
    assert 5 <= design.x[8] <= 12 and design.y[8] == 5
    # Once more there is nothing left to gain.
    assert shorten(design, tiles).before == result.after


def test_full_tiles_are_left_alone(tmp_path: Path) -> None:
    """All lanes of the best tile are taken by cells that are as far from elsewhere."""
    cells = {f"full{n}": lut(f"X5/Y5/SLICE{'ABCD'[n // 2]}.K{n % 2}", 100 + n, 200 + n) for n in range(8)}
    cells["a"] = lut("X5/Y9/SLICEA.K0", 1, 2)
    cells["b"] = lut("X5/Y1/SLICEA.K0", 2, 1)
    design = placed(tmp_path, cells)
    tiles = Tiles(design)
    shorten(design, tiles)
    assert tiles.legal()
    # Both can only meet at one's tile: the one between them is full.
    assert design.y[-2] == design.y[-1] != 5
