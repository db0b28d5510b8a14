"""Which tensors stay in the scratchpad, and where."""

from __future__ import annotations

import numpy as np
import pytest

from tensaw.compiler.frontends.tflite import load_tflite
from tensaw.compiler.lowering.select import choose_layouts, lower
from tensaw.compiler.passes.fusion import form_stages
from tensaw.compiler.planner.memory import MemoryPlan, plan_memory
from tensaw.compiler.stages import Network
from tensaw.networks.random_network import random_network
from tensaw.networks.tflite_builder import TfliteBuilder
from tensaw.spec.config import PRESETS, NpuConfig

BASE = PRESETS["base"]


def planned(data: bytes, config: NpuConfig) -> tuple[Network, MemoryPlan, dict[str, int]]:
    """The network, its plan and the bytes of each storage in the scratchpad."""
    network = form_stages(load_tflite(data, "net"))
    layouts = choose_layouts(config, network)
    lowerings = [lower(config, stage, layouts) for stage in network.stages]
    sizes = {}
    for low in lowerings:
        for operand in (*low.stage.operands, low.stage.output):
            sizes[operand.storage] = low.layout(operand).size(operand.image.whole)
    return network, plan_memory(config, network, lowerings, layouts), sizes


def chain(rng: np.random.Generator, size: int, layers: int) -> bytes:
    builder = TfliteBuilder("net")
    x = builder.input((1, size, size, 16), 0.1, 3)
    for _ in range(layers):
        weights = rng.integers(-127, 128, (16, 3, 3, 16))
        x = builder.conv2d(x, weights, None, padding="SAME", weight_scale=0.002, out_scale=0.1, out_zp=0)
    builder.output(x)
    return builder.finish()


@pytest.mark.parametrize("number", range(15))
@pytest.mark.parametrize("scratchpad", [1 << 17, 8192, 4096])
def test_living_tensors_and_staging_do_not_overlap(number: int, scratchpad: int) -> None:
    config = BASE.replace(scratchpad_bytes=scratchpad)
    data = random_network(np.random.default_rng((11, number)))
    network, plan, sizes = planned(data, config)
    for stage in range(len(network.stages)):
        parts = [
            (address, address + sizes[name])
            for name, address in plan.addresses.items()
            if plan.lives[name][0] <= stage <= plan.lives[name][1]
        ]
        if plan.tiles[stage].staging:
            parts.append((plan.staging[stage], plan.staging[stage] + plan.tiles[stage].staging))
        parts.sort()
        assert all(end <= start for (_, end), (start, _) in zip(parts, parts[1:], strict=False))
        assert not parts or parts[-1][1] <= scratchpad
    assert plan.peak <= scratchpad


def test_a_chain_alternates_between_two_places(rng) -> None:
    _, plan, _ = planned(chain(rng, 32, 5), BASE)
    assert set(plan.addresses.values()) == {0, 32 * 32 * 16}
    assert plan.peak == 2 * 32 * 32 * 16


def test_only_what_does_not_fit_is_spilled(rng) -> None:
    builder = TfliteBuilder("net")
    x = builder.input((1, 64, 64, 16), 0.1, 3)
    for _ in range(3):
        x = builder.max_pool2d(x, (2, 2), padding="VALID")
    builder.output(x)
    _, plan, _ = planned(builder.finish(), BASE.replace(scratchpad_bytes=32 << 10))
    spilled = [name for name in plan.lives if name not in plan.addresses]
    assert len(spilled) == 1 and plan.lives[spilled[0]] == (0, 0)


def test_what_crosses_the_bus_anyway_is_spilled_before_a_larger_tensor(rng) -> None:
    builder = TfliteBuilder("net")
    x = builder.input((1, 40, 40, 16), 0.1, 3)
    for inputs, outputs in ((16, 24), (24, 8)):
        weights = rng.integers(-127, 128, (outputs, 1, 1, inputs))
        x = builder.conv2d(x, weights, None, padding="SAME", weight_scale=0.002, out_scale=0.1, out_zp=0)
    builder.output(x)
    _, plan, sizes = planned(builder.finish(), BASE.replace(scratchpad_bytes=49152))
    spilled = [name for name in plan.lives if name not in plan.addresses]
    assert all(plan.lives[name] in ((0, 0), (1, 1)) for name in spilled)
    assert any(plan.lives[name] == (0, 1) and sizes[name] > 40 * 40 * 16 for name in plan.addresses)
