"""Products and bottleneck blocks larger than the memory, cut in every way, on the instruction-level golden model."""

from __future__ import annotations

import numpy as np
import pytest

from tensaw.compiler.frontends.tflite import load_tflite
from tensaw.compiler.pipeline import CompileOptions
from tensaw.networks.synthetic import gemm, resnet
from tensaw.spec.config import PRESETS, NpuConfig
from tensaw.spec.isa import decode

CONFIGS = (
    PRESETS["base"].replace(name="tiny", scratchpad_bytes=8192, weight_bytes=2048, bus_bytes=16),
    PRESETS["base"].replace(name="flat", scratchpad_bytes=4096, weight_bytes=8192, acc_entries=32),
    NpuConfig(name="odd", rows=5, columns=7, scratchpad_bytes=8192, weight_bytes=1024, acc_entries=24, requant_lanes=3),
)


@pytest.fixture(params=CONFIGS, ids=lambda config: config.name)
def config(request) -> NpuConfig:
    return request.param


@pytest.mark.parametrize("convolution", [False, True], ids=["fully connected", "convolution"])
@pytest.mark.parametrize(
    "shape",
    [(64, 64, 64), (37, 128, 50), (200, 64, 16), (16, 64, 400), (1, 500, 70), (7, 700, 40), (300, 3, 3), (50, 320, 64)],
    ids=str,
)
def test_products(shape: tuple[int, int, int], convolution: bool, config: NpuConfig, agree, rng) -> None:
    graph = load_tflite(gemm(*shape, convolution=convolution), "net")
    program = agree(graph, config, rng)
    if max(shape[0] * shape[1], shape[0] * shape[2]) > config.scratchpad_bytes:
        loads = sum(command.word.name == "RUN" for command in map(decode, map(int, program.words)))
        assert loads > 4, "it runs in boxes"


@pytest.mark.parametrize("fuse", [True, False], ids=["fused", "apart"])
def test_bottleneck_blocks(fuse: bool, config: NpuConfig, agree, rng) -> None:
    graph = load_tflite(resnet(7, image=48, width=16, blocks=(2, 1), classes=10), "net")
    values = {"input_0": rng.integers(-128, 128, (1, 48, 48, 3), np.int8)}
    program = agree(graph, config, rng, CompileOptions(fuse=fuse), values)
    assert len(program.notes["spilled_tensors"]) >= 5
