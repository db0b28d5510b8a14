"""ReadManager against a memory with random latencies and stalls."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from tensaw.rtl.bus.read_manager import ASKERS, ReadManager
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import Turn

BASE, SIZE = 0x1000, 0x6000


def set_regions(ctx, dut, entries):
    for index, (base, size, read, write) in enumerate(entries):
        ctx.set(dut.regions[index], {"base": base, "size": size, "read": read, "write": write})


async def ask(ctx, port, region, offset, count):
    ctx.set(port.request.payload, {"region": region, "offset": offset, "bytes": count})
    ctx.set(port.request.valid, 1)
    await ctx.tick().until(port.request.ready)
    ctx.set(port.request.valid, 0)


async def take(ctx, port, beats, rng, stall, gap=None):
    words = []
    while len(words) < beats:
        ready = stall == 0 or rng.random() >= stall
        ctx.set(port.data.ready, ready)
        _, _, valid, payload = await ctx.tick().sample(port.data.valid, port.data.payload)
        if ready and valid:
            words.append(payload)
    ctx.set(port.data.ready, 0)
    return words


def expected_bytes(memory, config, offset, count):
    start, end = BASE + offset, BASE + offset + count
    width = config.bus_bytes
    first, last = start // width * width, -(-end // width) * width
    return memory.content[first:last].tobytes()


def simulator_of(dut):
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    return simulator


@pytest.mark.parametrize(
    "bus, burst, outstanding, latency, stall",
    [(8, 16, 8, 5, 0.0), (16, 16, 8, 3, 0.4), (8, 4, 1, 9, 0.3), (8, 256, 3, 1, 0.5), (16, 1, 2, 2, 0.2)],
)
def test_three_askers(axi_memory, bus, burst, outstanding, latency, stall):
    config = NpuConfig(bus_bytes=bus, burst_beats=burst, outstanding_reads=outstanding)
    dut = ReadManager(config)
    memory = axi_memory(dut.axi, config, 0x8000, seed=bus + burst, latency=latency, stall=stall)
    simulator = simulator_of(dut)
    simulator.add_testbench(memory.serve_reads, background=True)
    rng = np.random.default_rng(burst)
    left = set(ASKERS)

    for asker in ASKERS:
        port = getattr(dut, asker)
        requests = []
        for _ in range(12):
            offset = int(rng.integers(0, SIZE - 1))
            if rng.integers(3) == 0:
                offset = max(0, offset // 4096 * 4096 - int(rng.integers(0, 40)))
            count = int(rng.integers(1, [4, 40, 600][rng.integers(3)]))
            requests.append((offset, min(count, SIZE - offset)))

        async def asking(ctx, port=port, requests=requests):
            set_regions(ctx, dut, [(0, 0, 0, 0), (BASE, SIZE, 1, 0)])
            ctx.set(port.credit, 0xFFFF)
            for offset, count in requests:
                await ask(ctx, port, 1, offset, count)

        async def taking(ctx, port=port, requests=requests, asker=asker):
            random = np.random.default_rng(1)
            for offset, count in requests:
                wanted = expected_bytes(memory, config, offset, count)
                words = await take(ctx, port, len(wanted) // bus, random, stall)
                assert b"".join(word.to_bytes(bus, "little") for word in words) == wanted
            assert not ctx.get(port.error.valid)
            left.discard(asker)
            if not left:
                await ctx.tick().repeat(3)
                assert ctx.get(dut.idle)

        simulator.add_testbench(asking)
        simulator.add_testbench(taking)
    simulator.run()
    assert not left
    assert memory.most_outstanding <= outstanding


@pytest.mark.parametrize("bus", [8, 16])
def test_one_beat_a_cycle(axi_memory, bus):
    config = NpuConfig(bus_bytes=bus)
    dut = ReadManager(config)
    memory = axi_memory(dut.axi, config, 0x8000, latency=32)
    count = 0x3000

    async def bench(ctx):
        set_regions(ctx, dut, [(BASE, SIZE, 1, 0)])
        ctx.set(dut.weight.credit, 0xFFFF)
        await ask(ctx, dut.weight, 0, 0, count)
        await take(ctx, dut.weight, count // bus, None, 0)

    simulator = simulator_of(dut)
    simulator.add_testbench(memory.serve_reads, background=True)
    simulator.add_testbench(bench)
    simulator.run()
    times = memory.beat_times
    assert times[-1] - times[0] + 1 == count // bus
    assert times[0] == 42  # seven cycles to ARVALID, 32 of memory, its handshakes


def test_short_rows_sustain(axi_memory):
    """Requests of four beats each, one every few cycles, keep the bus busy up to the outstanding limit."""
    config = NpuConfig(outstanding_reads=16)
    dut = ReadManager(config)
    memory = axi_memory(dut.axi, config, 0x8000, latency=32)

    async def asking(ctx):
        set_regions(ctx, dut, [(BASE, SIZE, 1, 0)])
        ctx.set(dut.load.credit, 0xFFFF)
        for row in range(100):
            await ask(ctx, dut.load, 0, row * 64, 32)

    async def taking(ctx):
        await take(ctx, dut.load, 400, None, 0)

    simulator = simulator_of(dut)
    simulator.add_testbench(memory.serve_reads, background=True)
    simulator.add_testbench(asking)
    simulator.add_testbench(taking)
    simulator.run()
    assert memory.beat_times[-1] - memory.beat_times[0] + 1 == 400


@pytest.mark.parametrize(
    "turn, order", [(Turn.SHARED, "LLLWLLLWLLW"), (Turn.FIRST, "WWWLLLLL"), (Turn.LAST, "LLLLLLLL")]
)
def test_whose_turn_it_is(axi_memory, turn, order):
    """Both ask for more bursts than may be under way, weight first; ``order``: the bursts that follow its first."""
    config = NpuConfig(outstanding_reads=1)
    dut = ReadManager(config)
    memory = axi_memory(dut.axi, config, 0x8000, latency=4)

    async def bench(ctx):
        set_regions(ctx, dut, [(BASE, SIZE, 1, 0)])
        for port in (dut.load, dut.weight):
            ctx.set(port.credit, 0xFFFF)
            ctx.set(port.data.ready, 1)
        ctx.set(dut.weight.request.payload.turn, turn)
        for port, offset, bursts in ((dut.weight, 0x2000, 4), (dut.load, 0, 8)):
            ctx.set(port.request.payload.offset, offset)
            ctx.set(port.request.payload.bytes, 128 * bursts)
            ctx.set(port.request.valid, 1)
            await ctx.tick().until(port.request.ready)
            ctx.set(port.request.valid, 0)
        await ctx.tick().repeat(400)

    simulator = simulator_of(dut)
    simulator.add_testbench(memory.serve_reads, background=True)
    simulator.add_testbench(bench)
    simulator.run()
    askers = "".join("W" if address >= BASE + 0x2000 else "L" for address, _ in memory.reads)
    assert askers[0] == "W" and askers[1:].startswith(order), askers


def test_credit_limits_what_is_issued(axi_memory):
    config = NpuConfig()
    dut = ReadManager(config)
    memory = axi_memory(dut.axi, config, 0x8000, latency=4)

    async def bench(ctx):
        set_regions(ctx, dut, [(BASE, SIZE, 1, 0)])
        ctx.set(dut.weight.credit, 40)
        ctx.set(dut.load.credit, 0xFFFF)
        await ask(ctx, dut.weight, 0, 0, 2048)
        await ctx.tick().repeat(60)
        assert sum(beats for _, beats in memory.reads) == 32
        await ctx.tick()
        ctx.set(dut.weight.data.ready, 1)
        for taken in range(32):
            await ctx.tick().until(dut.weight.data.valid)
            ctx.set(dut.weight.credit, 39 - taken)
        await ctx.tick().repeat(60)
        assert sum(beats for _, beats in memory.reads) == 32
        await ask(ctx, dut.load, 0, 100, 8)
        assert len(await take(ctx, dut.load, 2, None, 0)) == 2
        ctx.set(dut.weight.credit, 16)
        await ctx.tick().repeat(20)
        assert sum(beats for _, beats in memory.reads) == 50

    simulator = simulator_of(dut)
    simulator.add_testbench(memory.serve_reads, background=True)
    simulator.add_testbench(bench)
    simulator.run()


def test_weight_is_not_starved_and_fetch_goes_first(axi_memory):
    config = NpuConfig()
    dut = ReadManager(config)
    memory = axi_memory(dut.axi, config, 0x8000, latency=8)

    async def bench(ctx):
        set_regions(ctx, dut, [(0, 0x2000, 1, 0), (0x2000, 0x2000, 1, 0), (0x4000, 0x2000, 1, 0)])
        for asker in ASKERS:
            port = getattr(dut, asker)
            ctx.set(port.credit, 0xFFFF)
            ctx.set(port.data.ready, 1)
        await ask(ctx, dut.load, 1, 0, 0x2000)
        await ask(ctx, dut.weight, 2, 0, 0x2000)
        await ctx.tick().repeat(200)
        before = len(memory.reads)
        await ask(ctx, dut.fetch, 0, 0, 64)
        await ctx.tick().repeat(400)
        regions = [address >> 13 for address, _ in memory.reads]
        assert regions.index(0) - before <= 3
        assert regions[2:before].count(2) >= (before - 2) // 4
        assert regions[2:before].count(1) > regions[2:before].count(2)

    simulator = simulator_of(dut)
    simulator.add_testbench(memory.serve_reads, background=True)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize(
    "region, offset, count, code, address",
    [
        (1, SIZE - 4, 5, 7, BASE + SIZE - 4),
        (1, 0xFFFFFFFF, 2, 7, BASE - 1),
        (2, 0, 1, 7, 0),
        (0, 0, 1, 7, 0),
        (5, 0, 1, 7, BASE),
        (1, 0x1010, 8, 1, BASE + 0x1010),
        (1, 0x2010, 8, 2, BASE + 0x2010),
    ],
)
def test_errors(axi_memory, region, offset, count, code, address):
    config = NpuConfig()
    dut = ReadManager(config)
    memory = axi_memory(dut.axi, config, 0x8000, latency=2, bad={2: 2, 3: 3})

    async def bench(ctx):
        set_regions(ctx, dut, [(0, 0x100, 0, 1), (BASE, SIZE, 1, 0)])
        ctx.set(dut.load.credit, 64)
        ctx.set(dut.load.data.ready, 1)
        await ask(ctx, dut.load, 1, SIZE - 8, 8)
        await ask(ctx, dut.load, region, offset, count)
        error, fetch, weight = dut.load.error, dut.fetch.error, dut.weight.error
        got = await ctx.tick().sample(error.code, error.address, fetch.valid, weight.valid).until(error.valid)
        assert tuple(got) == (code, address, 0, 0)
        await ctx.tick().repeat(20)
        assert len(memory.reads) == (1 if code == 7 else 2)

    simulator = simulator_of(dut)
    simulator.add_testbench(memory.serve_reads, background=True)
    simulator.add_testbench(bench)
    simulator.run()


def test_halt_drops_what_is_on_its_way(axi_memory):
    config = NpuConfig()
    dut = ReadManager(config)
    memory = axi_memory(dut.axi, config, 0x8000, latency=20, stall=0.3)

    async def bench(ctx):
        set_regions(ctx, dut, [(BASE, SIZE, 1, 0)])
        ctx.set(dut.load.credit, 0xFFFF)
        await ask(ctx, dut.load, 0, 0, 4000)
        await ctx.tick().repeat(30)
        assert not ctx.get(dut.idle)
        ctx.set(dut.halt, 1)
        await ctx.tick().repeat(2)
        issued = len(memory.reads)
        await ctx.tick().until(dut.idle)
        await ctx.tick().repeat(30)
        assert ctx.get(dut.idle) and memory.outstanding == 0
        assert len(memory.reads) <= issued + 2

    simulator = simulator_of(dut)
    simulator.add_testbench(memory.serve_reads, background=True)
    simulator.add_testbench(bench)
    simulator.run()
