"""Channel parameters: biases with the zero point folded in, multipliers and shifts per channel or per tensor."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tensaw.compiler.ir import Requantise
from tensaw.compiler.weights import pack_tiles, spread
from tensaw.spec.config import NpuConfig

__all__ = ["ChannelParameters", "channel_parameters"]


@dataclass(frozen=True)
class ChannelParameters:
    """``bias`` int32 (channels,); ``requantise`` with one multiplier if all channels share it."""

    bias: npt.NDArray[np.int32]
    requantise: Requantise

    def pack(
        self, config: NpuConfig, weights: npt.NDArray[np.int8] | None, first: int, last: int, tile: int, repeat: int = 1
    ) -> npt.NDArray[np.uint8]:
        """Weight rows of channels ``first`` to ``last - 1`` in tiles of ``tile``, each ``repeat`` times side by side;
        ``weights`` (tiles, rows, weight_row_bytes)."""
        channels = slice(first, last)
        quant = self.requantise
        bias = spread(config, self.bias[channels], tile, repeat)
        if quant.multiplier.size == 1:
            return pack_tiles(config, weights, bias)
        multiplier = spread(config, np.asarray(quant.multiplier, np.int32)[channels], tile, repeat)
        shift = spread(config, np.asarray(quant.shift, np.int8)[channels], tile, repeat)
        return pack_tiles(config, weights, bias, multiplier, shift)


def channel_parameters(
    bias: npt.NDArray[np.int32], zero_point: int, weight_sums: npt.NDArray[np.int64], requantise: Requantise
) -> ChannelParameters:
    """Parameters for ``sum((x - zero_point) * w) + bias`` computed as ``sum(x * w) + bias'`` (in 32 bits that wrap)."""
    folded = (bias.astype(np.int64) - zero_point * weight_sums.astype(np.int64)).astype(np.int32)
    count = len(folded)
    multiplier = np.broadcast_to(requantise.multiplier, (count,))
    shift = np.broadcast_to(requantise.shift, (count,))
    if np.all(multiplier == multiplier[0]) and np.all(shift == shift[0]):
        multiplier, shift = multiplier[:1], shift[:1]
    return ChannelParameters(folded, dataclasses.replace(requantise, multiplier=multiplier, shift=shift))
