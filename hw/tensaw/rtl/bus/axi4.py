"""Signatures of the AXI ports. Member names are the standard's, so that ``m_axi_`` + name is the port's name."""

from __future__ import annotations

from amaranth.hdl import Const, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import REGIONS

__all__ = [
    "DECERR",
    "OKAY",
    "SLVERR",
    "Axi4LiteSignature",
    "Axi4ReadSignature",
    "Axi4WriteSignature",
    "inside_regions",
    "regions_layout",
]

OKAY, SLVERR, DECERR = 0, 2, 3
"""Response codes. EXOKAY (1) never occurs: no exclusive accesses are made."""


class Axi4ReadSignature(wiring.Signature):
    """Channels AR and R of an AXI4 manager, with one ID bit (always 0): bursts are answered in order."""

    def __init__(self, config: NpuConfig) -> None:
        super().__init__(
            {
                "arid": Out(1),
                "araddr": Out(config.address_width),
                "arlen": Out(8),
                "arsize": Out(3),
                "arburst": Out(2),
                "arlock": Out(1),
                "arcache": Out(4),
                "arprot": Out(3),
                "arqos": Out(4),
                "arvalid": Out(1),
                "arready": In(1),
                "rid": In(1),
                "rdata": In(config.bus_bytes * 8),
                "rresp": In(2),
                "rlast": In(1),
                "rvalid": In(1),
                "rready": Out(1),
            }
        )


class Axi4WriteSignature(wiring.Signature):
    """Channels AW, W and B of an AXI4 manager, with one ID bit (always 0)."""

    def __init__(self, config: NpuConfig) -> None:
        super().__init__(
            {
                "awid": Out(1),
                "awaddr": Out(config.address_width),
                "awlen": Out(8),
                "awsize": Out(3),
                "awburst": Out(2),
                "awlock": Out(1),
                "awcache": Out(4),
                "awprot": Out(3),
                "awqos": Out(4),
                "awvalid": Out(1),
                "awready": In(1),
                "wdata": Out(config.bus_bytes * 8),
                "wstrb": Out(config.bus_bytes),
                "wlast": Out(1),
                "wvalid": Out(1),
                "wready": In(1),
                "bid": In(1),
                "bresp": In(2),
                "bvalid": In(1),
                "bready": Out(1),
            }
        )


class Axi4LiteSignature(wiring.Signature):
    """An AXI4-Lite manager with 32-bit data; flip it (``In``) for a subordinate."""

    def __init__(self, address_bits: int) -> None:
        super().__init__(
            {
                "awaddr": Out(address_bits),
                "awprot": Out(3),
                "awvalid": Out(1),
                "awready": In(1),
                "wdata": Out(32),
                "wstrb": Out(4),
                "wvalid": Out(1),
                "wready": In(1),
                "bresp": In(2),
                "bvalid": In(1),
                "bready": Out(1),
                "araddr": Out(address_bits),
                "arprot": Out(3),
                "arvalid": Out(1),
                "arready": In(1),
                "rdata": In(32),
                "rresp": In(2),
                "rvalid": In(1),
                "rready": Out(1),
            }
        )


def inside_regions(config: NpuConfig, regions: data.View, direction: str, address: Value, beats: Value) -> Value:
    """Whether a burst of whole beats lies in the beats of one region that allows ``direction``."""
    end = address + (beats << exact_log2(config.bus_bytes))
    found: Value = Const(0, 1)
    for index in range(REGIONS):
        region = regions[index]
        last = region.base + region.size + (config.bus_bytes - 1)
        found = found | (region[direction] & (address + (config.bus_bytes - 1) >= region.base) & (end <= last))
    return found


def regions_layout(config: NpuConfig) -> data.ArrayLayout:
    """The memory windows: bus address (a multiple of 16), size in bytes, and what is allowed."""
    return data.ArrayLayout(
        data.StructLayout({"base": config.address_width, "size": 32, "read": 1, "write": 1}), REGIONS
    )
