"""Everything around the array together: registers, sequencer, tokens, the three DMA units, managers, scratchpad."""

import numpy as np
import pytest
from amaranth import Cat, Module, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.sim import Simulator

from tensaw.rtl.bus.read_manager import ReadManager
from tensaw.rtl.bus.write_manager import WriteManager
from tensaw.rtl.control.registers import Registers
from tensaw.rtl.control.sequencer import Sequencer
from tensaw.rtl.control.tokens import Tokens
from tensaw.rtl.dma.load import LoadDma
from tensaw.rtl.dma.store import StoreDma
from tensaw.rtl.dma.weight import WeightDma
from tensaw.rtl.memory.scratchpad import Scratchpad
from tensaw.rtl.memory.weight_ring import WeightRing
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import Peer, assemble

PROGRAM, DATA, RESULT = 0x1000, 0x3000, 0x5000


class System:
    """The parts, wired as the NPU's top does it."""

    def __init__(self, config):
        self.module = m = Module()
        core = Module()
        self.registers = registers = m.submodules.registers = Registers(config)
        core_reset = Signal(init=1)
        m.d.sync += core_reset.eq(registers.core_reset)
        m.submodules.core = ResetInserter(core_reset)(core)
        self.read = read = core.submodules.read = ReadManager(config)
        self.write = write = core.submodules.write = WriteManager(config)
        sequencer = core.submodules.sequencer = Sequencer(config)
        tokens = core.submodules.tokens = Tokens()
        load = core.submodules.load = LoadDma(config)
        store = core.submodules.store = StoreDma(config)
        weight = core.submodules.weight = WeightDma(config)
        self.ring = ring = core.submodules.ring = WeightRing(config)
        pad = core.submodules.pad = Scratchpad(config, (config.bus_bytes,), 1)

        wiring.connect(core, sequencer.read, read.fetch)
        wiring.connect(core, load.read, read.load)
        wiring.connect(core, weight.read, read.weight)
        wiring.connect(core, store.write, write.store)
        wiring.connect(core, load.write, pad.writes[0])
        wiring.connect(core, store.read, pad.read0)
        wiring.connect(core, weight.ring, ring.write)
        wiring.connect(core, load.tokens, tokens.peers[Peer.LOAD])
        wiring.connect(core, store.tokens, tokens.peers[Peer.STORE])
        for name, unit in (("load", load), ("store", store), ("weight", weight)):
            wiring.connect(core, getattr(sequencer, name), unit.words)
            wiring.connect(m, unit.error, getattr(registers, f"{name}_error"))
            core.d.comb += unit.halt.eq(registers.halt)
        wiring.connect(m, sequencer.fetch_error, registers.fetch_error)
        wiring.connect(m, sequencer.error, registers.control_error)
        wiring.connect(m, tokens.error, registers.token_error)
        idle = read.idle & write.idle
        core.d.comb += [
            weight.space.eq(ring.space),
            sequencer.start.eq(registers.start),
            sequencer.program_offset.eq(registers.program_offset),
            sequencer.program_bytes.eq(registers.program_bytes),
            sequencer.halt.eq(registers.halt),
            sequencer.bus_idle.eq(idle),
            sequencer.units_busy.eq(Cat(weight.busy, load.busy, 0, 0, store.busy)),
            read.regions.eq(registers.regions),
            read.halt.eq(registers.halt),
            write.regions.eq(registers.regions),
            write.halt.eq(registers.halt),
        ]
        m.d.comb += [
            registers.done.eq(sequencer.done),
            registers.bus_idle.eq(idle),
            registers.events.bytes_read.eq(read.beats),
            registers.events.bytes_written.eq(write.beats),
        ]
        for index, unit in ((0, weight), (1, load), (4, store)):
            m.d.comb += [
                registers.stalls[index].state.eq(unit.state),
                registers.stalls[index].tag.eq(unit.tag),
                registers.stalls[index].queued.eq(sequencer.queued[index]),
            ]
            if unit is not weight:
                m.d.comb += registers.stalls[index].wait.eq(unit.tokens.take_mask)


def start_up(axi_memory, axi_lite, config, text, stall=0.1, bad=None):
    system = System(config)
    memory = axi_memory(system.read.axi, config, 0x8000, latency=12, stall=stall, bad=bad)
    writer = axi_memory(system.write.axi, config, 0x8000, seed=1, latency=9, stall=stall, bad=bad)
    writer.content = memory.content
    words = assemble(text)
    words += words[:1] * (len(words) % 2)
    memory.content[PROGRAM : PROGRAM + 8 * len(words)] = np.frombuffer(np.array(words, "<u8").tobytes(), np.uint8)
    lite = axi_lite(system.registers.axi)

    async def begin(ctx):
        for index, (base, size, access) in enumerate(
            [(PROGRAM, 0x2000, 1), (DATA, 0x2000, 1), (RESULT, 0x2000, 3)]
        ):  # fmt: skip
            await lite.write(ctx, f"REGION{index}_BASE_LO", base)
            await lite.write(ctx, f"REGION{index}_SIZE", size)
            await lite.write(ctx, f"REGION{index}_ACCESS", access)
        await lite.write(ctx, "PROGRAM_BYTES", 8 * len(words))
        await lite.write(ctx, "CONTROL", 1)

    async def wait_for_end(ctx):
        for _ in range(400):
            status = await lite.read(ctx, "STATUS")
            if status != 1:
                return status
            await ctx.tick().repeat(20)
        raise AssertionError("still busy")

    simulator = Simulator(system.module)
    simulator.add_clock(1e-6)
    simulator.add_testbench(memory.serve_reads, background=True)
    simulator.add_testbench(writer.serve_writes, background=True)
    return simulator, system, memory, lite, begin, wait_for_end


COPY = """
    WEIGHT.MEMORY region=1 offset=64
    WEIGHT.RUN tag=1 bytes=512
    LOAD.MEMORY region=1 offset=3
    LOAD.SCRATCHPAD address=101
    LOAD.ROWS bytes=37 count=5
    LOAD.ROW_PITCH memory=50 scratchpad=37
    LOAD.PLANES count=1
    LOAD.RUN tag=2 signal=8
    STORE.MEMORY region=2 offset=1001
    STORE.SCRATCHPAD address=101
    STORE.ROWS bytes=185 count=1
    STORE.PLANES count=1
    STORE.RUN tag=3 wait=1 signal=1
    LOAD.MEMORY region=2 offset=1001          # back again, after the store
    LOAD.SCRATCHPAD address=600
    LOAD.ROWS bytes=185 count=1
    LOAD.RUN tag=4 wait=8 signal=8
    STORE.MEMORY region=2 offset=16
    STORE.SCRATCHPAD address=600
    STORE.RUN tag=5 wait=1
"""


@pytest.mark.parametrize("bus, rows", [(8, 16), (16, 4)])
def test_copy_twice(axi_memory, axi_lite, bus, rows):
    config = NpuConfig(rows=rows, bus_bytes=bus, scratchpad_bytes=4096, weight_bytes=4096)
    simulator, system, memory, lite, begin, wait_for_end = start_up(
        axi_memory, axi_lite, config, COPY + "CONTROL.END tag=9"
    )

    async def bench(ctx):
        counts = []
        for _ in range(2):
            image = memory.content.copy()
            rows = np.concatenate([image[DATA + 3 + 50 * y : DATA + 40 + 50 * y] for y in range(5)])
            memory.content[RESULT : RESULT + 0x1000] = 0xEE
            image[RESULT : RESULT + 0x1000] = 0xEE
            image[RESULT + 1001 : RESULT + 1186] = rows
            image[RESULT + 16 : RESULT + 201] = rows
            await begin(ctx)
            assert await wait_for_end(ctx) == 2
            assert np.array_equal(memory.content, image)
            assert await lite.read(ctx, "ERROR") == 0
            assert ctx.get(system.ring.available) == 512 // config.weight_row_bytes
            counts.append(await lite.read(ctx, "BYTES_WRITTEN_LO"))
            assert await lite.read(ctx, "STALL_STORE") == 5 << 16 | 1 << 4
        assert counts[0] == counts[1] >= 370

    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize(
    "text, error, bad",
    [
        (COPY + "STORE.RUN tag=6", 8, None),
        (COPY + "STORE.MEMORY region=1\nSTORE.RUN tag=6\nCONTROL.END", 7 | 5 << 8 | 6 << 16, None),
        (COPY + "CONTROL.END", 1 | 2 << 8 | 2 << 16, {DATA >> 12: 2}),
        (COPY + "CONTROL.END", 4 | 5 << 8 | 3 << 16, {RESULT >> 12: 3}),
    ],
)
def test_errors_and_a_second_try(axi_memory, axi_lite, text, error, bad):
    config = NpuConfig(scratchpad_bytes=4096, weight_bytes=4096)
    if bad and DATA >> 12 in bad:
        text = text.replace("WEIGHT.RUN tag=1 bytes=512", "")
    simulator, system, memory, lite, begin, wait_for_end = start_up(axi_memory, axi_lite, config, text, 0.0, bad)

    async def bench(ctx):
        for _ in range(2 if bad else 1):
            await begin(ctx)
            assert await wait_for_end(ctx) == 4
            assert await lite.read(ctx, "ERROR") == error
            assert memory.outstanding == 0
            assert ctx.get(system.read.idle) and ctx.get(system.write.idle)

    simulator.add_testbench(bench)
    simulator.run()


def test_stop(axi_memory, axi_lite):
    """A program that waits for ever is stopped, and the registers say what it waited for."""
    text = COPY + "STORE.RUN tag=33 wait=4\nCONTROL.END"
    config = NpuConfig(scratchpad_bytes=4096, weight_bytes=4096)
    simulator, system, memory, lite, begin, wait_for_end = start_up(axi_memory, axi_lite, config, text, 0.0)

    async def bench(ctx):
        await begin(ctx)
        await ctx.tick().repeat(600)
        assert await lite.read(ctx, "STATUS") == 1
        assert await lite.read(ctx, "STALL_STORE") == 2 | 4 << 4 | 33 << 16
        await lite.write(ctx, "CONTROL", 2)
        assert await wait_for_end(ctx) == 4
        assert await lite.read(ctx, "ERROR") == 9
        assert ctx.get(system.read.idle) and ctx.get(system.write.idle)

    simulator.add_testbench(bench)
    simulator.run()
