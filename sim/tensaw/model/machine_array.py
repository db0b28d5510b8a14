"""The array's side of the machine: the weight stream, the gathering of input vectors, and whole ARRAY runs.

Everything is exact integer arithmetic: products and sums of a run stay far below 2**53, so that float64 matrix products
(the only ones NumPy gives to BLAS) lose nothing; the result wraps to 32 bit as the accumulators do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tensaw.model.machine_error import Refused
from tensaw.model.machine_memory import Bytes, Footprint
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import Mode
from tensaw.spec.limits import Registers

__all__ = ["Accumulated", "Parameters", "WeightStream", "run_array"]

Int32: TypeAlias = npt.NDArray[np.int32]

ADDRESS_MASK = (1 << 24) - 1
"""Input addresses are computed modulo 2**24. Beyond the scratchpad's end (where no used lane may lie) they wrap."""

_GATHER_ELEMENTS = 1 << 22
"""Elements of a gathered matrix held at a time."""


@dataclass
class Parameters:
    """What a tile's stream begins with: int32 arrays of shape (columns,), None where the run streams none."""

    bias: Int32 | None = None
    multiplier: Int32 | None = None
    shift: Int32 | None = None


@dataclass
class Accumulated:
    """What an ARRAY run hands to the output stage.

    ``values`` int32 (tiles, height, width, columns); ``block`` (height, width) of the blocks in which they come;
    ``parameters`` one for each tile.
    """

    values: Int32
    block: tuple[int, int]
    parameters: list[Parameters]
    bias: bool
    scale: bool
    word: int = 0
    """Position of the ARRAY.RUN in the program."""

    @property
    def blocks(self) -> int:
        """How many blocks of positions come, all tiles together."""
        tiles, height, width, _ = self.values.shape
        return tiles * -(-height // self.block[0]) * -(-width // self.block[1])


@dataclass
class WeightStream:
    """The bytes that WEIGHT runs have appended and the array has not freed yet. ``rows`` of them are taken from the
    front. The ring's size limits what one run may hold on to, not how far WEIGHT runs may stand ahead."""

    config: NpuConfig
    content: bytearray = field(default_factory=bytearray)

    def append(self, content: Bytes) -> None:
        self.content += content.tobytes()

    @property
    def rows(self) -> int:
        """Whole weight rows waiting."""
        return len(self.content) // self.config.weight_row_bytes

    def peek(self, rows: int) -> Bytes:
        """The next rows as uint8 (rows, weight_row_bytes). Raises Refused if fewer have been streamed."""
        if rows > self.rows:
            raise Refused(f"it takes {rows} weight rows, but only {self.rows} have been streamed before it")
        width = self.config.weight_row_bytes
        return np.frombuffer(bytes(self.content[: rows * width]), np.uint8).reshape(rows, width)

    def free(self, rows: int) -> None:
        del self.content[: rows * self.config.weight_row_bytes]


def parameter_rows(bias: bool, scale: bool) -> int:
    """Rows of channel parameters in front of a tile: 4 of int32 biases, 4 of int32 multipliers, 1 of int8 shifts."""
    return 4 * bias + 5 * scale


def _parameters(config: NpuConfig, rows: Bytes, bias: bool, scale: bool) -> Parameters:
    flat = np.ascontiguousarray(rows).reshape(-1)
    width, columns = config.weight_row_bytes, config.columns
    result, position = Parameters(), 0

    def int32() -> Int32:
        return flat[position : position + 4 * width].view("<i4")[:columns].astype(np.int32)

    if bias:
        result.bias = int32()
        position += 4 * width
    if scale:
        result.multiplier = int32()
        position += 4 * width
        result.shift = flat[position : position + columns].view(np.int8).astype(np.int32)
    return result


def _check_ring(config: NpuConfig, registers: Registers, tile_rows: int, step_rows: int, blocks: int) -> None:
    """Refuse a run that waits for ever because the ring cannot hold what it keeps."""
    weights, tiles = registers["WEIGHTS"], registers["TILES"]["count"]
    if not weights["free"]:
        kept = tiles * tile_rows + weights["pad"]
    else:
        kept = max(step_rows if blocks > 1 else 0, weights["pad"])
    if kept > config.kept_rows:
        raise Refused(f"it keeps {kept} weight rows at once, but the weight buffer has room for {config.kept_rows}")


@dataclass
class _Geometry:
    """Loop bounds of a run and the vectors that the feeder makes of the scratchpad."""

    config: NpuConfig
    registers: Registers
    scratchpad: npt.NDArray[np.int8]
    footprint: Footprint | None

    def __post_init__(self) -> None:
        registers = self.registers
        self.mode = Mode(registers["RUN"]["mode"])
        self.height, self.width = registers["OUT"]["height"], registers["OUT"]["width"]
        self.chunk = registers["WEIGHTS"]["rows"] if self.mode == Mode.CONV else 0
        self.kernel = [
            (ky, kx, chunk)
            for ky in range(registers["KERNEL_Y"]["steps"])
            for kx in range(registers["KERNEL_X"]["steps"])
            for chunk in range(registers["KERNEL_X"]["chunks"])
        ]

    @property
    def joined(self) -> bool:
        """Whether rows that follow each other in a block share a position."""
        step = self.registers["STEP"]
        return bool(step["join"]) and self.mode == Mode.DEPTHWISE and self.config.taps == 3 and step["decimation"] <= 2

    def _check_joined(self, last_taps: npt.NDArray[np.bool_], first_taps: npt.NDArray[np.int64]) -> None:
        """Refuse a run that joins rows whose shared position is not padding to both of them.

        ``last_taps`` bool (height, width, lanes): the last taps that matter and are inside the window; ``first_taps``
        (width, lanes that matter): the bytes of the row that the first taps see.
        """
        block = self.registers["BLOCK"]
        followed = np.arange(1, self.height) % block["height"] != 0  # rows before the last one of a block
        starts = np.arange(0, self.width, block["width"])
        ends = np.append(starts[1:], self.width) - 1
        if followed.any() and (last_taps[:-1][followed][:, ends].any() or (first_taps[starts] >= 0).any()):
            raise Refused("it joins rows (STEP.join), but what they share is no padding to both")

    def first_bytes(self, kx: int, chunk: int, tap: int) -> npt.NDArray[np.int64]:
        """For each output column the byte of the row at which lane 0 lies."""
        step = self.registers["STEP"]
        streamed = np.arange(self.width, dtype=np.int64) * step["decimation"]
        # Taps are successive pixels, of which a PAIRS position holds two.
        pixel = step["position"] // 2 if self.mode == Mode.PAIRS else step["position"]
        return (
            self.registers["ORIGIN"]["x"]
            + kx * self.registers["KERNEL_X"]["bytes"]
            + chunk * self.chunk
            + streamed * step["position"]
            + tap * pixel
        )

    def pooled_lanes(self, tile: int) -> npt.NDArray[np.bool_]:
        """The lanes of a POOL tile whose results are certainly wanted: those up to the next tile. Of the last of
        several tiles the ARRAY run does not know how many the OUTPUT run takes; the first is."""
        tiles = self.registers["TILES"]
        wanted = self.config.columns
        if tiles["count"] > 1:
            wanted = 1 if tile == tiles["count"] - 1 else max(tiles["input_step"], 1)
        return np.arange(self.config.columns) < wanted

    def gather(
        self,
        tile: int,
        ky: int,
        kx: int,
        chunk: int = 0,
        group: int = 0,
        tap: int = 0,
        *,
        used: npt.NDArray[np.bool_],
    ) -> npt.NDArray[np.int8]:
        """int8 (height, width, lanes): the vector of every output position at one kernel step.

        ``used`` bool (lanes,): lanes whose value matters. Bytes of the others, whose weights are 0, do not count as
        read.
        """
        config, registers, window = self.config, self.registers, self.registers["WINDOW"]
        first_row = (
            registers["ORIGIN"]["y"]
            + np.arange(self.height, dtype=np.int64) * registers["STEP"]["row"]
            + ky * registers["KERNEL_Y"]["rows"]
        )
        row = first_row + group * registers["KERNEL_Y"]["group_rows"]
        byte = self.first_bytes(kx, chunk, tap)
        base = registers["INPUT"]["base"] + tile * registers["TILES"]["input_step"]
        base = base + group * registers["KERNEL_Y"]["group_pitch"]
        lane = np.arange(len(used), dtype=np.int64)
        start = base + first_row[:, None] * registers["INPUT"]["pitch"] + byte
        address = start[..., None] + lane
        if self.mode == Mode.DEPTHWISE:
            word = config.word_bytes
            address = (start - start % word)[..., None] + address % word
        elif self.mode == Mode.PAIRS:
            address = (start - start % config.word_bytes)[..., None] + lane
        address = (address & ADDRESS_MASK) % config.scratchpad_bytes
        column = byte[:, None] + (lane if self.mode != Mode.PAIRS else np.zeros_like(lane))
        inside = ((row >= 0) & (row < window["height"]))[:, None, None] & (column >= 0) & (column < window["row_bytes"])
        if self.footprint is not None:
            read = inside & used
            self.footprint.scratchpad_reads.append(address[read])
            self.footprint.read_rows.append(np.broadcast_to(row[:, None, None], address.shape)[read])
        if tap == config.taps - 1 and self.joined:
            self._check_joined(inside & used, self.first_bytes(kx, chunk, 0)[:, None] + lane[used])
        pad = np.int8(registers["TILES"]["pad_value"])
        return np.where(inside, self.scratchpad[address], pad)


def _convolve(geometry: _Geometry, weights: npt.NDArray[np.int8], tile: int) -> npt.NDArray[np.int64]:
    """CONV sum: weights int8 (steps, rows, outputs) to int64 (height, width, outputs)."""
    steps, rows, outputs = weights.shape
    total = np.zeros((geometry.height * geometry.width, outputs))
    group = max(1, _GATHER_ELEMENTS // (geometry.height * geometry.width * rows))
    for first in range(0, steps, group):
        part = geometry.kernel[first : first + group]
        used = np.any(weights[first : first + group], axis=2)
        matrix = np.concatenate([geometry.gather(tile, *step, used=used[i]) for i, step in enumerate(part)], axis=2)
        matrix = matrix.reshape(-1, len(part) * rows).astype(np.float64)
        total += matrix @ weights[first : first + group].reshape(-1, outputs).astype(np.float64)
    return total.astype(np.int64).reshape(geometry.height, geometry.width, outputs)


def _partial_sums(
    geometry: _Geometry, weights: npt.NDArray[np.int8] | None, tile: int
) -> Iterator[npt.NDArray[np.int64]]:
    """For each kernel step what the array gives to the accumulators: int64 (height, width, columns)."""
    config, columns = geometry.config, geometry.config.columns
    for index, (ky, kx, chunk) in enumerate(geometry.kernel):
        if weights is None:
            yield geometry.gather(tile, ky, kx, used=geometry.pooled_lanes(tile)).astype(np.int64)
        elif geometry.mode == Mode.CONV:
            rows = weights.shape[1]
            vectors = (
                geometry.gather(tile, ky, kx, chunk, used=np.any(weights[index], axis=1))
                .reshape(-1, rows)
                .astype(np.float64)
            )
            products = vectors @ weights[index].astype(np.float64)
            yield products.astype(np.int64).reshape(geometry.height, geometry.width, columns)
        else:
            total = np.zeros((geometry.height, geometry.width, columns), np.int64)
            for row in range(weights.shape[1]):
                group, tap = divmod(row, config.taps)
                vectors = geometry.gather(tile, ky, kx, group=group, tap=tap, used=weights[index, row] != 0)
                total += vectors.astype(np.int64) * weights[index, row]
            yield total


def _accumulate(
    geometry: _Geometry, weights: npt.NDArray[np.int8] | None, tile: int, maximum: bool
) -> npt.NDArray[np.int32]:
    """The finished accumulators of one tile: int32 (height, width, columns)."""
    if weights is not None and geometry.mode == Mode.CONV and not maximum:
        return _convolve(geometry, weights, tile).astype(np.int32)
    sums = (partial.astype(np.int32) for partial in _partial_sums(geometry, weights, tile))
    total = next(sums)
    for partial in sums:
        total = np.maximum(total, partial) if maximum else total + partial
    return total


def run_array(
    config: NpuConfig, scratchpad: Bytes, stream: WeightStream, registers: Registers, footprint: Footprint | None
) -> Accumulated:
    """A whole ARRAY.RUN. Input addresses are added to ``footprint`` if given. Raises Refused."""
    geometry = _Geometry(config, registers, scratchpad.view(np.int8), footprint)
    settings, tiles, columns = registers["WEIGHTS"], registers["TILES"]["count"], config.columns
    maximum = bool(registers["RUN"]["maximum"])
    block = registers["BLOCK"]["height"], registers["BLOCK"]["width"]
    blocks = -(-geometry.height // block[0]) * -(-geometry.width // block[1])
    bias, scale = bool(settings["bias"]), bool(settings["scale"])
    side, steps = parameter_rows(bias, scale), len(geometry.kernel)
    step_rows = steps * settings["rows"] if geometry.mode != Mode.POOL else 0
    _check_ring(config, registers, side + step_rows, step_rows, blocks)
    needed = tiles * (side + step_rows)
    rows = stream.peek(needed + settings["pad"] * settings["free"])[:needed]
    rows = rows.reshape(tiles, side + step_rows, config.weight_row_bytes)
    if settings["free"]:
        stream.free(needed + settings["pad"])

    parameters = [_parameters(config, rows[tile, :side], bias, scale) for tile in range(tiles)]
    shape = geometry.height, geometry.width, columns
    if geometry.mode == Mode.POOL:
        values = np.stack([_accumulate(geometry, None, tile, maximum) for tile in range(tiles)])
    else:
        weights = rows[:, side:, :columns].view(np.int8).reshape(tiles, steps, settings["rows"], columns)
        if geometry.mode == Mode.CONV and not maximum and registers["TILES"]["input_step"] == 0:
            # Every tile sees the same vectors: gather them once.
            together = weights.transpose(1, 2, 0, 3).reshape(steps, settings["rows"], tiles * columns)
            total = _convolve(geometry, together, 0).astype(np.int32)
            values = total.reshape(*shape[:2], tiles, columns).transpose(2, 0, 1, 3)
        else:
            values = np.stack([_accumulate(geometry, weights[tile], tile, maximum) for tile in range(tiles)])
    return Accumulated(values, block, parameters, bias, scale)
