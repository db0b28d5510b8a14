"""ARRAY: what a run is told is checked, and the rest is left to the OUTPUT run that drains it."""

from __future__ import annotations

from collections.abc import Callable

from tensaw.serial.assembler import Assembler, Reg
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import Follow, Mode

__all__ = ["array_run", "sums", "table"]


def _fields(asm: Assembler) -> Callable[[str], Reg]:
    return lambda name: asm.reg(f"ARRAY.{name}")


def array_run(asm: Assembler, config: NpuConfig) -> None:
    """ARRAY.RUN: refuses what tensaw.spec.limits refuses, those rules that the hardware need not check included."""
    of = _fields(asm)
    t, upper, mode = asm.regs("t", "upper", "mode")
    asm.label("do_ARRAY_RUN")
    asm.move(mode, of("RUN.mode"))
    asm.if_below(of("RUN.follow"), max(Follow) + 1, "array_follow")
    asm.go("ILLEGAL_VALUE")
    asm.label("array_follow")
    for name in (
        "STEP.decimation", "KERNEL_Y.steps", "KERNEL_X.steps", "KERNEL_X.chunks", "OUT.height", "OUT.width",
        "BLOCK.height", "BLOCK.width", "TILES.count",
    ):  # fmt: skip
        asm.if_equal(of(name), 0, "ILLEGAL_VALUE")
    first, second = asm.regs("block_height", "block_width")
    for target, side in ((first, "height"), (second, "width")):
        asm.move(target, of(f"BLOCK.{side}"))
        after = asm.fresh("smaller")
        asm.if_below(target, of(f"OUT.{side}"), after)
        asm.move(target, of(f"OUT.{side}"))
        asm.label(after)
    asm.multiply(t, first, second)
    asm.if_below(asm.constant(config.acc_half), t, "ILLEGAL_VALUE")

    asm.if_equal(mode, Mode.POOL, "array_not_weighted")
    asm.if_equal(of("WEIGHTS.rows"), 0, "ILLEGAL_VALUE")
    asm.if_not_below(of("WEIGHTS.rows"), config.rows + 1, "ILLEGAL_VALUE")
    asm.if_equal(mode, Mode.CONV, "array_plain")
    # DEPTHWISE, PAIRS.
    asm.if_equal(of("RUN.groups"), 0, "ILLEGAL_VALUE")
    asm.if_not_below(of("RUN.groups"), config.groups + 1, "ILLEGAL_VALUE")
    word = config.word_bytes
    if config.groups > 1:
        asm.if_equal(of("RUN.groups"), 1, "array_one_group")
        asm.bits_and(t, of("KERNEL_Y.group_pitch"), asm.constant(4 * word - 1))
        asm.if_equal(t, 0, "ILLEGAL_VALUE")
        asm.bits_and(t, t, word - 1)
        asm.if_different(t, 0, "ILLEGAL_VALUE")
        asm.multiply(t, of("KERNEL_Y.group_rows"), of("INPUT.pitch"))
        asm.if_different(t, of("KERNEL_Y.group_pitch"), "ILLEGAL_VALUE")
        asm.label("array_one_group")
    asm.multiply(t, of("RUN.groups"), config.taps)
    asm.if_below(t, of("WEIGHTS.rows"), "ILLEGAL_VALUE")
    asm.if_equal(mode, Mode.DEPTHWISE, "array_one_chunk")
    if config.taps < 3:
        asm.go("ILLEGAL_VALUE")
    else:
        # Half a position must be an odd number of words, and rows of two groups two more than a multiple of four apart.
        asm.bits_and(t, of("STEP.position"), 4 * word - 1)
        asm.if_different(t, 2 * word, "ILLEGAL_VALUE")
        if config.groups > 1:
            asm.if_equal(of("RUN.groups"), 1, "array_one_chunk")
            asm.bits_and(t, of("KERNEL_Y.group_pitch"), asm.constant(4 * word - 1))
            asm.if_different(t, 2 * word, "ILLEGAL_VALUE")
    asm.go("array_one_chunk")
    asm.label("array_plain")
    asm.if_different(of("STEP.decimation"), 1, "ILLEGAL_VALUE")
    asm.go("array_ready")
    asm.label("array_not_weighted")
    asm.if_different(of("STEP.decimation"), 1, "ILLEGAL_VALUE")
    asm.label("array_one_chunk")
    asm.if_different(of("KERNEL_X.chunks"), 1, "ILLEGAL_VALUE")
    asm.label("array_ready")
    asm.move(asm.reg("pending"), 1)
    asm.go("next")


def table(asm: Assembler) -> None:
    """ARRAY.TABLE: remembers where the table lies, with bit 0 set."""
    of = _fields(asm)
    begin, need, part = asm.regs("begin_0", "need", "part")
    asm.label("do_ARRAY_TABLE")
    asm.move(need, asm.constant(256))
    asm.call("has")
    asm.move(part, of("TABLE.part"))
    asm.if_different(of("TABLE.kind"), 0, "table_exponent")
    asm.add(asm.reg("lookup"), begin, 1)
    asm.go("table_taken")
    asm.label("table_exponent")
    for number in range(4):
        asm.if_different(part, number, f"table_not_{number}")
        asm.add(asm.reg(f"exponent_{number}"), begin, 1)
        asm.label(f"table_not_{number}")
    asm.label("table_taken")
    asm.call("free")
    asm.go("next")


def sums(asm: Assembler, config: NpuConfig) -> None:
    """Routines ``all_sums`` (CONV without maximum: the sums of all columns, by the dot products) and ``one_sum``
    (everything: ``x`` = the accumulator of column ``column``).

    Both are for one position: ``row_0``, ``byte_0`` are its row and byte at the first kernel step, ``tile_base`` the
    input's base in the tile, ``weights`` the address of the tile's first weight row. ``run_bytes`` is chunks · rows.
    """
    _all_sums(asm)
    _one_sum(asm, config)


def _all_sums(asm: Assembler) -> None:
    of = _fields(asm)
    row, byte, address, base = asm.regs("k_row", "k_byte", "k_address", "k_base")
    ky, kx, left, part, t, pad = asm.regs("ky", "kx", "k_left", "k_part", "t", "pad")
    asm.label("all_sums")
    asm.weights(asm.reg("weights"))
    asm.move(row, asm.reg("row_0"))
    asm.move(ky, of("KERNEL_Y.steps"))
    asm.label("all_ky")
    asm.multiply(t, row, of("INPUT.pitch"))
    asm.add(base, t, asm.reg("tile_base"))
    asm.move(byte, asm.reg("byte_0"))
    asm.move(kx, of("KERNEL_X.steps"))
    asm.label("all_kx")
    asm.move(left, asm.reg("run_bytes"))
    asm.if_not_below(row, of("WINDOW.height"), "all_pad")
    asm.move(address, byte)
    asm.if_not_less(byte, 0, "all_begun")
    asm.sub(part, asm.constant(0), byte)
    asm.if_not_below(part, left, "all_pad")
    asm.dot_same(pad, part)
    asm.sub(left, left, part)
    asm.move(address, 0)
    asm.label("all_begun")
    asm.sub(part, of("WINDOW.row_bytes"), address)
    asm.if_not_less(asm.constant(0), part, "all_pad")
    asm.add(address, address, base)
    asm.if_not_less(part, left, "all_rest")
    asm.dot(address, part)
    asm.sub(left, left, part)
    asm.label("all_pad")
    asm.dot_same(pad, left)
    asm.go("all_stepped")
    asm.label("all_rest")
    asm.dot(address, left)
    asm.label("all_stepped")
    asm.add(byte, byte, of("KERNEL_X.bytes"))
    asm.sub(kx, kx, 1)
    asm.if_different(kx, 0, "all_kx")
    asm.add(row, row, of("KERNEL_Y.rows"))
    asm.sub(ky, ky, 1)
    asm.if_different(ky, 0, "all_ky")
    asm.back("all_sums")


def _one_sum(asm: Assembler, config: NpuConfig) -> None:
    of = _fields(asm)
    mode, x, column, first = asm.regs("mode", "x", "column", "first")
    row, byte, base = asm.regs("k_row", "k_byte", "k_base")
    ky, kx, chunk, rows = asm.regs("ky", "kx", "k_left", "k_rows")
    tap_row, tap_byte, tap_base, tap = asm.regs("tap_row", "tap_byte", "tap_base", "tap")
    pixel, weight, at, t, value, step = asm.regs("pixel", "weight", "at", "t", "value", "step")
    asm.label("one_sum")
    asm.add(at, asm.reg("weights"), column)
    asm.move(first, 1)
    asm.move(row, asm.reg("row_0"))
    asm.move(ky, of("KERNEL_Y.steps"))
    asm.label("one_ky")
    asm.multiply(t, row, of("INPUT.pitch"))
    asm.add(base, t, asm.reg("tile_base"))
    asm.move(byte, asm.reg("byte_0"))
    asm.move(kx, of("KERNEL_X.steps"))
    asm.label("one_kx")
    asm.move(tap_byte, byte)
    asm.move(chunk, of("KERNEL_X.chunks"))
    asm.label("one_chunk")
    asm.move(step, 0)
    asm.move(tap, asm.constant(config.taps))
    asm.move(tap_row, row)
    asm.move(tap_base, base)
    asm.move(rows, 1)
    asm.if_equal(mode, Mode.POOL, "one_row")
    asm.move(rows, of("WEIGHTS.rows"))
    asm.label("one_row")
    # The byte of the row, which may lie outside, and its address.
    asm.move(t, tap_byte)
    asm.add(value, tap_base, tap_byte)
    asm.if_equal(mode, Mode.CONV, "one_placed")
    asm.if_equal(mode, Mode.PAIRS, "one_pair")
    asm.add(t, t, column)
    asm.if_equal(mode, Mode.POOL, "one_beside")
    # DEPTHWISE: a scratchpad word, rotated.
    asm.bits_and(weight, value, config.word_bytes - 1)
    asm.sub(value, value, weight)
    asm.add(weight, weight, column)
    asm.bits_and(weight, weight, config.word_bytes - 1)
    asm.add(value, value, weight)
    asm.go("one_placed")
    asm.label("one_pair")
    asm.bits_and(weight, value, config.word_bytes - 1)
    asm.sub(value, value, weight)
    asm.label("one_beside")
    asm.add(value, value, column)
    asm.label("one_placed")
    asm.if_not_below(tap_row, of("WINDOW.height"), "one_pad")
    asm.if_not_below(t, of("WINDOW.row_bytes"), "one_pad")
    asm.fetch(value, value)
    asm.go("one_read")
    asm.label("one_pad")
    asm.move(value, asm.reg("pad"))
    asm.label("one_read")
    asm.move(weight, 1)
    asm.if_equal(mode, Mode.POOL, "one_weight")
    asm.load_byte(weight, at)
    asm.add(at, at, 4)
    asm.label("one_weight")
    asm.multiply(t, value, weight)
    asm.add(step, step, t)
    asm.if_different(mode, Mode.CONV, "one_tap")
    asm.add(tap_byte, tap_byte, 1)
    asm.go("one_next")
    asm.label("one_tap")
    asm.add(tap_byte, tap_byte, pixel)
    asm.sub(tap, tap, 1)
    asm.if_different(tap, 0, "one_next")
    asm.move(tap, asm.constant(config.taps))
    asm.move(tap_byte, byte)
    asm.add(tap_row, tap_row, of("KERNEL_Y.group_rows"))
    asm.add(tap_base, tap_base, of("KERNEL_Y.group_pitch"))
    asm.label("one_next")
    asm.sub(rows, rows, 1)
    asm.if_different(rows, 0, "one_row")
    # The step joins those before.
    asm.if_different(first, 0, "one_set")
    asm.if_different(of("RUN.maximum"), 0, "one_maximum")
    asm.add(x, x, step)
    asm.go("one_joined")
    asm.label("one_maximum")
    asm.if_not_less(x, step, "one_joined")
    asm.label("one_set")
    asm.move(x, step)
    asm.move(first, 0)
    asm.label("one_joined")
    asm.sub(chunk, chunk, 1)
    asm.if_different(chunk, 0, "one_chunk")
    asm.add(byte, byte, of("KERNEL_X.bytes"))
    asm.sub(kx, kx, 1)
    asm.if_different(kx, 0, "one_kx")
    asm.add(row, row, of("KERNEL_Y.rows"))
    asm.sub(ky, ky, 1)
    asm.if_different(ky, 0, "one_ky")
    asm.back("one_sum")
