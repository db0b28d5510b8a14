"""How a convolution's kernel is laid over the array: which bytes go into the rows, which outputs into the columns.

The feeder reads contiguous bytes, so a kernel row can be taken tap by tap, or as one run of bytes from its first tap
to its last, cut into chunks of equal length: few-channel layers then fill the rows. Where the output channels leave
columns free, one run may serve several neighbouring output pixels: the run gets longer by their distance, and each
pixel has its own columns, whose weights are shifted (a Toeplitz matrix). Groups share a tile as a block-diagonal
matrix.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tensaw.compiler.runs import block_shape
from tensaw.spec.config import NpuConfig

__all__ = ["Kernel", "Packing", "choose_packing", "pack_weights"]


@dataclass(frozen=True)
class Kernel:
    """Shape of a grouped convolution: ``inputs`` and ``outputs`` channels in each of ``groups``."""

    groups: int
    outputs: int
    inputs: int
    height: int
    width: int
    stride: int
    """In x."""
    dilation: int
    """In x."""


@dataclass(frozen=True)
class Packing:
    """``tile`` output channels of ``groups`` groups for ``pixels`` output pixels under the columns; ``x_steps`` kernel
    steps in x, each of ``chunks`` chunks of ``rows`` bytes."""

    pixels: int
    groups: int
    tile: int
    x_steps: int
    chunks: int
    rows: int

    @property
    def run(self) -> bool:
        """Whether a kernel row is one run of bytes."""
        return self.x_steps == 1


@functools.lru_cache(maxsize=4096)
def choose_packing(
    config: NpuConfig, kernel: Kernel, pitch: int, height: int, width: int, most_pixels: int, side_rows: int
) -> Packing:
    """The packing with the fewest cycles for ``height`` × ``width`` outputs.

    ``pitch``: bytes from input pixel to pixel; ``most_pixels``: output pixels that may share a run (1 where the output
    is not contiguous); ``side_rows``: rows of channel parameters in front of a tile.
    """
    best: tuple[float, Packing] | None = None
    for pixels in range(1, most_pixels + 1):
        if pixels > 1 and (width % pixels or pixels * kernel.outputs > config.columns or kernel.groups > 1):
            continue
        most_groups = min(kernel.groups, max(1, config.columns // kernel.outputs))
        for groups in range(1, most_groups + 1):
            tile = min(groups * kernel.outputs, config.columns)
            lanes = groups * kernel.inputs
            span = ((kernel.width - 1) * kernel.dilation + (pixels - 1) * kernel.stride) * pitch + lanes
            for x_steps, length in ((kernel.width, lanes), (1, span)):
                if (pixels > 1 and x_steps > 1) or x_steps > 255:
                    continue
                if x_steps == 1 and length != span:
                    continue
                chunks = -(-length // config.rows)
                rows = -(-length // chunks)
                packing = Packing(pixels, groups, tile, x_steps, chunks, rows)
                cost = _cost(config, kernel, packing, height, width // pixels, side_rows)
                if best is None or cost < best[0]:
                    best = cost, packing
    assert best is not None
    return best[1]


def _cost(config: NpuConfig, kernel: Kernel, packing: Packing, height: int, width: int, side_rows: int) -> float:
    steps = kernel.height * packing.x_steps * packing.chunks
    if kernel.outputs > config.columns:
        tiles = kernel.groups * -(-kernel.outputs // config.columns)
    else:
        tiles = -(-kernel.groups * kernel.outputs // packing.tile)
    block = block_shape(height, width, config.acc_half)
    blocks = -(-height // block[0]) * -(-width // block[1])
    array = tiles * steps * max(height * width, blocks * packing.rows)
    size = tiles * (side_rows + steps * packing.rows) * config.weight_row_bytes
    # The bus is shared with other layers' weights: a byte costs something even where the array is slower.
    return max(array, size / config.bus_bytes) + 0.1 * size / config.bus_bytes


def pack_weights(
    config: NpuConfig, kernel: Kernel, packing: Packing, weights: npt.NDArray[np.int8], pitch: int
) -> npt.NDArray[np.int8]:
    """Weight rows (tiles, rows of a tile, weight_row_bytes).

    ``weights``: int8 (groups, outputs, height, width, inputs) of whole groups, or of any range of output channels if
    there is one group.
    """
    groups, outputs, height, width, inputs = weights.shape
    per_tile = packing.groups
    if groups == 1:
        tiles = -(-outputs // packing.tile)
        parts = np.zeros((tiles * packing.tile, height, width, inputs), np.int8)
        parts[:outputs] = weights[0]
        blocks = parts.reshape(tiles, 1, packing.tile, height, width, inputs)
    else:
        tiles = -(-groups // per_tile)
        parts = np.zeros((tiles * per_tile, outputs, height, width, inputs), np.int8)
        parts[:groups] = weights
        blocks = parts.reshape(tiles, per_tile, outputs, height, width, inputs)
    # (tiles, block, height, width, inputs, outputs of a block)
    blocks = blocks.transpose(0, 1, 3, 4, 5, 2)
    length = packing.chunks * packing.rows
    result = np.zeros((tiles, height, packing.x_steps, length, config.weight_row_bytes), np.int8)
    columns = blocks.shape[-1]
    for pixel in range(packing.pixels):
        for block in range(blocks.shape[1]):
            target = slice(pixel * packing.tile + block * columns, pixel * packing.tile + (block + 1) * columns)
            if packing.run:
                for kx in range(width):
                    lane = (kx * kernel.dilation + pixel * kernel.stride) * pitch + block * inputs
                    result[:, :, 0, lane : lane + inputs, target] = blocks[:, block, :, kx]
            else:
                lane = block * inputs
                result[:, :, :, lane : lane + inputs, target] = blocks[:, block]
    return result.reshape(tiles, -1, config.weight_row_bytes)
