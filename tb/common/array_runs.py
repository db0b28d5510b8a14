"""Random runs of the ARRAY unit and what they mean, written from the loops of docs/isa.md."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import Mode

from .bench import Bench
from .commands import Registers

__all__ = ["Position", "expected_vectors", "modes_of", "positions", "random_run", "stream_rows", "vector_at"]


@dataclass(frozen=True)
class Position:
    """A streamed position: ``row_address + x`` is its first byte, in input row ``y`` at byte ``x``; ``tail`` ones only
    flush the array. ``step`` numbers the kernel steps of a block, ``index`` the kept positions of a step."""

    tile: int
    block: int
    step: int
    row_address: int
    y: int
    x: int
    keep: bool
    index: int
    first: bool
    last: bool
    final: bool
    step_start: bool
    block_start: bool
    row_start: bool
    run_end: bool


def modes_of(config: NpuConfig) -> list[Mode]:
    """The modes that the array can do."""
    return [Mode.CONV, Mode.DEPTHWISE, Mode.POOL] + [Mode.PAIRS] * (config.taps == 3)


def random_run(bench: Bench, mode: Mode, **shape: int) -> Registers:
    """A legal run of random shape; ``shape`` fixes height, width, block_height, block_width, tiles. Where a DEPTHWISE
    run's blocks hold whole rows, it may be one whose rows share their padding."""
    run = _any_run(bench, mode, **shape)
    step, whole_rows = run["STEP"], run["BLOCK"]["width"] >= run["OUT"]["width"]
    step["join"] = 0
    if (
        mode == Mode.DEPTHWISE
        and bench.config.taps == 3
        and step["decimation"] <= 2
        and whole_rows
        and bench.chance(0.6)
    ):
        last_tap = (run["OUT"]["width"] - 1) * step["decimation"] + 1
        step["join"], run["KERNEL_X"]["steps"], run["ORIGIN"]["x"] = 1, 1, -step["position"]
        run["WINDOW"]["row_bytes"] = bench.integers(1, last_tap) * step["position"]
    return run


def _any_run(bench: Bench, mode: Mode, **shape: int) -> Registers:
    """A run whose rows are all streamed as a whole."""
    config, integers = bench.config, bench.integers
    word, pairs = config.word_bytes, mode == Mode.PAIRS
    depthwise = pairs or mode == Mode.DEPTHWISE
    height, width = shape.get("height", integers(1, 8)), shape.get("width", integers(1, 8))
    block_width = shape.get("block_width", min(integers(1, width + 2), config.acc_half))
    block_height = shape.get("block_height", integers(1, height + 2))
    while min(block_height, height) * min(block_width, width) > config.acc_half:
        block_height -= 1
    groups = integers(1, config.groups) if depthwise else 0
    channels = word * integers(1, 2) if depthwise else integers(1, 19)
    input_width = integers(1, 11)
    pitch = -(-input_width * channels // word) * word
    rests = [1, 2, 3]  # of the pitch in words, divided by four
    if pairs:
        shapes = [(word, [2]), (3 * word, [2]), (4 * word, [1, 3])]
        channels, rests = bench.choose(*shapes[: 3 if config.banks == 8 else 2])
        if groups == 1:
            rests = [0, 1, 2, 3]
    pitch += (bench.choose(*rests) - pitch // word) % 4 * word
    if not depthwise and bench.chance(0.5):
        pitch += integers(1, 9)
    stride = integers(1, 4) if depthwise else integers(1, 2)
    dilation = bench.choose(1, 1, 3) if depthwise else 1
    return {
        "INPUT": {"base": integers(0, 19) * word if depthwise else integers(0, 300), "pitch": pitch},
        "WINDOW": {"height": integers(1, 11), "row_bytes": input_width * channels},
        "ORIGIN": {"y": integers(-3, 2), "x": integers(-2, 1) * channels},
        "STEP": {
            "position": 2 * channels if pairs else channels if depthwise else stride * channels,
            "row": integers(0, 3),
            "decimation": stride if depthwise else 1,
        },
        "KERNEL_Y": {
            "steps": integers(1, 3), "rows": integers(0, 3), "group_rows": dilation, "group_pitch": dilation * pitch,
        },
        "KERNEL_X": {
            "steps": integers(1, 3),
            "bytes": channels * integers(1, 2),
            "chunks": integers(1, 3) if mode == Mode.CONV else 1,
        },
        "OUT": {"height": height, "width": width},
        "BLOCK": {"height": block_height, "width": block_width},
        "TILES": {
            "count": shape.get("tiles", integers(1, 3)),
            "input_step": word if depthwise else integers(0, 8),
            "pad_value": integers(-128, 127),
        },
        "WEIGHTS": {
            "rows": groups * config.taps if depthwise else integers(1, config.rows),
            "free": integers(0, 1),
            "pad": integers(0, 3),
            "bias": integers(0, 1),
            "scale": integers(0, 1),
        },
        "RUN": {
            "tag": integers(0, 0xFFFF), "wait": integers(0, 15), "signal": integers(0, 15), "mode": int(mode),
            "maximum": integers(0, 1), "groups": groups, "follow": 0, "follow_run": 0,
        },
    }  # fmt: skip


def stream_rows(run: Registers) -> tuple[int, int]:
    """Parameter rows and step rows of one tile in the weight stream."""
    weights = run["WEIGHTS"]
    parameters = 4 * weights["bias"] + 5 * weights["scale"]
    if run["RUN"]["mode"] == Mode.POOL:
        return parameters, 0
    return parameters, run["KERNEL_Y"]["steps"] * run["KERNEL_X"]["steps"] * run["KERNEL_X"]["chunks"] * (
        weights["rows"]
    )


def positions(config: NpuConfig, run: Registers) -> Iterator[Position]:
    """All streamed positions in their order."""
    out, block, step = run["OUT"], run["BLOCK"], run["STEP"]
    counts = run["KERNEL_Y"]["steps"], run["KERNEL_X"]["steps"], run["KERNEL_X"]["chunks"]
    kernel = math.prod(counts)
    drain = {Mode.DEPTHWISE: config.taps - 1, Mode.PAIRS: 1}.get(Mode(run["RUN"]["mode"]), 0)
    whole_tail = max(drain, step["decimation"] - 1)
    shared = step["join"] and run["RUN"]["mode"] == Mode.DEPTHWISE and config.taps == 3 and step["decimation"] <= 2
    blocks = (
        (tile, top, left)
        for tile in range(run["TILES"]["count"])
        for top in range(0, out["height"], block["height"])
        for left in range(0, out["width"], block["width"])
    )
    last_block = run["TILES"]["count"] * -(-out["height"] // block["height"]) * -(-out["width"] // block["width"]) - 1
    for number, (tile, top, left) in enumerate(blocks):
        rows = range(top, min(top + block["height"], out["height"]))
        columns = range(left, min(left + block["width"], out["width"]))
        streamed = (len(columns) - 1) * step["decimation"] + 1
        for at in range(kernel):
            ky, (kx, chunk) = at // (counts[1] * counts[2]), divmod(at % (counts[1] * counts[2]), counts[2])
            for oy in rows:
                y = run["ORIGIN"]["y"] + oy * step["row"] + ky * run["KERNEL_Y"]["rows"]
                base = run["INPUT"]["base"] + tile * run["TILES"]["input_step"] + y * run["INPUT"]["pitch"]
                x = (
                    run["ORIGIN"]["x"]
                    + left * step["decimation"] * step["position"]
                    + kx * run["KERNEL_X"]["bytes"]
                    + chunk * run["WEIGHTS"]["rows"]
                )
                tail = whole_tail - int(shared and oy != rows[-1])
                for s in range(streamed + tail):
                    kept = s < streamed and s % step["decimation"] == 0
                    end = s == streamed + tail - 1 and oy == rows[-1]
                    final = kept and s == streamed - 1 and oy == rows[-1] and at == kernel - 1
                    yield Position(
                        tile=tile, block=number, step=at, row_address=base % (1 << 24), y=y,
                        x=x + s * step["position"], keep=kept,
                        index=(oy - top) * len(columns) + s // step["decimation"],
                        first=at == 0, last=at == kernel - 1, final=final,
                        step_start=s == 0 and oy == top, block_start=s == 0 and oy == top and at == 0,
                        row_start=s == 0,
                        run_end=end and at == kernel - 1 and number == last_block,
                    )  # fmt: skip


def vector_at(
    config: NpuConfig, run: Registers, memory: np.ndarray, position: Position, lanes: int, group: int = 0
) -> np.ndarray:
    """The int8 bytes that lanes 0 .. lanes-1 see of a position: padding outside the window; in DEPTHWISE mode one
    scratchpad word, rotated, in PAIRS mode one as it is, if the position's first byte exists. ``memory``: the
    scratchpad as int8."""
    y = position.y + group * run["KERNEL_Y"]["group_rows"]
    lane = np.arange(lanes)
    inside = (position.x + lane >= 0) & (position.x + lane < run["WINDOW"]["row_bytes"])
    inside &= 0 <= y < run["WINDOW"]["height"]
    start = position.row_address + position.x + group * run["KERNEL_Y"]["group_pitch"]
    address, word = start + lane, config.word_bytes
    if run["RUN"]["mode"] == Mode.DEPTHWISE:
        address = start // word * word + address % word
    elif run["RUN"]["mode"] == Mode.PAIRS:
        address = start // word * word + lane
        inside[:] = 0 <= position.x < run["WINDOW"]["row_bytes"] and 0 <= y < run["WINDOW"]["height"]
    place = address % (1 << config.address_bits) % len(memory)
    return np.where(inside, memory[place], run["TILES"]["pad_value"]).astype(np.int64)


def expected_vectors(config: NpuConfig, run: Registers, memory: np.ndarray, rows: np.ndarray) -> list[list[int]]:
    """The finished accumulators of every position, in their order. ``memory``: the scratchpad as int8; ``rows`` uint8:
    the weight stream from the run's first row on."""
    parameters, step_rows = stream_rows(run)
    mode, used = run["RUN"]["mode"], run["WEIGHTS"]["rows"]
    finished: list[list[int]] = []
    totals: dict[int, np.ndarray] = {}
    for position in positions(config, run):
        if not position.keep:
            continue
        begin = position.tile * (parameters + step_rows) + parameters + position.step * used
        weights = rows[begin : begin + used, : config.columns].view(np.int8).astype(np.int64)
        if mode == Mode.CONV:
            sums = vector_at(config, run, memory, position, used) @ weights
        elif mode == Mode.POOL:
            sums = vector_at(config, run, memory, position, config.columns)
        else:
            sums = np.zeros(config.columns, np.int64)
            for row in range(used):
                group, tap = divmod(row, config.taps)
                pixel = run["STEP"]["position"] // (2 if mode == Mode.PAIRS else 1)
                later = replace(position, x=position.x + tap * pixel)
                sums += vector_at(config, run, memory, later, config.columns, group) * weights[row]
        if position.first:
            totals[position.index] = sums
        elif run["RUN"]["maximum"]:
            totals[position.index] = np.maximum(totals[position.index], sums)
        else:
            totals[position.index] = totals[position.index] + sums
        if position.last:
            finished.append(totals[position.index].tolist())
    return finished
