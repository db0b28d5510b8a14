"""Damaged ONNX files: whatever the bytes, a network or a refusal, never another exception."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tensaw.compiler.frontends.onnx import load_onnx, supported_operators, survey_onnx
from tensaw.networks.onnx_samples import small_network
from tensaw.networks.onnx_writer import Form
from tensaw.spec.errors import ModelError, UnsupportedError


@pytest.mark.parametrize("form", ["qdq", "qoperator"])
@pytest.mark.parametrize("seed", range(8), ids=lambda s: f"seed{s}")
def test_corrupted_bytes(form: Form, seed: int) -> None:
    """Any bytes at all: a network or a refusal in one paragraph."""
    random = np.random.default_rng(seed)
    good = np.frombuffer(small_network(form).to_bytes(), np.uint8)
    for _ in range(40):
        data = good.copy()
        places = random.integers(0, len(data), random.integers(1, 6))
        data[places] = random.integers(0, 256, len(places))
        if random.random() < 0.3:
            start, stop = sorted(random.integers(0, len(data), 2))
            data = np.delete(data, slice(start, min(stop, start + 40)))
        load_or_refuse(data.tobytes())


FORMS: tuple[Form, Form] = ("qdq", "qoperator")


@pytest.mark.parametrize("seed", range(4), ids=lambda s: f"seed{s}")
def test_corrupted_messages(seed: int) -> None:
    """Well-formed protobuf with wrong attributes, dimensions, types and connections."""
    random = np.random.default_rng(seed)
    for _ in range(60):
        model = small_network(FORMS[int(random.integers(2))]).to_model()
        for _ in range(random.integers(1, 4)):
            corrupt(model, random)
        load_or_refuse(model.SerializeToString())


def corrupt(model: onnx.ModelProto, random: np.random.Generator) -> None:
    nodes, tensors = model.graph.node, model.graph.initializer
    names = [t.name for t in tensors] + [n.output[0] for n in nodes] + [""]
    entry = nodes[int(random.integers(len(nodes)))]
    tensor = tensors[int(random.integers(len(tensors)))]
    odd = int(random.choice([-(2**63), -1, 0, 1, 2, 3, 7, 255, 2**31, 2**40, 2**62]))
    match int(random.integers(7)):
        case 0:
            entry.input[int(random.integers(len(entry.input)))] = names[int(random.integers(len(names)))]
        case 1 if entry.attribute:
            attribute = entry.attribute[int(random.integers(len(entry.attribute)))]
            if attribute.ints:
                attribute.ints[int(random.integers(len(attribute.ints)))] = odd
            else:
                attribute.i = odd
        case 2 if tensor.dims:
            tensor.dims[int(random.integers(len(tensor.dims)))] = odd
        case 3:
            tensor.data_type = int(random.integers(0, 24))
        case 4:
            model.graph.input[0].type.tensor_type.shape.dim[int(random.integers(4))].dim_value = odd
        case 5:
            kinds = [name.rpartition(".")[2] for name in supported_operators()]
            entry.op_type = kinds[int(random.integers(len(kinds)))]
        case _:
            shape = random.integers(0, 4, random.integers(0, 4))
            tensor.CopyFrom(numpy_helper.from_array(random.normal(size=shape).astype(np.float32), tensor.name))


def load_or_refuse(data: bytes) -> None:
    try:
        load_onnx(data, "net.onnx")
    except UnsupportedError as error:
        assert "\n" not in str(error)
    except ModelError as error:
        assert str(error)
    try:
        survey_onnx(data, "net.onnx")
    except ModelError as error:
        assert str(error)
