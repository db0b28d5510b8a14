"""How late signals arrive in a placed ECP5 design, before it is routed.

Wires count by distance, cells by what the device's data say, both as nextpnr estimates them before it routes a design
that it has read as placed, for speed grade 6. (Such a design has forgotten which carries are the second of a slice;
all count as first ones, so that long chains seem slower by some 0.05 ns a slice.) Clocks are taken for one: the few
paths between two are not looked at.

Sources: nextpnr's ``Arch::predictDelay`` for ECP5 (ISC licence, retold) and the delays that its SDF writer states.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from tensaw.fpga.placed import COMB, FF, Placed
from tensaw.spec.errors import ToolError

__all__ = ["Timing", "wire_delay"]

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

_THROUGH = {
    **{(pin, "F"): 236 for pin in "ABCD"},
    **{(pin, "OFX"): 401 for pin in "ABCD"},
    **{(pin, "FCO"): 447 for pin in "ABCD"},
    ("F1", "OFX"): 165, ("M", "OFX"): 256, ("FXA", "OFX"): 239, ("FXB", "OFX"): 242,
    ("FCI", "F"): 443, ("FCI", "FCO"): 71,
}  # fmt: skip
"""Delays through a LUT, its wide functions and its carry, by input and output, in ps."""
_WRITE = {"A0": "WADO3", "A1": "WDO1", "B0": "WADO1", "B1": "WDO3", "C0": "WADO2", "C1": "WDO0", "D0": "WADO0",
          "D1": "WDO2"}  # fmt: skip
"""Wires through the write port of distributed RAM."""
_PRODUCT = 3927
"""Through a multiplier without registers."""
_SETUP: dict[str, dict[str, float]] = {
    FF: {"DI": 0, "M": 0, "CE": 0, "LSR": 424},
    COMB: {"WRE": 392, "WD": 0, "WAD": 0},
    "DP16KD": {"DI": 218, "AD": 251, "WE": 139, "CE": 340, "OCE": 340, "RST": 585},
    "MULT18X18D": {"A": 84, "B": 84, "CE": 252, "RST": 95, "SIGNED": 0},
    "IOLOGIC": {"TXDATA": 100, "TSDATA": 100, "CE": 100, "LSR": 100},
}
"""Setup times by the beginning of a port's name; other ports end no path."""
_LEAST = -1e9
"""Arrival of what comes from no register."""


def wire_delay(across: NDArray, along: NDArray) -> Floats:
    """Delay in ps of a wire between tiles ``across`` columns and ``along`` rows apart."""
    steps = np.maximum(across - 5, 0) + np.maximum(along - 5, 0) + 2 * (np.minimum(across, 5) + np.minimum(along, 5))
    return 80.0 * (6 + steps)


class Timing:
    """Arrival times of all nets and what follows after them.

    An arc goes from a net's driver over a wire to a cell and through it to the driver of a next net, or ends there.
    Times are in ps.

    Attributes
    ----------
    nets : list of int
        Nextpnr's number of each net.
    ends : (ends,) int
        Arcs that end at a register.
    source, target : (arcs,) int
        Net an arc comes from, by its place in ``nets``, and goes to: -1 where it ends.
    driver, cell : (arcs,) int
        Cell that drives the wire, and the one it goes to.
    fixed : (arcs,) float
        Delay through the cell, or its setup time.
    wire : (arcs,) float
        Delay of the wire; ``update`` renews it.
    base : (nets,) float
        Time from the clock to the driver, where that is a register.
    level : (nets,) int
        Cells before the driver at most; arcs go from a lower level to a higher one.
    """

    def __init__(self, placed: Placed) -> None:
        self._placed = placed
        outputs: dict[int, list[tuple[str, int]]] = defaultdict(list)
        nets = []
        for net, (cell, port) in placed.driver.items():
            if placed.kinds[cell] not in ("DCCA", "EHXPLLL", "TRELLIS_IO") and net in placed.sinks:
                outputs[cell].append((port, len(nets)))
                nets.append(net)
        self.nets = nets
        self.base = np.array([self._start(*placed.driver[net]) for net in nets], dtype=np.float64)
        rows = []
        for source, net in enumerate(nets):
            driver, port = placed.driver[net]
            for cell, pin in placed.sinks[net]:
                direct = (port, pin) in (("FCO", "FCI"), ("F", "DI")) or pin in ("FXA", "FXB")
                # The router may choose a LUT's pins.
                near = "" if placed.kinds[cell] != COMB or pin not in ("A", "B", "C", "D") else port
                for target, fixed in self._beyond(cell, pin, outputs[cell]):
                    rows.append((source, target, driver, cell, fixed, direct, near == "Q", near == "F"))
        columns = [np.array(column) for column in zip(*rows, strict=True)] or [np.zeros(0, dtype=np.int64)] * 8
        self.source, self.target, self.driver, self.cell, self.fixed = columns[:5]
        self._direct, self._own, self._beside = columns[5:]
        self.wire = np.zeros(len(rows))
        self.update(np.arange(len(rows)))
        self.ends = np.flatnonzero(self.target < 0)
        self.level = self._levels()
        self._order()

    def _start(self, cell: int, port: str) -> float:
        kind, parameter = self._placed.kinds[cell], self._placed.parameter
        if kind == FF:
            return 525
        if kind == "DP16KD":
            return 5830 if port.startswith("DOB") else 5609
        if kind == "MULT18X18D" and self._clocked(cell):
            return 735 if parameter(cell, "REG_OUTPUT_CLK", "NONE") != "NONE" else 3864
        return 500 if kind == "IOLOGIC" else _LEAST

    def _clocked(self, cell: int) -> bool:
        registers = ("REG_INPUTA_CLK", "REG_INPUTB_CLK", "REG_PIPELINE_CLK", "REG_OUTPUT_CLK")
        return any(self._placed.parameter(cell, name, "NONE") != "NONE" for name in registers)

    def _beyond(self, cell: int, pin: str, outputs: list[tuple[str, int]]) -> list[tuple[int, float]]:
        """Nets that a cell's pin leads to and the delays; -1 and the setup time at a register."""
        kind = self._placed.kinds[cell]
        if kind == COMB and pin in ("A", "B", "C", "D", "M", "F1", "FXA", "FXB", "FCI"):
            return [(net, _THROUGH[pin, port]) for port, net in outputs if (pin, port) in _THROUGH]
        if kind == "TRELLIS_RAMW":
            return [(net, 0.0) for port, net in outputs if _WRITE.get(pin) == port]
        if kind == "MULT18X18D" and pin[0] in "AB" and not self._clocked(cell):
            return [(net, _PRODUCT) for port, net in outputs if port[0] == "P"]
        return [(-1, setup) for name, setup in _SETUP.get(kind, {}).items() if pin.startswith(name)][:1]

    def _levels(self) -> Indices:
        inner = self.target >= 0
        sources, targets = self.source[inner], self.target[inner]
        level = np.zeros(len(self.nets), dtype=np.int64)
        for _ in range(len(self.nets) + 1):
            deeper = np.zeros_like(level)
            np.maximum.at(deeper, targets, level[sources] + 1)
            if (deeper <= level).all():
                return level
            level = np.maximum(level, deeper)
        raise ToolError("The netlist has a combinational loop: its paths have no end.")

    def _order(self) -> None:
        """Arcs by level and net, for both directions, with each net's first."""
        ahead, back = [], []
        for number in range(1, int(self.level.max(initial=0)) + 1):
            arcs = np.flatnonzero((self.target >= 0) & (self.level[self.target] == number))
            arcs = arcs[np.argsort(self.target[arcs], kind="stable")]
            ahead.append((arcs, *np.unique(self.target[arcs], return_index=True)))
        for number in range(int(self.level.max(initial=0)), -1, -1):
            arcs = np.flatnonzero(self.level[self.source] == number)
            arcs = arcs[np.argsort(self.source[arcs], kind="stable")]
            back.append((arcs, *np.unique(self.source[arcs], return_index=True)))
        self._ahead, self._back = ahead, back

    def update(self, arcs: Indices) -> None:
        """Renew the wires of ``arcs`` whose cells have moved."""
        placed, driver, cell = self._placed, self.driver[arcs], self.cell[arcs]
        across, along = np.abs(placed.x[driver] - placed.x[cell]), np.abs(placed.y[driver] - placed.y[cell])
        delay = wire_delay(across, along)
        within, lane = (across == 0) & (along == 0), placed.lane[driver]
        own = self._own[arcs] & (lane == placed.lane[cell])
        beside = self._beside[arcs] & (lane != 1) & (lane != 6)
        delay[(within & (own | beside)) | self._direct[arcs]] = 0
        self.wire[arcs] = delay

    def arrivals(self) -> Floats:
        """When each net's driver has its value, at the latest."""
        arrival = self.base.copy()
        for arcs, nets, first in self._ahead:
            values = arrival[self.source[arcs]] + self.wire[arcs] + self.fixed[arcs]
            arrival[nets] = np.maximum(arrival[nets], np.maximum.reduceat(values, first))
        return arrival

    def remains(self) -> Floats:
        """Time from each net's driver to the end of its longest path; one entry more, 0, for arcs that end."""
        remain = np.full(len(self.nets) + 1, _LEAST)
        remain[-1] = 0
        for arcs, nets, first in self._back:
            values = self.wire[arcs] + self.fixed[arcs] + remain[self.target[arcs]]
            remain[nets] = np.maximum.reduceat(values, first)
        return remain

    def lengths(self, arrival: Floats) -> Floats:
        """Length of the longest path to each of ``ends``."""
        return arrival[self.source[self.ends]] + self.wire[self.ends] + self.fixed[self.ends]
