"""Macros that change places: those that have to do with each other end up side by side."""

from __future__ import annotations

import numpy as np

from tensaw.fpga.placement import Graph, Grid
from tensaw.fpga.untangle import affinity, untangle

LINE = np.array([(column, 4.0) for column in range(24)])
GRID = Grid(24, 9, np.ones(9), {"RAM": LINE, "DSP": LINE + (0, 1)})


def graph(cells: int, macros: dict[str, list[int]], nets: list[list[int]], weight: float = 1.0) -> Graph:
    members = [sorted(net) for net in nets]
    return Graph(
        np.ones(cells), {kind: np.array(found) for kind, found in macros.items()},
        np.repeat(np.arange(len(nets)), [len(net) for net in members]),
        np.array([cell for net in members for cell in net]), np.full(len(nets), weight),
    )  # fmt: skip


def test_affinity_is_that_of_walks() -> None:
    # 0 and 1 by a net of their own; 0 and 2 by cell 3 and a net of three, where half go to 4 and get lost.
    found, rest = affinity(graph(5, {"RAM": [0, 1, 2]}, [[0, 1], [0, 3], [3, 2, 4]]), np.arange(3))
    assert (found == found.T).all() and not found.diagonal().any()
    # A step from 0 goes to 1 or to 3, from 3 back to 0 or on: to 2 or to 4, and from there again.
    assert found[0, 1] == 1.0
    assert 0.25 < found[0, 2] < 0.5 and found[1, 2] == 0.0
    assert np.allclose(found.sum(axis=1)[1] + rest[1], 1.0)  # what begins ends somewhere


def test_slices_that_lie_through_each_other_are_parted() -> None:
    # Six slices of four RAMs and four multipliers around a cell each; macros are dealt out in turn.
    slices, size = 6, 4
    rams, products = (np.arange(slices * size) + start for start in (0, slices * size))
    hubs = 2 * slices * size + np.arange(slices)
    nets = [[int(macro), int(hubs[macro % slices])] for macro in (*rams, *products)]
    tangled = graph(2 * slices * size + slices, {"RAM": rams.tolist(), "DSP": products.tolist()}, nets)
    places = np.arange(slices * size)
    middle = np.full(len(tangled.area), 12.0)
    dealt = untangle(tangled, GRID, {"RAM": places, "DSP": places}, middle, middle, np.random.default_rng(3))
    spans = []
    for kind in ("RAM", "DSP"):
        assert sorted(dealt[kind]) == list(places)
        spans += [np.ptp(dealt[kind][number::slices]) for number in range(slices)]
    assert np.mean(spans) < 6  # of 18 before, and 3 at best
    again = untangle(tangled, GRID, {"RAM": places, "DSP": places}, middle, middle, np.random.default_rng(3))
    assert all((again[kind] == dealt[kind]).all() for kind in dealt)
