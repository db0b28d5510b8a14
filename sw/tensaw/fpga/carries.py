"""Carry chains of an ECP5 without the cells that nextpnr would add at their ends for nothing.

Where a chain's carry goes out, nextpnr adds a CCU2C that brings it to the wires, even if nobody reads it; where a
constant comes in, it adds one that takes the constant from a wire, which leads to every chain from a single LUT.
"""

from __future__ import annotations

from typing import Any

__all__ = ["trim_carries"]

_CELL = "CCU2C"
_OPEN = ["x"]
"""What Yosys writes, and nextpnr reads, for a port that is not connected."""


def trim_carries(cells: dict[str, Any], kept: set[int]) -> tuple[int, int]:
    """Leave carries open that nobody reads, and make constants within the chains; changes ``cells``, those of a flat
    netlist in Yosys's JSON. ``kept`` are bits that are read from outside.

    Returns how many carries out were opened, and how many constants were made.
    """
    read, highest = set(kept), 0
    for cell in cells.values():
        for port, bits in cell["connections"].items():
            numbers = [bit for bit in bits if isinstance(bit, int)]
            highest = max(highest, *numbers, 0)
            if cell["port_directions"][port] != "output":
                read.update(numbers)
    opened = 0
    made: dict[str, Any] = {}
    for name, cell in cells.items():
        if cell["type"] != _CELL:
            continue
        ports = cell["connections"]
        if not read.intersection(bit for bit in ports["COUT"] if isinstance(bit, int)):
            opened += ports["COUT"] != _OPEN
            ports["COUT"] = list(_OPEN)
        if ports["CIN"] in (["0"], ["1"]):
            carry = highest + len(made) + 1
            made[f"{name}_CIN"] = _constant(ports["CIN"][0], carry)
            ports["CIN"] = [carry]
    cells.update(made)
    return opened, len(made)


def _constant(value: str, carry: int) -> dict[str, Any]:
    """A cell whose carry is a constant: its first half makes it, its second one passes it on. Inputs that are 1 take no
    wire."""
    inputs = [f"{name}{half}" for half in "01" for name in "ABCD"]
    return {
        "type": _CELL,
        "parameters": {
            # The half's LUT of four inputs is 0, so its LUT of two, bit 3 of the same, gives the carry.
            "INIT0": f"{8 if value == '1' else 0:016b}",
            "INIT1": f"{0xFFFF:016b}",
            "INJECT1_0": "NO",
            "INJECT1_1": "YES",
        },
        "attributes": {},
        "port_directions": {name: "input" for name in ("CIN", *inputs)} | {n: "output" for n in ("COUT", "S0", "S1")},
        "connections": {name: ["1"] for name in inputs}
        | {name: list(_OPEN) for name in ("CIN", "S0", "S1")}
        | {"COUT": [carry]},
    }
