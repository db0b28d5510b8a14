"""OUTPUT.RUN, DRAIN: an ARRAY run and what becomes of its accumulators."""

from __future__ import annotations

from tensaw.serial.assembler import Assembler, Reg
from tensaw.serial.memory import BYTES
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import Mode, Operation, Peer

__all__ = ["drain"]


def _array(asm: Assembler, name: str) -> Reg:
    return asm.reg(f"ARRAY.{name}")


def _output(asm: Assembler, name: str) -> Reg:
    return asm.reg(f"OUTPUT.{name}")


def drain(asm: Assembler, config: NpuConfig) -> None:
    """OUTPUT.RUN; ``go`` to ``softmax`` for that kind."""
    pending, tokens, t = asm.regs("pending", "array_tokens", "t")
    asm.label("do_OUTPUT_RUN")
    for name in ("OUT.height", "OUT.width"):
        asm.if_equal(_output(asm, name), 0, "ILLEGAL_VALUE")
    asm.if_different(_output(asm, "RUN.kind"), 0, "softmax")
    for name in ("BLOCK.height", "BLOCK.width", "CHANNELS.tile", "CHANNELS.last", "CHANNELS.tiles"):
        asm.if_equal(_output(asm, name), 0, "ILLEGAL_VALUE")
    asm.if_not_below(_output(asm, "CHANNELS.tile"), config.columns + 1, "ILLEGAL_VALUE")
    asm.if_below(_output(asm, "CHANNELS.tile"), _output(asm, "CHANNELS.last"), "ILLEGAL_VALUE")
    asm.if_equal(_output(asm, "QUANT.rounding"), 3, "ILLEGAL_VALUE")
    asm.if_equal(_output(asm, "OPERAND_STEP.operation"), 0, "drain_alone")
    asm.if_equal(_output(asm, "QUANT_OUT.rounding"), 3, "ILLEGAL_VALUE")
    asm.label("drain_alone")
    asm.if_equal(_output(asm, "RUN.table"), 0, "drain_without_table")
    asm.if_equal(asm.reg("lookup"), 0, "ILLEGAL_VALUE")
    asm.label("drain_without_table")
    asm.if_equal(pending, 0, "ILLEGAL_VALUE")
    # Runs of the array do not end before they are drained: a drain cannot wait for a token that its own run gives.
    asm.shift_right(t, asm.reg("low"), 16 + Peer.ARRAY)
    asm.bits_and(t, t, 1)
    asm.if_below(tokens, t, "ILLEGAL_VALUE")
    asm.sub(tokens, tokens, t)
    for array, output in (
        ("TILES.count", "CHANNELS.tiles"), ("OUT.height", "OUT.height"), ("OUT.width", "OUT.width"),
        ("BLOCK.height", "BLOCK.height"), ("BLOCK.width", "BLOCK.width"), ("WEIGHTS.bias", "QUANT.bias"),
        ("WEIGHTS.scale", "QUANT.scale"),
    ):  # fmt: skip
        asm.if_different(_array(asm, array), _output(asm, output), "ILLEGAL_VALUE")
    _prepare(asm)
    asm.call("count_cycles")
    asm.move(pending, 2)
    _loops(asm, config)
    asm.call("count_cycles")
    asm.move(pending, 0)
    asm.add(tokens, tokens, asm.reg("array_signal"))
    # The weights that have been used.
    asm.move(asm.reg("need"), asm.reg("stream_bytes"))
    asm.if_equal(_array(asm, "WEIGHTS.free"), 0, "next")
    asm.if_equal(asm.reg("need"), 0, "next")
    asm.call("free")
    asm.go("next")


def _prepare(asm: Assembler) -> None:
    """How much of the weight stream is taken, and whether it is there; what does not change from position to
    position."""
    t, upper, need = asm.regs("t", "upper", "need")
    mode, pad = asm.regs("mode", "pad")
    parameters, tile_bytes = asm.regs("parameter_bytes", "tile_bytes")
    asm.move(pad, _array(asm, "TILES.pad_value"))
    asm.move(parameters, 0)
    asm.if_equal(_array(asm, "WEIGHTS.bias"), 0, "no_bias_rows")
    asm.move(parameters, 16)
    asm.label("no_bias_rows")
    asm.move(asm.reg("scale_offset"), parameters)
    asm.if_equal(_array(asm, "WEIGHTS.scale"), 0, "no_scale_rows")
    asm.add(parameters, parameters, 20)
    asm.label("no_scale_rows")
    asm.move(tile_bytes, parameters)
    asm.multiply(asm.reg("run_bytes"), _array(asm, "KERNEL_X.chunks"), _array(asm, "WEIGHTS.rows"))
    asm.if_equal(mode, Mode.POOL, "no_weight_rows")
    asm.multiply(t, _array(asm, "KERNEL_Y.steps"), _array(asm, "KERNEL_X.steps"))
    asm.multiply(t, t, asm.reg("run_bytes"), upper)
    asm.if_different(upper, 0, "ILLEGAL_VALUE")
    asm.if_not_below(t, BYTES, "ILLEGAL_VALUE")
    asm.shift_left(t, t, 2)
    asm.add(tile_bytes, tile_bytes, t)
    asm.label("no_weight_rows")
    asm.multiply(need, tile_bytes, _array(asm, "TILES.count"), upper)
    asm.if_different(upper, 0, "ILLEGAL_VALUE")
    asm.shift_left(t, _array(asm, "WEIGHTS.pad"), 2)
    asm.multiply(t, t, _array(asm, "WEIGHTS.free"))
    asm.add(need, need, t)
    asm.if_below(need, t, "ILLEGAL_VALUE")
    asm.move(asm.reg("stream_bytes"), need)
    asm.call("has")
    # PAIRS has two pixels in a position.
    asm.move(asm.reg("pixel"), _array(asm, "STEP.position"))
    asm.if_different(mode, Mode.PAIRS, "not_pairs")
    asm.shift_right(asm.reg("pixel"), asm.reg("pixel"), 1)
    asm.label("not_pairs")
    asm.multiply(asm.reg("byte_step"), _array(asm, "STEP.position"), _array(asm, "STEP.decimation"))
    # 0: column by column; 1: all columns of CONV; 2: all of DEPTHWISE.
    asm.move(asm.reg("way"), 0)
    asm.if_different(_array(asm, "RUN.maximum"), 0, "chosen")
    asm.if_not_below(mode, Mode.DEPTHWISE + 1, "chosen")
    asm.add(asm.reg("way"), mode, 1)
    asm.label("chosen")


def _loops(asm: Assembler, config: NpuConfig) -> None:
    tiles, count, parameters = asm.regs("tiles", "count", "parameters")
    tile_base, tile_target, tile_operand = asm.regs("tile_base", "tile_target", "tile_operand")
    row_target, row_operand, target, operand = asm.regs("row_target", "row_operand", "target", "operand")
    y, x_left, row_0, byte_0, column = asm.regs("y", "x_left", "row_0", "byte_0", "column")
    fast, x, at = asm.regs("fast", "x", "at")
    asm.move(tiles, _array(asm, "TILES.count"))
    asm.move(parameters, asm.reg("begin_0"))
    asm.move(tile_base, _array(asm, "INPUT.base"))
    asm.move(tile_target, _output(asm, "TARGET.base"))
    asm.move(tile_operand, _output(asm, "OPERAND.base"))
    asm.label("tile")
    asm.add(asm.reg("weights"), parameters, asm.reg("parameter_bytes"))
    asm.move(count, _output(asm, "CHANNELS.tile"))
    asm.if_different(tiles, 1, "not_last_tile")
    asm.move(count, _output(asm, "CHANNELS.last"))
    asm.label("not_last_tile")
    asm.move(row_target, tile_target)
    asm.move(row_operand, tile_operand)
    asm.move(row_0, _array(asm, "ORIGIN.y"))
    asm.move(y, _array(asm, "OUT.height"))

    asm.label("y")
    asm.move(target, row_target)
    asm.move(operand, row_operand)
    asm.move(byte_0, _array(asm, "ORIGIN.x"))
    asm.move(x_left, _array(asm, "OUT.width"))

    asm.label("x")
    asm.if_stop("stopped")
    asm.call("count_cycles")  # a driver that sees nothing move takes a run for dead
    asm.move(column, 0)
    asm.move(fast, asm.reg("way"))
    asm.if_equal(fast, 0, "channel")
    asm.if_equal(fast, 2, "depthwise")
    asm.call("all_sums")
    asm.go("channel")
    asm.label("depthwise")
    asm.call("each_sum")
    asm.label("channel")
    asm.if_equal(fast, 0, "slow")
    asm.sum(x, column)
    asm.go("summed")
    asm.label("slow")
    asm.call("one_sum")
    asm.label("summed")
    _channel(asm)
    asm.add(at, target, column)
    asm.if_not_below(at, asm.constant(config.scratchpad_bytes), "ILLEGAL_VALUE")
    asm.keep(at, x)
    asm.add(column, column, 1)
    asm.if_different(column, count, "channel")
    asm.add(target, target, _output(asm, "CHANNELS.pixel_pitch"))
    asm.add(operand, operand, _output(asm, "OPERAND_STEP.pixel_pitch"))
    asm.add(byte_0, byte_0, asm.reg("byte_step"))
    asm.sub(x_left, x_left, 1)
    asm.if_different(x_left, 0, "x")

    asm.add(row_target, row_target, _output(asm, "TARGET.pitch"))
    asm.add(row_operand, row_operand, _output(asm, "OPERAND.pitch"))
    asm.add(row_0, row_0, _array(asm, "STEP.row"))
    asm.sub(y, y, 1)
    asm.if_different(y, 0, "y")

    asm.add(parameters, parameters, asm.reg("tile_bytes"))
    asm.add(tile_base, tile_base, _array(asm, "TILES.input_step"))
    asm.add(tile_target, tile_target, _output(asm, "CHANNELS.tile"))
    asm.add(tile_operand, tile_operand, _output(asm, "OPERAND_STEP.tile_step"))
    asm.sub(tiles, tiles, 1)
    asm.if_different(tiles, 0, "tile")


def _channel(asm: Assembler) -> None:
    """``x``: from accumulator to result."""
    x, multiplier, shift, rounding = asm.regs("x", "multiplier", "shift", "rounding")
    column, at, value, t, operation = asm.regs("column", "at", "value", "t", "operation")
    asm.shift_left(at, column, 2)
    asm.add(at, at, asm.reg("parameters"))
    asm.if_equal(_output(asm, "QUANT.bias"), 0, "unbiased")
    asm.load_word(t, at)
    asm.add(x, x, t)
    asm.label("unbiased")
    asm.move(multiplier, _output(asm, "SCALE.multiplier"))
    asm.move(shift, _output(asm, "SCALE.shift"))
    asm.if_equal(_output(asm, "QUANT.scale"), 0, "one_scale")
    asm.add(at, at, asm.reg("scale_offset"))
    asm.load_word(multiplier, at)
    asm.add(at, asm.reg("parameters"), asm.reg("scale_offset"))
    asm.add(at, at, column)
    asm.load_byte(shift, at, 16)
    asm.label("one_scale")
    asm.move(rounding, _output(asm, "QUANT.rounding"))
    asm.call("scale")
    _clamp(asm, "QUANT")
    asm.move(operation, _output(asm, "OPERAND_STEP.operation"))
    asm.if_equal(operation, Operation.NONE, "combined")

    asm.add(at, asm.reg("operand"), column)
    asm.if_not_below(at, asm.reg("scratchpad_bytes"), "ILLEGAL_VALUE")
    asm.fetch(value, at)
    asm.sub(value, value, _output(asm, "OPERAND_STEP.zero_b"))
    asm.sub(x, x, _output(asm, "OPERAND_STEP.zero_a"))
    asm.if_different(operation, Operation.MUL, "sum_of_two")
    asm.multiply(x, x, value)
    asm.go("two_joined")
    asm.label("sum_of_two")
    asm.move(rounding, 0)
    for name, side in (("SCALE_A", x), ("SCALE_B", value)):
        if name == "SCALE_B":
            asm.move(asm.reg("first_scaled"), x)
        asm.shift_left(x, side, 20)
        asm.move(multiplier, _output(asm, f"{name}.multiplier"))
        asm.move(shift, _output(asm, f"{name}.shift"))
        asm.call("scale")
    asm.move(value, asm.reg("first_scaled"))
    asm.if_equal(operation, Operation.ADD, "added")
    asm.if_different(_output(asm, "OPERAND_STEP.reverse"), 0, "reversed")
    asm.sub(x, value, x)
    asm.go("two_joined")
    asm.label("reversed")
    asm.sub(x, x, value)
    asm.go("two_joined")
    asm.label("added")
    asm.add(x, x, value)
    asm.label("two_joined")
    asm.move(multiplier, _output(asm, "SCALE_OUT.multiplier"))
    asm.move(shift, _output(asm, "SCALE_OUT.shift"))
    asm.move(rounding, _output(asm, "QUANT_OUT.rounding"))
    asm.call("scale")
    _clamp(asm, "QUANT_OUT")
    asm.label("combined")
    asm.if_equal(_output(asm, "RUN.table"), 0, "looked_up")
    asm.bits_and(t, x, 255)
    asm.sub(at, asm.reg("lookup"), 1)
    asm.load_byte(x, at, t)
    asm.label("looked_up")


def _clamp(asm: Assembler, name: str) -> None:
    """``x`` = clamp(x + zero_point, low, high), as if of more bits than 32."""
    x, t, zero = asm.reg("x"), asm.reg("t"), _output(asm, f"{name}.zero_point")
    for limit, test in (("low", asm.if_not_less), ("high", asm.if_less)):
        after = asm.fresh("inside")
        asm.sub(t, _output(asm, f"{name}.{limit}"), zero)
        test(x, t, after)
        asm.move(x, t)
        asm.label(after)
    asm.add(x, x, zero)
