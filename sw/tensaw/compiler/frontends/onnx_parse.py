"""Bytes of an ``.onnx`` file to a plain :class:`Model`: nodes, constants, typed and shaped inputs and outputs.

Nothing here knows what an operator means. Every check that concerns the file as a whole (is it a model at all, is it
complete, are its shapes fixed, is it quantised) is made here, so that the operators may rely on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, numpy_helper

from tensaw.spec.errors import ModelError, UnsupportedError

__all__ = ["MICROSOFT", "OPSETS", "Attribute", "Declared", "Model", "Node", "parse"]

MICROSOFT = "com.microsoft"
"""Domain of ONNX Runtime's own operators."""

OPSETS = range(10, 29)
"""Versions of the ``ai.onnx`` operator set whose operators are understood (10 brought quantisation)."""

Attribute = int | float | str | tuple[int, ...] | tuple[float, ...] | npt.NDArray | None
Array = npt.NDArray

_PORT_TYPES: dict[int, str] = {TensorProto.FLOAT: "float32", TensorProto.INT8: "int8", TensorProto.UINT8: "uint8"}
_QUANTISE_HINT = (
    "quantise it to int8 first, for example with onnxruntime.quantization.quantize_static(..., "
    "quant_format=QuantFormat.QDQ, weight_type=QuantType.QInt8)"
)


@dataclass(frozen=True)
class Node:
    """One operator of the file, its ``index`` in it. Absent inputs and the default domain are empty strings."""

    index: int
    name: str
    op_type: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Attribute]

    def __str__(self) -> str:
        output = f"output {self.outputs[0]!r}" if self.outputs else "no output"
        return f"node {self.name!r} ({self.op_type}, {output})" if self.name else f"the {self.op_type} node ({output})"


@dataclass(frozen=True)
class Declared:
    """A network input or output: the file's name, shape and element type (``float32``, ``int8`` or ``uint8``)."""

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Model:
    """A whole network; ``nodes`` in file order, only those that an output needs. ``opset``: of ``ai.onnx``."""

    name: str
    opset: int
    nodes: tuple[Node, ...]
    constants: dict[str, Array]
    inputs: tuple[Declared, ...]
    outputs: tuple[Declared, ...]


def parse(data: bytes, name: str) -> Model:
    """Read ``data``; ``name`` is the file's, for messages.

    Raises :class:`ModelError` for what is not a complete, consistent model and :class:`UnsupportedError` for a float
    model, a dynamic shape, a batch other than 1, an operator set that is too old or too new.
    """
    proto = _decode(data, name)
    opset = _opset(proto, name)
    nodes = tuple(_node(index, node, name) for index, node in enumerate(proto.graph.node))
    constants = {_text(t.name): _array(t, f"{name}: initializer {_text(t.name)!r}") for t in proto.graph.initializer}
    needed = _needed(nodes, [_text(output.name) for output in proto.graph.output])
    inputs = tuple(_declared(v, "input", name) for v in proto.graph.input if _text(v.name) not in constants)
    _check_quantised(needed, inputs, name)
    outputs = tuple(_declared(v, "output", name) for v in proto.graph.output)
    if not inputs or not outputs:
        raise ModelError(
            f"{name}: the graph has {len(inputs)} inputs and {len(outputs)} outputs, and a network needs at least one "
            f"of "
            "each; export it again with its inputs and outputs declared."
        )
    return Model(name, opset, needed, constants, inputs, outputs)


def _decode(data: bytes, name: str) -> onnx.ModelProto:
    """Protobuf bytes to a message that the ONNX checker has accepted."""
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(data)
    except DecodeError as error:
        raise _damaged(name, "it is not a complete protobuf message") from error
    if not proto.HasField("graph") or not proto.graph.node or not proto.opset_import:
        raise _damaged(name, "it holds no graph of operators")
    for tensor in proto.graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL:
            raise ModelError(
                f"{name}: initializer {_text(tensor.name)!r} is stored in a file beside the model, and only models "
                "that hold all their data are read; save it as one file with onnx.save(onnx.load(path), new_path)."
            )
    if proto.graph.sparse_initializer:
        raise UnsupportedError(
            f"{name}: the graph holds sparse initializers, and weights must be dense; convert them to ordinary ones "
            f"before "
            "exporting."
        )
    try:
        onnx.checker.check_model(proto)
    except (onnx.checker.ValidationError, RuntimeError, ValueError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise _damaged(name, f"the ONNX checker says: {reason}") from error
    return proto


def _damaged(name: str, what: str) -> ModelError:
    return ModelError(
        f"{name} is not a readable ONNX model: {what}; check that the file is an .onnx file and was copied whole, and "
        f"export "
        "it again if it was."
    )


def _opset(proto: onnx.ModelProto, name: str) -> int:
    versions = [entry.version for entry in proto.opset_import if _text(entry.domain) in ("", "ai.onnx")]
    if not versions:
        raise UnsupportedError(
            f"{name}: the model imports no version of the ai.onnx operator set, and networks must be made of its "
            f"operators; "
            "export it with the standard operators."
        )
    if versions[0] not in OPSETS:
        raise UnsupportedError(
            f"{name}: the model uses version {versions[0]} of the ai.onnx operator set, and versions {OPSETS[0]} to "
            f"{OPSETS[-1]} are understood; convert it with onnx.version_converter.convert_version(model, 17)."
        )
    return versions[0]


def _text(value: str | bytes) -> str:
    """A name; protobuf hands out bytes where a damaged file holds no UTF-8."""
    return value if isinstance(value, str) else value.decode("utf-8", "replace")


def _node(index: int, proto: onnx.NodeProto, file: str) -> Node:
    name, kind, domain = _text(proto.name), _text(proto.op_type), _text(proto.domain)
    what = f"{file}: an attribute of the {kind} node {name!r}"
    attributes = {_text(entry.name): _attribute(entry, what) for entry in proto.attribute}
    inputs, outputs = tuple(map(_text, proto.input)), tuple(map(_text, proto.output))
    return Node(index, name, kind, "" if domain == "ai.onnx" else domain, inputs, outputs, attributes)


def _attribute(entry: onnx.AttributeProto, what: str) -> Attribute:
    """Value of an attribute; ``None`` for kinds that no supported operator has (graphs, lists of tensors)."""
    match entry.type:
        case onnx.AttributeProto.INT:
            return int(entry.i)
        case onnx.AttributeProto.FLOAT:
            return float(entry.f)
        case onnx.AttributeProto.STRING:
            return entry.s.decode("utf-8", "replace")
        case onnx.AttributeProto.INTS:
            return tuple(int(i) for i in entry.ints)
        case onnx.AttributeProto.FLOATS:
            return tuple(float(f) for f in entry.floats)
        case onnx.AttributeProto.TENSOR:
            return _array(entry.t, what)
    return None


def _array(tensor: onnx.TensorProto, what: str) -> Array:
    try:
        return np.ascontiguousarray(numpy_helper.to_array(tensor)).reshape(tuple(tensor.dims))
    except (ValueError, TypeError, KeyError, OverflowError, MemoryError, OSError, RuntimeError) as error:
        raise ModelError(
            f"{what} cannot be read: its data do not fill its shape {list(tensor.dims)} or its element type is "
            f"unknown; the "
            "file is damaged or incomplete, export it again."
        ) from error


def _needed(nodes: Sequence[Node], outputs: Sequence[str]) -> tuple[Node, ...]:
    """The nodes from which an output can be reached backwards, in file order."""
    wanted = set(outputs)
    kept: list[Node] = []
    for node in reversed(nodes):
        if wanted.intersection(filter(None, node.outputs)):
            kept.append(node)
            wanted.update(node.inputs)
    return tuple(reversed(kept))


def _check_quantised(nodes: Sequence[Node], inputs: Sequence[Declared], name: str) -> None:
    kinds = {node.op_type for node in nodes}
    dynamic = kinds & {"DynamicQuantizeLinear", "ConvInteger", "MatMulInteger", "DynamicQuantizeMatMul"}
    if dynamic:
        raise UnsupportedError(
            f"{name}: the network is quantised dynamically ({', '.join(sorted(dynamic))}), so its scales are only "
            f"known while "
            f"it runs, and every scale must be in the file; {_QUANTISE_HINT}."
        )
    quantised = any(kind in ("QuantizeLinear", "QGemm") or kind.startswith("QLinear") for kind in kinds)
    if not quantised and any(port.dtype == "float32" for port in inputs):
        raise UnsupportedError(
            f"{name} is a float model: none of its {len(nodes)} operators is quantised, and the NPU computes with "
            f"int8 only; "
            f"{_QUANTISE_HINT}."
        )


def _declared(value: onnx.ValueInfoProto, role: str, name: str) -> Declared:
    """A network input or output, checked: element type, fixed shape, batch 1 (a matrix may have any number of rows)."""
    tensor, label = value.type.tensor_type, _text(value.name)
    if not value.type.HasField("tensor_type") or tensor.elem_type not in _PORT_TYPES:
        kind = "not a tensor"
        if value.type.HasField("tensor_type") and tensor.elem_type in TensorProto.DataType.values():
            kind = TensorProto.DataType.Name(tensor.elem_type).lower()
        raise UnsupportedError(
            f"{name}: {role} {label!r} is {kind}, and network inputs and outputs must be float32, int8 or uint8 "
            f"tensors; "
            "cast it outside the network."
        )
    if role == "output":
        # An output's shape follows from the operators, whatever the file declares.
        return Declared(label, (), _PORT_TYPES[tensor.elem_type])
    shape: list[int] = []
    for axis, dim in enumerate(tensor.shape.dim):
        if not dim.HasField("dim_value"):
            symbol = _text(dim.dim_param) or "unknown"
            raise UnsupportedError(
                f"{name}: dimension {axis} of {role} {label!r} is dynamic ({symbol!r}), and every size must be "
                f"known "
                "when the network is compiled; fix it, for example with python -m "
                f"onnxruntime.tools.make_dynamic_shape_fixed --dim_param {symbol} --dim_value 1 MODEL FIXED_MODEL."
            )
        shape.append(dim.dim_value)
    if not shape or min(shape) < 1:
        raise ModelError(
            f"{name}: {role} {label!r} has the shape {shape}, and every dimension must be at least 1; export the "
            f"model "
            "with a complete input shape."
        )
    if len(shape) > 2 and shape[0] != 1:
        raise UnsupportedError(
            f"{name}: {role} {label!r} has the shape {shape}, a batch of {shape[0]}, and networks are run one "
            f"sample at "
            "a time; export the model with a batch of 1."
        )
    return Declared(label, tuple(shape), _PORT_TYPES[tensor.elem_type])
