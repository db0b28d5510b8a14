"""From a configuration to Verilog: one file, each distinct module once, the same bytes on every machine."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field

from amaranth.lib import wiring

from tensaw.spec.config import NpuConfig

__all__ = ["VERILOG_FILE", "TOP", "verilog", "merge_modules"]

TOP = "tensaw_npu"
VERILOG_FILE = f"{TOP}.v"

_MODULE = re.compile(r"^module (\\?\S+?) ?\((.*?)^endmodule\n", re.MULTILINE | re.DOTALL)
_INSTANCE = re.compile(r"^  (\\\S+|[A-Za-z_]\w*) +(\\\S+ |[A-Za-z_]\w* )\($", re.MULTILINE)


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

    return back.convert(component, name=name, platform=platform, emit_src=False, strip_internal_attrs=True)


def merge_modules(text: str, top: str) -> str:
    """Replace modules of the same contents by one, from the leaves up, and give the survivors short names.

    Amaranth writes a module for each instance; a 16 × 16 array would hold 256 copies of the processing element.
    """
    modules: dict[str, str] = {}
    for match in _MODULE.finditer(text):
        modules[match[1]] = match[0]

    # Modules by depth: a module is finished when all that it instantiates are.
    final: dict[str, str] = {}
    by_body: dict[str, str] = {}
    taken: set[str] = set()
    output: list[str] = []

    def short(name: str) -> str:
        """The last part of the hierarchical name without its numbers: ``\\top.array.pe_3_4`` becomes ``tensaw_pe``."""
        if name == top:
            return top
        last = name.lstrip("\\").rsplit(".", 1)[-1]
        base = "tensaw_" + re.sub(r"\W", "_", re.sub(r"(_\d+)+$", "", last)).strip("_")
        candidate, number = base, 2
        while candidate in taken:
            candidate, number = f"{base}_{number}", number + 1
        return candidate

    def finish(name: str) -> str:
        if name in final:
            return final[name]
        content = modules[name]

        def rename(match: re.Match[str]) -> str:
            kind = match[1]
            return f"  {finish(kind) if kind in modules else kind} {match[2]}("

        content = _INSTANCE.sub(rename, content)
        header_end = content.index("(")
        body = content[header_end:]
        if body in by_body:
            final[name] = by_body[body]
            return final[name]
        new = short(name)
        taken.add(new)
        final[name] = by_body[body] = new
        output.append(f"module {new} {body}")
        return new

    finish(top)
    return "\n".join(output)
