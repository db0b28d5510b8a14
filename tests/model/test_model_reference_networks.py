"""The golden model equals LiteRT's stored tensors on the MLPerf Tiny networks."""

import time

import numpy as np
import pytest

from tensaw.compiler.check import check_graph
from tensaw.compiler.frontends import load
from tensaw.model import run_graph

NETWORKS = ["ad_autoencoder_int8", "ic_resnet8_int8", "kws_dscnn_int8", "vww_mobilenetv1_025_int8"]


@pytest.fixture(scope="module", params=NETWORKS)
def network(request, models):
    folder = models / "mlperf_tiny"
    graph = load(folder / f"{request.param}.tflite")
    check_graph(graph)
    with np.load(folder / "reference_outputs" / f"{request.param}.npz") as stored:
        return graph, dict(stored)


def run(graph, sample, keep=False):
    port = graph.inputs[0]
    return run_graph(graph, {port.tensor: sample.reshape(graph.tensors[port.tensor].shape)}, keep)


def test_every_intermediate_tensor(network):
    graph, stored = network
    tensors = run(graph, stored["inputs"][0], keep=True)
    by_index = {f"t{graph.tensors[name].index}": values for name, values in tensors.items()}
    names = [name for name in stored if name[0] == "t" and name[1:].isdigit()]
    assert len(names) == len(graph.ops)
    for name in names:
        np.testing.assert_array_equal(by_index[name], stored[name].reshape(by_index[name].shape), err_msg=name)


def test_every_output_row(network):
    graph, stored = network
    for row, (sample, expected) in enumerate(zip(stored["inputs"], stored["outputs"], strict=True)):
        result = run(graph, sample)[graph.outputs[0].tensor]
        np.testing.assert_array_equal(result.ravel(), expected.ravel(), err_msg=f"row {row}")


def test_one_image_takes_less_than_a_second(network):
    graph, stored = network
    begin = time.perf_counter()
    run(graph, stored["inputs"][0])
    assert time.perf_counter() - begin < 1.0
