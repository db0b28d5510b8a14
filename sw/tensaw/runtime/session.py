"""A session: one program loaded on one back end, ready to run arrays through it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tensaw.harness import (
    Event,
    MemoryTiming,
    Simulator,
    Waves,
    build_icarus,
    build_verilator,
    npu_verilog,
)
from tensaw.runtime.board import BoardDevice
from tensaw.runtime.devices import GoldenDevice, SimulatedDevice
from tensaw.runtime.driver import Driver
from tensaw.runtime.layers import LayerResult, attribute
from tensaw.runtime.link import HostLink, connect
from tensaw.runtime.placement import place, place_on_board
from tensaw.runtime.tensors import byte_count, from_bytes, inputs_to_bytes
from tensaw.spec.errors import DeviceError, InputError
from tensaw.spec.program import CONSTANTS, Binding, Program

__all__ = ["BACKENDS", "RunResult", "Session"]

BACKENDS = ("verilator", "icarus", "golden", "board")

Progress = Callable[[str, int], None]
"""Called with what is being done and the cycles simulated so far in this run."""


@dataclass
class RunResult:
    """What one run gave.

    ``outputs`` by the model's own names, in its own shapes and types; ``kept`` likewise the intermediate tensors of a
    program compiled with ``keep_tensors``, int8 in the memory's layout. ``cycles`` from the start bit to the interrupt;
    ``counters`` by the lower-case names of tensaw.spec.registers.COUNTERS; ``layers`` share all cycles among them;
    ``events`` are the units' busy times, cycle 0 being the start. ``sim_cycles_per_second`` is the simulator's speed.
    The golden model has no time: its cycles are 0 and it has no events.
    """

    outputs: dict[str, npt.NDArray[Any]]
    kept: dict[str, npt.NDArray[np.int8]] = field(default_factory=dict)
    cycles: int = 0
    counters: dict[str, int] = field(default_factory=dict)
    layers: list[LayerResult] = field(default_factory=list)
    sim_cycles_per_second: float = 0.0
    events: list[Event] = field(default_factory=list)


class Session:
    """A context manager.

    Parameters
    ----------
    program : Program
    backend : "verilator", "icarus", "golden" or "board"
    read_latency, write_latency : int
        Of the simulated memory, in cycles; see tensaw.harness.MemoryTiming.
    stalls : float or None
        Probability that a channel of the simulated memory port is held back in a cycle, drawn from ``seed``.
    waves : path or Waves or None
        Record the first run's waveforms, .vcd or .fst.
    progress : callable (text, cycles) or None
        Told what is being done: building, and the cycles simulated so far.
    watchdog : int
        Cycles without any movement after which a run counts as hung; longer for programs that may need it.
    cycle_limit : int
        Most cycles of a run.
    verilog : dict of file name to text, or None
        Simulate this instead of the generated hardware, a netlist for instance; top module ``tensaw_npu`` with its
        trace outputs.
    optimise : "speed" or "build"
        Build a fast Verilator simulator, or build it fast: for runs of few cycles.
    device : path or HostLink
        For a board, and only for one: its serial port, or a link that is open already and stays open.
    baud : int or None
        Of the serial port; default: look at which rate the board answers.

    Raises InputError for arguments that do not fit, ToolError for tools that are missing or fail, and DeviceError for a
    device that is not what the program was compiled for.
    """

    def __init__(
        self,
        program: Program,
        backend: str = "verilator",
        *,
        read_latency: int = 32,
        write_latency: int = 8,
        stalls: float | None = None,
        seed: int = 0,
        waves: Waves | Path | str | None = None,
        progress: Progress | None = None,
        watchdog: int = 200_000,
        cycle_limit: int = 2**62,
        verilog: Mapping[str, str] | None = None,
        optimise: Literal["speed", "build"] = "speed",
        device: str | HostLink | None = None,
        baud: int | None = None,
    ) -> None:
        if backend not in BACKENDS:
            raise InputError(f"There is no back end {backend!r}; choose one of {', '.join(BACKENDS)}.")
        if (backend == "board") != (device is not None):
            raise InputError(
                f"The back end {backend!r} with device {device!r} does not fit: the back end 'board' needs the serial "
                "port of the board, and no other takes one."
            )
        if waves is not None and not isinstance(waves, Waves):
            waves = Waves(Path(waves))
        if waves is not None and backend == "golden":
            raise InputError("The golden model has no waveforms: choose the back end verilator or icarus.")
        if waves is not None and backend == "board":
            raise InputError("A board has no waveforms: choose the back end verilator or icarus.")
        timing = MemoryTiming(read_latency, write_latency, stalls or 0.0, seed)
        self.program = program
        self.backend = backend
        self._progress = progress
        self._simulator: Simulator | None = None
        self._link: HostLink | None = None  # that this session opened
        # A serial line is slow: what a run may change by mistake is looked at once.
        self._checks = -1 if device is None else 1
        try:
            self._device: GoldenDevice | SimulatedDevice | BoardDevice
            if device is not None:
                link = self._connect(device, baud)
                identity = link.identity
                self.placement = place_on_board(program, identity.memory_base, identity.memory_bytes)
                self._device = BoardDevice(link, lambda cycles: self._tell("Running", cycles))
            elif backend == "golden":
                self.placement = place(program)
                self._device = GoldenDevice(program, self.placement)
            else:
                self.placement = place(program)
                self._simulator = self._simulate(timing, waves, verilog, optimise)
                self._device = SimulatedDevice(self._simulator, self.placement.base, cycle_limit, self._simulated)
            self.driver = Driver(self._device, program, self.placement, watchdog)
            # What nobody wrote must not look right by accident, and must be the same for every back end.
            self._filler = np.random.default_rng(0x7E45).integers(0, 256, self.placement.size, np.uint8)
            for low, high in [(0, self.placement.size)] if device is None else self._guards():
                self._device.write_memory(self.placement.base + low, self._filler[low:high])
            self._tell("Writing the constants")
            self.driver.open()
        except BaseException:
            self.close()
            raise

    def _guards(self) -> list[tuple[int, int]]:
        """Where nothing may change, counted from the placement's base."""
        base = self.placement.base
        return [(low - base, high - base) for low, high in self.placement.guards()]

    def _connect(self, device: str | HostLink, baud: int | None) -> HostLink:
        """The board behind a port or a link, if its configuration is the program's. Raises DeviceError."""
        link = device
        if isinstance(link, str):
            self._tell("Connecting")
            link = self._link = connect(link, baud)
        config, there = self.program.config, link.identity.config
        if config.digest != there.digest:
            raise DeviceError(
                f"The program {self.program.name!r} was compiled for the configuration {config.name!r} (digest "
                f"0x{config.digest:08x}), the board {link.identity.board!r} has {there.name!r} (0x{there.digest:08x}): "
                "compile the model for the board's configuration, which `tensaw run` does by itself without --config."
            )
        return link

    def _tell(self, text: str, cycles: int = 0) -> None:
        if self._progress is not None:
            self._progress(text, cycles)

    def _simulated(self, cycles: int) -> None:
        self._tell("Simulating", cycles)

    def _simulate(
        self,
        timing: MemoryTiming,
        waves: Waves | None,
        verilog: Mapping[str, str] | None,
        optimise: Literal["speed", "build"],
    ) -> Simulator:
        config = self.program.config
        if verilog is None:
            self._tell("Generating Verilog")
            verilog = npu_verilog(config, trace=True)
        self._tell("Building the simulator")
        if self.backend == "verilator":
            executable = build_verilator(verilog, config, True, waves.format if waves else None, optimise)
        else:
            executable = build_icarus(verilog, config, self.placement.size, trace=True)
        return Simulator(executable, self.placement.size, self.placement.base, config.bus_bytes, timing, waves)

    # Running -------------------------------------------------------------------------------------------------------

    def run(self, inputs: Mapping[str, npt.ArrayLike]) -> RunResult:
        """Run one set of inputs, by the model's own names, shapes and types.

        Raises InputError for inputs that do not fit, DeviceError if the run fails or writes where it must not.
        """
        contents = inputs_to_bytes(self.program.inputs, inputs)
        for address, size in self._unwritten():
            start = address - self.placement.base
            self._device.write_memory(address, self._filler[start : start + size])
        for binding in self.program.inputs:
            self._device.write_memory(self._address(binding), contents[binding.name])
        self._tell("Simulating")
        counters = self.driver.run()
        if self._checks:
            self._checks -= 1
            self._check_guards()
        result = RunResult(
            outputs={binding.name: from_bytes(binding, self._read(binding)) for binding in self.program.outputs},
            kept={
                binding.name: self._read(binding).view(np.int8).reshape(binding.shape) for binding in self.program.kept
            },
            cycles=counters["cycles"],
            counters=counters,
        )
        if self._simulator is not None:
            self._add_profile(result)
        return result

    def _unwritten(self) -> list[tuple[int, int]]:
        """Address and size of what shall hold no earlier run's results: on a board the outputs only."""
        if self.backend == "board":
            return [(self._address(binding), byte_count(binding)) for binding in self.program.outputs]
        regions = zip(self.placement.regions, self.placement.sizes, strict=True)
        return [pair for index, pair in enumerate(regions) if index != CONSTANTS]

    def _add_profile(self, result: RunResult) -> None:
        assert self._simulator is not None and isinstance(self._device, SimulatedDevice)
        outcome = self._device.outcome
        assert outcome is not None
        profile = self._simulator.profile()
        # The simulator counts from just before the register write that starts the NPU.
        start = max(outcome.cycles - result.cycles, 0)
        result.layers = attribute(self.program, profile, start, outcome.cycles)
        result.events = [
            Event(event.unit, event.tag, max(event.start - start, 0), event.end - start) for event in profile.events
        ]
        result.sim_cycles_per_second = outcome.cycles / outcome.seconds if outcome.seconds else 0.0

    def _address(self, binding: Binding) -> int:
        return self.placement.regions[binding.region] + binding.offset

    def _read(self, binding: Binding) -> npt.NDArray[np.uint8]:
        return self._device.read_memory(self._address(binding), byte_count(binding))

    def read_region(self, index: int) -> npt.NDArray[np.uint8]:
        """A copy of a whole memory region, for comparing back ends with each other."""
        return self._device.read_memory(self.placement.regions[index], self.placement.sizes[index])

    def _check_guards(self) -> None:
        """Nothing outside the regions, and nothing in those that are only read, may have changed."""
        base = self.placement.base
        spans = [(base + low, base + high, self._filler[low:high]) for low, high in self._guards()]
        constants = self.placement.regions[CONSTANTS]
        spans.append(
            (constants, constants + len(self.program.constants), np.frombuffer(self.program.constants, np.uint8))
        )
        for low, high, expected in spans:
            found = self._device.read_memory(low, high - low)
            wrong = np.flatnonzero(found != expected)
            if len(wrong):
                raise DeviceError(
                    f"The run changed {len(wrong)} bytes of memory that it must not write, the first at bus address "
                    f"0x{low + int(wrong[0]):x}. This is a fault of the hardware or of the compiled program."
                )

    def close(self) -> None:
        """End the simulator, or give back the port that this session opened; harmless if done before."""
        if self._simulator is not None:
            self._simulator.close()
        if self._link is not None:
            self._link.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
