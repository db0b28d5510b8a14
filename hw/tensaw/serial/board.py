"""Everything of a board with the serial core between its pads."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tensaw.boards.board import BlockRam, SinglePort
from tensaw.boards.link.link import HostLink
from tensaw.rtl.shared import place
from tensaw.serial.access import HostAccess
from tensaw.serial.core import SerialCore
from tensaw.spec.link import Identity

__all__ = ["SerialBoardCore"]

_LIGHTS = 5
_REGISTERS = ("request", "write", "address", "data", "done", "error", "value")
_MEMORY = ("request", "address", "data", "strobe", "taken", "value")


class SerialBoardCore(wiring.Component):
    """As tensaw.boards.core.BoardCore, with a serial core that holds its memory.

    Parameters
    ----------
    identity : Identity
        Configuration, clock, rate of the line.
    memory : BlockRam or SinglePort

    Members
    -------
    uart_rx : In(1), uart_tx : Out(1)
    lights : Out(5)
        As BoardCore's; 2 shines during a run.
    """

    uart_rx: Signal
    uart_tx: Signal
    lights: Signal

    def __init__(self, identity: Identity, memory: BlockRam | SinglePort) -> None:
        self._identity, self._memory = identity, memory
        super().__init__({"uart_rx": In(1), "uart_tx": Out(1), "lights": Out(_LIGHTS)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        identity, config = self._identity, self._identity.config
        link = place(m, platform, "link", HostLink, identity)
        reset = Signal(init=1)
        m.d.sync += reset.eq(link.reset)
        core: Any = place(m, platform, "npu", SerialCore, config, self._memory, reset=reset)
        access: Any = place(m, platform, "access", HostAccess, config, self._memory.size, reset=reset)
        for name in ("axi_read", "axi_write", "lite"):
            wiring.connect(m, getattr(link, name), getattr(access, name))
        for group, names in (("register", _REGISTERS), ("memory", _MEMORY)):
            for name in (f"{group}_{name}" for name in names):
                source, target = access, core
                if name.split("_")[1] in ("done", "error", "value", "taken"):
                    source, target = core, access
                m.d.comb += getattr(target, name).eq(getattr(source, name))

        beat = Signal((identity.clock // 2 - 1).bit_length() + 1)
        m.d.sync += beat.eq(beat + 1)
        m.d.comb += [
            link.rx.eq(self.uart_rx),
            self.uart_tx.eq(link.tx),
            link.ready.eq(1),
            self.lights.eq(Cat(beat[-1], link.active, core.uses_memory, 1, core.irq)),
        ]
        return m
