"""The UART, against bits made and sampled by a clock of its own."""

import pytest
from amaranth import Module
from amaranth.sim import Simulator

from tensaw.boards.link.uart import UartReceiver, UartTransmitter, phase_step

CLOCK = 1_000_000


def simulate(dut, *benches):
    simulator = Simulator(dut)
    simulator.add_clock(1 / CLOCK)
    for bench in benches:
        simulator.add_testbench(bench)
    simulator.run()


def wave(content: bytes, cycles_per_bit: float, gap: float = 0.0) -> list[int]:
    """Levels of the wire, cycle by cycle."""
    levels, time = [], 0.0
    for byte in content:
        for bit in (0, *(byte >> place & 1 for place in range(8)), 1):
            time += cycles_per_bit
            levels += [bit] * (round(time) - len(levels))
        time += gap * cycles_per_bit
        levels += [1] * (round(time) - len(levels))
    return levels


async def listen(ctx, dut, levels, rng=None):
    """Plays levels; returns the bytes and the errors that come out."""
    found, errors = [], 0
    for level in [*levels, *[1] * 64]:
        if rng is not None and rng.random() < 0.01:
            level ^= 1  # a spike of one cycle
        ctx.set(dut.rx, level)
        _, _, valid, byte, error = await ctx.tick().sample(dut.valid, dut.byte, dut.error)
        if valid:
            found.append(byte)
        errors += error
    return bytes(found), errors


@pytest.mark.parametrize("cycles", [6, 7.3, 12, 33.4])
@pytest.mark.parametrize("deviation", [-0.02, 0.0, 0.02])
def test_receiver(cycles, deviation, rng):
    content = rng.bytes(40) + bytes([0, 255, 0x55, 0xAA])
    dut = UartReceiver(CLOCK, int(CLOCK / cycles))

    async def bench(ctx):
        for gap in (0.0, 0.7):
            found, errors = await listen(ctx, dut, wave(content, cycles * (1 + deviation), gap))
            assert (found, errors) == (content, 0)

    simulate(dut, bench)


def test_spikes_do_no_harm(rng):
    content = rng.bytes(60)
    dut = UartReceiver(CLOCK, CLOCK // 24)

    async def bench(ctx):
        assert await listen(ctx, dut, [1] * 300 + wave(content, 24), rng) == (content, 0)

    simulate(dut, bench)


def test_a_missing_stop_bit_is_an_error_and_the_next_byte_is_found():
    dut = UartReceiver(CLOCK, CLOCK // 10)

    async def bench(ctx):
        broken = wave(b"\x00", 10)[:90] + [0] * 50 + [1] * 20
        assert await listen(ctx, dut, broken + wave(b"ok", 10)) == (b"ok", 1)

    simulate(dut, bench)


@pytest.mark.parametrize("cycles", [6.0, 8.7, 33.4])
def test_transmitter_keeps_time_and_leaves_no_gap(cycles, rng):
    content = rng.bytes(50)
    dut = UartTransmitter(CLOCK, int(CLOCK / cycles))
    levels = []

    async def feed(ctx):
        for number, byte in enumerate(content):
            if number == 40:  # a gap is allowed, and the byte behind it keeps time from its own start
                ctx.set(dut.i.valid, 0)
                await ctx.tick().repeat(137 + round(10 * cycles))
            ctx.set(dut.i.payload, byte)
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
        ctx.set(dut.i.valid, 0)

    async def watch(ctx):
        for _ in range(round(len(content) * 10 * cycles) + 800):
            levels.append(ctx.get(dut.tx))
            await ctx.tick()

    simulate(dut, feed, watch)
    first = levels.index(0)
    gapless = levels[first : first + round(40 * 10 * cycles)]
    expected = wave(content[:40], cycles)
    for byte in range(40):
        for bit in range(10):
            middle = round((10 * byte + bit + 0.5) * cycles)
            assert gapless[middle] == expected[middle], (byte, bit)
    behind = levels[first + len(gapless) + 20 :]
    start = behind.index(0)
    expected = wave(content[40:], cycles)
    assert all(behind[start + (middle := round((bit + 0.5) * cycles))] == expected[middle] for bit in range(100))


def test_transmitter_and_receiver_agree(rng):
    content = rng.bytes(30)
    m = Module()
    m.submodules.tx = tx = UartTransmitter(CLOCK, CLOCK // 9)
    m.submodules.rx = rx = UartReceiver(CLOCK, CLOCK // 9)
    m.d.comb += rx.rx.eq(tx.tx)
    found = []

    async def feed(ctx):
        for byte in content:
            ctx.set(tx.i.payload, byte)
            ctx.set(tx.i.valid, 1)
            await ctx.tick().until(tx.i.ready)
        ctx.set(tx.i.valid, 0)

    async def watch(ctx):
        while len(found) < len(content):
            (byte,) = await ctx.tick().sample(rx.byte).until(rx.valid)
            found.append(byte)

    simulate(m, feed, watch)
    assert bytes(found) == content


def test_rates():
    assert phase_step(100_000_000, 3_000_000) == 1966
    assert phase_step(18_000_000, 3_000_000) == 10923
    with pytest.raises(ValueError, match="A UART of 3000000 baud needs a clock of at least 18000000 Hz"):
        phase_step(17_999_999, 3_000_000)
    errors = [
        abs(phase_step(clock, 2_000_000) / 65536 * clock / 2e6 - 1)
        for clock in range(12_000_000, 130_000_000, 1_000_000)
    ]
    assert max(errors) < 0.0005
