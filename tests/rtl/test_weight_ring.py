"""WeightRing against a list."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from tensaw.rtl.memory.weight_ring import WeightRing
from tensaw.spec.config import NpuConfig


@pytest.mark.parametrize(
    "columns, bus, weight_bytes", [(16, 8, 16 * 75), (4, 8, 808), (4, 16, 1040), (8, 8, 824), (32, 8, 32 * 70)]
)
def test_ring(columns, bus, weight_bytes):
    config = NpuConfig(
        rows=4, columns=columns, requant_lanes=1, bus_bytes=bus, weight_bytes=weight_bytes, burst_beats=4
    )
    dut = WeightRing(config)
    row_bytes, rows = config.weight_row_bytes, config.weight_rows
    rng = np.random.default_rng(columns * bus)

    async def bench(ctx):
        written = bytearray()
        freed = 0
        due = {}
        fullest = 0
        for now in range(1200):
            space, available = ctx.get(dut.space), ctx.get(dut.available)
            assert available == len(written) // row_bytes - freed
            assert space == (rows * row_bytes - (len(written) - freed * row_bytes)) // bus
            fullest = max(fullest, available)
            phase = now // 400 % 2
            write = space and rng.random() < (0.9 if phase else 0.4)
            beat = rng.bytes(bus)
            ctx.set(dut.write.valid, bool(write))
            ctx.set(dut.write.payload, int.from_bytes(beat, "little"))
            read = available and rng.random() < 0.8
            ctx.set(dut.read_enable, bool(read))
            if read:
                row = int(rng.integers(available))
                ctx.set(dut.read_row, row)
                start = (freed + row) * row_bytes
                due[now + 2] = bytes(written[start : start + row_bytes])
            release = int(rng.integers(available + 1)) if not phase and rng.random() < 0.1 else 0
            ctx.set(dut.release, release)
            if now in due:
                assert ctx.get(dut.read_data).to_bytes(row_bytes, "little") == due[now]
            await ctx.tick()
            written += beat if write else b""
            freed += release
        assert fullest > 0.95 * rows and freed > rows

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
