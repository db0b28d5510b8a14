"""Every golden operator equals LiteRT's reference kernel on random networks."""

import numpy as np
import pytest

from tensaw.networks import TfliteBuilder
from tensaw.networks.random_network import OPERATORS, random_network


@pytest.mark.parametrize("operator", OPERATORS)
def test_operator_equals_litert(operator, assert_equals_litert):
    for seed in range(40):
        rng = np.random.default_rng(seed)
        assert_equals_litert(random_network(rng, [operator], 2, f"{operator} seed {seed}"), rng)


@pytest.mark.parametrize("block", range(4))
def test_networks_equal_litert(block, assert_equals_litert):
    for seed in range(1000 + 60 * block, 1060 + 60 * block):
        rng = np.random.default_rng(seed)
        assert_equals_litert(random_network(rng, max_layers=7, name=f"seed {seed}"), rng, 2)


def every_pair() -> list[np.ndarray]:
    values = np.arange(-128, 128, dtype=np.int8)
    return [np.repeat(values, 256).reshape(1, 256, 256), np.tile(values, 256).reshape(1, 256, 256)]


@pytest.mark.parametrize("kind", ["add", "sub", "mul"])
def test_elementwise_on_every_pair_of_values(kind, rng, assert_equals_litert):
    for _ in range(8):
        builder = TfliteBuilder(kind)
        scales = 10 ** rng.uniform(-4, 1, 2)
        a = builder.input((1, 256, 256), scales[0], int(rng.integers(-128, 128)))
        b = builder.input((1, 256, 256), scales[1], int(rng.integers(-128, 128)))
        scale = scales.prod() * 100 if kind == "mul" else scales.max() * 1.5
        getattr(builder, kind)(a, b, out_scale=float(scale), out_zp=int(rng.integers(-128, 128)))
        assert_equals_litert(builder.finish(), rng, 1, every_pair())


@pytest.mark.parametrize("kind", ["add", "sub"])
def test_equal_power_of_two_scales_meet_ties(kind, rng, assert_equals_litert):
    builder = TfliteBuilder(kind)
    a, b = (builder.input((1, 256, 256), 0.25, zero_point) for zero_point in (-1, 3))
    getattr(builder, kind)(a, b, out_scale=0.5, out_zp=7)
    assert_equals_litert(builder.finish(), rng, 1, every_pair())


@pytest.mark.parametrize("output_scale", [0.25, 0.5, 1.0, 2.0, 3.0, 0.1])
@pytest.mark.parametrize("layer", ["conv2d", "fully_connected", "depthwise_conv2d"])
def test_exact_scales_meet_ties(layer, output_scale, rng, assert_equals_litert):
    """Scales for which many sums lie exactly between two results."""
    builder = TfliteBuilder(layer)
    x = builder.input((1, 16, 16, 4), 0.5, 0)
    shape = {"conv2d": (6, 1, 1, 4), "fully_connected": (6, 4), "depthwise_conv2d": (1, 1, 4)}[layer]
    weights = rng.integers(-3, 4, shape)
    channels = 4 if layer == "depthwise_conv2d" else 6
    bias = rng.integers(-20, 21, channels)
    getattr(builder, layer)(x, weights, bias, weight_scale=0.125, out_scale=output_scale, out_zp=0)
    assert_equals_litert(builder.finish(), rng)


def test_fully_connected_exact_near_every_step(rng, assert_equals_litert):
    """One input times ±1 plus a bias: accumulators on both sides of every step of the result."""
    for _ in range(10):
        builder = TfliteBuilder("steps")
        x = builder.input((1, 1), float(10 ** rng.uniform(-3, 0)), 0)
        weight_scale = float(10 ** rng.uniform(-3, 0))
        out_scale = float(x.scale * weight_scale * 10 ** rng.uniform(1, 4))
        real = x.scale * float(np.float32(weight_scale)) / float(np.float32(out_scale))
        steps = np.rint((np.arange(-128, 128) + 0.5) / real).astype(np.int64)
        builder.fully_connected(x, np.ones((256, 1)), steps, weight_scale=weight_scale, out_scale=out_scale, out_zp=0)
        model = builder.finish()
        for value in (-1, 0, 1):
            assert_equals_litert(model, rng, 1, [np.array([[value]], np.int8)])


@pytest.mark.parametrize("kind", ["LOGISTIC", "TANH", "HARD_SWISH", "LEAKY_RELU", "RELU6", "QUANTIZE"])
def test_pointwise_on_every_value_and_many_scales(kind, rng, assert_equals_litert):
    values = [np.arange(-128, 128, dtype=np.int8).reshape(1, 256)]
    for _ in range(60):
        builder = TfliteBuilder(kind)
        x = builder.input((1, 256), float(10 ** rng.uniform(-4, 1)), int(rng.integers(-128, 128)))
        out_scale = float(x.scale * 10 ** rng.uniform(-1, 1))
        builder.pointwise(
            kind, x, alpha=float(rng.uniform(-2, 2)), out_scale=out_scale, out_zp=int(rng.integers(-128, 128))
        )
        assert_equals_litert(builder.finish(), rng, 1, values)


@pytest.mark.parametrize("depth", [1, 2, 3, 10, 100, 256, 500])
def test_softmax_of_any_depth_and_scale(depth, rng, assert_equals_litert):
    for _ in range(12):
        builder = TfliteBuilder("softmax")
        x = builder.input((1, 20, depth), float(10 ** rng.uniform(-4, 1)), int(rng.integers(-128, 128)))
        builder.softmax(x, beta=float(10 ** rng.uniform(-1, 1)))
        assert_equals_litert(builder.finish(), rng, 2)


@pytest.mark.parametrize("shape", [(1, 7, 5, 3), (1, 1, 1, 4), (1, 16, 16, 2), (1, 31, 1, 2), (1, 64, 64, 1)])
def test_mean_of_many_counts(shape, rng, assert_equals_litert):
    for keep in (False, True):
        builder = TfliteBuilder("mean")
        x = builder.input(shape, 0.1, int(rng.integers(-128, 128)))
        builder.mean(x, keep_dims=keep, out_scale=float(rng.uniform(0.001, 0.2)), out_zp=int(rng.integers(-128, 128)))
        assert_equals_litert(builder.finish(), rng)


def test_mean_over_time_of_a_sequence(rng, assert_equals_litert):
    builder = TfliteBuilder("sequence")
    builder.mean(builder.input((1, 9, 5), 0.1, 3), [1], out_scale=0.05)
    assert_equals_litert(builder.finish(), rng)
