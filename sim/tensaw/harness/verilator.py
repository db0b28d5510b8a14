"""Building the simulator with Verilator: Verilog and the C++ of this package to one executable, kept in the cache."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from tensaw.harness.cache import cache_directory, cached, digest
from tensaw.harness.verilate import CPP, LIBRARY_OPTIMISE, Model, Tools, verilate
from tensaw.spec.config import NpuConfig

__all__ = ["build_verilator", "Optimise", "WaveFormat"]

WaveFormat = Literal["vcd", "fst"]
Optimise = Literal["speed", "build"]

# Hot code, the model's rarely run code, and Verilator's run-time library.
_OPTIMISE: dict[str, tuple[str, ...]] = {
    "speed": ("OPT_FAST=-O2", "OPT_SLOW=-O0", LIBRARY_OPTIMISE),
    # All files as one, without a precompiled header: unoptimised, what each file takes is mostly to read headers.
    "build": ("OPT_FAST=-O0", "OPT_SLOW=-O0", LIBRARY_OPTIMISE, "VM_PARALLEL_BUILDS=0"),
}


def build_verilator(
    files: Mapping[str, str],
    config: NpuConfig,
    trace: bool = True,
    waves: WaveFormat | None = None,
    optimise: Optimise = "speed",
    coverage: bool = False,
) -> Path:
    """The simulator of these Verilog files (top module ``tensaw_npu``), from the cache or built now.

    Of ``config`` only the widths of the memory port matter. ``trace`` says that the module has its trace outputs;
    ``waves`` builds in the recording of waveforms, which makes the simulator slower. ``optimise`` for a fast simulator
    or for a fast build, which pays below some 100,000 cycles. ``coverage`` counts how often each line ran and each bit
    changed (see ``coverage`` of Simulator). Raises ToolError if a tool is missing or fails.
    """
    tools = Tools.find()
    defines = [f"-DBUS_BYTES={config.bus_bytes}", f"-DADDRESS_WIDTH={config.address_width}"]
    if trace:
        defines.append("-DTENSAW_TRACE")
    own = {path.name: path.read_text() for path in sorted(CPP.iterdir()) if path.is_file()}
    shims = {path.name: path.read_text() for path in sorted((CPP / "fst").iterdir())} if waves == "fst" else {}
    key = digest({
        **{f"verilog/{name}": text for name, text in files.items()},
        **{f"cpp/{name}": text for name, text in {**own, **shims}.items()},
        "build": f"{defines} {waves} {coverage} {_OPTIMISE[optimise]}",
        "tools": tools.identity(),
    })  # fmt: skip
    log = cache_directory() / "verilator" / f"{key}.log"

    def build(directory: Path) -> None:
        log.unlink(missing_ok=True)
        _build(directory, log, tools, files, defines, waves, _OPTIMISE[optimise], coverage)

    return cached("verilator", key, build) / "simulator"


def _build(
    directory: Path,
    log: Path,
    tools: Tools,
    files: Mapping[str, str],
    defines: list[str],
    waves: WaveFormat | None,
    optimise: tuple[str, ...],
    coverage: bool,
) -> None:
    shutil.copytree(CPP, directory / "cpp")
    for name, text in files.items():
        (directory / name).write_text(text)
    options, flags, variables = [*defines], ["-I../cpp", *defines], [*optimise]
    if coverage:
        options += ["--coverage-line", "--coverage-toggle"]
    if waves == "vcd":
        options.append("--trace-vcd")
        flags.append("-DTENSAW_WAVES_VCD")
    elif waves == "fst":
        options.append("--trace-fst")
        flags.append("-DTENSAW_WAVES_FST")
        if tools.verilator.root is not None:  # its writer needs a few functions of zlib and LZ4: cpp/fst has them
            flags.append("-I../cpp/fst")
            variables.append("LDLIBS=")
    sources = ["../cpp/main.cpp", "cpp/tensaw_simulation.v", *sorted(files)]
    title = "the simulator that Verilator wrote"
    model = Model(title, "Vtensaw", "tensaw_simulation", sources, options, flags, variables, coverage)
    verilate(directory, log, tools, model)
