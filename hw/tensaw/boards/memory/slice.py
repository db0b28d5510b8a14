"""Registers in all channels of an AXI4 port."""

from __future__ import annotations

from typing import Any

from amaranth import Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Flow, In, Out

from tensaw.rtl.bus.axi4 import Axi4ReadSignature, Axi4WriteSignature
from tensaw.rtl.bus.skid_buffer import SkidBuffer
from tensaw.spec.config import NpuConfig

__all__ = ["AxiSlice"]


class AxiSlice(wiring.Component):
    """Parts two ends of an AXI4 port by a register in every direction, handshakes included.

    Parameters
    ----------
    config : NpuConfig
        For the widths.

    Members
    -------
    read, write : In(AXI4 channels)
        The manager.
    memory_read, memory_write : Out(AXI4 channels)
        The memory.

    Timing
    ------
    One cycle more in each channel, one transfer a cycle. No combinational path from an input to an output. Reset:
    empty.
    """

    read: Any
    write: Any
    memory_read: Any
    memory_write: Any

    def __init__(self, config: NpuConfig) -> None:
        read, write = Axi4ReadSignature(config), Axi4WriteSignature(config)
        super().__init__({"read": In(read), "write": In(write), "memory_read": Out(read), "memory_write": Out(write)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        for manager, memory, channels in (
            (self.read, self.memory_read, ("ar", "r")),
            (self.write, self.memory_write, ("aw", "w", "b")),
        ):
            members = memory.signature.members
            for channel in channels:
                down = members[f"{channel}valid"].flow is Flow.Out
                source, target = (manager, memory) if down else (memory, manager)
                names = [
                    name
                    for name in members
                    if name.startswith(channel) and name not in (f"{channel}valid", f"{channel}ready")
                ]
                layout = data.StructLayout({name: members[name].shape for name in names})
                m.submodules[channel] = buffer = SkidBuffer(layout)
                for name in names:
                    m.d.comb += [
                        buffer.i.payload[name].eq(getattr(source, name)),
                        getattr(target, name).eq(buffer.o.payload[name]),
                    ]
                m.d.comb += [
                    buffer.i.valid.eq(getattr(source, f"{channel}valid")),
                    getattr(source, f"{channel}ready").eq(buffer.i.ready),
                    getattr(target, f"{channel}valid").eq(buffer.o.valid),
                    buffer.o.ready.eq(getattr(target, f"{channel}ready")),
                ]
        return m
