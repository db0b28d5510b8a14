"""CommandPort against the encoder of the specification."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from tensaw.rtl.control.command import Action, CommandPort
from tensaw.spec.isa import Unit, encode, words_of

UNITS = [unit for unit in Unit if unit is not Unit.CONTROL]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_shadow_registers(unit):
    rng = np.random.default_rng(int(unit))
    dut = CommandPort(None, unit)
    kinds = words_of(unit)
    shadow = {kind.name: {field.name: 0 for field in kind.fields} for kind in kinds}
    words, expected = [], []
    for _ in range(300):
        kind = kinds[rng.integers(len(kinds))]
        values = {field.name: int(rng.integers(field.range[0], field.range[1] + 1)) for field in kind.fields}
        shadow[kind.name] = values
        words.append(encode(kind.full_name, **values))
        if kind.name in ("RUN", "TABLE"):
            expected.append((kind.name, {name: dict(fields) for name, fields in shadow.items()}))
    assert expected

    async def drive(ctx):
        for word in words:
            await ctx.tick().repeat(int(rng.integers(2)) + 1) if rng.integers(3) == 0 else None
            ctx.set(dut.words.payload, word)
            ctx.set(dut.words.valid, 1)
            await ctx.tick().until(dut.words.ready)
            ctx.set(dut.words.valid, 0)

    async def check(ctx):
        for name, values in expected:
            while not ctx.get(dut.run.valid):
                await ctx.tick()
            for _ in range(int(rng.integers(3))):
                await ctx.tick()
            assert ctx.get(dut.run.payload.action) == (Action.TABLE if name == "TABLE" else Action.RUN)
            assert ctx.get(dut.tag) == values[name]["tag"]
            for kind, fields in values.items():
                for field, value in fields.items():
                    assert ctx.get(dut.run.payload[kind.lower()][field]) == value, (kind, field)
            ctx.set(dut.run.ready, 1)
            await ctx.tick()
            ctx.set(dut.run.ready, 0)
        assert not ctx.get(dut.error.valid)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.add_testbench(check)
    simulator.run()


@pytest.mark.parametrize(
    "word",
    [
        int(Unit.LOAD) << 60 | 33 << 54,
        encode("LOAD.MEMORY", offset=5) | 1 << 35,
        encode("LOAD.RUN", tag=7) | 1 << 53,
    ],
)
def test_illegal_words(word):
    dut = CommandPort(None, Unit.LOAD)

    async def bench(ctx):
        for value in (encode("LOAD.RUN", tag=0x1234), word, encode("LOAD.RUN", tag=9)):
            ctx.set(dut.run.ready, 1)
            ctx.set(dut.words.payload, value)
            ctx.set(dut.words.valid, 1)
            await ctx.tick().until(dut.words.ready) if value != encode("LOAD.RUN", tag=9) else None
        await ctx.tick().repeat(3)
        assert ctx.get(dut.error.valid)
        assert ctx.get(dut.error.code) == 5
        assert ctx.get(dut.error.address) == word
        assert ctx.get(dut.error.tag) == 0
        assert not ctx.get(dut.words.ready)
        assert not ctx.get(dut.run.valid)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
