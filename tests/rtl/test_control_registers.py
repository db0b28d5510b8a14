"""Registers through the AXI4-Lite port."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from tensaw.rtl.control.registers import Registers
from tensaw.rtl.control.state import UnitState
from tensaw.spec.config import NpuConfig
from tensaw.spec.registers import COUNTERS, IDENTITY, REGISTERS, VERSION, Access, region_register

SLVERR = 2


def run(manager, config, bench, **settings):
    dut = Registers(config)
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)

    async def testbench(ctx):
        await bench(ctx, dut, manager(dut.axi, **settings))

    simulator.add_testbench(testbench)
    simulator.run()


@pytest.mark.parametrize("address_width", [16, 32, 40])
def test_read_and_write(axi_lite, address_width):
    config = NpuConfig(address_width=address_width)
    rng = np.random.default_rng(address_width)

    async def bench(ctx, dut, lite):
        assert await lite.read(ctx, "IDENTITY") == IDENTITY
        assert await lite.read(ctx, "VERSION") == VERSION
        assert await lite.read(ctx, "CONFIG") == config.digest
        assert await lite.read(ctx, "SHAPE") == 16 | 16 << 8 | 8 << 16 | 16 << 24
        assert await lite.read(ctx, "SCRATCHPAD_BYTES") == config.scratchpad_bytes
        assert await lite.read(ctx, "WEIGHT_BYTES") == config.weight_bytes
        assert await lite.read(ctx, "ACC_ENTRIES") == config.acc_entries
        shadow = {}
        for item in REGISTERS:
            if item.access is not Access.READ_WRITE:
                continue
            mask = 0xFFFFFFFF
            if item.name.endswith("BASE_LO"):
                mask = 0xFFFFFFF0 & (1 << address_width) - 1
            elif item.name.endswith("BASE_HI"):
                mask = (1 << max(0, address_width - 32)) - 1
            elif item.name.endswith("ACCESS"):
                mask = 3
            elif item.name == "INTERRUPT_ENABLE":
                mask = 1
            value = 0
            for _ in range(2):
                data, strobe = int(rng.integers(1 << 32)), int(rng.integers(16))
                await lite.write(ctx, item.name, data, strobe)
                lanes = sum(0xFF << 8 * byte for byte in range(4) if strobe >> byte & 1)
                value = (value & ~lanes | data & lanes) & mask
            shadow[item.name] = value
        for name, value in shadow.items():
            assert await lite.read(ctx, name) == value, name
        region = dut.regions[2]
        base = shadow["REGION2_BASE_LO"] | shadow["REGION2_BASE_HI"] << 32
        assert ctx.get(region.base) == base
        assert ctx.get(region.size) == shadow["REGION2_SIZE"]
        assert ctx.get(region.read) == shadow["REGION2_ACCESS"] & 1
        assert ctx.get(region.write) == shadow["REGION2_ACCESS"] >> 1
        assert ctx.get(dut.program_offset) == shadow["PROGRAM_OFFSET"]

    run(axi_lite, config, bench, seed=address_width)


def test_unmapped_and_read_only(axi_lite):
    async def bench(ctx, dut, lite):
        for address in (0x01C, 0x02C, 0x0C0, 0xFFC):
            assert await lite.read_address(ctx, address) == 0
            assert await lite.write_address(ctx, address, 1) == SLVERR
        await lite.write(ctx, "IDENTITY", 0)
        await lite.write(ctx, "CYCLES_LO", 5)
        assert await lite.read(ctx, "IDENTITY") == IDENTITY
        assert await lite.read(ctx, "CYCLES_LO") == 0

    run(axi_lite, NpuConfig(), bench)


def test_a_good_run(axi_lite):
    async def bench(ctx, dut, lite):
        ctx.set(dut.bus_idle, 1)
        assert ctx.get(dut.halt)
        await lite.write(ctx, "REGION0_SIZE", 77)
        await lite.write(ctx, "CONTROL", 2)
        assert await lite.read(ctx, "STATUS") == 0
        await lite.write(ctx, "INTERRUPT_ENABLE", 1)

        async def start():
            await lite.write(ctx, "CONTROL", 1)

        await start()
        while not ctx.get(dut.start):
            await ctx.tick()
        assert not ctx.get(dut.core_reset) and not ctx.get(dut.halt)
        for event in ("array_busy", "bytes_read"):
            ctx.set(dut.events[event], 1)
        await ctx.tick().repeat(100)
        ctx.set(dut.events, {})
        assert await lite.read(ctx, "STATUS") == 1
        await lite.write(ctx, "REGION0_SIZE", 1)
        await start()
        assert not ctx.get(dut.core_reset)
        ctx.set(dut.done, 1)
        await ctx.tick().repeat(3)
        assert ctx.get(dut.irq) and ctx.get(dut.halt)
        assert await lite.read(ctx, "STATUS") == 2
        assert await lite.read(ctx, "ARRAY_BUSY_LO") == 100
        assert await lite.read(ctx, "BYTES_READ_LO") == 800
        assert await lite.read(ctx, "BYTES_WRITTEN_LO") == 0
        cycles = await lite.read(ctx, "CYCLES_LO")
        assert 100 < cycles < 200 and cycles == await lite.read(ctx, "CYCLES_LO")
        assert await lite.read(ctx, "REGION0_SIZE") == 77
        await lite.write(ctx, "STATUS", 2)
        assert await lite.read(ctx, "STATUS") == 0 and not ctx.get(dut.irq)
        ctx.set(dut.done, 0)
        await start()
        await ctx.tick().repeat(3)
        assert await lite.read(ctx, "STATUS") == 1
        assert await lite.read(ctx, "ARRAY_BUSY_LO") == 0

    run(axi_lite, NpuConfig(), bench)


def report(ctx, port, code, tag, address):
    for member, value in (("valid", 1), ("code", code), ("tag", tag), ("address", address)):
        ctx.set(getattr(port, member), value)


def test_first_error_is_kept(axi_lite):
    async def bench(ctx, dut, lite):
        ctx.set(dut.bus_idle, 1)
        await lite.write(ctx, "CONTROL", 1)
        while not ctx.get(dut.start):
            await ctx.tick()
        ctx.set(dut.bus_idle, 0)
        await ctx.tick().repeat(10)
        for name, code in (("store_error", 6), ("load_error", 2)):
            report(ctx, getattr(dut, name), code, 0x777, 0x123456789A)
        await ctx.tick()
        ctx.set(dut.load_error.valid, 0)
        report(ctx, dut.fetch_error, 7, 1, 1)
        await ctx.tick().repeat(2)
        assert ctx.get(dut.halt)
        await ctx.tick().repeat(40)
        assert await lite.read(ctx, "STATUS") == 1
        ctx.set(dut.bus_idle, 1)
        await ctx.tick().repeat(2)
        assert await lite.read(ctx, "STATUS") == 4
        assert await lite.read(ctx, "ERROR") == 2 | 2 << 8 | 0x777 << 16
        assert await lite.read(ctx, "ERROR_ADDRESS_LO") == 0x3456789A
        assert await lite.read(ctx, "ERROR_ADDRESS_HI") == 0x12
        assert ctx.get(dut.halt) and not ctx.get(dut.core_reset)
        for name in ("store_error", "fetch_error"):
            ctx.set(getattr(dut, name).valid, 0)
        await lite.write(ctx, "CONTROL", 1)
        await ctx.tick().repeat(8)
        assert await lite.read(ctx, "STATUS") == 1
        assert await lite.read(ctx, "ERROR") == 0
        await lite.write(ctx, "CONTROL", 2)
        await ctx.tick().repeat(12)
        assert await lite.read(ctx, "STATUS") == 4
        assert await lite.read(ctx, "ERROR") == 9

    run(axi_lite, NpuConfig(), bench)


def test_stalls_and_counters_are_where_the_map_says(axi_lite):
    async def bench(ctx, dut, lite):
        for index, unit in enumerate(("WEIGHT", "LOAD", "ARRAY", "OUTPUT", "STORE")):
            stall = dut.stalls[index]
            ctx.set(stall.state, UnitState(index + 1))
            ctx.set(stall.wait, index)
            ctx.set(stall.queued, 200 + index)
            ctx.set(stall.tag, 3000 + index)
            wanted = index + 1 | index << 4 | (200 + index) << 8 | (3000 + index) << 16
            assert await lite.read(ctx, f"STALL_{unit}") == wanted
        ctx.set(dut.bus_idle, 1)
        await lite.write(ctx, "CONTROL", 1)
        while not ctx.get(dut.start):
            await ctx.tick()
        for number, (name, _) in enumerate(COUNTERS[1:], 1):
            ctx.set(dut.events, {name.lower(): 1})
            await ctx.tick().repeat(number)
        ctx.set(dut.events, {})
        for number, (name, _) in enumerate(COUNTERS[1:], 1):
            assert await lite.read(ctx, f"{name}_LO") == number * (8 if name.startswith("BYTES") else 1)
            assert await lite.read(ctx, f"{name}_HI") == 0
        assert region_register(3, "SIZE").offset == 0x0B8

    run(axi_lite, NpuConfig(), bench)
