"""Blocks that become Verilog modules of their own: the block diagram, and blocks that occur many times."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from amaranth import ClockSignal, Instance, Module, ResetInserter, ResetSignal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import Flow

from tensaw.rtl.technology import TECHNOLOGIES, Technology

__all__ = ["Block", "ExportPlatform", "Placed", "module_name", "place", "port_name"]

Block = TypeVar("Block", bound=wiring.Component)


@dataclass(frozen=True)
class Placed:
    """A block and what it was made with."""

    component: wiring.Component
    arguments: tuple[Any, ...]


@dataclass
class ExportPlatform:
    """The platform on which the hardware is elaborated for Verilog. It collects what becomes an instance: blocks by
    their module's name, and the text of modules that are written as Verilog, memories (tensaw.rtl.memory.ram) among
    them; ``rams`` are their depth, width and granularity. ``checks``: with what the blocks promise to themselves
    (tensaw.rtl.checks)."""

    blocks: dict[str, Placed] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    rams: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    checks: bool = False
    technology: Technology = TECHNOLOGIES["generic"]


def module_name(block: type[wiring.Component]) -> str:
    """``WeightDma`` becomes ``tensaw_weight_dma``."""
    return "tensaw_" + re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", block.__name__).lower()


def port_name(path: tuple[str | int, ...]) -> str:
    """Verilog name of a member: ``("words", "valid")`` becomes ``words__valid``."""
    return "__".join(map(str, path))


def place(
    m: Module,
    platform: Any,
    name: str,
    block: type[Block],
    *arguments: Any,
    module: str | None = None,
    reset: Value | None = None,
) -> Block:
    """Make ``block(*arguments)`` a submodule of ``m`` called ``name``; return it, of which only ports may be used.

    ``reset`` takes the place of the domain's reset, which it must include. On an :class:`ExportPlatform` it becomes an
    instance of the Verilog module ``module`` (default: :func:`module_name`), which is exported once, with all ports of
    its signature; what is placed under one module name must be the same hardware, and it must have registers, since its
    clock and reset are connected. Elsewhere it is an ordinary submodule.

    Raises ValueError if the module name stands for something else already.
    """
    if not isinstance(platform, ExportPlatform):
        component = block(*arguments)
        m.submodules[name] = component if reset is None else ResetInserter(reset)(component)
        return component
    module = module or module_name(block)
    if module not in platform.blocks:
        platform.blocks[module] = Placed(block(*arguments), arguments)
    placed = platform.blocks[module]
    if type(placed.component) is not block or placed.arguments != arguments:
        raise ValueError(
            f"The module {module!r} is {type(placed.component).__name__}{placed.arguments} already, it cannot be "
            f"{block.__name__}{arguments} as well."
        )
    signature = placed.component.signature
    ports = signature.create(path=(name,))
    connections: dict[str, Any] = {
        "i_clk": ClockSignal(),
        "i_rst": ResetSignal() if reset is None else reset,
    }
    for path, member, value in signature.flatten(ports):
        direction = "i" if member.flow is Flow.In else "o"
        connections[f"{direction}_{port_name(path)}"] = Value.cast(value)
    m.submodules[name] = Instance(module, **connections)
    return cast(Block, ports)
