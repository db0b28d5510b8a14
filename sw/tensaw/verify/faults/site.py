"""Where a fault happens: a simulated NPU at work on a network, and what can be done to it and seen of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from tensaw.harness import MemoryFaults, MemoryTiming, Simulator
from tensaw.runtime.diagnosis import STALL_UNITS, describe_hang
from tensaw.runtime.placement import Placement
from tensaw.runtime.quiet import quiet_cycles
from tensaw.spec.isa import REGIONS, Unit
from tensaw.spec.program import CONSTANTS, INPUTS, OUTPUTS, Program
from tensaw.spec.registers import ErrorCode, region_register, register

__all__ = ["READ", "WRITE", "Bytes", "Clean", "End", "Failure", "Network", "Site"]

Bytes = npt.NDArray[np.uint8]

READ, WRITE = 1, 2
"""Bits of a region's ACCESS."""
_START, _STOP = 1, 2
_BUSY, _DONE, _ERROR = 1, 2, 4
_WATCHDOG = 2500
_PATIENCE = 5000
"""Cycles for what is under way to end after a stop."""


class Failure(Exception):
    """The NPU did what it must not do."""


@dataclass(frozen=True)
class Clean:
    """A run without a fault: its cycles, and beats of the memory port."""

    cycles: int
    reads: int
    writes: int


@dataclass
class Network:
    """A program, its place, the memory before and after it, and its runs without a fault."""

    program: Program
    placement: Placement
    before: Bytes
    expected: Bytes
    clean: dict[MemoryTiming, Clean] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, int]:
        """Register names and values that a run needs."""
        values = {"PROGRAM_OFFSET": self.program.program_offset, "PROGRAM_BYTES": self.program.program_bytes}
        for index, (address, size) in enumerate(zip(self.placement.regions, self.placement.sizes, strict=True)):
            values[region_register(index, "BASE_LO").name] = address & 0xFFFFFFFF
            values[region_register(index, "BASE_HI").name] = address >> 32
            values[region_register(index, "SIZE").name] = size
            values[region_register(index, "ACCESS").name] = READ if index in (CONSTANTS, INPUTS) else READ | WRITE
        return values


@dataclass(frozen=True)
class End:
    """How a run ended: done; error with the contents of the ERROR registers; or not: ``text`` says what a hang waits
    for, and a run at its limit was still moving. ``cycles`` as the NPU counted them if it ended. ``name`` is the error
    code's, or the kind."""

    kind: Literal["done", "error", "hang", "limit"]
    cycles: int
    code: ErrorCode = ErrorCode.NONE
    unit: int = 0
    tag: int = 0
    address: int = 0
    text: str = ""

    @property
    def name(self) -> str:
        return self.code.name if self.kind == "error" else self.kind

    def __str__(self) -> str:
        if self.kind == "error":
            unit = Unit(self.unit).name if self.unit else "fetch"
            return f"{self.code.name} in {unit} (tag 0x{self.tag:x}, 0x{self.address:x}) after {self.cycles} cycles"
        return f"{self.kind} after {self.cycles} cycles{': ' + self.text if self.text else ''}"


class Site:
    """One NPU with one network.

    ``windows``: the bus addresses, from and up to, that the run may write to; all else must stay as it was. ``seen``:
    how the runs ended, or did not.
    """

    def __init__(self, simulator: Simulator, network: Network, timing: MemoryTiming) -> None:
        self.simulator, self.network, self.timing = simulator, network, timing
        self.windows: list[tuple[int, int]] = []
        self.seen: list[End] = []
        self._before = network.before
        self._watchdog = max(_WATCHDOG, 2 * quiet_cycles(network.program))

    # Steps ---------------------------------------------------------------------------------------------------------

    def write(self, name: str, value: int) -> None:
        """Write a register."""
        self.simulator.write_register(register(name).offset, value)

    def read(self, name: str) -> int:
        """Read a register."""
        return self.simulator.read_register(register(name).offset)

    def _long(self, low: str, high: str) -> int:
        return self.read(low) | self.read(high) << 32

    def start(
        self,
        settings: Mapping[str, int] | None = None,
        memory: Bytes | None = None,
        faults: MemoryFaults | None = None,
        timing: MemoryTiming | None = None,
    ) -> None:
        """Begin a run: with other settings of the registers, another memory, faults of the memory."""
        values = {**self.network.settings, **(settings or {})}
        self.windows = []
        for index in range(REGIONS):
            low, high, size, access = (
                values[region_register(index, part).name] for part in ("BASE_LO", "BASE_HI", "SIZE", "ACCESS")
            )
            if access & WRITE:
                base = (low & ~15) + (high << 32)
                self.windows.append((base, base + size))
        self._before = self.network.before if memory is None else memory
        self.simulator.memory[:] = self._before
        self.simulator.set_timing(timing or self.timing)
        self.simulator.set_faults(faults or MemoryFaults())
        for name, value in values.items():
            self.write(name, value)
        self.write("INTERRUPT_ENABLE", 1)
        self.write("STATUS", _DONE | _ERROR)
        self.simulator.mark(profile=False)
        self.write("CONTROL", _START)

    def run_to(self, cycle: int) -> bool:
        """Simulate to this cycle of the run; False if it ends, or nothing moves, before."""
        return self._wait(cycle) == "limit"

    def _wait(self, limit: int) -> str:
        outcome = self.simulator.wait(limit, self._watchdog)
        if outcome.kind == "violation":
            raise Failure(f"the NPU breaks the AXI protocol in cycle {outcome.cycles}: {outcome.text}")
        self.cycle = outcome.cycles
        return outcome.kind

    def finish(self, limit: int) -> End:
        """Simulate to the end, or to this cycle, or until nothing moves."""
        self.seen.append(self._finish(limit))
        return self.seen[-1]

    def _finish(self, limit: int) -> End:
        kind = self._wait(limit)
        if kind == "interrupt":
            return self._end()
        if not self.read("STATUS") & _BUSY:
            raise Failure(f"{kind} in cycle {self.cycle}, though the NPU is not busy")
        if kind == "limit":
            return End("limit", self.cycle)
        stalls = {unit: self.read(f"STALL_{unit}") for unit in STALL_UNITS}
        text = describe_hang(self.network.program, stalls, self.cycle, self._watchdog)
        return End("hang", self.cycle, text=text)

    def _end(self) -> End:
        status, error, cycles = self.read("STATUS"), self.read("ERROR"), self._long("CYCLES_LO", "CYCLES_HI")
        address = self._long("ERROR_ADDRESS_LO", "ERROR_ADDRESS_HI")
        if status not in (_DONE, _ERROR):
            raise Failure(f"STATUS is {status} after the interrupt, neither done nor in error")
        if status == _DONE:
            if error or address:
                raise Failure(f"the run is done, but ERROR is 0x{error:08x} and ERROR_ADDRESS 0x{address:x}")
            return End("done", cycles)
        code, unit = error & 0xFF, error >> 8 & 15
        if code not in list(ErrorCode) or code == ErrorCode.NONE or unit and unit not in list(Unit):
            raise Failure(f"STATUS says that the run failed, but ERROR is 0x{error:08x}")
        return End("error", cycles, ErrorCode(code), unit, error >> 16, address)

    def stop(self) -> End:
        """Stop a run. It must end so, unless it has just ended by itself."""
        self.request_stop()
        if self._wait(self.cycle + _PATIENCE) != "interrupt":
            raise Failure(f"a stop in cycle {self.cycle} does not end the run within {_PATIENCE} cycles")
        self.seen.append(self._end())
        return self.seen[-1]

    def request_stop(self) -> None:
        """Write CONTROL.stop."""
        self.write("CONTROL", _STOP)

    def start_again(self) -> None:
        """Write CONTROL.start."""
        self.write("CONTROL", _START)

    # Judgement -----------------------------------------------------------------------------------------------------

    def check_windows(self, windows: Iterable[tuple[int, int]] | None = None) -> None:
        """Nothing has changed but in the windows (by default the run's)."""
        changed = self.simulator.memory != self._before
        for low, high in self.windows if windows is None else windows:
            base = self.network.placement.base
            changed[max(0, low - base) : max(0, high - base)] = False
        wrong = np.flatnonzero(changed)
        if len(wrong):
            address = self.network.placement.base + int(wrong[0])
            raise Failure(f"{len(wrong)} bytes outside the windows are written, the first at 0x{address:x}")

    def check_partial(self) -> None:
        """Each byte of the outputs is as it was, or as the whole run would have left it."""
        low, size = self.network.placement.regions[OUTPUTS], self.network.placement.sizes[OUTPUTS]
        part = slice(low - self.network.placement.base, low - self.network.placement.base + size)
        found = self.simulator.memory[part]
        wrong = np.flatnonzero((found != self.network.before[part]) & (found != self.network.expected[part]))
        if len(wrong):
            raise Failure(f"{len(wrong)} bytes of the outputs are wrong, the first at 0x{low + int(wrong[0]):x}")

    def check_result(self) -> None:
        """The whole memory is as a run without fault leaves it."""
        wrong = np.flatnonzero(self.simulator.memory != self.network.expected)
        if len(wrong):
            address = self.network.placement.base + int(wrong[0])
            raise Failure(f"the run is done, but {len(wrong)} bytes of memory are wrong, the first at 0x{address:x}")

    def clean(self) -> Clean:
        """Run without a fault; it must be done, with the right result, in as many cycles as always."""
        self.start()
        end = self.finish(1_000_000)
        if end.kind != "done":
            raise Failure(f"a run without a fault does not end as it should: {end}")
        self.check_result()
        width = self.network.program.config.bus_bytes
        reads, writes = (self._long(f"{name}_LO", f"{name}_HI") // width for name in ("BYTES_READ", "BYTES_WRITTEN"))
        found = Clean(end.cycles, reads, writes)
        known = self.network.clean.setdefault(self.timing, found)
        if found != known:
            raise Failure(f"a run without a fault takes {found} behind it, and {known} before")
        return known
