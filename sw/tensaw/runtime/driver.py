"""The driver: the sequence of register accesses that runs a program on any device.

A device is anything with a memory that the NPU reaches and its register port: a simulation, the golden model behind a
register-shaped front, or a board.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from tensaw.runtime.diagnosis import STALL_UNITS, describe_error, describe_hang
from tensaw.runtime.placement import Placement
from tensaw.runtime.quiet import quiet_cycles
from tensaw.spec.errors import DeviceError
from tensaw.spec.program import CONSTANTS, INPUTS, Program
from tensaw.spec.registers import COUNTERS, IDENTITY, VERSION, ErrorCode, region_register, register

__all__ = ["Device", "Driver", "Waited"]

_START, _DONE, _ERROR = 1, 2, 4
_READ, _WRITE = 1, 2


@dataclass(frozen=True)
class Waited:
    """How a wait ended: by the ``interrupt``; at the ``limit`` of time; as a ``hang``, nothing having moved for the
    watchdog's time; or by a ``violation`` of the bus protocol that ``text`` describes. ``cycles`` as far as known."""

    kind: Literal["interrupt", "limit", "hang", "violation"]
    cycles: int = 0
    text: str = ""


class Device(Protocol):
    """What a back end offers to the driver. Addresses are bus addresses; memory is uint8."""

    def write_memory(self, address: int, content: npt.NDArray[np.uint8]) -> None:
        """Write bytes."""
        ...

    def read_memory(self, address: int, size: int) -> npt.NDArray[np.uint8]:
        """Read bytes (a copy)."""
        ...

    def write_register(self, offset: int, value: int) -> None:
        """Write a 32-bit register; writing CONTROL.start begins a run."""
        ...

    def read_register(self, offset: int) -> int:
        """Read a 32-bit register."""
        ...

    def wait(self, watchdog: int) -> Waited:
        """Until the interrupt, or until nothing has moved for ``watchdog`` cycles."""
        ...


class Driver:
    """Runs one program on one device. Raises DeviceError, from any method, if the device does not behave.

    ``watchdog``: cycles without any movement after which a run counts as hung; longer for programs that may need it.
    """

    def __init__(self, device: Device, program: Program, placement: Placement, watchdog: int = 200_000) -> None:
        self.device = device
        self.program = program
        self.placement = placement
        self.watchdog = max(watchdog, 2 * quiet_cycles(program))

    def _write(self, name: str, value: int) -> None:
        self.device.write_register(register(name).offset, value)

    def _read(self, name: str) -> int:
        return self.device.read_register(register(name).offset)

    def _read_long(self, name: str, low: str = "_LO", high: str = "_HI") -> int:
        return self._read(name + low) | self._read(name + high) << 32

    def open(self) -> None:
        """Check that the device is the NPU the program was compiled for; write its constants; set the regions up."""
        identity, version, digest = self._read("IDENTITY"), self._read("VERSION"), self._read("CONFIG")
        if identity != IDENTITY:
            raise DeviceError(f"The device is no tensaw NPU: its identity register holds 0x{identity:08x}.")
        if version != VERSION:
            raise DeviceError(
                f"The device has version {version} of the register map, this driver is for {VERSION}: generate the "
                "hardware again with this release."
            )
        if digest != self.program.config.digest:
            raise DeviceError(
                f"The program {self.program.name!r} was compiled for the configuration {self.program.config.name!r} "
                f"(digest 0x{self.program.config.digest:08x}), the device has another (0x{digest:08x}): compile the "
                "model for the device's configuration."
            )
        self.device.write_memory(self.placement.regions[CONSTANTS], np.frombuffer(self.program.constants, np.uint8))
        for index, (address, size) in enumerate(zip(self.placement.regions, self.placement.sizes, strict=True)):
            access = _READ if index in (CONSTANTS, INPUTS) else _READ | _WRITE
            for part, value in (
                ("BASE_LO", address & 0xFFFFFFFF),
                ("BASE_HI", address >> 32),
                ("SIZE", size),
                ("ACCESS", access),
            ):
                self.device.write_register(region_register(index, part).offset, value)
        self._write("PROGRAM_OFFSET", self.program.program_offset)
        self._write("PROGRAM_BYTES", self.program.program_bytes)
        self._write("INTERRUPT_ENABLE", 1)

    def run(self) -> dict[str, int]:
        """Start, wait for the interrupt, and return the counters by their lower-case names."""
        self._write("STATUS", _DONE | _ERROR)
        self._write("CONTROL", _START)
        waited = self.device.wait(self.watchdog)
        if waited.kind == "violation":
            raise DeviceError(
                f"The NPU breaks the AXI protocol at cycle {waited.cycles}: {waited.text}. This is a fault of the "
                "hardware description, not of the model."
            )
        if waited.kind == "limit":
            raise DeviceError(f"The run was ended after {waited.cycles} cycles, the limit that was set for it.")
        if waited.kind == "hang":
            stalls = {unit: self._read(f"STALL_{unit}") for unit in STALL_UNITS}
            raise DeviceError(describe_hang(self.program, stalls, waited.cycles, self.watchdog))
        status = self._read("STATUS")
        error = self._read("ERROR")
        if status & _ERROR:
            address = self._read_long("ERROR_ADDRESS")
            raise DeviceError(describe_error(self.program, error, address))
        if not status & _DONE:
            raise DeviceError(
                f"The device raised its interrupt, but its status is 0x{status:x}: neither done nor in error "
                f"(ERROR {ErrorCode(error & 0xFF).name if error & 0xFF in list(ErrorCode) else error})."
            )
        return {name.lower(): self._read_long(name) for name, _ in COUNTERS}
