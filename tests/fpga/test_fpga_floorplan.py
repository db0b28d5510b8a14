"""What of a netlist the floorplan looks at."""

from __future__ import annotations

from typing import Any

import pytest

from tensaw.fpga.floorplan import _graph


def cell(kind: str, parameters: dict[str, str] | None = None, **wires: int) -> dict[str, Any]:
    return {"type": kind, "parameters": parameters or {}, "connections": {port: [bit] for port, bit in wires.items()}}


@pytest.mark.parametrize("clock, weight", [("NONE", 4), ("CLK0", 1)])
def test_wires_of_a_multiplier_without_registers_count_more(clock: str, weight: float) -> None:
    cells = {
        "from": cell("TRELLIS_FF", Q=2), "product": cell("MULT18X18D", {"REG_OUTPUT_CLK": clock}, A0=2, P0=3),
        "to": cell("TRELLIS_FF", DI=3, Q=4), "next": cell("LUT4", A=4, Z=5), "last": cell("PFUMX", ALUT=5),
    }  # fmt: skip
    names, graph = _graph(cells, 4.0)
    assert names == list(cells) and graph.macros["MULT18X18D"].tolist() == [1]
    assert graph.weight.tolist() == [weight, weight, 1, 3]
    assert graph.area.tolist() == [1 / 16, 0, 1 / 16, 1 / 8, 0]
    assert _graph(cells, 1.0)[1].weight.tolist() == [1, 1, 1, 3]
