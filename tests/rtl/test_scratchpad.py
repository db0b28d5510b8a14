"""The scratchpad against a byte array: random unaligned traffic on all ports at once."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from tensaw.rtl.interfaces import ARRAY_READ_LATENCY, READ_LATENCY
from tensaw.rtl.memory.scratchpad import Scratchpad
from tensaw.spec.config import NpuConfig

CONFIGS = {
    "9x4": NpuConfig(
        rows=9, columns=4, requant_lanes=2, scratchpad_bytes=2048, weight_bytes=1024, acc_entries=8, burst_beats=4
    ),
    "4x4": NpuConfig(
        rows=4, columns=4, requant_lanes=2, scratchpad_bytes=512, weight_bytes=1024, acc_entries=8, burst_beats=4
    ),
    "5x12": NpuConfig(
        rows=5, columns=12, requant_lanes=12, scratchpad_bytes=16 * 4 * 24, weight_bytes=2048, acc_entries=8
    ),
}


def bank_of(config, address):
    return address // config.word_bytes % config.banks


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("seed", [1])
def test_random_traffic(name, seed):
    config = CONFIGS[name]
    rng = np.random.default_rng(seed)
    size, word = config.scratchpad_bytes, config.word_bytes
    pad = Scratchpad(config)
    memory = np.zeros(size, np.uint8)  # as seen by a read requested now
    pending = []  # (visible from cycle, address, bytes)
    expected = []  # (cycle, port or slot, bytes)
    counts = {"grants": [0, 0], "refused": [0, 0], "writes": [0, 0], "array": 0}
    # A non-power-of-two size has no wrapping: stay inside.
    limit = size if size & (size - 1) == 0 else size - word

    def number(block):
        return int.from_bytes(block.tobytes(), "little")

    def window(address, length):
        return memory[(address + np.arange(length)) % size]

    async def bench(ctx):
        counted = [0, 0]  # bytes that are written
        asked = []  # words and slots that the array has asked for in the cycle before
        for cycle in range(500):
            for item in [item for item in pending if item[0] <= cycle]:
                memory[(item[1] + np.arange(len(item[2]))) % size] = item[2]
                pending.remove(item)
            asked_now = []
            fill = cycle < size // 8  # first fill everything through port 0
            enables = 0
            for slot in range(len(pad.array.enable)):
                address = int(rng.integers(size // word))
                clash = any(
                    bank_of(config, address * word) == bank_of(config, int(ctx.get(pad.array.address[s])) * word)
                    for s in range(slot)
                    if enables >> s & 1
                )
                if not fill and rng.integers(3) == 0 and not clash:
                    enables |= 1 << slot
                    asked_now.append((address, slot))
                ctx.set(pad.array.address[slot], address)
            ctx.set(pad.array.enable, enables)
            for port in pad.reads:
                address = int(rng.integers(limit)) if rng.integers(2) else int(rng.integers(limit // word)) * word
                ctx.set(port.address, address)
                ctx.set(port.valid, 0 if fill else int(rng.integers(2)))
            for p, port in enumerate(pad.writes):
                address = int(rng.integers(limit))
                count = int(rng.integers(word + 1))
                if fill:
                    address, count = cycle * 8, 8
                ctx.set(port.address, address)
                counted[p] = count
                ctx.set(port.mask, ((1 << count) - 1) << address % word)
                ctx.set(port.across, address % word + count > word)
                ctx.set(port.data, number(rng.integers(256, size=word).astype(np.uint8)))
                ctx.set(port.valid, int(p == 0) if fill else int(rng.integers(2)))
            await ctx.delay(1e-9)
            touched = set()  # words written in this cycle: what is read of them at once is nobody's
            for p, port in enumerate(pad.writes):
                if ctx.get(port.valid) and ctx.get(port.ready):
                    address, count = ctx.get(port.address), counted[p]
                    block = np.frombuffer(ctx.get(port.data).to_bytes(word, "little"), np.uint8)[:count]
                    pending.append((cycle + 1, address, block))
                    touched |= {(address + i) % size // word for i in range(count)}
                    counts["writes"][p] += 1
            for p, port in enumerate(pad.reads):
                if ctx.get(port.valid) and ctx.get(port.ready):
                    address = ctx.get(port.address)
                    length = pad.read_sizes[p]
                    if not touched & {address // word, ((address + length - 1) % size) // word}:
                        expected.append((cycle + READ_LATENCY, ("read", p), window(address, length)))
                        counts["grants"][p] += 1
                elif ctx.get(port.valid):
                    counts["refused"][p] += 1
            for address, slot in asked:
                if address not in touched:
                    expected.append((cycle - 1 + ARRAY_READ_LATENCY, ("array", slot), window(address * word, word)))
                    counts["array"] += 1
            asked = asked_now
            await ctx.tick()
            for item in [item for item in expected if item[0] == cycle + 1]:
                kind, index = item[1]
                value = pad.array.data[index] if kind == "array" else pad.reads[index].data
                assert ctx.get(value) == number(item[2]), (cycle, item[1])
                expected.remove(item)

    simulator = Simulator(pad)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert min(counts["grants"]) > 10 and min(counts["refused"]) > 5 and min(counts["writes"]) > 50, counts
    assert counts["array"] > 50 and len(expected) < 40, counts


def test_reads_share_a_cycle_with_the_array_but_not_with_each_other():
    config = CONFIGS["4x4"]
    pad = Scratchpad(config, (3, 3))

    async def bench(ctx):
        ctx.set(pad.array.enable, 0b011)
        ctx.set(pad.array.address[0], 0)
        ctx.set(pad.array.address[1], 5)
        for port, word in zip(pad.reads, (2, 7), strict=True):
            ctx.set(port.valid, 1)
            ctx.set(port.address, (word + 1) * config.word_bytes - pad.read_sizes[0])
        await ctx.tick()
        await ctx.delay(1e-9)
        assert [ctx.get(port.ready) for port in pad.reads] == [1, 0]  # the first one goes before
        ctx.set(pad.reads[0].valid, 0)
        await ctx.delay(1e-9)
        assert [ctx.get(port.ready) for port in pad.reads] == [1, 1]
        ctx.set(pad.reads[1].address, 4 * config.word_bytes)  # that the array reads
        await ctx.delay(1e-9)
        assert [ctx.get(port.ready) for port in pad.reads] == [1, 0]

    simulator = Simulator(pad)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
