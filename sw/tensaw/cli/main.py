"""Entry point of ``tensaw``: the commands are registered here, one line each.

Only argparse is imported until a command has been chosen, so that ``tensaw --help`` answers at once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from tensaw.cli import bench, board, check, compile, disasm, estimate, fpga, generate, info, mlperf_dut, regress, run
from tensaw.cli.frame import guarded

__all__ = ["main", "make_parser"]

COMMANDS = {
    "generate": generate,
    "compile": compile,
    "run": run,
    "check": check,
    "estimate": estimate,
    "bench": bench,
    "regress": regress,
    "mlperf-dut": mlperf_dut,
    "fpga": fpga,
    "board": board,
    "disasm": disasm,
    "info": info,
}
"""Modules with texts SUMMARY and EXAMPLE, ``add_arguments(parser)``, and ``execute(arguments) -> exit code``."""

DESCRIPTION = """Generate a systolic-array NPU, compile quantised networks to it, verify it bit for bit, count its \
cycles."""

EPILOG = """example:
  tensaw info --config base
  tensaw run network.tflite --config base --json -

Exit codes: 0 fine; 1 a result is not what it should be; 2 a mistake in the arguments, the model or the machine,
explained on stderr; 130 interrupted."""


def make_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(
        prog="tensaw",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    parser.add_argument("--debug", action="store_true", help="show the traceback of every error")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for name, module in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=module.SUMMARY,
            description=module.SUMMARY[0].upper() + module.SUMMARY[1:] + ".",
            epilog="example:\n" + "\n".join("  " + line for line in module.EXAMPLE.splitlines()),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        module.add_arguments(command)
        command.set_defaults(execute=module.execute)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``tensaw`` with these arguments (default: those of the process); returns the exit code."""
    parser = make_parser()
    parsed = parser.parse_args(arguments)
    if parsed.version:
        import importlib.metadata

        print(f"tensaw {importlib.metadata.version('tensaw')}")
        return 0
    if parsed.command is None:
        parser.print_help()
        return 0
    return guarded(parsed.execute, parsed)


if __name__ == "__main__":
    sys.exit(main())
