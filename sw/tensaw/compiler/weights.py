"""The weight stream: rows of weights and channel parameters in the order in which the array takes them.

For each tile of output channels: 4 rows of biases, 4 rows of multipliers and one of shifts where they are streamed,
then the weight rows of every kernel step. A *blob* is what one ARRAY run takes, padded to whole bus words.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tensaw.spec.config import NpuConfig

__all__ = ["Blob", "WeightStore", "pack_tiles", "spread"]

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Blob:
    """Weight rows of one ARRAY run: ``size`` bytes at ``offset`` of the store, the last ``pad`` rows are padding."""

    offset: int
    size: int
    pad: int
    rows: int


class WeightStore:
    """Collects blobs; equal keys share their bytes."""

    def __init__(self, config: NpuConfig) -> None:
        self._config = config
        self._blobs: dict[Hashable, Blob] = {}
        self._parts: list[bytes] = []
        self.size = 0

    def blob(self, key: Hashable, build: Callable[[], Bytes]) -> Blob:
        """The blob called ``key``; ``build`` makes its rows, uint8 (rows, weight_row_bytes), if it is new."""
        blob = self._blobs.get(key)
        if blob is None:
            rows = build()
            width = self._config.weight_row_bytes
            pad = -len(rows) % max(1, self._config.bus_bytes // width)
            content = np.ascontiguousarray(rows).tobytes() + bytes(pad * width)
            blob = Blob(self.size, len(content), pad, len(rows) + pad)
            self._blobs[key] = blob
            self._parts.append(content)
            self.size += len(content)
        return blob

    def to_bytes(self) -> bytes:
        return b"".join(self._parts)


def spread(config: NpuConfig, values: npt.NDArray, tile: int, repeat: int = 1) -> npt.NDArray:
    """Values of channels (n,) as they lie under the columns: (tiles, weight_row_bytes), ``tile`` channels in each tile,
    ``repeat`` times side by side; other columns 0."""
    tiles = -(-len(values) // tile)
    padded = np.zeros(tiles * tile, values.dtype)
    padded[: len(values)] = values
    result = np.zeros((tiles, config.weight_row_bytes), values.dtype)
    result[:, : repeat * tile] = np.tile(padded.reshape(tiles, tile), (1, repeat))
    return result


def pack_tiles(
    config: NpuConfig,
    weights: npt.NDArray[np.int8] | None,
    bias: npt.NDArray[np.int32] | None,
    multiplier: npt.NDArray[np.int32] | None = None,
    shift: npt.NDArray[np.int8] | None = None,
) -> Bytes:
    """Rows (n, weight_row_bytes) of all tiles.

    ``weights`` (tiles, rows, weight_row_bytes); ``bias``, ``multiplier``, ``shift`` (tiles, weight_row_bytes); None
    where a part is not streamed.
    """
    width = config.weight_row_bytes
    parts: list[Bytes] = []
    for words in (bias, multiplier):
        if words is not None:
            parts.append(words.astype("<i4").view(np.uint8).reshape(len(words), 4, width))
    if shift is not None:
        parts.append(shift.astype(np.int8).view(np.uint8).reshape(len(shift), 1, width))
    if weights is not None:
        parts.append(weights.view(np.uint8))
    return np.concatenate(parts, axis=1).reshape(-1, width)
