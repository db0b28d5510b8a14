"""Parts of the serial core alone, in Amaranth's simulator, against Python's numbers; and its assembler."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator

from tensaw.boards.board import BlockRam
from tensaw.serial.alu import Alu
from tensaw.serial.assembler import Assembler
from tensaw.serial.dot import DotProducts
from tensaw.serial.instruction import ADDRESS_BITS, Op, Word
from tensaw.serial.memory import word_memory
from tensaw.serial.microcode import firmware
from tensaw.serial.multiplier import WideMultiplier
from tensaw.spec.config import PRESETS

MASK = (1 << 32) - 1
EDGES = [0, 1, 2, 31, 32, 0x7FFFFFFF, 0x80000000, 0x80000001, 0xFFFFFFFF, 0xFFFF0000, 0x0000FFFF]


def signed(value: int) -> int:
    return value - (1 << 32) if value >> 31 else value


VALUES = {
    Op.ADD: lambda a, b, n: a + b,
    Op.SUB: lambda a, b, n: a - b,
    Op.AND: lambda a, b, n: a & b,
    Op.OR: lambda a, b, n: a | b,
    Op.XOR: lambda a, b, n: a ^ b,
    Op.MOVE: lambda a, b, n: b,
    Op.FUNNEL: lambda a, b, n: (b << 32 | a) >> n,
    Op.SHIFT: lambda a, b, n: a >> n,
    Op.SHIFT_SIGN: lambda a, b, n: signed(a) >> n,
    Op.SHIFT_BY: lambda a, b, n: a >> (b & 31),
}
CONDITIONS = {
    Op.IF_EQUAL: lambda a, b: a == b,
    Op.IF_DIFFERENT: lambda a, b: a != b,
    Op.IF_LESS: lambda a, b: signed(a) < signed(b),
    Op.IF_NOT_LESS: lambda a, b: signed(a) >= signed(b),
    Op.IF_BELOW: lambda a, b: a < b,
    Op.IF_NOT_BELOW: lambda a, b: a >= b,
}


def simulate(block: Any, process: Any, clocked: bool = True) -> None:
    simulator = Simulator(block)
    if clocked:
        simulator.add_clock(1e-6)
    simulator.add_testbench(process)
    simulator.run()


def operands(rng: np.random.Generator, count: int) -> list[tuple[int, int]]:
    drawn = [(int(a), int(b)) for a, b in rng.integers(0, 1 << 32, (count, 2))]
    return [(a, b) for a in EDGES for b in EDGES] + drawn + [(a, a) for a, _ in drawn[:20]]


def test_alu(rng: np.random.Generator) -> None:
    alu = Alu()

    async def process(ctx: Any) -> None:
        for a, b in operands(rng, 200):
            amount = int(rng.integers(32))
            ctx.set(alu.a, a)
            ctx.set(alu.b, b)
            ctx.set(alu.aux, amount)
            for op, value in VALUES.items():
                ctx.set(alu.op, op)
                await ctx.delay(1e-9)
                output = alu.sum if op <= Op.SUB else alu.logic if op <= Op.MOVE else alu.shifted
                assert ctx.get(output) == value(a, b, amount) & MASK, (op, a, b, amount)
                assert not ctx.get(alu.taken)
            for op, condition in CONDITIONS.items():
                ctx.set(alu.op, op)
                await ctx.delay(1e-9)
                assert ctx.get(alu.taken) == condition(a, b), (op, a, b)

    simulate(alu, process, clocked=False)


def test_multiplier(rng: np.random.Generator) -> None:
    """A product stays until the next start."""
    multiplier = WideMultiplier()

    async def process(ctx: Any) -> None:
        for a, b in operands(rng, 200):
            ctx.set(multiplier.a, a)
            ctx.set(multiplier.b, b)
            ctx.set(multiplier.start, 1)
            await ctx.tick()
            ctx.set(multiplier.start, 0)
            ctx.set(multiplier.a, ~a & MASK)
            for _ in range(2):
                assert ctx.get(multiplier.upper) << 32 | ctx.get(multiplier.lower) == a * b
                await ctx.tick()

    simulate(multiplier, process)


def test_dot_products(rng: np.random.Generator) -> None:
    """Bytes from any address, the same byte, each column's own, none at all; weights go on from where they were."""
    dot = DotProducts()
    scratchpad = rng.integers(-128, 128, 256, np.int8)
    memory = rng.integers(-128, 128, (64, 4), np.int8)

    async def run(ctx: Any, kind: str, address: int, count: int) -> None:
        ctx.set(dot.address, address)
        ctx.set(dot.count, count)
        ctx.set(dot.same, kind == "same")
        ctx.set(dot.each, kind == "each")
        ctx.set(dot.start, 1)
        await ctx.tick()
        ctx.set(dot.start, 0)
        cycles = 0
        while ctx.get(dot.busy):
            words = ctx.get(dot.scratchpad_word), ctx.get(dot.memory_word)
            await ctx.tick()
            ctx.set(dot.scratchpad_data, int(scratchpad[4 * words[0] :][:4].view("<u4")[0]))
            ctx.set(dot.memory_data, int(memory[words[1] % 64].view("<u4")[0]))
            cycles += 1
        assert cycles == (count + 1 if count else 1)

    async def process(ctx: Any) -> None:
        for _ in range(60):
            row = int(rng.integers(20))
            ctx.set(dot.first, row)
            ctx.set(dot.rewind, 1)
            await ctx.tick()
            ctx.set(dot.rewind, 0)
            wanted = np.zeros(4, np.int64)
            for _ in range(4):
                kind, count = str(rng.choice(["run", "same", "each"])), int(rng.integers(10))
                address = int(rng.integers(240))
                if kind == "each":
                    address, count = address & -4, 1
                for step in range(count):
                    values = {
                        "run": scratchpad[(address + step) % 256],
                        "same": np.int8(address - 256 if address > 127 else address),
                        "each": scratchpad[address : address + 4],
                    }[kind]
                    wanted += values.astype(np.int64) * memory[row].astype(np.int64)
                    row += 1
                await run(ctx, kind, address, count)
                for _ in range(int(rng.integers(3))):
                    await ctx.tick()
            await ctx.tick()
            found = [signed(ctx.get(dot.sums[column])) for column in range(4)]
            assert found == wanted.tolist()

    simulate(dot, process)


def test_programs_that_cannot_be_assembled() -> None:
    asm = Assembler()
    asm.label("here")
    with pytest.raises(ValueError, match="The label here is there already"):
        asm.label("here")
    asm.go("nowhere")
    with pytest.raises(ValueError, match="There is no label nowhere"):
        asm.finish()
    with pytest.raises(ValueError, match="There is no register left for"):
        for number in range(300):
            asm.reg(f"register_{number}")
    with pytest.raises(ValueError, match="The register register_1 is there already"):
        asm.share("register_1", asm.reg("register_2"))
    long = Assembler()
    for _ in range((1 << ADDRESS_BITS) + 1):
        long.state()
    with pytest.raises(ValueError, match="The program has 2049 instructions, 2048 are possible"):
        long.finish()
    with pytest.raises(ValueError, match="The field b of .* does not fit 8 bits"):
        Word(Op.ADD, b=256).encode()


def test_sizes_of_memories() -> None:
    for size in (0, 4, 4098, 65_540):
        with pytest.raises(ValueError, match=f"A memory of the serial core has 8 to 65536 bytes, a .* 4, not {size}."):
            word_memory(BlockRam(size), size)


def test_the_program() -> None:
    """Every instruction can be encoded, and registers that the host sees are where it looks for them."""
    program = firmware(PRESETS["nano"], 65_536)
    assert all(0 <= word.encode() < 1 << 36 for word in program.words)
    assert len(program.registers) == 256 and program.registers[0] == 0x57415354
    assert program.registers[2] == PRESETS["nano"].digest and program.names["STORE.ROWS.bytes"] >= 128
