"""Placement once more, after nextpnr's: shorter wires, and paths that are too long made shorter.

Nextpnr places all cells by the lengths of all wires, those of long paths counting more, and moves them by at most three
tiles afterwards; single cells stay far from where their paths would have them. Here wires are shortened wherever there
is room (:mod:`tensaw.fpga.shorten`). Then macros on the longest paths change places among themselves, or go to free
sites (:mod:`tensaw.fpga.exchange`), and clusters of logic, alone or with their neighbours on the path, go where their
wires cost least by the estimate that nextpnr makes (:mod:`tensaw.fpga.moves`). All of this is kept only where the sum
over all ends of paths, squared times over a limit, falls; the limit falls in steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tensaw.fpga.exchange import exchange
from tensaw.fpga.moves import Moves
from tensaw.fpga.placed import Placed
from tensaw.fpga.shorten import Shortened, shorten
from tensaw.fpga.tiles import Tiles
from tensaw.fpga.timing import Timing

__all__ = ["Refined", "refine"]

_LIMITS = (1.045, 0.99, 0.935, 0.88)
"""Shares of the clock's period that paths may take after routing has made them longer, as expected."""
_AIM = 1.015
"""Routing aims at so much more than the clock, since late wires are only sought better ways for until all paths fit."""


@dataclass(frozen=True)
class Refined:
    """What was done about wires; longest path in ps, before and after, macros exchanged and clusters moved for it;
    and the frequency in Hz to be routed for."""

    wires: Shortened
    before: float
    after: float
    exchanged: int
    moves: int
    aim: float


def refine(
    source: Path, target: Path, clock: float, detour: float, sites: Mapping[str, Sequence[str]] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Refined:  # fmt: skip
    """Write the placed design ``source`` (nextpnr's JSON) to ``target`` with cells moved so that paths fit the period
    of ``clock``, in Hz, when routing has made them longer, by the factor ``detour``. Routing is not to aim at paths
    shorter than the longest as placed, times that: it would seek better ways for hundreds of rounds and find none.
    ``sites`` are all that the device has for block RAMs and multipliers, by kind of cell.

    Nothing else changes but the sites of LUTs, flip-flops and macros, and the settings of nextpnr that
    :meth:`Placed.write` names. ``progress`` gets the steps done and their number. Raises ToolError if ``source`` is no
    placed design.
    """
    placed = Placed(source)
    timing = Timing(placed)
    before = float(timing.lengths(timing.arrivals()).max(initial=1))
    tiles = Tiles(placed)
    wires = shorten(placed, tiles)
    timing.update(np.arange(len(timing.wire)))
    moves = Moves(placed, timing, tiles)
    exchanged = 0
    for step, share in enumerate(_LIMITS):
        limit = share * 1e12 / (clock * detour)
        exchanged += exchange(placed, timing, limit, sites)
        moves.improve(limit)
        if progress is not None:
            progress(step + 1, len(_LIMITS))
    after = float(timing.lengths(timing.arrivals()).max(initial=1))
    aim = min(_AIM * clock, 1e12 / (detour * after))
    placed.write(target)
    return Refined(wires, before, after, exchanged, moves.done, aim)
