"""Requests found among garbage, and the buffer that holds them."""

import zlib

import numpy as np
from amaranth.sim import Simulator

from tensaw.boards.link.buffer import FrameBuffer
from tensaw.boards.link.crc import Crc32
from tensaw.boards.link.receiver import FrameReceiver
from tensaw.runtime.link import Request
from tensaw.spec.link import Op

SPACING = 12
"""Cycles from byte to byte, the fewest that the receiver is made for."""


def simulate(dut, *benches):
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(benches[0])
    for bench in benches[1:]:
        simulator.add_testbench(bench, background=True)
    simulator.run()


def test_crc_is_that_of_zlib(rng):
    dut = Crc32()

    async def take(ctx, content):
        for byte in content:
            ctx.set(dut.byte, byte)
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            await ctx.tick().repeat(9)
            assert not ctx.get(dut.busy)

    async def bench(ctx):
        for length in (0, 1, 2, 10, 37):
            content = rng.bytes(length)
            await take(ctx, content)
            assert ctx.get(dut.value) == zlib.crc32(content)
            assert not ctx.get(dut.good)
            await take(ctx, zlib.crc32(content).to_bytes(4, "little"))
            assert ctx.get(dut.good)
            ctx.set(dut.clear, 1)
            await ctx.tick()
            ctx.set(dut.clear, 0)

    simulate(dut, bench)


def test_buffer_against_a_list(rng):
    depth = 16
    dut = FrameBuffer(depth)
    sent, found = [], []

    async def write(ctx):
        open_bytes, free_wraps = [], 0
        for _ in range(1500):
            action = rng.random()
            room = ctx.get(dut.room)
            assert room <= depth - len(open_bytes)
            if action < 0.6 and room:
                byte = int(rng.integers(256))
                ctx.set(dut.byte, byte)
                ctx.set(dut.write, 1)
                open_bytes.append(byte)
                free_wraps += 1
            elif action < 0.8:
                ctx.set(dut.commit, 1)
                sent.extend(open_bytes)
                open_bytes.clear()
            elif action < 0.85:
                ctx.set(dut.rollback, 1)
                open_bytes.clear()
            await ctx.tick()
            for port in (dut.write, dut.commit, dut.rollback):
                ctx.set(port, 0)
            await ctx.tick()
        await ctx.tick().repeat(200)
        assert found == sent and len(sent) > 20 * depth
        await ctx.tick().repeat(2)
        assert ctx.get(dut.room) == depth - len(open_bytes)

    async def read(ctx):
        while True:
            ctx.set(dut.o.ready, int(rng.random() < 0.5))
            _, _, ready, valid, byte = await ctx.tick().sample(dut.o.ready, dut.o.valid, dut.o.payload)
            if ready and valid:
                found.append(byte)

    simulate(dut, write, read)


class Line:
    """Plays bytes to a FrameReceiver and collects what it finds; ``accept`` lets requests out of the buffer."""

    def __init__(self, depth: int = 128) -> None:
        self.dut = FrameReceiver(depth)
        self.found = bytearray()
        self.damaged = self.dropped = 0
        self.accept = True

    async def send(self, ctx, content: bytes, lose: int | None = None) -> None:
        dut = self.dut
        for place, byte in enumerate(content):
            ctx.set(dut.byte, byte)
            ctx.set(dut.error if place == lose else dut.valid, 1)
            await ctx.tick()
            ctx.set(dut.valid, 0)
            ctx.set(dut.error, 0)
            await ctx.tick().repeat(SPACING - 1)

    async def silence(self, ctx, ticks: int) -> None:
        for _ in range(ticks):
            ctx.set(self.dut.tick, 1)
            await ctx.tick()
            ctx.set(self.dut.tick, 0)
            await ctx.tick().repeat(3)

    async def watch(self, ctx) -> None:
        dut = self.dut
        while True:
            ctx.set(dut.o.ready, int(self.accept))
            _, _, ready, valid, byte, damaged, dropped = await ctx.tick().sample(
                dut.o.ready, dut.o.valid, dut.o.payload, dut.damaged, dut.dropped
            )
            if ready and valid:
                self.found.append(byte)
            self.damaged += damaged
            self.dropped += dropped

    def run(self, bench) -> None:
        simulate(self.dut, bench, self.watch)


def stored(frame: bytes) -> bytes:
    """What the buffer keeps of a request: no synchronisation, no CRCs."""
    return frame[2:12] + frame[16:-4]


def write(address: int, payload: bytes, tag: int = 1) -> bytes:
    return Request(Op.WRITE_MEMORY, address, len(payload), payload).to_bytes(tag)


def test_a_frame_written_by_hand():
    """The form of a frame as docs/link.md gives it, byte by byte."""
    header = bytes([1, 3, 9, 0, 0x78, 0x56, 0x34, 0x12, 2, 0])
    frame = b"\xa7\x53" + header + zlib.crc32(header).to_bytes(4, "little") + b"ab"
    frame += zlib.crc32(b"ab").to_bytes(4, "little")
    assert write(0x12345678, b"ab", tag=9) == frame
    line = Line()

    async def bench(ctx):
        await line.send(ctx, frame)
        await ctx.tick().repeat(80)
        assert bytes(line.found) == header + b"ab"

    line.run(bench)


def test_requests_among_garbage(rng):
    line = Line()
    expected = bytearray()

    async def bench(ctx):
        for number in range(12):
            request = write(number, rng.bytes(int(rng.integers(1, 24))), number)
            if number % 3 == 2:
                request = Request(Op.READ_MEMORY, number, 100).to_bytes(number)
                expected.extend(request[2:12])
            else:
                expected.extend(stored(request))
            # Whatever comes between frames, the beginning of a synchronisation included.
            garbage = bytes(value for value in rng.bytes(9) if value != 0x53) + b"\xa7" * (number % 4)
            await line.send(ctx, garbage + request)
        await ctx.tick().repeat(80)
        assert bytes(line.found) == bytes(expected)
        assert (line.damaged, line.dropped) == (0, 0)

    line.run(bench)


def test_every_flipped_bit_is_found_and_the_next_request_survives(rng):
    frame = write(0x1000, rng.bytes(5))
    good = Request(Op.READ_MEMORY, 64, 8).to_bytes(7)
    line = Line()

    async def bench(ctx):
        for place in range(8 * len(frame)):
            broken = bytearray(frame)
            broken[place // 8] ^= 1 << place % 8
            line.found.clear()
            await line.send(ctx, bytes(broken))
            await line.silence(ctx, 3)  # a longer COUNT waits for bytes that never come
            assert not line.found, place
            await line.send(ctx, good)
            await ctx.tick().repeat(80)
            assert bytes(line.found) == good[2:12], place

    line.run(bench)


def test_a_request_broken_off_anywhere_is_forgotten_after_a_silence(rng):
    frame = write(0x1000, rng.bytes(3))
    good = Request(Op.READ_MEMORY, 64, 8).to_bytes(7)
    line = Line()

    async def bench(ctx):
        for length in range(1, len(frame)):
            before = line.damaged
            await line.send(ctx, frame[:length])
            await line.silence(ctx, 1)  # one tick may come at once
            assert line.damaged == before
            await line.silence(ctx, 2)
            assert line.damaged == before + (length > 1)
            await line.send(ctx, good)
        await ctx.tick().repeat(80)
        assert bytes(line.found) == good[2:12] * (len(frame) - 1)

    line.run(bench)


def test_a_lost_byte_costs_one_request(rng):
    first, second, third = (write(number, rng.bytes(6), number) for number in range(3))
    line = Line()

    async def bench(ctx):
        await line.send(ctx, first)
        await line.send(ctx, second, lose=20)
        await line.send(ctx, third)
        await ctx.tick().repeat(80)
        assert bytes(line.found) == stored(first) + stored(third)
        assert line.damaged == 1

    line.run(bench)


def test_no_room(rng):
    frames = [write(number, rng.bytes(40), number) for number in range(4)]
    line = Line(128)
    line.accept = False

    async def bench(ctx):
        for frame in frames:
            await line.send(ctx, frame)
        await ctx.tick().repeat(80)
        assert (line.dropped, line.damaged) == (2, 0)  # the header of the third has room, its payload has not
        line.accept = True
        await ctx.tick().repeat(300)
        await line.send(ctx, frames[3])
        await ctx.tick().repeat(200)
        assert bytes(line.found) == b"".join(map(stored, (frames[0], frames[1], frames[3])))

    line.run(bench)


def test_random_damage_never_lets_a_wrong_request_through(rng):
    line = Line()
    sent = set()

    async def bench(ctx):
        for number in range(25):
            frame = bytearray(write(number, rng.bytes(int(rng.integers(1, 12))), number))
            sent.add(stored(bytes(frame)))
            for _ in range(int(rng.integers(0, 3))):
                place = int(rng.integers(len(frame)))
                if rng.random() < 0.5:
                    del frame[place]
                else:
                    frame[place] ^= int(rng.integers(1, 256))
            await line.send(ctx, bytes(frame))
        await ctx.tick().repeat(100)
        rest = bytes(line.found)
        while rest:
            match = [item for item in sent if rest.startswith(item)]
            assert match, np.frombuffer(rest[:20], np.uint8)
            rest = rest[len(max(match, key=len)) :]
        assert len(line.found) > 50

    line.run(bench)
