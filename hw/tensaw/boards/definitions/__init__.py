"""The boards, one file each. A further board is a file here, one in ``constraints`` and a line below."""

from tensaw.boards.board import Board
from tensaw.boards.definitions import arty_a7_100t, icebreaker, orangecrab_85f, tang_nano_20k, ulx3s_85f
from tensaw.spec.errors import InputError

__all__ = ["BOARDS", "find_board"]

BOARDS: dict[str, Board] = {
    module.BOARD.name: module.BOARD
    for module in (
        ulx3s_85f,
        orangecrab_85f,
        icebreaker,
        tang_nano_20k,
        arty_a7_100t,
    )
}


def find_board(name: str) -> Board:
    """The board of that name. Raises InputError."""
    board = BOARDS.get(name)
    if board is None:
        raise InputError(f"There is no board {name!r}; the boards are {', '.join(BOARDS)}.")
    return board
