"""Arm's own estimate for the Ethos-U55, by the compiler ``ethos-u-vela`` where that is installed.

All of the network's data lies in SRAM behind a port of 8 bytes a cycle, as in tensaw's own figures.
"""

from __future__ import annotations

import csv
import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

from tensaw.spec.config import NpuConfig

__all__ = ["VELA_HINT", "accelerator", "vela_available", "vela_cycles"]

VELA_HINT = "Arm's estimate is left out: `pip install ethos-u-vela` adds it."

_SIZES = (32, 64, 128, 256)
_SYSTEM = """[System_Config.Same]
core_clock=500e6
axi0_port=Sram
axi1_port=OffChipFlash
Sram_clock_scale=1.0
Sram_burst_length=32
Sram_read_latency=32
Sram_write_latency=32
OffChipFlash_clock_scale=1.0
OffChipFlash_burst_length=128
OffChipFlash_read_latency=64
OffChipFlash_write_latency=64

[Memory_Mode.Same]
const_mem_area=Axi0
arena_mem_area=Axi0
cache_mem_area=Axi0
"""
_SECONDS = 300


def vela_available() -> bool:
    """Whether ``ethos-u-vela`` can be imported."""
    try:
        return importlib.util.find_spec("ethosu.vela") is not None
    except ModuleNotFoundError:
        return False


def accelerator(config: NpuConfig) -> str:
    """The Ethos-U55 whose MACs in a cycle are nearest to the configuration's; its name in Vela."""
    size = min(_SIZES, key=lambda size: abs(size - config.macs_per_cycle))
    return f"ethos-u55-{size}"


def vela_cycles(path: Path, config: NpuConfig) -> dict[str, int]:
    """Cycles of a ``.tflite`` file by the accelerator's name; empty if Vela cannot tell."""
    if path.suffix != ".tflite" or not vela_available():
        return {}
    name = accelerator(config)
    with tempfile.TemporaryDirectory(prefix="tensaw-vela-") as folder:
        system = Path(folder) / "system.ini"
        system.write_text(_SYSTEM)
        command = [
            sys.executable, "-m", "ethosu.vela", str(path.absolute()), "--accelerator-config", name,
            "--config", str(system), "--system-config", "Same", "--memory-mode", "Same", "--output-dir", folder,
        ]  # fmt: skip
        try:
            subprocess.run(command, cwd=folder, capture_output=True, timeout=_SECONDS, check=True)
        except (subprocess.SubprocessError, OSError):
            return {}
        return {
            f"{name} (Vela)": cycles for cycles in map(total_cycles, Path(folder).glob("*_summary_*.csv")) if cycles
        }


def total_cycles(summary: Path) -> int:
    """``cycles_total`` of a summary file that Vela wrote; 0 if it is not there."""
    with open(summary, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            try:
                return round(float(row["cycles_total"]))
            except (KeyError, TypeError, ValueError):
                return 0
    return 0
