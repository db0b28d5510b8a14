"""The ARRAY unit against a direct reading of docs/architecture.md: random runs, configurations and back-pressure."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator

from tensaw.rtl.array.unit import ArrayUnit
from tensaw.rtl.interfaces import ARRAY_READ_LATENCY
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import Mode, encode

RING_LATENCY = 2


def array_config(rows: int, columns: int, group: int, entries: int = 32) -> NpuConfig:
    return NpuConfig(
        rows=rows,
        columns=columns,
        column_group=group,
        scratchpad_bytes=1 << 13,
        weight_bytes=1 << 14,
        acc_entries=entries,
        requant_lanes=1,
    )


def random_run(rng: np.random.Generator, config: NpuConfig, mode: Mode) -> dict[str, dict[str, int]]:
    """Fields of a legal run, by word."""
    word = config.word_bytes
    height, width = (int(value) for value in rng.integers(1, 9, 2))
    block_width = int(rng.integers(1, width + 3))
    while block_width > config.acc_half:
        block_width -= 1
    block_height = int(rng.integers(1, max(2, min(height + 2, config.acc_half // min(block_width, width) + 1))))
    while min(block_height, height) * min(block_width, width) > config.acc_half:
        block_height -= 1
    pairs = mode == Mode.PAIRS
    depthwise = pairs or mode == Mode.DEPTHWISE
    groups = int(rng.integers(1, config.groups + 1)) if depthwise else 0
    channels = word * int(rng.integers(1, 3)) if depthwise else int(rng.integers(1, 20))
    input_width = int(rng.integers(1, 12))
    pitch = -(-input_width * channels // word) * word
    rests = [1, 2, 3]  # of the pitch in words, divided by four
    if pairs:
        channels, rests = [(word, [2]), (3 * word, [2]), (4 * word, [1, 3])][int(rng.integers(2 + (config.banks == 8)))]
        rests = [0, 1, 2, 3] if groups == 1 else rests
    pitch += (rests[int(rng.integers(len(rests)))] - pitch // word) % 4 * word
    stride = int(rng.integers(1, 5)) if depthwise else int(rng.integers(1, 3))
    dilation = 1 if not depthwise or rng.random() < 0.5 else 3
    return {
        "INPUT": {"base": int(rng.integers(0, 20)) * word if depthwise else int(rng.integers(0, 300)), "pitch": pitch},
        "WINDOW": {"height": int(rng.integers(1, 12)), "row_bytes": input_width * channels},
        "ORIGIN": {"y": int(rng.integers(-3, 3)), "x": int(rng.integers(-2, 2)) * channels},
        "STEP": {
            "position": 2 * channels if pairs else channels if depthwise else stride * channels,
            "row": int(rng.integers(1, 4)),
            "decimation": stride if depthwise else 1,
        },
        "KERNEL_Y": {
            "steps": int(rng.integers(1, 4)),
            "rows": int(rng.integers(0, 4)),
            "group_rows": dilation,
            "group_pitch": dilation * pitch,
        },
        "KERNEL_X": {
            "steps": int(rng.integers(1, 4)),
            "bytes": channels * int(rng.integers(1, 3)),
            "chunks": 1 if mode != Mode.CONV else int(rng.integers(1, 4)),
        },
        "OUT": {"height": height, "width": width},
        "BLOCK": {"height": block_height, "width": block_width},
        "TILES": {
            "count": int(rng.integers(1, 4)),
            "input_step": word if depthwise else int(rng.integers(0, 9)),
            "pad_value": int(rng.integers(-128, 128)),
        },
        "WEIGHTS": {
            "rows": groups * config.taps if depthwise else int(rng.integers(1, config.rows + 1)),
            "free": int(rng.integers(0, 2)),
            "pad": int(rng.integers(0, 4)),
            "bias": int(rng.integers(0, 2)),
            "scale": int(rng.integers(0, 2)),
        },
        "RUN": {
            "tag": int(rng.integers(1 << 16)),
            "mode": int(mode),
            "maximum": int(rng.integers(0, 2)),
            "groups": groups,
        },
    }


def stream_rows(config: NpuConfig, run: dict[str, dict[str, int]]) -> tuple[int, int]:
    """Parameter rows and step rows of one tile."""
    weights = run["WEIGHTS"]
    parameters = 4 * weights["bias"] + 5 * weights["scale"]
    if run["RUN"]["mode"] == Mode.POOL:
        return parameters, 0
    steps = run["KERNEL_Y"]["steps"] * run["KERNEL_X"]["steps"] * run["KERNEL_X"]["chunks"]
    return parameters, steps * weights["rows"]


def expected_vectors(
    config: NpuConfig, run: dict[str, dict[str, int]], memory: np.ndarray, rows: np.ndarray
) -> list[list[int]]:
    """Finished accumulators in order, by the loops of docs/architecture.md; ``rows``: the run's part of the stream."""
    word, mode = config.word_bytes, run["RUN"]["mode"]
    window, origin, step, taps = run["WINDOW"], run["ORIGIN"], run["STEP"], config.taps
    parameters, step_rows = stream_rows(config, run)
    out, block, weights = run["OUT"], run["BLOCK"], run["WEIGHTS"]["rows"]

    def byte(base: int, y: int, x: int, at: int) -> int:
        if not (0 <= y < window["height"] and 0 <= x < window["row_bytes"]):
            return run["TILES"]["pad_value"]
        return int(memory[at % len(memory)])

    result = []
    for tile in range(run["TILES"]["count"]):
        base = run["INPUT"]["base"] + tile * run["TILES"]["input_step"]
        tile_rows = rows[tile * (parameters + step_rows) + parameters :]
        for top in range(0, out["height"], block["height"]):
            for left in range(0, out["width"], block["width"]):
                for oy in range(top, min(top + block["height"], out["height"])):
                    for ox in range(left, min(left + block["width"], out["width"])):
                        total: list[int] | None = None
                        number = 0
                        for ky in range(run["KERNEL_Y"]["steps"]):
                            for kx in range(run["KERNEL_X"]["steps"]):
                                for chunk in range(run["KERNEL_X"]["chunks"]):
                                    y = origin["y"] + oy * step["row"] + ky * run["KERNEL_Y"]["rows"]
                                    x = (
                                        origin["x"]
                                        + ox * step["position"] * step["decimation"]
                                        + kx * run["KERNEL_X"]["bytes"]
                                        + chunk * run["WEIGHTS"]["rows"]
                                    )
                                    weight = tile_rows[number * weights : (number + 1) * weights].astype(int)
                                    if mode == Mode.CONV:
                                        vector = [
                                            byte(base, y, x + lane, base + y * run["INPUT"]["pitch"] + x + lane)
                                            for lane in range(weights)
                                        ]
                                        sums = (np.array(vector) @ weight[:, : config.columns]).tolist()
                                    elif mode == Mode.POOL:
                                        sums = [
                                            byte(base, y, x + lane, base + y * run["INPUT"]["pitch"] + x + lane)
                                            for lane in range(config.columns)
                                        ]
                                    else:
                                        sums = [0] * config.columns
                                        for group in range(run["RUN"]["groups"]):
                                            for tap in range(taps):
                                                gy = y + group * run["KERNEL_Y"]["group_rows"]
                                                gx = x + tap * step["position"] // (2 if mode == Mode.PAIRS else 1)
                                                at = (
                                                    base
                                                    + y * run["INPUT"]["pitch"]
                                                    + group * run["KERNEL_Y"]["group_pitch"]
                                                    + gx
                                                )
                                                for lane in range(config.columns):
                                                    inside = at // word * word + (at + lane) % word
                                                    beside = gx + lane
                                                    if mode == Mode.PAIRS:  # a word as it is, wholly there or not
                                                        inside, beside = at // word * word + lane, gx
                                                    sums[lane] += byte(base, gy, beside, inside) * int(
                                                        weight[group * taps + tap, lane]
                                                    )
                                    if total is None:
                                        total = sums
                                    elif run["RUN"]["maximum"]:
                                        total = [max(a, b) for a, b in zip(total, sums, strict=True)]
                                    else:
                                        total = [a + b for a, b in zip(total, sums, strict=True)]
                                    number += 1
                        assert total is not None
                        result.append(total)
    return result


def simulate(
    config: NpuConfig,
    runs: list[dict[str, dict[str, int]]],
    memory: np.ndarray,
    ring: np.ndarray,
    rng: np.random.Generator,
    stall: float,
    expected: list[list[int]],
) -> tuple[list[list[int]], int, int]:
    """Vectors, freed rows and side rows; the ring fills slowly, the output is taken with pauses."""
    words = [
        encode(f"ARRAY.{name}", **fields)
        for run in runs
        for name, fields in (*((n, f) for n, f in run.items() if n != "RUN"), ("RUN", run["RUN"]))
    ]
    unit = ArrayUnit(config, RING_LATENCY)
    vectors: list[list[int]] = []
    freed = side = 0
    word = config.word_bytes
    row_bytes = config.weight_row_bytes
    memory_words = memory.astype(np.uint8).reshape(-1, word)
    tail = arrived = 0

    async def commands(ctx: Any) -> None:
        await ctx.tick()  # in which the unit's blocks are reset
        for value in words:
            ctx.set(unit.words.payload, value)
            ctx.set(unit.words.valid, 1)
            await ctx.tick().until(unit.words.ready)
            ctx.set(unit.words.valid, 0)

    async def ring_memory(ctx: Any) -> None:
        nonlocal tail, arrived, freed
        pipe = [0] * (RING_LATENCY - 1)
        while True:
            ctx.set(unit.available, arrived - tail)
            _, _, enable, row, release = await ctx.tick().sample(unit.ring_enable, unit.ring_row, unit.release)
            value = 0
            if enable:
                assert row < arrived - tail, "read of a row that has not arrived"
                value = int.from_bytes(ring[tail + row].tobytes(), "little")
            pipe.append(value)
            ctx.set(unit.ring_data, pipe.pop(0))
            tail += release
            freed += release
            assert tail <= arrived
            if rng.random() >= stall:
                arrived = min(arrived + 1, len(ring))
        assert row_bytes

    async def scratchpad(ctx: Any) -> None:
        slots = len(unit.memory.enable)
        pipe = [[0] * slots] * (ARRAY_READ_LATENCY - 1)
        while True:
            _, _, enable, *addresses = await ctx.tick().sample(
                unit.memory.enable, *(unit.memory.address[slot] for slot in range(slots))
            )
            used = [address for slot, address in enumerate(addresses) if enable >> slot & 1]
            assert len({address % config.banks for address in used}) == len(used), "two words of one bank"
            values = [
                int.from_bytes(memory_words[address % len(memory_words)].tobytes(), "little")
                if enable >> slot & 1
                else 0
                for slot, address in enumerate(addresses)
            ]
            pipe.append(values)
            for slot, value in enumerate(pipe.pop(0)):
                ctx.set(unit.memory.data[slot], value)

    async def sides(ctx: Any) -> None:
        nonlocal side
        while True:
            ctx.set(unit.side.ready, int(rng.random() >= stall))
            _, _, valid, ready = await ctx.tick().sample(unit.side.valid, unit.side.ready)
            side += valid & ready

    async def collect(ctx: Any) -> None:
        ctx.set(unit.tokens.take_ready, 1)
        idle = 0
        while len(vectors) < len(expected):
            ctx.set(unit.vectors.ready, int(rng.random() >= stall))
            _, _, valid, ready, *values = await ctx.tick().sample(
                unit.vectors.valid, unit.vectors.ready, *(unit.vectors.payload[c] for c in range(config.columns))
            )
            idle = 0 if valid else idle + 1
            assert idle < 5000, "no result any more"
            assert not ctx.get(unit.error.valid), "error raised"
            if valid and ready:
                vectors.append(values)
                assert values == expected[len(vectors) - 1], f"position {len(vectors) - 1} of {len(expected)}"
        ctx.set(unit.vectors.ready, 1)
        extra = 0
        for _ in range(60):
            _, _, valid = await ctx.tick().sample(unit.vectors.valid)
            extra += valid
        assert not extra, f"{extra} more results than positions"

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(commands, background=True)
    simulator.add_testbench(ring_memory, background=True)
    simulator.add_testbench(scratchpad, background=True)
    simulator.add_testbench(sides, background=True)
    simulator.add_testbench(collect)
    simulator.run()
    return vectors, freed, side


@pytest.mark.parametrize("seed", range(16))
def test_runs_match_the_loops(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, columns, group, entries = [(4, 4, 2, 32), (5, 7, 3, 16), (9, 3, 8, 64), (8, 4, 1, 8), (2, 2, 1, 16)][seed % 5]
    config = array_config(rows, columns, group, entries)
    modes = [mode for mode in Mode if mode != Mode.PAIRS or config.taps == 3]
    runs = [random_run(rng, config, modes[int(rng.integers(len(modes)))]) for _ in range(3)]
    runs[-1]["WEIGHTS"]["free"] = 1
    memory = rng.integers(-128, 128, config.scratchpad_bytes).astype(np.int8)

    # A run that does not free its rows is followed by one that reads the same ones.
    needed = [run["TILES"]["count"] * sum(stream_rows(config, run)) for run in runs]
    start, starts = 0, []
    for run, rows_needed in zip(runs, needed, strict=True):
        starts.append(start)
        if run["WEIGHTS"]["free"]:
            start += rows_needed + run["WEIGHTS"]["pad"]
    ring = rng.integers(-128, 128, (start + max(needed) + 8, config.weight_row_bytes)).astype(np.int8)

    expected = [
        vector
        for run, first in zip(runs, starts, strict=True)
        for vector in expected_vectors(config, run, memory, ring[first:])
    ]
    stall = [0.0, 0.3, 0.7][seed % 3]
    vectors, freed, side = simulate(config, runs, memory, ring, rng, stall, expected)
    assert vectors == expected
    assert freed == start
    assert side == sum(run["TILES"]["count"] * stream_rows(config, run)[0] for run in runs)
