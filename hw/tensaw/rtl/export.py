"""From a configuration to Verilog: one file, each distinct module once, the same bytes on every machine."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from amaranth.lib import wiring

from tensaw.rtl.verilog_text import merge_modules, prune_wires
from tensaw.spec.config import NpuConfig

__all__ = ["VERILOG_FILE", "TOP", "verilog"]

TOP = "tensaw_npu"
VERILOG_FILE = f"{TOP}.v"


@dataclass
class ExportPlatform:
    """Collects what becomes an instance: memories (tensaw.rtl.memory.ram) and repeated blocks (tensaw.rtl.shared)."""

    tensaw_ram_instances: dict[str, str] = field(default_factory=dict)
    tensaw_modules: dict[str, wiring.Component] = field(default_factory=dict)


def verilog(config: NpuConfig, trace: bool = False) -> dict[str, str]:
    """Verilog-2005 of the NPU: file name to text.

    With ``trace`` the top has outputs that tell a simulator what each unit does. Bytes depend on the configuration, the
    version of tensaw and that of Amaranth and its built-in Yosys only.
    """
    from tensaw.rtl.npu import Npu

    platform = ExportPlatform()
    npu = Npu(config, trace=trace)
    texts = [merge_modules(_convert(npu, TOP, platform), TOP)]
    # A repeated block may itself hold repeated blocks.
    done: set[str] = set()
    while remaining := sorted(set(platform.tensaw_modules) - done):
        for name in remaining:
            texts.append(merge_modules(_convert(platform.tensaw_modules[name], name, platform), name))
        done.update(remaining)
    texts += [platform.tensaw_ram_instances[name] for name in sorted(platform.tensaw_ram_instances)]
    shape = f"{config.rows} x {config.columns}, configuration {config.name!r}, digest 0x{config.digest:08x}"
    header = (
        f"// tensaw NPU, {shape}.\n// Generated; change the configuration instead of this file.\n\n"
        "`default_nettype none\n\n"
    )
    return {VERILOG_FILE: header + "\n".join(texts) + "\n`default_nettype wire\n"}


def _convert(component: wiring.Component, name: str, platform: ExportPlatform) -> str:
    # Any other Yosys on the machine would write other text.
    os.environ["AMARANTH_USE_YOSYS"] = "builtin"
    from amaranth.back import verilog as back

    return prune_wires(back.convert(component, name=name, platform=platform, emit_src=False, strip_internal_attrs=True))
