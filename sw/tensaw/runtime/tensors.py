"""Between a model's own arrays and the bytes that the NPU sees: checks, layout, and quantisation of float ports."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tensaw.spec.errors import InputError
from tensaw.spec.program import Binding

__all__ = ["inputs_to_bytes", "to_bytes", "from_bytes"]

Bytes = npt.NDArray[np.uint8]


def inputs_to_bytes(bindings: Sequence[Binding], inputs: Mapping[str, npt.ArrayLike]) -> dict[str, Bytes]:
    """All inputs of a model, by name, as they lie in memory. Raises InputError for names, shapes and types that do not
    fit."""
    names = ", ".join(repr(binding.name) for binding in bindings)
    for name in inputs:
        if all(name != binding.name for binding in bindings):
            raise InputError(f"The model has no input {name!r}; its inputs are {names}.")
    for binding in bindings:
        if binding.name not in inputs:
            raise InputError(f"The input {binding.name!r} is missing; the model's inputs are {names}.")
    return {binding.name: to_bytes(binding, inputs[binding.name]) for binding in bindings}


def to_bytes(binding: Binding, array: npt.ArrayLike) -> Bytes:
    """One input as it lies in memory.

    float32 ports are quantised: ``round(x / scale) + zero_point`` with the quotient in float32, limited to -128..127;
    uint8 ports have 128 subtracted. Raises InputError for a wrong shape or type, and for values that are no numbers.
    """
    values = _as_array(array)
    if values.shape != binding.file_shape:
        raise InputError(
            f"The input {binding.name!r} must have the shape {_shape(binding.file_shape)}, not {_shape(values.shape)}."
        )
    if binding.dtype == "float32":
        if values.dtype not in (np.float32, np.float64, np.float16):
            raise InputError(
                f"The input {binding.name!r} must be float32, not {values.dtype}: the model quantises it itself."
            )
        if not np.isfinite(values).all():
            raise InputError(f"The input {binding.name!r} holds values that are not finite numbers.")
        quotient = (values.astype(np.float32) / np.float32(binding.scale)).astype(np.float64)
        away = np.copysign(np.floor(np.abs(quotient) + 0.5), quotient)
        steps = np.rint(quotient) if binding.ties_to_even else away
        small = np.clip(steps + binding.zero_point, -128, 127).astype(np.int8)
    elif values.dtype != np.dtype(binding.dtype):
        hint = ""
        if values.dtype.kind == "f":
            zero_point = _file_zero_point(binding)
            sign = "-" if zero_point < 0 else "+"
            hint = f" Quantise it first: round(x / {binding.scale:g}) {sign} {abs(zero_point)}."
        raise InputError(f"The input {binding.name!r} must be {binding.dtype}, not {values.dtype}.{hint}")
    elif binding.dtype == "uint8":
        small = (values ^ 0x80).view(np.int8)
    else:
        small = values.astype(np.int8, copy=False)
    if binding.permutation is not None:
        small = small.transpose(binding.permutation)
    return np.ascontiguousarray(small).view(np.uint8).reshape(-1)


def from_bytes(binding: Binding, content: Bytes) -> npt.NDArray[Any]:
    """One output in the model's own shape and type; the inverse of :func:`to_bytes` (floats: ``(q - zero_point) *
    scale`` in float32)."""
    small = content.view(np.int8)
    if binding.permutation is None:
        small = small.reshape(binding.file_shape)
    else:
        permuted = [binding.file_shape[axis] for axis in binding.permutation]
        small = small.reshape(permuted).transpose(np.argsort(binding.permutation))
    if binding.dtype == "float32":
        return (small.astype(np.float32) - np.float32(binding.zero_point)) * np.float32(binding.scale)
    if binding.dtype == "uint8":
        return np.ascontiguousarray(small).view(np.uint8) ^ np.uint8(0x80)
    return np.ascontiguousarray(small)


def byte_count(binding: Binding) -> int:
    """Bytes of a tensor in memory."""
    return math.prod(binding.shape)


def _as_array(array: npt.ArrayLike) -> npt.NDArray[Any]:
    try:
        return np.asarray(array)
    except ValueError as error:
        raise InputError(f"An input is no array: {error}.") from None


def _file_zero_point(binding: Binding) -> int:
    return binding.zero_point + (128 if binding.dtype == "uint8" else 0)


def _shape(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape)) or "of a single number"
