"""WeightDma with the read manager and the ring."""

import numpy as np
import pytest
from amaranth import Module
from amaranth.lib import wiring
from amaranth.sim import Simulator

from tensaw.rtl.bus.read_manager import ReadManager
from tensaw.rtl.dma.weight import WeightDma
from tensaw.rtl.memory.weight_ring import WeightRing
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import encode

BASE, SIZE = 0x1000, 0x6000


def build(config):
    m = Module()
    m.submodules.manager = manager = ReadManager(config)
    m.submodules.dma = dma = WeightDma(config)
    m.submodules.ring = ring = WeightRing(config)
    wiring.connect(m, dma.read, manager.weight)
    wiring.connect(m, dma.ring, ring.write)
    m.d.comb += dma.space.eq(ring.space)
    return m, manager, dma, ring


async def give(ctx, port, words):
    for word in words:
        ctx.set(port.payload, word)
        ctx.set(port.valid, 1)
        await ctx.tick().until(port.ready)
        ctx.set(port.valid, 0)


@pytest.mark.parametrize("columns, bus, stall", [(16, 8, 0.0), (4, 8, 0.3), (4, 16, 0.2), (32, 16, 0.3)])
def test_stream(axi_memory, columns, bus, stall):
    config = NpuConfig(rows=8, columns=columns, requant_lanes=1, bus_bytes=bus, weight_bytes=2048)
    m, manager, dma, ring = build(config)
    memory = axi_memory(manager.axi, config, 0x8000, seed=columns, latency=32, stall=stall)
    rng = np.random.default_rng(columns + bus)
    row_bytes = config.weight_row_bytes
    wanted = b""
    words = []
    for tag in range(6):
        count = int(rng.integers(1, 60)) * max(row_bytes, bus)
        offset = int(rng.integers(0, (SIZE - count) // bus)) * bus
        words += [encode("WEIGHT.MEMORY", region=1, offset=offset), encode("WEIGHT.RUN", tag=tag + 1, bytes=count)]
        wanted += memory.content[BASE + offset : BASE + offset + count].tobytes()

    async def driving(ctx):
        ctx.set(manager.regions[1], {"base": BASE, "size": SIZE, "read": 1, "write": 0})
        await give(ctx, dma.words, words)

    async def reading(ctx):
        got = b""
        while len(got) < len(wanted):
            available = ctx.get(ring.available)
            if available == 0 or (stall and rng.random() < stall):
                ctx.set(ring.release, 0)
                ctx.set(ring.read_enable, 0)
                await ctx.tick()
                continue
            ctx.set(ring.read_enable, 1)
            ctx.set(ring.release, 1)
            await ctx.tick()
            ctx.set(ring.read_enable, 0)
            ctx.set(ring.release, 0)
            await ctx.tick()
            got += ctx.get(ring.read_data).to_bytes(row_bytes, "little")
        assert got == wanted
        await ctx.tick().repeat(2)
        assert not ctx.get(dma.busy) and not ctx.get(dma.error.valid)
        assert ctx.get(dma.tag) == 6 and ctx.get(manager.idle)

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(memory.serve_reads, background=True)
    simulator.add_testbench(driving)
    simulator.add_testbench(reading)
    simulator.run()
    if not stall:
        beats = len(wanted) // bus
        assert memory.beat_times[-1] - memory.beat_times[0] + 1 < 1.1 * beats


@pytest.mark.parametrize(
    "offset, count, turn, code",
    [
        (0, 0, 0, 6), (4, 8, 0, 6), (0, 12, 0, 6), (0, 8, 3, 6), (SIZE - 8, 16, 1, 7), (0x1000, 8, 2, 1),
        (0x2000, 8, 0, 2),
    ],
)  # fmt: skip
def test_errors(axi_memory, offset, count, turn, code):
    config = NpuConfig()
    m, manager, dma, _ = build(config)
    memory = axi_memory(manager.axi, config, 0x8000, bad={2: 2, 3: 3})

    async def bench(ctx):
        ctx.set(manager.regions[1], {"base": BASE, "size": SIZE, "read": 1, "write": 0})
        await give(ctx, dma.words, [
            encode("WEIGHT.MEMORY", region=1, offset=offset),
            encode("WEIGHT.RUN", tag=0xABC, bytes=count, turn=turn),
        ])  # fmt: skip
        assert tuple(await ctx.tick().sample(dma.error.code, dma.error.tag).until(dma.error.valid)) == (code, 0xABC)

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(memory.serve_reads, background=True)
    simulator.add_testbench(bench)
    simulator.run()
