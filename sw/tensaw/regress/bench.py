"""Running a case on everything there is: golden operators, instruction-level golden model, RTL in Verilator."""

from __future__ import annotations

import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tensaw.compiler.ir import Graph, Port
from tensaw.compiler.pipeline import compile_graph
from tensaw.harness import MemoryTiming, Simulator, Waves, build_verilator, npu_verilog
from tensaw.model.graph import run_graph
from tensaw.model.machine import Machine, MachineError, Region
from tensaw.regress.cases import Case
from tensaw.regress.locate import describe_byte
from tensaw.runtime.devices import SimulatedDevice
from tensaw.runtime.driver import Driver
from tensaw.runtime.placement import Placement, place
from tensaw.runtime.tensors import from_bytes, to_bytes
from tensaw.spec.config import NpuConfig
from tensaw.spec.errors import DeviceError, TensawError, ToolError, UnsupportedError
from tensaw.spec.program import CONSTANTS, INPUTS, Binding, Program

__all__ = ["Bench", "Kind", "Outcome", "prepare"]

Kind = Literal["pass", "refused", "compiler", "program", "hardware"]
Bytes = npt.NDArray[np.uint8]

_MEMORY = 1 << 21
_WATCHDOG = 20_000
_LIMIT = 50_000_000
_WAVES_BEFORE, _WAVES_AFTER = 3000, 100
"""Cycles recorded before and after a wrong write."""


@dataclass(frozen=True)
class Outcome:
    """What became of a case.

    ``kind``: pass; refused (the compiler says that the network does not fit the configuration); or who is at fault: the
    compiler crashed, its program does not compute the network (or is unsound), or the hardware does not do what the
    program says. ``cycles`` simulated, ``seconds`` altogether.
    """

    case: Case
    kind: Kind
    text: str = ""
    cycles: int = 0
    seconds: float = 0.0

    @property
    def failed(self) -> bool:
        return self.kind not in ("pass", "refused")


class _Failure(Exception):
    def __init__(self, kind: Kind, text: str) -> None:
        super().__init__(text)
        self.kind: Kind = kind


class Bench:
    """A context manager that keeps one simulator process for each configuration.

    ``rtl``: also simulate the hardware. ``keep``: most processes kept at a time. ``executable``: the simulator for all
    configurations, in place of one that is built; ``arguments`` for its command line; ``coverage``: a folder for what
    its processes have covered, a file each.
    """

    def __init__(
        self,
        rtl: bool = True,
        keep: int = 16,
        executable: Path | None = None,
        arguments: Sequence[str] = (),
        coverage: Path | None = None,
    ) -> None:
        self.rtl = rtl
        self._coverage, self._started = coverage, 0
        self._executable, self._arguments = executable, tuple(arguments)
        self._keep = keep
        self._simulators: dict[NpuConfig, tuple[Simulator, int]] = {}

    def run(self, case: Case) -> Outcome:
        """Run one case; never raises for what a case finds. Raises ToolError if a tool is missing."""
        start = time.perf_counter()
        cycles, kind, text = 0, "pass", ""
        try:
            cycles = self._run(case)
        except UnsupportedError as error:
            kind, text = "refused", str(error)
        except _Failure as failure:
            kind, text = failure.kind, str(failure)
        return Outcome(case, kind, text, cycles, time.perf_counter() - start)  # type: ignore[arg-type]

    def _run(self, case: Case) -> int:
        program, placement, before, expected = prepare(case)
        return self._simulate(case, program, placement, before, expected) if self.rtl else 0

    # Hardware ------------------------------------------------------------------------------------------------------

    def _simulate(self, case: Case, program: Program, placement: Placement, before: Bytes, expected: Bytes) -> int:
        simulator = self.simulator(case.config, placement, len(before))
        total = 0
        cycles: list[int] = []
        try:
            simulator.set_timing(case.timing)
            driver = Driver(SimulatedDevice(simulator, placement.base, _LIMIT), program, placement, _WATCHDOG)
            for number in range(case.repeats):
                simulator.memory[:] = before
                driver.open()
                cycles.append(driver.run()["cycles"])
                total += cycles[-1]
                wrong = np.flatnonzero(simulator.memory != expected)
                if len(wrong):
                    text = describe_byte(program, placement, before, int(wrong[0]), simulator.memory, expected)
                    raise _Failure("hardware", f"run {number + 1}: {len(wrong)} bytes of memory differ; {text}")
        except (DeviceError, ToolError) as error:
            self.drop(case.config)
            raise _Failure("hardware", str(error)) from None
        if len(set(cycles)) > 1:
            raise _Failure("hardware", f"the same run took {cycles[0]} cycles first and then {cycles[1]}")
        return total

    def simulator(self, config: NpuConfig, placement: Placement, size: int) -> Simulator:
        """The process of this configuration, started anew where its memory does not suit."""
        kept = self._simulators.pop(config, None)
        if kept is not None and (kept[1] != placement.base or len(kept[0].memory) != size):
            kept[0].close()
            kept = None
        if kept is None:
            if len(self._simulators) >= self._keep:
                self.drop(next(iter(self._simulators)))
            executable = self._executable or build_verilator(
                npu_verilog(config, trace=True), config, trace=True, optimise="build"
            )
            self._started += 1
            covered = None if self._coverage is None else self._coverage / f"{self._started}.dat"
            simulator = Simulator(
                executable, size, placement.base, config.bus_bytes, MemoryTiming(), arguments=self._arguments,
                coverage=covered,
            )  # fmt: skip
            kept = simulator, placement.base
        self._simulators[config] = kept
        return kept[0]

    def drop(self, config: NpuConfig) -> None:
        """End the process of this configuration, if there is one."""
        kept = self._simulators.pop(config, None)
        if kept is not None:
            kept[0].close()

    def record(self, outcome: Outcome, folder: Path) -> str:
        """Run a case that fails on the hardware again and record what led to the first wrong byte: the write, or the
        end of the run if it was never written. Returns a sentence with the file's name. Raises ToolError."""
        case = outcome.case
        program, placement, before, expected = prepare(case)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"case-{case.seed}-{case.index}.fst"
        files = npu_verilog(case.config, trace=True)
        plain = build_verilator(files, case.config, trace=True, optimise="build")
        last, text, wrong = self._last_cycle(plain, case, program, placement, before, expected)
        waves = Waves(path, max(0, last - _WAVES_BEFORE), last + _WAVES_AFTER)
        recording = build_verilator(files, case.config, trace=True, waves="fst", optimise="build")
        with Simulator(
            recording, len(before), placement.base, case.config.bus_bytes, case.timing, waves=waves
        ) as simulator:
            self._once(simulator, program, placement, before)
        return f"{wrong} bytes are wrong; {text}; waves of cycles {waves.first} to {waves.last} are in {path}"

    def _last_cycle(
        self, executable: Path, case: Case, program: Program, placement: Placement, before: Bytes, expected: Bytes
    ) -> tuple[int, str, int]:
        """Cycle up to which waves are wanted, what happens in it, and how many bytes are wrong."""
        with Simulator(executable, len(before), placement.base, case.config.bus_bytes, case.timing) as simulator:
            ended = self._once(simulator, program, placement, before)
            wrong = simulator.memory != expected
            simulator.watch(wrong, expected)
            self._once(simulator, program, placement, before)
            cycle = simulator.watched()
        if cycle is None:
            return ended, f"none of them is ever written, and the run ends in cycle {ended}", int(wrong.sum())
        return cycle, f"the first of them is written in cycle {cycle}", int(wrong.sum())

    @staticmethod
    def _once(simulator: Simulator, program: Program, placement: Placement, before: Bytes) -> int:
        """One run, however it ends; its cycles."""
        simulator.memory[:] = before
        driver = Driver(SimulatedDevice(simulator, placement.base, _LIMIT), program, placement, _WATCHDOG)
        start = simulator.cycles_run
        try:
            driver.open()
            driver.run()
        except DeviceError:
            pass
        return simulator.cycles_run - start

    def close(self) -> None:
        """End all processes."""
        for config in list(self._simulators):
            self.drop(config)

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


def prepare(case: Case) -> tuple[Program, Placement, Bytes, Bytes]:
    """Program of a case, its place, and the memory before and after by the golden models, which agree.

    Raises UnsupportedError if the compiler refuses it, and an exception of this module for what the golden models find.
    """
    program = _compile(case)
    placement = place(program, case.base)
    before = _initial_memory(case, program, placement)
    expected = before.copy()
    _execute(program, placement, expected)
    _compare_with_graph(case, case.graph, program, placement, expected)
    return program, placement, before, expected


@cache
def _filler() -> Bytes:
    return np.random.default_rng(0x7E45).integers(0, 256, _MEMORY, np.uint8)


def _initial_memory(case: Case, program: Program, placement: Placement) -> Bytes:
    """Random bytes wherever the host writes nothing: what nobody wrote must not look right by accident."""
    memory = _filler().copy() if placement.size <= _MEMORY else np.resize(_filler(), placement.size)
    start = placement.regions[CONSTANTS] - placement.base
    memory[start : start + len(program.constants)] = np.frombuffer(program.constants, np.uint8)
    for binding, port in zip(program.inputs, case.graph.inputs, strict=True):
        content = _as_stored(case.graph, port, binding, case.inputs[port.tensor])
        start = placement.regions[INPUTS] - placement.base + binding.offset
        memory[start : start + len(content)] = content
    return memory


def _compile(case: Case) -> Program:
    try:
        return compile_graph(case.graph, case.config, case.options)
    except UnsupportedError:
        raise
    except Exception as error:  # whatever a compiler can do wrong
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = "" if isinstance(error, TensawError) else f" ({place.name}, {place.filename}:{place.lineno})"
        raise _Failure("compiler", f"{type(error).__name__}: {error}{where}") from None


def _execute(program: Program, placement: Placement, memory: Bytes) -> None:
    """Run the program on the instruction-level model, in this memory."""
    machine = Machine(program.config, check_races=True)
    machine.load_program(program)
    for index, (address, size) in enumerate(zip(placement.regions, placement.sizes, strict=True)):
        window = memory[address - placement.base :][:size]
        machine.memory[index] = Region(window, read=True, write=index not in (CONSTANTS, INPUTS))
    # What the scratchpad held before must not matter.
    machine.scratchpad[:] = np.random.default_rng(1).integers(0, 256, len(machine.scratchpad), np.uint8)
    try:
        machine.execute(int(word) for word in program.words)
    except MachineError as error:
        raise _Failure("program", str(error)) from None
    if machine.warnings:
        raise _Failure("program", f"{len(machine.warnings)} warnings; {machine.warnings[0]}")


def _file_binding(graph: Graph, port: Port) -> Binding:
    """How the network's own golden result lies in memory, before the compiler changed anything."""
    shape = graph.tensors[port.tensor].shape
    return Binding(port.name, port.tensor, 0, 0, shape, port.shape, "int8", port.permutation)


def _as_stored(graph: Graph, port: Port, binding: Binding, value: npt.NDArray[np.int8]) -> Bytes:
    """A tensor of the graph as the program's binding wants it."""
    file_array = from_bytes(_file_binding(graph, port), np.ascontiguousarray(value).view(np.uint8).reshape(-1))
    return to_bytes(replace(binding, dtype="int8"), file_array)


def _compare_with_graph(case: Case, graph: Graph, program: Program, placement: Placement, memory: Bytes) -> None:
    golden = run_graph(graph, case.inputs, keep=True)
    wanted = [
        (binding, _as_stored(graph, port, binding, golden[port.tensor]))
        for binding, port in zip(program.outputs, graph.outputs, strict=True)
    ]
    # Intermediate tensors first, in order: the first wrong one is at fault.
    kept = [(b, np.ascontiguousarray(golden[b.tensor]).view(np.uint8).reshape(-1)) for b in program.kept]
    for binding, content in (*kept, *wanted):
        start = placement.regions[binding.region] - placement.base + binding.offset
        found = memory[start : start + len(content)]
        wrong = np.flatnonzero(found != content)
        if len(wrong):
            place_in = tuple(int(i) for i in np.unravel_index(wrong[0], binding.shape))
            values = f"{found[wrong[0]].view(np.int8)} instead of {content[wrong[0]].view(np.int8)}"
            raise _Failure(
                "program",
                f"{len(wrong)} of {len(content)} bytes of tensor {binding.tensor!r} are not those of the golden "
                f"operators; the first at {place_in}: {values}",
            )
