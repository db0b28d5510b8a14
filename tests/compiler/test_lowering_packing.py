"""Kernels laid over the array's rows and columns."""

from __future__ import annotations

import numpy as np
import pytest

from tensaw.compiler.lowering.depthwise import depthwise_layout, usable_channels
from tensaw.compiler.lowering.packing import Kernel, choose_packing, pack_weights
from tensaw.compiler.lowering.pool import division
from tensaw.compiler.regions import Image
from tensaw.compiler.runs import block_shape
from tensaw.model.pool import divide_away
from tensaw.model.requantise import requantise
from tensaw.spec.config import PRESETS

BASE = PRESETS["base"]


@pytest.mark.parametrize(
    ("kernel", "pitch", "size", "most", "steps", "pixels"),
    [
        (Kernel(1, 16, 3, 3, 3, 1, 1), 3, (32, 32), 1, 3, 1),  # ResNet-8's first layer: nine bytes a kernel row
        (Kernel(1, 8, 3, 3, 3, 2, 1), 3, (48, 48), 2, 3, 2),  # MobileNet's: two pixels in 15 bytes
        (Kernel(1, 64, 1, 4, 10, 2, 1), 1, (5, 25), 1, 4, 1),  # DS-CNN's, transposed
        (Kernel(1, 64, 64, 1, 1, 1, 1), 64, (5, 25), 1, 4, 1),
        (Kernel(1, 16, 3, 3, 3, 1, 2), 3, (8, 8), 1, 3, 1),  # dilated: 15 bytes with holes
    ],
)
def test_fewest_steps(kernel, pitch, size, most, steps, pixels) -> None:
    packing = choose_packing(BASE, kernel, pitch, *size, most, 9)
    assert kernel.height * packing.x_steps * packing.chunks == steps
    assert packing.pixels == pixels


@pytest.mark.parametrize("number", range(20))
def test_packed_weights_multiply_what_the_feeder_reads(number: int) -> None:
    rng = np.random.default_rng((7, number))
    groups = int(rng.choice((1, 1, 2, 5)))
    kernel = Kernel(
        groups, int(rng.integers(1, 9)), int(rng.integers(1, 7)), int(rng.integers(1, 4)), int(rng.integers(1, 4)),
        int(rng.integers(1, 3)), int(rng.integers(1, 3)),
    )  # fmt: skip
    pitch = groups * kernel.inputs + int(rng.integers(0, 3))
    packing = choose_packing(BASE, kernel, pitch, 4, 4, 4 if groups == 1 else 1, 9)
    weights = rng.integers(-128, 128, (groups, kernel.outputs, kernel.height, kernel.width, kernel.inputs), np.int8)
    rows = pack_weights(BASE, kernel, packing, weights, pitch).astype(np.int64)
    tiles = len(rows)
    rows = rows.reshape(tiles, kernel.height, packing.x_steps, packing.chunks, packing.rows, BASE.weight_row_bytes)
    image = rng.integers(-128, 128, (kernel.height, 64 * pitch + 64)).astype(np.int64)
    for tile in range(tiles):
        base = tile * packing.groups * kernel.inputs if groups > 1 else 0
        total = np.zeros(BASE.weight_row_bytes, np.int64)
        for ky, kx, chunk in np.ndindex(*rows.shape[1:4]):
            start = base + kx * kernel.dilation * pitch + chunk * packing.rows
            total += image[ky, start : start + packing.rows] @ rows[tile, ky, kx, chunk]
        for pixel, channel in np.ndindex(packing.pixels, packing.tile):
            output = tile * packing.tile + channel
            if output >= groups * kernel.outputs:
                continue
            group, own = divmod(output, kernel.outputs)
            expected = sum(
                image[ky, (pixel * kernel.stride + kx * kernel.dilation) * pitch + group * kernel.inputs + i]
                * int(weights[group, own, ky, kx, i])
                for ky, kx, i in np.ndindex(kernel.height, kernel.width, kernel.inputs)
            )
            assert total[pixel * packing.tile + channel] == expected


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7, 9, 12, 16, 25, 49, 64, 100, 255, 600, 65025])
def test_division_is_exact(count: int) -> None:
    sums = np.arange(-128 * count, 127 * count + 1) if count < 700 else np.arange(-128 * count, 127 * count, 131)
    if count >= 700:
        ties = count * np.arange(-128, 127) + count // 2
        sums = np.concatenate([sums, ties, ties + 1, ties - 1])
    scale = division(count)
    assert 1 << 30 <= scale.multiplier[0] < 1 << 31
    np.testing.assert_array_equal(
        requantise(sums[:, None], scale)[:, 0], np.clip(divide_away(sums, np.array(count)), -128, 127)
    )


@pytest.mark.parametrize(
    ("channels", "pitch", "size"),
    [(8, 8, 8), (64, 64, 16), (24, 24, 8), (24, 32, 16), (3, 3, 1), (3, 4, 3)],
)
def test_channels_that_stay_in_a_word(channels: int, pitch: int, size: int) -> None:
    assert usable_channels(BASE, channels, pitch) == size


def test_depthwise_rows_lie_in_different_banks() -> None:
    layout = depthwise_layout(BASE, Image(1, 48, 48, 8))
    assert layout.pixel_pitch == 8
    assert layout.pitch(48) == 25 * 16
    assert depthwise_layout(BASE, Image(1, 9, 9, 3)).pixel_pitch == 4


@pytest.mark.parametrize(
    ("channels", "width", "dilation", "words", "row"),
    [
        (16, 9, 1, 1, 10), (9, 9, 3, 1, 10), (24, 9, 1, 3, 30), (48, 8, 1, 3, 26), (64, 8, 1, 4, 33),
        (128, 5, 1, 9, 46),
    ],
)  # fmt: skip
def test_pairs_of_pixels_lie_in_different_banks(channels: int, width: int, dilation: int, words: int, row: int) -> None:
    layout = depthwise_layout(BASE, Image(1, 9, width, channels), (dilation, dilation), 2)
    assert (layout.pixel_pitch, layout.pitch(width)) == (16 * words, 16 * row)
    found = {(pixel * words + line * row) * dilation % BASE.banks for pixel in range(2) for line in range(3)}
    assert len(found) == 6


def test_pairs_of_pixels_take_no_more_than_half_of_the_scratchpad() -> None:
    for height, words in ((28, 3), (45, 2)):
        layout = depthwise_layout(BASE, Image(1, height, 48, 32), stride=2)
        assert layout.pixel_pitch == 16 * words
    assert depthwise_layout(BASE, Image(1, 9, 9, 32), (2, 1), 2).pixel_pitch == 32
    assert depthwise_layout(BASE.replace(rows=2), Image(1, 9, 9, 32), stride=2).pixel_pitch == 32


@pytest.mark.parametrize(
    ("size", "entries", "block"),
    [
        ((32, 32), 256, (8, 32)),
        ((25, 5), 256, (25, 5)),
        ((9, 40), 100, (2, 40)),
        ((3, 1000), 256, (1, 250)),
        ((5, 5), 4, (1, 3)),
    ],  # fmt: skip
)
def test_blocks_are_whole_rows_and_balanced(size: tuple[int, int], entries: int, block: tuple[int, int]) -> None:
    assert block_shape(size[0], size[1], entries) == block
