"""Which channels of which tensors hold the same value at every position, whatever the input is.

A channel whose filter is zero everywhere is ``requantise(bias)``; what is computed from such channels alone is constant
again, as far as no window reaches into padding that holds another value.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tensaw.compiler.ir import (
    Concat,
    Conv2d,
    DepthwiseConv2d,
    Elementwise,
    ElementwiseKind,
    FullyConnected,
    Graph,
    Lookup,
    Mean,
    Op,
    Pad,
    Pool2d,
    Requantise,
    Reshape,
)
from tensaw.model.elementwise import elementwise, table_lookup
from tensaw.model.requantise import clamp_int8, requantise, wrap32

__all__ = ["VARIES", "Constants", "channel_constants", "foldable"]

VARIES = 999
"""Stands for a channel that is not constant; no int8 value."""

Constants = npt.NDArray[np.int16]
"""For each channel (last axis) of a tensor its value, or VARIES."""


def channel_constants(graph: Graph) -> dict[str, Constants]:
    """The constants of every tensor of the graph, by its name."""
    found: dict[str, Constants] = {}
    for tensor in graph.tensors.values():
        channels = tensor.shape[-1] if tensor.shape else 1
        values = np.full(channels, VARIES, np.int16)
        if tensor.data is not None:
            rows = tensor.data.reshape(-1, channels)
            values = np.where((rows == rows[0]).all(0), rows[0], values).astype(np.int16)
        found[tensor.name] = values
    for op in graph.ops:
        shapes = [graph.tensors[name].shape for name in (*op.inputs, op.output)]
        found[op.output] = _result(op, [found[name] for name in op.inputs], shapes)
    return found


def foldable(op: Op, inputs: Constants) -> npt.NDArray[np.bool_]:
    """Which input channels of an operator with weights add the same to all its sums: constants that no padding
    replaces by another value."""
    assert isinstance(op, Conv2d | DepthwiseConv2d | FullyConnected)
    padded = not isinstance(op, FullyConnected) and any(op.padding)
    return (inputs != VARIES) & ((inputs == op.input_zero_point) | (not padded))


def _result(op: Op, inputs: list[Constants], shapes: list[tuple[int, ...]]) -> Constants:
    """The constants of an operator's output. ``shapes``: of the inputs, then of the output."""
    varies = np.full(shapes[-1][-1] if shapes[-1] else 1, VARIES, np.int16)
    if isinstance(op, Conv2d | FullyConnected):
        return _product(op, inputs[0])
    if isinstance(op, DepthwiseConv2d):
        channels = np.repeat(inputs[0], op.multiplier)
        fine = foldable(op, channels) | ~op.weights.any(axis=(0, 1))
        sums = op.bias + _differences(channels, op.input_zero_point) * op.weights.astype(np.int64).sum(axis=(0, 1))
        return np.where(fine, _requantised(sums, op.requantise), varies)
    if isinstance(op, Lookup):
        return _where_known(inputs[0], table_lookup(_safe(inputs[0]), op.table))
    if isinstance(op, Elementwise):
        known = (inputs[0] != VARIES) & (inputs[1] != VARIES)
        first, second = _safe(inputs[0]), _safe(inputs[1])
        if op.operation is ElementwiseKind.MUL:
            # Nothing times whatever: the value taken for what varies does not matter.
            known = known | (inputs[0] == op.zero_points[0]) | (inputs[1] == op.zero_points[1])
        values = np.broadcast_to(elementwise(first, second, op), varies.shape)
        return np.where(np.broadcast_to(known, varies.shape), values, varies)
    if isinstance(op, Pool2d):
        # A window touches the image, and the average of equal values is that value.
        return _where_known(inputs[0], clamp_int8(_safe(inputs[0]), op.low, op.high))
    if isinstance(op, Mean):
        sums = op.bias + shapes[0][1] * shapes[0][2] * _safe(inputs[0]).astype(np.int64)
        return _where_known(inputs[0], _requantised(sums, op.requantise))
    if isinstance(op, Reshape):
        if varies.size % inputs[0].size == 0:
            return np.tile(inputs[0], varies.size // inputs[0].size)
        if inputs[0].size % varies.size == 0:
            parts = inputs[0].reshape(-1, varies.size)
            return np.where((parts == parts[0]).all(0), parts[0], varies)
        return varies
    if isinstance(op, Pad):
        if op.padding[-1] != (0, 0):
            return varies
        inside = not any(map(any, op.padding))
        return np.where((inputs[0] == op.value) | inside, inputs[0], varies)
    if isinstance(op, Concat):
        tabled = [
            _where_known(values, table_lookup(_safe(values), table))
            for values, table in zip(inputs, op.tables, strict=True)
        ]
        if op.axis == len(shapes[-1]) - 1:
            return np.concatenate(tabled)
        return np.where(np.all([values == tabled[0] for values in tabled], axis=0), tabled[0], varies)
    return varies


def _product(op: Conv2d | FullyConnected, inputs: Constants) -> Constants:
    """Of a convolution or matrix product."""
    groups = op.groups if isinstance(op, Conv2d) else 1
    weights = op.weights.reshape(op.weights.shape[0], -1, op.weights.shape[-1])
    fine = foldable(op, inputs)
    added = np.where(fine, _differences(inputs, op.input_zero_point), 0)
    outputs, depth = weights.shape[0] // groups, weights.shape[-1]
    constant = np.empty(weights.shape[0], bool)
    sums = op.bias.astype(np.int64)
    for group in range(groups):
        own, channels = slice(group * outputs, (group + 1) * outputs), slice(group * depth, (group + 1) * depth)
        known = fine[channels]
        constant[own] = ~weights[own][:, :, ~known].any(axis=(1, 2))
        sums[own] += weights[own][:, :, known].sum(1, dtype=np.int64) @ added[channels][known]
    return np.where(constant, _requantised(sums, op.requantise), np.int16(VARIES)).astype(np.int16)


def _requantised(sums: npt.NDArray[np.int64], parameters: Requantise) -> npt.NDArray[np.int16]:
    return requantise(wrap32(sums), parameters).astype(np.int16)


def _differences(values: Constants, zero_point: int) -> npt.NDArray[np.int64]:
    """Constants without the zero point; 0 for what varies."""
    return np.where(values == VARIES, 0, values.astype(np.int64) - zero_point)


def _safe(values: Constants) -> npt.NDArray[np.int8]:
    """int8, 0 for what varies."""
    return np.where(values == VARIES, 0, values).astype(np.int8)


def _where_known(given: Constants, values: npt.ArrayLike) -> Constants:
    return np.where(given == VARIES, np.int16(VARIES), np.asarray(values)).astype(np.int16)
