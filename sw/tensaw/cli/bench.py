"""``tensaw bench``: cycles of networks beside their limits and, on request, beside other designs."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tensaw.cli import calls, files, options, terminal
from tensaw.cli.frame import FINE, WRONG_RESULT
from tensaw.spec.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from tensaw.bench import Measurement
    from tensaw.compiler.ir import Graph
    from tensaw.runtime import RunResult
    from tensaw.spec.config import NpuConfig
    from tensaw.spec.program import Program

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
        help="add SCALE-Sim's closed forms and, where ethos-u-vela is installed, Arm's estimates for Ethos-U55 and U85",
    )
    parser.add_argument(
        "--plot", metavar="FILE", type=Path, help="draw the result: .svg, or .png where rsvg-convert is installed"
    )
    options.add_config(parser)
    options.add_compiler(parser)
    options.add_latencies(parser)
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the random inputs; default: 0")
    options.add_json(parser)


def execute(arguments: argparse.Namespace) -> int:
    files.require_writable(arguments.plot, options.json_file(arguments))
    from tensaw.bench import find_networks

    _check_plot(arguments.plot)
    config = options.config_from(arguments)
    paths = find_networks(arguments.networks)
    if not arguments.estimate:
        calls.check_tools("verilator")
    found: list[Measurement] = []
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
        files.write(arguments.plot, _drawn(arguments, found, config))
    terminal.emit_json(arguments, values)
    return WRONG_RESULT if any(measurement.matches_golden is False for measurement in found) else FINE


def _measure(arguments: argparse.Namespace, path: Path, config: NpuConfig, step: terminal.Step) -> Measurement:
    """One network, estimated or simulated; with ``--compare`` also as it is in the file. Raises TensawError."""
    from tensaw.bench import measurement, work
    from tensaw.bench.closed_forms import closed_forms
    from tensaw.bench.vela import vela_estimates
    from tensaw.compiler.passes.channels import remove_channels

    graph = calls.load_network(path)
    computed = graph if arguments.keep_channels else remove_channels(graph)[0]
    program, result, matches = _run(arguments, graph, config, arguments.keep_channels, step)
    found = measurement(
        path, graph, computed, program, result, "estimate" if arguments.estimate else "rtl", arguments.read_latency
    )
    found.matches_golden = matches
    if arguments.compare:
        if found.limit_all_channels != found.limit:
            _, whole, equal = _run(arguments, graph, config, True, step)
            found.compared["tensaw, all channels"] = whole.cycles
            found.matches_golden = None if matches is None else matches and bool(equal)
        vela = vela_estimates(path, config)
        found.compared |= {**vela.cycles, **closed_forms(work(graph), config)}
        found.remarks = vela.remarks
    return found


def _run(
    arguments: argparse.Namespace, graph: Graph, config: NpuConfig, keep_channels: bool, step: terminal.Step
) -> tuple[Program, RunResult, bool | None]:
    """A program, its run, and whether the outputs equal the golden model's (None: an estimate). Raises TensawError."""
    from tensaw.runtime.arrays import random_inputs

    program = calls.compile_program(graph, config, keep_channels=keep_channels)
    if arguments.estimate:
        return program, calls.estimate_program(program, arguments.read_latency, arguments.write_latency), None
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
    return program, result, _equal(result, expected)


def _check_plot(path: Path | None) -> None:
    """Raise InputError or ToolError for a kind of picture that cannot be drawn here."""
    from tensaw.bench.drawing import require_png

    if path is None or path.suffix == ".svg":
        return
    if path.suffix != ".png":
        raise InputError(f"--plot draws .svg and .png files; {str(path)!r} ends in neither.")
    require_png()


def _drawn(arguments: argparse.Namespace, found: list[Measurement], config: NpuConfig) -> str | bytes:
    """The plot, as its file's name wants it."""
    from tensaw.bench.drawing import plot, png

    source = "estimated by the cycle model" if arguments.estimate else "counted on the simulated RTL"
    svg = plot(
        found,
        f"Cycles of an inference on a {config.rows}×{config.columns} array",
        f"tensaw {config.name}: {config.bus_bytes} bytes a cycle, memory latency {arguments.read_latency}, from start "
        f"bit to interrupt, {source}",
    )
    return png(svg) if arguments.plot.suffix == ".png" else svg


def _equal(result: RunResult, expected: Mapping[str, np.ndarray]) -> bool:
    """Whether all outputs are the same, byte for byte."""
    return all(result.outputs[name].tobytes() == expected[name].tobytes() for name in expected)


def _print(arguments: argparse.Namespace, found: list[Measurement], config: NpuConfig) -> None:
    from tensaw.bench.vela import VELA_HINT, find_vela
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
    rows: list[tuple[Any, ...]] = []
    for measurement in found:
        states = {kind: sum(layer.states.get(kind, 0) for layer in measurement.layers) for kind in BOUNDS}
        rows.append(
            (
                measurement.network,
                measurement.cycles,
                measurement.limit,
                f"{measurement.ratio:.2f}",
                measurement.tile_limit,
                f"{measurement.tile_ratio:.2f}",
                f"{states['array'] / measurement.cycles:.0%}" if measurement.cycles else "",
                {None: "", True: "yes", False: "NO"}[measurement.matches_golden],
            )
        )
    source = "the cycle model" if arguments.estimate else "RTL"
    title = (
        f"{config.name}, {config.rows}×{config.columns}, {config.bus_bytes} bytes a cycle, memory latency "
        f"{arguments.read_latency} cycles; by {source}"
    )
    columns = ("network", "cycles", "limit", "ratio", "limit of\ntiles", "ratio", "array busy", "bit-exact")
    terminal.print_table(console, columns, rows, title=title)
    if arguments.compare:
        names = {name for measurement in found for name in measurement.compared}
        others = sorted(names, key=lambda name: (not name.startswith("tensaw"), name.startswith("SCALE"), name))
        rows = [
            (
                measurement.network,
                measurement.limit_all_channels,
                measurement.cycles,
                *(measurement.compared.get(name, "") for name in others),
            )
            for measurement in found
        ]
        columns = ("network", "limit, all\nchannels", "tensaw", *("\n".join(name.rsplit(" ", 1)) for name in others))
        terminal.print_table(console, columns, rows, title="Cycles of other designs for the same files")
    if arguments.compare and find_vela() is None:
        console.print(VELA_HINT, markup=False)
    for measurement in found:
        for remark in measurement.remarks:
            console.print(remark, markup=False)
