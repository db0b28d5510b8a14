"""Reads a ``.tflite`` file into plain Python objects, trusting nothing in it.

The generated accessors of the ``tflite`` package follow offsets without looking, so a damaged file may make them read
anywhere, fail with any exception, or promise vectors of four billion elements. Everything is therefore read once, here,
with every length checked against the file's size before it is used; what comes out is complete and needs no more care.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tflite

from tensaw.spec.errors import ModelError

__all__ = ["FileOperator", "FileTensor", "Quantisation", "TfliteFile", "read_tflite"]

IDENTIFIER = b"TFL3"
_MAXIMUM_TENSORS = 1 << 16
_MAXIMUM_RANK = 8


def _names(enumeration: type) -> dict[int, str]:
    return {value: name for name, value in vars(enumeration).items() if isinstance(value, int)}


_OPERATOR_NAMES = _names(tflite.BuiltinOperator)
_TYPE_NAMES = _names(tflite.TensorType)
_ACTIVATION_NAMES = _names(tflite.ActivationFunctionType)
_PADDING_NAMES = _names(tflite.Padding)

# Option fields that a handler may ask for: {operator: (table, accessors)}.
_OPTIONS: dict[str, tuple[type, tuple[str, ...]]] = {
    "CONV_2D": (
        tflite.Conv2DOptions,
        ("Padding", "StrideH", "StrideW", "DilationHFactor", "DilationWFactor", "FusedActivationFunction"),
    ),
    "DEPTHWISE_CONV_2D": (
        tflite.DepthwiseConv2DOptions,
        (
            "Padding",
            "StrideH",
            "StrideW",
            "DilationHFactor",
            "DilationWFactor",
            "DepthMultiplier",
            "FusedActivationFunction",
        ),
    ),
    "FULLY_CONNECTED": (tflite.FullyConnectedOptions, ("FusedActivationFunction", "KeepNumDims", "WeightsFormat")),
    "ADD": (tflite.AddOptions, ("FusedActivationFunction",)),
    "SUB": (tflite.SubOptions, ("FusedActivationFunction",)),
    "MUL": (tflite.MulOptions, ("FusedActivationFunction",)),
    "AVERAGE_POOL_2D": (
        tflite.Pool2DOptions,
        ("Padding", "StrideH", "StrideW", "FilterHeight", "FilterWidth", "FusedActivationFunction"),
    ),
    "MAX_POOL_2D": (
        tflite.Pool2DOptions,
        ("Padding", "StrideH", "StrideW", "FilterHeight", "FilterWidth", "FusedActivationFunction"),
    ),
    "MEAN": (tflite.ReducerOptions, ("KeepDims",)),
    "CONCATENATION": (tflite.ConcatenationOptions, ("Axis", "FusedActivationFunction")),
    "SOFTMAX": (tflite.SoftmaxOptions, ("Beta",)),
    "LEAKY_RELU": (tflite.LeakyReluOptions, ("Alpha",)),
}


@dataclass(frozen=True)
class Quantisation:
    """Affine quantisation: real = scale · (stored - zero_point), one pair or one for each slice along ``axis``."""

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int


@dataclass(frozen=True)
class FileTensor:
    """A tensor of the file. ``type`` is the schema's name (``INT8``); ``data`` is set for constants."""

    index: int
    name: str
    type: str
    shape: tuple[int, ...]
    dynamic: bool
    quantisation: Quantisation | None
    data: np.ndarray | None
    sparse: bool
    variable: bool


@dataclass(frozen=True)
class FileOperator:
    """An operator of the file. ``inputs`` holds -1 where an optional input is absent."""

    index: int
    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TfliteFile:
    """The main subgraph of a model."""

    tensors: list[FileTensor]
    operators: list[FileOperator]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


_TYPES: dict[str, Any] = {
    "INT8": np.int8,
    "UINT8": np.uint8,
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FLOAT32": "<f4",
    "FLOAT16": "<f2",
    "FLOAT64": "<f8",
    "BOOL": np.bool_,
}


def read_tflite(data: bytes, name: str) -> TfliteFile:
    """The main subgraph of the model in ``data``; ``name`` is used in messages.

    Raises ModelError if this is no ``.tflite`` file or is damaged.
    """
    if data[4:8] != IDENTIFIER:
        raise ModelError(
            f"{name} is not a .tflite model: bytes 4 to 7 must be {IDENTIFIER.decode()!r}. "
            "Give the file that the TFLite converter wrote."
        )
    try:
        return _Reader(data).read()
    except ModelError as error:
        raise ModelError(f"{name} is damaged: {error} Copy or convert the model again.") from None
    except (struct.error, IndexError, ValueError, TypeError, AttributeError, OverflowError, MemoryError) as error:
        raise ModelError(
            f"{name} is damaged: an offset in it points outside the file ({len(data)} bytes), so it is probably "
            "truncated. Copy or convert the model again."
        ) from error


class _Reader:
    """One reading of one file. Its ModelErrors are sentences that name the damaged part only."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.model = tflite.Model.GetRootAs(data, 0)

    def length(self, count: int, element_bytes: int, what: str, limit: int | None = None) -> int:
        """``count``, if that many elements can be in the file."""
        limit = len(self.data) // element_bytes if limit is None else min(limit, len(self.data) // element_bytes)
        if not 0 <= count <= limit:
            raise ModelError(f"it claims {count} {what}, where at most {limit} are possible.")
        return count

    def integers(self, table: Any, what: str, accessor: str, limit: int | None = None) -> tuple[int, ...]:
        """A vector of integers of a table."""
        count = self.length(getattr(table, f"{accessor}Length")(), 4, what, limit)
        get: Callable[[int], int] = getattr(table, accessor)
        return tuple(int(get(position)) for position in range(count))

    def read(self) -> TfliteFile:
        if self.length(self.model.SubgraphsLength(), 4, "subgraphs") == 0:
            raise ModelError("it holds no subgraph.")
        graph: Any = self.model.Subgraphs(0)
        kinds = [
            self.operator_kind(self.model.OperatorCodes(i))
            for i in range(self.length(self.model.OperatorCodesLength(), 4, "operator codes"))
        ]
        count = self.length(graph.TensorsLength(), 4, "tensors", _MAXIMUM_TENSORS)
        tensors = [self.tensor(index, graph.Tensors(index)) for index in range(count)]
        operators = []
        for index in range(self.length(graph.OperatorsLength(), 4, "operators", _MAXIMUM_TENSORS)):
            operators.append(self.operator(index, graph.Operators(index), kinds, count))
        inputs = self.integers(graph, "network inputs", "Inputs", count)
        outputs = self.integers(graph, "network outputs", "Outputs", count)
        for position in (*inputs, *outputs):
            if not 0 <= position < count:
                raise ModelError(f"a network input or output refers to tensor {position} of {count}.")
        return TfliteFile(tensors, operators, inputs, outputs)

    @staticmethod
    def operator_kind(code: Any) -> str:
        # Old files hold the code in a byte, newer ones in an int32; the larger is right.
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        if number == tflite.BuiltinOperator.CUSTOM:
            custom = code.CustomCode()
            return f"CUSTOM ({custom.decode('utf-8', 'replace')})" if custom else "CUSTOM"
        return _OPERATOR_NAMES.get(number, f"BUILTIN_{number}")

    def operator(self, index: int, table: Any, kinds: list[str], tensors: int) -> FileOperator:
        code = table.OpcodeIndex()
        if not 0 <= code < len(kinds):
            raise ModelError(f"operator {index} has the unknown operator code {code}.")
        inputs = self.integers(table, f"inputs of operator {index}", "Inputs")
        outputs = self.integers(table, f"outputs of operator {index}", "Outputs")
        for position in (*inputs, *outputs):
            if not -1 <= position < tensors:
                raise ModelError(f"operator {index} refers to tensor {position} of {tensors}.")
        options: dict[str, Any] = {}
        kind = kinds[code]
        if kind in _OPTIONS:
            reader, accessors = _OPTIONS[kind]
            union = table.BuiltinOptions()
            # A missing table means that all options have their defaults: read an empty one.
            source = (union.Bytes, union.Pos) if union is not None else (_EMPTY_TABLE, 4)
            view = reader()
            view.Init(*source)
            options = {accessor: self.option(accessor, getattr(view, accessor)(), index) for accessor in accessors}
        return FileOperator(index, kind, inputs, outputs, options)

    @staticmethod
    def option(accessor: str, value: Any, index: int) -> Any:
        tables = {"FusedActivationFunction": _ACTIVATION_NAMES, "Padding": _PADDING_NAMES}
        if accessor not in tables:
            return value
        if value not in tables[accessor]:
            raise ModelError(f"operator {index} has the unknown {accessor} {value}.")
        return tables[accessor][value]

    def tensor(self, index: int, table: Any) -> FileTensor:
        raw_name = table.Name()
        shape = self.integers(table, f"dimensions of tensor {index}", "Shape", _MAXIMUM_RANK)
        signature = self.integers(table, f"dimensions of tensor {index}", "ShapeSignature", _MAXIMUM_RANK)
        kind = _TYPE_NAMES.get(table.Type())
        if kind is None:
            raise ModelError(f"tensor {index} has the unknown type {table.Type()}.")
        # A batch that may vary is converted as a batch of 1; any other open dimension is left for the caller.
        dynamic = any(size < 0 for size in (*shape, *signature[1:]))
        return FileTensor(
            index=index,
            name=raw_name.decode("utf-8", "replace") if raw_name else f"tensor_{index}",
            type=kind,
            shape=shape,
            dynamic=dynamic,
            quantisation=self.quantisation(index, table.Quantization()),
            data=None if dynamic else self.buffer(index, table.Buffer(), kind, shape),
            sparse=table.Sparsity() is not None,
            variable=table.IsVariable(),
        )

    def quantisation(self, index: int, table: Any) -> Quantisation | None:
        if table is None:
            return None
        count = self.length(table.ScaleLength(), 4, f"scales of tensor {index}")
        if count == 0:
            return None
        scales = tuple(float(table.Scale(i)) for i in range(count))
        zero_points = self.integers(table, f"zero points of tensor {index}", "ZeroPoint", count) or (0,) * count
        if len(zero_points) != count:
            raise ModelError(f"tensor {index} has {count} scales and {len(zero_points)} zero points.")
        if not all(math.isfinite(scale) and scale > 0 for scale in scales):
            raise ModelError(f"tensor {index} has a scale that is not a positive number.")
        return Quantisation(scales, zero_points, table.QuantizedDimension())

    def buffer(self, index: int, number: int, kind: str, shape: tuple[int, ...]) -> np.ndarray | None:
        if not 0 <= number < self.length(self.model.BuffersLength(), 4, "buffers"):
            raise ModelError(f"tensor {index} refers to buffer {number} of {self.model.BuffersLength()}.")
        table: Any = self.model.Buffers(number)
        size = self.length(table.DataLength(), 1, f"bytes of buffer {number}")
        if table.Offset() > 1:
            # Models above 2 GiB keep their data behind the flatbuffer.
            size = self.length(table.Size(), 1, f"bytes of buffer {number}")
            raw = self.data[table.Offset() : table.Offset() + size]
        elif size:
            raw = table.DataAsNumpy().tobytes()
        else:
            return None
        if kind not in _TYPES:
            return None
        dtype = np.dtype(_TYPES[kind])
        if math.prod(shape) * dtype.itemsize != len(raw):
            raise ModelError(f"tensor {index} of shape {shape} has {len(raw)} bytes of {kind} data.")
        return np.frombuffer(raw, dtype).reshape(shape)


# A table without fields: its vtable offset (-4, so that the vtable follows), then a vtable of four bytes.
_EMPTY_TABLE = struct.pack("<IiHH", 0, -4, 4, 4)
