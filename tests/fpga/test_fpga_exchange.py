"""Block RAMs that change places."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tensaw.fpga.exchange import exchange
from tensaw.fpga.placed import Placed
from tensaw.fpga.timing import Timing


def register(x: int, y: int, inward: int, outward: int) -> dict[str, Any]:
    return {
        "type": "TRELLIS_FF", "parameters": {}, "attributes": {"NEXTPNR_BEL": f"X{x}/Y{y}/SLICEA.FF0"},
        "port_directions": {"M": "input", "Q": "output"}, "connections": {"M": [inward], "Q": [outward]},
    }  # fmt: skip


def memory(x: int, written: int, read: int) -> dict[str, Any]:
    return {
        "type": "DP16KD", "parameters": {}, "attributes": {"NEXTPNR_BEL": f"X{x}/Y13/EBR{x % 9}"},
        "port_directions": {"DIA0": "input", "DOB0": "output"}, "connections": {"DIA0": [written], "DOB0": [read]},
    }  # fmt: skip


@pytest.fixture
def crossed(tmp_path: Path) -> Path:
    """Two memories, each far from the registers before and behind it and near those of the other."""
    cells = {
        "left": memory(4, 1, 2), "right": memory(84, 3, 4),
        "to_left": register(84, 12, 2, 1), "to_right": register(4, 12, 4, 3),
        "middle": memory(44, 5, 6), "to_middle": register(44, 12, 6, 5),
    }  # fmt: skip
    top = {"attributes": {"top": "1"}, "settings": {}, "cells": cells}
    (tmp_path / "x.json").write_text(json.dumps({"modules": {"top": top}}))
    return tmp_path / "x.json"


def test_memories_change_places(crossed: Path) -> None:
    placed = Placed(crossed)
    timing = Timing(placed)
    far, near = (80.0 * (6 + steps) for steps in (80 - 5 + 2 * 6, 2))
    assert timing.lengths(timing.arrivals()).max() == 5830 + far
    assert exchange(placed, timing, 8000) == 1
    assert timing.lengths(timing.arrivals()).max() == 5830 + near
    assert placed.x.tolist() == [84, 4, 84, 4, 44, 44]
    placed.write(crossed.parent / "y.json")
    (top,) = json.loads((crossed.parent / "y.json").read_text())["modules"].values()
    sites = {name: cell["attributes"]["NEXTPNR_BEL"] for name, cell in top["cells"].items()}
    assert sites["left"] == "X84/Y13/EBR3" and sites["right"] == "X4/Y13/EBR4" and sites["middle"] == "X44/Y13/EBR8"
    assert top["settings"] == {"router2/bbMargin/x": "12", "router2/bbMargin/y": "12"}


def test_what_is_not_late_stays(crossed: Path) -> None:
    placed = Placed(crossed)
    assert exchange(placed, Timing(placed), 20_000) == 0
    assert placed.x.tolist() == [4, 84, 84, 4, 44, 44]


def test_a_memory_goes_to_a_free_site(tmp_path: Path) -> None:
    cells = {"far": memory(84, 1, 2), "to_far": register(4, 12, 2, 1), "near": memory(4, 3, 4)}
    cells["to_near"] = register(4, 14, 4, 3)
    top = {"attributes": {"top": "1"}, "settings": {}, "cells": cells}
    (tmp_path / "x.json").write_text(json.dumps({"modules": {"top": top}}))
    placed = Placed(tmp_path / "x.json")
    timing = Timing(placed)
    sites = ["X84/Y13/EBR3", "X4/Y13/EBR4", "X40/Y13/EBR1", "X13/Y13/EBR5"]
    assert exchange(placed, timing, 8000, {"DP16KD": sites}) == 1
    assert placed.site(0) == "X13/Y13/EBR5" and placed.site(2) == "X4/Y13/EBR4"
    assert placed.x.tolist() == [13, 4, 4, 4]
    assert exchange(placed, timing, 8000, {"DP16KD": sites}) == 0


def test_wires_have_a_price(tmp_path: Path) -> None:
    """A memory whose register is late stays if little is won and many other wires would get longer."""
    cells = {"memory": memory(24, 1, 2), "to": register(4, 12, 2, 1)}
    for number in range(40):
        cells[f"beside{number}"] = register(24, 12, 2, 100 + number)
    top = {"attributes": {"top": "1"}, "settings": {}, "cells": cells}
    (tmp_path / "x.json").write_text(json.dumps({"modules": {"top": top}}))
    placed = Placed(tmp_path / "x.json")
    timing = Timing(placed)
    longest = float(timing.lengths(timing.arrivals()).max())
    assert exchange(placed, timing, longest - 100, {"DP16KD": ["X22/Y13/EBR4"]}) == 0
    assert exchange(placed, timing, longest - 1500, {"DP16KD": ["X22/Y13/EBR4"]}) == 1


def product(x: int, clock: int | None, enable: int | None, inward: int, outward: int) -> dict[str, Any]:
    wires = {
        "A0": [inward],
        "P0": [outward],
        **({"CLK0": [clock]} if clock else {}),
        **({"CE0": [enable]} if enable else {}),
    }
    names = ("INPUTA", "OUTPUT")
    return {
        "type": "MULT18X18D", "parameters": {f"REG_{name}_CLK": "CLK0" if clock else "NONE" for name in names},
        "attributes": {"NEXTPNR_BEL": f"X{x}/Y13/MULT18_0"},
        "port_directions": {port: "output" if port == "P0" else "input" for port in wires}, "connections": wires,
    }  # fmt: skip


@pytest.mark.parametrize("second, enable, moved", [(50, 60, 1), (50, 61, 0), (None, None, 1)])
def test_multipliers_whose_blocks_have_the_same_wires(
    tmp_path: Path, second: int | None, enable: int | None, moved: int
) -> None:
    """Two multipliers, each near the other's registers: one block has one clock enable."""
    cells = {
        "left": product(4, 50, 60, 1, 2), "right": product(84, second, enable, 3, 4),
        "to_left": register(84, 12, 2, 1), "to_right": register(4, 12, 4, 3),
    }  # fmt: skip
    top = {"attributes": {"top": "1"}, "settings": {}, "cells": cells}
    (tmp_path / "x.json").write_text(json.dumps({"modules": {"top": top}}))
    placed = Placed(tmp_path / "x.json")
    assert exchange(placed, Timing(placed), 5000) == moved
    assert placed.x.tolist() == ([84, 4, 84, 4] if moved else [4, 84, 84, 4])
    free = ["X4/Y13/MULT18_0", "X84/Y13/MULT18_0", "X44/Y13/MULT18_0"]
    assert exchange(placed, Timing(placed), 2000, {"MULT18X18D": free}) == 0  # 44 is worse, or beside other wires
