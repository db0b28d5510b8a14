"""Tokens against integers."""

import numpy as np
from amaranth.sim import Simulator

from tensaw.rtl.control.tokens import Tokens


def run(dut, bench):
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def test_random():
    dut = Tokens()
    rng = np.random.default_rng(4)

    async def bench(ctx):
        counts = np.zeros((4, 4), int)
        took = [False] * 4
        for _ in range(600):
            change = np.zeros((4, 4), int)
            for peer in range(4):
                port = dut.peers[peer]
                mask = int(rng.integers(16))
                ctx.set(port.take_mask, mask)
                ready = all(counts[giver, peer] for giver in range(4) if mask >> giver & 1) and not took[peer]
                assert ctx.get(port.take_ready) == ready
                take = took[peer] = ready and rng.random() < 0.7
                ctx.set(port.take, bool(take))
                give, give_mask = rng.random() < 0.4, int(rng.integers(16))
                ctx.set(port.give, bool(give))
                ctx.set(port.give_mask, give_mask)
                for other in range(4):
                    change[other, peer] -= take and mask >> other & 1
                    change[peer, other] += give and give_mask >> other & 1
            await ctx.tick()
            counts += change
        assert counts.min() >= 0 and counts.max() > 3
        assert not ctx.get(dut.error.valid)

    run(dut, bench)


def test_overflow():
    dut = Tokens()

    async def bench(ctx):
        ctx.set(dut.peers[0].give_mask, 0b1000)
        ctx.set(dut.peers[0].give, 1)
        await ctx.tick().repeat(255)
        assert not ctx.get(dut.error.valid)
        await ctx.tick().repeat(2)
        assert ctx.get(dut.error.valid) and ctx.get(dut.error.code) == 6

    run(dut, bench)
