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
        took, ready, masks = [False] * 4, [False] * 4, [0] * 4
        for _ in range(1500):
            change = np.zeros((4, 4), int)
            for peer in range(4):
                port = dut.peers[peer]
                new = rng.random() < 0.5
                mask = masks[peer] = int(rng.integers(16)) if new else masks[peer]
                ctx.set(port.take_mask, mask)
                assert ctx.get(port.take_ready) == ready[peer]
                take = ready[peer] and not new and rng.random() < 0.7
                ctx.set(port.take, bool(take))
                there = all(counts[giver, peer] for giver in range(4) if mask >> giver & 1)
                ready[peer] = there and not took[peer] and not take
                took[peer] = take
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
