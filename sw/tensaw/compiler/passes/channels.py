"""Remove channels whose values are known beforehand, or wanted by nobody.

Pruned networks have many filters that are zero everywhere. Their outputs are constant (:mod:`.constants`): what they
add to the sums of the next convolution goes into its bias, and they need not be computed, stored or read. A channel
that meets zero weights only is as useless, whatever it holds.

Operators between two convolutions tie channels together: the channels of a depthwise convolution, a pool, a table or
an addition go in and out one by one, so they can only be removed all together. Each such class of channels is removed
if every operator with weights that makes or reads one of them can do without, and if the network's inputs and outputs
do not show it. What is left may make further channels useless, so this is repeated.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from tensaw.compiler.ir import (
    Concat,
    Conv2d,
    DepthwiseConv2d,
    Elementwise,
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
from tensaw.compiler.passes.constants import Constants, channel_constants, foldable
from tensaw.model.requantise import wrap32

__all__ = ["remove_channels"]

Mask = npt.NDArray[np.bool_]


def remove_channels(graph: Graph) -> tuple[Graph, dict[str, tuple[int, int]]]:
    """The same network without useless channels; and, by the name of the operator that made them, how many channels of
    how many went. Inputs and outputs of the network are what they were."""
    before = {op.name: graph.tensors[op.output].shape[-1:] for op in graph.ops}
    while (smaller := _remove_once(graph)) is not None:
        graph = smaller
    removed = {
        op.name: (size[0] - graph.tensors[op.output].shape[-1], size[0])
        for op in graph.ops
        if (size := before[op.name]) and size[0] != graph.tensors[op.output].shape[-1]
    }
    return graph, removed


def _remove_once(graph: Graph) -> Graph | None:
    """Without what is useless as things stand; None if nothing is."""
    constants = channel_constants(graph)
    kept = _Classes(graph, constants).kept()
    if all(mask.all() for mask in kept.values()):
        return None
    tensors = dict(graph.tensors)
    for name, mask in kept.items():
        tensor = tensors[name]
        if not mask.all():
            data = None if tensor.data is None else np.ascontiguousarray(tensor.data[..., mask])
            tensors[name] = dataclasses.replace(tensor, shape=(*tensor.shape[:-1], int(mask.sum())), data=data)
    ops = [_without(op, kept, constants) for op in graph.ops]
    return dataclasses.replace(graph, tensors=tensors, ops=ops)


class _Classes:
    """Channels of all tensors, numbered one after the other, in classes that stay or go together."""

    def __init__(self, graph: Graph, constants: dict[str, Constants]) -> None:
        self.graph = graph
        self.constants = constants
        self.first: dict[str, int] = {}
        total = 0
        for tensor in graph.tensors.values():
            self.first[tensor.name] = total
            total += self.size(tensor.name)
        self.parent = list(range(total))
        self.needed = np.zeros(total, bool)

    def size(self, name: str) -> int:
        shape = self.graph.tensors[name].shape
        return shape[-1] if shape else 1

    def numbers(self, name: str) -> npt.NDArray[np.int64]:
        return np.arange(self.first[name], self.first[name] + self.size(name))

    def root(self, number: int) -> int:
        while self.parent[number] != number:
            self.parent[number] = self.parent[self.parent[number]]
            number = self.parent[number]
        return number

    def tie(self, ones: Iterable[int], others: Iterable[int]) -> None:
        for one, other in zip(ones, others, strict=True):
            self.parent[self.root(int(one))] = self.root(int(other))

    def need(self, name: str, mask: Mask | bool = True) -> None:
        """Channels of a tensor that something cannot do without."""
        self.needed[self.numbers(name)] |= mask

    def kept(self) -> dict[str, Mask]:
        """Masks of the channels that stay, by tensor."""
        for port in (*self.graph.inputs, *self.graph.outputs):
            self.need(port.tensor)
        for op in self.graph.ops:
            self.visit(op)
        while True:
            roots = np.array([self.root(number) for number in range(len(self.parent))])
            needed = np.zeros(len(roots), bool)
            np.logical_or.at(needed, roots, self.needed)
            masks = {name: needed[roots[self.numbers(name)]] for name in self.first}
            # A tensor keeps one channel.
            empty = [name for name, mask in masks.items() if not mask.any()]
            if not empty:
                return masks
            self.needed[self.first[empty[0]]] = True

    def visit(self, op: Op) -> None:
        """What an operator needs, and which channels it ties together."""
        inputs = [self.numbers(name) for name in op.inputs]
        output = self.numbers(op.output)
        if isinstance(op, Conv2d | FullyConnected):
            self.visit_product(op)
        elif isinstance(op, DepthwiseConv2d):
            self.tie(np.repeat(inputs[0], op.multiplier), output)
        elif isinstance(op, Lookup | Pool2d | Mean):
            self.tie(inputs[0], output)
        elif isinstance(op, Pad) and op.padding[-1] == (0, 0):
            self.tie(inputs[0], output)
        elif isinstance(op, Elementwise):
            for name, numbers in zip(op.inputs, inputs, strict=True):
                if len(numbers) == len(output):
                    self.tie(numbers, output)
                else:  # one channel for all: it goes with none of them
                    self.need(name)
        elif isinstance(op, Concat) and op.axis == len(self.graph.tensors[op.output].shape) - 1:
            self.tie(np.concatenate(inputs), output)
        elif isinstance(op, Concat):
            for numbers in inputs:
                self.tie(numbers, output)
        elif isinstance(op, Reshape) and len(output) % len(inputs[0]) == 0:
            self.tie(np.tile(inputs[0], len(output) // len(inputs[0])), output)
        elif isinstance(op, Reshape) and len(inputs[0]) % len(output) == 0:
            self.tie(inputs[0], np.tile(output, len(inputs[0]) // len(output)))
        else:
            for name in (*op.inputs, op.output):
                self.need(name)

    def visit_product(self, op: Conv2d | FullyConnected) -> None:
        name = op.inputs[0]
        if isinstance(op, Conv2d) and op.groups > 1:
            # Groups must stay equal in size: one goes as a whole or stays.
            parts = [self.numbers(which).reshape(op.groups, -1) for which in (name, op.output)]
            for group in np.concatenate(parts, axis=1):
                self.tie(group[1:], group[:-1])
            return
        read = op.weights.any(axis=tuple(range(op.weights.ndim - 1)))
        self.need(name, read & ~foldable(op, self.constants[name]))


def _folded_bias(op: Conv2d | FullyConnected, inputs: Constants, keep: Mask) -> npt.NDArray[np.int64]:
    """The bias with what the channels that are not kept add to every sum; like sums, it is meant modulo 2^32."""
    gone = foldable(op, inputs) & ~keep
    weights = op.weights.reshape(op.weights.shape[0], -1, op.weights.shape[-1])
    added = inputs[gone].astype(np.int64) - op.input_zero_point
    return op.bias.astype(np.int64) + weights[:, :, gone].sum(1, dtype=np.int64) @ added


def _without(op: Op, kept: dict[str, Mask], constants: dict[str, Constants]) -> Op:
    """An operator on what is left of its tensors."""
    output = kept[op.output]
    if isinstance(op, Conv2d | FullyConnected):
        read = kept[op.inputs[0]]
        if output.all() and read.all():
            return op
        requantised = _requantise(op.requantise, output)
        if isinstance(op, Conv2d) and op.groups > 1:
            weights, left = np.ascontiguousarray(op.weights[output]), int(read.sum()) // op.weights.shape[-1]
            return dataclasses.replace(op, weights=weights, bias=op.bias[output], groups=left, requantise=requantised)
        bias = wrap32(_folded_bias(op, constants[op.inputs[0]], read)[output]).astype(np.int32)
        weights = np.ascontiguousarray(op.weights[output][..., read])
        return dataclasses.replace(op, weights=weights, bias=bias, requantise=requantised)
    if isinstance(op, DepthwiseConv2d) and not output.all():
        return dataclasses.replace(
            op, weights=np.ascontiguousarray(op.weights[..., output]), bias=op.bias[output],
            requantise=_requantise(op.requantise, output),
        )  # fmt: skip
    if isinstance(op, Mean | Elementwise):
        return dataclasses.replace(op, requantise=_requantise(op.requantise, output))
    return op


def _requantise(parameters: Requantise, kept: Mask) -> Requantise:
    if len(parameters.multiplier) == 1:
        return parameters
    return dataclasses.replace(parameters, multiplier=parameters.multiplier[kept], shift=parameters.shift[kept])
