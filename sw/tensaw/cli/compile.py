"""``tensaw compile``: a network to a program, and the report on its operators."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tensaw.cli import calls, files, options, terminal
from tensaw.cli.frame import FINE
from tensaw.cli.terminal import short_name

if TYPE_CHECKING:
    from tensaw.compiler.frontends import OperatorVerdict

SUMMARY = "compile a network, and say of each operator where it runs or why it cannot"
EXAMPLE = """tensaw compile network.tflite --config base -o network.tsw
tensaw compile network.onnx --report-only --json -"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    options.add_model(parser)
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="the program file to write")
    parser.add_argument(
        "--report-only",
        action="store_true",
        help="only report on the operators, refused ones included; compile nothing",
    )
    options.add_config(parser)
    options.add_json(parser)


def operator_rows(verdicts: list[OperatorVerdict]) -> list[dict[str, Any]]:
    """The operator report as JSON values."""
    return [
        {"index": v.index, "type": v.type, "name": v.name, "supported": v.ok, "reason": v.reason, "fix": v.fix}
        for v in verdicts
    ]


def print_operators(arguments: argparse.Namespace, verdicts: list[OperatorVerdict]) -> None:
    """The operator report for people."""
    console = terminal.output(arguments)
    rows = [(str(v.index), v.type, short_name(v.name), "NPU" if v.ok else "refused") for v in verdicts]
    terminal.print_table(console, ("#", "operator", "output", "runs on"), rows)
    for v in verdicts:
        if not v.ok:
            console.print(f"{v.index} {v.type} {v.name!r}: {v.reason} {v.fix}".rstrip(), markup=False)


def execute(arguments: argparse.Namespace) -> int:
    config = options.config_from(arguments)
    files.require_writable(arguments.output, options.json_file(arguments))
    verdicts = calls.operators(arguments.model)
    values: dict[str, Any] = {"model": str(arguments.model), "operators": operator_rows(verdicts)}
    if arguments.report_only or not all(verdict.ok for verdict in verdicts):
        print_operators(arguments, verdicts)
        terminal.emit_json(arguments, values)
    if arguments.report_only:
        return FINE
    with terminal.progress(f"Compiling {arguments.model.name}"):
        # Raises for the first refused operator, if there is one.
        program = calls.compile_program(calls.load_network(arguments.model), config)
    if arguments.output is not None:
        files.write(arguments.output, program.to_bytes())
    console = terminal.output(arguments)
    terminal.print_table(
        console,
        ("layer", "operator", "fused", "MACs", "weight bytes", "fewest cycles"),
        [
            (short_name(p.name), p.kind, ", ".join(map(short_name, p.fused)), p.macs, p.weight_bytes, p.limit)
            for p in program.layers
        ],
    )
    console.print(
        f"{program.name} on {config.name} ({config.rows}×{config.columns}): {program.macs:,} MACs, "
        f"{program.program_bytes // 8:,} command words, {sum(program.region_sizes):,} bytes of memory.",
        markup=False,
    )
    terminal.emit_json(
        arguments,
        {
            **values,
            "config": config.to_dict(),
            "macs": program.macs,
            "command_words": program.program_bytes // 8,
            "region_bytes": list(program.region_sizes),
            "layers": [
                {
                    "name": p.name,
                    "op": p.kind,
                    "fused": list(p.fused),
                    "macs": p.macs,
                    "weight_bytes": p.weight_bytes,
                    "limit": p.limit,
                }
                for p in program.layers
            ],
        },
    )
    return FINE
