"""``tensaw estimate``: cycles of a network by the cycle model, layer by layer, without a simulator."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tensaw.cli import calls, files, options, terminal
from tensaw.cli.frame import FINE

if TYPE_CHECKING:
    from tensaw.runtime import RunResult
    from tensaw.spec.program import Program

SUMMARY = "estimate the cycles of a network, and what bounds each layer, without a simulator"
EXAMPLE = """tensaw estimate network.tflite --config base
tensaw estimate network.tflite --set rows=12 --set columns=10 --read-latency 100 --json -
tensaw estimate network.onnx --config large --report estimate.html"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    options.add_model(parser)
    parser.add_argument("--report", metavar="FILE.html", type=Path, help="write the report, as `tensaw run` does")
    parser.add_argument("--trace", metavar="FILE.json", type=Path, help="write the timeline for ui.perfetto.dev")
    options.add_config(parser)
    options.add_compiler(parser)
    options.add_latencies(parser)
    options.add_json(parser)


def execute(arguments: argparse.Namespace) -> int:
    files.require_writable(arguments.report, arguments.trace, options.json_file(arguments))
    config = options.config_from(arguments)
    with terminal.progress(f"Compiling {arguments.model.name}") as step:
        program = calls.compile_program(
            calls.load_network(arguments.model), config, keep_channels=arguments.keep_channels
        )
        step.update("Estimating")
        result = calls.estimate_program(program, arguments.read_latency, arguments.write_latency)
    values = {"model": str(arguments.model), **summarise(program, result, arguments)}
    if arguments.report is not None:
        calls.write_report(
            arguments.report, program, result, simulator="the cycle model", read_latency=arguments.read_latency,
            matches_golden=None,
        )  # fmt: skip
    if arguments.trace is not None:
        calls.write_trace(arguments.trace, program, result)
    _print(arguments, values)
    terminal.emit_json(arguments, values)
    return FINE


def summarise(program: Program, result: RunResult, arguments: argparse.Namespace) -> dict[str, Any]:
    """The estimate as JSON values."""
    config = program.config
    return {
        "network": program.name,
        "config": config.to_dict(),
        "read_latency": arguments.read_latency,
        "write_latency": arguments.write_latency,
        "cycles": result.cycles,
        "macs": program.macs,
        "utilization": program.macs / (result.cycles * config.macs_per_cycle),
        "removed_channels": calls.removed_channels(program),
        "counters": result.counters,
        "layers": [
            {
                "name": layer.name,
                "op": layer.op,
                "cycles": layer.cycles,
                "macs": layer.macs,
                "bound_by": layer.bound_by,
                "states": layer.states,
            }
            for layer in result.layers
        ],
    }


def _print(arguments: argparse.Namespace, values: dict[str, Any]) -> None:
    from tensaw.runtime.layers import BOUNDS

    console = terminal.output(arguments)
    layers = values["layers"]
    shown = [kind for kind in BOUNDS if any(layer["states"].get(kind) for layer in layers)]
    rows = [
        (
            terminal.short_name(layer["name"]),
            layer["op"],
            layer["cycles"],
            layer["bound_by"],
            *(layer["states"].get(kind, 0) for kind in shown),
        )
        for layer in layers
    ]
    terminal.print_table(console, ("layer", "operator", "cycles", "bound by", *shown), rows)
    config = values["config"]
    console.print(
        f"{values['network']} on {config['name']}: about {values['cycles']:,} cycles, {values['utilization']:.1%} of "
        f"{config['rows']}×{config['columns']} multipliers busy; {values['counters']['bytes_read']:,} bytes read, "
        f"{values['counters']['bytes_written']:,} written; memory latency {values['read_latency']} cycles.",
        markup=False,
    )
    if values["removed_channels"]:
        console.print(values["removed_channels"], markup=False)
