"""Everything of a board between its pads: NPU, memory, host link, lights. One clock, nothing of any maker."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, ResetSignal, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import Flow, Out

from tensaw.boards.board import BlockRam, Sdram, SinglePort
from tensaw.boards.link.link import HostLink
from tensaw.boards.memory.block import BlockMemory
from tensaw.boards.memory.share import AxiShare
from tensaw.boards.memory.slice import AxiSlice
from tensaw.boards.memory.spram import SpramMemory
from tensaw.boards.sdram.controller import SdramMemory, SdramPinsSignature
from tensaw.rtl.copies import copied
from tensaw.rtl.npu import Npu
from tensaw.rtl.shared import Block, place
from tensaw.spec.link import Identity

__all__ = ["PAD_CYCLES", "BoardCore"]

PAD_CYCLES = 1
"""Registers in the output pads of an SDRAM."""
LIGHTS = 5


class BoardCore(wiring.Component):
    """The board without clocking and pads.

    Parameters
    ----------
    identity : Identity
        Configuration, clock, rate of the line.
    memory : BlockRam or SinglePort or Sdram
    capture_cycles : int
        For an SDRAM, see tensaw.boards.sdram.chip.Capture.

    Members
    -------
    uart_rx : In(1), uart_tx : Out(1)
    lights : Out(5)
        Bit 0 blinks once a second as long as the clock runs, 1 while the link is in use, 2 while the NPU uses the
        memory; 3 shines when the memory is ready, 4 when a run has ended and its interrupt has not been cleared.
    sdram : Out(SdramPinsSignature)
        Only with an Sdram.

    Timing
    ------
    One clock domain, synchronous reset. RESET of the link resets everything but the link
    and what keeps an SDRAM's contents.
    """

    uart_rx: Signal
    uart_tx: Signal
    lights: Signal
    sdram: Any

    def __init__(self, identity: Identity, memory: BlockRam | SinglePort | Sdram, capture_cycles: int = 0) -> None:
        self._identity, self._memory, self._capture = identity, memory, capture_cycles
        members: dict[str, Any] = {"uart_rx": wiring.In(1), "uart_tx": Out(1), "lights": Out(LIGHTS)}
        if isinstance(memory, Sdram):
            members["sdram"] = Out(SdramPinsSignature(memory.chip))
        super().__init__(members)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        identity, config = self._identity, self._identity.config
        # Resets come from far and go far: a register halfway. What is behind the link is reset with the link, too.
        reset = Signal(init=1, reset_less=True)
        behind = Signal(init=1, reset_less=True)

        def block(name: str, kind: type[Block], *arguments: Any, reset: Value = behind) -> Block:
            return place(m, platform, name, kind, *arguments, reset=copied(m, platform, f"{name}_rst", reset))

        link = block("link", HostLink, identity, reset=reset)
        m.d.sync += [reset.eq(ResetSignal()), behind.eq(ResetSignal() | link.reset)]

        npu: Any = block("npu", Npu, config)
        share = block("share", AxiShare, config)

        memory: Any
        ready = Signal()
        if isinstance(self._memory, Sdram):
            latency = PAD_CYCLES + self._capture
            chip = self._memory.chip
            memory = block("memory", SdramMemory, config, chip, identity.clock, latency, reset=reset)
            wiring.connect(m, memory.pins, wiring.flipped(self.sdram))
            m.d.comb += [memory.restart.eq(link.reset), ready.eq(memory.ready)]
        elif isinstance(self._memory, SinglePort):
            memory = block("memory", SpramMemory, config)
            m.d.comb += ready.eq(1)
        else:
            memory = block("memory", BlockMemory, config, self._memory.size)
            m.d.comb += ready.eq(1)
        # From the link through the choice of the manager to the SDRAM's commands would be too long a way for a cycle.
        between = block("between", AxiSlice, config)
        wiring.connect(m, share.read, between.read)
        wiring.connect(m, share.write, between.write)
        wiring.connect(m, between.memory_read, memory.read)
        wiring.connect(m, between.memory_write, memory.write)
        wiring.connect(m, link.axi_read, share.read1)
        wiring.connect(m, link.axi_write, share.write1)
        for prefix, interface in (("m_axi", share.read0), ("m_axi", share.write0), ("s_axi", link.lite)):
            for name, member in interface.signature.members.items():
                port, value = getattr(npu, f"{prefix}_{name}"), getattr(interface, name)
                m.d.comb += value.eq(port) if member.flow is Flow.In else port.eq(value)

        beat = Signal((identity.clock // 2 - 1).bit_length() + 1)
        m.d.sync += beat.eq(beat + 1)
        slow = beat[-4] if len(beat) > 3 else beat[-1]
        working, used = Signal(), Signal()
        before = Signal()
        m.d.sync += before.eq(slow)
        with m.If(npu.m_axi_arvalid | npu.m_axi_awvalid):
            m.d.sync += used.eq(1)
        with m.Elif(before != slow):
            m.d.sync += used.eq(0)
        with m.If(before != slow):
            m.d.sync += working.eq(used & ~working)
        m.d.comb += [
            link.rx.eq(self.uart_rx),
            self.uart_tx.eq(link.tx),
            link.ready.eq(ready),
            self.lights.eq(Cat(beat[-1], link.active, working, ready, npu.irq)),
        ]
        return m
