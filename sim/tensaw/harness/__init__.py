"""Simulators of the generated hardware: built once, kept in a cache, and run with a memory and a watchdog.

:func:`build_verilator` and :func:`build_icarus` turn Verilog into a simulator; :class:`Simulator` runs it as a process
of its own, gives access to registers and memory, and returns what its trace outputs recorded. tensaw.runtime is what
people use; this package knows nothing of programs and tensors.
"""

from tensaw.harness.cache import cache_directory
from tensaw.harness.icarus import build_icarus
from tensaw.harness.profile import Event, Profile
from tensaw.harness.simulator import CHANNELS, MemoryFaults, MemoryTiming, Outcome, Simulator, Waves
from tensaw.harness.sources import npu_verilog
from tensaw.harness.verilator import build_verilator

__all__ = [
    "CHANNELS",
    "Event",
    "MemoryFaults",
    "MemoryTiming",
    "Outcome",
    "Profile",
    "Simulator",
    "Waves",
    "build_icarus",
    "build_verilator",
    "cache_directory",
    "npu_verilog",
]
