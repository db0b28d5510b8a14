"""The operator report."""

from __future__ import annotations

from pathlib import Path

import pytest

from tensaw.compiler.frontends import OperatorVerdict, load, survey
from tensaw.compiler.frontends.onnx import load_onnx, survey_onnx
from tensaw.compiler.frontends.tflite import load_tflite
from tensaw.compiler.ir import Lookup, Reshape
from tensaw.compiler.operator_report import OperatorReport, operator_report
from tensaw.compiler.pipeline import compile_graph
from tensaw.networks.onnx_samples import random_network
from tensaw.networks.onnx_writer import Form
from tensaw.networks.tflite_builder import TfliteBuilder
from tensaw.spec.config import PRESETS
from tensaw.spec.program import Program


def test_every_operator_of_the_file(rng, tmp_path) -> None:
    builder = TfliteBuilder("net")
    x = builder.input((1, 8, 8, 16), 0.1, 3)
    weights = rng.integers(-127, 128, (16, 3, 3, 16))
    y = builder.conv2d(x, weights, None, padding="SAME", weight_scale=0.002, out_scale=0.1, out_zp=0)
    y = builder.add(x, y, out_scale=0.2, out_zp=0)
    y = builder.depthwise_conv2d(
        y, rng.integers(-127, 128, (3, 3, 16)), None, weight_scale=0.01, out_scale=0.1, out_zp=0
    )
    y = builder.average_pool2d(y, (y.shape[1], y.shape[2]), padding="VALID")
    builder.output(builder.softmax(builder.reshape(y, (1, 16))))
    data = builder.finish()
    path = tmp_path / "net.tflite"
    path.write_bytes(data)
    verdicts = survey(path)
    program = Program.from_bytes(compile_graph(load_tflite(data, "net"), PRESETS["base"]).to_bytes())
    report = operator_report(verdicts, program)
    assert [(item.type, item.runs_on, item.layer) for item in report] == [
        ("CONV_2D", "array", 0),
        ("ADD", "second operand of operator 0, CONV_2D", 0),
        ("DEPTHWISE_CONV_2D", "array, depthwise", 1),
        ("AVERAGE_POOL_2D", "array, pool", 2),
        ("RESHAPE", "no operation: the same bytes", None),
        ("SOFTMAX", "output stage, softmax", 3),
    ]
    assert (report[0].bound_by, report[0].cycles) == ("array", 9 * 64)
    assert all(item.runs_on == "NPU" for item in operator_report(verdicts))


def digits_report() -> list[OperatorReport]:
    path = Path(__file__).resolve().parents[2] / "examples" / "digits" / "digits_int8_qdq.onnx"
    return operator_report(survey(path), compile_graph(load(path), PRESETS["base"]))


def test_onnx_operators_are_found_at_their_own_nodes() -> None:
    report = digits_report()
    assert [(item.type, item.runs_on) for item in report[:8]] == [
        ("QuantizeLinear", "host, when the input is written"),
        ("DequantizeLinear", "no operation: a scale"),
        ("DequantizeLinear", "no operation: constant"),
        ("DequantizeLinear", "no operation: constant"),
        ("Conv", "array"),
        ("Relu", "part of operator 4, Conv"),
        ("QuantizeLinear", "part of operator 4, Conv"),
        ("DequantizeLinear", "no operation: a scale"),
    ]
    of_type = {item.type: item for item in report}
    assert (of_type["Gemm"].bound_by, of_type["Gemm"].cycles) == ("weights", 264)
    assert of_type["Add"].runs_on == "second operand of operator 16, Conv"
    assert of_type["Flatten"].runs_on == "no operation: the same bytes"
    assert report[-1].runs_on == "host, when the output is read"


@pytest.mark.parametrize("unsigned", [False, True], ids=["int8", "uint8"])
@pytest.mark.parametrize("form", ["qdq", "qoperator"])
@pytest.mark.parametrize("seed", range(6))
def test_every_ir_operator_belongs_to_the_node_of_its_type(seed: int, form: Form, unsigned: bool) -> None:
    data = random_network(seed, form, unsigned)[0].to_bytes()
    verdicts = survey_onnx(data, "net")
    assert all(verdict.ok and (verdict.result or verdict.note) for verdict in verdicts)
    types = {verdict.result: verdict.type for verdict in verdicts if verdict.result}
    ops = load_onnx(data, "net").ops
    # Tables that a pool or concatenation needs besides itself belong to its row.
    for op in ops:
        if not isinstance(op, Reshape | Lookup):
            assert types[op.output] == op.kind, op.output
    assert set(types) <= {op.output for op in ops}


def test_refused_operators_keep_their_reason() -> None:
    verdict = OperatorVerdict(3, "CUMSUM", "sum", False, "It is not offered.", "Leave it to the host.")
    assert operator_report([verdict]) == [
        OperatorReport(3, "CUMSUM", "sum", "refused", reason="It is not offered.", fix="Leave it to the host.")
    ]
