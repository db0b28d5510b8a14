"""Constants of the graph, and the shape arithmetic on them that exporters leave in networks: all folded."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tensaw.compiler.frontends.onnx_registry import Call, operator
from tensaw.compiler.frontends.onnx_values import Constant, Value, shape_of

__all__ = ["concat_constants"]


@operator("Constant")
def constant(call: Call) -> Value:
    """Numbers and tensors."""
    for name in ("value", "value_float", "value_floats", "value_int", "value_ints"):
        value = call.node.attributes.get(name)
        if isinstance(value, np.ndarray):
            return Constant(value)
        if isinstance(value, int | float | tuple):
            dtype = np.float32 if "float" in name else np.int64
            return Constant(np.array(value, dtype))
    raise call.unsupported("holds a constant that is not made of numbers", "remove it")


@operator("Shape")
def shape(call: Call) -> Value:
    """Folded to a constant."""
    sizes = shape_of(call.value(0))
    start, end = call.attribute("start", 0), call.attribute("end", len(sizes))
    return Constant(np.array(sizes[start:end], np.int64))


@operator("Gather", "Slice", "Cast")
def folded(call: Call) -> Value:
    """Of constants only (shape arithmetic); folded."""
    arrays = [call.numbers(i) for i in range(len(call.inputs))]
    given = [array for array in arrays if array is not None]
    if sum(array.size for array in given) > 2**16:
        raise call.unsupported(
            "computes a constant that should be in the file",
            "fold constants before quantising, for example with onnxsim",
        )
    return Constant(_evaluate(call, given))


def _evaluate(call: Call, arrays: list[npt.NDArray]) -> npt.NDArray:
    """A small operator on constants, by the three that shape arithmetic is made of."""
    try:
        match call.node.op_type:
            case "Gather":
                return np.asarray(np.take(arrays[0], arrays[1].astype(np.int64), axis=call.attribute("axis", 0)))
            case "Cast":
                types = {1: np.float32, 6: np.int32, 7: np.int64, 3: np.int8, 2: np.uint8}
                return arrays[0].astype(types[call.attribute("to", 0)])
    except (IndexError, KeyError, ValueError, TypeError, OverflowError) as error:
        raise call.wrong(f"cannot be computed from its constants ({error})") from error
    starts, ends = arrays[1].ravel(), arrays[2].ravel()
    axes = arrays[3].ravel() if len(arrays) > 3 else np.arange(len(starts))
    steps = arrays[4].ravel() if len(arrays) > 4 else np.ones(len(starts), np.int64)
    chosen = call.axes([int(a) for a in axes], arrays[0].ndim)
    if not len(starts) == len(ends) == len(chosen) == len(steps) or 0 in steps:
        raise call.wrong("has starts, ends, axes and steps of different lengths")
    index = [slice(None)] * arrays[0].ndim
    for axis, start, end, step in zip(chosen, starts, ends, steps, strict=True):
        stop = None if step < 0 and end < -arrays[0].shape[axis] else int(end)
        index[axis] = slice(int(start), stop, int(step))
    return arrays[0][tuple(index)]


def concat_constants(call: Call, arrays: list[npt.NDArray]) -> Value:
    """Concat where every input is a constant."""
    try:
        return Constant(np.concatenate(arrays, axis=call.attribute("axis", 0)))
    except ValueError as error:
        raise call.wrong(f"joins constants that do not fit ({error})") from error
