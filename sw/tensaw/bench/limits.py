"""The arithmetic of a network: multiplications, bytes, and what no array of a size can fall below."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tensaw.compiler.ir import Conv2d, DepthwiseConv2d, FullyConnected, Graph
from tensaw.spec.config import NpuConfig
from tensaw.spec.program import Program

__all__ = ["OperatorWork", "arithmetic_limit", "bus_limit", "tile_limit", "work"]


@dataclass(frozen=True)
class OperatorWork:
    """One operator with weights as a product of matrices: ``positions`` × ``depth`` by ``depth`` × ``outputs``, done
    ``repeats`` times (channels of a depthwise convolution, groups of a grouped one). ``weights`` in bytes."""

    name: str
    kind: str
    positions: int
    depth: int
    outputs: int
    repeats: int
    weights: int

    @property
    def macs(self) -> int:
        """Multiplications, those with padding included."""
        return self.positions * self.depth * self.outputs * self.repeats


def work(graph: Graph) -> list[OperatorWork]:
    """Every operator with weights, in order."""
    found = []
    for op in graph.ops:
        shape = graph.tensors[op.output].shape
        if isinstance(op, Conv2d):
            outputs, height, width, depth = op.weights.shape
            sizes = math.prod(shape[:-1]), height * width * depth, outputs // op.groups, op.groups
        elif isinstance(op, DepthwiseConv2d):
            height, width, outputs = op.weights.shape
            sizes = math.prod(shape[:-1]), height * width, op.multiplier, outputs // op.multiplier
        elif isinstance(op, FullyConnected):
            outputs, depth = op.weights.shape
            sizes = math.prod(shape[:-1]), depth, outputs, 1
        else:
            continue
        found.append(OperatorWork(op.name, op.kind, *sizes, op.weights.size))
    return found


def arithmetic_limit(operators: Sequence[OperatorWork], config: NpuConfig) -> int:
    """Cycles of a network whose every operator keeps all multipliers busy or streams its weights at the port's full
    rate, whichever takes longer, one operator after the other."""
    return math.ceil(sum(max(op.macs / config.macs_per_cycle, op.weights / config.bus_bytes) for op in operators))


def tile_limit(program: Program) -> int:
    """Cycles in which the array alone does all tiles of a program without a gap, or the port brings their weights.

    Whatever tiles lose is in it: rows and columns without weights, pixels of depthwise rows whose sums nobody keeps,
    blocks that are smaller than the array is high.
    """
    weights = sum(layer.weight_bytes for layer in program.layers)
    return max(sum(layer.limit for layer in program.layers), -(-weights // program.config.bus_bytes))


def bus_limit(graph: Graph, operators: Sequence[OperatorWork], config: NpuConfig) -> int:
    """Cycles in which the memory port moves each weight, input and output byte once."""
    ports = (*graph.inputs, *graph.outputs)
    tensors = sum(math.prod(graph.tensors[port.tensor].shape) for port in ports)
    return math.ceil((sum(op.weights for op in operators) + tensors) / config.bus_bytes)
