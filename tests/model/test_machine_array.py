"""ARRAY runs against the loops of docs/isa.md, written out lane by lane."""

from typing import Any

import numpy as np
import pytest

from tensaw.model.machine_array import WeightStream, run_array
from tensaw.model.machine_error import Refused
from tensaw.model.machine_memory import Footprint
from tensaw.spec.config import PRESETS, NpuConfig
from tensaw.spec.isa import WORDS, Mode, Unit
from tensaw.spec.limits import refusal

CONFIGS = [
    NpuConfig(rows=5, columns=7, column_group=1, requant_lanes=1, scratchpad_bytes=1024, weight_bytes=4096),
    NpuConfig(rows=2, columns=2, column_group=1, requant_lanes=1, scratchpad_bytes=512, weight_bytes=2048),
    NpuConfig(rows=12, columns=10, requant_lanes=5, scratchpad_bytes=2048, weight_bytes=16384),
]


def zeros(unit: Unit) -> dict[str, dict[str, int]]:
    return {word.name: {field.name: 0 for field in word.fields} for word in WORDS if word.unit == unit}


def random_registers(rng: np.random.Generator, config: NpuConfig, mode: Mode) -> dict[str, dict[str, int]]:
    def pick(low: int, high: int) -> int:
        return int(rng.integers(low, high, endpoint=True))

    registers = zeros(Unit.ARRAY)
    pairs = mode == Mode.PAIRS
    depthwise = pairs or mode == Mode.DEPTHWISE
    groups = pick(1, config.groups)
    group_rows = pick(1, 2)
    pitch = pick(1, 40)
    if depthwise and groups > 1:
        pitch, group_rows = config.word_bytes * (2 if pairs else pick(1, 3)), 1
    registers["INPUT"] = {"base": pick(0, config.scratchpad_bytes - 1), "pitch": pitch}
    registers["WINDOW"] = {"height": pick(0, 6), "row_bytes": pick(0, 40)}
    registers["ORIGIN"] = {"y": pick(-3, 2), "x": pick(-20, 5)}
    registers["STEP"] = {
        "position": pick(0, 9),
        "row": pick(0, 3),
        "decimation": pick(1, 3) if depthwise else 1,
        "join": 0,
    }
    if pairs:
        registers["STEP"]["position"] = 2 * config.word_bytes * (2 * pick(0, 1) + 1)
    registers["KERNEL_Y"] = {
        "steps": pick(1, 3),
        "rows": pick(0, 3),
        "group_rows": group_rows,
        "group_pitch": group_rows * pitch,
    }
    registers["KERNEL_X"] = {
        "steps": pick(1, 2),
        "bytes": pick(0, 9),
        "chunks": pick(1, 3) if mode == Mode.CONV else 1,
    }
    registers["OUT"] = {"height": pick(1, 4), "width": pick(1, 5)}
    registers["BLOCK"] = {"height": pick(1, 4), "width": pick(1, 5)}
    registers["TILES"] = {"count": pick(1, 3), "input_step": pick(0, 1) * pick(0, 30), "pad_value": pick(-128, 127)}
    rows = config.taps * groups if depthwise else config.rows
    registers["WEIGHTS"] = {
        "rows": pick(1, rows),
        "free": pick(0, 1),
        "pad": pick(0, 3),
        "bias": pick(0, 1),
        "scale": pick(0, 1),
    }
    registers["RUN"] = {
        "tag": 0,
        "wait": 0,
        "signal": 0,
        "mode": int(mode),
        "maximum": int(rng.random() < 0.3),
        "groups": groups,
        "follow": 0,
        "follow_run": 0,
    }
    return registers


def lane(
    config: NpuConfig,
    pad: np.ndarray,
    r: dict[str, dict[str, int]],
    tile: int,
    group: int,
    row: int,
    byte: int,
    index: int,
) -> int:
    """One byte of a vector, as docs/isa.md says."""
    row_of_lane = row + group * r["KERNEL_Y"]["group_rows"]
    pairs = r["RUN"]["mode"] == Mode.PAIRS
    at = byte if pairs else byte + index
    if not (0 <= row_of_lane < r["WINDOW"]["height"] and 0 <= at < r["WINDOW"]["row_bytes"]):
        return r["TILES"]["pad_value"]
    start = r["INPUT"]["base"] + tile * r["TILES"]["input_step"] + row_of_lane * r["INPUT"]["pitch"] + byte
    if r["RUN"]["mode"] == Mode.DEPTHWISE:
        word = config.word_bytes
        address = start // word * word + (start + index) % word
    elif pairs:
        address = start // config.word_bytes * config.word_bytes + index
    else:
        address = start + index
    return int(pad[address % 2**24 % config.scratchpad_bytes])


def expected(config: NpuConfig, pad: np.ndarray, r: dict[str, dict[str, int]], weights: np.ndarray) -> np.ndarray:
    """``weights`` int8 (tiles, steps, rows, columns). Returns int32 (tiles, height, width, columns)."""
    height, width, tiles = r["OUT"]["height"], r["OUT"]["width"], r["TILES"]["count"]
    result = np.zeros((tiles, height, width, config.columns), np.int32)
    for tile, y, x in np.ndindex(tiles, height, width):
        steps: list[np.ndarray] = []
        for ky in range(r["KERNEL_Y"]["steps"]):
            for kx in range(r["KERNEL_X"]["steps"]):
                for chunk in range(r["KERNEL_X"]["chunks"]):
                    row = r["ORIGIN"]["y"] + y * r["STEP"]["row"] + ky * r["KERNEL_Y"]["rows"]
                    byte = r["ORIGIN"]["x"] + kx * r["KERNEL_X"]["bytes"]
                    place = lambda group, at, i, row=row: lane(config, pad, r, tile, group, row, at, i)  # noqa: B023, E731
                    at = byte + x * r["STEP"]["position"]
                    if r["RUN"]["mode"] == Mode.POOL:
                        step = np.array([place(0, at, c) for c in range(config.columns)], np.int64)
                    else:
                        matrix = weights[tile, len(steps)].astype(np.int64)
                        step = np.zeros(config.columns, np.int64)
                        for index in range(r["WEIGHTS"]["rows"]):
                            if r["RUN"]["mode"] == Mode.CONV:
                                step += place(0, at + chunk * r["WEIGHTS"]["rows"], index) * matrix[index]
                            else:
                                group, tap = divmod(index, config.taps)
                                position, apart = r["STEP"]["position"], 2 if r["RUN"]["mode"] == Mode.PAIRS else 1
                                pixel = byte + x * r["STEP"]["decimation"] * position + tap * position // apart
                                vector = [place(group, pixel, c) for c in range(config.columns)]
                                step += np.array(vector) * matrix[index]
                    steps.append(step)
        total = np.maximum.reduce(steps) if r["RUN"]["maximum"] else np.sum(steps, axis=0)
        result[tile, y, x] = total
    return result


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: f"{config.rows}x{config.columns}")
@pytest.mark.parametrize("seed", range(6))
def test_runs_agree_with_the_loops(mode: Mode, config: NpuConfig, seed: int) -> None:
    if mode == Mode.PAIRS and config.taps < 3:
        pytest.skip("needs three taps")
    rng = np.random.default_rng(seed)
    registers = random_registers(rng, config, mode)
    assert refusal(config, Unit.ARRAY, registers) is None
    settings, tiles = registers["WEIGHTS"], registers["TILES"]["count"]
    kernel = registers["KERNEL_Y"]["steps"] * registers["KERNEL_X"]["steps"] * registers["KERNEL_X"]["chunks"]
    scratchpad = rng.integers(0, 256, config.scratchpad_bytes, dtype=np.uint8)
    steps = kernel if mode != Mode.POOL else 0
    weights = rng.integers(-128, 128, (tiles, steps, settings["rows"], config.weight_row_bytes), dtype=np.int8)
    side = rng.integers(
        0, 256, (tiles, 4 * settings["bias"] + 5 * settings["scale"], config.weight_row_bytes), np.uint8
    )
    stream = WeightStream(config)
    for tile in range(tiles):
        stream.append(side[tile])
        stream.append(weights[tile].view(np.uint8))
    stream.append(np.zeros(settings["pad"] * config.weight_row_bytes, np.uint8))
    rows = stream.rows

    footprint = Footprint()
    result = run_array(config, scratchpad, stream, registers, footprint)

    assert stream.rows == (0 if settings["free"] else rows)
    wanted = expected(config, scratchpad.view(np.int8), registers, weights[..., : config.columns])
    np.testing.assert_array_equal(result.values, wanted)
    for tile, parameters in enumerate(result.parameters):
        flat = side[tile].reshape(-1)
        if settings["bias"]:
            np.testing.assert_array_equal(parameters.bias, flat[: 4 * config.columns].view("<i4"))
            flat = flat[4 * config.weight_row_bytes :]
        else:
            assert parameters.bias is None
        if settings["scale"]:
            np.testing.assert_array_equal(parameters.multiplier, flat[: 4 * config.columns].view("<i4"))
            shifts = flat[4 * config.weight_row_bytes :][: config.columns].view(np.int8)
            np.testing.assert_array_equal(parameters.shift, shifts)


def conv(**changes: dict[str, int]) -> dict[str, dict[str, int]]:
    """A 1 × 1 kernel on one position, with changes."""
    registers = zeros(Unit.ARRAY)
    ones: dict[str, Any] = {
        "STEP": {"position": 1, "row": 1, "decimation": 1, "join": 0},
        "KERNEL_Y": {"steps": 1},
        "KERNEL_X": {"steps": 1, "chunks": 1},
        "OUT": {"height": 1, "width": 1},
        "BLOCK": {"height": 1, "width": 1},
        "TILES": {"count": 1},
        "WEIGHTS": {"rows": 1, "free": 1},
        "WINDOW": {"height": 1, "row_bytes": 1},
    }
    for name in registers:
        registers[name].update(ones.get(name, {}))
        registers[name].update(changes.get(name, {}))
    return registers


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"WEIGHTS": {"pad": 1}}, "it takes 2 weight rows, but only 1 have been streamed before it"),
        (
            {"KERNEL_Y": {"steps": 250}, "KERNEL_X": {"chunks": 10}, "OUT": {"width": 2}},
            "it keeps 2500 weight rows at once, but the weight buffer has room for 2018",
        ),
        (
            {"TILES": {"count": 2049}, "WEIGHTS": {"free": 0}},
            "it keeps 2049 weight rows at once, but the weight buffer has room for 2018",
        ),
    ],
)
def test_runs_that_would_wait_for_ever(changes: dict[str, dict[str, int]], reason: str | None) -> None:
    config = PRESETS["nano"]
    stream = WeightStream(config)
    stream.append(np.zeros(config.weight_row_bytes, np.uint8))
    scratchpad = np.zeros(config.scratchpad_bytes, np.uint8)
    if reason is None:
        run_array(config, scratchpad, stream, conv(**changes), None)
        return
    with pytest.raises(Refused) as error:
        run_array(config, scratchpad, stream, conv(**changes), None)
    assert (error.value.reason, error.value.code) == (reason, None)


def joined(width: int, **changes: dict[str, int]) -> dict[str, dict[str, int]]:
    """DEPTHWISE over three rows of ``width`` pixels of four bytes, SAME padding, the rows joined."""
    shape: dict[str, dict[str, int]] = {
        "WINDOW": {"height": 3, "row_bytes": 4 * width},
        "ORIGIN": {"x": -4},
        "INPUT": {"pitch": 4 * width},
        "STEP": {"position": 4, "join": 1},
        "OUT": {"height": 3, "width": width},
        "BLOCK": {"height": 3, "width": width},
        "WEIGHTS": {"rows": 3},
        "RUN": {"mode": int(Mode.DEPTHWISE), "groups": 1},
    }
    return conv(**{name: {**shape.get(name, {}), **changes.get(name, {})} for name in {**shape, **changes}})


@pytest.mark.parametrize(
    ("changes", "last_weight", "refused"),
    [
        ({}, 1, False),
        ({"ORIGIN": {"x": 0}}, 1, True),  # no padding on the left, where the next row begins
        ({"WINDOW": {"row_bytes": 24}}, 1, True),  # none on the right
        ({"WINDOW": {"row_bytes": 24}}, 0, False),  # but the tap that would see it has no weight
        ({"WINDOW": {"row_bytes": 24}, "BLOCK": {"height": 1}}, 1, False),  # no row follows in a block
        ({"WINDOW": {"row_bytes": 24}, "STEP": {"decimation": 3}}, 1, False),  # such rows are never joined
        ({"BLOCK": {"width": 2}}, 1, True),  # blocks of columns begin inside the row
    ],
)
def test_joined_rows_share_padding_only(changes: dict[str, dict[str, int]], last_weight: int, refused: bool) -> None:
    config, width = PRESETS["nano"], 4
    stream = WeightStream(config)
    weights = np.ones((3, config.weight_row_bytes), np.uint8)
    weights[2] = last_weight
    stream.append(weights)
    scratchpad = np.arange(config.scratchpad_bytes, dtype=np.int64).astype(np.uint8)
    registers = joined(width, **changes)
    if refused:
        with pytest.raises(Refused) as error:
            run_array(config, scratchpad, stream, registers, None)
        assert error.value.reason == "it joins rows (STEP.join), but what they share is no padding to both"
        return
    values = run_array(config, scratchpad, stream, registers, None).values
    wanted = expected(
        config, scratchpad.view(np.int8), registers, weights[None, None, :, : config.columns].view(np.int8)
    )
    np.testing.assert_array_equal(values, wanted)


def test_a_long_product_streams_through_a_small_ring() -> None:
    config = PRESETS["nano"]
    rows = 4 * config.weight_rows
    stream = WeightStream(config)
    stream.append(np.ones(rows * config.weight_row_bytes, np.uint8))
    scratchpad = np.ones(config.scratchpad_bytes, np.uint8)
    registers = conv(
        KERNEL_X={"chunks": rows // 4}, WEIGHTS={"rows": 4}, WINDOW={"row_bytes": rows}, TILES={"pad_value": 0}
    )
    result = run_array(config, scratchpad, stream, registers, None)
    assert result.values.ravel().tolist() == [rows] * 4
    assert stream.rows == 0


@pytest.mark.parametrize("mode", (Mode.CONV, Mode.DEPTHWISE))
def test_bytes_that_meet_only_zero_weights_do_not_count_as_read(mode: Mode) -> None:
    config = PRESETS["nano"]
    stream = WeightStream(config)
    weights = np.zeros((3, config.weight_row_bytes), np.uint8)
    weights[1, 2] = 1
    stream.append(weights)
    registers = conv(
        WEIGHTS={"rows": 3}, WINDOW={"row_bytes": 64}, INPUT={"base": 16}, RUN={"mode": int(mode), "groups": 1}
    )
    footprint = Footprint()
    run_array(config, np.zeros(config.scratchpad_bytes, np.uint8), stream, registers, footprint)
    # CONV: row 1 reads byte 1. DEPTHWISE: tap 1 of column 2 reads byte 2 of the pixel at byte 1.
    assert np.concatenate(footprint.scratchpad_reads).tolist() == [17 if mode == Mode.CONV else 19]
