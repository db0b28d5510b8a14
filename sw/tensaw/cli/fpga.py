"""``tensaw fpga build``: a board and a configuration to a bitstream."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tensaw.cli import board_options, files, options, terminal
from tensaw.cli.frame import FINE, WRONG_RESULT

if TYPE_CHECKING:
    from tensaw.fpga.build import BuildResult

SUMMARY = "build a board's bitstream with open tools, and say what it takes and how fast it is"
EXAMPLE = """tensaw fpga build --board ulx3s-85f --config small -o build/ulx3s --json build.json
tensaw fpga build --board ulx3s-85f --config base --seeds 4 -o build/ulx3s-base"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    build = actions.add_parser("build", help="synthesis, place and route, bitstream", allow_abbrev=False)
    board_options.add_board(build)
    options.add_config(build)
    build.set_defaults(config=None)
    build.add_argument(
        "-o", "--output", metavar="DIR", type=Path, required=True, help="folder to write to; created if missing"
    )
    build.add_argument(
        "--seeds", type=int, default=1, metavar="N", help="place and route so many times and keep the best; default: 1"
    )
    build.add_argument(
        "--draft", action="store_true",
        help="place and route without regard to timing: quicker, to see that it fits; not for a board",
    )  # fmt: skip
    options.add_json(build)


def execute(arguments: argparse.Namespace) -> int:
    from tensaw.fpga.build import BuildOptions, build_board

    files.require_writable(options.json_file(arguments))
    build = board_options.plan_from(arguments)
    chosen = BuildOptions(arguments.seeds, arguments.draft)
    files.require_folder(arguments.output)
    start = time.perf_counter()
    with terminal.progress(f"Building {build.board.name}") as step:
        result = build_board(build, arguments.output, chosen, step.update)
    values = {**summarise(result, time.perf_counter() - start), "draft": arguments.draft}
    _print(arguments, result, values)
    terminal.emit_json(arguments, values)
    return FINE if arguments.draft or not result.reports or result.reports[0].met else WRONG_RESULT


def summarise(result: BuildResult, seconds: float) -> dict[str, Any]:
    """What ``--json`` gives."""
    identity = result.build.identity
    return {
        "action": "build",
        "board": identity.board,
        "config": identity.config.to_dict(),
        "digest": f"0x{identity.digest:08x}",
        "build": identity.build.hex(),
        "clock_mhz": identity.clock / 1e6,
        "baud": identity.baud,
        "bitstream": str(result.bitstream) if result.bitstream else None,
        "files": [str(path) for path in result.files],
        "tools": result.tools,
        "best": result.reports[0].to_dict() if result.reports else None,
        "seeds": [report.to_dict() for report in result.reports],
        "unrouted_seeds": list(result.unrouted),
        "seconds": round(seconds, 1),
    }


def _print(arguments: argparse.Namespace, result: BuildResult, values: dict[str, Any]) -> None:
    console = terminal.output(arguments)
    config = result.build.identity.config
    if not result.reports:
        console.print(
            f"{result.build.board.name}: the rest is Vivado's. In {arguments.output}: vivado -mode batch -source "
            "tensaw_board.tcl (never run by tensaw's developers).",
            markup=False,
        )
        return
    best = result.reports[0]
    terminal.print_table(
        console, ("resource", "used", "available", "share"),
        [(name, use.used, use.available, f"{use.used / use.available:.0%}") for name, use in best.resources.items()],
    )  # fmt: skip
    terminal.print_table(
        console, ("clock", "reached", "wanted"),
        [(clock.name, f"{clock.reached / 1e6:.1f} MHz", f"{clock.wanted / 1e6:g} MHz") for clock in best.clocks],
    )  # fmt: skip
    terminal.print_table(
        console, ("critical path: block", "logic ns", "wires ns"),
        [(step.block, f"{step.logic:.2f}", f"{step.wires:.2f}") for step in best.path],
    )  # fmt: skip
    met = "timing met" if best.met else "TIMING MISSED"
    if arguments.draft:
        met = "a draft, not for a board"
    seeds = f", best of {len(result.reports)} seeds ({best.seed})" if len(result.reports) > 1 else ""
    if result.unrouted:
        seeds += f", no way for all wires with seed {', '.join(map(str, result.unrouted))}"
    console.print(
        f"{result.build.board.name}, {config.name} ({config.rows}×{config.columns}), build {values['build']}: "
        f"{met}{seeds}; {result.bitstream} in {values['seconds']:.0f} s.",
        markup=False,
    )
