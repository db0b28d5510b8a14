"""Blocks that occur many times: one Verilog module with many instances instead of many modules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from amaranth import ClockSignal, Instance, Module, ResetSignal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import Flow

__all__ = ["place"]


def place(m: Module, platform: Any, name: str, module: str, make: Callable[[], wiring.Component]) -> Any:
    """Make the component that ``make()`` returns a submodule of ``m`` called ``name``; its ports are returned.

    On export (a platform with an attribute ``tensaw_modules: dict[str, wiring.Component]``) it becomes an instance of the
    Verilog module ``module``, which is exported once; everything placed under one module name must be the same
    hardware. In simulation in Python it is an ordinary submodule.
    """
    modules: dict[str, wiring.Component] | None = getattr(platform, "tensaw_modules", None)
    if modules is None:
        component = make()
        m.submodules[name] = component
        return component
    if module not in modules:
        modules[module] = make()
    ports = modules[module].signature.create(path=(name,))
    connections: dict[str, Any] = {"i_clk": ClockSignal(), "i_rst": ResetSignal()}
    for path, member, value in ports.signature.flatten(ports):
        direction = "i" if member.flow is Flow.In else "o"
        connections[f"{direction}_{'__'.join(str(part) for part in path)}"] = Value.cast(value)
    m.submodules[name] = Instance(module, **connections)
    return ports
