"""The serial core alone in Verilator, as a device that the driver can use."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tensaw.harness.cache import cache_directory, cached, digest
from tensaw.harness.verilate import LIBRARY_OPTIMISE, Model, Tools, verilate
from tensaw.runtime.driver import Waited
from tensaw.spec.errors import ToolError

__all__ = ["MEMORY_BYTES", "SerialDevice", "build_serial_core"]

MEMORY_BYTES = 1 << 16
_SOURCE = Path(__file__).parent / "serial" / "main.cpp"
_CELLS = Path(__file__).parent / "board" / "cells_ice40.v"
_OPTIMISE = ("OPT_FAST=-O2", "OPT_SLOW=-O0", LIBRARY_OPTIMISE)


def build_serial_core(verilog: str, cells: str | None = None) -> Path:
    """The simulator of Verilog with the top ``tensaw_serial_core``, from the cache or built now. ``cells``: Verilog of
    the device's primitives, default this package's own. Raises ToolError."""
    cells = _CELLS.read_text() if cells is None else cells
    tools = Tools.find()
    key = digest({
        "main": _SOURCE.read_text(), "cells": cells, "verilog": verilog, "build": " ".join(_OPTIMISE),
        "tools": tools.identity(),
    })  # fmt: skip
    log = cache_directory() / "serial-core" / f"{key}.log"

    def build(directory: Path) -> None:
        (directory / "cpp").mkdir()
        shutil.copyfile(_SOURCE, directory / "cpp" / "main.cpp")
        (directory / "cells.v").write_text(cells)
        (directory / "core.v").write_text(verilog)
        model = Model(
            "the serial core", "Vserial", "tensaw_serial_core", ["../cpp/main.cpp", "core.v", "cells.v"], [], [],
            _OPTIMISE,
        )  # fmt: skip
        verilate(directory, log, tools, model)

    return cached("serial-core", key, build) / "simulator"


class SerialDevice:
    """See tensaw.runtime.driver.Device. A context manager: leaving it ends the simulator.

    ``limit``: cycles after which a run is given up.
    """

    def __init__(self, program: Path, limit: int = 200_000_000) -> None:
        self.limit = limit
        self.cycles = 0
        self._folder = Path(tempfile.mkdtemp(prefix="tensaw-serial-"))
        self._process = subprocess.Popen(
            [str(program)], cwd=self._folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def _command(self, text: str) -> tuple[str, int]:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(text + "\n")
        self._process.stdin.flush()
        kind, _, number = self._process.stdout.readline().strip().partition(" ")
        if kind in ("", "error"):
            raise ToolError(f"The simulated serial core did not do {text!r}.")
        return kind, int(number)

    def write_memory(self, address: int, content: npt.NDArray[np.uint8]) -> None:
        """Write bytes; those that share a word with them are read and written back."""
        if not len(content):
            return
        first, end = address & -4, -(-(address + len(content)) // 4) * 4
        words = self._words(first, end - first)
        words[address - first : address - first + len(content)] = content
        words.tofile(self._folder / "bytes")
        self._command(f"load bytes {first}")

    def read_memory(self, address: int, size: int) -> npt.NDArray[np.uint8]:
        """Read bytes."""
        first, end = address & -4, -(-(address + size) // 4) * 4
        return self._words(first, end - first)[address - first : address - first + size]

    def _words(self, first: int, size: int) -> npt.NDArray[np.uint8]:
        self._command(f"dump bytes {first} {size}")
        return np.fromfile(self._folder / "bytes", np.uint8)

    def write_register(self, offset: int, value: int) -> None:
        """Write a register."""
        self._command(f"write {offset >> 2} {value}")

    def read_register(self, offset: int) -> int:
        """Read a register."""
        return self._command(f"read {offset >> 2}")[1]

    def reset(self) -> None:
        """Reset the core; its memory stays."""
        self._command("reset")

    def wait(self, watchdog: int) -> Waited:
        """Until the interrupt; there is nothing that a watchdog could watch."""
        del watchdog
        kind, cycles = self._command(f"wait {self.limit}")
        self.cycles = cycles
        return Waited("interrupt" if kind == "irq" else "limit", cycles)

    def close(self) -> None:
        """End the simulator."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> SerialDevice:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
