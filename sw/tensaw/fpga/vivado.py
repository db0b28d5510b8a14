"""The project script for Vivado. It has never been run: there is no Vivado where tensaw is developed."""

from __future__ import annotations

from tensaw.boards.board import Board
from tensaw.boards.export import TOP

__all__ = ["vivado_script"]


def vivado_script(board: Board) -> str:
    """Tcl that builds the bitstream in the script's folder: ``vivado -mode batch -source tensaw_board.tcl``.

    It ends with an error if timing is missed.
    """
    return f"""\
# {board.title}: synthesis, implementation and bitstream. Run in this folder:
#   vivado -mode batch -source {TOP}.tcl
# Not run by tensaw's developers, who have no Vivado.

set part {board.part}
set top {TOP}

read_verilog $top.v
read_xdc {board.constraints}

synth_design -top $top -part $part
report_utilization -file ${{top}}_synthesis.rpt
opt_design
place_design
phys_opt_design
route_design
report_utilization -hierarchical -file ${{top}}_utilization.rpt
report_timing_summary -file ${{top}}_timing.rpt
write_checkpoint -force $top.dcp
write_bitstream -force $top.bit

set slack [get_property SLACK [lindex [get_timing_paths -max_paths 1 -setup] 0]]
puts "worst setup slack: $slack ns"
if {{$slack < 0}} {{
    error "timing is missed by [expr {{-$slack}}] ns"
}}
"""
