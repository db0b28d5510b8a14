"""Serialises tensors and operators as a ``.tflite`` flatbuffer. :mod:`tensaw.networks.tflite_builder` is the front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
import tflite

__all__ = ["WriterOperator", "WriterTensor", "serialise"]

_SCHEMA_VERSION = 3

_NUMBERS = {
    "INT8": tflite.TensorType.INT8,
    "UINT8": tflite.TensorType.UINT8,
    "INT16": tflite.TensorType.INT16,
    "INT32": tflite.TensorType.INT32,
    "INT64": tflite.TensorType.INT64,
    "FLOAT32": tflite.TensorType.FLOAT32,
}

# Option table of each operator that has one, and the operator version that knows int8.
_OPTION_TABLES = {
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "ADD": "AddOptions",
    "SUB": "SubOptions",
    "MUL": "MulOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "MEAN": "ReducerOptions",
    "CONCATENATION": "ConcatenationOptions",
    "SOFTMAX": "SoftmaxOptions",
    "LEAKY_RELU": "LeakyReluOptions",
    "SQUEEZE": "SqueezeOptions",
}
_VERSIONS = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 4, "SQUEEZE": 1}


@dataclass
class WriterTensor:
    """A tensor to write. ``scales`` empty: not quantised; ``axis``: dimension of per-channel scales."""

    name: str
    type: str
    shape: tuple[int, ...]
    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()
    axis: int = 0
    data: np.ndarray | None = None
    signature: tuple[int, ...] | None = None


@dataclass
class WriterOperator:
    """An operator to write; ``inputs`` may hold -1 for an absent optional input. ``options`` by schema name."""

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any] = field(default_factory=dict)


def serialise(
    name: str,
    tensors: Sequence[WriterTensor],
    operators: Sequence[WriterOperator],
    inputs: Sequence[int],
    outputs: Sequence[int],
) -> bytes:
    """The model file. The same arguments give the same bytes."""
    writer = _Writer()
    # Buffer 0 is empty by convention: tensors without data refer to it.
    buffers = [writer.buffer(None)]
    tensor_offsets = []
    for tensor in tensors:
        number = 0
        if tensor.data is not None:
            number = len(buffers)
            buffers.append(writer.buffer(tensor.data))
        tensor_offsets.append(writer.tensor(tensor, number))
    kinds = list(dict.fromkeys(op.kind for op in operators))
    codes = [writer.operator_code(kind) for kind in kinds]
    operator_offsets = [writer.operator(op, kinds.index(op.kind)) for op in operators]
    return writer.model(name, buffers, tensor_offsets, codes, operator_offsets, inputs, outputs)


class _Writer:
    def __init__(self) -> None:
        self.fb = flatbuffers.Builder(1024)

    def integers(self, values: Sequence[int], dtype: type = np.int32) -> int:
        return self.fb.CreateNumpyVector(np.array(values, dtype))

    def offsets(self, values: Sequence[int]) -> int:
        self.fb.StartVector(4, len(values), 4)
        for value in reversed(values):
            self.fb.PrependUOffsetTRelative(value)
        return self.fb.EndVector()

    def buffer(self, data: np.ndarray | None) -> int:
        vector = None
        if data is not None:
            raw = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
            self.fb.StartVector(1, len(raw), 16)
            self.fb.head -= len(raw)
            self.fb.Bytes[self.fb.head : self.fb.head + len(raw)] = raw.tobytes()
            vector = self.fb.EndVector()
        tflite.BufferStart(self.fb)
        if vector is not None:
            tflite.BufferAddData(self.fb, vector)
        return tflite.BufferEnd(self.fb)

    def tensor(self, tensor: WriterTensor, buffer: int) -> int:
        name = self.fb.CreateString(tensor.name)
        shape = self.integers(tensor.shape)
        signature = None if tensor.signature is None else self.integers(tensor.signature)
        quantisation = None
        if tensor.scales:
            scales = self.fb.CreateNumpyVector(np.array(tensor.scales, np.float32))
            zero_points = self.integers(tensor.zero_points, np.int64)
            tflite.QuantizationParametersStart(self.fb)
            tflite.QuantizationParametersAddScale(self.fb, scales)
            tflite.QuantizationParametersAddZeroPoint(self.fb, zero_points)
            tflite.QuantizationParametersAddQuantizedDimension(self.fb, tensor.axis)
            quantisation = tflite.QuantizationParametersEnd(self.fb)
        tflite.TensorStart(self.fb)
        tflite.TensorAddShape(self.fb, shape)
        tflite.TensorAddType(self.fb, _NUMBERS[tensor.type])
        tflite.TensorAddBuffer(self.fb, buffer)
        tflite.TensorAddName(self.fb, name)
        if quantisation is not None:
            tflite.TensorAddQuantization(self.fb, quantisation)
        if signature is not None:
            tflite.TensorAddShapeSignature(self.fb, signature)
        return tflite.TensorEnd(self.fb)

    def operator_code(self, kind: str) -> int:
        number = getattr(tflite.BuiltinOperator, kind)
        tflite.OperatorCodeStart(self.fb)
        tflite.OperatorCodeAddDeprecatedBuiltinCode(self.fb, min(number, 127))
        tflite.OperatorCodeAddBuiltinCode(self.fb, number)
        tflite.OperatorCodeAddVersion(self.fb, _VERSIONS.get(kind, 2 if kind in _OPTION_TABLES else 1))
        return tflite.OperatorCodeEnd(self.fb)

    def operator(self, op: WriterOperator, code: int) -> int:
        inputs, outputs = self.integers(op.inputs), self.integers(op.outputs)
        table, options = _OPTION_TABLES.get(op.kind), None
        if table is not None:
            values = {
                key: self.integers(value) if isinstance(value, tuple) else value for key, value in op.options.items()
            }
            getattr(tflite, f"{table}Start")(self.fb)
            for key, value in values.items():
                getattr(tflite, f"{table}Add{key}")(self.fb, value)
            options = getattr(tflite, f"{table}End")(self.fb)
        tflite.OperatorStart(self.fb)
        tflite.OperatorAddOpcodeIndex(self.fb, code)
        tflite.OperatorAddInputs(self.fb, inputs)
        tflite.OperatorAddOutputs(self.fb, outputs)
        if options is not None:
            tflite.OperatorAddBuiltinOptionsType(self.fb, getattr(tflite.BuiltinOptions, str(table)))
            tflite.OperatorAddBuiltinOptions(self.fb, options)
        return tflite.OperatorEnd(self.fb)

    def model(
        self,
        name: str,
        buffers: Sequence[int],
        tensors: Sequence[int],
        codes: Sequence[int],
        operators: Sequence[int],
        inputs: Sequence[int],
        outputs: Sequence[int],
    ) -> bytes:
        fb = self.fb
        tensor_vector, operator_vector = self.offsets(tensors), self.offsets(operators)
        input_vector, output_vector = self.integers(inputs), self.integers(outputs)
        graph_name = fb.CreateString("main")
        tflite.SubGraphStart(fb)
        tflite.SubGraphAddTensors(fb, tensor_vector)
        tflite.SubGraphAddInputs(fb, input_vector)
        tflite.SubGraphAddOutputs(fb, output_vector)
        tflite.SubGraphAddOperators(fb, operator_vector)
        tflite.SubGraphAddName(fb, graph_name)
        graph = tflite.SubGraphEnd(fb)
        description = fb.CreateString(name)
        buffer_vector, code_vector, graph_vector = self.offsets(buffers), self.offsets(codes), self.offsets([graph])
        tflite.ModelStart(fb)
        tflite.ModelAddVersion(fb, _SCHEMA_VERSION)
        tflite.ModelAddOperatorCodes(fb, code_vector)
        tflite.ModelAddSubgraphs(fb, graph_vector)
        tflite.ModelAddDescription(fb, description)
        tflite.ModelAddBuffers(fb, buffer_vector)
        fb.Finish(tflite.ModelEnd(fb), file_identifier=b"TFL3")
        return bytes(fb.Output())
