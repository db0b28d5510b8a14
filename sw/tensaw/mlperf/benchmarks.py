"""The benchmarks' inputs and results: bytes from the runner to a network's input, its output to the numbers sent back.

As MLPerf Tiny's reference submissions have them (``th_load_tensor`` and ``th_results``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tensaw.spec.errors import InputError
from tensaw.spec.program import Binding, Program

__all__ = ["BENCHMARKS", "Benchmark", "benchmark_of"]

Floats = npt.NDArray[np.float32]
Int8Array = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Benchmark:
    """``name`` as the runner knows it; ``shape`` of the network's one input, int8. ``item``: bytes that the runner
    sends for each of its elements. ``load`` makes the input of what was sent, ``results`` the numbers to answer with of
    the dequantised output and what was sent."""

    name: str
    shape: tuple[int, ...]
    item: int
    load: Callable[[npt.NDArray[np.uint8], Binding], Int8Array]
    results: Callable[[Floats, npt.NDArray[np.uint8]], list[float]]

    @property
    def size(self) -> int:
        """Bytes of an input as the runner sends it."""
        return int(np.prod(self.shape)) * self.item


def _pixels(sent: npt.NDArray[np.uint8], _: Binding) -> Int8Array:
    """Unsigned bytes, 128 for zero."""
    return (sent ^ 0x80).view(np.int8)


def _features(sent: npt.NDArray[np.uint8], _: Binding) -> Int8Array:
    """The network's own int8."""
    return sent.view(np.int8)


def _floats(sent: npt.NDArray[np.uint8], binding: Binding) -> Int8Array:
    """float32, little-endian, to be quantised with the network's scale: ties away from zero."""
    scaled = sent.view("<f4").astype(np.float64) / binding.scale
    rounded = np.copysign(np.floor(np.abs(scaled) + 0.5), scaled) + binding.zero_point
    return np.clip(np.nan_to_num(rounded), -128, 127).astype(np.int8)


def _classes(output: Floats, _: npt.NDArray[np.uint8]) -> list[float]:
    """A number for each class."""
    return [float(value) for value in output.reshape(-1)]


def _error(output: Floats, sent: npt.NDArray[np.uint8]) -> list[float]:
    """Mean squared difference of output and input, in float32 as the reference adds them up."""
    differences = output.reshape(-1) - sent.view("<f4").astype(np.float32)
    return [float(np.add.reduce(differences * differences, dtype=np.float32) / np.float32(differences.size))]


BENCHMARKS: dict[str, Benchmark] = {
    benchmark.name: benchmark
    for benchmark in (
        Benchmark("ic01", (1, 32, 32, 3), 1, _pixels, _classes),
        Benchmark("kws01", (1, 49, 10, 1), 1, _features, _classes),
        Benchmark("vww01", (1, 96, 96, 3), 1, _pixels, _classes),
        Benchmark("ad01", (1, 640), 4, _floats, _error),
    )
}
"""By the runner's names."""


def benchmark_of(program: Program, name: str | None = None) -> Benchmark:
    """The benchmark that a network is for: the one named, or the one whose input it has. Raises InputError."""
    shapes: Mapping[str, tuple[int, ...]] = {each.name: each.shape for each in BENCHMARKS.values()}
    if name is not None and name not in BENCHMARKS:
        raise InputError(f"There is no benchmark {name!r}; there are {', '.join(BENCHMARKS)}.")
    if len(program.inputs) != 1 or len(program.outputs) != 1 or program.inputs[0].dtype != "int8":
        raise InputError(
            f"The network {program.name!r} is none of MLPerf Tiny's: those have one input and one output, both int8."
        )
    shape = tuple(program.inputs[0].file_shape)
    if name is None:
        name = next((each for each, wanted in shapes.items() if wanted == shape), None)
    if name is None or shapes[name] != shape:
        wanted = ", ".join(f"{each} {each_shape}" for each, each_shape in shapes.items())
        raise InputError(
            f"The network {program.name!r} has an input of shape {shape}"
            + (f", the benchmark {name} one of {shapes[name]}." if name else f"; the benchmarks' are {wanted}.")
        )
    return BENCHMARKS[name]
