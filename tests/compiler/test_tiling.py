"""Cutting stages into boxes."""

from __future__ import annotations

import numpy as np
import pytest

from tensaw.compiler import ir
from tensaw.compiler.lowering.select import choose_layouts, lower
from tensaw.compiler.passes.fusion import form_stages
from tensaw.compiler.planner.tiling import plan_tiles
from tensaw.compiler.regions import Box
from tensaw.spec.config import PRESETS

BASE = PRESETS["base"]
SCALE = ir.Requantise(np.array([1 << 30]), np.array([-5]), 0, -128, 127, ir.Rounding.DOUBLE)


def lowering(shape: tuple[int, ...], outputs: int, kernel: int = 3):
    """A convolution with SAME padding."""
    pad = kernel // 2
    op = ir.Conv2d(
        "conv", "CONV_2D", ("t0",), "t1", np.ones((outputs, kernel, kernel, shape[3]), np.int8),
        np.zeros(outputs, np.int32), (1, 1), (1, 1), (pad, pad, pad, pad), 1, 0, SCALE,
    )  # fmt: skip
    out = (*shape[:3], outputs)
    tensors = {"t0": ir.Tensor("t0", shape), "t1": ir.Tensor("t1", out)}
    graph = ir.Graph("net", tensors, [op], [ir.Port("t0", "t0", shape)], [ir.Port("t1", "t1", out)])
    network = form_stages(graph)
    return lower(BASE, network.stages[0], choose_layouts(BASE, network))


@pytest.mark.parametrize("capacity", [1 << 20, 20_000, 6_000, 2_000, 700])
@pytest.mark.parametrize("shape", [(1, 30, 30, 16), (2, 9, 9, 16), (1, 3, 200, 16)], ids=str)
def test_boxes_cover_the_output_once_and_fit(shape: tuple[int, ...], capacity: int) -> None:
    low = lowering(shape, 40)
    plan = plan_tiles(low, (True, True), capacity, BASE)
    assert plan is not None and plan.staging <= capacity
    covered = np.zeros((shape[0] * shape[1], shape[2], 40), int)
    for box in plan.boxes:
        covered[box.y0 : box.y1, box.x0 : box.x1, box.c0 : box.c1] += 1
        need = low.needs(0, box)
        assert low.part_layout(low.stage.inputs[0], need).size(need) <= plan.sizes[0]
        assert low.part_layout(low.stage.output, box).size(box) <= plan.sizes[1]
        assert box.y0 // shape[1] == (box.y1 - 1) // shape[1], "a box lies in one image"
    assert np.all(covered == 1)


def test_nothing_staged_needs_no_cut() -> None:
    plan = plan_tiles(lowering((1, 30, 30, 16), 40), (False, False), 0, BASE)
    assert plan is not None
    assert plan.boxes == (Box(0, 30, 0, 30, 0, 40),)
    assert plan.staging == 0


def test_two_buffers_are_preferred_to_larger_boxes() -> None:
    plan = plan_tiles(lowering((1, 30, 30, 16), 16), (True, True), 16_000, BASE)
    assert plan is not None
    assert plan.copies == (2, 2)
    assert 2 < len(plan.boxes) <= 15


def test_impossible() -> None:
    # One position needs 3 x 3 pixels of 16 bytes and a word for its result.
    assert plan_tiles(lowering((1, 30, 30, 16), 16), (True, True), 144, BASE) is None
    assert plan_tiles(lowering((1, 30, 30, 16), 16), (True, True), 160, BASE) is not None


def test_needed_rows_include_the_halo_inside_the_image_only() -> None:
    low = lowering((1, 10, 10, 16), 16)
    assert low.needs(0, Box(0, 2, 0, 10, 0, 16)) == Box(0, 3, 0, 10, 0, 16)
    assert low.needs(0, Box(4, 6, 3, 5, 0, 16)) == Box(3, 7, 2, 6, 0, 16)


def product(rows: int, depth: int, outputs: int):
    """(rows, depth) by (depth, outputs)."""
    op = ir.FullyConnected(
        "fc",
        "FULLY_CONNECTED",
        ("t0",),
        "t1",
        np.ones((outputs, depth), np.int8),
        np.zeros(outputs, np.int32),
        0,
        SCALE,
    )
    tensors = {"t0": ir.Tensor("t0", (rows, depth)), "t1": ir.Tensor("t1", (rows, outputs))}
    ports = [ir.Port(name, name, tensor.shape) for name, tensor in tensors.items()]
    network = form_stages(ir.Graph("net", tensors, [op], ports[:1], ports[1:]))
    return lower(BASE, network.stages[0], choose_layouts(BASE, network))


def test_weights_that_fit_the_ring_stay_and_others_move_as_little_as_possible() -> None:
    # 1,024 rows of 256 bytes and 64 KiB of weights: the weights once, each row once.
    plan = plan_tiles(product(1024, 256, 256), (True, True), 1 << 16, BASE)
    assert plan is not None and {(box.c0, box.c1) for box in plan.boxes} == {(0, 256)}
    # 32 rows of 2 KiB fit at once: the input stays for all ranges of outputs.
    plan = plan_tiles(product(32, 2048, 2048), (True, True), 1 << 17, BASE)
    assert plan is not None and {(box.y0, box.y1) for box in plan.boxes} == {(0, 32)}
    assert len(plan.boxes) > 1
    # 2,048 rows of 1 KiB and 1 MiB of weights: ranges of outputs whose weights stay, for all rows.
    plan = plan_tiles(product(2048, 1024, 1024), (True, True), 1 << 17, BASE)
    assert plan is not None
    first = plan.boxes[0]
    assert plan.boxes[1].c0 == first.c0 and plan.boxes[1].y0 == first.y1
    assert (first.c1 - first.c0) * 1024 <= BASE.weight_bytes


def test_all_cuts_of_an_axis_are_tried_down_to_the_smallest() -> None:
    # A single row of 1,000 pixels of which a few fit.
    plan = plan_tiles(lowering((1, 1, 1000, 64), 64, 1), (True, True), 1000, BASE)
    assert plan is not None and plan.staging <= 1000
    assert max(box.width for box in plan.boxes) <= 8


def test_pixels_that_would_all_lie_in_one_bank_are_spread() -> None:
    low = lowering((1, 30, 30, 64), 64)
    assert low.part_layout(low.stage.inputs[0], Box(0, 5, 0, 30, 0, 64)).pixel_pitch == 80
    assert low.part_layout(low.stage.output, Box(0, 5, 0, 30, 0, 48)).pixel_pitch == 48
    assert low.layout(low.stage.inputs[0]).pixel_pitch == 80
    assert product(1, 64, 16).layout(product(1, 64, 16).stage.inputs[0]).pixel_pitch == 64
