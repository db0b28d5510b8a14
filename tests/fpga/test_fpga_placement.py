"""Placement of macros: sites of their own, close to what they are connected with."""

from __future__ import annotations

import numpy as np
import pytest

from tensaw.fpga import placement
from tensaw.fpga.placement import Graph, Grid, place_macros

ROWS = (8, 24)
SITES = np.array([(column, row) for row in ROWS for column in range(2, 40, 2)], dtype=np.float64)
ROOM = np.array([0.0 if row in ROWS else 1.0 for row in range(32)])
GRID = Grid(40, 32, ROOM, {"RAM": SITES})


def chain(macros: int, logic: int) -> Graph:
    """Macros in a row, ``logic`` cells between each and the next."""
    count = macros * (logic + 1)
    area = np.full(count, 1 / 8)
    places = np.arange(macros) * (logic + 1)
    area[places] = 0
    cell = np.repeat(np.arange(count), 2)[1:-1]
    return Graph(area, {"RAM": places}, np.repeat(np.arange(count - 1), 2), cell, np.ones(count - 1))


def length_at(graph: Graph, sites: np.ndarray) -> float:
    """Of the wires between macros alone, at these sites."""
    steps = np.abs(np.diff(SITES[sites], axis=0))
    return float(steps.sum())


@pytest.mark.parametrize("seed", (1, 2))
def test_macros_lie_near_those_that_they_are_connected_with(seed: int) -> None:
    graph = chain(len(SITES) - 4, 6)
    done: list[tuple[int, int]] = []
    sites = place_macros(graph, GRID, seed, 0.9, progress=lambda number, rounds: done.append((number, rounds)))["RAM"]
    assert len(set(sites)) == len(graph.macros["RAM"])
    shuffled = np.random.default_rng(seed).permutation(len(SITES))[: len(sites)]
    assert length_at(graph, sites) < 0.5 * length_at(graph, shuffled)
    assert done[-1][0] == done[-1][1] == len(done)
    assert (place_macros(graph, GRID, seed, 0.9)["RAM"] == sites).all()


def test_spreading_leaves_no_place_overfull() -> None:
    graph = chain(2, 3000)
    random = np.random.default_rng(5)
    x, y = random.normal(20, 2, len(graph.area)), random.normal(16, 2, len(graph.area))
    spread_x, spread_y = placement.spread(graph, GRID, 0.8, x, y)
    filled, _, _ = np.histogram2d(spread_x, spread_y, bins=(5, 4), range=((0, 40), (0, 32)), weights=graph.area)
    room = 8 * ROOM.reshape(4, 8).sum(axis=1)
    assert (filled <= 0.8 * room * 1.1).all()
    right_of = np.sign(x[:, None] - x), np.sign(spread_x[:, None] - spread_x)
    assert (right_of[0] * right_of[1] >= 0).mean() > 0.9  # mostly in their old order


def test_solutions_are_the_same_wherever_the_cells_lie() -> None:
    """A tolerance by absolute coordinates would make those far from the origin worse."""
    graph = chain(6, 50)
    solver = placement.Solver(graph)
    random = np.random.default_rng(6)
    x, anchor = random.uniform(0, 10, (2, len(graph.area)))
    weight = np.where(graph.area == 0, 1e3, 0.02)
    here, there = solver.solve(x, anchor, weight), solver.solve(x + 1000, anchor + 1000, weight) - 1000
    assert np.abs(here - there).max() < 1e-6
    mirrored = -solver.solve(-x, -anchor, weight)
    assert np.abs(here - mirrored).max() < 1e-6
    # What is held fast stays where its anchor is.
    assert np.abs(here - anchor)[graph.area == 0].max() < 0.2


def test_the_shortest_of_several_arrangements_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = iter([30.0, 10.0, 20.0, 40.0])
    given: list[dict[str, np.ndarray]] = []

    def length(graph: Graph, grid: Grid, density: float, solver: object, chosen: dict, x: object, y: object) -> float:
        given.append(chosen)
        return next(lengths)

    monkeypatch.setattr(placement, "_ROUNDS", 4)
    monkeypatch.setattr(placement, "_length", length)
    sites = place_macros(chain(12, 6), GRID, 3, 0.9)["RAM"]
    assert len(given) == 4 and (sites == given[1]["RAM"]).all()
    assert any((one["RAM"] != sites).any() for one in given)
