"""What a reference says: inputs and outputs of some runs, and intermediate tensors of the first."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tensaw.compiler.ir import Graph
from tensaw.runtime.arrays import Arrays, load_arrays, split_runs
from tensaw.spec.errors import InputError
from tensaw.spec.program import Binding, Program

__all__ = ["Reference", "reference_from_file"]


@dataclass
class Reference:
    """``runs`` and ``outputs``: arrays by the model's own names, one entry for each run. ``tensors``: of the first run,
    int8, by the names of the IR. ``name`` says where it is from."""

    name: str
    runs: list[Arrays]
    outputs: list[Arrays]
    tensors: dict[str, npt.NDArray[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.outputs) != len(self.runs):
            raise InputError(
                f"{self.name!r} holds {len(self.runs)} runs of inputs but {len(self.outputs)} of outputs; they must "
                "match."
            )

    def first(self, rows: int | None) -> Reference:
        """Of the first ``rows`` runs only (None: all). Raises InputError for fewer than 1."""
        if rows is not None and rows < 1:
            raise InputError(f"The number of runs to check must be at least 1, not {rows}.")
        return Reference(self.name, self.runs[:rows], self.outputs[:rows], self.tensors)


def reference_from_file(path: Path, graph: Graph, program: Program) -> Reference:
    """Read an ``.npz`` file: ``inputs`` and ``outputs``, stacks of runs along axis 0 (or arrays under the model's own
    names), and tensors of the first run as ``t<number of the tensor in the .tflite file>`` or under their own names.

    Raises InputError.
    """
    arrays = load_arrays(path)
    tensors = {}
    for name, tensor in graph.tensors.items():
        key = name if name in arrays else f"t{tensor.index}"
        if tensor.data is None and key in arrays:
            tensors[name] = arrays[key]
    return Reference(
        str(path),
        split_runs(_ports(path, arrays, "inputs", program.inputs), program.inputs),
        split_runs(_ports(path, arrays, "outputs", program.outputs), program.outputs),
        tensors,
    )


def _ports(path: Path, arrays: Arrays, key: str, bindings: list[Binding]) -> Arrays:
    names = [binding.name for binding in bindings]
    if all(name in arrays for name in names):
        return {name: arrays[name] for name in names}
    if key in arrays and len(names) == 1:
        return {names[0]: arrays[key]}
    raise InputError(
        f"{str(path)!r} lacks the model's {key}: it must hold {', '.join(map(repr, names))}"
        + (f" or {key!r}" if len(names) == 1 else "")
        + f", and holds {', '.join(map(repr, sorted(arrays)))[:300]}."
    )


def require_alike(name: str, found: npt.NDArray[Any], expected: npt.NDArray[Any]) -> None:
    """Raise InputError if two arrays cannot be compared byte by byte."""
    if found.size != expected.size or found.dtype != expected.dtype:
        raise InputError(
            f"The reference of tensor {name!r} is {expected.dtype} {np.shape(expected)}, the network's is "
            f"{found.dtype} {np.shape(found)}: they cannot be compared. Is the file the reference of this network?"
        )
