"""The register file behind the AXI4-Lite port: the one part of the NPU that a run's reset leaves alone."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Any

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from tensaw.rtl.bus.axi4 import Axi4LiteSignature, regions_layout
from tensaw.rtl.bus.axi_lite import AxiLitePort
from tensaw.rtl.control.counters import Counters, events_layout
from tensaw.rtl.control.run_control import ERROR_SOURCES, RunControl
from tensaw.rtl.control.sequencer import QUEUED_UNITS
from tensaw.rtl.control.state import stall_layout
from tensaw.rtl.interfaces import ErrorSignature
from tensaw.rtl.shared import place
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import REGIONS
from tensaw.spec.registers import (
    ADDRESS_BITS,
    COUNTERS,
    IDENTITY,
    REGISTERS,
    VERSION,
    Access,
    region_register,
    register,
)  # fmt: skip

__all__ = ["Registers"]

_READ_GROUP = 16
"""Registers whose choice fits one cycle."""


class Registers(wiring.Component):
    """All registers of tensaw.spec.registers, run control, error capture, counters and the interrupt.

    Parameters
    ----------
    config : NpuConfig

    Members
    -------
    axi : In(Axi4LiteSignature(12))
    irq : Out(1)
        INTERRUPT_ENABLE and (done or error); level, from a register.
    regions : Out(regions_layout(config)), program_offset : Out(32), program_bytes : Out(32)
        Settings; they do not change during a run.
    core_reset, start, halt : Out(1)
        See RunControl. The top puts everything but this component under ``ResetInserter(core_reset)``.
    done, bus_idle : In(1)
        From sequencer and managers (both idle).
    fetch_error, weight_error, load_error, array_error, output_error, store_error, control_error, token_error :
        In(ErrorSignature())
        From fetch, the units, the sequencer and Tokens.
    events : In(events_layout())
        What the counters count.
    stalls : In(stall_layout() × 5)
        What WEIGHT, LOAD, ARRAY, OUTPUT and STORE are doing.

    Corner cases
    ------------
    Addresses without a register read as 0 with OKAY; writes there are answered with SLVERR. Writes to read-only
    registers, and during a run to anything but CONTROL, STATUS and INTERRUPT_ENABLE, change nothing and are answered
    with OKAY. Bytes without strobe keep their value. Region bases have their low four bits and the bits above
    ``address_width`` fixed at 0. A start clears STATUS, ERROR and the counters; counters can be read during a run, each
    half by itself.
    """

    axi: Any
    irq: Signal
    regions: Any
    program_offset: Signal
    program_bytes: Signal
    core_reset: Signal
    start: Signal
    halt: Signal
    done: Signal
    bus_idle: Signal
    events: Any
    stalls: Any

    def __init__(self, config: NpuConfig) -> None:
        self.config = config
        super().__init__(
            {
                "axi": In(Axi4LiteSignature(ADDRESS_BITS)),
                "irq": Out(1),
                "regions": Out(regions_layout(config)),
                "program_offset": Out(32),
                "program_bytes": Out(32),
                "core_reset": Out(1),
                "start": Out(1),
                "halt": Out(1),
                "done": In(1),
                "bus_idle": In(1),
                **{name: In(ErrorSignature()) for name in ERROR_SOURCES},
                "events": In(events_layout()),
                "stalls": In(data.ArrayLayout(stall_layout(), len(QUEUED_UNITS))),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config = self.config
        port = place(m, platform, "port", AxiLitePort, ADDRESS_BITS)
        run = place(m, platform, "run", RunControl)
        counters = place(m, platform, "counters", Counters, config)
        connect(m, flipped(self.axi), port.axi)
        for name in ERROR_SOURCES:
            connect(m, flipped(getattr(self, name)), getattr(run, name))
        m.d.comb += [
            run.done.eq(self.done),
            run.bus_idle.eq(self.bus_idle),
            self.core_reset.eq(run.core_reset),
            self.start.eq(run.start),
            self.halt.eq(run.halt),
            counters.clear.eq(run.core_reset),
            counters.running.eq(run.running),
            counters.events.eq(self.events),
        ]

        # Requests go to run control a cycle after they were written: what was written is known late.
        starting, stopping, busy = Signal(), Signal(), Signal()
        m.d.sync += [starting.eq(0), stopping.eq(0)]
        m.d.comb += [
            run.start_request.eq(starting),
            run.stop_request.eq(stopping),
            busy.eq(run.busy | starting),
        ]

        status_done, status_error, interrupt_enable = Signal(), Signal(), Signal()
        m.d.sync += self.irq.eq(interrupt_enable & (status_done | status_error))

        # Software's settings: register name to (signal, its bit 0 in the register).
        settings: dict[str, tuple[Any, int]] = {
            "PROGRAM_OFFSET": (self.program_offset, 0),
            "PROGRAM_BYTES": (self.program_bytes, 0),
        }
        for index in range(REGIONS):
            region = self.regions[index]
            low = min(32, config.address_width)
            settings[region_register(index, "BASE_LO").name] = (region.base[4:low], 4)
            settings[region_register(index, "SIZE").name] = (region.size, 0)
            settings[region_register(index, "ACCESS").name] = (Cat(region.read, region.write), 0)
            if config.address_width > 32:
                settings[region_register(index, "BASE_HI").name] = (region.base[32:], 0)

        values: dict[str, Any] = {
            "IDENTITY": IDENTITY,
            "VERSION": VERSION,
            "CONFIG": config.digest,
            "SHAPE": config.rows | config.columns << 8 | config.bus_bytes << 16 | config.requant_lanes << 24,
            "SCRATCHPAD_BYTES": config.scratchpad_bytes,
            "WEIGHT_BYTES": config.weight_bytes,
            "ACC_ENTRIES": config.acc_entries,
            "STATUS": Cat(busy, status_done, status_error),
            "INTERRUPT_ENABLE": interrupt_enable,
            "ERROR": Cat(run.code, run.unit, 0, 0, 0, 0, run.tag),
            "ERROR_ADDRESS_LO": run.address[:32],
            "ERROR_ADDRESS_HI": run.address[32:],
            **{name: signal << low for name, (signal, low) in settings.items()},
        }
        bits = (2 * len(COUNTERS) - 1).bit_length()
        first_counter = register(f"{COUNTERS[0][0]}_LO").offset >> 2
        assert first_counter % (1 << bits) == 0
        counter = port.read_address[:bits]
        is_counter = (port.read_address[bits:] == first_counter >> bits) & (counter < 2 * len(COUNTERS))
        m.d.comb += [
            counters.index.eq(counter[1:]),
            counters.upper.eq(counter[0]),
            counters.read.eq(port.read_enable & is_counter),
            counters.hide.eq(port.read_enable),
        ]
        for index, unit in enumerate(QUEUED_UNITS):
            # A cycle late: what a unit does depends on much.
            stall = Signal(stall_layout(), name=f"stall_{unit.name.lower()}")
            m.d.sync += stall.eq(self.stalls[index])
            values[f"STALL_{unit.name}"] = stall

        # Which one is read is seen first; then values come together in groups, and those in one register.
        readable = [item for item in REGISTERS if item.name in values]
        asked = Signal(len(readable))
        m.d.sync += asked.eq(Cat(port.read_address == item.offset >> 2 for item in readable))
        shown = [Mux(bit, values[item.name], 0) for bit, item in zip(asked, readable, strict=True)]
        groups = []
        for first in range(0, len(readable), _READ_GROUP):
            group = Signal(32, name=f"read_data_{len(groups)}")
            m.d.sync += group.eq(reduce(or_, shown[first : first + _READ_GROUP]))
            groups.append(group)
        together = Signal(32)
        m.d.sync += together.eq(reduce(or_, groups))
        m.d.comb += port.read_data.eq(together | counters.word)

        # Address and data of a write stay until it is answered; a setting takes them a cycle later.
        settable = [item for item in REGISTERS if item.name in settings]
        setting = Signal(len(settable))
        allowed = port.write_enable & ~busy
        m.d.sync += setting.eq(Cat(allowed & (port.write_address == item.offset >> 2) for item in settable))
        for written_to, item in zip(setting, settable, strict=True):
            assert item.access is Access.READ_WRITE
            signal, low = settings[item.name]
            for byte in range(4):
                first, last = max(8 * byte, low), min(8 * byte + 8, low + len(signal))
                if first < last:
                    with m.If(written_to & port.write_strobe[byte]):
                        m.d.sync += signal[first - low : last - low].eq(port.write_data[first:last])

        m.d.comb += port.write_error.eq(1)
        with m.Switch(port.write_address):
            for item in REGISTERS:
                with m.Case(item.offset >> 2):
                    m.d.comb += port.write_error.eq(0)

        def written(name: str) -> Any:
            """Byte 0 of that register is being written."""
            return port.write_enable & port.write_strobe[0] & (port.write_address == register(name).offset >> 2)

        with m.If(written("CONTROL")):
            m.d.sync += [starting.eq(port.write_data[0]), stopping.eq(port.write_data[1])]
        with m.If(written("INTERRUPT_ENABLE")):
            m.d.sync += interrupt_enable.eq(port.write_data[0])
        with m.If(written("STATUS")):
            with m.If(port.write_data[1]):
                m.d.sync += status_done.eq(0)
            with m.If(port.write_data[2]):
                m.d.sync += status_error.eq(0)
        with m.If(run.core_reset):
            m.d.sync += [status_done.eq(0), status_error.eq(0)]
        with m.If(run.finished):
            m.d.sync += status_done.eq(1)
        with m.If(run.failed):
            m.d.sync += status_error.eq(1)
        return m
