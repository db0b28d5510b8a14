"""``.tflite`` operators that become a table or a conversion at the network's boundary."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tensaw.compiler import ir, tables
from tensaw.compiler.frontends.tflite_file import FileOperator
from tensaw.compiler.frontends.tflite_import import QUANTISE_FIX, Importer, handles

__all__: list[str] = []

Scales = tuple[float, int, float, int]


def _lookup(importer: Importer, op: FileOperator, make: Callable[..., tables.Table]) -> None:
    x = importer.int8(op, importer.operand(op, 0))
    output = importer.int8(op, importer.result(op))
    importer.require_shape(op, output, x.shape)
    table = make(x.scale, x.zero_point, output.scale, output.zero_point)
    importer.append(ir.Lookup(output.name, op.kind, (x.name,), output.name, table))


@handles("RELU", "RELU6", "RELU_N1_TO_1")
def relu(importer: Importer, op: FileOperator) -> None:
    """As a table (as a fused activation it costs nothing)."""
    _lookup(importer, op, lambda *scales: tables.relu_table(op.kind, *scales))


@handles("LEAKY_RELU")
def leaky_relu(importer: Importer, op: FileOperator) -> None:
    """As a table; any slope from -65536 to 65536."""
    alpha = op.options["Alpha"]
    if not abs(alpha) <= 1 << 16:
        importer.refuse(op, f"its slope is {alpha:g}.", "Use a slope from -65536 to 65536.")
    _lookup(importer, op, lambda *scales: tables.leaky_relu_table(alpha, *scales))


@handles("HARD_SWISH")
def hard_swish(importer: Importer, op: FileOperator) -> None:
    """As a table."""
    try:
        _lookup(importer, op, tables.hard_swish_table)
    except ValueError:
        importer.refuse(
            op,
            "its input scale is more than 128 times its output scale, which LiteRT refuses.",
            "Quantise again with data that represent the real inputs.",
        )


@handles("LOGISTIC")
def logistic(importer: Importer, op: FileOperator) -> None:
    """As a table; the output has scale 1/256."""
    output = importer.int8(op, importer.result(op))
    if output.scale != 1 / 256:
        importer.refuse(
            op,
            f"its output has scale {output.scale:g}, not 1/256.",
            "Convert the model with the TFLite converter, which gives the logistic function that scale.",
        )
    _lookup(importer, op, tables.logistic_table)


@handles("TANH")
def tanh(importer: Importer, op: FileOperator) -> None:
    """As a table."""
    _lookup(importer, op, tables.tanh_table)


@handles("QUANTIZE")
def quantize(importer: Importer, op: FileOperator) -> None:
    """int8 to int8 as a table; from a float32 or uint8 network input, or to a uint8 network output, on the host."""
    source, target = importer.operand(op, 0), importer.result(op)
    if source.type == "FLOAT32" and source.index in importer.file.inputs:
        x = importer.int8(op, target)
        _bind_input(importer, op, source.index, x, "float32")
        return
    from_host = source.type == "UINT8" and source.index in importer.file.inputs
    to_host = target.type == "UINT8" and target.index in importer.file.outputs
    if not from_host and not to_host:
        _lookup(importer, op, tables.requantise_table)
        return
    x = importer.as_int8(op, source, 128) if from_host else importer.int8(op, source)
    output = importer.as_int8(op, target, 128) if to_host else importer.int8(op, target)
    importer.require_shape(op, output, x.shape)
    table = tables.requantise_table(x.scale, x.zero_point, output.scale, output.zero_point)
    if from_host and np.array_equal(table, tables.IDENTITY):
        # The host's conversion to int8 is the whole operator.
        del importer.graph.tensors[x.name]
        x = output
    else:
        importer.append(ir.Lookup(output.name, op.kind, (x.name,), output.name, table))
    if from_host:
        _bind_input(importer, op, source.index, x, "uint8")
    if to_host:
        importer.output_ports[target.index] = ir.Port(output.name, target.name, target.shape, "uint8")


@handles("DEQUANTIZE")
def dequantize(importer: Importer, op: FileOperator) -> None:
    """From int8 to a float32 network output, on the host."""
    target = importer.result(op)
    x = importer.int8(op, importer.operand(op, 0))
    if target.type != "FLOAT32" or target.index not in importer.file.outputs:
        importer.refuse(op, f"its result {target.name!r} is used inside the network as {target.type}.", QUANTISE_FIX)
    importer.output_ports[target.index] = ir.Port(x.name, target.name, target.shape, "float32")


def _bind_input(importer: Importer, op: FileOperator, index: int, tensor: ir.Tensor, dtype: str) -> None:
    """Let the network input ``index`` be converted by the host into ``tensor``."""
    source = importer.file.tensors[index]
    if index in importer.input_ports:
        importer.refuse(
            op, f"the {dtype} network input {source.name!r} is quantised more than once.", "Quantise it once."
        )
    importer.require_shape(op, tensor, source.shape)
    importer.input_ports[index] = ir.Port(tensor.name, source.name, source.shape, dtype)
