"""A board that answers as the golden model does, behind a pseudo-terminal."""

from collections.abc import Iterator

import pytest

from tensaw.harness.golden_board import BoardTerminal, GoldenBoard
from tensaw.spec.config import PRESETS
from tensaw.spec.link import Identity


@pytest.fixture
def board() -> GoldenBoard:
    """A ULX3S with ``small`` and 256 KiB of memory."""
    return GoldenBoard(
        Identity("ulx3s-85f", PRESETS["small"], bytes(8), 100_000_000, 3_000_000, 0, 1 << 18, 2048, 1024)
    )


@pytest.fixture
def port(board: GoldenBoard) -> Iterator[str]:
    """Its port."""
    with BoardTerminal(board) as terminal:
        yield terminal.port
