"""Clocking and pads of each maker's devices."""

from tensaw.boards.families.ecp5 import Ecp5
from tensaw.boards.families.gowin import Gowin
from tensaw.boards.families.ice40 import Ice40
from tensaw.boards.families.pads import MemoryPads, Pads
from tensaw.boards.families.xilinx7 import Xilinx7

__all__ = ["FAMILIES", "MemoryPads", "Pads"]

FAMILIES: dict[str, type[Pads]] = {"ecp5": Ecp5, "ice40": Ice40, "gowin": Gowin, "xilinx7": Xilinx7}
