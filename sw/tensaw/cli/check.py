"""``tensaw check``: every tensor of a network, compared with a reference."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tensaw.cli import calls, files, options, terminal
from tensaw.cli.frame import FINE, WRONG_RESULT
from tensaw.spec.errors import InputError

if TYPE_CHECKING:
    from tensaw.check import CheckResult
    from tensaw.runtime import Session
    from tensaw.spec.program import Program

SUMMARY = "compare a network's outputs and intermediate tensors with a reference, byte by byte"
EXAMPLE = """tensaw check network.tflite --against reference.npz
tensaw check network.tflite --sim golden"""

FORMAT = """The reference file holds `inputs` and `outputs`, stacks of runs along axis 0 (or arrays under the model's
own input and output names), and, of the first run, intermediate tensors as `t<number of the tensor in the .tflite
file>` or under their own names. Without --against the golden model is the reference, on --input or a random input."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    options.add_model(parser)
    parser.description = f"{parser.description}\n\n{FORMAT}"
    parser.add_argument("--against", metavar="FILE.npz", type=Path, help="inputs, outputs and tensors of a reference")
    parser.add_argument("--input", metavar="X.npz", type=Path, help="inputs, where the golden model is the reference")
    parser.add_argument("--rows", type=int, metavar="N", help="check the first N runs of the file only; default: all")
    options.add_config(parser)
    options.add_compiler(parser)
    options.add_simulation(parser)
    options.add_json(parser)


def execute(arguments: argparse.Namespace) -> int:
    files.require_writable(arguments.waves, options.json_file(arguments))
    if arguments.against is not None and arguments.input is not None:
        raise InputError("--against brings its own inputs; leave --input out.")
    if arguments.rows is not None and arguments.rows < 1:
        raise InputError(f"--rows must be at least 1, not {arguments.rows}.")
    if arguments.against is not None and not arguments.against.is_file():
        raise InputError(f"There is no file {str(arguments.against)!r} to check against.")
    from tensaw.check import Reference, check_network, reference_from_file
    from tensaw.cli.simulation import inputs_from, opened, prepare

    graph, program = prepare(arguments)
    if arguments.against is not None:
        reference = reference_from_file(arguments.against, graph, program)
    else:
        runs = inputs_from(arguments, program)[: arguments.rows]
        golden = [calls.golden_tensors(graph, inputs) for inputs in runs]
        reference = Reference("golden model", runs, [outputs for outputs, _ in golden], golden[0][1])

    steps: list[terminal.Step] = []

    @contextmanager
    def open_session(each: Program) -> Iterator[Session]:
        waves, arguments.waves = arguments.waves, None if each.kept else arguments.waves
        try:
            with opened(arguments, each, 1 if each.kept else len(reference.runs)) as (session, step):
                steps.append(step)
                yield session
        finally:
            arguments.waves = waves

    def progress(_: str, done: int) -> None:
        if steps:
            steps[-1].update(completed=done)

    reference = reference.first(arguments.rows)
    result = check_network(graph, program, reference, open_session, progress)
    _print(arguments, result)
    values = {"model": str(arguments.model), "config": program.config.to_dict(), "sim": arguments.sim}
    terminal.emit_json(arguments, {**values, **result.to_dict()})
    return FINE if result.equal else WRONG_RESULT


def _print(arguments: argparse.Namespace, result: CheckResult) -> None:
    console = terminal.output(arguments)
    against = Path(result.against).name
    runs = "1 run" if result.runs == 1 else f"{result.runs} runs"
    if result.equal:
        tensors = f"{len(result.compared)} tensors of the first"
        console.print(f"Equal to {against} in every byte: outputs of {runs}, {tensors}.", markup=False)
    else:
        number, first = result.differences[0]
        console.print(f"Different from {against}: the first difference is in run {number}, {first}", markup=False)
        for number, difference in result.differences[1:10]:
            console.print(f"  run {number}: {difference}", markup=False)
    if result.uncompared:
        names = ", ".join(map(terminal.short_name, result.uncompared))
        console.print(f"Not compared, since the compiled network does not have them: {names}.", markup=False)
