"""``tensaw run``: a network on the NPU; outputs, cycles, and whether the golden model agrees."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tensaw.cli import calls, device, files, options, terminal
from tensaw.cli.frame import FINE, WRONG_RESULT
from tensaw.spec.errors import InputError

if TYPE_CHECKING:
    from tensaw.runtime import RunResult
    from tensaw.runtime.arrays import Arrays
    from tensaw.spec.program import Program

SUMMARY = (
    "run a network on the simulated NPU or on a board, count cycles and compare each output byte with the golden model"
)
EXAMPLE = """tensaw run network.tflite --config base --input images.npz --output classes.npz
tensaw run network.tflite --sim icarus --bus-bytes 8 --read-latency 32 --json run.json
tensaw run network.onnx --set rows=12 --report run.html --trace run.trace.json --waves run.fst --wave-cycles 0:5000
tensaw run network.tflite --device /dev/ttyUSB0"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    options.add_model(parser)
    parser.add_argument(
        "--input",
        metavar="X.npz",
        type=Path,
        help="arrays under the model's input names, one run or a stack of runs along axis 0; default: one random set",
    )
    parser.add_argument(
        "--output", metavar="Y.npz", type=Path, help="write the output tensors under the model's own names"
    )
    parser.add_argument("--report", metavar="FILE.html", type=Path, help="write the report of the first run")
    parser.add_argument(
        "--trace", metavar="FILE.json", type=Path, help="write the timeline of the first run for ui.perfetto.dev"
    )
    options.add_config(parser)
    options.add_compiler(parser)
    options.add_simulation(parser)
    device.add_device(parser)
    options.add_json(parser)


def summarise(program: Program, results: Sequence[RunResult], matches: Sequence[bool]) -> dict[str, Any]:
    """The figures of ``--json``: those of the first run, and a line for each run."""
    first, config = results[0], program.config
    slots = first.cycles * config.rows * config.columns
    return {
        "network": program.name,
        "config": config.to_dict(),
        "cycles": first.cycles,
        "macs": program.macs,
        "utilization": program.macs / slots if slots else 0.0,
        "removed_channels": calls.removed_channels(program),
        "matches_golden": all(matches),
        "sim_cycles_per_second": first.sim_cycles_per_second,
        "counters": first.counters,
        "layers": [
            {
                "name": layer.name,
                "op": layer.op,
                "cycles": layer.cycles,
                "macs": layer.macs,
                "bound_by": layer.bound_by,
                "states": layer.states,
            }
            for layer in first.layers
        ],
        "runs": [
            {"cycles": result.cycles, "matches_golden": match} for result, match in zip(results, matches, strict=True)
        ],
    }


def execute(arguments: argparse.Namespace) -> int:
    files.require_writable(
        arguments.output, arguments.report, arguments.trace, arguments.waves, options.json_file(arguments)
    )
    device.choose_backend(arguments)
    for option, path in (("--report", arguments.report), ("--trace", arguments.trace)):
        if path is not None and arguments.sim in ("golden", device.BOARD):
            who = (
                "The golden model has no cycles" if arguments.sim == "golden" else "A board does not count each layer's"
            )
            instead = f"choose --sim verilator or icarus, or leave {option} out"
            raise InputError(f"{who}, which {option} would show: {instead}.")
    from tensaw.check.comparison import compare
    from tensaw.cli.simulation import inputs_from, opened, prepare
    from tensaw.runtime.arrays import pack_arrays, stack_runs

    with device.connected(arguments) as link:
        graph, program = prepare(arguments, link=link)
        runs = inputs_from(arguments, program)
        # The golden model comes first: it is quick, and refuses inputs that do not fit before a simulator is built.
        expected = [calls.golden_tensors(graph, inputs)[0] for inputs in runs]
        results: list[RunResult] = []
        with opened(arguments, program, len(runs), link) as (session, step):
            for number, inputs in enumerate(runs):
                results.append(session.run(inputs))
                step.update(completed=number + 1)

    tensors = {binding.name: binding.tensor for binding in program.outputs}
    differences = [
        [compare(program, name, result.outputs[name], golden[name], tensors[name]) for name in golden]
        for result, golden in zip(results, expected, strict=True)
    ]
    values = {
        "model": str(arguments.model),
        "sim": arguments.sim,
        "read_latency": None if link else arguments.read_latency,
        "device": link.identity.summary() if link else None,
        **summarise(program, results, [not any(found) for found in differences]),
        "differences": [str(found) for row in differences for found in row if found],
    }
    outputs: list[Arrays] = [result.outputs for result in results]
    if arguments.output is not None:
        files.write(arguments.output, pack_arrays(stack_runs(outputs)))
    if arguments.report is not None:
        calls.write_report(
            arguments.report,
            program,
            results[0],
            simulator=arguments.sim,
            read_latency=arguments.read_latency,
            matches_golden=values["matches_golden"],
        )
    if arguments.trace is not None:
        calls.write_trace(arguments.trace, program, results[0])
    _print(arguments, values)
    terminal.emit_json(arguments, values)
    return FINE if values["matches_golden"] else WRONG_RESULT


def _print(arguments: argparse.Namespace, values: dict[str, Any]) -> None:
    console = terminal.output(arguments)
    if values["layers"]:
        terminal.print_table(
            console,
            ("layer", "operator", "cycles", "MACs", "bound by"),
            [
                (terminal.short_name(p["name"]), p["op"], p["cycles"], p["macs"], p["bound_by"])
                for p in values["layers"]
            ],
        )
    config = values["config"]
    where, speed = values["sim"], ""
    if values["device"]:
        where = f"{values['device']['board']} at {arguments.device}"
    if values["cycles"]:
        how = f"simulated at {values['sim_cycles_per_second']:,.0f} cycles/s"
        if values["device"]:
            clock = values["device"]["clock_mhz"]
            how = f"{values['cycles'] / clock / 1e3:.3f} ms at the board's {clock:g} MHz"
        speed = (
            f": {values['cycles']:,} cycles, {values['utilization']:.1%} of {config['rows']}×{config['columns']} "
            f"multipliers busy, {how}"
        )
    console.print(f"{values['network']} on {config['name']} in {where}{speed}", markup=False)
    if values["removed_channels"]:
        console.print(values["removed_channels"], markup=False)
    count = len(values["runs"])
    agreeing = sum(run["matches_golden"] for run in values["runs"])
    noun = "run" if count == 1 else "runs"
    console.print(f"{agreeing} of {count} {noun} equal the golden model in every output byte.")
    for difference in values["differences"][:10]:
        console.print(difference, markup=False)
