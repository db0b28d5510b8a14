"""Runs a whole :class:`~tensaw.compiler.ir.Graph` with the golden operators."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from tensaw.compiler import ir
from tensaw.model import conv, elementwise, layout, pool, softmax
from tensaw.spec.errors import InputError

__all__ = ["run_graph", "run_operator"]

Int8Array = npt.NDArray[np.int8]

# Every function takes the operator, its inputs and the shape of its output.
_OPERATORS: dict[type, Callable[..., Int8Array]] = {
    ir.Conv2d: lambda op, x, shape: conv.conv2d(x[0], op),
    ir.DepthwiseConv2d: lambda op, x, shape: conv.depthwise_conv2d(x[0], op),
    ir.FullyConnected: lambda op, x, shape: conv.fully_connected(x[0], op),
    ir.Elementwise: lambda op, x, shape: elementwise.elementwise(x[0], x[1], op),
    ir.Pool2d: lambda op, x, shape: pool.pool2d(x[0], op),
    ir.Mean: lambda op, x, shape: pool.mean(x[0], op).reshape(shape),
    ir.Reshape: lambda op, x, shape: layout.reshape(x[0], shape),
    ir.Pad: lambda op, x, shape: layout.pad(x[0], op),
    ir.Concat: lambda op, x, shape: layout.concat(x, op),
    ir.Softmax: lambda op, x, shape: softmax.softmax(x[0], op),
    ir.Lookup: lambda op, x, shape: elementwise.lookup(x[0], op),
}


def run_operator(op: ir.Op, inputs: Sequence[Int8Array], shape: tuple[int, ...]) -> Int8Array:
    """One operator on int8 arrays; ``shape`` is that of its output."""
    return _OPERATORS[type(op)](op, inputs, shape)


def run_graph(graph: ir.Graph, inputs: Mapping[str, np.ndarray], keep: bool = False) -> dict[str, Int8Array]:
    """Golden result of a network.

    ``inputs``: an int8 array for each input port, by the name of its IR tensor and in the IR tensor's shape. Returns
    the output ports' tensors by IR name; with ``keep`` every tensor that an operator wrote, too. Raises InputError if
    an input is missing or does not fit.
    """
    values: dict[str, Int8Array] = {t.name: t.data for t in graph.tensors.values() if t.data is not None}
    for port in graph.inputs:
        tensor = graph.tensors[port.tensor]
        if port.tensor not in inputs:
            raise InputError(
                f"Input {port.tensor!r} of {graph.name!r} is missing; the network needs "
                f"{', '.join(repr(p.tensor) for p in graph.inputs)}."
            )
        array = np.asarray(inputs[port.tensor])
        if array.dtype != np.int8 or array.shape != tensor.shape:
            raise InputError(
                f"Input {port.tensor!r} of {graph.name!r} is {array.dtype} {array.shape}; it must be int8 "
                f"{tensor.shape}."
            )
        values[port.tensor] = array
    written: dict[str, Int8Array] = {}
    for op in graph.ops:
        shape = graph.tensors[op.output].shape
        written[op.output] = values[op.output] = run_operator(op, [values[name] for name in op.inputs], shape)
    outputs = {port.tensor: values[port.tensor] for port in graph.outputs}
    return written | outputs if keep else outputs
