"""Building the simulator with Verilator: Verilog and the C++ of this package to one executable, kept in the cache."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from tensaw.harness.cache import cache_directory, cached, digest
from tensaw.harness.tools import Verilator, find_compiler, find_make, find_verilator, run_tool, tool_version
from tensaw.spec.config import NpuConfig

__all__ = ["build_verilator", "Optimise", "WaveFormat"]

WaveFormat = Literal["vcd", "fst"]
Optimise = Literal["speed", "build"]

_CPP = Path(__file__).parent / "cpp"
_OPTIONS = (
    "--cc", "--exe", "--prefix", "Vtensaw", "--top-module", "tensaw_simulation", "--Mdir", "model", "-O3",
    "--x-assign", "fast", "--x-initial", "fast", "--no-assert", "-Wno-fatal", "-Wno-lint", "-Wno-style",
    # Files of some thousand statements compile in parallel and without the compiler's slow passes over huge functions.
    "--output-split", "4000", "--output-split-cfuncs", "2000",
)  # fmt: skip
# Hot code, the model's rarely run code, and Verilator's run-time library.
LIBRARY_OPTIMISE = "OPT_GLOBAL=-O1"
_OPTIMISE: dict[str, tuple[str, ...]] = {
    "speed": ("OPT_FAST=-O2", "OPT_SLOW=-O0", LIBRARY_OPTIMISE),
    # All files as one, without a precompiled header: unoptimised, what each file takes is mostly to read headers.
    "build": ("OPT_FAST=-O0", "OPT_SLOW=-O0", LIBRARY_OPTIMISE, "VM_PARALLEL_BUILDS=0"),
}
# The Python package was configured on another machine: its makefile names tools that are not here.
PACKAGE_VARIABLES = ("AR=ar", "PYTHON3=python3", "CFG_CXXFLAGS_PCH_I=-include")


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
    tools = Tools(find_verilator(), find_compiler(), find_make())
    defines = [f"-DBUS_BYTES={config.bus_bytes}", f"-DADDRESS_WIDTH={config.address_width}"]
    if trace:
        defines.append("-DTENSAW_TRACE")
    own = {path.name: path.read_text() for path in sorted(_CPP.iterdir()) if path.is_file()}
    shims = {path.name: path.read_text() for path in sorted((_CPP / "fst").iterdir())} if waves == "fst" else {}
    key = digest({
        **{f"verilog/{name}": text for name, text in files.items()},
        **{f"cpp/{name}": text for name, text in {**own, **shims}.items()},
        "options": " ".join((*_OPTIONS, *_OPTIMISE[optimise], *PACKAGE_VARIABLES)),
        "build": f"{defines} {waves} {coverage} {platform.machine()}",
        "tools": f"{tools.verilator.version} {tool_version(tools.compiler, '--version')}",
    })  # fmt: skip
    log = cache_directory() / "verilator" / f"{key}.log"

    def build(directory: Path) -> None:
        log.unlink(missing_ok=True)
        _build(directory, log, tools, files, defines, waves, _OPTIMISE[optimise], coverage)

    return cached("verilator", key, build) / "simulator"


@dataclass(frozen=True)
class Tools:
    verilator: Verilator
    compiler: str
    make: str


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
    tool, compiler = tools.verilator, tools.compiler
    # Relative paths only, and a link to Verilator's root: make cannot work with blanks in any path.
    shutil.copytree(_CPP, directory / "cpp")
    for name, text in files.items():
        (directory / name).write_text(text)
    options = [*_OPTIONS, *defines]
    flags = ["-I../cpp", *defines]
    variables = [f"CXX={compiler}", f"LINK={compiler}", *optimise]
    environment = {}
    program = str(tool.program)
    if tool.root is not None:
        (directory / "root").symlink_to(tool.root.absolute())
        environment["VERILATOR_ROOT"] = str(directory / "root")
        program = str(directory / "root" / tool.program.relative_to(tool.root))
        variables += PACKAGE_VARIABLES
    if coverage:
        options += ["--coverage-line", "--coverage-toggle"]
    if waves == "vcd":
        options.append("--trace-vcd")
        flags.append("-DTENSAW_WAVES_VCD")
    elif waves == "fst":
        options.append("--trace-fst")
        flags.append("-DTENSAW_WAVES_FST")
        if tool.root is not None:  # its writer needs a few functions of zlib and LZ4, which cpp/fst stands in for
            flags.append("-I../cpp/fst")
            variables.append("LDLIBS=")
    run_tool(
        "Verilator", [program, *options, "-CFLAGS", " ".join(flags), "../cpp/main.cpp",
         "cpp/tensaw_simulation.v", *sorted(files)],
        directory, log, environment,
    )  # fmt: skip
    library = RuntimeLibrary(directory / "model", tool, compiler, coverage)
    library.restore()
    jobs = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    run_tool(
        "Building the simulator that Verilator wrote",
        [tools.make, "-C", "model", "-f", "Vtensaw.mk", f"-j{jobs}", *variables], directory, log,
        # Flags of a surrounding make would be taken for this one's.
        {**environment, "MAKEFLAGS": "", "MAKELEVEL": ""},
    )  # fmt: skip
    library.keep()
    os.replace(directory / "model" / "Vtensaw", directory / "simulator")
    for path in directory.iterdir():
        if path.name != "simulator":
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


class RuntimeLibrary:
    """Objects of Verilator's run-time library, the same for every model: kept, since they cost more than small models.

    ``make`` takes objects that are newer than their sources and its own makefile for done.
    """

    def __init__(self, model: Path, tool: Verilator, compiler: str, coverage: bool = False) -> None:
        self._model = model
        shims = {path.name: path.read_text() for path in sorted((_CPP / "fst").iterdir())}
        self._key = digest({
            **shims,
            "options": " ".join((LIBRARY_OPTIMISE, *PACKAGE_VARIABLES)) + " coverage" * coverage,
            "tools": f"{tool.version} {tool.program} {tool_version(compiler, '--version')} {platform.machine()}",
        })  # fmt: skip

    def restore(self) -> None:
        """Copy what earlier builds left."""
        for path in (cache_directory() / "verilator-library").glob(f"{self._key}-*/verilated*.o"):
            shutil.copyfile(path, self._model / path.name)

    def keep(self) -> None:
        """Leave this build's objects to later ones."""
        for path in self._model.glob("verilated*.o"):
            cached("verilator-library", f"{self._key}-{path.stem}", partial(_copy, path))


def _copy(path: Path, directory: Path) -> None:
    shutil.copyfile(path, directory / path.name)
