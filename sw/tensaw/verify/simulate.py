"""Running a bench: build the block's simulator with cocotb's runner, run it, collect results."""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import json
import logging
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tensaw.harness.cache import cache_directory, cached, digest
from tensaw.harness.tools import find_compiler, find_icarus, find_make, find_verilator, tool_version
from tensaw.spec.errors import InputError, ToolError
from tensaw.spec.simulation import CHECK_PREFIX
from tensaw.verify.blocks import Block, bench_config
from tensaw.verify.elaborate import elaborate
from tensaw.verify.results import BenchRun, Coverage, read_tests

__all__ = ["CLOCK_NS", "SIMULATORS", "bench_directory", "library_path", "run_bench"]

SIMULATORS = ("icarus", "verilator")
CLOCK_NS = 10
"""Period of the benches' clock."""

_TIMESCALE = ("1ns", "1ps")
_ARGUMENTS: dict[str, tuple[str, ...]] = {
    "icarus": ("-g2012", "-Wno-timescale"),
    "verilator": ("-Wno-fatal", "-Wno-lint", "-Wno-style", "--assert"),
}
# The Python package of Verilator was configured on another machine; and what is built runs for seconds only.
_MAKE_VARIABLES = {
    "AR": "ar", "PYTHON3": "python3", "CFG_CXXFLAGS_PCH_I": "-include", "CFG_CXXFLAGS_STD_NEWEST": "-std=gnu++17",
    "CFG_CXXFLAGS_COROUTINES": "-fcoroutines", "OPT_FAST": "-O0", "OPT_SLOW": "-O0", "OPT_GLOBAL": "-O0",
}  # fmt: skip
_LIBRARY = "verilated*.o"
"""Objects that are the same for every block (cocotb's main program is not: it contains the model)."""


def bench_directory() -> Path:
    """The repository's ``tb/``. Raises InputError if this is an installed package without it."""
    path = Path(__file__).resolve().parents[3] / "tb"
    if not (path / "testplan.toml").is_file():
        raise InputError(
            f"The benches are not at {str(path)!r}: they are in the repository of tensaw, not in the installed package."
            " Clone the repository and install it with `pip install -e .`."
        )
    return path


def run_bench(
    block: Block,
    config: str = "nano",
    simulator: str = "icarus",
    seed: int = 0,
    *,
    effort: int = 1,
    verilog: Path | None = None,
    tests: str = "",
    all_failures: bool = True,
    waves: Path | None = None,
    plusargs: Sequence[str] = (),
    limit: int = 600,
) -> BenchRun:
    """Run the bench of a block.

    ``config`` is a name that :func:`tensaw.verify.blocks.bench_config` knows. ``effort`` multiplies the number of
    random stimuli. ``verilog`` takes the place of the generated file; it must hold the block's module (that of a
    whole NPU does). ``tests``: only those whose names match this regular expression. ``all_failures`` False ends at
    the first.
    ``plusargs``, such as ``+mutant=3``, are what the Verilog finds with ``$value$plusargs``; a file that is given
    together with some is built once. ``waves``: a folder for the waveform (FST from Icarus, VCD from Verilator).
    ``limit``: seconds until the simulator is ended. Raises InputError, and ToolError if the simulator cannot be built.
    """
    directory = bench_directory()
    if simulator not in SIMULATORS:
        raise InputError(f"The simulator must be one of {', '.join(SIMULATORS)}, not {simulator!r}.")
    settings = bench_config(config)
    start = time.perf_counter()
    elaborated = elaborate(block, settings)
    try:
        text = elaborated.verilog if verilog is None else verilog.read_text()
    except OSError as error:
        raise InputError(f"The Verilog file {str(verilog)!r} cannot be read: {error.strerror or error}.") from None
    command = f"python -m tensaw.verify.bench {block.name} --config {config} --sim {simulator} --seed {seed}"
    command += f" --effort {effort}" * (effort != 1) + f" --verilog {verilog}" * (verilog is not None)

    with contextlib.ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tensaw-bench-")))
        if verilog is None or plusargs:
            build = _cached_build(block, text, simulator, waves is not None)
        else:
            build = place / "build"
            build.mkdir()
            _build(build, block, text, simulator, waves is not None)
        (place / "bench.json").write_text(json.dumps({
            "config": settings.to_dict(), "ports": elaborated.ports, "constants": elaborated.constants, "seed": seed,
            "effort": effort, "coverage": str(place / "coverage.json"), "clock_ns": CLOCK_NS, "limit": limit,
        }))  # fmt: skip
        environment = {
            "TENSAW_BENCH": str(place / "bench.json"),
            "COCOTB_MAX_FAILURES": "0" if all_failures else "1",
            "COCOTB_LOG_LEVEL": "WARNING",
            "COCOTB_REWRITE_ASSERTION_FILES": "",
            "COCOTB_ANSI_OUTPUT": "0",
            "PYTHONDONTWRITEBYTECODE": "1" if verilog else "",
            "LD_LIBRARY_PATH": library_path(),
        }
        trouble = _simulate(
            block, build, simulator, directory, place, environment, tests, seed, waves is not None, plusargs
        )
        if waves is not None:
            _keep_waves(waves, block, build, place)
        done, broken = (place / "results.xml").is_file(), _broken_check(place / "log")
        if broken:
            trouble = f"the hardware broke one of its own rules, or the bench those of its neighbours: {broken}"
        return BenchRun(
            block.name, config, simulator, seed, command, time.perf_counter() - start,
            read_tests(place / "results.xml", CLOCK_NS) if done else (), _read_coverage(place / "coverage.json"),
            trouble if not done or broken else "",
        )  # fmt: skip


def _broken_check(log: Path) -> str:
    """What the block's own checks (tensaw.rtl.checks) have found, which ends the simulation."""
    lines = log.read_text(errors="replace").splitlines() if log.is_file() else []
    return next((line.removeprefix(CHECK_PREFIX) for line in lines if line.startswith(CHECK_PREFIX)), "")


def _read_coverage(path: Path) -> Coverage:
    return json.loads(path.read_text()) if path.is_file() else {}


def _cached_build(block: Block, text: str, simulator: str, waves: bool) -> Path:
    if simulator == "icarus":
        tools = tool_version(find_icarus()[0], "-V")
    else:
        tools = f"{find_verilator().version} {tool_version(find_compiler(), '--version')} {platform.machine()}"
    key = digest({
        "verilog": text,
        "module": block.module,
        "options": f"{_ARGUMENTS[simulator]} {_MAKE_VARIABLES} {waves}",
        "tools": f"{tools} cocotb {_cocotb_version()}",
    })  # fmt: skip
    return cached(f"bench-{simulator}", key, lambda place: _build(place, block, text, simulator, waves))


def _cocotb_version() -> str:
    try:
        return importlib.metadata.version("cocotb")
    except importlib.metadata.PackageNotFoundError:
        raise ToolError(
            "The Python package cocotb, which runs the benches, is not installed. Install it with `pip install "
            "tensaw[dev]`."
        ) from None


def library_path() -> str:
    """Where this environment's cocotb has its libraries: a simulator in the cache may have been built by another one,
    which is gone."""
    from cocotb_tools.config import libs_dir

    return os.pathsep.join(filter(None, (str(libs_dir), os.environ.get("LD_LIBRARY_PATH"))))


def _build(place: Path, block: Block, text: str, simulator: str, waves: bool) -> None:
    """Compile into an empty folder. Raises ToolError."""
    source = place / "block.v"
    source.write_text(text)
    environment: dict[str, str] = {}
    if simulator == "verilator":
        environment = _verilator_environment()
        _restore_library(place, environment)
    with _environment(environment), _quiet():
        try:
            _runner(simulator).build(
                sources=[source], hdl_toplevel=block.module, build_dir=place, always=True, timescale=_TIMESCALE,
                build_args=_ARGUMENTS[simulator], waves=waves, log_file=place / "build.log",
            )  # fmt: skip
        except (RuntimeError, OSError, SystemExit) as error:
            lines = _last_lines(place / "build.log", 5) or str(error)
            raise ToolError(f"The simulator of the block {block.name} could not be built: {lines}") from None
    if simulator == "verilator":
        _keep_library(place, environment)
        for path in place.iterdir():  # what running needs is the executable alone
            if path.name != block.module and path.is_file():
                path.unlink()


def _runner(simulator: str) -> Any:
    from cocotb_tools.runner import get_runner

    return get_runner(simulator)


def _verilator_environment() -> dict[str, str]:
    """What cocotb's runner needs to find and use the Verilator that tensaw uses. Raises ToolError."""
    tool = find_verilator()
    find_make()
    compiler = find_compiler()
    variables = {**_MAKE_VARIABLES, "CXX": compiler, "LINK": compiler}
    environment = {"MAKEFLAGS": " ".join(f"{name}={value}" for name, value in variables.items()), "MAKELEVEL": ""}
    if tool.root is not None:
        environment["VERILATOR_ROOT"] = str(tool.root)
    return {**environment, "PATH": f"{tool.program.parent}{os.pathsep}{os.environ.get('PATH', '')}"}


def _library(environment: Mapping[str, str]) -> str:
    compiler = tool_version(find_compiler(), "--version")
    return digest({**environment, "PATH": find_verilator().version, "compiler": compiler, "cocotb": _cocotb_version()})


def _restore_library(place: Path, environment: Mapping[str, str]) -> None:
    """Objects of earlier builds, dated so that make takes them for newer than everything."""
    later = time.time() + 86400
    for path in (cache_directory() / "bench-library").glob(f"{_library(environment)}-*/{_LIBRARY}"):
        shutil.copyfile(path, place / path.name)
        os.utime(place / path.name, (later, later))


def _keep_library(place: Path, environment: Mapping[str, str]) -> None:
    key = _library(environment)
    for path in place.glob(_LIBRARY):
        cached("bench-library", f"{key}-{path.stem}", partial(_copy, path))


def _copy(path: Path, directory: Path) -> None:
    shutil.copyfile(path, directory / path.name)


def _simulate(
    block: Block, build: Path, simulator: str, directory: Path, place: Path, environment: Mapping[str, str],
    tests: str, seed: int, waves: bool, plusargs: Sequence[str],
) -> str:  # fmt: skip
    """Returns what the simulator said last if it did not end well."""
    results, log = place / "results.xml", place / "log"
    dump = [f"+dumpfile_path={place / 'waves.fst'}"] if waves and simulator == "icarus" else []
    with _environment({"PYTEST_CURRENT_TEST": None}), _quiet():
        try:
            _runner(simulator).test(
                test_module=f"tb_{block.bench}", hdl_toplevel=block.module, hdl_toplevel_lang="verilog",
                build_dir=build, test_dir=directory, results_xml=str(results), log_file=log, seed=seed,
                extra_env=dict(environment), test_filter=tests or None, waves=waves, plusargs=[*plusargs, *dump],
            )  # fmt: skip
        except (RuntimeError, OSError, SystemExit):
            return f"the simulator ended without results: {_last_lines(log, 8)}"
    return ""


def _keep_waves(waves: Path, block: Block, build: Path, place: Path) -> None:
    waves.mkdir(parents=True, exist_ok=True)
    for path in (place / "waves.fst", build / "dump.vcd", place / "dump.vcd"):
        if path.is_file():
            shutil.copyfile(path, waves / f"{block.name}{path.suffix}")


def _last_lines(path: Path, count: int) -> str:
    lines = path.read_text(errors="replace").splitlines() if path.is_file() else []
    return " / ".join(line.strip() for line in lines[-count:])[-1500:]


@contextlib.contextmanager
def _environment(changes: Mapping[str, str | None]) -> Iterator[None]:
    """Environment variables changed for a while; None removes one. cocotb's runner reads the environment."""
    before = {name: os.environ.get(name) for name in changes}

    def apply(values: Mapping[str, str | None]) -> None:
        for name, value in values.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    apply(changes)
    try:
        yield
    finally:
        apply(before)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """cocotb's runner reports each command on a logger."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)
