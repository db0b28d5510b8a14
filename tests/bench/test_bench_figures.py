"""Limits, closed forms and the tables: from numbers to numbers, without a simulator."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tensaw.bench import accuracy, find_networks, track, work
from tensaw.bench.closed_forms import closed_forms, output_stationary, weight_stationary
from tensaw.bench.estimating import estimate_run
from tensaw.bench.limits import OperatorWork, arithmetic_limit, bus_limit
from tensaw.bench.measure import measurement
from tensaw.bench.references import models_folder
from tensaw.compiler.frontends import load
from tensaw.compiler.pipeline import compile_graph
from tensaw.runtime import RunResult
from tensaw.runtime.layers import LayerResult
from tensaw.spec.config import PRESETS
from tensaw.spec.errors import InputError

BASE = PRESETS["base"]
DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits" / "digits_int8.tflite"
CONV = OperatorWork("conv", "CONV_2D", positions=100, depth=40, outputs=20, repeats=1, weights=800)
DEPTHWISE = OperatorWork("depthwise", "DEPTHWISE_CONV_2D", positions=100, depth=9, outputs=1, repeats=20, weights=180)
DENSE = OperatorWork("dense", "FULLY_CONNECTED", positions=1, depth=640, outputs=128, repeats=1, weights=81920)


def test_work_of_a_network() -> None:
    found = work(load(DIGITS))
    assert sum(op.macs for op in found) == 64 * 9 * 16 * 2 + 64 * 16 * 16 + 4 * 9 * 16 * 32 + 128 * 10
    assert {op.kind for op in found} == {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"}
    depthwise = next(op for op in found if op.kind == "DEPTHWISE_CONV_2D")
    assert (depthwise.depth, depthwise.outputs, depthwise.repeats) == (9, 1, 16)


def test_limits() -> None:
    assert arithmetic_limit([CONV], BASE) == 313  # 80,000 MACs on 256 multipliers
    assert arithmetic_limit([DENSE], BASE) == 10240  # its weights, 8 bytes a cycle
    assert arithmetic_limit([DENSE], BASE.replace(bus_bytes=16)) == 5120
    graph = load(DIGITS)
    operators = work(graph)
    assert bus_limit(graph, operators, BASE) == -(-(sum(op.weights for op in operators) + 64 + 10) // 8)


@pytest.mark.parametrize(
    ("network", "narrow", "wide", "stationary"),
    [
        ("ic_resnet8_int8", 48912, 48872, 63140),
        ("kws_dscnn_int8", 10471, 10423, 56960),
        ("vww_mobilenetv1_025_int8", 38461, 32069, 211822),
        ("ad_autoencoder_int8", 33024, 16512, 48880),
    ],
)
def test_limits_of_the_reference_networks(models: Path, network: str, narrow: int, wide: int, stationary: int) -> None:
    operators = work(load(models / "mlperf_tiny" / f"{network}.tflite"))
    assert arithmetic_limit(operators, BASE) == narrow
    assert arithmetic_limit(operators, BASE.replace(bus_bytes=16)) == wide
    assert closed_forms(operators, BASE)["SCALE-Sim WS"] == stationary


def test_closed_forms() -> None:
    assert weight_stationary(CONV, 16, 16) == 3 * 2 * (2 * 16 + 16 + 100 - 2)
    assert output_stationary(CONV, 16, 16) == 7 * 2 * (16 + 16 + 40 - 2)
    assert weight_stationary(DEPTHWISE, 16, 16) == 20 * (2 * 16 + 16 + 100 - 2)
    assert closed_forms([CONV, DEPTHWISE], BASE)["SCALE-Sim OS"] == 14 * 70 + 20 * 7 * (16 + 16 + 9 - 2)


def test_an_estimate_looks_like_a_run() -> None:
    graph = load(DIGITS)
    program = compile_graph(graph, BASE)
    result = estimate_run(program)
    assert result.cycles == result.counters["cycles"] == sum(layer.cycles for layer in result.layers)
    assert result.counters["bytes_written"] > 0 and result.counters["array_busy"] > 0
    assert {event.unit for event in result.events} == {"weight", "load", "array", "output", "store"}
    found = measurement(DIGITS, graph, graph, program, result, "estimate", 32)
    assert found.cycles > found.tile_limit > found.limit == found.limit_all_channels >= found.bus_limit
    assert found.tile_limit == max(
        sum(layer.limit for layer in program.layers), -(-sum(layer.weight_bytes for layer in program.layers) // 8)
    )
    assert json.loads(json.dumps(found.to_dict()))["ratio"] == round(found.ratio, 4)
    assert estimate_run(compile_graph(graph, BASE), read_latency=100).cycles > result.cycles


def test_an_estimate_refuses_what_the_simulated_memory_refuses() -> None:
    with pytest.raises(InputError, match="read_latency of the simulated memory must be between 1 and 100000, not 0"):
        estimate_run(compile_graph(load(DIGITS), BASE), read_latency=0)


def test_networks_are_found(tmp_path: Path) -> None:
    for name in ("b.tflite", "a.onnx", "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in find_networks([tmp_path])] == ["a.onnx", "b.tflite"]
    with pytest.raises(InputError) as caught:
        find_networks([tmp_path / "c.tflite"])
    assert str(caught.value) == (
        f"There is no file or folder {str(tmp_path / 'c.tflite')!r}; give networks (.tflite, .onnx) or their folder."
    )
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError) as caught:
        find_networks([empty])
    assert str(caught.value) == (
        f"There is no network in {str(empty)!r}: no file there ends in .tflite or .onnx. Give networks or their folder."
    )


def test_the_accuracy_table() -> None:
    layers = [LayerResult("a", "CONV_2D", cycles=2000), LayerResult("b", "CONV_2D", cycles=900)]
    mine = [LayerResult("a", "CONV_2D", cycles=2100), LayerResult("b", "CONV_2D", cycles=1)]
    rtl, estimate = (
        RunResult({}, cycles=sum(layer.cycles for layer in found), layers=found) for found in (layers, mine)
    )
    found = accuracy.compare(BASE, "IC", 32, rtl, estimate)
    assert (found.layer_error, found.layer) == (pytest.approx(0.05), 0)
    page = accuracy.table([found])
    assert "| base | 16×16 | 8 | IC | 32 | 2,900 | 2,101 | -27.55% | +5.00% |" in page
    assert "- `base`: nothing" in page
    assert len(accuracy.CONFIGS) >= 12


def test_tracked_counts_are_judged(tmp_path: Path) -> None:
    kept = {"IC base": 1000}
    assert track.judge("IC base", kept, 1010) == track.judge("IC base", kept, 990) == ""
    assert track.judge("IC base", kept, 1011) == "IC base: cycles grew by 1.1%, from 1,000 to 1,011."
    assert track.judge("IC base", kept, 900) == "IC base: cycles shrank by 10.0%, from 1,000 to 900."
    assert track.judge("AD base", kept, 5) == "AD base: 5 cycles, which docs/cycles.json does not know."
    with pytest.raises(InputError) as caught:
        track.read_counts(tmp_path / "none.json")
    assert str(caught.value).startswith(f"The tracked cycle counts {str(tmp_path / 'none.json')!r} cannot be read (")
    assert str(caught.value).endswith(
        "). Run the command from the repository, or write them anew with `python -m tensaw.bench.track --update`."
    )


def test_missing_reference_networks_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        models_folder(tmp_path)
    assert str(caught.value) == (
        f"The reference network 'ic_resnet8_int8.tflite' is not in {str(tmp_path)!r}. Give the folder of the MLPerf "
        "Tiny networks with --models, or set TENSAW_MODELS to the folder above it."
    )
