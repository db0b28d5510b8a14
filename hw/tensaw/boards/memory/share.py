"""Two managers on one memory."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tensaw.rtl.bus.axi4 import Axi4ReadSignature, Axi4WriteSignature
from tensaw.spec.config import NpuConfig

__all__ = ["AxiShare"]


class AxiShare(wiring.Component):
    """Passes the bursts of two AXI4 managers on, in turn where both have some.

    Parameters
    ----------
    config : NpuConfig
        For the widths.

    Members
    -------
    read0, read1, write0, write1 : In(AXI4 channels)
        The managers. Their IDs are ignored, and 0 comes back.
    read, write : Out(AXI4 channels)
        The memory, which sees the manager's number as ID and must give it back.

    Timing
    ------
    No latency; a manager that has not had the last burst waits one cycle for its turn. Ready and valid pass through
    combinationally. A burst's write data are passed on only during its turn, which lasts until address and last beat
    have been taken. Reset: manager 0 has its turn.
    """

    read0: Any
    read1: Any
    write0: Any
    write1: Any
    read: Any
    write: Any

    def __init__(self, config: NpuConfig) -> None:
        read, write = Axi4ReadSignature(config), Axi4WriteSignature(config)
        super().__init__(
            {
                "read0": In(read),
                "read1": In(read),
                "write0": In(write),
                "write1": In(write),
                "read": Out(read),
                "write": Out(write),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        self._reads(m)
        self._writes(m)
        return m

    def _reads(self, m: Module) -> None:
        turn = Signal(name="read_turn")
        waiting = Signal(name="read_waiting")
        m.d.comb += waiting.eq(self.read.arvalid & ~self.read.arready)
        for number, manager in enumerate((self.read0, self.read1)):
            other = (self.read1, self.read0)[number]
            with m.If(turn == number):
                m.d.comb += _forward(manager, self.read, "ar")
                with m.If(~waiting & other.arvalid):
                    m.d.sync += turn.eq(1 - number)
            m.d.comb += [
                manager.rdata.eq(self.read.rdata),
                manager.rresp.eq(self.read.rresp),
                manager.rlast.eq(self.read.rlast),
                manager.rvalid.eq(self.read.rvalid & (self.read.rid == number)),
            ]
            with m.If(self.read.rid == number):
                m.d.comb += self.read.rready.eq(manager.rready)
        m.d.comb += self.read.arid.eq(turn)

    def _writes(self, m: Module) -> None:
        write = self.write
        turn = Signal(name="write_turn")
        addressed, begun, ended = Signal(), Signal(), Signal()
        address_now, beat_now, last_now, over = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            address_now.eq(write.awvalid & write.awready),
            beat_now.eq(write.wvalid & write.wready),
            last_now.eq(beat_now & write.wlast),
            over.eq((addressed | address_now) & (ended | last_now)),
        ]
        with m.If(over):
            m.d.sync += [addressed.eq(0), begun.eq(0), ended.eq(0)]
        with m.Else():
            m.d.sync += [
                addressed.eq(addressed | address_now),
                begun.eq(begun | beat_now),
                ended.eq(ended | last_now),
            ]
        idle = Signal()
        m.d.comb += idle.eq(~addressed & ~begun & ~write.awvalid & ~write.wvalid)
        for number, manager in enumerate((self.write0, self.write1)):
            other = (self.write1, self.write0)[number]
            with m.If(turn == number):
                m.d.comb += _forward(manager, write, "aw", ~addressed)
                m.d.comb += _forward(manager, write, "w", ~ended)
                with m.If((over | idle) & (other.awvalid | other.wvalid)):
                    m.d.sync += turn.eq(1 - number)
            m.d.comb += [
                manager.bresp.eq(write.bresp),
                manager.bvalid.eq(write.bvalid & (write.bid == number)),
            ]
            with m.If(write.bid == number):
                m.d.comb += write.bready.eq(manager.bready)
        m.d.comb += write.awid.eq(turn)


def _forward(manager: Any, memory: Any, channel: str, enable: Any = 1) -> list[Any]:
    """Statements that connect a channel of a manager, but for its ID, while ``enable``."""
    statements = []
    for name in memory.signature.members:
        if not name.startswith(channel) or name == f"{channel}id":
            continue
        source, target = getattr(manager, name), getattr(memory, name)
        if name.endswith("valid"):
            statements.append(target.eq(source & enable))
        elif name.endswith("ready"):
            statements.append(source.eq(target & enable))
        else:
            statements.append(target.eq(source))
    return statements
