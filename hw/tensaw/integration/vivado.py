"""A Tcl script that makes a Vivado IP of the generated files, with the AXI buses recognised."""

from __future__ import annotations

from tensaw.integration.core import Core
from tensaw.rtl.export import TOP
from tensaw.spec.registers import ADDRESS_BITS

__all__ = ["VIVADO_FILE", "files", "vivado_script"]

VIVADO_FILE = "package_vivado.tcl"
_TEXT = """\
# Makes a Vivado IP of the files beside it: vivado -mode batch -source {file} [-tclargs PART]
# Then add this folder's `ip` to the IP repositories of a project (Settings, IP, Repository).
set here [file dirname [file normalize [info script]]]
set part {{xc7a100tcsg324-1}}
if {{[info exists argv] && [llength $argv] > 0}} {{ set part [lindex $argv 0] }}

create_project -in_memory -part $part
foreach source {{{sources}}} {{ add_files -norecurse [file join $here $source] }}
add_files -fileset constrs_1 -norecurse [file join $here {top}.xdc]
set_property used_in {{synthesis implementation out_of_context}} [get_files [file join $here {top}.xdc]]
set_property top {top} [current_fileset]
update_compile_order -fileset sources_1

ipx::package_project -root_dir [file join $here ip] -vendor tensaw -library npu -taxonomy /Embedded_Processing \\
  -import_files -force
set core [ipx::current_core]
set_property name {top} $core
set_property display_name {{tensaw NPU {rows} x {columns}}} $core
set_property description {{A systolic-array NPU: AXI4-Lite registers, AXI4 memory port, level interrupt.}} $core

# Vivado finds s_axi and m_axi by their ports' names; these are the ones it must be told of.
foreach {{port kind parameter value}} {{
  clk clock ASSOCIATED_BUSIF s_axi:m_axi
  rst reset POLARITY ACTIVE_HIGH
  irq interrupt SENSITIVITY LEVEL_HIGH
}} {{
  if {{[llength [ipx::get_bus_interfaces $port -of_objects $core]] == 0}} {{
    ipx::infer_bus_interface $port xilinx.com:signal:${{kind}}_rtl:1.0 $core
  }}
  set bus [ipx::get_bus_interfaces $port -of_objects $core]
  set_property value $value [ipx::add_bus_parameter $parameter $bus]
}}
set_property value rst [ipx::add_bus_parameter ASSOCIATED_RESET [ipx::get_bus_interfaces clk -of_objects $core]]
foreach bus {{s_axi m_axi}} {{
  if {{[llength [ipx::get_bus_interfaces $bus -of_objects $core]] == 0}} {{
    error "Vivado did not recognise the bus $bus of {top}."
  }}
}}
set map [ipx::get_memory_maps s_axi -of_objects $core]
if {{[llength $map] == 0}} {{
  set map [ipx::add_memory_map s_axi $core]
  set_property slave_memory_map_ref s_axi [ipx::get_bus_interfaces s_axi -of_objects $core]
}}
set block [lindex [ipx::get_address_blocks -of_objects $map] 0]
if {{$block eq ""}} {{ set block [ipx::add_address_block registers $map] }}
set_property range {registers} $block

ipx::create_xgui_files $core
ipx::update_checksums $core
ipx::check_integrity $core
ipx::save_core $core
puts "Packaged [file join $here ip component.xml]"
"""


def files(core: Core) -> dict[str, str]:
    """Its files, name to text."""
    return {VIVADO_FILE: vivado_script(core)}


def vivado_script(core: Core) -> str:
    """The text of :data:`VIVADO_FILE`."""
    return _TEXT.format(
        file=VIVADO_FILE,
        sources=" ".join(core.sources),
        top=TOP,
        rows=core.config.rows,
        columns=core.config.columns,
        registers=1 << ADDRESS_BITS,
    )
