"""What people do wrong, as they see it: one paragraph on stderr, exit code 2, no traceback, no half-written file."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tensaw.networks import TfliteBuilder

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits"
TFLITE, ONNX = DIGITS / "digits_int8.tflite", DIGITS / "digits_int8_qdq.onnx"


def mistake(folder: Path, *arguments: str, **environment: str) -> str:
    """Run a command in a folder; returns what it says, as one line."""
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    result = subprocess.run(
        [sys.executable, "-m", "tensaw.cli.main", *arguments],
        cwd=folder, capture_output=True, text=True, env={**os.environ, **environment}, timeout=300,
    )  # fmt: skip
    assert result.returncode == 2, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    paragraph = result.stderr.rstrip("\n")
    assert paragraph.startswith("tensaw: ") and "\n\n" not in paragraph
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    return " ".join(paragraph.split())


def float_tflite() -> bytes:
    builder = TfliteBuilder("float")
    x = builder.input((1, 4), type="FLOAT32")
    builder.operator("RELU", (x.index,), (1, 4), 0.0, 0, "y", type="FLOAT32")
    return builder.finish()


def unsupported_tflite() -> bytes:
    builder = TfliteBuilder("unsupported")
    x = builder.input((1, 4, 4, 2), 0.1, 0, name="x")
    builder.operator("CEIL", (x.index,), (1, 4, 4, 2), 0.1, 0, "rounded")
    return builder.finish()


def dynamic_tflite() -> bytes:
    builder = TfliteBuilder("dynamic")
    builder.pointwise("RELU", builder.input((1, 4, 4, 2), 0.1, 0, name="x", signature=(1, -1, -1, 2)))
    return builder.finish()


def float_onnx() -> bytes:
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "float", ports[:1], ports[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString()


def unsupported_onnx() -> bytes:
    model = onnx.load(ONNX)
    node = next(node for node in model.graph.node if node.op_type == "MaxPool")
    node.op_type = "LpPool"
    return model.SerializeToString()


def dynamic_onnx() -> bytes:
    model = onnx.load(ONNX)
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    return model.SerializeToString()


MODELS: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "not a model": ("m.tflite", lambda: b"\x89PNG\r\n\x1a\n" + bytes(300), "m.tflite"),
    "text": ("m.onnx", lambda: b"layers: 3\n" * 50, "m.onnx"),
    "empty": ("m.tflite", lambda: b"", "m.tflite"),
    "truncated tflite": ("m.tflite", lambda: TFLITE.read_bytes()[:9000], "m.tflite"),
    "truncated onnx": ("m.onnx", lambda: ONNX.read_bytes()[:9000], "m.onnx"),
    "float tflite": ("m.tflite", float_tflite, "Quantise the network to int8"),
    "float onnx": ("m.onnx", float_onnx, "uantise"),
    "unsupported tflite": ("m.tflite", unsupported_tflite, "CEIL"),
    "unsupported onnx": ("m.onnx", unsupported_onnx, "LpPool"),
    "dynamic tflite": ("m.tflite", dynamic_tflite, "Input 'x' of m.tflite has a dynamic shape"),
    "dynamic onnx": ("m.onnx", dynamic_onnx, "dimension 2 of input 'image' is dynamic ('height')"),
}


@pytest.mark.parametrize("case", MODELS)
def test_models(case: str, tmp_path: Path) -> None:
    name, make, message = MODELS[case]
    (tmp_path / name).write_bytes(make())
    assert message in mistake(tmp_path, "compile", name, "-o", "m.tsw")
    assert message in mistake(tmp_path, "run", name, "--sim", "golden", "--output", "y.npz", "--json", "r.json")


def test_a_network_larger_than_the_address_space(tmp_path: Path) -> None:
    builder = TfliteBuilder("wide")
    x = builder.input((1, 2048), 0.1, 0, name="x")
    builder.fully_connected(x, np.ones((64, 2048)), name="y")
    (tmp_path / "m.tflite").write_bytes(builder.finish())
    said = mistake(tmp_path, "run", "m.tflite", "--sim", "golden", "--set", "address_width=16", "--output", "y.npz")
    assert "address_width 16 reaches 65536. Choose a configuration with a larger address_width." in said


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"picture": np.zeros((1, 8, 8, 1), np.int8)}, "The model has no input 'picture'; its inputs are 'image'."),
        ({"image": np.zeros((1, 9, 8, 1), np.int8)}, "must have the shape 1×8×8×1, not 1×9×8×1."),
        ({"image": np.zeros((1, 8, 8, 1), np.float64)}, "The input 'image' must be int8, not float64."),
    ],
    ids=["name", "shape", "type"],
)
def test_inputs(arrays: dict[str, np.ndarray], message: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", **arrays)  # type: ignore[arg-type]
    said = mistake(tmp_path, "run", str(TFLITE), "--sim", "golden", "--input", "x.npz", "--output", "y.npz")
    assert message in said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rows = 0\n", "rows must be between 2 and 64, not 0."),
        ("rows = 4.5\n", "rows must be a whole number between 2 and 64, not 4.5."),
        ("row = 4\n", "'row'"),
        ("rows = \n", "c.toml"),
        ("columns = 8\nrequant_lanes = 16\n", "requant_lanes must be at most columns (8), not 16."),
    ],
    ids=["range", "type", "unknown", "syntax", "relation"],
)
def test_configurations(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(text)
    assert message in mistake(tmp_path, "generate", "--config", "c.toml", "-o", "out")


def test_configuration_that_is_not_there(tmp_path: Path) -> None:
    assert "is neither a preset" in mistake(tmp_path, "generate", "--config", "bas", "-o", "out")


@pytest.mark.parametrize(
    ("backend", "message"),
    [
        ("verilator", "There is no C++ compiler (g++ or clang++) on PATH"),
        ("icarus", "Icarus Verilog (iverilog and vvp)"),
    ],
)
def test_missing_tools(backend: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    arguments = ["run", str(TFLITE), "--config", "nano", "--sim", backend, "--output", "y.npz"]
    said = mistake(tmp_path, *arguments, PATH=str(tmp_path / "bin"), CXX="")
    assert message in said and "nstall" in said


@pytest.mark.parametrize("place", ["file", "file/inside", "missing/folder", "/proc/tensaw"])
def test_output_folders(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "The output folder" in mistake(tmp_path, "generate", "--config", "nano", "-o", place)


@pytest.mark.parametrize("option", ["--output", "--json", "--report", "--trace"])
def test_output_files(option: str, tmp_path: Path) -> None:
    said = mistake(tmp_path, "run", str(TFLITE), "--sim", "verilator", option, "missing/file")
    assert "The output file 'missing/file' cannot be written: the folder 'missing' does not exist" in said


def test_a_reference_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(b"PK\x03\x04")
    arguments = ["check", str(TFLITE), "--sim", "golden", "--against"]
    assert "The arrays in 'x.npz' cannot be read" in mistake(tmp_path, *arguments, "x.npz")
    (tmp_path / "x.npz").write_text("some text")
    expected = "The arrays in 'x.npz' cannot be read: it is no archive of NumPy's. Give an .npz file, as numpy.savez"
    assert expected in mistake(tmp_path, *arguments, "x.npz")
    assert "There is no file 'y.npz' to check against." in mistake(tmp_path, *arguments, "y.npz")
