"""The texts with which ONNX files are refused, and that damaged files are refused at all."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tensaw.compiler.frontends.onnx import load_onnx, supported_operators, survey_onnx
from tensaw.networks.onnx_samples import small_network
from tensaw.networks.onnx_writer import Form, OnnxWriter
from tensaw.spec.errors import TensawError

FLOAT_HINT = (
    "quantise it to int8 first, for example with onnxruntime.quantization.quantize_static(..., "
    "quant_format=QuantFormat.QDQ, weight_type=QuantType.QInt8)."
)


def refusal(data: bytes) -> str:
    with pytest.raises(TensawError) as caught:
        load_onnx(data, "net.onnx")
    text = str(caught.value)
    assert "\n" not in text and text.endswith(".")
    return text


def changed(change: Callable[[onnx.ModelProto], object], form: Form = "qdq") -> str:
    """The refusal of the network after a change."""
    model = small_network(form).to_model()
    change(model)
    return refusal(model.SerializeToString())


def initializer(model: onnx.ModelProto, name: str, array: npt.ArrayLike) -> None:
    for tensor in model.graph.initializer:
        if tensor.name == name:
            tensor.CopyFrom(numpy_helper.from_array(np.asarray(array), name))


def node(model: onnx.ModelProto, kind: str) -> onnx.NodeProto:
    return next(entry for entry in model.graph.node if entry.op_type == kind)


NOT_READABLE = "check that the file is an .onnx file and was copied whole, and export it again if it was."


def test_not_a_model() -> None:
    text = refusal(b"#!/bin/sh\necho hello\n" * 10)
    assert text == f"net.onnx is not a readable ONNX model: it is not a complete protobuf message; {NOT_READABLE}"


def test_empty_file() -> None:
    assert refusal(b"") == f"net.onnx is not a readable ONNX model: it holds no graph of operators; {NOT_READABLE}"


def test_truncated() -> None:
    data = small_network().to_bytes()
    text = refusal(data[: len(data) // 2])
    assert text == f"net.onnx is not a readable ONNX model: it is not a complete protobuf message; {NOT_READABLE}"


def test_checker_says() -> None:
    text = changed(lambda m: m.graph.node[0].ClearField("op_type"))
    assert text.startswith("net.onnx is not a readable ONNX model: the ONNX checker says: ")


def test_float_model() -> None:
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 4)) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", ports[:1], ports[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    assert refusal(model.SerializeToString()) == (
        "net.onnx is a float model: none of its 1 operators is quantised, and the NPU computes with int8 only; "
        + FLOAT_HINT
    )


def test_dynamic_quantisation() -> None:
    def change(m: onnx.ModelProto) -> None:
        node(m, "QuantizeLinear").CopyFrom(
            helper.make_node("DynamicQuantizeLinear", ["image"], ["image_quantised", "s", "z"])
        )

    assert changed(change) == (
        "net.onnx: the network is quantised dynamically (DynamicQuantizeLinear), so its scales are only known while it "
        "runs, and every scale must be in the file; " + FLOAT_HINT
    )


def test_dynamic_shape() -> None:
    def change(m: onnx.ModelProto) -> None:
        m.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"

    assert changed(change) == (
        "net.onnx: dimension 2 of input 'image' is dynamic ('height'), and every size must be known when the network "
        "is "
        "compiled; fix it, for example with python -m onnxruntime.tools.make_dynamic_shape_fixed --dim_param height "
        "--dim_value 1 MODEL FIXED_MODEL."
    )


def test_batch() -> None:
    assert refusal(small_network(shape=(2, 3, 8, 8)).to_bytes()) == (
        "net.onnx: input 'image' has the shape [2, 3, 8, 8], a batch of 2, and networks are run one sample at a time; "
        "export the model with a batch of 1."
    )


def test_empty_dimension() -> None:
    assert refusal(small_network(shape=(1, 3, 0, 8)).to_bytes()) == (
        "net.onnx: input 'image' has the shape [1, 3, 0, 8], and every dimension must be at least 1; export the model "
        "with "
        "a complete input shape."
    )


def test_input_type() -> None:
    def change(m: onnx.ModelProto) -> None:
        m.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16

    assert changed(change) == (
        "net.onnx: input 'image' is float16, and network inputs and outputs must be float32, int8 or uint8 tensors; "
        "cast it "
        "outside the network."
    )


def test_unsupported_operator() -> None:
    text = changed(lambda m: setattr(node(m, "MaxPool"), "op_type", "LpPool"))
    assert text == (
        "net.onnx: node 'pooled_node' (LpPool, output 'pooled') is of a type that is not supported; replace LpPool by "
        "supported operators (the README lists them) or compute it on the host."
    )


def test_foreign_domain() -> None:
    def change(m: onnx.ModelProto) -> None:
        node(m, "MaxPool").domain = "com.example"
        m.opset_import.append(helper.make_opsetid("com.example", 1))

    assert changed(change) == (
        "net.onnx: node 'pooled_node' (MaxPool, output 'pooled') belongs to the operator domain 'com.example', and "
        "only "
        "ai.onnx and com.microsoft are understood; if the model holds it as a function, inline it with "
        "onnx.inliner.inline_local_functions(model)."
    )


def test_old_opset() -> None:
    net = OnnxWriter(opset=9)
    x = net.input("x", (1, 2), 1.0, 0, dtype="int8")
    net.node("Identity", [x.name], "y")
    net.output(type(x)("y", 1.0, 0), (1, 2))
    assert refusal(net.to_bytes()) == (
        "net.onnx: the model uses version 9 of the ai.onnx operator set, and versions 10 to 28 are understood; "
        "convert it "
        "with onnx.version_converter.convert_version(model, 17)."
    )


def test_no_standard_operators() -> None:
    def change(m: onnx.ModelProto) -> None:
        del m.graph.node[:]
        m.graph.node.append(helper.make_node("Thing", ["image"], ["softmax"], domain="com.microsoft"))
        del m.opset_import[0]

    assert changed(change) == (
        "net.onnx: the model imports no version of the ai.onnx operator set, and networks must be made of its "
        "operators; "
        "export it with the standard operators."
    )


def test_external_data() -> None:
    def change(m: onnx.ModelProto) -> None:
        m.graph.initializer[0].data_location = TensorProto.EXTERNAL

    assert changed(change) == (
        "net.onnx: initializer 'image_quantised_scale' is stored in a file beside the model, and only models that "
        "hold all "
        "their data are read; save it as one file with onnx.save(onnx.load(path), new_path)."
    )


def test_short_data() -> None:
    def change(m: onnx.ModelProto) -> None:
        tensor = next(t for t in m.graph.initializer if t.name == "w")
        tensor.ClearField("raw_data")
        tensor.int32_data.extend([1] * 109)

    assert changed(change) == (
        "net.onnx: initializer 'w' cannot be read: its data do not fill its shape [4, 3, 3, 3] or its element type is "
        "unknown; the file is damaged or incomplete, export it again."
    )


@pytest.mark.parametrize("form", ["qdq", "qoperator"])
def test_weight_zero_point(form: Form) -> None:
    text = changed(lambda m: initializer(m, "w_zero_point", np.array([0, 5, 0, 0], np.int8)), form)
    place = "'conv_result_node' (Conv, output 'conv_result')"
    if form == "qoperator":
        place = "'conv_node' (QLinearConv, output 'conv')"
    assert text == (
        f"net.onnx: node {place} has weights with the zero point 5, and it must be 0 for int8 weights; quantise "
        f"weights symmetrically: weight_type=QuantType.QInt8, "
        "extra_options={'WeightSymmetric': True}."
    )


def test_weight_scale_along_the_wrong_axis() -> None:
    def change(m: onnx.ModelProto) -> None:
        initializer(m, "w_scale", np.full(3, 0.01, np.float32))
        initializer(m, "w_zero_point", np.zeros(3, np.int8))
        entry = next(n for n in m.graph.node if n.input[0] == "w")
        entry.attribute[0].i = 1

    assert "has weights with a scale per channel on axis 1, and it must be the output channels' axis, 0;" in changed(
        change
    )


def test_scale_not_positive() -> None:
    text = changed(lambda m: initializer(m, "conv_scale", np.float32(-1)))
    assert "has a scale of -1.0, which must be positive and finite; the file is inconsistent, export it again." in text


def test_activation_per_channel() -> None:
    text = changed(lambda m: initializer(m, "conv_scale", np.full(4, 0.1, np.float32)))
    assert "quantises an activation per channel (4 scales), and activations have one scale each;" in text


def test_unquantised_link() -> None:
    def change(m: onnx.ModelProto) -> None:
        # Conv's float result goes straight into an activation that cannot be folded.
        entry = node(m, "QuantizeLinear")
        position = next(i for i, n in enumerate(m.graph.node) if n.op_type == "Conv") + 1
        entry = m.graph.node[position]
        entry.input[0] = "act"
        m.graph.node.insert(position, helper.make_node("Sigmoid", ["conv_result"], ["act"], name="act"))

    assert changed(change) == (
        "net.onnx: node 'act' (Sigmoid, output 'act') reads its input 0, the result of node 'conv_result_node' (Conv, "
        "output "
        "'conv_result'), in float, and every tensor between two operators must be int8; quantise both operators, so "
        "that a "
        "QuantizeLinear and a DequantizeLinear stand between them."
    )


def test_float_weights() -> None:
    def change(m: onnx.ModelProto) -> None:
        node(m, "Conv").input[1] = "floats"
        m.graph.initializer.append(numpy_helper.from_array(np.ones((4, 3, 3, 3), np.float32), "floats"))

    assert (
        "has float32 weights, and weights must be quantised to int8; quantise this operator too (check "
        "nodes_to_exclude and "
        "op_types_to_quantize)."
    ) in changed(change)


def test_float_output() -> None:
    def change(m: onnx.ModelProto) -> None:
        m.graph.output[0].name = "softmax_result"
        m.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT

    assert changed(change) == (
        "net.onnx: output 'softmax_result' is a float result of node 'softmax_result_node' (Softmax, output "
        "'softmax_result') or a constant, and every output must be an int8 result; quantise the last operator too, so "
        "that a "
        "QuantizeLinear follows it."
    )


def test_flattened_output() -> None:
    def change(m: onnx.ModelProto) -> None:
        m.graph.output[0].name = "flat"

    assert changed(change) == (
        "net.onnx: output 'flat' is an image of several channels flattened to [1, 36], and the NPU keeps it channels "
        "last; "
        "end the network before the Flatten or Reshape and flatten on the host."
    )


def test_softmax_scale() -> None:
    text = changed(lambda m: initializer(m, "softmax_scale", np.float32(1 / 1024)))
    assert "has the output scale 0.000976562, and softmax is computed in steps of 1/256," in text


def test_reordered_image() -> None:
    def change(m: onnx.ModelProto) -> None:
        entry = node(m, "MaxPool")
        position = next(i for i, n in enumerate(m.graph.node) if n.op_type == "MaxPool")
        m.graph.node.insert(position, helper.make_node("Transpose", ["conv"], ["turned"], perm=[0, 1, 3, 2]))
        entry.input[0] = "turned"

    assert (
        "needs channels that a Transpose or Reshape before it has put elsewhere, and the NPU moves no bytes for "
        "those; remove "
        "the reordering, or place it at the network's input."
    ) in changed(change)


def test_overflowing_scale() -> None:
    text = changed(lambda m: initializer(m, "conv_scale", np.float32(1e-9)))
    assert "and both must fit in 32 bits; check the scales of this operator's input, weights and output" in text


def test_survey_names_every_refusal() -> None:
    def build() -> onnx.ModelProto:
        model = small_network().to_model()
        node(model, "MaxPool").op_type = "LpPool"
        node(model, "Softmax").op_type = "Hardmax"
        return model

    verdicts = survey_onnx(build().SerializeToString(), "net.onnx")
    assert [v.type for v in verdicts if not v.ok] == ["LpPool", "Hardmax"]
    assert verdicts[0].ok and verdicts[0].reason == ""
    refused = next(v for v in verdicts if v.type == "LpPool")
    assert refused.name == "pooled"
    assert refused.reason == "is of a type that is not supported"
    assert refused.fix == "replace LpPool by supported operators (the README lists them) or compute it on the host"


def test_survey_blames_the_operator_not_its_quantisation() -> None:
    model = small_network().to_model()
    initializer(model, "conv_scale", np.float32(1e-9))
    verdicts = survey_onnx(model.SerializeToString(), "net.onnx")
    assert [v.type for v in verdicts if not v.ok] == ["Conv"]


def test_survey_of_a_good_small_network() -> None:
    for form in ("qdq", "qoperator"):
        verdicts = survey_onnx(small_network(form).to_bytes(), "net.onnx")
        assert all(v.ok for v in verdicts)
        assert [v.index for v in verdicts] == list(range(len(verdicts)))


def test_every_operator_is_documented() -> None:
    table = supported_operators()
    assert all(len(text) > 5 and text.endswith(".") for text in table.values())
    assert {"Conv", "com.microsoft.QGemm", "QLinearConv"} <= set(table)
