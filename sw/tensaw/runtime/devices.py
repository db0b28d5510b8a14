"""Back ends: simulated RTL and the golden model, each behind the registers and memory of a device."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from tensaw.harness.simulator import Outcome, Simulator
from tensaw.model.machine import Machine, Region
from tensaw.runtime.driver import Waited
from tensaw.runtime.placement import Placement
from tensaw.spec.program import CONSTANTS, INPUTS, Program
from tensaw.spec.registers import IDENTITY, VERSION, register

__all__ = ["GoldenDevice", "SimulatedDevice"]

_CONTROL, _STATUS = register("CONTROL").offset, register("STATUS").offset


class SimulatedDevice:
    """The RTL in a simulator. ``outcome`` is that of the last run, ``start`` the wait's begin in its profile."""

    def __init__(
        self, simulator: Simulator, base: int, limit: int, progress: Callable[[int], None] | None = None
    ) -> None:
        self.simulator = simulator
        self.outcome: Outcome | None = None
        self._base = base
        self._limit = limit
        self._progress = progress

    def write_memory(self, address: int, content: npt.NDArray[np.uint8]) -> None:
        self.simulator.memory[address - self._base :][: len(content)] = content

    def read_memory(self, address: int, size: int) -> npt.NDArray[np.uint8]:
        return np.array(self.simulator.memory[address - self._base :][:size])

    def write_register(self, offset: int, value: int) -> None:
        if offset == _CONTROL and value & 1:
            self.simulator.mark()
        self.simulator.write_register(offset, value)

    def read_register(self, offset: int) -> int:
        return self.simulator.read_register(offset)

    def wait(self, watchdog: int) -> Waited:
        self.outcome = self.simulator.wait(self._limit, watchdog, self._progress)
        return Waited(self.outcome.kind, self.outcome.cycles, self.outcome.text)


class GoldenDevice:
    """The instruction-level golden model with as many registers as the driver needs. It has no time: counters are 0.

    A program that the model refuses raises tensaw.model.machine.MachineError from :meth:`wait`.
    """

    def __init__(self, program: Program, placement: Placement) -> None:
        self._placement = placement
        self._program = program
        self._memory = np.zeros(placement.size, np.uint8)
        self._registers = {
            register("IDENTITY").offset: IDENTITY,
            register("VERSION").offset: VERSION,
            register("CONFIG").offset: program.config.digest,
        }
        self.machine = Machine(program.config)
        self.machine.load_program(program)
        for index, (address, size) in enumerate(zip(placement.regions, placement.sizes, strict=True)):
            window = self._memory[address - placement.base :][:size]
            self.machine.memory[index] = Region(window, read=True, write=index not in (CONSTANTS, INPUTS))

    def write_memory(self, address: int, content: npt.NDArray[np.uint8]) -> None:
        self._memory[address - self._placement.base :][: len(content)] = content

    def read_memory(self, address: int, size: int) -> npt.NDArray[np.uint8]:
        return self._memory[address - self._placement.base :][:size].copy()

    def write_register(self, offset: int, value: int) -> None:
        self._registers[offset] = value

    def read_register(self, offset: int) -> int:
        return self._registers.get(offset, 0)

    def wait(self, watchdog: int) -> Waited:
        self.machine.reset()
        self.machine.execute(int(word) for word in self._program.words)
        self._registers[_STATUS] = 2
        return Waited("interrupt")
