"""The output stage of the machine: DRAIN and SOFTMAX runs, by the golden operators' own arithmetic."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tensaw.compiler.ir import Elementwise, ElementwiseKind, Requantise, Rounding
from tensaw.model.elementwise import elementwise
from tensaw.model.machine_array import Accumulated, WeightStream
from tensaw.model.machine_error import Refused
from tensaw.model.machine_memory import Addresses, Bytes, Footprint
from tensaw.model.requantise import requantise, wrap32
from tensaw.model.softmax import exponent_sum, reciprocal, scale_outputs
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import Operation, TableKind
from tensaw.spec.limits import Registers

__all__ = ["Tables", "block_order", "drain", "read_table", "softmax_rows"]


@dataclass
class Tables:
    """Tables, None until loaded: ``lookup`` int8 (256,) indexed by ``v & 255``, ``exponent`` int32 (256,) with the
    ``parts`` of it that are loaded."""

    lookup: npt.NDArray[np.int8] | None = None
    exponent: npt.NDArray[np.int32] | None = None
    parts: set[int] = field(default_factory=set)


def read_table(config: NpuConfig, stream: WeightStream, tables: Tables, kind: TableKind, part: int = 0) -> None:
    """ARRAY.TABLE: take 256 bytes of a table from the weight stream. Raises Refused if they have not been streamed."""
    rows = 256 // config.weight_row_bytes
    content = stream.peek(rows).reshape(-1)
    stream.free(rows)
    if kind == TableKind.LOOKUP:
        tables.lookup = content.view(np.int8)
        return
    if tables.exponent is None:
        tables.exponent = np.zeros(256, np.int32)
    tables.exponent[64 * part : 64 * part + 64] = content.view("<i4")
    tables.parts.add(part)


def block_order(height: int, width: int, block: tuple[int, int]) -> npt.NDArray[np.int64]:
    """Row-major indices of all positions in the order in which blocks deliver them."""
    grid = np.arange(height * width, dtype=np.int64).reshape(height, width)
    return np.concatenate(
        [
            grid[top : top + block[0], left : left + block[1]].ravel()
            for top in range(0, height, block[0])
            for left in range(0, width, block[1])
        ]
    )


def _inside(config: NpuConfig, addresses: Addresses) -> Addresses:
    """The addresses, all of which must lie in the scratchpad. Raises Refused."""
    last = int(addresses.max())
    if last >= config.scratchpad_bytes:
        raise Refused(f"it reaches scratchpad byte {last}, but there are {config.scratchpad_bytes}")
    return addresses


def _check_scale(name: str, multiplier: npt.ArrayLike, shift: npt.ArrayLike) -> None:
    values, shifts = np.asarray(multiplier, np.int64), np.asarray(shift, np.int64)
    if np.any((values < 0) | (values >= 1 << 31)) or np.any((shifts < -31) | (shifts > 30)):
        raise Refused(f"{name} holds a multiplier outside 0 to 2**31 - 1 or a shift outside -31 to 30")


def _quantiser(registers: Registers, name: str, multiplier: npt.ArrayLike, shift: npt.ArrayLike) -> Requantise:
    settings = registers[name]
    return Requantise(
        multiplier=np.atleast_1d(np.asarray(multiplier, np.int64)),
        shift=np.atleast_1d(np.asarray(shift, np.int64)),
        zero_point=settings["zero_point"],
        low=settings["low"],
        high=settings["high"],
        rounding=Rounding(settings["rounding"]),
    )


def _scale(registers: Registers, name: str) -> tuple[int, int]:
    multiplier, shift = registers[name]["multiplier"], registers[name]["shift"]
    _check_scale(f"OUTPUT.{name}", multiplier, shift)
    return multiplier, shift


def _combine(registers: Registers, first: npt.NDArray[np.int8], second: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    """The second operand: ``first`` is the requantised accumulator, ``second`` comes from the scratchpad."""
    step = registers["OPERAND_STEP"]
    operation = Operation(step["operation"])
    scales = [(0, 0), (0, 0)]
    if operation != Operation.MUL:
        scales = [_scale(registers, "SCALE_A"), _scale(registers, "SCALE_B")]
    zero_points = step["zero_a"], step["zero_b"]
    if operation == Operation.SUB and step["reverse"]:
        first, second, scales = second, first, scales[::-1]
        zero_points = step["zero_b"], step["zero_a"]
    operator = Elementwise(
        name="",
        kind="",
        inputs=(),
        output="",
        operation=ElementwiseKind(int(operation)),
        zero_points=zero_points,
        multipliers=(scales[0][0], scales[1][0]),
        shifts=(scales[0][1], scales[1][1]),
        requantise=_quantiser(registers, "QUANT_OUT", *_scale(registers, "SCALE_OUT")),
    )
    return elementwise(first, second, operator)


def _check_match(registers: Registers, accumulated: Accumulated) -> None:
    """Refuse to drain what another ARRAY run than the described one has produced."""
    tiles, height, width, _ = accumulated.values.shape
    out, block, channels, quant = (registers[name] for name in ("OUT", "BLOCK", "CHANNELS", "QUANT"))
    for name, array, output in (
        ("tiles", tiles, channels["tiles"]),
        ("OUT.height", height, out["height"]),
        ("OUT.width", width, out["width"]),
        ("BLOCK.height", accumulated.block[0], block["height"]),
        ("BLOCK.width", accumulated.block[1], block["width"]),
        ("bias", int(accumulated.bias), quant["bias"]),
        ("scale", int(accumulated.scale), quant["scale"]),
    ):
        if array != output:
            raise Refused(
                f"{name} is {output} here but {array} in the ARRAY.RUN at word {accumulated.word} that it drains"
            )


def drain(
    config: NpuConfig, scratchpad: Bytes, tables: Tables, registers: Registers, accumulated: Accumulated
) -> Footprint:
    """A DRAIN run: all accumulators of one ARRAY run to int8 in the scratchpad. Raises Refused.

    The second operand is read before anything is written: a program in which the order matters is not well defined,
    except where each position's operand is its own target.
    """
    _check_match(registers, accumulated)
    target, channels, out = registers["TARGET"], registers["CHANNELS"], registers["OUT"]
    operand, step = registers["OPERAND"], registers["OPERAND_STEP"]
    order = block_order(out["height"], out["width"], accumulated.block)
    y, x = np.divmod(order, out["width"])
    footprint, writes = Footprint(), []
    for tile in range(channels["tiles"]):
        count = channels["last"] if tile == channels["tiles"] - 1 else channels["tile"]
        lanes = np.arange(count)
        parameters = accumulated.parameters[tile]
        values = accumulated.values[tile].reshape(-1, config.columns)[order, :count].astype(np.int64)
        if parameters.bias is not None:
            values = wrap32(values + parameters.bias[:count])
        if parameters.multiplier is not None and parameters.shift is not None:
            multiplier, shift = parameters.multiplier[:count], parameters.shift[:count]
            _check_scale("the weight stream", multiplier, shift)
        else:
            multiplier, shift = _scale(registers, "SCALE")
        result = requantise(values, _quantiser(registers, "QUANT", multiplier, shift))
        if step["operation"] != Operation.NONE:
            start = operand["base"] + tile * step["tile_step"] + y * operand["pitch"] + x * step["pixel_pitch"]
            addresses = _inside(config, start[:, None] + lanes)
            footprint.scratchpad_reads.append(addresses)
            result = _combine(registers, result, scratchpad.view(np.int8)[addresses])
        if registers["RUN"]["table"]:
            result = _table(tables.lookup, "the lookup")[result.view(np.uint8)]
        start = target["base"] + tile * channels["tile"] + y * target["pitch"] + x * channels["pixel_pitch"]
        addresses = _inside(config, start[:, None] + lanes)
        footprint.scratchpad_writes.append(addresses)
        footprint.write_rows.append(np.broadcast_to(y[:, None], addresses.shape))
        writes.append((addresses.ravel(), result.view(np.uint8).ravel()))
    for addresses, content in writes:
        scratchpad[addresses] = content
    return footprint


def _table(table: npt.NDArray | None, name: str) -> npt.NDArray:
    if table is None:
        raise Refused(f"it uses {name} table, which no ARRAY.TABLE has loaded before it")
    return table


def softmax_rows(config: NpuConfig, scratchpad: Bytes, tables: Tables, registers: Registers) -> Footprint:
    """A SOFTMAX run: ``OUT.height`` rows of ``OUT.width`` int8 from OPERAND to TARGET. Raises Refused."""
    missing = min(set(range(4)) - tables.parts, default=None)
    table = _table(tables.exponent if missing is None else None, f"part {missing} of the exponent")
    row = np.arange(registers["OUT"]["height"])[:, None]
    element = np.arange(registers["OUT"]["width"])
    source, target = (
        _inside(config, registers[name]["base"] + row * registers[name]["pitch"] + element)
        for name in ("OPERAND", "TARGET")
    )
    values = scratchpad.view(np.int8)[source].astype(np.int64)
    exponentials = table[values.max(axis=1, keepdims=True) - values].astype(np.int64)
    mantissa, bits = reciprocal(exponent_sum(exponentials))
    scratchpad[target] = scale_outputs(exponentials, mantissa, bits).view(np.uint8)
    footprint = Footprint()
    footprint.scratchpad_reads.append(source)
    footprint.scratchpad_writes.append(target)
    footprint.write_rows.append(np.broadcast_to(row, target.shape))
    return footprint
