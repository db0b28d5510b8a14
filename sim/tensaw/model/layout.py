"""Operators that move values without changing them: reshape, pad, concatenate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tensaw.compiler.ir import Concat, Pad
from tensaw.model.elementwise import table_lookup

__all__ = ["concat", "pad", "reshape"]

Int8Array = npt.NDArray[np.int8]


def reshape(x: Int8Array, shape: tuple[int, ...]) -> Int8Array:
    """The same bytes in the same (row-major) order."""
    return x.reshape(shape)


def pad(x: Int8Array, op: Pad) -> Int8Array:
    """``op.value`` before and after along each axis."""
    return np.pad(x, op.padding, constant_values=op.value)


def concat(inputs: Sequence[Int8Array], op: Concat) -> Int8Array:
    """The inputs, each through its table, one after the other along ``op.axis``."""
    return np.concatenate([table_lookup(x, table) for x, table in zip(inputs, op.tables, strict=True)], axis=op.axis)
