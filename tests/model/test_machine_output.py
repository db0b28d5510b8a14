"""OUTPUT runs against the formulas of docs/isa.md, written out byte by byte."""

from typing import Any

import numpy as np
import pytest

from tensaw.compiler.ir import Rounding, Softmax
from tensaw.model.machine_array import Accumulated, Parameters, WeightStream
from tensaw.model.machine_error import Refused
from tensaw.model.machine_output import Tables, block_order, drain, read_table, softmax_rows
from tensaw.model.requantise import multiply, wrap32
from tensaw.model.softmax import exponent_table, softmax
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import WORDS, Operation, TableKind, Unit
from tensaw.spec.limits import refusal

CONFIG = NpuConfig(rows=5, columns=7, column_group=1, requant_lanes=2, scratchpad_bytes=4096, weight_bytes=4096)


def random_registers(rng: np.random.Generator, operation: Operation, table: int) -> dict[str, dict[str, int]]:
    def pick(low: int, high: int) -> int:
        return int(rng.integers(low, high, endpoint=True))

    def scale() -> dict[str, int]:
        return {"multiplier": pick(1 << 30, (1 << 31) - 1), "shift": pick(-12, -4)}

    def quant() -> dict[str, int]:
        low = pick(-128, 0)
        return {"zero_point": pick(-128, 127), "low": low, "high": pick(low, 127), "rounding": pick(0, 2)}

    registers: dict[str, dict[str, int]] = {
        word.name: {field.name: 0 for field in word.fields} for word in WORDS if word.unit == Unit.OUTPUT
    }
    tile = pick(1, CONFIG.columns)
    tiles = pick(1, 3)
    pixel_pitch = tile * tiles + pick(0, 3)
    width = pick(1, 5)
    registers["TARGET"] = {"base": pick(0, 1024), "pitch": width * pixel_pitch + pick(0, 3)}
    registers["CHANNELS"] = {"pixel_pitch": pixel_pitch, "tile": tile, "last": pick(1, tile), "tiles": tiles}
    registers["OUT"] = {"height": pick(1, 4), "width": width}
    registers["BLOCK"] = {"height": pick(1, 4), "width": pick(1, 5)}
    registers["QUANT"] = {**quant(), "bias": pick(0, 1), "scale": pick(0, 1)}
    registers["SCALE"] = scale()
    registers["OPERAND"] = {
        "base": registers["TARGET"]["base"] + 2048,
        "pitch": pick(0, 40),
    }
    registers["OPERAND_STEP"] = {
        "pixel_pitch": pick(0, 9),
        "tile_step": pick(0, 9),
        "zero_a": pick(-128, 127),
        "zero_b": pick(-128, 127),
        "operation": int(operation),
        "reverse": pick(0, 1),
    }
    for name in ("SCALE_A", "SCALE_B"):
        registers[name] = {**scale(), "shift": pick(-3, 0)}
    registers["SCALE_OUT"] = {**scale(), "shift": pick(-19, -16) if operation != Operation.MUL else pick(-8, -5)}
    registers["QUANT_OUT"] = quant()
    registers["RUN"] = {"tag": 0, "wait": 0, "signal": 0, "kind": 0, "table": table}
    return registers


def requantise(value: int, scale: dict[str, int], quant: dict[str, int]) -> int:
    scaled = int(multiply(value, scale["multiplier"], scale["shift"], Rounding(quant["rounding"])))
    return min(max(scaled + quant["zero_point"], quant["low"]), quant["high"])


def combine(a: int, b: int, r: dict[str, dict[str, int]]) -> int:
    step = r["OPERAND_STEP"]
    a, b = a - step["zero_a"], b - step["zero_b"]
    if step["operation"] == Operation.MUL:
        return requantise(a * b, r["SCALE_OUT"], r["QUANT_OUT"])
    first = int(multiply(a << 20, r["SCALE_A"]["multiplier"], r["SCALE_A"]["shift"], Rounding.DOUBLE))
    second = int(multiply(b << 20, r["SCALE_B"]["multiplier"], r["SCALE_B"]["shift"], Rounding.DOUBLE))
    if step["operation"] == Operation.ADD:
        total = first + second
    else:
        total = second - first if step["reverse"] else first - second
    return requantise(int(wrap32(total)), r["SCALE_OUT"], r["QUANT_OUT"])


@pytest.mark.parametrize("operation", Operation)
@pytest.mark.parametrize("table", (0, 1))
@pytest.mark.parametrize("seed", range(4))
def test_drains_agree_with_the_formulas(operation: Operation, table: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    r = random_registers(rng, operation, table)
    if seed == 3:  # In place: every position's operand is its own target.
        r["OPERAND"] = dict(r["TARGET"])
        r["OPERAND_STEP"] |= {"pixel_pitch": r["CHANNELS"]["pixel_pitch"], "tile_step": r["CHANNELS"]["tile"]}
    assert refusal(CONFIG, Unit.OUTPUT, r) is None
    tiles, height, width = r["CHANNELS"]["tiles"], r["OUT"]["height"], r["OUT"]["width"]
    values = rng.integers(-30000, 30000, (tiles, height, width, CONFIG.columns), dtype=np.int32)
    parameters = []
    for _ in range(tiles):
        bias = rng.integers(-5000, 5000, CONFIG.columns, dtype=np.int32)
        multiplier = rng.integers(1 << 30, 1 << 31, CONFIG.columns, dtype=np.int64).astype(np.int32)
        shift = rng.integers(-10, -6, CONFIG.columns, dtype=np.int32)
        scales = r["QUANT"]["scale"]
        parameters.append(
            Parameters(bias if r["QUANT"]["bias"] else None, multiplier if scales else None, shift if scales else None)
        )
    block = r["BLOCK"]["height"], r["BLOCK"]["width"]
    accumulated = Accumulated(values, block, parameters, bool(r["QUANT"]["bias"]), bool(r["QUANT"]["scale"]))
    lookup = rng.integers(-128, 128, 256, dtype=np.int8)
    scratchpad = rng.integers(0, 256, CONFIG.scratchpad_bytes, dtype=np.uint8)
    before, wanted = scratchpad.view(np.int8).copy(), scratchpad.view(np.int8).copy()
    for n, y, x in np.ndindex(tiles, height, width):
        for c in range(r["CHANNELS"]["last"] if n == tiles - 1 else r["CHANNELS"]["tile"]):
            bias, multiplier, shift = parameters[n].bias, parameters[n].multiplier, parameters[n].shift
            acc = int(values[n, y, x, c]) + (0 if bias is None else int(bias[c]))
            scale = r["SCALE"]
            if multiplier is not None and shift is not None:
                scale = {"multiplier": int(multiplier[c]), "shift": int(shift[c])}
            result = requantise(acc, scale, r["QUANT"])
            if operation != Operation.NONE:
                step = r["OPERAND_STEP"]
                address = r["OPERAND"]["base"] + n * step["tile_step"] + y * r["OPERAND"]["pitch"]
                address += x * step["pixel_pitch"] + c
                result = combine(result, int(before[address]), r)
            if table:
                result = int(lookup[result & 255])
            address = r["TARGET"]["base"] + n * r["CHANNELS"]["tile"] + y * r["TARGET"]["pitch"]
            address += x * r["CHANNELS"]["pixel_pitch"] + c
            wanted[address] = result

    drain(CONFIG, scratchpad, Tables(lookup=lookup), r, accumulated)

    np.testing.assert_array_equal(scratchpad.view(np.int8), wanted)
    assert (wanted != before).any()


def test_blocks_deliver_row_by_row() -> None:
    assert block_order(3, 4, (2, 3)).tolist() == [0, 1, 2, 4, 5, 6, 3, 7, 8, 9, 10, 11]


@pytest.mark.parametrize(
    ("register", "field", "text"),
    [
        ("CHANNELS", "tiles", "tiles is 2 here but 1 in the ARRAY.RUN at word 9 that it drains"),
        ("OUT", "height", "OUT.height is 2 here but 1 in the ARRAY.RUN at word 9 that it drains"),
        ("BLOCK", "width", "BLOCK.width is 2 here but 1 in the ARRAY.RUN at word 9 that it drains"),
    ],
)
def test_a_drain_that_does_not_match(register: str, field: str, text: str) -> None:
    r = random_registers(np.random.default_rng(0), Operation.NONE, 0)
    r["CHANNELS"] |= {"tiles": 1}
    r["OUT"] = r["BLOCK"] = {"height": 1, "width": 1}
    r["QUANT"] |= {"bias": 0, "scale": 0}
    r[register] = {**r[register], field: 2}
    accumulated = Accumulated(np.zeros((1, 1, 1, CONFIG.columns), np.int32), (1, 1), [Parameters()], False, False, 9)
    with pytest.raises(Refused) as error:
        drain(CONFIG, np.zeros(CONFIG.scratchpad_bytes, np.uint8), Tables(), r, accumulated)
    assert error.value.reason == text


@pytest.mark.parametrize(("multiplier", "shift"), [(1 << 31, 0), (1 << 30, 31), (1 << 30, -32)])
def test_scales_that_no_rounding_is_defined_for(multiplier: int, shift: int) -> None:
    r = random_registers(np.random.default_rng(0), Operation.NONE, 0)
    r["QUANT"] |= {"bias": 0, "scale": 0}
    r["SCALE"] = {"multiplier": multiplier, "shift": shift}
    shape = r["CHANNELS"]["tiles"], r["OUT"]["height"], r["OUT"]["width"], CONFIG.columns
    block = r["BLOCK"]["height"], r["BLOCK"]["width"]
    accumulated = Accumulated(np.zeros(shape, np.int32), block, [Parameters()] * shape[0], False, False)
    with pytest.raises(Refused) as error:
        drain(CONFIG, np.zeros(CONFIG.scratchpad_bytes, np.uint8), Tables(), r, accumulated)
    assert error.value.reason == "OUTPUT.SCALE holds a multiplier outside 0 to 2**31 - 1 or a shift outside -31 to 30"


def test_softmax_runs_agree_with_the_operator() -> None:
    rng = np.random.default_rng(7)
    op = Softmax("softmax", "SOFTMAX", ("in",), "out", multiplier=1717986918, shift=22, diff_min=-100)
    x = rng.integers(-128, 128, (3, 10), dtype=np.int8)
    scratchpad = np.zeros(CONFIG.scratchpad_bytes, np.uint8)
    for row in range(3):
        scratchpad[100 + 16 * row :][:10] = x[row].view(np.uint8)
    stream, tables = WeightStream(CONFIG), Tables()
    exponents = exponent_table(op).astype("<i4").view(np.uint8)
    registers: dict[str, Any] = {
        "OUT": {"height": 3, "width": 10},
        "OPERAND": {"base": 100, "pitch": 16},
        "TARGET": {"base": 200, "pitch": 10},
    }
    for part in (3, 0, 2, 1):
        with pytest.raises(Refused) as error:
            softmax_rows(CONFIG, scratchpad, tables, registers)
        missing = min({0, 1, 2, 3} - tables.parts)
        text = f"it uses part {missing} of the exponent table, which no ARRAY.TABLE has loaded before it"
        assert error.value.reason == text
        stream.append(np.concatenate([exponents[256 * part : 256 * part + 256], np.ones(8, np.uint8)]))
        read_table(CONFIG, stream, tables, TableKind.EXPONENT, part)
        assert stream.rows == 1
        stream.free(1)
    softmax_rows(CONFIG, scratchpad, tables, registers)
    np.testing.assert_array_equal(scratchpad[200:230].view(np.int8).reshape(3, 10), softmax(x, op))
