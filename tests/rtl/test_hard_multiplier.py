"""Blocks whose products are an ECP5's multipliers with registers of their own: as with ``*``, cycle by cycle."""

import dataclasses
import re
import shutil
from pathlib import Path

import pytest

import tensaw.harness
from tensaw.rtl.export import platform_verilog
from tensaw.rtl.shared import ExportPlatform, Placed
from tensaw.rtl.technology import TECHNOLOGIES
from tensaw.spec.config import load_config
from tensaw.verify.blocks import block_named
from tensaw.verify.simulate import run_bench

CELLS = Path(tensaw.harness.__file__ or "").parent / "board/cells_ecp5.v"


def verilog(name: str, technology: str, registers: bool) -> str:
    block, config = block_named(name), load_config("nano")
    arguments = block.arguments(config)
    chosen = dataclasses.replace(TECHNOLOGIES[technology], multiplier_registers=registers)
    component = block.load()(*arguments)
    platform = ExportPlatform(blocks={block.module: Placed(component, arguments)}, technology=chosen)
    return re.sub(r"//.*", "", platform_verilog(block.module, platform, "alone"))


@pytest.mark.skipif(not shutil.which("iverilog"), reason="Icarus Verilog is not installed")
@pytest.mark.parametrize(("name", "count"), [("pe", 1), ("systolic_array", 2), ("requantise_lane", 4)])
def test_the_bench_sees_no_difference(name: str, count: int, tmp_path: Path) -> None:
    text = verilog(name, "generic", registers=True)
    assert text.count("  MULT18X18D #(") == count and " * " not in text
    path, cells = tmp_path / "block.v", CELLS.read_text()
    path.write_text(text + cells)
    run = run_bench(block_named(name), "nano", "icarus", 0, verilog=path, all_failures=True)
    assert not run.trouble and run.tests and all(test.passed for test in run.tests), run.command
    # Without one of the registers the bench fails.
    for setting in sorted(set(re.findall(r"\.REG_\w+_CLK\(\"\w+\"\)", text))):
        path.write_text(text.replace(setting, setting.replace("CLK0", "NONE")) + cells)
        run = run_bench(block_named(name), "nano", "icarus", 0, verilog=path)
        assert not all(test.passed for test in run.tests), setting


@pytest.mark.parametrize("technology", TECHNOLOGIES)
def test_verilog_for_any_tool_has_no_such_cell(technology: str) -> None:
    text = verilog("pe", technology, TECHNOLOGIES[technology].multiplier_registers)
    assert "MULT18X18D" not in text and " * " in text
