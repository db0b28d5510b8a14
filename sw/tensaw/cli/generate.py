"""``tensaw generate``: a configuration to Verilog."""

from __future__ import annotations

import argparse
import hashlib
import time
from pathlib import Path

from tensaw.cli import calls, files, options, terminal
from tensaw.cli.frame import FINE

SUMMARY = "write the Verilog of an NPU, its C header and its configuration"
EXAMPLE = """tensaw generate --config base -o build/base
tensaw generate --config small --set rows=12 --set columns=10 -o build/npu12x10
tensaw generate --config small --technology xilinx --clock 150 --package vivado -o build/ip"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o", "--output", metavar="DIR", type=Path, required=True, help="folder to write to; created if missing"
    )
    parser.add_argument(
        "--checks", action="store_true", help="with the checks that end a simulation where a block breaks its own rules"
    )
    group = parser.add_argument_group("other people's flows (docs/integration.md)")
    group.add_argument(
        "--technology",
        choices=calls.technologies(),
        default="generic",
        help="attributes for its RAMs and multipliers; asic: RAMs in a file of their own, and a list of them",
    )
    group.add_argument(
        "--multipliers",
        metavar="N",
        type=int,
        help="the device has only so many: where they are too few, elements of the array share them or multiply in "
        "logic, with the same bits",
    )
    group.add_argument(
        "--clock", metavar="MHZ", type=float, help="also write timing constraints for the core alone (SDC, XDC)"
    )
    group.add_argument(
        "--package",
        choices=calls.packages(),
        action="append",
        default=[],
        help="also write an IP-XACT component, a Vivado packaging script or a LiteX wrapper; may be repeated",
    )
    options.add_config(parser)
    options.add_json(parser)


def execute(arguments: argparse.Namespace) -> int:
    config = options.config_from(arguments)
    files.require_writable(options.json_file(arguments))
    files.require_folder(arguments.output)
    start = time.perf_counter()
    with terminal.progress(f"Generating the {config.rows}×{config.columns} array"):
        contents = calls.generate_files(
            config,
            arguments.checks,
            arguments.technology,
            arguments.clock,
            arguments.package,
            arguments.multipliers,
        )
    files.write_all(arguments.output, contents)
    seconds = time.perf_counter() - start
    listing = [
        {
            "name": name,
            "bytes": len(text.encode()),
            "lines": text.count("\n"),
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
        }
        for name, text in contents.items()
    ]
    console = terminal.output(arguments)
    terminal.print_table(console, ("file", "bytes", "lines"), [(f["name"], f["bytes"], f["lines"]) for f in listing])
    console.print(f"Written to {arguments.output} in {seconds:.1f} s.")
    terminal.emit_json(
        arguments,
        {"config": config.to_dict(), "digest": f"0x{config.digest:08x}", "files": listing, "seconds": seconds},
    )
    return FINE
