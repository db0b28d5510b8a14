"""Tokens: as few as are needed, and none that units would wait for for ever."""

from __future__ import annotations

import numpy as np
import pytest

from tensaw.compiler.frontends.tflite import load_tflite
from tensaw.compiler.pipeline import CompileOptions
from tensaw.networks.tflite_builder import TensorHandle, TfliteBuilder
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import Peer, decode

CONFIG = NpuConfig(rows=4, columns=4, requant_lanes=1, scratchpad_bytes=4096, acc_entries=16)


def max_pool(builder: TfliteBuilder, x: TensorHandle, rng: np.random.Generator) -> TensorHandle:
    return builder.max_pool2d(x, (2, 4), stride=2, padding="VALID")


def depthwise(builder: TfliteBuilder, x: TensorHandle, rng: np.random.Generator) -> TensorHandle:
    weights = rng.integers(-9, 10, (3, 3, x.shape[3]))
    return builder.depthwise_conv2d(x, weights, None, weight_scale=0.01, padding="SAME", out_scale=0.1, out_zp=0)


def grouped(builder: TfliteBuilder, x: TensorHandle, rng: np.random.Generator) -> TensorHandle:
    weights = rng.integers(-9, 10, (x.shape[3], 1, 1, 1))
    return builder.conv2d(x, weights, None, weight_scale=0.01, padding="SAME", out_scale=0.1, out_zp=0)


@pytest.mark.parametrize("operator", [max_pool, depthwise, grouped], ids=lambda operator: operator.__name__)
@pytest.mark.parametrize("channels", [9, 10, 11])
def test_surplus_lanes_order_nothing(agree, operator, channels: int) -> None:
    # The last tile's surplus lanes read the first bytes of what lies behind the input: the output. A token for that
    # would have OUTPUT wait for the end of the ARRAY run that it empties.
    rng = np.random.default_rng(channels)
    builder = TfliteBuilder("surplus")
    builder.output(operator(builder, builder.input((1, 10, 4, channels), 0.1, 0), rng))
    program = agree(load_tflite(builder.finish(), "surplus"), CONFIG, rng, CompileOptions(transpose=False))
    runs = [command for word in program.words if (command := decode(int(word))).word.full_name == "OUTPUT.RUN"]
    assert runs and not any(run.values["wait"] >> Peer.ARRAY & 1 for run in runs)
