"""How near the mapping of products and large networks comes to the limit, by the cycle model: it must not get worse.

The commands for the same on the RTL are in docs/performance.md.
"""

from __future__ import annotations

import pytest

from tensaw.bench import work
from tensaw.bench.limits import arithmetic_limit, bus_limit
from tensaw.compiler.frontends.tflite import load_tflite
from tensaw.compiler.pipeline import compile_graph
from tensaw.model.timing import Estimate, estimate
from tensaw.networks.synthetic import gemm, resnet
from tensaw.spec.config import PRESETS, NpuConfig

CONFIGS = {**PRESETS, "base16": PRESETS["base"].replace(bus_bytes=16)}


def share(network: bytes, config: NpuConfig, latency: int = 32) -> tuple[float, Estimate]:
    """Limit / cycles."""
    graph = load_tflite(network, "net")
    operators = work(graph)
    limit = max(arithmetic_limit(operators, config), bus_limit(graph, operators, config))
    found = estimate(compile_graph(graph, config), latency)
    return limit / found.cycles, found


@pytest.mark.parametrize("convolution", [False, True], ids=["fully connected", "convolution"])
@pytest.mark.parametrize(
    ("shape", "config", "least"),
    [
        ((512, 512, 512), "base16", 0.99),
        ((128, 768, 3072), "base16", 0.99),
        ((197, 768, 768), "base16", 0.99),
        ((1, 1024, 1024), "base16", 0.985),
        ((512, 512, 512), "base", 0.98),
        ((512, 512, 512), "large", 0.95),
        ((128, 512, 512), "small", 0.98),
        ((512, 128, 512), "base16", 0.97),
        ((500, 500, 500), "base16", 0.945),  # no more than (500 / 512) ** 2 = 0.954
    ],
    ids=str,
)
def test_products(shape: tuple[int, int, int], config: str, least: float, convolution: bool) -> None:
    assert share(gemm(*shape, convolution=convolution), CONFIGS[config])[0] >= least


def test_a_product_moves_little_more_than_its_operands() -> None:
    _, found = share(gemm(512, 512, 512), CONFIGS["base16"])
    operands = 3 * 512 * 512
    assert found.bytes_read + found.bytes_written < 2 * operands


def test_a_slow_memory_hardly_matters() -> None:
    assert share(gemm(512, 512, 512), CONFIGS["base16"], latency=200)[0] >= 0.98


@pytest.mark.parametrize(("config", "least"), [("base", 0.83), ("base16", 0.855), ("small", 0.9)])
def test_bottleneck_blocks_larger_than_memory(config: str, least: float) -> None:
    # The first two stages of ResNet-50 with a block each, for smaller images.
    assert share(resnet(image=112, blocks=(1, 1), classes=10), CONFIGS[config])[0] >= least
