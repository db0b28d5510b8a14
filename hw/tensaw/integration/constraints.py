"""Timing constraints for the core alone: SDC for ASIC flows and most FPGA tools, XDC for Vivado out of context."""

from __future__ import annotations

from tensaw.integration.core import Core
from tensaw.rtl.export import TOP

__all__ = ["constraint_files", "constraints"]

_BUDGET = 0.3
"""The part of a cycle that is left to the world outside before an input, and after an output."""


def constraint_files(core: Core) -> dict[str, str]:
    """An .sdc and an .xdc file, name to text: both take these commands."""
    return {f"{TOP}.{kind}": constraints(core, kind) for kind in ("sdc", "xdc")}


def constraints(core: Core, kind: str) -> str:
    """The one clock, and a budget for every other port. ``kind`` is ``"sdc"`` or ``"xdc"``."""
    delay = f"{_BUDGET * core.period:.3f}"
    names = {
        direction: [port.name + ("[*]" if port.width > 1 else "") for port in core.ports[1:] if port.output is output]
        for direction, output in (("input", False), ("output", True))
    }
    lines = [
        f"# {TOP} alone, configuration '{core.config.name}', at {core.megahertz:g} MHz ({kind.upper()}; nanoseconds).",
        f"# Inputs arrive, and outputs are wanted, {_BUDGET:.0%} of a cycle from the edge; in a larger design only the",
        "# clock is needed, and comes from there. rst is synchronous: it is timed as any other input.",
        f"create_clock -name clk -period {core.period:.3f} [get_ports {{clk}}]",
    ]
    for direction, ports in names.items():
        lines.append(f"set_{direction}_delay -clock [get_clocks {{clk}}] {delay} [get_ports {{ \\")
        lines += [f"  {name} \\" for name in ports]
        lines.append("}]")
    return "\n".join(lines) + "\n"
