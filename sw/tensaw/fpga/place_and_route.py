"""Place and route with nextpnr, and for an ECP5 the refinement of placement in between."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tensaw.boards.board import Board
from tensaw.boards.export import TOP, BoardBuild
from tensaw.fpga.fit import Usage, crowded
from tensaw.fpga.floorplan import macro_sites
from tensaw.fpga.refine import refine
from tensaw.fpga.report import BuildReport, critical_path, placed_usage, read_clocks, read_report
from tensaw.fpga.tools import Tool, find_tool, run
from tensaw.spec.errors import ToolError

__all__ = ["NEXTPNR", "NoWay", "place_and_route"]

Progress = Callable[[str], None]

NEXTPNR = {"ecp5": "nextpnr-ecp5", "ice40": "nextpnr-ice40", "gowin": "nextpnr-himbaechel-gowin"}
_ROUTED = {"ecp5": "config", "ice40": "asc", "gowin": "json"}
_PLACED, _REFINED = f"{TOP}.placed.json", f"{TOP}.refined.json"
_DRAFT = ["--no-tmdriv", "--router", "router2"]
"""Options of nextpnr that leave timing aside. Router2 finds a way through many wires in a fraction of the time; the
default router looks at timing."""
_PLACEMENT = ["--placer-heap-timingweight", "30", "--placer-heap-beta"]
_HALF_FULL, _FULL = "0.75", "0.6"
"""Options for placement on an ECP5. The last is how much cells may fill of what is at hand, in a device that is not
crowded and in one that is: wires make long detours, or find no way, where they fill more."""
_DETOUR, _MORE_DETOUR = 1.1, 1.17
"""How much longer paths get by routing, in a device that is not crowded and in one that is."""
_AS_PLACED = ["--no-pack", "--no-place", "--tmg-ripup"]
"""Options for routing on an ECP5 after placement was refined. Router2 looks after late wires only if told to."""
_ROUTERS = ("router1", "router2")
"""Tried in turn for a refined placement: the first finds faster ways, the second also where wires are scarce. In
a crowded device the first would need hours, and is left out."""
_STALE_ROUNDS, _NEARLY, _PATIENCE = 40, 100, 200
"""Rounds of router2 without fewer wires that two nets share, after which there is no hope: it is given up. Where these
are fewer than 100, late wires may be what is still sought a way for, and 200 rounds go quickly."""
_STALE_WAYS = 150
"""Lines of router1, one for each thousand ways found, without fewer left to find, after which it is given up."""


class NoWay(Exception):
    """The router comes to no end."""


def place_and_route(
    build: BoardBuild, folder: Path, netlist: str, log: Path, seed: int, draft: bool, usage: Mapping[str, Usage],
    tell: Progress,
) -> tuple[BuildReport, Path]:  # fmt: skip
    """Place and route ``netlist``, a file in ``folder``, with one seed; returns what it gave and the routed design.

    ``usage`` is what the netlist takes. Raises NoWay, and ToolError if nextpnr fails.
    """
    board, clock = build.board, build.identity.clock
    tool = find_tool(NEXTPNR[board.family])
    routed = folder / f"{TOP}.seed{seed}.{_ROUTED[board.family]}"
    report_path = folder / f"report.seed{seed}.json"
    report_path.unlink(missing_ok=True)
    outputs = {
        "ecp5": ["--lpf", board.constraints, "--textcfg", routed.name],
        "ice40": ["--pcf", board.constraints, "--asc", routed.name],
        "gowin": ["--vopt", f"cst={board.constraints}", "--write", routed.name],
    }[board.family] + ["--report", report_path.name]
    common = [*board.nextpnr, "--seed", str(seed), "--timing-allow-fail"]
    aim = clock
    if board.family == "ecp5" and not draft:
        try:
            placement = [*common, "--freq", _megahertz(clock), "--json", netlist, "--lpf", board.constraints]
            full = crowded(usage)
            placement += ["--no-route", "--write", _PLACED, *_PLACEMENT, _FULL if full else _HALF_FULL]
            run(tool, placement, folder, log, _watch(tell))
            aim = _refined(board, folder, clock, _MORE_DETOUR if full else _DETOUR, log, tell)
            arguments = [*outputs, *common, "--freq", _megahertz(aim), "--json", _REFINED, *_AS_PLACED]
            _route(tool, arguments, _ROUTERS[full:], folder, log, tell)
        finally:
            for name in (_PLACED, _REFINED):
                (folder / name).unlink(missing_ok=True)
    else:
        arguments = [*outputs, *common, "--freq", _megahertz(clock), "--json", netlist]
        run(tool, [*arguments, *(_DRAFT if draft else [])], folder, log, _watch(tell))
    try:
        report = read_report(report_path)
    except (OSError, ValueError):
        raise ToolError(f"{tool.name} wrote no report. The whole log is in {str(log)!r}.") from None
    clocks = read_clocks(report, clock, aim)
    return BuildReport(seed, placed_usage(board, report, usage), clocks, critical_path(report)), routed


def _megahertz(clock: float) -> str:
    return f"{clock / 1e6:g}"


def _refined(board: Board, folder: Path, clock: float, detour: float, log: Path, tell: Progress) -> float:
    """Write the placed design with its placement refined; returns the frequency that it is to be routed for."""
    result = refine(
        folder / _PLACED, folder / _REFINED, clock, detour, macro_sites(board, log),
        lambda done, steps: tell(f"Place and route: refinement, step {done} of {steps}"),
    )  # fmt: skip
    with open(log, "a") as file:
        file.write(
            f"Refinement: wires {result.wires.before:,} tiles, now {result.wires.after:,}; longest path "
            f"{result.before / 1000:.2f} ns, now {result.after / 1000:.2f} ns, by estimate; {result.moves} moves, "
            f"{result.exchanged} macros moved; routing aims at {result.aim / 1e6:.1f} MHz\n"
        )
    return result.aim


def _route(
    tool: Tool, arguments: list[str], routers: Sequence[str], folder: Path, log: Path, tell: Progress
) -> None:  # fmt: skip
    """Route with the first of ``routers`` that comes to an end. Raises NoWay."""
    for router in routers:
        try:
            run(tool, [*arguments, "--router", router], folder, log, _watch(tell))
        except NoWay:
            continue
        return
    raise NoWay


def _watch(tell: Progress) -> Callable[[str], None]:
    """Tells what nextpnr's lines say, and raises NoWay where its routing leads nowhere."""
    shared: list[int] = []  # wires that several nets share, after each round of router2
    left: list[int] = []  # ways left to find, now and then, in router1
    phases = {"Packing": "packing", "Placed": "placement", "Running": "placement", "Routing": "routing"}

    def line(text: str) -> None:
        if match := re.match(r"Info: (Packing|Placed|Running|Routing)\b(?! router)", text):
            tell(f"Place and route: {phases[match[1]]}")
        elif match := re.match(r"Info: +at iteration #(\d+)", text):
            tell(f"Place and route: placement, iteration {match[1]}")
        elif match := re.match(r"Info: +iter=(\d+) wires=\d+ overused=(\d+)", text):
            tell(f"Place and route: routing, round {match[1]}, {int(match[2]):,} wires shared")
            shared.append(int(match[2]))
            _lead_on(shared, _STALE_ROUNDS if min(shared) > _NEARLY else _PATIENCE)
        elif match := re.match(r"Info: +\d+ \|(?: +\d+){2} \|(?: +\d+){2} \| +(\d+)\|", text):
            tell(f"Place and route: routing, {int(match[1]):,} ways left")
            left.append(int(match[1]))
            _lead_on(left, _STALE_WAYS)

    return line


def _lead_on(values: list[int], most: int) -> None:
    """Raises NoWay if none of the last ``most`` values is less than all before, and none is 0."""
    if 0 < min(values[-most:]) >= min(values[:-most], default=sys.maxsize):
        raise NoWay
