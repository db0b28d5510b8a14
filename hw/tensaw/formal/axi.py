"""What several proofs of AXI ports need."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from amaranth.hdl import Cat, Value
from amaranth.lib import data

from tensaw.formal.bench import Bench
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import REGIONS

__all__ = ["channel", "constant_regions"]


def channel(port: Any, name: str, *members: str) -> SimpleNamespace:
    """A channel of an AXI port, such as ``aw``, as a stream of these members."""
    payload = Cat(getattr(port, f"{name}{member}") for member in members)
    return SimpleNamespace(valid=getattr(port, f"{name}valid"), ready=getattr(port, f"{name}ready"), payload=payload)


def constant_regions(b: Bench, config: NpuConfig, port: data.View) -> None:
    """Any four windows, wholly inside the address space, that do not change."""
    regions = b.constant(port.shape(), "regions")
    b.m.d.comb += Value.cast(port).eq(Value.cast(regions))
    for index in range(REGIONS):
        base, size = port[index].base, port[index].size
        b.assume((base[:4] == 0) & (base + size <= 1 << config.address_width))
