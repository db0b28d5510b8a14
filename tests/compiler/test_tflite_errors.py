"""The paragraphs with which .tflite networks are refused."""

import numpy as np
import pytest

from tensaw.compiler.frontends import load, survey
from tensaw.compiler.frontends.tflite import load_tflite, survey_tflite
from tensaw.networks import TfliteBuilder
from tensaw.spec.errors import ModelError, TensawError, UnsupportedError

QUANTISE = (
    "Quantise the network to int8: tf.lite.TFLiteConverter with optimizations = [tf.lite.Optimize.DEFAULT], a "
    "representative_dataset and supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]."
)


def small() -> TfliteBuilder:
    builder = TfliteBuilder("small")
    builder.input((1, 4, 4, 2), 0.1, 0, name="x")
    return builder


def float_model() -> TfliteBuilder:
    builder = TfliteBuilder("float")
    x = builder.input((1, 4), type="FLOAT32")
    builder.operator("RELU", (x.index,), (1, 4), 0.0, 0, "y", type="FLOAT32")
    return builder


def int16_model() -> TfliteBuilder:
    builder = TfliteBuilder("int16")
    x = builder.input((1, 4), 0.1, 0, type="INT16", name="x")
    builder.operator("TANH", (x.index,), (1, 4), 0.1, 0, "y", type="INT16")
    return builder


def unsupported() -> TfliteBuilder:
    builder = small()
    builder.operator("CEIL", (0,), (1, 4, 4, 2), 0.1, 0, "y")
    return builder


def dynamic() -> TfliteBuilder:
    builder = TfliteBuilder("dynamic")
    x = builder.input((1, 4, 4, 2), 0.1, 0, name="x", signature=(1, -1, -1, 2))
    builder.pointwise("RELU", x)
    return builder


def batch() -> TfliteBuilder:
    builder = TfliteBuilder("batch")
    builder.pointwise("RELU", builder.input((8, 4, 2), 0.1, 0, name="x"))
    return builder


def computed_weights() -> TfliteBuilder:
    builder = TfliteBuilder("computed")
    x, w = builder.input((1, 4), 0.1, 0), builder.input((1, 4), 0.1, 0, name="w")
    builder.operator(
        "FULLY_CONNECTED", (x.index, w.index, -1), (1, 1), 0.1, 0, "y", FusedActivationFunction=0, KeepNumDims=False
    )
    return builder


def asymmetric_weights() -> TfliteBuilder:
    builder = small()
    builder.conv2d(builder_handle(builder), np.ones((1, 1, 1, 2)), name="y")
    builder.tensors[1].zero_points = (3,)
    return builder


def fused_tanh() -> TfliteBuilder:
    builder = small()
    builder.max_pool2d(builder_handle(builder), 2, activation="TANH", name="y")
    return builder


def mixed_concatenation() -> TfliteBuilder:
    builder = small()
    x = builder_handle(builder)
    y = builder.pointwise("RELU", x, out_scale=0.2)
    builder.concatenation([x, y], 3, name="z")
    return builder


def mean_over_channels() -> TfliteBuilder:
    builder = small()
    builder.mean(builder_handle(builder), [3], name="y")
    return builder


def tiny_output_scale() -> TfliteBuilder:
    builder = small()
    x = builder_handle(builder)
    builder.add(x, x, out_scale=1e-8, name="y")
    return builder


def overflowing_convolution() -> TfliteBuilder:
    builder = small()
    weights = np.full((1, 1, 1, 2), 127)
    builder.conv2d(builder_handle(builder), weights, weight_scale=1.0, out_scale=1e-8, name="y")
    return builder


def builder_handle(builder: TfliteBuilder):
    from tensaw.networks import TensorHandle

    tensor = builder.tensors[0]
    return TensorHandle(0, tensor.name, tensor.type, tensor.shape, tensor.scales[0], tensor.zero_points[0])


CASES = {
    float_model: (
        "Operator 0 (RELU, 'y') of m.tflite: it works on FLOAT32 tensors (here 'input_0'). " + QUANTISE
    ),
    int16_model: (
        "Operator 0 (TANH, 'y') of m.tflite: tensor 'x' is INT16; activations must be INT8. " + QUANTISE
    ),
    dynamic: (
        "Input 'x' of m.tflite has a dynamic shape. The NPU's program is made for one shape: convert the model with "
        "fixed input shapes."
    ),
    batch: (
        "Input 'x' of m.tflite has the shape (8, 4, 2), a batch of 8. The NPU runs one sample at a time: convert the "
        "model for a batch of 1."
    ),
    computed_weights: (
        "Operator 0 (FULLY_CONNECTED, 'y') of m.tflite: its weights 'w' are computed by the network. Make the weights "
        "a constant of the model."
    ),
    asymmetric_weights: (
        "Operator 0 (CONV_2D, 'y') of m.tflite: its weights have a zero point other than 0. Quantise the weights "
        "symmetrically, as current TFLite converters do."
    ),
    fused_tanh: (
        "Operator 0 (MAX_POOL_2D, 'y') of m.tflite: its fused activation function is TANH. Use NONE, RELU, RELU6 or "
        "RELU_N1_TO_1."
    ),
    mixed_concatenation: (
        "Operator 1 (CONCATENATION, 'z') of m.tflite: its input 'relu_0' (scale 0.2, zero point 0) and its output "
        "(scale 0.1, zero point 0) are quantised differently. Convert again with a converter that unifies the scales "
        "of this operator, or put a QUANTIZE before it."
    ),
    mean_over_channels: (
        "Operator 0 (MEAN, 'y') of m.tflite: it averages an input of shape (1, 4, 4, 2) over the axes [3]. Average "
        "over height and width of (1, height, width, channels) only."
    ),
    tiny_output_scale: (
        "Operator 0 (ADD, 'y') of m.tflite: its output scale is more than 2^19 times smaller than its larger input "
        "scale, which LiteRT refuses. Quantise again with data that represent the real inputs."
    ),
    overflowing_convolution: (
        "Operator 0 (CONV_2D, 'y') of m.tflite: its output scale is so much smaller than input scale · weight scale "
        "that requantising overflows 32 bits. Quantise again with data that represent the real inputs."
    ),
}  # fmt: skip


@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
def test_refusal(make):
    with pytest.raises(UnsupportedError) as caught:
        load_tflite(make().finish(), "m.tflite")
    assert str(caught.value) == CASES[make]


def test_unsupported_operator_is_named_with_the_fix():
    with pytest.raises(UnsupportedError) as caught:
        load_tflite(unsupported().finish(), "m.tflite")
    text = str(caught.value)
    assert text.startswith(
        "Operator 0 (CEIL, 'y') of m.tflite: tensaw has no such operator. Replace it by supported ones (ADD, "
    )
    assert text.endswith("), or end the network before it and compute the rest on the host.")


def test_survey_collects_every_refusal():
    builder = unsupported()
    x = builder_handle(builder)
    builder.pointwise("RELU", x, name="fine")
    builder.max_pool2d(x, 2, activation="TANH", name="pool")
    verdicts = survey_tflite(builder.finish(), "m.tflite")
    assert [(v.index, v.type, v.name, v.ok) for v in verdicts] == [
        (0, "CEIL", "y", False),
        (1, "RELU", "fine", True),
        (2, "MAX_POOL_2D", "pool", False),
    ]
    assert verdicts[0].reason == "tensaw has no such operator."
    assert verdicts[2].reason == "its fused activation function is TANH."
    assert verdicts[2].fix == "Use NONE, RELU, RELU6 or RELU_N1_TO_1."
    assert (verdicts[1].reason, verdicts[1].fix) == ("", "")


def test_survey_reads_float_models_operator_by_operator():
    verdicts = survey_tflite(float_model().finish(), "m.tflite")
    assert [v.ok for v in verdicts] == [False]
    assert verdicts[0].fix == QUANTISE


def test_not_a_model_file(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("Dear diary, this is not a network.")
    for function in (load, survey):
        with pytest.raises(ModelError) as caught:
            function(path)
        assert str(caught.value) == (
            "notes.txt is no model file that tensaw knows: it holds neither TensorFlow Lite's identifier TFL3 nor an "
            "ONNX header. Give a .tflite or .onnx file."
        )


def test_not_a_tflite_file(tmp_path):
    path = tmp_path / "photo.tflite"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" * 10)
    with pytest.raises(ModelError) as caught:
        load(path)
    assert str(caught.value) == (
        "photo.tflite is not a .tflite model: bytes 4 to 7 must be 'TFL3'. Give the file that the TFLite "
        "converter wrote."
    )


def test_missing_file(tmp_path):
    path = tmp_path / "absent.tflite"
    with pytest.raises(ModelError) as caught:
        load(path)
    assert str(caught.value) == (
        f"The model {str(path)!r} cannot be read: No such file or directory. Give the path of a .tflite or .onnx file."
    )


def test_truncated_file():
    model = unsupported().finish()
    with pytest.raises(ModelError) as caught:
        load_tflite(model[: len(model) // 2], "m.tflite")
    assert str(caught.value) == (
        f"m.tflite is damaged: an offset in it points outside the file ({len(model) // 2} bytes), so it is probably "
        "truncated. Copy or convert the model again."
    )


def test_wrong_shape_in_the_file():
    builder = small()
    builder.max_pool2d(builder_handle(builder), 2, name="y")
    builder.tensors[1].shape = (1, 3, 3, 2)
    with pytest.raises(ModelError) as caught:
        load_tflite(builder.finish(), "m.tflite")
    assert str(caught.value) == (
        "Operator 0 (MAX_POOL_2D, 'y') of m.tflite: the file gives its output the shape (1, 3, 3, 2), but the operator "
        "makes (1, 2, 2, 2). Convert the model again."
    )


def test_reading_before_writing():
    builder = small()
    y = builder.pointwise("RELU", builder_handle(builder), name="y")
    builder.pointwise("TANH", y, name="z")
    builder.operators.reverse()
    builder.output(y)
    with pytest.raises(ModelError) as caught:
        load_tflite(builder.finish(), "m.tflite")
    assert str(caught.value) == (
        "Operator TANH ('z') of m.tflite reads 'y' before anything has written it. Convert the model again."
    )


def test_every_refusal_is_one_paragraph():
    for make in CASES:
        with pytest.raises(TensawError) as caught:
            load_tflite(make().finish(), "m.tflite")
        assert "\n" not in str(caught.value)
