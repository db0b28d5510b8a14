"""Random runs of the OUTPUT unit, and what ARRAY would send for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tensaw.compiler.ir import Rounding
from tensaw.model.machine_array import Accumulated, Parameters
from tensaw.model.machine_memory import Footprint
from tensaw.model.machine_output import Tables, block_order, drain, softmax_rows
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import Operation, OutputKind, Unit

from .bench import Bench
from .commands import Registers, registers_of, words_of_run
from .output_golden import random_quant, random_scale

__all__ = ["Job", "drain_job", "softmax_job", "table_rows", "walk_beats"]

BIAS, MULTIPLIER, SHIFT, LOOKUP, EXPONENT = range(5)


class Job:
    """One OUTPUT run: ``registers``, the ``vectors`` (columns,) and ``side`` rows that come for it."""

    def __init__(self, **words: dict[str, int]) -> None:
        self.registers: Registers = registers_of(Unit.OUTPUT, words)
        self.vectors: list[np.ndarray] = []
        self.side: list[dict[str, Any]] = []
        self.accumulated: Accumulated | None = None

    @property
    def words(self) -> list[int]:
        return words_of_run(Unit.OUTPUT, self.registers)

    def golden(self, bench: Bench, memory: np.ndarray, tables: Tables) -> Footprint:
        """Do it to ``memory`` (uint8) as the instruction-level golden model does."""
        if self.accumulated is None:
            return softmax_rows(bench.config, memory, tables, self.registers)
        return drain(bench.config, memory, tables, self.registers, self.accumulated)


def drain_job(
    bench: Bench, operation: Operation = Operation.NONE, table: bool = False, tag: int = 0, **fixed: Any
) -> Job:
    """A DRAIN run of random shape (or ``fixed``: height, width, tiles, tile, last, block, streamed). Some of them scale
    by 1/2 or a single bit more and have many ties, so that every bit of a multiplier shows in some byte."""
    rng, integers, config = bench.rng, bench.integers, bench.config
    columns, size = config.columns, config.scratchpad_bytes
    tiles, tile = fixed.get("tiles", integers(1, 3)), fixed.get("tile", integers(1, columns))
    last = fixed.get("last", integers(1, tile))
    height, wide = fixed.get("height", integers(1, 4)), fixed.get("width", integers(1, 5))
    block = fixed.get("block", (integers(1, 4), integers(1, 6)))
    bias, scaled = fixed.get("streamed", (integers(0, 1), integers(0, 1)))
    pixel = (tiles - 1) * tile + last + integers(0, 3)
    pitch = wide * pixel + integers(0, 8)
    base = int(rng.integers(size // 2 - height * pitch))
    own = rng.random() < 0.3  # a position may overwrite its own operand
    broadcast = not own and rng.random() < 0.3
    operand = base if own else int(rng.integers(size // 2, size - height * pitch))
    ties = rng.random() < 0.4 and not (bias and "streamed" in fixed)
    bias &= not ties
    out_shift = -7 if operation == Operation.MUL else -19

    def scale(shift: int, tie_shift: int) -> dict[str, int]:
        return {"multiplier": _half(bench), "shift": tie_shift} if ties else random_scale(bench, shift)

    def quant() -> dict[str, int]:
        return random_quant(bench) | ({"low": -128, "high": 127, "rounding": int(Rounding.SINGLE)} if ties else {})

    job = Job(
        TARGET={"base": base, "pitch": pitch},
        CHANNELS={"pixel_pitch": pixel, "tile": tile, "last": last, "tiles": tiles},
        OUT={"height": height, "width": wide},
        BLOCK={"height": block[0], "width": block[1]},
        QUANT=quant() | {"bias": int(bias), "scale": scaled},
        SCALE=scale(-9, -1),
        OPERAND={"base": operand, "pitch": pitch},
        OPERAND_STEP={
            "pixel_pitch": 0 if broadcast else pixel,
            "tile_step": 0 if broadcast else tile,
            "zero_a": integers(-128, 127),
            "zero_b": integers(-128, 127),
            "operation": int(operation),
            "reverse": integers(0, 1),
        },
        SCALE_A=scale(-1, 0),
        SCALE_B=scale(-1, 0),
        SCALE_OUT=scale(out_shift, -3 if operation == Operation.MUL else -19),
        QUANT_OUT=quant(),
        RUN={"tag": tag, "wait": integers(0, 15), "signal": integers(0, 15), "table": int(table)},
    )
    most = 300 if ties else 60000
    values = rng.integers(-most, most, (tiles, height, wide, columns)).astype(np.int32)
    values[rng.random(values.shape) < 0.02] = np.int32(-(1 << 31))
    order = block_order(height, wide, block)
    parameters = []
    for number in range(tiles):
        rows, own_parameters = _parameters(bench, bool(bias), bool(scaled), ties)
        job.side += rows
        parameters.append(own_parameters)
        job.vectors += list(values[number].reshape(-1, columns)[order])
    job.accumulated = Accumulated(values, block, parameters, bool(bias), bool(scaled))
    return job


def _half(bench: Bench) -> int:
    """The multiplier 1/2, or a bit more."""
    return (1 << 30) + bench.choose(0, 1 << bench.integers(0, 29))


def _parameters(bench: Bench, bias: bool, scaled: bool, ties: bool) -> tuple[list[dict[str, Any]], Parameters]:
    """A tile's rows, and what they mean."""
    rng, columns, width = bench.rng, bench.config.columns, bench.config.weight_row_bytes
    biases, multipliers = rng.integers(-9000, 9000, width), rng.integers(1 << 30, 1 << 31, width)
    multipliers[rng.random(width) < 0.1] = 0
    shifts = rng.integers(-12, -6, width)
    if ties:
        multipliers, shifts = np.array([_half(bench) for _ in range(width)]), rng.integers(-2, 1, width)
    rows: list[tuple[int, int, np.ndarray]] = []
    if bias:
        rows += [(BIAS, i, row) for i, row in enumerate(np.split(biases.astype("<i4"), 4))]
    if scaled:
        rows += [(MULTIPLIER, i, row) for i, row in enumerate(np.split(multipliers.astype("<i4"), 4))]
        rows += [(SHIFT, 0, shifts.astype(np.int8))]
    sent = [
        {"kind": kind, "index": i, "last": int(n == len(rows) - 1), "row": int.from_bytes(row.tobytes(), "little")}
        for n, (kind, i, row) in enumerate(rows)
    ]
    own = [values[:columns].astype(np.int32) for values in (biases, multipliers, shifts)]
    return sent, Parameters(own[0] if bias else None, own[1] if scaled else None, own[2] if scaled else None)


def softmax_job(bench: Bench, height: int, width: int, tag: int = 0) -> Job:
    """A SOFTMAX run; what OPERAND_STEP holds must not matter."""
    size, pitch = bench.config.scratchpad_bytes, width + bench.integers(0, 4)
    return Job(
        TARGET={"base": bench.integers(0, size // 2 - height * pitch - 1), "pitch": pitch},
        OUT={"height": height, "width": width},
        OPERAND={"base": bench.integers(size // 2, size - height * pitch - 1), "pitch": pitch},
        OPERAND_STEP={"operation": bench.integers(0, 3), "pixel_pitch": 0, "tile_step": 0, "zero_a": 0, "zero_b": 0,
                      "reverse": 0},
        RUN={"tag": tag, "kind": int(OutputKind.SOFTMAX), "wait": bench.integers(0, 15),
             "signal": bench.integers(0, 15), "table": bench.integers(0, 1)},
    )  # fmt: skip


def table_rows(bench: Bench, kind: int, content: bytes) -> list[dict[str, Any]]:
    """Side rows of a table."""
    width = bench.config.weight_row_bytes
    count = len(content) // width
    return [
        {"kind": kind, "index": i, "last": int(i == count - 1),
         "row": int.from_bytes(content[i * width : (i + 1) * width], "little")}
        for i in range(count)
    ]  # fmt: skip


def walk_beats(config: NpuConfig, shape: dict[str, int]) -> Iterator[dict[str, int]]:
    """The beats of the walk over a shape (fields of walk_layout), by the loops: tiles, blocks, positions, lanes."""
    lanes = config.requant_lanes
    height, width = shape["height"], shape["width"]
    for tile in range(shape["tiles"]):
        last_tile = tile == shape["tiles"] - 1
        channels = shape["last"] if last_tile else shape["tile"]
        order = (
            (y, x)
            for top in range(0, height, shape["block_height"])
            for left in range(0, width, shape["block_width"])
            for y in range(top, min(top + shape["block_height"], height))
            for x in range(left, min(left + shape["block_width"], width))
        )
        for y, x in order:
            base = shape["base"] + tile * shape["tile_step"] + y * shape["pitch"] + x * shape["pixel_pitch"]
            for index, first in enumerate(range(0, channels, lanes)):
                done = first + lanes >= channels
                tile_done = done and (y, x) == (height - 1, width - 1)
                yield {
                    "address": (base + first) % (1 << config.address_bits), "count": min(lanes, channels - first),
                    "index": index, "vector_done": int(done), "row_done": int(done and x == width - 1 and last_tile),
                    "tile_done": int(tile_done), "run_done": int(tile_done and last_tile),
                    "last_tile": int(last_tile),
                }  # fmt: skip
