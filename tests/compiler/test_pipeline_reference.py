"""The MLPerf Tiny networks on the instruction-level golden model against LiteRT's outputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tensaw.compiler.frontends import load
from tensaw.compiler.ir import Conv2d, DepthwiseConv2d
from tensaw.compiler.passes.channels import remove_channels
from tensaw.compiler.passes.constants import VARIES, channel_constants
from tensaw.compiler.pipeline import CompileOptions, compile_graph
from tensaw.model.graph import run_graph
from tensaw.spec.config import PRESETS, NpuConfig
from tensaw.spec.isa import disassemble

NETWORKS = ("ic_resnet8_int8", "kws_dscnn_int8", "vww_mobilenetv1_025_int8", "ad_autoencoder_int8")
TILED = NpuConfig(
    name="tiled", rows=5, columns=7, scratchpad_bytes=3072, weight_bytes=1024, acc_entries=32, requant_lanes=3,
)  # fmt: skip
ODD = NpuConfig(
    name="odd", rows=12, columns=10, scratchpad_bytes=8192, weight_bytes=4096, acc_entries=64, requant_lanes=5,
    bus_bytes=16,
)  # fmt: skip


def rows(models: Path, network: str) -> tuple[np.ndarray, np.ndarray]:
    data = np.load(models / "mlperf_tiny" / "reference_outputs" / f"{network}.npz")
    return data["inputs"], data["outputs"]


@pytest.mark.parametrize("network", NETWORKS)
def test_base_gives_litert_outputs(network: str, models: Path, agree, rng) -> None:
    graph = load(models / "mlperf_tiny" / f"{network}.tflite")
    inputs, outputs = rows(models, network)
    tensor = graph.inputs[0].tensor
    for row in range(2):
        value = inputs[row].reshape(graph.tensors[tensor].shape)
        golden = run_graph(graph, {tensor: value})[graph.outputs[0].tensor]
        np.testing.assert_array_equal(golden.ravel(), outputs[row].ravel())
        program = agree(graph, PRESETS["base"], rng, inputs={tensor: value}, races=row == 0)
    assert program.notes["spilled_tensors"] == []


@pytest.mark.parametrize(
    ("network", "config"),
    [
        ("ic_resnet8_int8", ODD),
        ("ic_resnet8_int8", PRESETS["large"]),
        ("kws_dscnn_int8", TILED),
        ("kws_dscnn_int8", PRESETS["nano"]),
        # What is left of its channels are odd numbers.
        ("vww_mobilenetv1_025_int8", ODD),
        ("vww_mobilenetv1_025_int8", PRESETS["large"]),
        ("ad_autoencoder_int8", TILED),
    ],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_other_configurations(network: str, config: NpuConfig, models: Path, agree, rng) -> None:
    graph = load(models / "mlperf_tiny" / f"{network}.tflite")
    agree(graph, config, rng, races=False)


def test_kept_tensors_are_those_of_litert(models: Path, agree, rng) -> None:
    graph = load(models / "mlperf_tiny" / "kws_dscnn_int8.tflite")
    program = agree(graph, PRESETS["base"], rng, CompileOptions(keep_tensors=True))
    assert [binding.tensor for binding in program.kept] == [op.output for op in graph.ops]


@pytest.mark.parametrize(
    ("network", "whole", "limit"),
    [
        ("ic_resnet8_int8", 50496, 50496),
        ("kws_dscnn_int8", 12724, 12724),
        ("vww_mobilenetv1_025_int8", 40624, 22864),
    ],
)
def test_array_cycles_do_not_grow(network: str, whole: int, limit: int, models: Path) -> None:
    graph = load(models / "mlperf_tiny" / f"{network}.tflite")
    for remove, most in ((False, whole), (True, limit)):
        program = compile_graph(graph, PRESETS["base"], CompileOptions(remove_channels=remove))
        assert sum(layer.limit for layer in program.layers) <= most


def test_no_constant_channel_is_left_of_mobilenet(models: Path) -> None:
    graph = load(models / "mlperf_tiny" / "vww_mobilenetv1_025_int8.tflite")
    filters = [op.weights.reshape(len(op.weights), -1) for op in graph.ops if isinstance(op, Conv2d)]
    filters += [op.weights.reshape(-1, op.weights.shape[-1]).T for op in graph.ops if isinstance(op, DepthwiseConv2d)]
    assert sum(int((~weights.any(1)).sum()) for weights in filters) == 971
    smaller, _ = remove_channels(graph)
    assert all((constants == VARIES).all() for constants in channel_constants(smaller).values())


def test_weights_of_the_autoencoder_are_streamed_once(models: Path) -> None:
    program = compile_graph(load(models / "mlperf_tiny" / "ad_autoencoder_int8.tflite"), PRESETS["base"])
    # 264,192 weights, 1,672 biases of four bytes, and the unused half of the rows of the layer with 8 outputs.
    assert sum(layer.weight_bytes for layer in program.layers) == 264_192 + 4 * 1672 + 8 * (128 + 4)


def test_few_weight_streams_and_words(models: Path) -> None:
    program = compile_graph(load(models / "mlperf_tiny" / "ic_resnet8_int8.tflite"), PRESETS["base"])
    names = [line.split()[0] for line in disassemble(program.words)]
    assert names.count("WEIGHT.RUN") <= 3
    assert len(names) < 250
