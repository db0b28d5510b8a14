"""Building the simulator with Icarus Verilog: the same commands, the same cycles, four-state values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tensaw.harness.cache import cache_directory, cached, digest
from tensaw.harness.tools import find_icarus, run_tool, tool_version
from tensaw.spec.config import NpuConfig

__all__ = ["build_icarus"]

_VERILOG = Path(__file__).parent / "verilog"


def build_icarus(files: Mapping[str, str], config: NpuConfig, memory_bytes: int, trace: bool = True) -> Path:
    """The compiled testbench around these Verilog files, from the cache or built now; run it with ``vvp``.

    The size of the memory, a multiple of the bus width, is part of the build. Raises ToolError.
    """
    compiler, _ = find_icarus()
    own = {path.name: path.read_text() for path in sorted(_VERILOG.iterdir())}
    options = [
        "-g2012", "-Wno-timescale", "-s", "tensaw_testbench", f"-DBUS_BYTES={config.bus_bytes}",
        f"-DADDRESS_WIDTH={config.address_width}", f"-DWORDS={memory_bytes // config.bus_bytes}",
        *(["-DTENSAW_TRACE"] if trace else []),
    ]  # fmt: skip
    key = digest({
        **{f"verilog/{name}": text for name, text in files.items()},
        **{f"testbench/{name}": text for name, text in own.items()},
        "options": " ".join(options),
        "tools": tool_version(compiler, "-V"),
    })  # fmt: skip
    log = cache_directory() / "icarus" / f"{key}.log"

    def build(directory: Path) -> None:
        log.unlink(missing_ok=True)
        sources = directory / "sources"
        sources.mkdir()
        for name, text in {**files, **own}.items():
            (sources / name).write_text(text)
        names = [f"sources/{name}" for name in (*own, *sorted(files))]
        run_tool("Icarus Verilog", [compiler, *options, "-o", "simulator.vvp", *names], directory, log)

    return cached("icarus", key, build) / "simulator.vvp"
