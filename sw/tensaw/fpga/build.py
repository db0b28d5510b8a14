"""The flow: Verilog, synthesis, a look whether it fits, place and route with one or several seeds, bitstream."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tensaw.boards.board import Board
from tensaw.boards.constraints import check_constraints
from tensaw.boards.export import TOP, BoardBuild, board_verilog
from tensaw.fpga.fit import Usage, crowded, estimate_memory, netlist_usage, refuse_overflow
from tensaw.fpga.floorplan import floorplan
from tensaw.fpga.place_and_route import NEXTPNR, NoWay, place_and_route
from tensaw.fpga.report import BuildReport
from tensaw.fpga.tools import find_tool, run
from tensaw.fpga.vivado import vivado_script
from tensaw.harness.cache import cached, digest
from tensaw.spec.errors import InputError, ToolError

__all__ = ["BuildOptions", "BuildResult", "build_board"]

Progress = Callable[[str], None]

_ROUND = "&st;&dch,-f;&if,-W,{wire},-v;&mfs"
_MAPPING = ";".join(
    ["+&scorr;&sweep;&dc2;&dch,-f,-r;&if,-W,700,-v;&mfs", _ROUND.format(wire=700), _ROUND.format(wire=900)]
)
"""ABC's script for an ECP5: Yosys's own, and two rounds more of mapping to LUTs, each from the LUTs of the one before,
which makes them fewer by 7 in 100. A wire counts 0.7 ns, then 0.9, as on a device half full; Yosys takes it for 0.3."""
_CONTROL_SETS = (
    "dfflegalize -mince 4 -minsrst 6 -cell $_DFF_?_ 01 -cell $_DFFE_?P_ 01 -cell $_DFF_?P?_ r -cell $_DFFE_?P?P_ r "
    "-cell $_SDFF_?P?_ r -cell $_SDFFE_?P?P_ r\nopt_clean"
)
"""An enable for fewer than four flip-flops, or a reset for fewer than six, becomes part of their data: flip-flops that
share none can lie anywhere, and so wires are shorter by some 4 in 100."""
_SYNTHESIS = {
    "ecp5": (
        "synth_ecp5 -top {top} -run :map_ffs\n" + _CONTROL_SETS + "\nsynth_ecp5 -top {top} -run map_ffs:map_luts\n"
        "abc9 -W 900 -script " + _MAPPING + "\nclean\n"
        "synth_ecp5 -top {top} -run map_cells:json\nwrite_json {json}"
    ),
    "ice40": "synth_ice40 -top {top} -abc9 -dsp -device u -json {json}",
    "gowin": "synth_gowin -top {top} -family gw2a -json {json}",
}
_PACK = {"ecp5": "ecppack", "ice40": "icepack", "gowin": "gowin_pack"}
_BITSTREAM = {"ecp5": f"{TOP}.bit", "ice40": f"{TOP}.bin", "gowin": f"{TOP}.fs"}
_VERILOG, _NETLIST, _FLOORPLAN, _LOG = f"{TOP}.v", f"{TOP}.json", f"{TOP}.floorplan.json", "build.log"


@dataclass(frozen=True)
class BuildOptions:
    """``seeds`` place-and-route runs, with seeds from 1 on, of which the best is kept. A ``draft`` is placed and routed
    without regard to timing, which is quicker: to see that all fits and the tools take it, not for a board."""

    seeds: int = 1
    draft: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.seeds <= 1000:
            raise InputError(f"--seeds must be between 1 and 1000, not {self.seeds}.")


@dataclass(frozen=True)
class BuildResult:
    """``reports`` of all seeds that were routed, the best first; none where another tool does the rest (Vivado).
    ``bitstream`` is the best one's, None where there is none. ``unrouted``: seeds that the router gave up."""

    build: BoardBuild
    reports: list[BuildReport]
    bitstream: Path | None
    files: list[Path]
    tools: dict[str, str]
    unrouted: tuple[int, ...] = ()


def build_board(
    build: BoardBuild, folder: Path, options: BuildOptions | None = None, progress: Progress | None = None
) -> BuildResult:
    """Build a board's bitstream in ``folder``, which exists.

    Raises InputError for a configuration that does not fit, before place and route, and ToolError for tools that are
    missing or fail, or if no seed could be routed.
    """
    options = options or BuildOptions()
    tell = progress or (lambda text: None)
    board, config = build.board, build.identity.config
    check_constraints(board)
    memory = estimate_memory(board, config)
    refuse_overflow(board, config, {"block RAM": memory})
    if board.family == "xilinx7":
        return _vivado_project(build, folder, tell)
    tools = {name: find_tool(name) for name in ("yosys", NEXTPNR[board.family], _PACK[board.family])}

    tell("Writing the Verilog")
    verilog = board_verilog(build)
    (folder / _VERILOG).write_text(verilog)
    shutil.copyfile(board.constraints_path(), folder / board.constraints)
    log = folder / _LOG
    log.write_text("")
    tell("Synthesis")
    cells = _synthesise(board, verilog, folder, log, tell)
    usage = netlist_usage(board, cells)
    refuse_overflow(board, config, usage)

    reports: list[tuple[BuildReport, Path]] = []
    unrouted: list[int] = []
    try:
        for seed in range(1, options.seeds + 1):
            tell_seed = _after(f"Seed {seed} of {options.seeds}: " if options.seeds > 1 else "", tell)
            netlist = _NETLIST if options.draft else _with_sites(board, folder, usage, log, seed, tell_seed)
            try:
                found = place_and_route(build, folder, netlist, log, seed, options.draft, usage, tell_seed)
            except NoWay:
                unrouted.append(seed)
            else:
                reports.append(found)
    finally:
        (folder / _FLOORPLAN).unlink(missing_ok=True)
    if not reports:
        raise ToolError(
            f"{NEXTPNR[board.family]} found no way for all wires of the configuration {config.name!r} on {board.name} "
            f"(--seeds {options.seeds}: seed {', '.join(map(str, unrouted))}): try more --seeds, or choose a smaller "
            f"configuration. The whole log is in {str(log)!r}."
        )
    reports.sort(key=lambda item: -item[0].worst)
    best, routed = reports[0]
    tell("Writing the bitstream")
    bitstream = _pack(board, folder, routed, log)
    for _, path in reports[1:]:
        path.unlink(missing_ok=True)
    return BuildResult(
        build, [report for report, _ in reports], bitstream, [folder / _VERILOG, folder / board.constraints, log],
        {name: tool.version for name, tool in tools.items()}, tuple(unrouted),
    )  # fmt: skip


def _synthesise(board: Board, verilog: str, folder: Path, log: Path, tell: Progress) -> dict[str, int]:
    """The netlist, from the cache where it was made before; returns the number of cells of each kind."""
    yosys = find_tool("yosys")
    script = _SYNTHESIS[board.family].format(top=TOP, json=_NETLIST)
    key = digest({"verilog": verilog, "script": script, "tool": yosys.version})

    def make(place: Path) -> None:
        (place / _VERILOG).write_text(verilog)
        (place / "synthesis.ys").write_text(
            f"read_verilog -defer {_VERILOG}\n{script}\ntee -q -o cells.json stat -json\n"
        )

        def line(text: str) -> None:
            if match := re.match(r"\d+(?:\.\d+)*\. Executing (\w+) pass", text):
                tell(f"Synthesis: {match[1].lower()}")

        run(yosys, ["-s", "synthesis.ys"], place, log, line)
        (place / _VERILOG).unlink()

    entry = cached("synthesis", key, make)
    shutil.copyfile(entry / _NETLIST, folder / _NETLIST)
    design = json.loads((entry / "cells.json").read_text())["design"]
    return {name: int(count) for name, count in design["num_cells_by_type"].items()}


def _with_sites(
    board: Board, folder: Path, usage: Mapping[str, Usage], log: Path, seed: int, tell: Progress
) -> str:  # fmt: skip
    """Name of the netlist that goes to place and route: for an ECP5 one in which macros have their sites."""
    if board.family != "ecp5":
        return _NETLIST
    floorplan(
        board, folder / _NETLIST, folder / _FLOORPLAN, seed, crowded(usage), log,
        lambda done, rounds: tell(f"Floorplan: {100 * done // rounds} %"),
    )  # fmt: skip
    return _FLOORPLAN


def _after(text: str, tell: Progress) -> Progress:
    return lambda line: tell(text + line)


def _pack(board: Board, folder: Path, routed: Path, log: Path) -> Path:
    """The bitstream of a routed design."""
    name = _BITSTREAM[board.family]
    arguments = {
        "ecp5": [*board.pack, routed.name, name],
        "ice40": [routed.name, name],
        "gowin": [*board.pack, "-o", name, routed.name],
    }[board.family]
    run(find_tool(_PACK[board.family]), arguments, folder, log)
    return folder / name


def _vivado_project(build: BoardBuild, folder: Path, tell: Progress) -> BuildResult:
    """What Vivado needs to do the rest."""
    tell("Writing the Verilog")
    board = build.board
    contents = {
        _VERILOG: board_verilog(build),
        board.constraints: board.constraints_path().read_text(),
        f"{TOP}.tcl": vivado_script(board),
    }
    for name, text in contents.items():
        (folder / name).write_text(text)
    return BuildResult(build, [], None, [folder / name for name in contents], {})
