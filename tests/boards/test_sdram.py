"""The SDRAM controller against a model of the chip that checks every time of its data sheet."""

import dataclasses
import importlib.util
from pathlib import Path

import numpy as np
import pytest
from amaranth.sim import Simulator

from tensaw.boards.sdram.chip import Pads, SdramChip, best_capture
from tensaw.boards.sdram.controller import SdramMemory
from tensaw.spec.config import NpuConfig

SPEC = importlib.util.spec_from_file_location("sdram_model", Path(__file__).with_name("sdram_model.py"))
assert SPEC is not None and SPEC.loader is not None
MODEL = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(MODEL)

# A real chip's times with few rows and a short power-up, so that bursts meet rows and refreshes often.
SMALL = SdramChip("small", row_bits=6, column_bits=6, init=2_000.0, refresh=1_562.5)
WIDE = dataclasses.replace(SMALL, data_bits=32, column_bits=8, name="wide")


class Bench:
    """Controller, pads and chip; a manager for reads and one for writes; memory contents as they should be."""

    def __init__(self, chip, clock, bus_bytes, seed, capture_cycles=None):
        self.chip = chip
        self.config = NpuConfig(rows=4, columns=4, requant_lanes=1, bus_bytes=bus_bytes)
        self.capture = capture_cycles or best_capture(chip, Pads(2.0, 5.0, 1.0), clock).cycles
        # One cycle in the output pads' registers; the input's are counted in the capture.
        self.dut = SdramMemory(self.config, chip, clock, 1 + self.capture)
        self.model = MODEL.SdramModel(chip, 1e9 / clock)
        self.rng = np.random.default_rng(seed)
        self.width = bus_bytes
        self.bytes = {}
        self.beats = 0

    async def pads(self, ctx):
        """The pads' registers, with the chip between them."""
        dut, pins = self.dut, self.dut.pins
        bits = self.chip.data_bits
        out = (MODEL.SdramModel.NOP, 0, 0, 0, 0, 0)
        # What the chip drives after the edge of a read command's cycle n is taken `capture - cas + 1` cycles later.
        wires = [None] * (self.capture - self.chip.cas + 1)
        while True:
            driven = self.model.step(*out)
            wires.append(driven)
            taken = wires.pop(0)
            ctx.set(pins.data, MODEL.random_word(self.rng, bits) if taken is None else taken)
            _, _, *values = await ctx.tick().sample(
                pins.command, pins.bank, pins.address, pins.mask, pins.out, pins.enable
            )
            out = tuple(values)
            assert dut is not None

    def expected(self, address):
        """A byte: what was written last, or the chip's pattern."""
        if address in self.bytes:
            return self.bytes[address]
        chip = self.chip
        word, lane = divmod(address, chip.data_bits // 8)
        column = word & (1 << chip.column_bits) - 1
        bank = word >> chip.column_bits & (1 << chip.bank_bits) - 1
        row = word >> (chip.column_bits + chip.bank_bits)
        return self.model_pattern(bank, row, column) >> 8 * lane & 255

    def model_pattern(self, bank, row, column):
        return (row * 2654435761 + column * 40503 + bank) & ((1 << self.chip.data_bits) - 1)

    async def write(self, ctx, address, words, strobes, identity=0):
        axi = self.dut.write
        ctx.set(axi.awaddr, address)
        ctx.set(axi.awlen, len(words) - 1)
        ctx.set(axi.awid, identity)
        ctx.set(axi.awvalid, 1)
        await ctx.tick().until(axi.awready)
        ctx.set(axi.awvalid, 0)
        for beat, (word, strobe) in enumerate(zip(words, strobes, strict=True)):
            while self.rng.random() < 0.2:
                await ctx.tick()
            ctx.set(axi.wdata, word)
            ctx.set(axi.wstrb, strobe)
            ctx.set(axi.wlast, int(beat == len(words) - 1))
            ctx.set(axi.wvalid, 1)
            await ctx.tick().until(axi.wready)
            ctx.set(axi.wvalid, 0)
        ctx.set(axi.bready, 1)
        response, found = await ctx.tick().sample(axi.bresp, axi.bid).until(axi.bvalid)
        ctx.set(axi.bready, 0)
        assert found == identity
        if response == 0:
            for beat, (word, strobe) in enumerate(zip(words, strobes, strict=True)):
                for lane in range(self.width):
                    if strobe >> lane & 1:
                        self.bytes[address + beat * self.width + lane] = word >> 8 * lane & 255
        return response

    async def read(self, ctx, bursts, stall=0.2):
        """Several bursts (address, beats, ID), asked for as soon as they are taken; returns (word, response) of each
        beat."""
        axi = self.dut.read
        found, waiting = [], list(bursts)
        total = sum(beats for _, beats, _ in bursts)
        while len(found) < total:
            asking = bool(waiting)
            if asking:
                address, beats, identity = waiting[0]
                ctx.set(axi.araddr, address)
                ctx.set(axi.arlen, beats - 1)
                ctx.set(axi.arid, identity)
            ctx.set(axi.arvalid, int(asking))
            ready = int(self.rng.random() >= stall)
            ctx.set(axi.rready, ready)
            _, _, taken, valid, word, response, identity, last = await ctx.tick().sample(
                axi.arready, axi.rvalid, axi.rdata, axi.rresp, axi.rid, axi.rlast
            )
            if asking and taken:
                waiting.pop(0)
            if valid and ready:
                found.append((word, response, identity, last))
        ctx.set(axi.rready, 0)
        ids = [(identity, beat == beats - 1) for _, beats, identity in bursts for beat in range(beats)]
        assert [(identity, bool(last)) for _, _, identity, last in found] == ids
        return [(word, response) for word, response, _, _ in found]

    async def check(self, ctx, bursts, stall=0.2):
        found = await self.read(ctx, bursts, stall)
        places = [address + beat * self.width for address, beats, _ in bursts for beat in range(beats)]
        for place, (word, response) in zip(places, found, strict=True):
            expected = int.from_bytes(bytes(self.expected(place + lane) for lane in range(self.width)), "little")
            assert (word, response) == (expected, 0), hex(place)

    def burst(self, longest=16):
        """A legal burst anywhere: address, beats."""
        beats = int(self.rng.integers(1, longest + 1))
        address = int(self.rng.integers(0, self.chip.size // self.width)) * self.width
        room = (4096 - address % 4096) // self.width
        return address, min(beats, room, (self.chip.size - address) // self.width)

    def run(self, *benches):
        simulator = Simulator(self.dut)
        simulator.add_clock(1e-8)
        for bench in benches:
            simulator.add_testbench(bench)
        simulator.add_testbench(self.pads, background=True)
        simulator.run()


@pytest.mark.parametrize(
    ("chip", "clock", "bus"),
    [
        (SMALL, 100_000_000, 8),
        (SMALL, 25_000_000, 8),
        (SMALL, 133_000_000, 16),
        (WIDE, 54_000_000, 8),
        (WIDE, 80_000_000, 4 * 4),
    ],
    ids=["16bit-100MHz", "16bit-25MHz", "16bit-133MHz-wide-bus", "32bit-54MHz", "32bit-80MHz-wide-bus"],
)
def test_random_traffic(chip, clock, bus, seed):
    bench = Bench(chip, clock, bus, seed)
    rng = bench.rng

    async def traffic(ctx):
        await ctx.tick().until(bench.dut.ready)
        for _ in range(25):
            address, beats = bench.burst()
            if rng.random() < 0.3:  # somewhere near, so that rows stay open
                address = address % 1024
            words = [int.from_bytes(rng.bytes(bus), "little") for _ in range(beats)]
            full = (1 << bus * 8 // 8) - 1
            strobes = [full if rng.random() < 0.6 else int(rng.integers(full + 1)) for _ in range(beats)]
            assert await bench.write(ctx, address, words, strobes, int(rng.integers(2))) == 0
            bursts = [(*bench.burst(), int(rng.integers(2))) for _ in range(int(rng.integers(0, 3)))]
            await bench.check(ctx, [(address, beats, 1), *bursts])
        for place in list(bench.bytes)[:: 64 * bus]:
            await bench.check(ctx, [(place // bus * bus, 1, 0)])

    bench.run(traffic)
    assert bench.model.counts[MODEL.SdramModel.REFRESH] > 8 + 10


def test_reads_and_writes_at_the_same_time(seed):
    bench = Bench(SMALL, 100_000_000, 8, seed)
    half = SMALL.size // 2
    finished = set()

    async def writer(ctx):
        await ctx.tick().until(bench.dut.ready)
        for number in range(30):
            words = [int(bench.rng.integers(1 << 63)) for _ in range(16)]
            await bench.write(ctx, number * 128, words, [255] * 16)
        finished.add("writer")

    async def reader(ctx):
        await ctx.tick().until(bench.dut.ready)
        bursts = 0
        while "writer" not in finished:
            address, beats = bench.burst()
            await bench.check(ctx, [(half + address % half, beats, 1)])
            bursts += 1
        assert bursts > 15
        await bench.check(ctx, [(number * 128, 16, 0) for number in range(30)])
        finished.add("reader")

    bench.run(writer, reader)
    assert finished == {"writer", "reader"}


def test_throughput(seed):
    """Long reads run at nearly the chip's rate: a word of 8 bytes in four cycles."""
    chip = dataclasses.replace(SMALL, row_bits=8, column_bits=9, refresh=7_812.5)
    bench = Bench(chip, 100_000_000, 8, seed)
    spent = []

    async def traffic(ctx):
        await ctx.tick().until(bench.dut.ready)
        before = bench.model.edge
        await bench.read(ctx, [(number * 128, 16, 0) for number in range(64)], stall=0.0)
        spent.append(bench.model.edge - before)

    bench.run(traffic)
    beats = 64 * 16
    print(f"{8 * beats / spent[0]:.2f} bytes a cycle of 2")
    assert spent[0] < 1.12 * 4 * beats


def test_outside_the_memory(seed):
    bench = Bench(SMALL, 100_000_000, 8, seed)

    async def traffic(ctx):
        await ctx.tick().until(bench.dut.ready)
        await bench.write(ctx, 0, [1, 2], [255, 255])
        assert await bench.write(ctx, SMALL.size, [7, 7], [255, 255], 1) == 3
        found = await bench.read(ctx, [(SMALL.size, 2, 1), (SMALL.size - 8, 1, 0)])
        assert [response for _, response in found] == [3, 3, 0]
        await bench.check(ctx, [(0, 2, 0)])

    bench.run(traffic)


def test_a_restart_forgets_bursts_and_keeps_the_contents(seed):
    bench = Bench(SMALL, 100_000_000, 8, seed)
    dut = bench.dut

    async def traffic(ctx):
        await ctx.tick().until(dut.ready)
        for number in range(6):
            await bench.write(ctx, number * 640, [number, 7], [255, 255])
            # Cut off in the middle of reads and of a write whose data never come.
            ctx.set(dut.read.araddr, number * 640)
            ctx.set(dut.read.arlen, 15)
            ctx.set(dut.read.arvalid, 1)
            ctx.set(dut.write.awlen, 15)
            ctx.set(dut.write.awvalid, number % 2)
            await ctx.tick().repeat(7 + 3 * number)
            ctx.set(dut.restart, 1)
            ctx.set(dut.read.arvalid, 0)
            ctx.set(dut.write.awvalid, 0)
            await ctx.tick().repeat(32)
            ctx.set(dut.restart, 0)
            await ctx.tick()
            assert not ctx.get(dut.read.rvalid)
            await bench.check(ctx, [(place * 640, 2, place % 2) for place in range(number + 1)])

    bench.run(traffic)
    assert bench.model.counts[MODEL.SdramModel.MODE] == 1


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("trcd", 60.0, "tRCD: 20.0 ns instead of 60.0"),
        ("trp", 60.0, "tRP"),
        ("tras", 120.0, "tRAS"),
        ("trc", 300.0, "tRC"),
        ("trfc", 200.0, "tRFC"),
        ("trrd", 400.0, "tRRD"),
        ("twr", 60.0, "tWR"),
        ("init", 9_000.0, "a command before the power-up time was over"),
        ("tmrd_cycles", 9, "tMRD"),
        ("refresh", 100.0, "no refresh for nine intervals"),
    ],
)
def test_the_model_notices_a_controller_made_for_another_chip(name, value, message, seed):
    bench = Bench(SMALL, 100_000_000, 8, seed)
    bench.model = MODEL.SdramModel(dataclasses.replace(SMALL, **{name: value}), 10.0, strict=False)

    async def traffic(ctx):
        await ctx.tick().until(bench.dut.ready)
        for number in range(60):  # rows of one bank in turn, then of the next one
            await bench.write(ctx, number % 2 * 512 + number // 4 % 4 * 128, [5], [255])

    bench.run(traffic)
    assert any(message in violation for violation in bench.model.violations), bench.model.violations


@pytest.mark.parametrize("clock", range(25_000_000, 134_000_000, 1_000_000))
def test_capture_has_a_margin_at_every_clock(clock):
    capture = best_capture(SdramChip("chip"), Pads(2.0, 5.0, 1.0), clock)
    assert capture.margin > 0.2 and capture.phase % 45 == 0


def test_cycles_are_rounded_up():
    chip = SdramChip("chip")
    assert [chip.cycles("trcd", clock * 1_000_000) for clock in (50, 100, 101)] == [1, 2, 3]
    assert chip.cycles("init", 100_000_000) == 20_000 and chip.size == 32 << 20
