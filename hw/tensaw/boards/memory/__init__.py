"""What is behind the memory port of a board: block RAM, single-port RAM or SDRAM, and how link and NPU share it."""
