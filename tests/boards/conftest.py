"""A memory behind AXI4, registers behind AXI4-Lite, for Amaranth's simulator."""

from collections import deque

import numpy as np
import pytest


class AxiMemory:
    """Answers the channels of ``read`` and ``write`` (flattened AXI4 signatures) from ``content``, with random delays,
    and checks what the protocol demands of the manager. Beyond ``content`` it answers DECERR.

    ``stall``: probability, each cycle and channel, of not being ready or valid. ``deaf``: answer nothing at all.
    """

    def __init__(self, read, write, config, size, seed=0, stall=0.3):
        self.read, self.write, self.config = read, write, config
        self.rng = np.random.default_rng(seed)
        self.content = np.asarray(self.rng.integers(0, 256, size, dtype=np.uint8))
        self.stall = stall
        self.deaf = False
        self.read_count = self.write_count = 0

    def go(self):
        return not self.deaf and self.rng.random() >= self.stall

    def legal(self, address, length, size, burst):
        width = self.config.bus_bytes
        assert 1 << size == width and burst == 1 and address % width == 0
        assert address // 4096 == (address + (length + 1) * width - 1) // 4096, "burst crosses 4 KiB"

    async def serve_reads(self, ctx):
        axi, width = self.read, self.config.bus_bytes
        beats = deque()
        shown = None
        while True:
            ready = self.go()
            ctx.set(axi.arready, ready)
            if shown is None and beats and self.go():
                address, last, identity = shown = beats.popleft()
                inside = address + width <= self.content.size
                word = self.content[address : address + width].tobytes() if inside else b"\xee" * width
                ctx.set(axi.rdata, int.from_bytes(word, "little"))
                ctx.set(axi.rlast, last)
                ctx.set(axi.rid, identity)
                ctx.set(axi.rresp, 0 if inside else 3)
            ctx.set(axi.rvalid, shown is not None)
            _, _, valid, address, length, size, burst, identity, rready = await ctx.tick().sample(
                axi.arvalid, axi.araddr, axi.arlen, axi.arsize, axi.arburst, axi.arid, axi.rready
            )
            if shown is not None and rready:
                shown = None
            if valid and ready:
                self.legal(address, length, size, burst)
                self.read_count += 1
                beats.extend((address + beat * width, beat == length, identity) for beat in range(length + 1))

    async def serve_writes(self, ctx):
        axi, width = self.write, self.config.bus_bytes
        bursts, beats, answers = deque(), deque(), deque()
        answering = False
        while True:
            address_ready, data_ready = self.go(), self.go()
            ctx.set(axi.awready, address_ready)
            ctx.set(axi.wready, data_ready)
            if not answering and answers and self.go():
                answering = True
                ctx.set(axi.bid, answers[0][0])
                ctx.set(axi.bresp, answers[0][1])
            ctx.set(axi.bvalid, answering)
            _, _, awvalid, address, length, size, burst, identity, wvalid, data, strobe, last, bready = (
                await ctx.tick().sample(
                    axi.awvalid, axi.awaddr, axi.awlen, axi.awsize, axi.awburst, axi.awid,
                    axi.wvalid, axi.wdata, axi.wstrb, axi.wlast, axi.bready,
                )
            )  # fmt: skip
            if answering and bready:
                answers.popleft()
                answering = False
            if awvalid and address_ready:
                self.legal(address, length, size, burst)
                bursts.append([address, length + 1, identity, 0])
                self.write_count += 1
            if wvalid and data_ready:
                beats.append((data, strobe, last))
            while bursts and beats:
                data, strobe, last = beats.popleft()
                address, left, identity, response = bursts[0]
                inside = address + width <= self.content.size
                for lane in range(width):
                    if inside and strobe >> lane & 1:
                        self.content[address + lane] = data >> (8 * lane) & 255
                assert last == (left == 1), "WLAST"
                bursts[0] = [address + width, left - 1, identity, response if inside else 3]
                if left == 1:
                    bursts.popleft()
                    answers.append((identity, response if inside else 3))


class LiteRegisters:
    """1024 registers behind AXI4-Lite; a write to offset 0xF00 answers SLVERR. ``writes`` lists (offset, value)."""

    def __init__(self, axi, seed=0):
        self.axi = axi
        self.rng = np.random.default_rng(seed)
        self.values = {offset: int(self.rng.integers(1 << 32)) for offset in range(0, 4096, 4)}
        self.writes = []

    async def serve(self, ctx):
        axi = self.axi
        delay = 0
        while True:
            idle = delay == 0 and not ctx.get(axi.rvalid) and not ctx.get(axi.bvalid)
            reads, writes = idle and ctx.get(axi.arvalid), idle and ctx.get(axi.awvalid) and ctx.get(axi.wvalid)
            ctx.set(axi.arready, int(reads))
            ctx.set(axi.awready, int(writes))
            ctx.set(axi.wready, int(writes))
            _, _, read_address, write_address, data, rready, bready = await ctx.tick().sample(
                axi.araddr, axi.awaddr, axi.wdata, axi.rready, axi.bready
            )
            if ctx.get(axi.rvalid) and rready:
                ctx.set(axi.rvalid, 0)
            if ctx.get(axi.bvalid) and bready:
                ctx.set(axi.bvalid, 0)
            delay = max(delay - 1, 0) if idle or delay else int(self.rng.integers(4))
            if reads:
                ctx.set(axi.rdata, self.values[read_address])
                ctx.set(axi.rvalid, 1)
            elif writes:
                self.writes.append((write_address, data))
                self.values[write_address] = data
                ctx.set(axi.bresp, 2 if write_address == 0xF00 else 0)
                ctx.set(axi.bvalid, 1)


@pytest.fixture
def axi_memory():
    """The class AxiMemory."""
    return AxiMemory


@pytest.fixture
def lite_registers():
    """The class LiteRegisters."""
    return LiteRegisters
