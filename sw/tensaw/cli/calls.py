"""The calls of the commands into the rest of tensaw: the one place to look when an interface changes.

Everything is imported inside the functions, so that ``tensaw --help`` stays quick.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from tensaw.compiler.ir import Graph
    from tensaw.compiler.operator_report import OperatorReport
    from tensaw.runtime import RunResult, Session
    from tensaw.runtime.link import HostLink
    from tensaw.spec.config import NpuConfig
    from tensaw.spec.program import Program

__all__ = [
    "check_tools", "compile_program", "estimate_program", "generate_files", "golden_tensors", "is_program",
    "load_network", "open_session", "operators", "packages", "removed_channels", "technologies", "write_report",
    "write_trace",
]  # fmt: skip


def technologies() -> list[str]:
    """What ``tensaw generate --technology`` takes."""
    from tensaw.rtl.technology import TECHNOLOGIES

    return list(TECHNOLOGIES)


def packages() -> list[str]:
    """What ``tensaw generate --package`` takes."""
    from tensaw.integration import PACKAGES

    return list(PACKAGES)


def generate_files(
    config: NpuConfig,
    checks: bool = False,
    technology: str = "generic",
    megahertz: float | None = None,
    packages: Sequence[str] = (),
    multipliers: int | None = None,
) -> dict[str, str]:
    """Everything that ``tensaw generate`` writes; file name to text. Raises InputError."""
    from tensaw.integration.generate import generated_files

    return generated_files(config, checks, technology, megahertz, packages, multipliers)


def load_network(path: Path) -> Graph:
    """The network of a model file. Raises ModelError."""
    from tensaw.compiler import frontends

    return frontends.load(path)


def operators(path: Path, program: Program | None = None) -> list[OperatorReport]:
    """Where each operator of a model file runs (in detail if its program is given), or why it is refused.

    Raises ModelError if the file cannot be read.
    """
    from tensaw.compiler import frontends
    from tensaw.compiler.operator_report import operator_report

    return operator_report(frontends.survey(path), program)


def compile_program(
    graph: Graph, config: NpuConfig, keep_tensors: bool = False, keep_channels: bool = False
) -> Program:
    """Compile; with ``keep_tensors`` intermediate tensors are written to memory, too, and with ``keep_channels`` those
    channels are computed that could be left out. Raises TensawError."""
    from tensaw.compiler.pipeline import CompileOptions, compile_graph

    return compile_graph(graph, config, CompileOptions(keep_tensors=keep_tensors, remove_channels=not keep_channels))


def is_program(path: Path) -> bool:
    """Whether a file is one of ``tensaw compile`` (a zip archive) rather than a model. False if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(4) == b"PK\x03\x04"
    except OSError:
        return False


def check_tools(backend: str) -> None:
    """Raise ToolError if a tool that this back end needs is missing: before any work, not after compiling."""
    from tensaw.harness import tools

    if backend == "verilator":
        tools.find_verilator()
        tools.find_compiler()
        tools.find_make()
    elif backend == "icarus":
        tools.find_icarus()


def open_session(
    program: Program,
    backend: str,
    *,
    read_latency: int,
    write_latency: int = 8,
    stalls: float | None,
    seed: int,
    waves: tuple[Path, int, int] | None,
    progress: Callable[[str, int], None],
    link: HostLink | None = None,
) -> Session:
    """A session, to be used as a context manager. Raises TensawError."""
    from tensaw.harness import Waves
    from tensaw.runtime import Session

    return Session(
        program,
        backend,
        read_latency=read_latency,
        write_latency=write_latency,
        stalls=stalls,
        seed=seed,
        waves=Waves(*waves) if waves else None,
        progress=progress,
        device=link,
    )


def estimate_program(program: Program, read_latency: int, write_latency: int) -> RunResult:
    """A run by the cycle model: no outputs. Raises InputError."""
    from tensaw.bench import estimate_run

    return estimate_run(program, read_latency, write_latency)


def golden_tensors(graph: Graph, inputs: Mapping[str, np.ndarray]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the operator-level golden model gives for the model's own input arrays.

    Returns (outputs by the model's own names, shapes and types; every tensor by its name in the IR, int8). Raises
    InputError.
    """
    import numpy as np

    from tensaw.compiler.pipeline import port_binding
    from tensaw.model.graph import run_graph
    from tensaw.runtime.tensors import from_bytes, inputs_to_bytes

    bindings = [port_binding(graph, port) for port in graph.inputs]
    contents = inputs_to_bytes(bindings, inputs)
    arrays = {
        binding.tensor: contents[binding.name].view(np.int8).reshape(graph.tensors[binding.tensor].shape)
        for binding in bindings
    }
    tensors = run_graph(graph, arrays, keep=True)
    outputs = {
        port.name: from_bytes(
            port_binding(graph, port), np.ascontiguousarray(tensors[port.tensor]).view(np.uint8).reshape(-1)
        )
        for port in graph.outputs
    }
    return outputs, dict(tensors)


def removed_channels(program: Program) -> str:
    """A sentence on the channels that the program leaves out; empty if it has all."""
    from tensaw.compiler.operator_report import removed_channels

    return removed_channels(program)


def write_report(
    path: Path,
    program: Program,
    result: RunResult,
    *,
    simulator: str,
    read_latency: int,
    matches_golden: bool | None,
    notes: dict[str, str] | None = None,
) -> None:
    """Write the HTML report of a run; ``notes`` are further lines of its summary. Raises InputError."""
    from tensaw.cli.files import write
    from tensaw.report import html_report

    if sentence := removed_channels(program):
        notes = {**(notes or {}), "channels": sentence}
    text = html_report(
        program, result, simulator=simulator, read_latency=read_latency, matches_golden=matches_golden, notes=notes
    )
    write(path, text)


def write_trace(path: Path, program: Program, result: RunResult) -> None:
    """Write the timeline of a run as a Perfetto trace. Raises InputError."""
    from tensaw.cli.files import write
    from tensaw.report import perfetto_trace

    write(path, perfetto_trace(program, result))
