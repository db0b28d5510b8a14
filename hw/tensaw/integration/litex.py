"""A LiteX module around the generated NPU, with an example of a system that holds it."""

from __future__ import annotations

from tensaw.integration.core import Core, Port
from tensaw.rtl.export import TOP
from tensaw.spec.registers import ADDRESS_BITS

__all__ = ["LITEX_FILE", "files", "litex_wrapper"]

LITEX_FILE = "litex_tensaw.py"
_TEXT = '''\
"""tensaw NPU ({rows} x {columns}, configuration {name!r}) for LiteX.

In a SoC with ``bus_standard="axi"`` or any other::

    self.npu = Tensaw(self.platform)
    self.bus.add_slave("npu", self.npu.registers, SoCRegion(origin=0x9000_0000, size={size:#x}, cached=False))
    self.bus.add_master("npu", self.npu.memory)
    self.irq.add("npu")  # with a CPU

``python {file} --build-dir DIR`` writes the Verilog and the build script of a small system of it, without a
CPU, for an ECP5.
"""

import argparse
from pathlib import Path

from litex.gen import LiteXModule
from litex.soc.interconnect import axi
from litex.soc.interconnect.csr_eventmanager import EventManager, EventSourceLevel
from migen import ClockSignal, Instance, ResetSignal

SOURCES = {sources!r}


class Tensaw(LiteXModule):
    """The NPU. ``registers``: AXI4-Lite subordinate; ``memory``: AXI4 manager; ``ev.done``: its level interrupt."""

    def __init__(self, platform):
        self.registers = registers = axi.AXILiteInterface(data_width=32, address_width={register_bits})
        self.memory = memory = axi.AXIInterface(
            data_width={data_bits}, address_width={address_bits}, id_width=1, bursting=True
        )
        self.ev = EventManager()
        self.ev.done = EventSourceLevel(description="The NPU has finished, or stopped with an error.")
        self.ev.finalize()
        self.specials += Instance(
            "{top}",
            i_clk=ClockSignal("sys"),
            i_rst=ResetSignal("sys"),
            o_irq=self.ev.done.trigger,
{connections}
        )
        for source in SOURCES:
            platform.add_source(str(Path(__file__).resolve().parent / source))


def main():
    from litex.build.generic_platform import IOStandard, Pins
    from litex.build.io import CRG
    from litex.build.lattice import LatticeECP5Platform
    from litex.soc.integration.builder import Builder
    from litex.soc.integration.soc import SoCRegion
    from litex.soc.integration.soc_core import SoCMini

    parser = argparse.ArgumentParser(description="Write a small system with the NPU for an ECP5, not yet built.")
    parser.add_argument("--build-dir", default="build", help="folder for it")
    arguments = parser.parse_args()

    class System(SoCMini):
        def __init__(self, platform):
            self.crg = CRG(platform.request("sys_clk"))
            super().__init__(
                platform, clk_freq=int(25e6), bus_standard="axi", bus_data_width={data_bits},
                bus_address_width=32, integrated_main_ram_size=0x1_0000,
            )
            self.npu = Tensaw(platform)
            self.bus.add_slave("npu", self.npu.registers, SoCRegion(origin=0x9000_0000, size={size:#x}, cached=False))
            self.bus.add_master("npu", self.npu.memory)

    pins = [("sys_clk", 0, Pins("G2"), IOStandard("LVCMOS33"))]
    system = System(LatticeECP5Platform("LFE5U-85F-6BG381C", pins, toolchain="trellis"))
    Builder(system, output_dir=arguments.build_dir, compile_software=False).build(run=False)


if __name__ == "__main__":
    main()
'''


def files(core: Core) -> dict[str, str]:
    """Its files, name to text."""
    return {LITEX_FILE: litex_wrapper(core)}


def litex_wrapper(core: Core) -> str:
    """The text of :data:`LITEX_FILE`."""
    connections = [
        *(_connection("registers", name, port, slave=True) for name, port in core.bus("s_axi_").items()),
        *(_connection("memory", name, port, slave=False) for name, port in core.bus("m_axi_").items()),
    ]
    return _TEXT.format(
        rows=core.config.rows,
        columns=core.config.columns,
        name=core.config.name,
        file=LITEX_FILE,
        sources=list(core.sources),
        register_bits=ADDRESS_BITS,
        data_bits=core.config.bus_bytes * 8,
        address_bits=core.config.address_width,
        top=TOP,
        size=1 << ADDRESS_BITS,
        connections="\n".join(connections),
    )


def _connection(bus: str, name: str, port: Port, slave: bool) -> str:
    """One port of an AXI bus: ``AWADDR`` is ``aw.addr`` in LiteX."""
    channel = name[:2].lower() if name[:2] in ("AW", "AR") else name[0].lower()
    signal = name[len(channel) :].lower()
    return f"            {'o' if port.output else 'i'}_{port.name}={bus}.{channel}.{signal},"
