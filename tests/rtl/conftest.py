"""A memory behind an AXI4 port, and an AXI4-Lite manager, for Amaranth's simulator."""

from collections import deque

import numpy as np
import pytest

from tensaw.spec.registers import register


class AxiMemory:
    """Answers the read and write channels of ``axi`` from ``content``, and checks the protocol on the way.

    ``latency``: cycles from an address to its first beat or response. ``stall``: probability, each cycle and channel,
    of not being ready or valid. ``bad``: response codes by 4 KiB page number. ``reads`` and ``writes`` list the bursts
    as (address, beats); ``beat_times`` the cycles in which R or W beats passed.
    """

    def __init__(self, axi, config, size, seed=0, latency=1, stall=0.0, bad=None):
        self.axi, self.config = axi, config
        self.rng = np.random.default_rng(seed)
        self.content = np.asarray(self.rng.integers(0, 256, size, dtype=np.uint8))
        self.latency, self.stall, self.bad = latency, stall, bad or {}
        self.reads, self.writes, self.beat_times = [], [], []
        self.outstanding = self.most_outstanding = 0

    def go(self):
        return self.stall == 0 or self.rng.random() >= self.stall

    def check_burst(self, address, length, size, burst):
        beats, width = length + 1, self.config.bus_bytes
        assert 1 << size == width and burst == 1
        assert address % width == 0
        assert beats <= self.config.burst_beats
        assert address // 4096 == (address + beats * width - 1) // 4096, "burst crosses 4 KiB"
        assert address + beats * width <= self.content.size, "burst outside the memory"
        return beats

    async def serve_reads(self, ctx):
        axi, width = self.axi, self.config.bus_bytes
        pending, now, address_held, shown = deque(), 0, None, None
        while True:
            ctx.set(axi.arready, self.go())
            if shown is None and pending and pending[0][0] <= now and self.go():
                _, address, beats = pending[0]
                shown = address
                ctx.set(axi.rdata, int.from_bytes(self.content[address : address + width].tobytes(), "little"))
                ctx.set(axi.rlast, beats == 1)
                ctx.set(axi.rresp, self.bad.get(address // 4096, 0))
            ctx.set(axi.rvalid, shown is not None)
            ready_now = ctx.get(axi.arready)
            _, _, valid, address, length, size, burst, rready = await ctx.tick().sample(
                axi.arvalid, axi.araddr, axi.arlen, axi.arsize, axi.arburst, axi.rready
            )
            now += 1
            if address_held is not None:
                assert valid and (address, length) == address_held, "AR changed while waiting"
            address_held = (address, length) if valid and not ready_now else None
            if shown is not None and rready:
                self.beat_times.append(now)
                due, address_, beats = pending[0]
                pending[0] = (due, address_ + width, beats - 1)
                if beats == 1:
                    pending.popleft()
                shown = None
            if valid and ready_now:
                beats = self.check_burst(address, length, size, burst)
                pending.append((now + self.latency, address, beats))
                self.reads.append((address, beats))
            self.outstanding = len(pending)
            self.most_outstanding = max(self.outstanding, self.most_outstanding)

    async def serve_writes(self, ctx):
        axi, width = self.axi, self.config.bus_bytes
        bursts, responses, now, held, beats_early = deque(), deque(), 0, None, deque()
        answering = False
        address_held = None
        while True:
            aw_ready, w_ready = self.go(), self.go()
            ctx.set(axi.awready, aw_ready)
            ctx.set(axi.wready, w_ready)
            if not answering and responses and responses[0][0] <= now and self.go():
                answering = True
                ctx.set(axi.bresp, responses[0][1])
            ctx.set(axi.bvalid, answering)
            _, _, awvalid, awaddr, awlen, awsize, awburst, wvalid, wdata, wstrb, wlast, bready = (
                await ctx.tick().sample(
                    axi.awvalid, axi.awaddr, axi.awlen, axi.awsize, axi.awburst,
                    axi.wvalid, axi.wdata, axi.wstrb, axi.wlast, axi.bready,
                )
            )  # fmt: skip
            now += 1
            if address_held is not None:
                assert awvalid and (awaddr, awlen) == address_held, "AW changed while waiting"
            address_held = (awaddr, awlen) if awvalid and not aw_ready else None
            if held is not None:
                assert wvalid and (wdata, wstrb, wlast) == held, "W changed while waiting"
            held = (wdata, wstrb, wlast) if wvalid and not w_ready else None
            if answering and bready:
                responses.popleft()
                answering = False
            if awvalid and aw_ready:
                beats = self.check_burst(awaddr, awlen, awsize, awburst)
                self.writes.append((awaddr, beats))
                bursts.append([awaddr, beats, awaddr // 4096])
            if wvalid and w_ready:
                self.beat_times.append(now)
                beats_early.append((wdata, wstrb, wlast))
            while beats_early and bursts:
                data, strobe, last = beats_early.popleft()
                address, beats, page = bursts[0]
                for lane in range(width):
                    if strobe >> lane & 1:
                        self.content[address + lane] = data >> (8 * lane) & 255
                assert last == (beats == 1), "WLAST"
                bursts[0][:2] = address + width, beats - 1
                if beats == 1:
                    bursts.popleft()
                    responses.append((now + self.latency, self.bad.get(page, 0)))
            self.outstanding = len(bursts) + len(responses)
            self.most_outstanding = max(self.outstanding, self.most_outstanding)


class AxiLite:
    """An AXI4-Lite manager with seeded idle cycles."""

    def __init__(self, axi, seed=0):
        self.axi, self.rng = axi, np.random.default_rng(seed)

    async def channel(self, ctx, valid, ready, delay):
        if delay:
            await ctx.tick().repeat(delay)
        ctx.set(valid, 1)
        await ctx.tick().until(ready)
        ctx.set(valid, 0)

    async def write_address(self, ctx, address, data, strobe=15):
        axi = self.axi
        ctx.set(axi.awaddr, address)
        ctx.set(axi.wdata, data)
        ctx.set(axi.wstrb, strobe)
        address_due, data_due, answer_due = (int(x) for x in self.rng.integers(0, 4, 3))
        address_taken = data_taken = False
        now = 0
        while not (address_taken and data_taken):
            ctx.set(axi.awvalid, not address_taken and now >= address_due)
            ctx.set(axi.wvalid, not data_taken and now >= data_due)
            _, _, awvalid, awready, wvalid, wready = await ctx.tick().sample(
                axi.awvalid, axi.awready, axi.wvalid, axi.wready
            )  # fmt: skip
            address_taken |= bool(awvalid and awready)
            data_taken |= bool(wvalid and wready)
            now += 1
        ctx.set(axi.awvalid, 0)
        ctx.set(axi.wvalid, 0)
        await ctx.tick().repeat(answer_due + 1)
        ctx.set(axi.bready, 1)
        (response,) = await ctx.tick().sample(axi.bresp).until(axi.bvalid)
        ctx.set(axi.bready, 0)
        return response

    async def read_address(self, ctx, address):
        axi = self.axi
        ctx.set(axi.araddr, address)
        await self.channel(ctx, axi.arvalid, axi.arready, int(self.rng.integers(3)))
        await ctx.tick().repeat(int(self.rng.integers(6)) + 1)
        ctx.set(axi.rready, 1)
        data, response = await ctx.tick().sample(axi.rdata, axi.rresp).until(axi.rvalid)
        ctx.set(axi.rready, 0)
        assert response == 0
        return data

    async def write(self, ctx, name, data, strobe=15):
        assert await self.write_address(ctx, register(name).offset, data, strobe) == 0

    async def read(self, ctx, name):
        return await self.read_address(ctx, register(name).offset)


@pytest.fixture
def axi_memory():
    """The class AxiMemory."""
    return AxiMemory


@pytest.fixture
def axi_lite():
    """The class AxiLite."""
    return AxiLite
