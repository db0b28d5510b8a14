"""Whether a design fits a device: what is known before synthesis, and after it from the netlist's cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tensaw.boards.board import BlockRam, Board, Family
from tensaw.serial.instruction import ADDRESS_BITS, INSTRUCTION_BITS, REGISTERS
from tensaw.spec.config import NpuConfig
from tensaw.spec.errors import InputError

__all__ = ["Usage", "crowded", "estimate_memory", "netlist_usage", "refuse_overflow"]

BLOCK_BITS: dict[Family, int] = {"ecp5": 18_432, "ice40": 4_096, "gowin": 18_432, "xilinx7": 36_864}
"""Bits of a block RAM."""

# What a cell of the netlist takes at least. A carry cell of an ECP5 takes two LUTs, a distributed RAM four; one of a
# Gowin device takes all of a tile.
_CELLS: dict[Family, dict[str, dict[str, int]]] = {
    "ecp5": {
        "LUT": {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 4},
        "FF": {"TRELLIS_FF": 1},
        "DSP": {"MULT18X18D": 1, "ALU54B": 0},
        "block RAM": {"DP16KD": 1, "PDPW16KD": 1},
    },
    "ice40": {
        "LC": {"SB_LUT4": 1},
        "FF": {"SB_DFF*": 1},
        "DSP": {"SB_MAC16": 1},
        "block RAM": {"SB_RAM40_4K*": 1},
        "SPRAM": {"SB_SPRAM256KA": 1},
    },
    "gowin": {
        "LUT": {"LUT1": 1, "LUT2": 1, "LUT3": 1, "LUT4": 1, "ALU": 1, "RAM16SDP*": 8},
        "FF": {"DFF*": 1, "RAM16SDP*": 6},
        "DSP": {},
        "block RAM": {"SDP*": 1, "DP*": 1, "SP": 1, "SPX9": 1, "pROM*": 1},
    },
    "xilinx7": {},
}
_GOWIN_MULTIPLIERS = {"MULT9X9": 0.25, "MULT18X18": 0.5, "MULT36X36": 2.0, "MULTADDALU18X18": 1.0}
"""Macros (one holds four 9×9 or two 18×18 multipliers)."""


@dataclass(frozen=True)
class Usage:
    """How much of a resource is used, and how much there is."""

    used: int
    available: int


def crowded(usage: Mapping[str, Usage]) -> bool:
    """Whether a design takes so many of an ECP5's LUTs that wires are what is scarce."""
    return usage["LUT"].used > 0.5 * usage["LUT"].available


def estimate_memory(board: Board, config: NpuConfig) -> Usage:
    """Block RAMs that the large memories take at least: a lower bound that needs no synthesis.

    Scratchpad, weight buffer, accumulators (twice: one for each reader) and, where it is block RAM, the board's memory;
    of the serial core its program, its two copies of the registers and, where the board's memory is block RAM, that and
    the scratchpad.
    """
    per_block = BLOCK_BITS[board.family]
    # Bytes fill eight of nine bits.
    usable = per_block * 8 // 9 if board.family != "ice40" else per_block
    blocks = bits = 0
    if board.core == "serial":
        blocks = -(-(INSTRUCTION_BITS << ADDRESS_BITS) // per_block) + 2 * -(-32 * REGISTERS // usable)
    else:
        bits = 8 * (config.scratchpad_bytes + config.weight_bytes) + 2 * 32 * config.columns * config.acc_entries
    if isinstance(board.memory, BlockRam):
        bits += 8 * (board.memory.size + (config.scratchpad_bytes if board.core == "serial" else 0))
    return Usage(blocks + -(-bits // usable), board.resources["block RAM"])


def netlist_usage(board: Board, cells: Mapping[str, int]) -> dict[str, Usage]:
    """Resources that a netlist's cells take, by name; placement may need some more."""
    usage = {}
    for name, weights in _CELLS[board.family].items():
        used = 0.0
        for cell, weight in weights.items():
            used += weight * sum(
                count for kind, count in cells.items()
                if kind == cell or cell.endswith("*") and kind.startswith(cell[:-1])
            )  # fmt: skip
        if name == "DSP" and board.family == "gowin":
            used += sum(weight * cells.get(kind, 0) for kind, weight in _GOWIN_MULTIPLIERS.items())
        usage[name] = Usage(-int(-used // 1), board.resources.get(name, board.resources.get("LC", 0)))
    if board.family == "ice40":  # a logic cell holds a LUT and a flip-flop
        flip_flops = usage.pop("FF")
        usage["LC"] = Usage(max(usage["LC"].used, flip_flops.used), usage["LC"].available)
    return usage


def refuse_overflow(board: Board, config: NpuConfig, usage: Mapping[str, Usage]) -> None:
    """Raise InputError if more is used than there is, naming each such resource."""
    over = [
        f"{item.used:,} {name}{'' if item.used == 1 or name.isupper() and name != 'LUT' else 's'} of {item.available:,}"
        for name, item in usage.items()
        if item.used > item.available
    ]
    if over:
        advice = "choose a smaller array (rows, columns, requant_lanes)"
        if all("RAM" in text for text in over):
            advice = "lower scratchpad_bytes, weight_bytes or acc_entries"
        raise InputError(
            f"The configuration {config.name!r} ({config.rows}×{config.columns}) does not fit {board.name}: it needs "
            f"{', '.join(over)}. To make it fit, {advice}."
        )
