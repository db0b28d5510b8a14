"""What Yosys and ABC make of a block for an ECP5 is the block: proved, by Yosys's own equivalence check."""

from __future__ import annotations

from pathlib import Path

from tensaw.fpga.build import _SYNTHESIS
from tensaw.fpga.tools import find_tool, run
from tensaw.rtl.export import block_verilog
from tensaw.spec.config import load_config
from tensaw.verify.blocks import block_named

CHECK = """
read_verilog b.v
hierarchy -top {top}
proc
flatten
opt_clean
design -save gold
{synthesis}
techmap -autoproc -map +/ecp5/cells_sim.v
proc
flatten
opt_clean
design -stash gate
design -copy-from gold -as gold {top}
design -copy-from gate -as gate {top}
equiv_make gold gate equiv
hierarchy -top equiv
async2sync
equiv_simple -seq 3
equiv_induct -seq 4
equiv_status -assert
"""


def test_mapping_in_rounds_keeps_the_logic(tmp_path: Path) -> None:
    block, config = block_named("row_stepper"), load_config("nano")
    arguments = block.arguments(config)
    component = block.load()(*arguments)
    (tmp_path / "b.v").write_text(block_verilog(block.module, component, arguments, config))
    synthesis = _SYNTHESIS["ecp5"].format(top=block.module, json="b.json")
    (tmp_path / "check.ys").write_text(CHECK.format(top=block.module, synthesis=synthesis))
    run(find_tool("yosys"), ["-l", "yosys.log", "-s", "check.ys"], tmp_path, tmp_path / "log")
    assert "are proven and 0 are unproven" in (tmp_path / "yosys.log").read_text()
