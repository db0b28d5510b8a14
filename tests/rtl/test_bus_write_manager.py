"""WriteManager against a memory with random latencies and stalls."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from tensaw.rtl.bus.write_manager import OUTSTANDING_WRITES, WriteManager
from tensaw.spec.config import NpuConfig

BASE, SIZE = 0x1000, 0x6000


def set_regions(ctx, dut):
    ctx.set(dut.regions[1], {"base": BASE, "size": SIZE, "read": 0, "write": 1})
    ctx.set(dut.regions[2], {"base": BASE, "size": SIZE, "read": 1, "write": 0})


async def ask(ctx, port, region, offset, count):
    ctx.set(port.request.payload, {"region": region, "offset": offset, "bytes": count})
    await ctx.tick()  # the region comes first
    ctx.set(port.request.valid, 1)
    await ctx.tick().until(port.request.ready)
    ctx.set(port.request.valid, 0)


def beats_of(content, offset, width, rng):
    """Bus words with ``content`` from the lane of ``offset`` on, rubbish around it."""
    lane = offset % width
    total = -(-(lane + len(content)) // width) * width
    padded = rng.integers(0, 256, total, dtype=np.uint8)
    padded[lane : lane + len(content)] = content
    return [int.from_bytes(padded[i : i + width].tobytes(), "little") for i in range(0, total, width)]


async def give(ctx, port, words, rng, stall):
    for word in words:
        while stall and rng.random() < stall:
            await ctx.tick()
        ctx.set(port.data.payload, word)
        ctx.set(port.data.valid, 1)
        await ctx.tick().until(port.data.ready)
        ctx.set(port.data.valid, 0)


def simulator_of(dut, memory):
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(memory.serve_writes, background=True)
    return simulator


@pytest.mark.parametrize(
    "bus, burst, latency, stall", [(8, 16, 5, 0.0), (16, 16, 3, 0.4), (8, 2, 12, 0.2), (8, 256, 1, 0.5), (16, 1, 2, 0)]
)
def test_writes(axi_memory, bus, burst, latency, stall):
    config = NpuConfig(bus_bytes=bus, burst_beats=burst)
    dut = WriteManager(config)
    memory = axi_memory(dut.axi, config, 0x8000, seed=burst, latency=latency, stall=stall)
    image = memory.content.copy()
    rng = np.random.default_rng(bus * burst)
    requests, words = [], []
    for _ in range(24):
        count = int(rng.integers(1, [4, 40, 600][rng.integers(3)]))
        offset = int(rng.integers(0, SIZE - count))
        if rng.integers(3) == 0:
            offset = min(SIZE - count, max(0, offset // 4096 * 4096 - int(rng.integers(0, 40))))
        content = rng.integers(0, 256, count, dtype=np.uint8)
        image[BASE + offset : BASE + offset + count] = content
        requests.append((offset, count))
        words += beats_of(content, offset, bus, rng)

    async def asking(ctx):
        set_regions(ctx, dut)
        for offset, count in requests:
            await ask(ctx, dut.store, 1, offset, count)
        await ctx.tick().until(dut.store.done)
        assert ctx.get(dut.idle) and not ctx.get(dut.store.error.valid)
        assert np.array_equal(memory.content, image)

    async def giving(ctx):
        await give(ctx, dut.store, words, np.random.default_rng(3), stall)

    simulator = simulator_of(dut, memory)
    simulator.add_testbench(asking)
    simulator.add_testbench(giving)
    simulator.run()
    assert np.array_equal(memory.content, image)
    assert memory.most_outstanding <= OUTSTANDING_WRITES


def test_one_beat_a_cycle(axi_memory):
    config = NpuConfig()
    dut = WriteManager(config)
    memory = axi_memory(dut.axi, config, 0x8000, latency=32)

    async def bench(ctx):
        set_regions(ctx, dut)
        await ask(ctx, dut.store, 1, 0, 4096)
        await give(ctx, dut.store, list(range(512)), None, 0)
        await ctx.tick().until(dut.store.done)

    simulator = simulator_of(dut, memory)
    simulator.add_testbench(bench)
    simulator.run()
    times = memory.beat_times
    assert len(times) == 512 and times[-1] - times[0] + 1 == 512


@pytest.mark.parametrize(
    "region, offset, count, code, address",
    [
        (1, SIZE - 4, 5, 7, BASE + SIZE - 4),
        (2, 0, 1, 7, BASE),
        (4, 0, 1, 7, 0),
        (1, 0x1010, 8, 3, BASE + 0x1010),
        (1, 0x2010, 8, 4, BASE + 0x2010),
    ],
)
def test_errors(axi_memory, region, offset, count, code, address):
    config = NpuConfig()
    dut = WriteManager(config)
    memory = axi_memory(dut.axi, config, 0x8000, latency=2, bad={2: 2, 3: 3})

    async def bench(ctx):
        set_regions(ctx, dut)
        await ask(ctx, dut.store, 1, 0, 8)
        await ask(ctx, dut.store, region, offset, count)
        ctx.set(dut.store.data.valid, 1)
        error = dut.store.error
        assert tuple(await ctx.tick().sample(error.code, error.address).until(error.valid)) == (code, address)
        await ctx.tick().repeat(20)
        assert ctx.get(dut.idle)
        assert len(memory.writes) == (1 if code == 7 else 2)

    simulator = simulator_of(dut, memory)
    simulator.add_testbench(bench)
    simulator.run()


def test_halt_pays_the_beats_owed(axi_memory):
    config = NpuConfig()
    dut = WriteManager(config)
    memory = axi_memory(dut.axi, config, 0x8000, latency=20, stall=0.3)
    image = memory.content.copy()

    async def bench(ctx):
        set_regions(ctx, dut)
        await ask(ctx, dut.store, 1, 0, 4000)
        await give(ctx, dut.store, [0] * 5, None, 0)
        await ctx.tick().repeat(30)
        assert not ctx.get(dut.idle)
        ctx.set(dut.halt, 1)
        await ctx.tick().until(dut.idle)
        issued = len(memory.writes)
        await ctx.tick().repeat(50)
        assert memory.outstanding == 0 and len(memory.writes) == issued

    simulator = simulator_of(dut, memory)
    simulator.add_testbench(bench)
    simulator.run()
    image[BASE : BASE + 40] = 0
    assert np.array_equal(memory.content, image)
