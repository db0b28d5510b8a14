"""The network writers: shapes as LiteRT computes them, repeatable bytes, honest refusals."""

import numpy as np
import pytest

from tensaw.networks import TfliteBuilder
from tensaw.networks.random_network import random_network


def test_shapes_agree_with_litert(rng):
    pytest.importorskip("ai_edge_litert")
    from tensaw.networks.litert import LitertReference

    builder = TfliteBuilder("shapes")
    x = builder.input((1, 9, 7, 4), 0.1, 0)
    handles = [
        builder.conv2d(x, rng.integers(-9, 9, (6, 3, 2, 4)), stride=(2, 1), padding="VALID"),
        builder.conv2d(x, rng.integers(-9, 9, (4, 3, 3, 2)), dilation=2, stride=1),
        builder.depthwise_conv2d(x, rng.integers(-9, 9, (3, 3, 8)), stride=2),
        builder.average_pool2d(x, (3, 2), padding="SAME"),
        builder.max_pool2d(x, 2, stride=1),
        builder.mean(x, keep_dims=True),
        builder.mean(x),
        builder.fully_connected(x, rng.integers(-9, 9, (3, 4)), keep_dims=True),
        builder.pad(x, [(0, 0), (1, 2), (3, 0), (0, 1)], value=-5),
        builder.concatenation([x, x, x], -1),
        builder.expand_dims(x, 1),
        builder.softmax(x),
        builder.pointwise("LEAKY_RELU", x, alpha=-0.3),
    ]
    builder.output(*handles)
    outputs = LitertReference(builder.finish()).run([rng.integers(-128, 128, x.shape, dtype=np.int8)])
    assert [array.shape for array in outputs] == [handle.shape for handle in handles]


def test_intermediate_tensors_can_be_kept(rng):
    pytest.importorskip("ai_edge_litert")
    from tensaw.networks.litert import LitertReference

    builder = TfliteBuilder("kept")
    middle = builder.pointwise("RELU", builder.input((1, 4), 0.1, 0))
    builder.pointwise("TANH", middle)
    reference = LitertReference(builder.finish(), keep=True)
    reference.run([np.array([[-3, 0, 4, 9]], np.int8)])
    assert reference.tensor(middle.index).tolist() == [[0, 0, 4, 9]]


def test_random_networks_differ_and_repeat():
    files = [random_network(np.random.default_rng(seed)) for seed in range(30)]
    assert len(set(files)) == 30
    assert files == [random_network(np.random.default_rng(seed)) for seed in range(30)]


def test_kernel_that_does_not_fit():
    builder = TfliteBuilder("large")
    x = builder.input((1, 2, 2, 1), 0.1)
    with pytest.raises(ValueError, match="does not fit"):
        builder.max_pool2d(x, 3)


def test_wrong_number_of_scales():
    builder = TfliteBuilder("scales")
    x = builder.input((1, 2, 2, 1), 0.1)
    with pytest.raises(ValueError, match="2 weight scales for 3 channels"):
        builder.conv2d(x, np.ones((3, 1, 1, 1)), weight_scale=[0.1, 0.2])


def test_network_without_operators():
    with pytest.raises(ValueError, match="no operators"):
        TfliteBuilder("empty").finish()
