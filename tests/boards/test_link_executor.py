"""What requests do to memory and registers, and how they are answered."""

import struct

import pytest
from amaranth.sim import Simulator

from tensaw.boards.link.executor import RequestExecutor
from tensaw.runtime.link import AnswerReader
from tensaw.spec.config import NpuConfig
from tensaw.spec.link import PROTOCOL, Header, MarchFlag, Op, Status

SIZE = 1024
IDENTITY = bytes(range(1, 30))


class Board:
    """A RequestExecutor between a memory, registers, and a host that speaks headers and payloads."""

    def __init__(self, axi_memory, lite_registers, rng, bus_bytes=8):
        config = NpuConfig(rows=4, columns=4, requant_lanes=1, bus_bytes=bus_bytes)
        self.dut = RequestExecutor(config, IDENTITY)
        self.memory = axi_memory(self.dut.axi_read, self.dut.axi_write, config, SIZE, int(rng.integers(1 << 30)))
        self.registers = lite_registers(self.dut.lite, int(rng.integers(1 << 30)))
        self.width = bus_bytes
        self.rng = rng

    async def ask(self, ctx, op, address=0, count=0, payload=b"", tag=5, flags=0, version=PROTOCOL):
        dut = self.dut
        reader = AnswerReader()
        request = Header(version, op, tag, flags, address, count).to_bytes() + payload
        sent, answers = 0, []
        while not answers:
            offered = sent < len(request) and self.rng.random() < 0.7
            ctx.set(dut.i.valid, int(offered))
            ctx.set(dut.i.payload, request[sent] if offered else 0)
            ctx.set(dut.o.ready, int(self.rng.random() < 0.7))
            _, _, taken, valid, ready, byte = await ctx.tick().sample(
                dut.i.ready, dut.o.valid, dut.o.ready, dut.o.payload
            )
            sent += offered and taken
            if valid and ready:
                answers = reader.feed(bytes([byte]))
        ctx.set(dut.i.valid, 0)
        (answer,) = answers
        assert sent == len(request) and reader.skipped == reader.damaged == 0
        expected = Header(PROTOCOL, op, tag, flags, address, len(answer.payload))
        assert answer.header == expected
        return answer.payload, answer.status

    def run(self, bench):
        simulator = Simulator(self.dut)
        simulator.add_clock(1e-6)
        simulator.add_testbench(bench)
        for other in (self.memory.serve_reads, self.memory.serve_writes, self.registers.serve):
            simulator.add_testbench(other, background=True)
        simulator.run()


@pytest.fixture(params=[8, 16])
def board(request, axi_memory, lite_registers, rng):
    return Board(axi_memory, lite_registers, rng, request.param)


def test_hello_and_counters(board):
    async def bench(ctx):
        assert await board.ask(ctx, Op.HELLO, address=0xDEADBEEF) == (IDENTITY, Status.OK)
        ctx.set(board.dut.counters, 0x0123456789ABCDEF)
        payload, status = await board.ask(ctx, Op.COUNTERS)
        assert (payload, status) == (struct.pack("<Q", 0x0123456789ABCDEF), Status.OK)

    board.run(bench)


def test_hello_is_answered_in_any_version_and_nothing_else_is(board):
    async def bench(ctx):
        assert await board.ask(ctx, Op.HELLO, version=9) == (IDENTITY, Status.OK)
        before = board.memory.content.copy()
        assert await board.ask(ctx, Op.WRITE_MEMORY, 0, 5, b"abcde", version=9) == (b"", Status.VERSION)
        assert await board.ask(ctx, Op.READ_MEMORY, 0, 5, version=0) == (b"", Status.VERSION)
        assert await board.ask(ctx, 8) == (b"", Status.UNKNOWN)
        assert await board.ask(ctx, 0xFE, count=3) == (b"", Status.UNKNOWN)
        assert (board.memory.content == before).all() and not board.memory.read_count

    board.run(bench)


def test_memory_at_any_alignment(board):
    async def bench(ctx):
        model = bytearray(board.memory.content.tobytes())
        width = board.width
        for number in range(24):
            count = int(board.rng.integers(0, 3 * width))
            address = int(board.rng.integers(0, SIZE - count))
            if number % 2:
                payload = board.rng.bytes(count)
                assert await board.ask(ctx, Op.WRITE_MEMORY, address, count, payload) == (b"", Status.OK)
                model[address : address + count] = payload
                assert board.memory.content.tobytes() == bytes(model)
            else:
                found = await board.ask(ctx, Op.READ_MEMORY, address, count)
                assert found == (bytes(model[address : address + count]), Status.OK)
        # Not a word more than needed is touched.
        reads, writes = board.memory.read_count, board.memory.write_count
        await board.ask(ctx, Op.READ_MEMORY, width - 1, width + 2)
        await board.ask(ctx, Op.WRITE_MEMORY, width - 1, width + 2, bytes(width + 2))
        assert (board.memory.read_count - reads, board.memory.write_count - writes) == (3, 3)

    board.run(bench)


def test_outside_the_memory(board):
    async def bench(ctx):
        payload, status = await board.ask(ctx, Op.READ_MEMORY, SIZE - 4, 8)
        assert (len(payload), status) == (8, Status.BUS_ERROR)
        assert (await board.ask(ctx, Op.WRITE_MEMORY, SIZE, 3, b"abc"))[1] == Status.BUS_ERROR
        assert (await board.ask(ctx, Op.READ_MEMORY, SIZE - 4, 4))[1] == Status.OK

    board.run(bench)


def test_registers(board):
    async def bench(ctx):
        values = board.registers.values
        expected = struct.pack("<3I", *(values[offset] for offset in (0x20, 0x24, 0x28)))
        assert await board.ask(ctx, Op.READ_REGISTERS, 0x20, 12) == (expected, Status.OK)
        written = struct.pack("<3I", 0x11223344, 5, 0xFFFFFFFF)
        assert await board.ask(ctx, Op.WRITE_REGISTERS, 0xF8, 12, written, tag=1) == (b"", Status.OK)
        assert board.registers.writes == [(0xF8, 0x11223344), (0xFC, 5), (0x100, 0xFFFFFFFF)]
        for address, count in ((2, 4), (0, 6)):
            assert await board.ask(ctx, Op.READ_REGISTERS, address, count) == (b"", Status.MISALIGNED)
            assert await board.ask(ctx, Op.WRITE_REGISTERS, address, count, bytes(count), tag=2) == (
                b"",
                Status.MISALIGNED,
            )
        assert await board.ask(ctx, Op.READ_REGISTERS, 0x1000, 4) == (b"", Status.OUTSIDE)
        payload, status = await board.ask(ctx, Op.READ_REGISTERS, 0xFFC, 8)
        assert (payload[:4], status) == (struct.pack("<I", values[0xFFC]), Status.OUTSIDE)
        assert (await board.ask(ctx, Op.WRITE_REGISTERS, 0xFFC, 8, bytes(8), tag=3))[1] == Status.OUTSIDE
        assert board.registers.writes[3:] == [(0xFFC, 0)]

    board.run(bench)


def test_a_repeated_write_of_registers_is_not_done_again(board):
    async def bench(ctx):
        def write(tag, offset=0x10):
            return board.ask(ctx, Op.WRITE_REGISTERS, offset, 4, bytes(4), tag=tag)

        assert await write(0) == (b"", Status.OK)  # nothing is remembered after reset, tag 0 neither
        assert await write(0) == (b"", Status.REPEATED)
        assert await board.ask(ctx, Op.READ_REGISTERS, 0, 4, tag=9) != (b"", Status.REPEATED)
        assert await write(0) == (b"", Status.REPEATED)
        assert await write(1) == (b"", Status.OK)
        assert await write(0) == (b"", Status.OK)
        await board.ask(ctx, Op.HELLO)
        assert await write(0) == (b"", Status.OK)
        # One that failed was not done: it may be tried again.
        assert await write(7, 0xF00) == (b"", Status.BUS_ERROR)
        assert await write(7, 0xF00) == (b"", Status.BUS_ERROR)
        assert len(board.registers.writes) == 6

    board.run(bench)


READ0, READ1 = MarchFlag.READ, MarchFlag.READ | MarchFlag.READ_INVERSE
WRITE0, WRITE1 = MarchFlag.WRITE, MarchFlag.WRITE | MarchFlag.WRITE_INVERSE


def test_march(board):
    width = board.width
    words = 5
    start, end = 2 * width, (2 + words) * width

    async def bench(ctx):
        content = board.memory.content
        before = content.copy()
        tags = iter(range(100))

        async def march(flags, address=start, count=words):
            payload, status = await board.ask(ctx, Op.MARCH, address, count, tag=next(tags), flags=int(flags))
            return int.from_bytes(payload[:4], "little"), payload[4:], status

        last = end - width
        for number, pattern in enumerate((0x00, 0x55, 0x33, 0x0F)):
            background = number << 5
            assert (await march(WRITE0 | background))[::2] == (last, Status.OK)
            assert (content[start:end] == pattern).all()
            assert (await march(READ0 | WRITE1 | background))[::2] == (last, Status.OK)
            assert (content[start:end] == pattern ^ 255).all()
            down = await march(READ1 | WRITE0 | MarchFlag.DOWN | background, last)
            assert down[::2] == (start, Status.OK)
            assert (content[start:end] == pattern).all()
            assert await march(READ0 | background) == (last, bytes([pattern]) * width, Status.OK)
        outside = [*range(start), *range(end, SIZE)]
        assert (content[outside] == before[outside]).all()

        # The first word that differs, in either direction, is not written.
        content[start + width + 3] ^= 8
        wrong = bytes([0x0F] * 3 + [0x07] + [0x0F] * (width - 4))
        assert await march(READ0 | WRITE1 | 3 << 5) == (start + width, wrong, Status.MISMATCH)
        assert content[start] == 0xF0 and content[start + width] == 0x0F
        flags = READ0 | MarchFlag.DOWN | 3 << 5
        assert await march(flags, last) == (start + width, wrong, Status.MISMATCH)

        assert (await board.ask(ctx, Op.MARCH, 4, 1, tag=50)) == (b"", Status.MISALIGNED)
        assert (await march(WRITE0, SIZE - width, 2))[::2] == (SIZE, Status.BUS_ERROR)
        assert (await march(READ0, SIZE, 3))[::2] == (SIZE, Status.BUS_ERROR)
        assert (await march(WRITE0, start, 0))[2] == Status.OK
        payload, status = await board.ask(ctx, Op.MARCH, start, 1, tag=60, flags=int(WRITE1))
        assert status == Status.OK and content[start] == 255
        content[start] = 7
        assert await board.ask(ctx, Op.MARCH, start, 1, tag=60, flags=int(WRITE1)) == (b"", Status.REPEATED)
        assert content[start] == 7

    board.run(bench)


def test_reset_waits_for_the_memory(board):
    dut = board.dut
    seen = []

    async def bench(ctx):
        assert await board.ask(ctx, Op.RESET) == (b"", Status.OK)
        assert seen == [32]

    async def watch(ctx):
        length = 0
        while True:
            await ctx.tick()
            length += ctx.get(dut.reset)
            if length and not ctx.get(dut.reset) and not seen:
                seen.append(length)
                assert not ctx.get(dut.ready)
                await ctx.tick().repeat(50)
                assert ctx.get(dut.o.valid) == 0
                ctx.set(dut.ready, 1)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.add_testbench(watch, background=True)
    simulator.run()


def test_a_bus_that_does_not_answer_is_given_up(board):
    async def tick(ctx):
        now = 0
        while True:
            await ctx.tick()
            now += 1
            ctx.set(board.dut.tick, int(now % 200 == 0))

    async def bench(ctx):
        board.memory.deaf = True
        payload, status = await board.ask(ctx, Op.READ_MEMORY, 0, 3 * board.width)
        assert (len(payload), status) == (3 * board.width, Status.TIMEOUT)
        assert (await board.ask(ctx, Op.WRITE_MEMORY, 0, 2, b"ab"))[1] == Status.TIMEOUT
        assert (await board.ask(ctx, Op.MARCH, 0, 2, tag=1, flags=int(READ0 | WRITE0)))[1] == Status.TIMEOUT
        board.memory.deaf = False
        assert (await board.ask(ctx, Op.READ_REGISTERS, 0, 4))[1] == Status.OK
        assert (await board.ask(ctx, Op.READ_MEMORY, 0, 4))[1] == Status.OK

    simulator = Simulator(board.dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    for other in (board.memory.serve_reads, board.memory.serve_writes, board.registers.serve, tick):
        simulator.add_testbench(other, background=True)
    simulator.run()
