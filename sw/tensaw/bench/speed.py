"""``python -m tensaw.bench.speed``: how quick the tools are, each beside the time that it may take.

Seconds are of the processor, not of the clock on the wall, so that other work on the machine counts little.
"""

from __future__ import annotations

import argparse
import resource
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tensaw.bench.estimating import estimate_run
from tensaw.bench.references import REFERENCES, compile_reference, models_folder
from tensaw.compiler.frontends import load
from tensaw.model.graph import run_graph
from tensaw.runtime import Session
from tensaw.runtime.arrays import random_inputs
from tensaw.spec.config import PRESETS
from tensaw.spec.errors import TensawError
from tensaw.spec.program import Program

__all__ = ["Speed", "main", "measure"]


@dataclass(frozen=True)
class Speed:
    """``value`` in ``unit`` of ``what``; ``limit``: at most so many seconds, or at least so many cycles a second."""

    what: str
    value: float
    unit: str
    limit: float

    @property
    def fine(self) -> bool:
        return self.value >= self.limit if self.unit == "cycles/s" else self.value <= self.limit


def _processor_seconds(work: Callable[[], object]) -> float:
    """Processor time of this process and of those that it waited for."""

    def now() -> float:
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(usage.ru_utime + usage.ru_stime for usage in used)

    start = now()
    work()
    return now() - start


def measure(folder: Path) -> list[Speed]:
    """All figures. ``folder`` holds the reference networks. Raises TensawError."""
    base = PRESETS["base"]
    found = []
    for network in REFERENCES:
        seconds = _processor_seconds(lambda name=network: compile_reference(folder, name, base))
        found.append(Speed(f"compiling {network}", seconds, "s", 5.0))
    for network in REFERENCES:
        program = compile_reference(folder, network, base)
        found.append(Speed(f"estimating {network}", _processor_seconds(lambda p=program: estimate_run(p)), "s", 2.0))
    graph = load(folder / REFERENCES["IC"])
    program = compile_reference(folder, "IC", base)
    inputs = {
        binding.tensor: array.reshape(graph.tensors[binding.tensor].shape)
        for binding, array in zip(program.inputs, random_inputs(program.inputs, 0).values(), strict=True)
    }
    found.append(Speed("golden model of IC, an image", _processor_seconds(lambda: run_graph(graph, inputs)), "s", 1.0))
    found.append(Speed("Verilog of large", _processor_seconds(_verilog_of_large), "s", 60.0))
    found.append(Speed("simulating base in Verilator", _simulation_speed(program), "cycles/s", 150_000))
    return found


def _simulation_speed(program: Program) -> float:
    """Simulated cycles in a second of the simulator's processor time, its start left out. Raises TensawError."""
    inputs = random_inputs(program.inputs, 0)
    cycles = [0]

    def simulate(runs: int) -> None:
        with Session(program) as session:
            cycles[0] = sum(session.run(inputs).cycles for _ in range(runs))

    simulate(1)  # builds the simulator, if it is not in the cache
    few = _processor_seconds(lambda: simulate(1))
    once = cycles[0]
    many = _processor_seconds(lambda: simulate(21))
    return (cycles[0] - once) / max(many - few, 1e-9)


def _verilog_of_large() -> None:
    from tensaw.rtl.export import verilog  # imports Amaranth, which takes a second

    verilog(PRESETS["large"])


def main(argv: Sequence[str] | None = None) -> int:
    """Print the figures; returns 1 if one misses its limit, 2 for networks or tools that are missing."""
    parser = argparse.ArgumentParser(prog="python -m tensaw.bench.speed", description=__doc__)
    parser.add_argument("--models", type=Path, metavar="DIR", help="folder of the reference networks")
    arguments = parser.parse_args(argv)
    try:
        speeds = measure(models_folder(arguments.models))
    except TensawError as error:
        print(error, file=sys.stderr)
        return 2
    for speed in speeds:
        form = ",.0f" if speed.unit == "cycles/s" else ".2f"
        bound = "at least" if speed.unit == "cycles/s" else "at most"
        missed = "" if speed.fine else "  MISSED"
        print(f"{speed.what}: {speed.value:{form}} {speed.unit}, {bound} {speed.limit:{form}}{missed}")
    return 0 if all(speed.fine for speed in speeds) else 1


if __name__ == "__main__":
    sys.exit(main())
