"""``tensaw bench``: cycles of networks beside their limits and, on request, beside other designs."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tensaw.cli import calls, files, options, terminal
from tensaw.cli.frame import FINE, WRONG_RESULT

if TYPE_CHECKING:
    import numpy as np

    from tensaw.bench import Measurement
    from tensaw.runtime import RunResult
    from tensaw.spec.config import NpuConfig

SUMMARY = "measure networks: cycles, arithmetic limit, what bounds them, and what other designs take"
EXAMPLE = """tensaw bench models/ --config base --json bench.json --plot bench.svg
tensaw bench network.tflite --estimate --set rows=32 --set columns=32
tensaw bench models/ --compare"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "networks", metavar="DIR|MODEL", type=Path, nargs="+", help="networks, or folders whose networks are measured"
    )
    parser.add_argument(
        "--estimate", action="store_true", help="use the cycle model instead of simulating the hardware"
    )
    parser.add_argument(
        "--compare",
        action="store_true",
        help="add SCALE-Sim's closed forms and, where ethos-u-vela is installed, Arm's estimate for an Ethos-U55",
    )
    parser.add_argument("--plot", metavar="FILE.svg", type=Path, help="draw the result")
    options.add_config(parser)
    options.add_compiler(parser)
    options.add_latencies(parser)
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the random inputs; default: 0")
    options.add_json(parser)


def execute(arguments: argparse.Namespace) -> int:
    files.require_writable(arguments.plot, options.json_file(arguments))
    from tensaw.bench import find_networks
    from tensaw.bench.drawing import plot

    config = options.config_from(arguments)
    paths = find_networks(arguments.networks)
    if not arguments.estimate:
        calls.check_tools("verilator")
    found = []
    with terminal.progress("Measuring", len(paths)) as step:
        for number, path in enumerate(paths):
            step.update(f"Measuring {path.name}", completed=number)
            found.append(_measure(arguments, path, config, step))
    values = {
        "config": config.to_dict(),
        "source": "estimate" if arguments.estimate else "rtl",
        "read_latency": arguments.read_latency,
        "write_latency": arguments.write_latency,
        "networks": [measurement.to_dict() for measurement in found],
    }
    _print(arguments, found, config)
    if arguments.plot is not None:
        title = f"tensaw {config.name}: {config.rows}×{config.columns}, {config.bus_bytes} bytes a cycle"
        files.write(arguments.plot, plot(found, title))
    terminal.emit_json(arguments, values)
    return WRONG_RESULT if any(measurement.matches_golden is False for measurement in found) else FINE


def _measure(arguments: argparse.Namespace, path: Path, config: NpuConfig, step: terminal.Step) -> Measurement:
    """One network, estimated or simulated. Raises TensawError."""
    from tensaw.bench import measurement, work
    from tensaw.bench.closed_forms import closed_forms
    from tensaw.bench.vela import vela_cycles
    from tensaw.compiler.passes.channels import remove_channels
    from tensaw.runtime.arrays import random_inputs

    graph = calls.load_network(path)
    program = calls.compile_program(graph, config, keep_channels=arguments.keep_channels)
    matches = None
    if arguments.estimate:
        result = calls.estimate_program(program, arguments.read_latency, arguments.write_latency)
    else:
        inputs = random_inputs(program.inputs, arguments.seed)
        expected = calls.golden_tensors(graph, inputs)[0]
        with calls.open_session(
            program,
            "verilator",
            read_latency=arguments.read_latency,
            write_latency=arguments.write_latency,
            stalls=None,
            seed=0,
            waves=None,
            progress=lambda text, cycles: step.update(note=f"{text.lower()}, {cycles:,} cycles"),
        ) as session:
            result = session.run(inputs)
        matches = _equal(result, expected)
    computed = graph if arguments.keep_channels else remove_channels(graph)[0]
    found = measurement(
        path, computed, config, result, "estimate" if arguments.estimate else "rtl", arguments.read_latency
    )
    found.matches_golden = matches
    if arguments.compare:
        found.compared = {**vela_cycles(path, config), **closed_forms(work(graph), config)}
    return found


def _equal(result: RunResult, expected: Mapping[str, np.ndarray]) -> bool:
    """Whether all outputs are the same, byte for byte."""
    return all(result.outputs[name].tobytes() == expected[name].tobytes() for name in expected)


def _print(arguments: argparse.Namespace, found: list[Measurement], config: NpuConfig) -> None:
    from tensaw.bench.vela import VELA_HINT, vela_available
    from tensaw.runtime.layers import BOUNDS

    console = terminal.output(arguments)
    for measurement in found:
        rows = [
            (terminal.short_name(layer.name), layer.op, layer.cycles, layer.macs, layer.bound_by)
            for layer in measurement.layers
        ]
        terminal.print_table(
            console, ("layer", "operator", "cycles", "MACs", "bound by"), rows, title=measurement.network
        )
    others = list(dict.fromkeys(name for measurement in found for name in measurement.compared))
    rows: list[tuple[Any, ...]] = []
    for measurement in found:
        states = {kind: sum(layer.states.get(kind, 0) for layer in measurement.layers) for kind in BOUNDS}
        rows.append(
            (
                measurement.network,
                measurement.cycles,
                measurement.limit,
                f"{measurement.ratio:.2f}",
                f"{states['array'] / measurement.cycles:.0%}" if measurement.cycles else "",
                {None: "", True: "yes", False: "NO"}[measurement.matches_golden],
                *(measurement.compared.get(name, "") for name in others),
            )
        )
    source = "the cycle model" if arguments.estimate else "RTL"
    title = (
        f"{config.name}, {config.rows}×{config.columns}, {config.bus_bytes} bytes a cycle, memory latency "
        f"{arguments.read_latency} cycles; by {source}"
    )
    columns = ("network", "cycles", "limit", "ratio", "array busy", "bit-exact", *others)
    terminal.print_table(console, columns, rows, title=title)
    if arguments.compare and not vela_available():
        console.print(VELA_HINT, markup=False)
