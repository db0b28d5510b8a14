"""A design that nextpnr has placed on an ECP5: its cells, where they are, and the nets between them."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tensaw.spec.errors import ToolError

__all__ = ["COMB", "FF", "LANES", "Placed", "Pin", "tile_of"]

COMB, FF = "TRELLIS_COMB", "TRELLIS_FF"
LANES = 8
"""A tile of logic has four slices of two lanes: a LUT and a flip-flop each."""
_MARGIN = "12"
"""Tiles beside the ends of a net in which its wires may run."""
_SITE = re.compile(r"X(\d+)/Y(\d+)/(?:SLICE([ABCD])\.(?:K|FF)(\d))?")

Indices = NDArray[np.int64]
Pin = tuple[int, str]
"""A cell, by number, and one of its ports."""


def tile_of(site: str) -> tuple[int, int]:
    """Column and row of the tile of a site."""
    match = _SITE.match(site)
    if match is None:
        raise ValueError(f"{site!r} is no site")
    return int(match[1]), int(match[2])


class Placed:
    """The cells of nextpnr's JSON after placement.

    Attributes
    ----------
    names, kinds : list of str
        Of each cell.
    x, y : (cells,) int
        Tile of each cell.
    lane : (cells,) int
        0 to 7 for LUTs and flip-flops, the lane in their tile, or -1.
    driver : net → pin
        Where each net comes from; nets have nextpnr's numbers.
    sinks : net → list of pins
        Where it goes.
    """

    def __init__(self, path: Path) -> None:
        """Read ``path``. Raises ToolError if that is no placed design."""
        try:
            self._design: dict[str, Any] = json.loads(path.read_text())
            modules = self._design["modules"].values()
            top = next(module for module in modules if int(module["attributes"].get("top", "0"), 2))
            self._cells: dict[str, Any] = top["cells"]
            self._settings: dict[str, str] = top["settings"]
            sites = [_SITE.match(cell["attributes"]["NEXTPNR_BEL"]) for cell in self._cells.values()]
        except (OSError, ValueError, KeyError, StopIteration):
            raise ToolError(f"nextpnr wrote no placed design: {path.name!r} holds none.") from None
        self.names = list(self._cells)
        self.kinds = [str(cell["type"]) for cell in self._cells.values()]
        self.x = np.array([int(site[1]) if site else -1 for site in sites], dtype=np.int64)
        self.y = np.array([int(site[2]) if site else -1 for site in sites], dtype=np.int64)
        self.lane = np.array(
            [2 * "ABCD".index(site[3]) + int(site[4]) if site and site[3] else -1 for site in sites], dtype=np.int64
        )
        self.driver: dict[int, Pin] = {}
        self.sinks: dict[int, list[Pin]] = defaultdict(list)
        for number, cell in enumerate(self._cells.values()):
            for port, bits in cell["connections"].items():
                for bit in bits:
                    if not isinstance(bit, int):
                        continue
                    if cell["port_directions"][port] == "output":
                        self.driver[bit] = (number, port)
                    else:
                        self.sinks[bit].append((number, port))

    def net(self, cell: int, port: str) -> int | None:
        """What a port is connected to."""
        bits = self._cells[self.names[cell]]["connections"].get(port, [])
        return bits[0] if bits and isinstance(bits[0], int) else None

    def parameter(self, cell: int, name: str, default: str = "") -> str:
        """Nextpnr ends texts that look like numbers with a space."""
        return str(self._cells[self.names[cell]]["parameters"].get(name, default)).strip()

    def site(self, cell: int) -> str:
        """Nextpnr's name of the site of a cell that is no logic."""
        return str(self._cells[self.names[cell]]["attributes"]["NEXTPNR_BEL"])

    def move(self, cell: int, site: str) -> None:
        """Bring a cell that is no logic to another site."""
        self._cells[self.names[cell]]["attributes"]["NEXTPNR_BEL"] = site
        self.x[cell], self.y[cell] = tile_of(site)

    def write(self, path: Path) -> None:
        """The same design with the LUTs and flip-flops where ``x``, ``y`` and ``lane`` say, and with no word of router
        and frequency, which for nextpnr would count more than its command line. Router2 may lead nets around crowded
        places, farther than the three tiles that it takes by itself."""
        for name in ("router", "target_freq"):
            self._settings.pop(name, None)
        self._settings.update({f"router2/bbMargin/{axis}": _MARGIN for axis in "xy"})
        for number, name in enumerate(self.names):
            lane = int(self.lane[number])
            if lane >= 0:
                slot = "K" if self.kinds[number] == COMB else "FF"
                self._cells[name]["attributes"]["NEXTPNR_BEL"] = (
                    f"X{self.x[number]}/Y{self.y[number]}/SLICE{'ABCD'[lane // 2]}.{slot}{lane % 2}"
                )
        path.write_text(json.dumps(self._design))
