"""SDR SDRAM: what a chip demands, and a controller that keeps to it behind an AXI4 port."""
