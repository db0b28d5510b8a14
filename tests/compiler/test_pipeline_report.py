"""The operator report."""

from __future__ import annotations

from tensaw.compiler.frontends import OperatorVerdict, survey
from tensaw.compiler.frontends.tflite import load_tflite
from tensaw.compiler.operator_report import OperatorReport, operator_report
from tensaw.compiler.pipeline import compile_graph
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
    conv = program.layers[0].name
    assert [(item.type, item.runs_on, item.layer) for item in report] == [
        ("CONV_2D", "array", 0),
        ("ADD", f"second operand of {conv}", 0),
        ("DEPTHWISE_CONV_2D", "array, depthwise", 1),
        ("AVERAGE_POOL_2D", "array, pool", 2),
        ("RESHAPE", "no operation: the same bytes", None),
        ("SOFTMAX", "output stage, softmax", 3),
    ]
    assert (report[0].bound_by, report[0].cycles) == ("array", 9 * 64)
    assert all(item.runs_on == "NPU" for item in operator_report(verdicts))


def test_refused_operators_keep_their_reason() -> None:
    verdict = OperatorVerdict(3, "CUMSUM", "sum", False, "It is not offered.", "Leave it to the host.")
    assert operator_report([verdict]) == [
        OperatorReport(3, "CUMSUM", "sum", "refused", reason="It is not offered.", fix="Leave it to the host.")
    ]
