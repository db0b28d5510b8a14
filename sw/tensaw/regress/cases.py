"""What one random case is: a seed and an index give configuration, network, memory and compile options."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from tensaw.compiler.frontends.onnx import load_onnx
from tensaw.compiler.frontends.tflite import load_tflite
from tensaw.compiler.ir import Graph, Port
from tensaw.compiler.pipeline import CompileOptions
from tensaw.harness import MemoryTiming
from tensaw.networks.onnx_samples import random_network as onnx_network
from tensaw.networks.onnx_writer import Form
from tensaw.networks.random_network import OPERATORS, random_network
from tensaw.regress.configs import CONFIGS, random_config
from tensaw.spec.config import PRESETS, NpuConfig
from tensaw.spec.errors import InputError

__all__ = ["ANY", "GROUP", "Case", "prefix"]

ANY = "any"
"""Stands for any legal configuration, in place of a name of CONFIGS."""
GROUP = 16
"""So many cases in a row share a configuration drawn from ANY: building a simulator takes longer than they do."""
_SAME_BASE = 4

_KNOWN = {**CONFIGS, **PRESETS}


@dataclass(frozen=True)
class Case:
    """Case ``index`` of the sequence that ``seed`` gives; ``configs`` are the names, of CONFIGS and
    the presets, that it may choose from (or ANY).

    Configuration, network and everything else are drawn separately, so that the same seed and index give the same
    network whatever there is to choose from. ``layers`` and ``keep_tensors`` are changed by shrinking: only so many
    operators of the network; every tensor stored. ``pruned``: with many zero filters, else as drawn. Raises InputError
    for an unknown configuration.
    """

    seed: int
    index: int
    configs: tuple[str, ...] = (ANY,)
    layers: int | None = None
    keep_tensors: bool | None = None
    pruned: bool | None = None

    def __post_init__(self) -> None:
        for name in self.configs:
            if name != ANY and name not in _KNOWN:
                raise InputError(f"There is no configuration {name!r}; choose from {', '.join((*_KNOWN, ANY))}.")

    def _rng(self, part: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, self.index, part))

    @cached_property
    def config(self) -> NpuConfig:
        name = self.configs[int(self._rng(0).integers(len(self.configs)))]
        if name == ANY:
            return random_config(np.random.default_rng((self.seed, self.index // GROUP, 1)))
        return _KNOWN[name]

    @cached_property
    def whole_graph(self) -> Graph:
        """The network before shrinking: one to five layers of TFLite's, or up to ten of only a few operators (table
        after table, softmax in the middle); or an ONNX one. Now and then it has several inputs."""
        rng = self._rng(2)
        if rng.random() < 0.15:
            form: Form = "qdq" if rng.random() < 0.5 else "qoperator"
            network, _ = onnx_network(int(rng.integers(1 << 30)), form, bool(rng.random() < 0.3))
            return load_onnx(network.to_bytes(), f"case{self.index}")
        more = int(rng.integers(1, 3)) if rng.random() < 0.3 else 0
        few = rng.random() < 0.3
        operators = [str(name) for name in rng.choice(OPERATORS, int(rng.integers(2, 5)))] if few else OPERATORS
        pruning = self._rng(7)
        pruned = pruning.random() < 0.3 if self.pruned is None else self.pruned
        if pruned and pruning.random() < 0.5:
            operators = [*operators, "CONV_2D", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"]
        network = random_network(
            rng, operators, 10 if few else 5, more_inputs=more, pruning=pruning if pruned else None
        )
        return load_tflite(network, f"case{self.index}")

    @cached_property
    def graph(self) -> Graph:
        """The network to run."""
        return self.whole_graph if self.layers is None else prefix(self.whole_graph, self.layers)

    @cached_property
    def inputs(self) -> dict[str, npt.NDArray[np.int8]]:
        """By the IR's tensor names and in their shapes; often with more extreme values than a uniform draw gives."""
        rng = self._rng(3)
        values = {}
        for tensor in self.whole_graph.tensors.values():
            value = rng.integers(-128, 128, tensor.shape, dtype=np.int8)
            extreme = rng.random(tensor.shape) < rng.choice([0.0, 0.1, 0.9])
            values[tensor.name] = np.where(extreme, rng.choice(np.array([-128, 127], np.int8), tensor.shape), value)
        return {port.tensor: values[port.tensor] for port in self.graph.inputs}

    @cached_property
    def timing(self) -> MemoryTiming:
        """Latencies up to 60 cycles, often 1; half of the cases with stalls, of up to 80 % of the cycles."""
        rng = self._rng(4)
        read, write = (1 if rng.random() < 0.2 else int(rng.integers(1, 61)) for _ in range(2))
        return MemoryTiming(read, write, float(rng.choice([0.0, 0.0, 0.1, 0.5, 0.8])), self.index)

    @property
    def base(self) -> int:
        """Bus address where the memory is wanted: anywhere, the same for a few cases in a row, which share a simulator
        process so."""
        rng = np.random.default_rng((self.seed, self.index // _SAME_BASE, 8))
        return int(rng.integers(1 << self.config.address_width))

    @cached_property
    def options(self) -> CompileOptions:
        rng = self._rng(5)
        keep, fuse, follow, transpose, remove = (rng.random() < part for part in (0.25, 0.8, 0.8, 0.8, 0.8))
        keep = keep if self.keep_tensors is None else self.keep_tensors
        return CompileOptions(
            keep_tensors=bool(keep), fuse=bool(fuse), follow=bool(follow), transpose=bool(transpose),
            remove_channels=bool(remove),
        )  # fmt: skip

    @property
    def repeats(self) -> int:
        """How often the hardware runs it, all runs to be equal."""
        return 2 if self._rng(6).random() < 0.25 else 1

    @property
    def command(self) -> str:
        """What repeats this case alone."""
        configs = "" if self.config.name == ANY else f" --configs {self.config.name}"
        return f"tensaw regress --seed {self.seed} --index {self.index}{configs}"

    def shrunk(self, layers: int | None, keep_tensors: bool | None) -> Case:
        """The same case with the first ``layers`` operators only."""
        return replace(self, layers=layers, keep_tensors=keep_tensors)

    def __str__(self) -> str:
        timing, options = self.timing, self.options
        chosen = " ".join(name for name, value in vars(options).items() if value)
        return (
            f"{self.config.name}: {' '.join(op.kind for op in self.graph.ops)} ({chosen}; latency "
            f"{timing.read_latency}/{timing.write_latency}, stalls {timing.stalls:g})"
        )


def prefix(graph: Graph, count: int) -> Graph:
    """The first ``count`` operators of a graph; what they compute and nothing of them reads are the outputs."""
    ops = graph.ops[:count]
    read = {name for op in ops for name in op.inputs}
    outputs = []
    for op in ops:
        if op.output not in read:
            shape = graph.tensors[op.output].shape
            outputs.append(Port(name=op.output, tensor=op.output, shape=shape, dtype="int8"))
    inputs = [port for port in graph.inputs if port.tensor in read]
    written = {op.output for op in ops} | read
    tensors = {name: tensor for name, tensor in graph.tensors.items() if name in written}
    return Graph(graph.name, tensors, ops, inputs, outputs)
