"""``--board``, ``--clock`` and ``--baud`` of the commands that make a board."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from tensaw.cli import options

if TYPE_CHECKING:
    from tensaw.boards.board import Board
    from tensaw.boards.export import BoardBuild
    from tensaw.spec.config import NpuConfig


def add_board(parser: argparse.ArgumentParser, positional: bool = False) -> None:
    """``--board`` (or a positional BOARD), ``--clock`` and ``--baud``; read with :func:`plan_from`."""
    group = parser.add_argument_group("board")
    if positional:
        parser.add_argument("board", metavar="BOARD", help="`tensaw board list` shows them")
    else:
        group.add_argument("--board", metavar="NAME", required=True, help="`tensaw board list` shows them")
    group.add_argument("--clock", type=float, metavar="MHZ", help="clock of NPU, memory and link; default: the board's")
    group.add_argument("--baud", type=int, metavar="N", help="bits a second of the host link; default: the board's")


def board_config(board: Board, arguments: argparse.Namespace) -> NpuConfig:
    """The configuration that the options name, else the one meant for the board: a preset with as many requantise lanes
    and parallel kernel rows as the board gives it, unless ``--set`` says how many. Raises ConfigError."""
    from tensaw.spec.config import PRESETS

    if arguments.config is None:
        arguments.config = board.configuration_source()
    config = options.config_from(arguments)
    chosen = {setting.partition("=")[0].strip() for setting in arguments.set}
    return board.fitted(config, chosen) if arguments.config in PRESETS else config


def plan_from(arguments: argparse.Namespace) -> BoardBuild:
    """What the options ask for. Raises TensawError."""
    from tensaw.boards.definitions import find_board
    from tensaw.boards.export import plan_build

    board = find_board(arguments.board)
    clock = None if arguments.clock is None else round(arguments.clock * 1e6)
    return plan_build(board, board_config(board, arguments), clock, arguments.baud)
