# Arty A7-100T. Pins as in amaranth-boards (ArtyA7_100Platform), which the tests compare them with.
# The clock that the PLL makes is derived from this one by the tool.

set_property -dict {PACKAGE_PIN E3 IOSTANDARD LVCMOS33} [get_ports {clk100}]
create_clock -name clk100 -period 10.000 [get_ports {clk100}]

# FTDI FT2232HQ: what it sends, and what it receives.
set_property -dict {PACKAGE_PIN A9 IOSTANDARD LVCMOS33 PULLUP TRUE} [get_ports {uart_rx}]
set_property -dict {PACKAGE_PIN D10 IOSTANDARD LVCMOS33} [get_ports {uart_tx}]
set_false_path -from [get_ports {uart_rx}]
set_false_path -to [get_ports {uart_tx}]

set_property -dict {PACKAGE_PIN H5 IOSTANDARD LVCMOS33} [get_ports {led[0]}]
set_property -dict {PACKAGE_PIN J5 IOSTANDARD LVCMOS33} [get_ports {led[1]}]
set_property -dict {PACKAGE_PIN T9 IOSTANDARD LVCMOS33} [get_ports {led[2]}]
set_property -dict {PACKAGE_PIN T10 IOSTANDARD LVCMOS33} [get_ports {led[3]}]
set_false_path -to [get_ports {led[*]}]

set_property CFGBVS VCCO [current_design]
set_property CONFIG_VOLTAGE 3.3 [current_design]
