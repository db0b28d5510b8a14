"""The AXI4 memory port and the AXI4-Lite register port."""
