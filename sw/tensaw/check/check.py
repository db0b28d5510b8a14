"""Two programs of a network against a reference: the one that people run, and one that keeps every tensor.

The first is the network as it is always compiled, fused and overlapped; its outputs are compared for every run of the
reference. The second stores the result of every operator; with it the first run's tensors are compared, so that a
difference can be traced to the layer where it begins.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tensaw.check.comparison import Difference, compare
from tensaw.check.reference import Reference, reference_from_file, require_alike
from tensaw.compiler.frontends import load
from tensaw.compiler.ir import Graph
from tensaw.compiler.pipeline import CompileOptions, compile_graph
from tensaw.runtime import RunResult, Session
from tensaw.spec.config import NpuConfig
from tensaw.spec.program import Program

__all__ = ["CheckResult", "check_model", "check_network"]

OpenSession = Callable[[Program], AbstractContextManager[Session]]


@dataclass
class CheckResult:
    """``runs``: runs whose outputs were compared, ``cycles`` of each (0 on the golden model). ``compared``:
    intermediate tensors compared, in the order in which layers write them; ``uncompared``: tensors of the reference
    that the network does not have. ``differences``: (run, difference), those of intermediate tensors first."""

    against: str
    runs: int = 0
    cycles: list[int] = field(default_factory=list)
    compared: list[str] = field(default_factory=list)
    uncompared: list[str] = field(default_factory=list)
    differences: list[tuple[int, Difference]] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        return not self.differences

    def to_dict(self) -> dict[str, Any]:
        """Values for JSON."""
        return {
            "against": self.against,
            "equal": self.equal,
            "runs": self.runs,
            "cycles": self.cycles,
            "tensors_compared": self.compared,
            "tensors_not_in_memory": self.uncompared,
            "differences": [
                {"run": run, **dataclasses.asdict(difference), "element": list(difference.element)}
                for run, difference in self.differences
            ],
        }


def check_model(
    path: Path,
    reference: Path,
    config: NpuConfig,
    backend: str = "verilator",
    rows: int | None = None,
    progress: Callable[[str, int], None] | None = None,
    **options: Any,
) -> CheckResult:
    """Check a model file against an ``.npz`` file (see reference_from_file), its first ``rows`` runs or all.

    ``progress(text, done)`` is told the runs done; ``options`` are those of tensaw.runtime.Session. Raises TensawError.
    """
    graph = load(path)
    program = compile_graph(graph, config)
    read = reference_from_file(reference, graph, program).first(rows)
    return check_network(graph, program, read, lambda each: Session(each, backend, **options), progress)


def check_network(
    graph: Graph,
    program: Program,
    reference: Reference,
    open_session: OpenSession,
    progress: Callable[[str, int], None] | None = None,
) -> CheckResult:
    """Check a network, compiled as ``program``, on the sessions that ``open_session`` gives. Raises TensawError."""

    def tell(text: str, done: int) -> None:
        if progress is not None:
            progress(text, done)

    result = CheckResult(reference.name)
    tell("Checking every tensor of the first run", 0)
    kept = compile_graph(graph, program.config, CompileOptions(keep_tensors=True))
    with open_session(kept) as session:
        _compare_kept(kept, session.run(reference.runs[0]), reference, result)
    with open_session(program) as session:
        for number, inputs in enumerate(reference.runs):
            tell("Checking outputs", number)
            run = session.run(inputs)
            result.cycles.append(run.cycles)
            _compare_outputs(program, run, reference, number, result)
    result.runs = len(reference.runs)
    return result


def _compare_kept(program: Program, run: RunResult, reference: Reference, result: CheckResult) -> None:
    """Intermediate tensors in the order in which layers write them; what a reshape only renames is one of them."""
    outputs = {layer.output for layer in program.layers}
    writers = {(binding.region, binding.offset): binding for binding in program.kept if binding.tensor in outputs}
    for binding in program.kept:
        expected = reference.tensors.get(binding.tensor)
        if expected is None:
            continue
        result.compared.append(binding.tensor)
        found = run.kept[binding.name]
        require_alike(binding.tensor, found, expected)
        written = writers.get((binding.region, binding.offset), binding)
        if difference := compare(program, binding.tensor, found, expected, written.tensor, written.shape):
            result.differences.append((0, difference))
    missing = set(reference.tensors) - set(result.compared) - {binding.tensor for binding in program.inputs}
    result.uncompared = sorted(missing)


def _compare_outputs(program: Program, run: RunResult, reference: Reference, number: int, result: CheckResult) -> None:
    for binding in program.outputs:
        found, expected = run.outputs[binding.name], reference.outputs[number][binding.name]
        require_alike(binding.name, found, expected)
        if difference := compare(program, binding.name, found, expected, binding.tensor):
            result.differences.append((number, difference))
