"""``tensaw check``: every tensor of a network, compared with a reference."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tensaw.cli import calls, files, options, terminal
from tensaw.cli.frame import FINE, WRONG_RESULT
from tensaw.spec.errors import InputError

if TYPE_CHECKING:
    from tensaw.cli.arrays import Arrays
    from tensaw.cli.comparison import Difference
    from tensaw.compiler.ir import Graph
    from tensaw.runtime import RunResult
    from tensaw.spec.program import Binding, Program

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
    options.add_simulation(parser)
    options.add_json(parser)


class Reference:
    """What a reference file holds, sorted into inputs, outputs and intermediate tensors. Raises InputError."""

    def __init__(self, path: Path, arrays: Arrays, graph: Graph, program: Program) -> None:
        from tensaw.cli.arrays import split_runs

        self._path = path
        self.runs = split_runs(self._ports(arrays, "inputs", program.inputs), program.inputs)
        outputs = split_runs(self._ports(arrays, "outputs", program.outputs), program.outputs)
        if len(outputs) != len(self.runs):
            raise InputError(
                f"{str(path)!r} holds {len(self.runs)} runs of inputs but {len(outputs)} of outputs; they must match."
            )
        self.outputs = outputs
        self.tensors: dict[str, Any] = {}
        """Of the first run, by the IR's names."""
        for name, tensor in graph.tensors.items():
            key = name if name in arrays else f"t{tensor.index}"
            if tensor.data is None and key in arrays:
                self.tensors[name] = arrays[key]

    def _ports(self, arrays: Arrays, key: str, bindings: list[Binding]) -> Arrays:
        names = [binding.name for binding in bindings]
        if all(name in arrays for name in names):
            return {name: arrays[name] for name in names}
        if key in arrays and len(names) == 1:
            return {names[0]: arrays[key]}
        raise InputError(
            f"{str(self._path)!r} lacks the model's {key}: it must hold {', '.join(map(repr, names))}"
            + (f" or {key!r}" if len(names) == 1 else "")
            + f", and holds {', '.join(map(repr, sorted(arrays)))[:300]}."
        )


def execute(arguments: argparse.Namespace) -> int:
    files.require_writable(arguments.waves, options.json_file(arguments))
    if arguments.against is not None and arguments.input is not None:
        raise InputError("--against brings its own inputs; leave --input out.")
    if arguments.rows is not None and arguments.rows < 1:
        raise InputError(f"--rows must be at least 1, not {arguments.rows}.")
    from tensaw.cli.arrays import load_arrays
    from tensaw.cli.simulation import inputs_from, opened, prepare

    arrays = load_arrays(arguments.against) if arguments.against is not None else None
    graph, program = prepare(arguments, keep_tensors=True)
    if arrays is not None and arguments.against is not None:
        reference = Reference(arguments.against, arrays, graph, program)
        runs, outputs, tensors = reference.runs, reference.outputs, reference.tensors
    else:
        runs = inputs_from(arguments, program)
        golden = [calls.golden_tensors(graph, program, inputs) for inputs in runs[: arguments.rows]]
        outputs, tensors = [pair[0] for pair in golden], golden[0][1]
    runs = runs[: arguments.rows]

    differences: list[tuple[int, Difference]] = []
    compared: list[str] = []
    cycles: list[int] = []
    with opened(arguments, program, len(runs)) as (session, step):
        for number, inputs in enumerate(runs):
            result = session.run(inputs)
            cycles.append(result.cycles)
            if number == 0:
                compared, found = _compare_kept(program, result, tensors)
                differences += [(0, difference) for difference in found]
            differences += [(number, item) for item in _compare_outputs(program, result, outputs[number])]
            step.update(completed=number + 1)
    missing = sorted(set(tensors) - set(compared) - {binding.tensor for binding in program.outputs})
    values = {
        "model": str(arguments.model),
        "config": program.config.to_dict(),
        "sim": arguments.sim,
        "against": str(arguments.against) if arguments.against else "golden model",
        "equal": not differences,
        "runs": len(runs),
        "cycles": cycles,
        "tensors_compared": compared,
        "tensors_not_in_memory": missing,
        "differences": [{"run": number, **_as_json(difference)} for number, difference in differences],
    }
    _print(arguments, values, differences)
    terminal.emit_json(arguments, values)
    return WRONG_RESULT if differences else FINE


def _compare_kept(
    program: Program, result: RunResult, tensors: Mapping[str, Any]
) -> tuple[list[str], list[Difference]]:
    """Intermediate tensors of a run, in the order in which layers write them: (names compared, differences)."""
    from tensaw.cli.comparison import compare

    order = {layer.output: number for number, layer in enumerate(program.layers)}
    compared, differences = [], []
    for binding in sorted(program.kept, key=lambda binding: order.get(binding.tensor, len(order))):
        if binding.tensor not in tensors:
            continue
        compared.append(binding.tensor)
        found, expected = result.kept[binding.name], tensors[binding.tensor]
        _require_alike(binding.tensor, found, expected)
        if difference := compare(program, binding.tensor, found, expected):
            differences.append(difference)
    return compared, differences


def _compare_outputs(program: Program, result: RunResult, expected: Arrays) -> list[Difference]:
    from tensaw.cli.comparison import compare

    differences = []
    for binding in program.outputs:
        found = result.outputs[binding.name]
        _require_alike(binding.name, found, expected[binding.name])
        if difference := compare(program, binding.name, found, expected[binding.name], binding.tensor):
            differences.append(difference)
    return differences


def _require_alike(name: str, found: Any, expected: Any) -> None:
    if found.size != expected.size or found.dtype != expected.dtype:
        raise InputError(
            f"The reference of tensor {name!r} is {expected.dtype} {expected.shape}, the network's is {found.dtype} "
            f"{found.shape}: they cannot be compared. Is the file the reference of this network?"
        )


def _as_json(difference: Difference) -> dict[str, Any]:
    import dataclasses

    return {**dataclasses.asdict(difference), "element": list(difference.element)}


def _print(arguments: argparse.Namespace, values: dict[str, Any], differences: list[tuple[int, Difference]]) -> None:
    console = terminal.output(arguments)
    against = Path(values["against"]).name
    runs = "1 run" if values["runs"] == 1 else f"{values['runs']} runs"
    tensors = f"{len(values['tensors_compared'])} intermediate tensors of the first"
    if not differences:
        console.print(f"Equal to {against} in every byte: outputs of {runs}, {tensors}.", markup=False)
    else:
        number, first = differences[0]
        console.print(f"Different from {against}: the first difference is in run {number}, {first}", markup=False)
        for number, difference in differences[1:10]:
            console.print(f"  run {number}: {difference}", markup=False)
    if values["tensors_not_in_memory"]:
        names = ", ".join(map(terminal.short_name, values["tensors_not_in_memory"]))
        console.print(f"Not compared, since fused layers never write them: {names}.", markup=False)
