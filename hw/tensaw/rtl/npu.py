"""The whole NPU: five units between an AXI4 memory port and a scratchpad, and an AXI4-Lite register port."""

from __future__ import annotations

from typing import Any

from amaranth import Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Out, connect

from tensaw.rtl.array.feeder import FeederState
from tensaw.rtl.array.unit import ArrayUnit
from tensaw.rtl.bus.axi4 import Axi4LiteSignature, Axi4ReadSignature, Axi4WriteSignature
from tensaw.rtl.bus.read_manager import ReadManager
from tensaw.rtl.bus.write_manager import WriteManager
from tensaw.rtl.control.registers import Registers
from tensaw.rtl.control.sequencer import QUEUED_UNITS, Sequencer
from tensaw.rtl.control.tokens import Tokens
from tensaw.rtl.copies import copied
from tensaw.rtl.dma.load import LoadDma
from tensaw.rtl.dma.store import StoreDma
from tensaw.rtl.dma.weight import WeightDma
from tensaw.rtl.memory.scratchpad import Scratchpad
from tensaw.rtl.memory.weight_ring import WeightRing
from tensaw.rtl.output.unit import OutputUnit
from tensaw.rtl.shared import Block, place
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import Peer, Unit
from tensaw.spec.registers import ADDRESS_BITS

__all__ = ["Npu", "npu_members"]

RING_LATENCY = 2
"""Cycles in which the weight ring answers, see WeightRing."""


def npu_members(config: NpuConfig, trace: bool = False) -> dict[str, Any]:
    """Members of the top's interface, see :class:`Npu`."""
    members: dict[str, Any] = {"irq": Out(1)}
    for name, member in Axi4LiteSignature(ADDRESS_BITS).flip().members.items():
        members[f"s_axi_{name}"] = member
    for signature in (Axi4WriteSignature(config), Axi4ReadSignature(config)):
        for name, member in signature.members.items():
            members[f"m_axi_{name}"] = member
    if trace:
        members["trace_array_state"] = Out(3)
        for unit in QUEUED_UNITS:
            members[f"trace_{unit.name.lower()}_busy"] = Out(1)
            members[f"trace_{unit.name.lower()}_tag"] = Out(16)
    return members


class Npu(wiring.Component):
    """Top of the design.

    Parameters
    ----------
    config : NpuConfig
    trace : bool
        Add outputs that tell a simulator what the units do.

    Members
    -------
    s_axi_* : AXI4-Lite subordinate
        32-bit data, 12-bit byte addresses: the registers of ``docs/registers.md``.
    m_axi_* : AXI4 manager
        ``8 * bus_bytes`` bits of data; INCR bursts of whole bus words, one ID, several reads outstanding.
    irq : Out(1)
        Level interrupt.
    trace_array_state : Out(3)
        FeederState, of the cycle before.
    trace_<unit>_busy, trace_<unit>_tag : Out(1), Out(16)
        For weight, load, array, output and store (only with ``trace``). The array's, too, are of the cycle before.

    Timing
    ------
    One clock domain; synchronous reset, which every block takes a cycle later. No combinational path from an input to
    an output.
    """

    def __init__(self, config: NpuConfig, trace: bool = False) -> None:
        self.config = config
        self.trace = trace
        super().__init__(npu_members(config, trace))

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config = self.config
        registers_rst = copied(m, platform, "registers_rst", ResetSignal())
        registers = place(m, platform, "registers", Registers, config, reset=registers_rst)

        # Everything else is reset by a start, too, so that each run begins from the same state.
        core_rst = Signal()
        m.d.comb += core_rst.eq(ResetSignal() | registers.core_reset)

        def block(name: str, kind: type[Block], *arguments: Any) -> Block:
            return place(m, platform, name, kind, *arguments, reset=copied(m, platform, f"{name}_rst", core_rst))

        sequencer = block("sequencer", Sequencer, config)
        tokens = block("tokens", Tokens)
        read_manager = block("read_manager", ReadManager, config)
        write_manager = block("write_manager", WriteManager, config)
        weight = block("weight", WeightDma, config)
        ring = block("ring", WeightRing, config)
        load = block("load", LoadDma, config)
        store = block("store", StoreDma, config)
        scratchpad = block("scratchpad", Scratchpad, config)
        array = block("array", ArrayUnit, config, RING_LATENCY)
        output = block("output_stage", OutputUnit, config)
        units: dict[Unit, Any] = {
            Unit.WEIGHT: weight,
            Unit.LOAD: load,
            Unit.ARRAY: array,
            Unit.OUTPUT: output,
            Unit.STORE: store,
        }
        peers: dict[Peer, Any] = {Peer.LOAD: load, Peer.ARRAY: array, Peer.OUTPUT: output, Peer.STORE: store}

        def halt(name: str) -> Signal:
            """A register of its own for each, as for the reset."""
            return copied(m, platform, f"{name}_halt", registers.halt)

        self._connect_bus(m, registers, read_manager, write_manager)
        m.d.comb += [read_manager.halt.eq(halt("read_manager")), write_manager.halt.eq(halt("write_manager"))]

        # Commands, tokens, errors.
        busy = Signal(len(QUEUED_UNITS))
        for number, name in enumerate(QUEUED_UNITS):
            unit = units[name]
            connect(m, getattr(sequencer, name.name.lower()), unit.words)
            connect(m, unit.error, getattr(registers, f"{name.name.lower()}_error"))
            stall = registers.stalls[number]
            m.d.comb += [
                unit.halt.eq(halt(name.name.lower())),
                busy[number].eq(unit.busy),
                stall.state.eq(unit.state),
                stall.tag.eq(unit.tag),
                stall.queued.eq(sequencer.queued[number]),
                stall.wait.eq(unit.tokens.take_mask if hasattr(unit, "tokens") else 0),
            ]
        for peer, unit in peers.items():
            connect(m, unit.tokens, tokens.peers[peer])
        connect(m, sequencer.error, registers.control_error)
        connect(m, sequencer.fetch_error, registers.fetch_error)
        connect(m, tokens.error, registers.token_error)
        bus_idle = Signal()
        m.d.comb += [
            bus_idle.eq(read_manager.idle & write_manager.idle),
            sequencer.start.eq(registers.start),
            sequencer.program_offset.eq(registers.program_offset),
            sequencer.program_bytes.eq(registers.program_bytes),
            sequencer.units_busy.eq(busy),
            sequencer.bus_idle.eq(bus_idle),
            sequencer.halt.eq(halt("sequencer")),
            registers.done.eq(sequencer.done),
            registers.bus_idle.eq(bus_idle),
        ]

        # Memory to scratchpad and weight ring, scratchpad to memory.
        connect(m, sequencer.read, read_manager.fetch)
        connect(m, load.read, read_manager.load)
        connect(m, weight.read, read_manager.weight)
        connect(m, store.write, write_manager.store)
        connect(m, weight.ring, ring.write)
        connect(m, output.write, scratchpad.writes[0])
        connect(m, load.write, scratchpad.writes[1])
        connect(m, output.read, scratchpad.read0)
        connect(m, store.read, scratchpad.read1)
        connect(m, array.memory, scratchpad.array)
        m.d.comb += [
            weight.space.eq(ring.space),
            array.available.eq(ring.available),
            ring.read_enable.eq(array.ring_enable),
            ring.read_row.eq(array.ring_row),
            array.ring_data.eq(ring.read_data),
            ring.release.eq(array.release),
        ]

        # Array to output stage.
        connect(m, array.side, output.side)
        connect(m, array.vectors, output.vectors)
        connect(m, output.progress, array.progress)
        connect(m, load.progress, array.loaded)

        m.d.comb += [
            registers.events.array_busy.eq(array.activity == FeederState.BUSY),
            registers.events.wait_weights.eq(array.activity == FeederState.WAIT_WEIGHTS),
            registers.events.wait_input.eq(
                (array.activity == FeederState.WAIT_TOKENS) | (array.activity == FeederState.WAIT_LOAD)
            ),
            registers.events.wait_follow.eq(array.activity == FeederState.WAIT_FOLLOW),
            registers.events.wait_accumulators.eq(array.activity == FeederState.WAIT_ACCUMULATORS),
            registers.events.output_busy.eq(output.active),
            registers.events.bytes_read.eq(read_manager.beats),
            registers.events.bytes_written.eq(write_manager.beats),
        ]
        if self.trace:
            m.d.comb += self.trace_array_state.eq(array.activity)
            array_busy = Signal()  # in the cycle that its state and tag are about
            m.d.sync += array_busy.eq(array.busy)
            for name, unit in units.items():
                m.d.comb += [
                    getattr(self, f"trace_{name.name.lower()}_busy").eq(array_busy if unit is array else unit.busy),
                    getattr(self, f"trace_{name.name.lower()}_tag").eq(unit.tag),
                ]
        return m

    def _connect_bus(self, m: Module, registers: Registers, reads: ReadManager, writes: WriteManager) -> None:
        """The flat ports, whose names are the standard's, to the blocks' own."""
        m.d.comb += [
            self.irq.eq(registers.irq),
            reads.regions.eq(registers.regions),
            writes.regions.eq(registers.regions),
        ]
        for prefix, interface in (("s_axi", registers.axi), ("m_axi", reads.axi), ("m_axi", writes.axi)):
            for path, member, value in interface.signature.flatten(interface):
                port = getattr(self, f"{prefix}_{path[0]}")
                m.d.comb += port.eq(value) if member.flow is Out else value.eq(port)
