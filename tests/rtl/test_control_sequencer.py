"""Sequencer with the read manager and a program in memory."""

import numpy as np
import pytest
from amaranth import Module
from amaranth.lib import wiring
from amaranth.sim import Simulator

from tensaw.rtl.bus.read_manager import ReadManager
from tensaw.rtl.control.sequencer import QUEUED_UNITS, Sequencer
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import END_WORD, WORDS, Unit, encode

BASE, OFFSET = 0x1000, 0x40


def build(axi_memory, config, words, stall=0.0, size=None):
    m = Module()
    m.submodules.sequencer = sequencer = Sequencer(config)
    m.submodules.manager = manager = ReadManager(config)
    wiring.connect(m, sequencer.read, manager.fetch)
    memory = axi_memory(manager.axi, config, 0x8000, latency=10, stall=stall, bad={4: 3})
    program = np.array(words + [0] * (len(words) % 2), "<u8").tobytes()
    memory.content[BASE + OFFSET : BASE + OFFSET + len(program)] = np.frombuffer(program, np.uint8)
    length = len(program) if size is None else size

    async def begin(ctx, offset=OFFSET):
        ctx.set(manager.regions[0], {"base": BASE, "size": 0x4000, "read": 1, "write": 0})
        ctx.set(sequencer.program_offset, offset)
        ctx.set(sequencer.program_bytes, length)
        ctx.set(sequencer.start, 1)
        await ctx.tick()
        ctx.set(sequencer.start, 0)

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(memory.serve_reads, background=True)
    return simulator, sequencer, manager, begin


@pytest.mark.parametrize("bus, depth, burst", [(8, 16, 16), (16, 300, 4)])
def test_words_reach_their_units(axi_memory, bus, depth, burst):
    config = NpuConfig(bus_bytes=bus, queue_depth=depth, burst_beats=burst)
    rng = np.random.default_rng(bus)
    kinds = [word for word in WORDS if word.unit != Unit.CONTROL]
    words = [encode(kinds[i].full_name) | int(rng.integers(1 << 20)) for i in rng.integers(0, len(kinds), 250)]
    simulator, dut, manager, begin = build(axi_memory, config, [*words, END_WORD], stall=0.1)
    finished = []

    for unit in QUEUED_UNITS:
        port = getattr(dut, unit.name.lower())
        wanted = [word for word in words if word >> 60 == unit]

        async def taking(ctx, port=port, wanted=wanted):
            random = np.random.default_rng(len(wanted))
            got = []
            while len(got) < len(wanted):
                ready = random.random() < 0.5
                ctx.set(port.ready, bool(ready))
                _, _, valid, payload = await ctx.tick().sample(port.valid, port.payload)
                if valid and ready:
                    got.append(payload)
            assert got == wanted
            finished.append(port)

        simulator.add_testbench(taking)

    async def bench(ctx):
        await begin(ctx)
        ctx.set(dut.units_busy, 0b00100)
        while len(finished) < 5:
            assert not ctx.get(dut.done)
            await ctx.tick()
        await ctx.tick().repeat(30)
        assert not ctx.get(dut.done)
        ctx.set(dut.units_busy, 0)
        await ctx.tick().repeat(20)
        assert not ctx.get(dut.done)
        ctx.set(dut.bus_idle, 1)
        await ctx.tick().repeat(9)
        assert ctx.get(dut.done)
        assert not ctx.get(dut.error.valid) and not ctx.get(dut.fetch_error.valid)
        assert ctx.get(manager.idle)

    simulator.add_testbench(bench)
    simulator.run()


def test_one_word_a_cycle(axi_memory):
    config = NpuConfig(queue_depth=512)
    words = [encode("WEIGHT.MEMORY", offset=8 * i) for i in range(200)]
    simulator, dut, _, begin = build(axi_memory, config, [*words, END_WORD])

    async def bench(ctx):
        await begin(ctx)
        ctx.set(dut.bus_idle, 1)
        cycles = 0
        while ctx.get(dut.queued[0]) < 200:
            await ctx.tick()
            cycles += 1
        assert cycles < 200 + 35

    simulator.add_testbench(bench)
    simulator.run()


UNKNOWN_UNIT, UNKNOWN_CONTROL = 0x9000000000000001, int(Unit.CONTROL) << 60 | 1 << 54
LONG_END = END_WORD | 1 << 40


@pytest.mark.parametrize(
    "word, code, address",
    [
        (UNKNOWN_UNIT, 5, UNKNOWN_UNIT),
        (0, 5, 0),
        (UNKNOWN_CONTROL, 5, UNKNOWN_CONTROL),
        (LONG_END, 5, LONG_END),
        (None, 8, 0),
    ],
)
def test_errors(axi_memory, word, code, address):
    words = [encode("LOAD.RUN")] * (3 if word is not None else 4) + ([] if word is None else [word])
    simulator, dut, _, begin = build(axi_memory, NpuConfig(), words)

    async def bench(ctx):
        await begin(ctx)
        ctx.set(dut.bus_idle, 1)
        control = address >> 60 == Unit.CONTROL
        error, other = (dut.error, dut.fetch_error) if control else (dut.fetch_error, dut.error)
        await ctx.tick().until(error.valid)
        assert (ctx.get(error.code), ctx.get(error.address)) == (code, address)
        assert not ctx.get(other.valid)
        await ctx.tick().repeat(20)
        assert not ctx.get(dut.done)

    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize(
    "offset, size, code",
    [(8, 16, 6), (0, 24, 6), (0, 1 << 28, 6), (0, 0x4010, 7), (0x3010, 16, 2), (0, 0, None)],
)
def test_fetch_errors(axi_memory, offset, size, code):
    simulator, dut, _, begin = build(axi_memory, NpuConfig(), [END_WORD], size=size)

    async def bench(ctx):
        await begin(ctx, offset)
        error = dut.fetch_error
        (got,) = await ctx.tick().sample(error.code).until(error.valid)
        assert got == (8 if code is None else code)

    simulator.add_testbench(bench)
    simulator.run()
