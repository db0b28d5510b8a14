"""What is said of the boards to people: in ``tensaw board list`` and in docs/boards.md."""

from __future__ import annotations

from tensaw.boards.board import BlockRam, Board, SinglePort
from tensaw.boards.definitions import BOARDS

__all__ = ["SECTIONS", "TRIED", "board_table", "describe_memory"]

TRIED: dict[str, str] = {
    "ulx3s-85f": "`board test` and whole networks pass on simulated pins",
    "orangecrab-85f": "`board test` passes on simulated pins",
    "icebreaker": "`board test` and a network pass on simulated pins, with the serial core",
    "tang-nano-20k": "`board test` and a network pass on simulated pins, with the serial core",
    "arty-a7-100t": "pins and clocks checked; no Vivado at hand",
}
"""For each board what was run of it. None has been on hardware."""


def describe_memory(board: Board) -> str:
    """Size and kind."""
    if isinstance(board.memory, BlockRam):
        return f"{board.memory.size // 1024} KiB block RAM"
    if isinstance(board.memory, SinglePort):
        return f"{board.memory.size // 1024} KiB single-port RAM"
    return f"{board.memory.size // (1 << 20)} MiB SDRAM, {board.memory.chip.data_bits} bits"


def board_table() -> str:
    """A row for each board."""
    rows = [
        f"| `{board.name}` | {board.title} | {describe_memory(board)} | "
        f"`{board.configuration.removesuffix('.toml')}` | {_clocks(board)} | {board.baud:,} | "
        f"[`{board.constraints}`](../constraints/{board.constraints}) | {TRIED[board.name]} |\n"
        for board in BOARDS.values()
    ]
    head = ("board", "", "memory", "configuration", "clock aimed at", "baud", "pins", "what has been tried")
    return "| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|\n" + "".join(rows)


def resource_table() -> str:
    """What each device has."""
    names = list(dict.fromkeys(name for board in BOARDS.values() for name in board.resources))
    rows = [
        f"| `{board.name}` | {board.part} | "
        + " | ".join(f"{board.resources[name]:,}" if name in board.resources else "" for name in names)
        + f" | `{board.program.format(bitstream='BITSTREAM')}` |\n"
        for board in BOARDS.values()
    ]
    head = ("board", "device", *names, "how to load the bitstream")
    remarks = [f"- `{board.name}`: {remark}\n" for board in BOARDS.values() for remark in board.remarks]
    table = "| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|\n" + "".join(rows)
    return table + "\n" + "".join(remarks)


def _clocks(board: Board) -> str:
    if len(board.clocks) == 1:
        return f"{board.clocks[0][1] / 1e6:g} MHz"
    return ", ".join(f"{clock / 1e6:g} MHz up to {macs} MACs" for macs, clock in board.clocks)


SECTIONS = {"boards": board_table, "boards.devices": resource_table}
"""Generated sections of the documentation."""
