"""Whole files to damage, made here: small networks of every operator, configurations, compiled programs."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from tensaw.compiler.frontends.onnx import load_onnx
from tensaw.compiler.frontends.tflite import load_tflite
from tensaw.compiler.pipeline import CompileOptions, compile_graph
from tensaw.networks.onnx_samples import random_network as onnx_network
from tensaw.networks.onnx_samples import small_network
from tensaw.networks.random_network import OPERATORS, random_network
from tensaw.networks.synthetic import gemm, resnet
from tensaw.spec.config import PRESETS
from tensaw.spec.errors import TensawError

__all__ = ["KINDS", "seeds"]

KINDS = ("tflite", "onnx", "toml", "program")
"""Formats, each also the suffix of its files."""

_LARGEST = 12_000
"""Bytes of a network: damage to weights finds nothing, so there should be few of them."""


@lru_cache(len(KINDS))
def seeds(kind: str) -> tuple[bytes, ...]:
    """Files of one of :data:`KINDS`, the same in every process."""
    return {"tflite": _tflite, "onnx": _onnx, "toml": _toml, "program": _program}[kind]()


def _tflite() -> tuple[bytes, ...]:
    rng = np.random.default_rng(8)
    # One network for each operator, and some of several.
    wanted = [[name] for name in OPERATORS] + [list(OPERATORS)] * 20
    found = [random_network(rng, operators, 4 if len(operators) > 1 else 2) for operators in wanted]
    found += [gemm(3, 5, 7), gemm(4, 6, 8, convolution=True), resnet(image=32, width=1, blocks=(1, 1), classes=3)]
    return tuple(data for data in found if len(data) <= _LARGEST)


def _onnx() -> tuple[bytes, ...]:
    found = [small_network("qdq"), small_network("qoperator", unsigned=True)]
    found += [onnx_network(seed, "qdq" if seed % 2 else "qoperator", seed % 3 == 0)[0] for seed in range(14)]
    return tuple(data for data in (each.to_bytes() for each in found) if len(data) <= _LARGEST)


def _toml() -> tuple[bytes, ...]:
    from_preset = 'preset = "base"\nrows = 12\ncolumns = 10\nrequant_lanes = 5\n'
    whole = 'name = "mine"\nrows = 8\ncolumns = 16\nbus_bytes = 16\n'
    return tuple(text.encode() for text in (*(config.to_toml() for config in PRESETS.values()), from_preset, whole))


def _program() -> tuple[bytes, ...]:
    found = []
    for number, data in enumerate((*_tflite()[::5], *_onnx()[::5])):
        graph = (load_onnx if data[4:8] != b"TFL3" else load_tflite)(data, f"seed{number}")
        try:
            program = compile_graph(graph, PRESETS["nano"], CompileOptions(keep_tensors=number % 2 == 1))
        except TensawError:
            continue  # too large for nano
        found.append(program.to_bytes())
    return tuple(found)
