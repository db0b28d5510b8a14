"""``tensaw compile``: a network to a program, and the report on its operators."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tensaw.cli import calls, files, options, terminal
from tensaw.cli.frame import FINE, MISTAKE

if TYPE_CHECKING:
    from tensaw.compiler.operator_report import OperatorReport

SUMMARY = "compile a network, and say of each operator where it runs or why it cannot"
EXAMPLE = """tensaw compile network.tflite --config base -o network.tsw
tensaw compile network.onnx --report-only --json -"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    options.add_model(parser)
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="the program file to write")
    parser.add_argument(
        "--report-only",
        action="store_true",
        help="report on the operators without compiling; exit code 2 if one is refused",
    )
    options.add_config(parser)
    options.add_compiler(parser)
    options.add_json(parser)


def print_operators(arguments: argparse.Namespace, reports: Sequence[OperatorReport]) -> None:
    """The operator report for people: a table, and the reasons of what is refused below it."""
    console = terminal.output(arguments)
    compiled = any(report.bound_by for report in reports)
    rows = []
    for report in reports:
        row = (str(report.index), report.type, terminal.short_name(report.name), report.runs_on)
        rows.append((*row, report.bound_by, report.cycles if report.bound_by else "") if compiled else row)
    columns = ("#", "operator", "output", "runs on", "bound by", "cycles, by estimate")
    terminal.print_table(console, columns if compiled else columns[:4], rows)
    for report in reports:
        if report.reason:
            text = f"#{report.index} {report.type} {terminal.short_name(report.name)!r}: {report.reason} {report.fix}"
            console.print(text.rstrip(), markup=False)


def execute(arguments: argparse.Namespace) -> int:
    config = options.config_from(arguments)
    files.require_writable(arguments.output, options.json_file(arguments))
    reports = calls.operators(arguments.model)
    refused = any(report.reason for report in reports)
    values: dict[str, Any] = {
        "model": str(arguments.model),
        "operators": [dataclasses.asdict(report) for report in reports],
    }
    if arguments.report_only or refused:
        print_operators(arguments, reports)
        terminal.emit_json(arguments, values)
    if arguments.report_only:
        return MISTAKE if refused else FINE
    with terminal.progress(f"Compiling {arguments.model.name}"):
        # Raises for the first refused operator, if there is one.
        program = calls.compile_program(
            calls.load_network(arguments.model), config, keep_channels=arguments.keep_channels
        )
    if arguments.output is not None:
        files.write(arguments.output, program.to_bytes())
    reports = calls.operators(arguments.model, program)
    print_operators(arguments, reports)
    terminal.output(arguments).print(
        f"{program.name} on {config.name} ({config.rows}×{config.columns}): {program.macs:,} MACs, "
        f"{program.program_bytes // 8:,} command words, {sum(program.region_sizes):,} bytes of memory.",
        markup=False,
    )
    if sentence := calls.removed_channels(program):
        each = ", ".join(
            f"{report.removed_channels} of {report.channels} of #{report.index}"
            for report in reports
            if report.removed_channels
        )
        terminal.output(arguments).print(f"{sentence} They are {each}. --keep-channels computes them.", markup=False)
    layers = [
        {
            "name": layer.name,
            "op": layer.kind,
            "fused": list(layer.fused),
            "macs": layer.macs,
            "weight_bytes": layer.weight_bytes,
            "limit": layer.limit,
        }
        for layer in program.layers
    ]
    values |= {
        "operators": [dataclasses.asdict(report) for report in reports],
        "config": config.to_dict(),
        "macs": program.macs,
        "command_words": program.program_bytes // 8,
        "region_bytes": list(program.region_sizes),
        "layers": layers,
    }
    terminal.emit_json(arguments, values)
    return FINE
