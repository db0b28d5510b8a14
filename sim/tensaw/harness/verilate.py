"""From Verilog and C++ to an executable: Verilator, its run-time library, make. What is built, others say."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tensaw.harness.cache import cache_directory, cached, digest
from tensaw.harness.tools import Verilator, find_compiler, find_make, find_verilator, run_tool, tool_version

__all__ = ["CPP", "LIBRARY_OPTIMISE", "Model", "Tools", "verilate"]

CPP = Path(__file__).parent / "cpp"
"""C++ around the NPU alone, with what stands in for missing libraries."""
_OPTIONS = (
    "--cc", "--exe", "--Mdir", "model", "-O3", "--x-assign", "fast", "--x-initial", "fast", "--no-assert", "-Wno-fatal",
    "-Wno-lint", "-Wno-style",
    # Files of some thousand statements compile in parallel and without the compiler's slow passes over huge functions.
    "--output-split", "4000", "--output-split-cfuncs", "2000",
)  # fmt: skip
LIBRARY_OPTIMISE = "OPT_GLOBAL=-O1"
"""Of Verilator's run-time library, in every build, so that its objects can be kept."""
# The Python package was configured on another machine: its makefile names tools that are not here.
_PACKAGE_VARIABLES = ("AR=ar", "PYTHON3=python3", "CFG_CXXFLAGS_PCH_I=-include")


@dataclass(frozen=True)
class Tools:
    """What a build needs. ``find`` raises ToolError if one is missing."""

    verilator: Verilator
    compiler: str
    make: str

    @classmethod
    def find(cls) -> Tools:
        """Those of this machine."""
        return cls(find_verilator(), find_compiler(), find_make())

    def identity(self) -> str:
        """Their versions and what is always passed to them: a part of what a build depends on."""
        said = f"{self.verilator.version} {tool_version(self.compiler, '--version')} {platform.machine()}"
        return " ".join((said, *_OPTIONS, *_PACKAGE_VARIABLES))


@dataclass(frozen=True)
class Model:
    """What is built: ``title`` for messages, C++ classes named ``prefix``, top module ``top``, and the ``sources``,
    paths from the build's folder or, for C++, from its folder ``model``. ``flags`` are the C++ compiler's,
    ``variables`` make's. ``coverage``: the library is built for it, too."""

    title: str
    prefix: str
    top: str
    sources: Sequence[str]
    options: Sequence[str] = ()
    flags: Sequence[str] = ()
    variables: Sequence[str] = ()
    coverage: bool = False


def verilate(directory: Path, log: Path, tools: Tools, model: Model) -> None:
    """Build ``directory/simulator`` of the sources in that folder, and leave nothing else there. Raises ToolError.

    Relative paths only, and a link to Verilator's root: make cannot work with blanks in any path.
    """
    tool, compiler = tools.verilator, tools.compiler
    variables = [f"CXX={compiler}", f"LINK={compiler}", *model.variables]
    environment = {}
    program = str(tool.program)
    if tool.root is not None:
        (directory / "root").symlink_to(tool.root.absolute())
        environment["VERILATOR_ROOT"] = str(directory / "root")
        program = str(directory / "root" / tool.program.relative_to(tool.root))
        variables += _PACKAGE_VARIABLES
    options = [*_OPTIONS, "--prefix", model.prefix, "--top-module", model.top, *model.options]
    command = [program, *options, "-CFLAGS", " ".join(model.flags), *model.sources]
    run_tool("Verilator", command, directory, log, environment)
    library = _RuntimeLibrary(directory / "model", tool, compiler, model.coverage)
    library.restore()
    jobs = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    run_tool(
        f"Building {model.title}",
        [tools.make, "-C", "model", "-f", f"{model.prefix}.mk", f"-j{jobs}", *variables], directory, log,
        # Flags of a surrounding make would be taken for this one's.
        {**environment, "MAKEFLAGS": "", "MAKELEVEL": ""},
    )  # fmt: skip
    library.keep()
    os.replace(directory / "model" / model.prefix, directory / "simulator")
    for path in directory.iterdir():
        if path.name != "simulator":
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


class _RuntimeLibrary:
    """Objects of Verilator's run-time library, the same for every model: kept, since they cost more than small models.

    ``make`` takes objects that are newer than their sources and its own makefile for done.
    """

    def __init__(self, model: Path, tool: Verilator, compiler: str, coverage: bool = False) -> None:
        self._model = model
        shims = {path.name: path.read_text() for path in sorted((CPP / "fst").iterdir())}
        self._key = digest({
            **shims,
            "options": " ".join((LIBRARY_OPTIMISE, *_PACKAGE_VARIABLES)) + " coverage" * coverage,
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
