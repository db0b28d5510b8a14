"""The AXI4-Lite port: accesses to single-cycle reads and writes, with every channel pausing as it likes."""

from __future__ import annotations

import cocotb
import numpy as np
from common.axi import Registers, watch_channel
from common.bench import Bench, testcase
from common.coverage import Cover
from common.pauses import STYLES, make_pace

from tensaw.rtl.bus.axi_lite import READ_CYCLES

COVER = Cover("axi_lite_port")
CHANNELS = ("aw", "w", "b", "ar", "r")
cover_stall = COVER.cross("stall", CHANNELS, STYLES)
cover_access = COVER.point("access", ("read", "write", "write with SLVERR", "write of some bytes", "both at once"))
cover_strobe = COVER.point("strobe", tuple(range(1, 16)))

SLVERR = 2


class PortBench(Bench):
    """cocotbext-axi's manager on one side, a memory of words on the other; addresses ending in 0xC are no registers."""

    def prepare(self) -> None:
        self.words = self.rng.integers(0, 1 << 32, 1 << 10, np.uint64)
        self.golden = self.words.copy()
        self.writes = 0
        self.refuse = 0
        """Answer writes with an error."""
        self.start_soon(self.registers())
        for channel in ("b", "r"):
            watch_channel(self, "axi_", channel)

    def begin(self) -> None:
        self.axi = Registers(self, "axi_")

    def pause(self, styles: dict[str, str]) -> None:
        self.axi.set_paces([make_pace(self.rng, styles.get(channel, "never")) for channel in CHANNELS])
        for channel in CHANNELS:
            cover_stall((channel, styles.get(channel, "never")))

    async def registers(self) -> None:
        """Answers reads some cycles later, takes writes; both last one cycle."""
        ports = self.ports
        coming: list[int | None] = [None] * (READ_CYCLES - 1)
        while True:
            ports.write_error.set(self.refuse)
            await self.edge
            self.randomise(ports.read_data)
            coming.append(int(self.words[ports.read_address.get()]) if ports.read_enable.get() else None)
            if (word := coming.pop(0)) is not None:
                ports.read_data.set(word)
            if ports.write_enable.get():
                self.writes += 1
                address, strobe, data = (
                    port.get() for port in (ports.write_address, ports.write_strobe, ports.write_data)
                )
                word = int(self.words[address])
                for byte in range(4):
                    if strobe >> byte & 1:
                        word = word & ~(255 << 8 * byte) | data & 255 << 8 * byte
                self.words[address] = word

    async def offer(self, channel: str, delay: int) -> None:
        """What stands on the channel, after some cycles, until it is taken."""
        valid, ready = (getattr(self.dut, f"axi__{channel}{name}") for name in ("valid", "ready"))
        await self.clocks(delay)
        valid.value = 1
        await self.edge
        while not int(ready.value):
            await self.edge
        valid.value = 0

    async def write(self, address: int, content: bytes) -> int:
        """Through the bus, and beside it."""
        response = await self.axi.master.write(address, content)
        for number, byte in enumerate(content):
            place = address + number
            shift = 8 * (place % 4)
            word = int(self.golden[place // 4])
            self.golden[place // 4] = word & ~(255 << shift) | byte << shift
        return int(response.resp)


@testcase(PortBench)
async def random_accesses(bench: PortBench) -> None:
    """Reads and writes of words and parts of words, with each channel pausing in each way, also both at once."""
    bench.begin()
    for style in STYLES:
        for channel in CHANNELS:
            bench.pause({channel: style})
            for _ in range(bench.count(2)):
                address = 4 * bench.integers(0, 1023)
                first = bench.integers(0, 3)
                content = bench.bytes(bench.integers(1, 4 - first)).tobytes()
                cover_strobe(((1 << len(content)) - 1) << first)
                cover_access("write" if len(content) == 4 else "write of some bytes")
                reading = cocotb.start_soon(bench.axi.read_address(4 * bench.integers(0, 1023) // 4 * 4))
                assert await bench.write(address + first, content) == 0
                await reading
                cover_access("both at once")
                assert await bench.axi.read_address(address) == bench.golden[address // 4]
                cover_access("read")
            assert np.array_equal(bench.words, bench.golden), "a write went astray"


@testcase(PortBench)
async def strobes_and_errors(bench: PortBench) -> None:
    """Every pattern of strobes arrives; a write that its target refuses is answered with SLVERR."""
    ports = bench.ports
    dut = bench.dut
    for strobe in range(1, 16):
        data, address = bench.integers(0, (1 << 32) - 1), bench.integers(0, 1023)
        bench.refuse = error = bench.integers(0, 1)
        await bench.clocks()
        dut.axi__awaddr.value = 4 * address + bench.integers(0, 3)
        dut.axi__wdata.value, dut.axi__wstrb.value = data, strobe
        for channel in ("aw", "w"):
            bench.start_soon(bench.offer(channel, bench.integers(0, 4)))
        await bench.until(lambda: bool(ports.write_enable.get()), 30, "the write")
        found = ports.write_address.get(), ports.write_data.get(), ports.write_strobe.get()
        assert found == (address, data, strobe), found
        await bench.clocks(bench.integers(1, 4))
        assert int(dut.axi__bvalid.value) and int(dut.axi__bresp.value) == (SLVERR if error else 0)
        cover_strobe(strobe)
        cover_access("write with SLVERR" if error else "write")
        dut.axi__bready.value = 1
        await bench.clocks()
        dut.axi__bready.value = 0
        await bench.clocks()
        assert not int(dut.axi__bvalid.value)


@testcase(PortBench)
async def reset_in_an_access(bench: PortBench) -> None:
    """A reset ends accesses; nothing is answered after it."""
    dut = bench.dut
    for delay in range(1, READ_CYCLES + 5):
        dut.axi__awvalid.value = dut.axi__wvalid.value = dut.axi__arvalid.value = 1
        await bench.clocks(delay)
        await bench.restart()
        for _ in range(READ_CYCLES + 5):
            await bench.clocks()
            assert not int(dut.axi__bvalid.value) and not int(dut.axi__rvalid.value)
        assert not bench.writes
