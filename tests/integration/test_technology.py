"""Attributes for each technology's tools: where they stand, and that synthesis can follow them."""

import json
import re
import subprocess

import pytest

from tensaw.harness.tools import find_yosys
from tensaw.integration.macros import macros
from tensaw.rtl.export import RAM_FILE, VERILOG_FILE, verilog
from tensaw.rtl.memory.ram import ram_module_name, ram_verilog
from tensaw.rtl.technology import TECHNOLOGIES
from tensaw.spec.config import PRESETS

SYNTHESIS = {"ecp5": "synth_ecp5", "ice40": "synth_ice40", "gowin": "synth_gowin", "xilinx": "synth_xilinx"}
BLOCK = {"ecp5": "DP16KD", "ice40": "SB_RAM40_4K", "gowin": "SDPX9B", "xilinx": "RAMB"}
RAMS = ((256, 32, 32), (64, 16, 8), (2, 24, 6))


@pytest.mark.parametrize("name", SYNTHESIS)
def test_synthesis_puts_rams_where_the_attributes_say(name, tmp_path):
    script = []
    for ram in RAMS:
        module = ram_module_name(*ram)
        attribute = TECHNOLOGIES[name].ram_attribute(ram[0])
        (tmp_path / f"{module}.v").write_text(ram_verilog(*ram, attribute))
        run = f"{SYNTHESIS[name]} -top {module} -run begin:map_ffs"
        script += [f"read_verilog {module}.v", run, f"tee -o {module}.json stat -json", "design -reset"]
    (tmp_path / "script.ys").write_text("\n".join(script))
    result = subprocess.run([find_yosys(), "-q", "script.ys"], cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    cells = {}
    for ram in RAMS:
        module = ram_module_name(*ram)
        cells[ram] = json.loads((tmp_path / f"{module}.json").read_text())["design"]["num_cells_by_type"]
    large = cells[RAMS[0]]
    assert any(cell.startswith(BLOCK[name]) for cell in large), large
    # The memory alone: no logic for rows that are read while they are written.
    assert not [cell for cell in large if "DFF" in cell], large
    if TECHNOLOGIES[name].small_ram:
        assert not any(cell.startswith(BLOCK[name]) for ram in RAMS[1:] for cell in cells[ram])


def test_a_depth_that_is_no_power_of_two_costs_no_choice_among_blocks(tmp_path):
    (tmp_path / "ram.v").write_text(ram_verilog(3072, 64, 8))
    script = "read_verilog ram.v; synth_ecp5 -run begin:map_cells; tee -o ram.json stat -json"
    subprocess.run([find_yosys(), "-q", "-p", script], cwd=tmp_path, check=True)
    cells = json.loads((tmp_path / "ram.json").read_text())["design"]["num_cells_by_type"]
    # Twelve of 1024 words of 18 bits, or eight of 2048 words of 9 bits and four of those.
    assert cells["DP16KD"] == 12
    assert not [cell for cell in cells if "FF" in cell], cells


def test_products_of_two_signals_are_marked():
    one = "// a * b\nmodule one (\n);\n  assign p = a[3:0] * 2'h2;\nendmodule\n"
    text = one + "module two (\n);\n  assign p = a * b;\nendmodule\n"
    assert TECHNOLOGIES["generic"].mark_products(text) == text
    marked = TECHNOLOGIES["xilinx"].mark_products(text)
    assert marked == text.replace("module two", '(* use_dsp = "yes" *)\nmodule two')


def test_attributes_change_nothing_else():
    config = PRESETS["nano"]
    plain, marked = (verilog(config, technology=TECHNOLOGIES[name])[VERILOG_FILE] for name in ("generic", "xilinx"))
    assert '(* ram_style = "block" *) reg' in marked and marked.count('(* use_dsp = "yes" *)\nmodule') >= 2
    marked = marked.replace('(* use_dsp = "yes" *)\n', "")
    assert re.sub(r'\(\* ram_style = "\w+" \*\) ', "", marked) == plain


def test_memories_of_silicon_are_listed_in_a_file_of_their_own():
    config = PRESETS["nano"]
    sources = verilog(config, technology=TECHNOLOGIES["asic"])
    assert list(sources) == [RAM_FILE, VERILOG_FILE]
    assert "module tensaw_ram_" not in sources[VERILOG_FILE]
    listed = json.loads(macros(sources))
    inside = {ram["module"]: ram for ram in listed["rams"]}
    assert set(inside) == set(re.findall(r"^module (\w+)", sources[RAM_FILE], re.MULTILINE))
    banks = inside[ram_module_name(config.scratchpad_bytes // config.bus_bytes // 4, config.bus_bytes * 8, 8)]
    assert banks["instances"] == 4 and banks["total_bits"] == config.scratchpad_bytes * 8
    assert listed["total_bits"] == sum(ram["rows"] * ram["bits"] * ram["instances"] for ram in listed["rams"])
    # Together they are the NPU that is generated otherwise.
    plain = verilog(config)[VERILOG_FILE]
    modules = "".join(sources.values())
    assert sorted(re.findall(r"^module (\w+)", modules, re.MULTILINE)) == sorted(
        re.findall(r"^module (\w+)", plain, re.MULTILINE)
    )
