"""What a build gave: resources, clocks, the critical path in names of blocks."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tensaw.boards.board import Board
from tensaw.fpga.fit import Usage

__all__ = ["BuildReport", "Clock", "PathStep", "critical_path", "placed_usage", "read_clocks"]

_PLACED: dict[str, dict[str, str]] = {
    "ecp5": {"LUT": "TRELLIS_COMB", "FF": "TRELLIS_FF", "DSP": "MULT18X18D", "block RAM": "DP16KD"},
    "ice40": {"LC": "ICESTORM_LC", "DSP": "ICESTORM_DSP", "block RAM": "ICESTORM_RAM", "SPRAM": "ICESTORM_SPRAM"},
    "gowin": {"LUT": "LUT4", "FF": "DFF", "block RAM": "BSRAM"},
}


@dataclass(frozen=True)
class Clock:
    """A clock of the design: what it reached and what it must reach, in hertz."""

    name: str
    reached: float
    wanted: float

    @property
    def met(self) -> bool:
        return self.reached >= self.wanted


@dataclass(frozen=True)
class PathStep:
    """Successive cells of a path that lie in one block: its name, their delay and that of the wires behind them, ns."""

    block: str
    logic: float
    wires: float


@dataclass(frozen=True)
class BuildReport:
    """One place-and-route run."""

    seed: int
    resources: dict[str, Usage]
    clocks: list[Clock]
    path: list[PathStep]

    @property
    def met(self) -> bool:
        """Whether every clock reached what it must."""
        return all(clock.met for clock in self.clocks)

    @property
    def worst(self) -> float:
        """The smallest ratio of what a clock reached to what it must reach."""
        return min((clock.reached / clock.wanted for clock in self.clocks), default=1.0)

    def to_dict(self) -> dict[str, Any]:
        """For JSON; frequencies in megahertz."""
        return {
            "seed": self.seed,
            "met": self.met,
            "resources": {
                name: {"used": use.used, "available": use.available} for name, use in self.resources.items()
            },
            "clocks": [
                {"name": clock.name, "reached_mhz": round(clock.reached / 1e6, 2), "wanted_mhz": clock.wanted / 1e6}
                for clock in self.clocks
            ],
            "critical_path": [
                {"block": step.block, "logic_ns": round(step.logic, 2), "wires_ns": round(step.wires, 2)}
                for step in self.path
            ],
        }  # fmt: skip


def placed_usage(board: Board, report: Mapping[str, Any], netlist: Mapping[str, Usage]) -> dict[str, Usage]:
    """Resources as placed; those that the tool does not name are the netlist's."""
    placed = dict(netlist)
    for name, kind in _PLACED[board.family].items():
        entry = report["utilization"].get(kind)
        if entry is not None:
            placed[name] = Usage(int(entry["used"]), int(entry["available"]))
    return placed


def read_clocks(report: Mapping[str, Any], clock: float, aim: float) -> list[Clock]:
    """The clocks of nextpnr's report; those that were routed for ``aim``, in hertz, need no more than ``clock``."""
    clocks = []
    for name, entry in report["fmax"].items():
        constraint = 1e6 * float(entry["constraint"])
        wanted = clock if abs(constraint - aim) < 1e-3 * aim else constraint
        clocks.append(Clock(_plain(name), 1e6 * float(entry["achieved"]), wanted))
    return clocks


def critical_path(report: Mapping[str, Any]) -> list[PathStep]:
    """The longest path from register to register of nextpnr's report, in names of blocks."""
    paths = [path for path in report["critical_paths"] if _clock_of(path["from"]) == _clock_of(path["to"]) != "<async>"]
    if not paths:
        return []
    longest = max(paths, key=lambda path: sum(float(step["delay"]) for step in path["path"]))
    steps: list[PathStep] = []
    for item in longest["path"]:
        block = block_name(item["from"]["cell"])
        wires = float(item["delay"]) if item["type"] == "routing" else 0.0
        logic = float(item["delay"]) - wires
        if steps and steps[-1].block == block:
            logic, wires = steps[-1].logic + logic, steps[-1].wires + wires
            steps.pop()
        steps.append(PathStep(block, logic, wires))
    return steps


def block_name(cell: str) -> str:
    """The block that a cell of the flattened netlist lies in: ``core.npu.array.feeder.x_LUT4_Z`` in
    ``npu.array.feeder``."""
    parts = cell.replace("\\", "").split(".")
    blocks = [part for part in parts[:-1] if re.fullmatch(r"[a-z][a-z0-9_]*", part)]
    if blocks[:1] == ["core"] and len(blocks) > 1:
        blocks = blocks[1:]
    return ".".join(blocks) or "top"


def read_report(path: Path) -> dict[str, Any]:
    """nextpnr's own report."""
    return json.loads(path.read_text())


def _clock_of(event: str) -> str:
    return event.split(" ")[-1]


def _plain(name: str) -> str:
    """A clock net without what the tool puts before and behind its name."""
    return re.sub(r"^\$glbnet\$|\$glb_clk$|^\\", "", name)
