"""The digits network on a generated NPU, in RTL simulation, each output byte checked: ``make run``.

Compiles ``digits_int8.tflite``, generates and builds the NPU, runs the held-out images through the simulated RTL, and
compares with the golden model and, where it is installed, with LiteRT's reference kernels. Exits with 1 on a mismatch.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tensaw.cli import calls, files, options, terminal
from tensaw.cli.frame import FINE, WRONG_RESULT, guarded
from tensaw.cli.run import summarise

if TYPE_CHECKING:
    from tensaw.runtime import RunResult
    from tensaw.spec.program import Program

FOLDER = Path(__file__).resolve().parent
MODEL = FOLDER / "digits_int8.tflite"
Int8Array = npt.NDArray[np.int8]


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run.py", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--images", type=int, default=360, metavar="N", help="run the first N images; default: all 360")
    parser.add_argument(
        "--output", type=Path, default=Path("build/digits"), metavar="DIR", help="for the report; default: build/digits"
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of every error")
    options.add_config(parser)
    options.add_simulation(parser)
    options.add_json(parser)
    return parser.parse_args(arguments)


def litert() -> Callable[[Int8Array], Int8Array] | None:
    """The network on LiteRT's reference kernels; None where LiteRT is not installed."""
    from tensaw.networks.litert import LitertReference
    from tensaw.spec.errors import ToolError

    try:
        reference = LitertReference(MODEL.read_bytes())
    except ToolError:
        return None
    return lambda image: reference.run([image])[0]


def execute(arguments: argparse.Namespace) -> int:
    start = time.perf_counter()
    files.require_writable(options.json_file(arguments))
    arguments.output.mkdir(parents=True, exist_ok=True)
    config = options.config_from(arguments)
    calls.check_tools(arguments.sim)
    images: Int8Array = np.load(FOLDER / "digits_images.npz")["image"][: arguments.images]
    labels: Int8Array = np.load(FOLDER / "digits_labels.npz")["digit"][: arguments.images]
    graph = calls.load_network(MODEL)
    program = calls.compile_program(graph, config)
    golden = np.concatenate([calls.golden_tensors(graph, {"image": i[None]})[0]["digit"] for i in images])

    results = []
    with terminal.progress("Starting", len(images)) as step:
        session = calls.open_session(
            program,
            arguments.sim,
            read_latency=arguments.read_latency,
            stalls=arguments.stalls,
            seed=arguments.seed,
            waves=options.waves_from(arguments),
            progress=lambda text, cycles: step.update(text),
        )
        with session:
            for number, image in enumerate(images):
                results.append(session.run({"image": image[None]}))
                step.update(completed=number + 1, note=f"image {number + 1} of {len(images)}")
    found = np.concatenate([result.outputs["digit"] for result in results])

    reference = litert()
    expected = np.concatenate([reference(image[None]) for image in images]) if reference else None
    matches = (found == golden).all(1)
    values: dict[str, Any] = {
        **summarise(program, results, matches.tolist()),
        "sim": arguments.sim,
        "accuracy": float((found.argmax(1) == labels).mean()),
        "litert_accuracy": None if expected is None else float((expected.argmax(1) == labels).mean()),
        "matches_litert": None if expected is None else bool((found == expected).all()),
    }
    if arguments.sim != "golden":
        values["report"] = str(report(arguments, program, results[0], values))
    values["seconds"] = time.perf_counter() - start
    show(arguments, values, found, golden, expected)
    terminal.emit_json(argparse.Namespace(json=arguments.json, command="digits"), values)
    return FINE if values["matches_golden"] and values["matches_litert"] is not False else WRONG_RESULT


def report(arguments: argparse.Namespace, program: Program, result: RunResult, values: dict[str, Any]) -> Path:
    """Write the HTML report of a run; returns its path."""
    path = arguments.output / "report.html"
    notes = {"images": str(len(values["runs"])), "accuracy on the NPU": f"{values['accuracy']:.2%}"}
    if values["litert_accuracy"] is not None:
        notes["accuracy on LiteRT's reference kernels"] = f"{values['litert_accuracy']:.2%}"
    calls.write_report(
        path,
        program,
        result,
        simulator=arguments.sim,
        read_latency=arguments.read_latency,
        matches_golden=values["matches_golden"],
        notes=notes,
    )
    return path


def show(
    arguments: argparse.Namespace,
    values: dict[str, Any],
    found: Int8Array,
    golden: Int8Array,
    expected: Int8Array | None,
) -> None:
    """The result for people."""
    console = terminal.output(arguments)
    config = values["config"]
    shape = f"{config['rows']}×{config['columns']} array ({config['name']})"
    console.print(f"Handwritten digits on a generated NPU, {shape}, {len(found)} held-out images in {values['sim']}")
    if values["layers"]:
        terminal.print_table(
            console,
            ("layer", "operator", "cycles", "MACs", "bound by"),
            [(p["name"], p["op"], p["cycles"], p["macs"], p["bound_by"]) for p in values["layers"]],
        )
    rows = [("NPU", f"{values['accuracy']:.2%}", "")]
    rows.append(("golden model", "", _agreement(found, golden)))
    if expected is None:
        rows.append(("LiteRT reference kernels", "", "not installed (package ai-edge-litert)"))
    else:
        rows.append(("LiteRT reference kernels", f"{values['litert_accuracy']:.2%}", _agreement(found, expected)))
    terminal.print_table(console, ("", "accuracy", "output bytes equal to the NPU's"), rows)
    if values["cycles"]:
        console.print(
            f"{values['cycles']:,} cycles an image, {values['utilization']:.1%} of the multipliers busy; simulated at "
            f"{values['sim_cycles_per_second']:,.0f} cycles/s; {values['seconds']:.0f} s in all"
        )
    if "report" in values:
        console.print(f"Report: {values['report']}")


def _agreement(found: Int8Array, expected: Int8Array) -> str:
    return f"{int((found == expected).sum()):,} of {found.size:,}"


if __name__ == "__main__":
    parsed = parse(None)
    sys.exit(guarded(execute, parsed))
