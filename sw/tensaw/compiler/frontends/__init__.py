"""Front ends: from a model file to a :class:`~tensaw.compiler.ir.Graph`, chosen by the file's content."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tensaw.compiler.frontends.verdict import OperatorVerdict
from tensaw.compiler.ir import Graph
from tensaw.spec.errors import ModelError

__all__ = ["OperatorVerdict", "load", "survey"]


def load(path: str | Path) -> Graph:
    """The network in a ``.tflite`` or ``.onnx`` file.

    Raises ModelError if it cannot be read, UnsupportedError if it uses something that cannot be compiled.
    """
    data, name, kind = _read(Path(path))
    loader: Callable[[bytes, str], Graph]
    if kind == "tflite":
        from tensaw.compiler.frontends.tflite import load_tflite as loader
    else:
        from tensaw.compiler.frontends.onnx import load_onnx as loader
    return loader(data, name)


def survey(path: str | Path) -> list[OperatorVerdict]:
    """The verdict on every operator of a network, those that cannot be compiled included."""
    data, name, kind = _read(Path(path))
    surveyor: Callable[[bytes, str], list[OperatorVerdict]]
    if kind == "tflite":
        from tensaw.compiler.frontends.tflite import survey_tflite as surveyor
    else:
        from tensaw.compiler.frontends.onnx import survey_onnx as surveyor
    return surveyor(data, name)


def _read(path: Path) -> tuple[bytes, str, str]:
    """(content, file name, "tflite" or "onnx")."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"The model {str(path)!r} cannot be read: {error.strerror or error}. Give the path of a "
            ".tflite or .onnx file."
        ) from None
    # A flatbuffer carries its identifier; ONNX's protobuf starts with field 1, the IR version, and has none.
    if data[4:8] == b"TFL3" or path.suffix == ".tflite":
        return data, path.name, "tflite"
    if path.suffix == ".onnx" or data[:1] == b"\x08":
        return data, path.name, "onnx"
    raise ModelError(
        f"{path.name} is no model file that tensaw knows: it holds neither TensorFlow Lite's identifier TFL3 nor an "
        "ONNX header. Give a .tflite or .onnx file."
    )
