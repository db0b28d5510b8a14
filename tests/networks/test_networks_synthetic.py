"""Networks of well-known shapes with random weights."""

import numpy as np
import pytest

from tensaw.bench import work
from tensaw.compiler.frontends.tflite import load_tflite
from tensaw.model import run_graph
from tensaw.networks.synthetic import gemm, main, mobilenet_v2, resnet


@pytest.mark.parametrize("convolution", [False, True], ids=["fully connected", "convolution"])
def test_a_product_has_the_sizes_asked_for(convolution):
    operators = work(load_tflite(gemm(24, 40, 20, convolution=convolution), "net"))
    assert [(op.positions, op.depth, op.outputs) for op in operators] == [(24, 40, 20)]


def test_resnet_50_has_its_known_sizes():
    operators = work(load_tflite(resnet(), "net"))
    # 53 convolutions and a classifier; 25.5 million parameters without those of the normalisations.
    assert len(operators) == 54
    assert sum(op.weights for op in operators) == 25_502_912
    assert sum(op.macs for op in operators) == 4_089_184_256


def test_mobilenet_v2_has_its_known_sizes():
    operators = work(load_tflite(mobilenet_v2(), "net"))
    # 35 pointwise and 17 depthwise convolutions and a classifier; 3.5 million parameters, 301 million MACs (the paper's
    # table 4 says 3.4 and 300).
    assert len(operators) == 53
    assert sum(op.weights for op in operators) == 3_469_760
    assert sum(op.macs for op in operators) == 300_774_272


def test_mobilenet_v2_takes_other_sizes():
    graph = load_tflite(mobilenet_v2(image=64, width=0.35, kernel=5, classes=10), "net")
    shapes = {op.name: graph.tensors[op.output].shape for op in graph.ops}
    assert shapes["conv_2d_0"] == (1, 32, 32, 8)  # 11.2 channels become 8
    assert shapes["depthwise_conv_2d_5"] == (1, 16, 16, 48)


def test_results_use_the_range_of_int8_and_repeat(rng):
    graph = load_tflite(resnet(3, image=64, width=8, blocks=(1, 2), classes=20), "net")
    values = run_graph(graph, {"input_0": rng.integers(-128, 128, (1, 64, 64, 3), np.int8)}, keep=True)
    for op in graph.ops:
        spread = values[op.output].astype(float)
        assert spread.std() > 5, op.name
        assert np.mean(spread == 127) < 0.3, op.name
    assert resnet(3, image=64, width=8, blocks=(1,)) == resnet(3, image=64, width=8, blocks=(1,))
    assert resnet(3, image=64, width=8, blocks=(1,)) != resnet(4, image=64, width=8, blocks=(1,))


def test_the_command_writes_a_network(tmp_path, capsys):
    path = tmp_path / "net.tflite"
    assert main(["gemm", "6", "32", "8", "--seed", "5", "-o", str(path)]) == 0
    assert path.read_bytes() == gemm(6, 32, 8, seed=5)
    assert capsys.readouterr().out == f"{path}: {len(gemm(6, 32, 8)):,} bytes, seed 5\n"
    assert main(["mobilenet-v2", "--image", "32", "--width", "0.25", "--kernel", "5", "-o", str(path)]) == 0
    assert path.read_bytes() == mobilenet_v2(image=32, width=0.25, kernel=5)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["gemm", "0", "1", "1", "-o", "x"], "argument M: must be a number between 1 and 65536, not 0"),
        (
            ["mobilenet-v2", "--width", "wide", "-o", "x"],
            "argument --width: must be a number between 0.05 and 4, not wide",
        ),
        (["resnet50", "-o", "{}"], "The network cannot be written to '{}': Is a directory."),
    ],
)
def test_mistakes(arguments, text, tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        main([argument.format(tmp_path) for argument in arguments])
    assert caught.value.code == 2
    assert text.format(tmp_path) in capsys.readouterr().err
