"""Mutants against random networks and faults on the whole NPU: which case, if any, notices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tensaw.harness import MemoryTiming, Simulator, build_verilator, npu_verilog
from tensaw.regress.bench import Bench, prepare
from tensaw.regress.cases import Case
from tensaw.runtime.devices import SimulatedDevice
from tensaw.runtime.driver import Driver
from tensaw.runtime.placement import Placement
from tensaw.runtime.quiet import quiet_cycles
from tensaw.spec.config import NpuConfig
from tensaw.spec.errors import DeviceError, ToolError
from tensaw.spec.program import Program
from tensaw.verify.faults.campaign import Faults, Networks, Outcome
from tensaw.verify.faults.cases import FaultCase
from tensaw.verify.mutants.make import MutantSet, make_mutants

__all__ = ["TOP", "Trial", "WholeNpu", "mutants_of"]

TOP = "tensaw_npu"
Bytes = npt.NDArray[np.uint8]
_WATCHDOG = 3_000
"""Cycles without movement after which a mutant counts as hung, unless the program may be quiet for longer."""


def mutants_of(config: NpuConfig, count: int, seed: int) -> MutantSet:
    """Mutants of the NPU of a configuration, trace outputs included. Raises ToolError."""
    (text,) = npu_verilog(config, trace=True, checks=False).values()
    return make_mutants(text, TOP, count, seed)


@dataclass(frozen=True)
class Trial:
    """A random case made ready: what memory holds before and after, and the cycles that the true hardware takes."""

    case: Case
    program: Program
    placement: Placement
    before: Bytes
    expected: Bytes
    counters: dict[str, int]


class WholeNpu:
    """Runs mutants of one configuration on the same cases, the shortest first, and then on the same faults."""

    def __init__(
        self,
        config: NpuConfig,
        mutants: MutantSet,
        cases: Sequence[Case],
        faults: Sequence[FaultCase] = (),
        longest: int = 2_000_000,
    ) -> None:
        """Prepare cases and faults, which must use ``config``, by running them on the unchanged hardware; cases
        of more than ``longest`` cycles are left out. Raises ToolError, and RuntimeError if that fails one."""
        files = {"mutants.v": mutants.verilog(TOP)}
        self._executable: Path = build_verilator(files, config, trace=True)
        self._config = config
        self.trials: list[Trial] = []
        for case in cases:
            program, placement, before, expected = prepare(case)
            trial = Trial(case, program, placement, before, expected, {})
            trouble, counters = self._try(0, trial)
            if trouble:
                raise RuntimeError(f"The unchanged hardware fails {case.command}: {trouble}")
            if counters["cycles"] <= longest:
                self.trials.append(Trial(case, program, placement, before, expected, counters))
        self.trials.sort(key=lambda trial: trial.counters["cycles"])
        self._networks: Networks = {}
        with self._faults(0) as site:
            self.faults: list[Outcome] = [site.run(fault) for fault in faults]
        for outcome in self.faults:
            if outcome.failed:
                raise RuntimeError(f"The unchanged hardware fails {outcome.case.command}: {outcome.text}")

    def killed_by(self, number: int) -> str:
        """What notices a mutant, as a sentence; empty if nothing does."""
        for trial in self.trials:
            trouble, counters = self._try(number, trial)
            if not trouble and counters != trial.counters:
                wrong = next(name for name in counters if counters[name] != trial.counters[name])
                trouble = f"counter {wrong} is {counters[wrong]} instead of {trial.counters[wrong]}"
            if trouble:
                return f"case {trial.case.seed}-{trial.case.index}: {trouble}"
        with self._faults(number) as site:
            for known in self.faults:
                found = site.run(known.case)
                if (found.failed, found.text) != (known.failed, known.text):
                    return f"fault {known.case.seed}-{known.case.index}: {found.text} instead of: {known.text}"
        return ""

    def _faults(self, number: int) -> Faults:
        return Faults(Bench(keep=1, executable=self._executable, arguments=(f"+mutant={number}",)), self._networks)

    def _try(self, number: int, trial: Trial) -> tuple[str, dict[str, int]]:
        """One case on one mutant: what is wrong, and the counters."""
        timing: MemoryTiming = trial.case.timing
        limit = 2 * trial.counters["cycles"] + 1000 if trial.counters else 2_000_000
        size, base = len(trial.before), trial.placement.base
        try:
            with Simulator(
                self._executable, size, base, self._config.bus_bytes, timing, arguments=(f"+mutant={number}",)
            ) as simulator:
                simulator.memory[:] = trial.before
                driver = Driver(SimulatedDevice(simulator, base, limit), trial.program, trial.placement, _WATCHDOG)
                driver.watchdog = max(_WATCHDOG, 2 * quiet_cycles(trial.program))
                driver.open()
                counters = driver.run()
                if not np.array_equal(simulator.memory, trial.expected):
                    return "memory differs", counters
                return "", counters
        except (DeviceError, ToolError) as error:
            return str(error), {}
