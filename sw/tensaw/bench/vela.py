"""Arm's own estimates for the Ethos-U55 and U85, by the compiler ``ethos-u-vela`` where that is installed.

The settings are those that come with Vela, nothing of ours, so that anybody can repeat the figures by hand. All tensors
and weights lie in SRAM, which answers after 32 cycles. The U55's port moves 8 bytes a cycle, like the port of tensaw's
``base``; the U85 is not made with less than two ports of 16 bytes.
"""

from __future__ import annotations

import csv
import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from tensaw.spec.config import NpuConfig

__all__ = ["ACCELERATORS", "VELA_HINT", "Accelerator", "VelaResult", "find_vela", "summary_cycles", "vela_estimates"]

VELA_HINT = (
    "Arm's estimates are left out: `pip install ethos-u-vela`, here or anywhere on PATH, adds them for .tflite files."
)


@dataclass(frozen=True)
class Accelerator:
    """A family of Arm's. ``sizes``: MACs in a cycle that it is built with. ``system``: section of Vela's own settings.
    ``port``: bytes that its memory ports move in a cycle then.

    (Own settings have a trap: Vela 5.2 takes the width of the ports from the first word of the section's name, and 16
    bytes where it does not know it.)
    """

    family: str
    sizes: tuple[int, ...]
    system: str
    port: str

    def variant(self, config: NpuConfig) -> str:
        """Vela's name of the one whose MACs in a cycle are nearest to the configuration's."""
        size = min(self.sizes, key=lambda size: abs(size - config.macs_per_cycle))
        return f"{self.family}-{size}"

    def label(self, config: NpuConfig) -> str:
        """How tables name it."""
        return f"{self.variant(config)} (Vela)"

    def options(self, config: NpuConfig) -> list[str]:
        """Of Vela's command line."""
        return [
            "--accelerator-config", self.variant(config), "--config", "Arm/vela.ini", "--system-config", self.system,
            "--memory-mode", "Sram_Only",
        ]  # fmt: skip


ACCELERATORS = (
    Accelerator("ethos-u55", (32, 64, 128, 256), "Ethos_U55_High_End_Embedded", "8"),
    Accelerator("ethos-u85", (128, 256, 512, 1024, 2048), "Ethos_U85_SYS_Flash_High", "2 × 16"),
)


@dataclass
class VelaResult:
    """Cycles by an accelerator's label, and a sentence for each figure that is missing or leaves something out."""

    cycles: dict[str, int] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


def find_vela() -> list[str] | None:
    """The command that starts Vela: this Python's, else that on PATH; None if there is neither."""
    try:
        if importlib.util.find_spec("ethosu.vela") is not None:
            return [sys.executable, "-m", "ethosu.vela"]
    except ModuleNotFoundError:
        pass
    found = shutil.which("vela")
    return None if found is None else [found]


def vela_estimates(path: Path, config: NpuConfig) -> VelaResult:
    """Arm's estimates for a ``.tflite`` file; nothing for other files, and where Vela is not installed."""
    command = find_vela()
    result = VelaResult()
    if command is None or path.suffix != ".tflite":
        return result
    for accelerator in ACCELERATORS:
        label = accelerator.label(config)
        cycles, remark = _run([*command, str(path.absolute()), *accelerator.options(config)])
        if cycles:
            result.cycles[label] = cycles
        if remark:
            result.remarks.append(f"{label} for {path.name}: {remark}")
    return result


_SECONDS = 600


def _run(arguments: list[str]) -> tuple[int, str]:
    """Cycles (0 if Vela gave none) and what is to be said of them."""
    with tempfile.TemporaryDirectory(prefix="tensaw-vela-") as folder:
        try:
            done = subprocess.run(
                [*arguments, "--output-dir", folder],
                cwd=folder, capture_output=True, text=True, timeout=_SECONDS, check=False,
            )  # fmt: skip
        except (subprocess.SubprocessError, OSError) as error:
            return 0, f"no estimate, since Vela could not be run ({error})."
        cycles = next((cycles for path in Path(folder).glob("*_summary_*.csv") if (cycles := summary_cycles(path))), 0)
    if not cycles:
        lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        return 0, f"no estimate; Vela's last words were {lines[-1]!r}." if lines else "no estimate from Vela."
    left = re.search(r"^CPU operators = (\d+)", done.stdout, re.MULTILINE)
    if left and int(left[1]):
        return cycles, f"operators that Vela leaves to the CPU are not in the figure: {left[1]}."
    return cycles, ""


def summary_cycles(summary: Path) -> int:
    """``cycles_total`` of a summary file that Vela wrote; 0 if it is not there."""
    with open(summary, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            try:
                return round(float(row["cycles_total"]))
            except (KeyError, TypeError, ValueError):
                return 0
    return 0
