"""What the synthesis tools of a technology are told about memories and multipliers."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["TECHNOLOGIES", "Technology"]

_FEW_ROWS = 64
"""A RAM of at most so many rows goes to the technology's small memories, where it has some."""
_MODULE = re.compile(r"^module \S+ \(.*?^endmodule$", re.MULTILINE | re.DOTALL)
_PRODUCT = re.compile(r"[\w)\]] \* (?!\d+')[\w($]")
"""A product of two signals: one with a constant needs no multiplier."""


@dataclass(frozen=True)
class Technology:
    """A family of devices, or silicon.

    Attributes
    ----------
    name : str
    text : str
        Whom the attributes are for.
    block_ram, small_ram : str
        Verilog attribute of a memory that is to be block RAM, and of one of few rows; empty: the tool decides.
    multiplier : str
        Verilog attribute of a module with products; empty: the tool decides.
    macros : bool
        Memories are macros that the user brings: their modules come in a file of their own, with a list.
    carry_cells : bool
        Products in logic are made of an ECP5's carry cells, CCU2C.
    multiplier_registers : bool
        Products that have a register before and behind them are an ECP5's MULT18X18D with its own registers, which
        Yosys does not make of ``*``. Simulators need a model of it, so what is exported for any tool has none.
    paired_products : bool
        Its multipliers take 18 bits, so that one gives the products of one int8 with two others
        (:mod:`tensaw.rtl.array.pair`).
    multipliers : int or None
        How many multipliers the device has for the NPU: elements of the array for which there is none left share one,
        or multiply in logic. None: as many as are wanted.
    """

    name: str
    text: str
    block_ram: str = ""
    small_ram: str = ""
    multiplier: str = ""
    macros: bool = False
    carry_cells: bool = False
    multiplier_registers: bool = False
    paired_products: bool = False
    multipliers: int | None = None

    def ram_attribute(self, depth: int) -> str:
        """What stands before the memory of a RAM of ``depth`` rows: ``'(* ... *) '``, or nothing."""
        attribute = self.small_ram if depth <= _FEW_ROWS else self.block_ram
        return f"(* {attribute} *) " if attribute else ""

    def mark_products(self, text: str) -> str:
        """Verilog with the multiplier's attribute before each module that multiplies two signals."""
        if not self.multiplier:
            return text

        def mark(match: re.Match[str]) -> str:
            code = re.sub(r"//.*", "", match[0])
            return f"(* {self.multiplier} *)\n{match[0]}" if _PRODUCT.search(code) else match[0]

        return _MODULE.sub(mark, text)


TECHNOLOGIES: dict[str, Technology] = {
    technology.name: technology
    for technology in (
        Technology("generic", "no attributes: the tool decides"),
        Technology(
            "ecp5",
            "Lattice ECP5: Yosys, LSE, Synplify",
            'syn_ramstyle = "block_ram"', 'syn_ramstyle = "distributed"', 'syn_multstyle = "block_mult"',
            carry_cells=True, paired_products=True,
        ),
        Technology("ice40", "Lattice iCE40: Yosys, LSE, Synplify", 'syn_ramstyle = "block_ram"'),
        Technology(
            "gowin",
            "Gowin: Yosys, GowinSynthesis",
            'syn_ramstyle = "block_ram"', multiplier='syn_dspstyle = "dsp"', paired_products=True,
        ),
        Technology(
            "xilinx",
            "AMD/Xilinx: Vivado, Yosys",
            'ram_style = "block"', 'ram_style = "distributed"', 'use_dsp = "yes"', paired_products=True,
        ),
        Technology("asic", "silicon: memories are macros that you bring", macros=True),
    )
}  # fmt: skip
"""By name."""
