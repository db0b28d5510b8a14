"""Block RAM, single-port RAM, and two managers on one memory: random bursts against an array of bytes."""

import numpy as np
import pytest
from amaranth import Module
from amaranth.lib import wiring
from amaranth.sim import Simulator

from tensaw.boards.memory.block import BlockMemory
from tensaw.boards.memory.share import AxiShare
from tensaw.boards.memory.slice import AxiSlice
from tensaw.boards.memory.spram import SPRAM_BYTES, SpramMemory
from tensaw.spec.config import NpuConfig


class Manager:
    """Random bursts of one manager inside ``low`` to ``high``, its reads and its writes at the same time; checks what
    comes back against ``model``. A read never touches words of the write under way."""

    def __init__(self, read, write, width, model, low, high, seed, stall=0.3):
        self.read, self.write, self.width, self.model = read, write, width, model
        self.low, self.high, self.rng, self.stall = low, high, np.random.default_rng(seed), stall
        self.writing = self.reading = (0, 0)
        self.beats = [0, 0]

    def go(self):
        return self.rng.random() >= self.stall

    def burst(self, other):
        while True:
            beats = int(self.rng.integers(1, 17))
            address = int(self.rng.integers(self.low // self.width, self.high // self.width)) * self.width
            beats = min(beats, (4096 - address % 4096) // self.width, (self.high - address) // self.width)
            end = address + beats * self.width
            if end <= other[0] or address >= other[1]:
                return address, beats, end

    async def reads(self, ctx, count):
        axi = self.read
        ctx.set(axi.arsize, (self.width - 1).bit_length())
        ctx.set(axi.arburst, 1)
        for _ in range(count):
            address, beats, end = self.burst(self.writing)
            self.reading = (address, end)
            ctx.set(axi.araddr, address)
            ctx.set(axi.arlen, beats - 1)
            ctx.set(axi.arvalid, 1)
            await ctx.tick().until(axi.arready)
            ctx.set(axi.arvalid, 0)
            place = address
            while place < end:
                ready = self.go()
                ctx.set(axi.rready, int(ready))
                _, _, valid, word, last, response = await ctx.tick().sample(axi.rvalid, axi.rdata, axi.rlast, axi.rresp)
                if valid and ready:
                    expected = int.from_bytes(self.model[place : place + self.width].tobytes(), "little")
                    assert (word, last, response) == (expected, place + self.width == end, 0), hex(place)
                    place += self.width
                    self.beats[0] += 1
            ctx.set(axi.rready, 0)
            self.reading = (0, 0)

    async def writes(self, ctx, count):
        axi = self.write
        for _ in range(count):
            address, beats, end = self.burst(self.reading)
            self.writing = (address, end)
            words = [self.rng.bytes(self.width) for _ in range(beats)]
            strobes = [int(self.rng.integers(1 << self.width)) for _ in range(beats)]
            sent, addressed = 0, False
            data_first = self.go()
            offer = False
            while sent < beats or not addressed:
                ctx.set(axi.awaddr, address)
                ctx.set(axi.awlen, beats - 1)
                ask = not addressed and (not data_first or sent > 0 or self.rng.random() < 0.3)
                ask = ask or (not addressed and bool(ctx.get(axi.awvalid)))
                ctx.set(axi.awvalid, int(ask))
                offer = sent < beats and (offer or self.go())
                if offer:
                    ctx.set(axi.wdata, int.from_bytes(words[sent], "little"))
                    ctx.set(axi.wstrb, strobes[sent])
                    ctx.set(axi.wlast, int(sent == beats - 1))
                ctx.set(axi.wvalid, int(offer))
                _, _, aready, wready = await ctx.tick().sample(axi.awready, axi.wready)
                addressed |= bool(ask and aready)
                if offer and wready:
                    sent += 1
                    offer = False
            ctx.set(axi.awvalid, 0)
            ctx.set(axi.wvalid, 0)
            while not self.go():
                await ctx.tick()
            ctx.set(axi.bready, 1)
            (response,) = await ctx.tick().sample(axi.bresp).until(axi.bvalid)
            ctx.set(axi.bready, 0)
            assert response == 0
            for beat, (word, strobe) in enumerate(zip(words, strobes, strict=True)):
                for lane in range(self.width):
                    if strobe >> lane & 1:
                        self.model[address + beat * self.width + lane] = word[lane]
            self.beats[1] += beats
            self.writing = (0, 0)

    async def fill(self, ctx):
        """Give every byte of the range a value, since memories begin undefined."""
        axi = self.write
        ctx.set(axi.awsize, (self.width - 1).bit_length())
        ctx.set(axi.awburst, 1)
        ctx.set(axi.bready, 1)
        for address in range(self.low, self.high, 16 * self.width):
            ctx.set(axi.awaddr, address)
            ctx.set(axi.awlen, 15)
            ctx.set(axi.awvalid, 1)
            await ctx.tick().until(axi.awready)
            ctx.set(axi.awvalid, 0)
            for beat in range(16):
                place = address + beat * self.width
                ctx.set(axi.wdata, int.from_bytes(self.model[place : place + self.width].tobytes(), "little"))
                ctx.set(axi.wstrb, (1 << self.width) - 1)
                ctx.set(axi.wlast, int(beat == 15))
                ctx.set(axi.wvalid, 1)
                await ctx.tick().until(axi.wready)
            ctx.set(axi.wvalid, 0)
            await ctx.tick().until(axi.bvalid)
        ctx.set(axi.bready, 0)


def run(dut, *benches, background=()):
    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    for bench in benches:
        simulator.add_testbench(bench)
    for bench in background:
        simulator.add_testbench(bench, background=True)
    simulator.run()


def memory_of(kind):
    config = NpuConfig(rows=4, columns=4, requant_lanes=1, bus_bytes=16 if kind == "block16" else 8)
    if kind == "spram":
        return config, SpramMemory(config), SPRAM_BYTES
    return config, BlockMemory(config, 12288), 12288


@pytest.mark.parametrize("kind", ["block8", "block16", "spram"])
def test_random_bursts(kind, seed):
    config, memory, size = memory_of(kind)
    model = np.random.default_rng(seed).integers(0, 256, size, np.uint8)
    low, high = size - 2048, size
    manager = Manager(memory.read, memory.write, config.bus_bytes, model, low, high, seed)
    filled = []

    async def reads(ctx):
        while not filled:
            await ctx.tick()
        await manager.reads(ctx, 60)

    async def writes(ctx):
        await manager.fill(ctx)
        filled.append(True)
        await manager.writes(ctx, 60)

    run(memory, reads, writes)
    assert min(manager.beats) > 200


@pytest.mark.parametrize("kind", ["block8", "spram"])
def test_a_beat_in_each_cycle_and_decerr_outside(kind):
    config, memory, size = memory_of(kind)
    read, write = memory.read, memory.write

    async def bench(ctx):
        spent = 0
        ctx.set(read.rready, 1)
        ctx.set(read.arlen, 15)
        ctx.set(read.arid, 1)
        asked = beats = 0
        while beats < 128:
            ctx.set(read.arvalid, int(asked < 8))
            ctx.set(read.araddr, asked * 128)
            _, _, ready, valid, identity = await ctx.tick().sample(read.arready, read.rvalid, read.rid)
            asked += bool(ready) and asked < 8
            beats += valid
            assert not valid or identity == 1
            spent += 1
        assert spent <= 128 + 4
        ctx.set(read.arvalid, 1)
        ctx.set(read.araddr, size)
        ctx.set(read.arlen, 1)
        await ctx.tick().until(read.arready)
        ctx.set(read.arvalid, 0)
        for _ in range(2):
            (response,) = await ctx.tick().sample(read.rresp).until(read.rvalid)
            assert response == 3
        for address, expected in ((size, 3), (0, 0)):
            ctx.set(write.awaddr, address)
            ctx.set(write.awid, 1)
            ctx.set(write.awvalid, 1)
            await ctx.tick().until(write.awready)
            ctx.set(write.awvalid, 0)
            ctx.set(write.wlast, 1)
            ctx.set(write.wstrb, 255)
            ctx.set(write.wdata, 5 + expected)
            ctx.set(write.wvalid, 1)
            await ctx.tick().until(write.wready)
            ctx.set(write.wvalid, 0)
            ctx.set(write.bready, 1)
            response, identity = await ctx.tick().sample(write.bresp, write.bid).until(write.bvalid)
            assert (response, identity) == (expected, 1)
        ctx.set(read.araddr, 0)
        ctx.set(read.arlen, 0)
        ctx.set(read.arvalid, 1)
        await ctx.tick().until(read.arready)
        ctx.set(read.arvalid, 0)
        (word,) = await ctx.tick().sample(read.rdata).until(read.rvalid)
        assert word == 5

    run(memory, bench)


@pytest.mark.parametrize("sliced", [False, True])
@pytest.mark.parametrize("kind", ["block8", "spram", "checked"])
def test_two_managers(kind, sliced, seed, axi_memory):
    """On real memories, and on one that checks the protocol on its side of the share, or of the registers behind it."""
    config, memory, size = memory_of("spram" if kind == "spram" else "block8")
    m = Module()
    m.submodules.share = share = AxiShare(config)
    background = []
    ends = share.read, share.write
    if sliced:
        m.submodules.between = between = AxiSlice(config)
        wiring.connect(m, share.read, between.read)
        wiring.connect(m, share.write, between.write)
        ends = between.memory_read, between.memory_write
    if kind == "checked":
        model_memory = axi_memory(*ends, config, size, seed)
        background = [model_memory.serve_reads, model_memory.serve_writes]
        content = model_memory.content.copy()
        memory._MustUse__silence = True  # type: ignore[attr-defined]
    else:
        m.submodules.memory = memory
        wiring.connect(m, ends[0], memory.read)
        wiring.connect(m, ends[1], memory.write)
        content = np.random.default_rng(seed).integers(0, 256, size, np.uint8)
    managers = [
        Manager(share.read0, share.write0, 8, content, 0, 1024, seed + 1),
        Manager(share.read1, share.write1, 8, content, 1024, 2048, seed + 2, stall=0.6),
    ]
    filled = set()

    def writer(number):
        async def bench(ctx):
            await managers[number].fill(ctx)
            filled.add(number)
            await managers[number].writes(ctx, 40)

        return bench

    def reader(number):
        async def bench(ctx):
            while len(filled) < 2:
                await ctx.tick()
            await managers[number].reads(ctx, 40)

        return bench

    run(m, *(bench(number) for number in (0, 1) for bench in (reader, writer)), background=background)
    assert all(min(manager.beats) > 100 for manager in managers)


def test_a_bus_that_does_not_fit():
    with pytest.raises(ValueError, match="The single-port RAM is 8 bytes wide, not bus_bytes=16."):
        SpramMemory.check(NpuConfig(bus_bytes=16))
