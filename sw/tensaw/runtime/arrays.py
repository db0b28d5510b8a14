"""Arrays in ``.npz`` files: inputs of one or several runs, outputs, and random inputs."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tensaw.spec.errors import InputError

if TYPE_CHECKING:
    from tensaw.spec.program import Binding

__all__ = ["Arrays", "load_arrays", "pack_arrays", "random_inputs", "split_runs", "stack_runs"]

Arrays = dict[str, npt.NDArray[Any]]


def load_arrays(path: Path) -> Arrays:
    """The arrays of an ``.npz`` file, by name. Raises InputError if it is none, or holds Python objects."""
    try:
        # From memory: NumPy leaves the file open where the archive is damaged.
        content = path.read_bytes()
        if not content.startswith((b"PK", b"\x93NUMPY")):
            # NumPy takes anything else for a pickle, and says so.
            raise ValueError("it is no archive of NumPy's")
        archive = np.load(io.BytesIO(content), allow_pickle=False)
        if isinstance(archive, np.ndarray):
            raise ValueError("it holds a single array without a name")
        return {name: archive[name] for name in archive.files}
    except OSError as error:
        reason = error.strerror or str(error)
    except Exception as error:  # a damaged archive fails in as many ways as zipfile, zlib and NumPy have
        reason = str(error) or type(error).__name__
    raise InputError(
        f"The arrays in {str(path)!r} cannot be read: {reason.rstrip('.')}. Give an .npz file, as "
        "numpy.savez(path, name=array) writes it, with the model's input names."
    )


def pack_arrays(arrays: Mapping[str, npt.ArrayLike]) -> bytes:
    """An ``.npz`` file's bytes, the same for the same arrays."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **{name: np.asarray(array) for name, array in arrays.items()})
    return buffer.getvalue()


def _runs_of(array: npt.NDArray[Any], shape: tuple[int, ...]) -> npt.NDArray[Any] | None:
    """The array as (runs, *shape), or None if it is not of one run or a stack of runs."""
    if array.shape == shape:
        return array[None]
    if array.shape[1:] == shape or (shape[:1] == (1,) and array.shape[1:] == shape[1:]):
        return array.reshape(-1, *shape)
    return None


def split_runs(arrays: Arrays, inputs: Sequence[Binding]) -> list[Arrays]:
    """Inputs of each run. An array may hold one run, in the model's own shape, or a stack of runs along axis 0.

    Arrays that do not fit are left as they are, for the session to refuse. Raises InputError if the numbers of runs
    differ, or if there is none.
    """
    shapes = {binding.name: binding.file_shape for binding in inputs}
    stacks = {name: _runs_of(array, shapes[name]) if name in shapes else None for name, array in arrays.items()}
    if any(stack is None for stack in stacks.values()) or not stacks:
        return [arrays]
    counts = {name: len(stack) for name, stack in stacks.items() if stack is not None}
    if len(set(counts.values())) > 1:
        numbers = ", ".join(f"{name!r} {count}" for name, count in counts.items())
        raise InputError(f"The inputs hold different numbers of runs: {numbers}. Give the same number for each.")
    count = next(iter(counts.values()))
    if count == 0:
        raise InputError("The inputs are empty: axis 0 has the length 0. Give at least one run.")
    return [{name: stack[run] for name, stack in stacks.items() if stack is not None} for run in range(count)]


def stack_runs(runs: Sequence[Arrays]) -> Arrays:
    """Outputs of several runs as one array each: joined along a leading axis of length 1, else along a new axis 0."""
    if len(runs) == 1:
        return dict(runs[0])
    stacked = {}
    for name, first in runs[0].items():
        parts = [run[name] for run in runs]
        stacked[name] = np.concatenate(parts) if first.shape[:1] == (1,) else np.stack(parts)
    return stacked


def random_inputs(inputs: Sequence[Binding], seed: int) -> Arrays:
    """Inputs of one run that cover the whole range of each input's type, the same for the same seed."""
    rng = np.random.default_rng(seed)
    arrays: Arrays = {}
    for binding in inputs:
        values = rng.integers(-128, 128, binding.file_shape, np.int8)
        if binding.dtype == "float32":
            arrays[binding.name] = (values.astype(np.float32) - binding.zero_point) * np.float32(binding.scale)
        elif binding.dtype == "uint8":
            arrays[binding.name] = values.view(np.uint8)
        else:
            arrays[binding.name] = values
    return arrays
