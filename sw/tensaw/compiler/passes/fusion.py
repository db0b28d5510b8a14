"""Group operators into stages: what the output stage can add to an operator's result runs with that operator."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter

import numpy as np

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
    Reshape,
    Softmax,
    Tensor,
)
from tensaw.compiler.regions import Image, image_of
from tensaw.compiler.stages import Network, Operand, Second, Stage, Storage
from tensaw.spec.errors import UnsupportedError

__all__ = ["form_stages"]

_MAIN = (Conv2d, DepthwiseConv2d, FullyConnected, Pool2d, Mean)
"""Operators whose results may go through a second operand and a table on their way out."""


def form_stages(graph: Graph, fuse: bool = True) -> Network:
    """Stages and storages of a graph; without ``fuse`` each operator is a stage of its own.

    Raises UnsupportedError for shapes that the machine's loops cannot describe.
    """
    return _Former(graph, fuse).run()


class _Former:
    def __init__(self, graph: Graph, fuse: bool) -> None:
        self.graph = graph
        self.fuse = fuse
        self.tensors: dict[str, Tensor] = dict(graph.tensors)
        self.storage_of: dict[str, str] = {}
        self.uses = Counter(name for op in graph.ops for name in op.inputs)
        self.uses.update(port.tensor for port in graph.outputs)
        self.stages: list[Stage] = []
        self.network = Network(self.stages, {}, self.storage_of)

    def run(self) -> Network:
        for op in self.graph.ops:
            if isinstance(op, Reshape):
                self.storage_of[op.output] = self._root(op.inputs[0])
            elif isinstance(op, Lookup):
                self._lookup(op)
            elif isinstance(op, Elementwise):
                self._elementwise(op)
            else:
                self._plain(op)
        for port in (*self.graph.inputs, *self.graph.outputs):
            self._storage(port.tensor)
        for stage in self.stages:
            for operand in (*stage.operands, stage.output):
                self._storage(operand.tensor).images.add(operand.image)
        return self.network

    # Tensors --------------------------------------------------------------------------------------------------------

    def _root(self, name: str) -> str:
        return self.storage_of.setdefault(name, name)

    def _storage(self, name: str) -> Storage:
        root = self._root(name)
        storage = self.network.storages.get(root)
        if storage is None:
            tensor = self.tensors[root]
            storage = Storage(root, image_of(tensor.shape).size, data=tensor.data)
            self.network.storages[root] = storage
        return storage

    def _operand(self, name: str, image: Image | None = None, rank: int | None = None) -> Operand:
        return Operand(name, self._root(name), image or image_of(self.tensors[name].shape, rank))

    def _constant(self, name: str, image: Image) -> Operand:
        """The constant ``name`` spread over all channels of ``image`` under a name of its own."""
        data = self.tensors[name].data
        assert data is not None
        own = image_of(data.shape)
        spread = np.broadcast_to(
            data.reshape(own.batch, own.height, own.width, own.channels),
            (own.batch, own.height, own.width, image.channels),
        ).copy()
        new = f"{name} over {image.channels} channels"
        self.tensors[new] = dataclasses.replace(self.tensors[name], name=new, shape=spread.shape, data=spread)
        return self._operand(new)

    # Operators ------------------------------------------------------------------------------------------------------

    def _plain(self, op: Op) -> None:
        shape = self.tensors[op.inputs[0]].shape
        image = None
        if isinstance(op, FullyConnected):
            features = op.weights.shape[1]
            image = Image(1, image_of(shape).size // features, 1, features)
            output = self._operand(op.output, Image(1, image.height, 1, op.weights.shape[0]))
        elif isinstance(op, Softmax):
            natural = image_of(shape)
            if natural.width > 1 or natural.batch > 1:
                image = Image(1, natural.size // natural.channels, 1, natural.channels)
            output = self._operand(op.output, image)
        elif isinstance(op, Mean):
            natural = image_of(shape)
            output = self._operand(op.output, Image(natural.batch, 1, 1, natural.channels))
        elif isinstance(op, Concat) and len(shape) > 4:
            self._flat_concat(op)
            return
        elif isinstance(op, Pad) and len(shape) > 4:
            raise UnsupportedError(
                f"{op.kind} {op.name!r} pads a tensor of {len(shape)} dimensions; at most 4 are supported. Reshape it "
                "to 4 dimensions before it is padded."
            )
        else:
            output = self._operand(op.output)
        inputs = tuple(self._operand(name, image) for name in op.inputs)
        self.stages.append(Stage(op, inputs, output, None, None, (op,)))

    def _flat_concat(self, op: Concat) -> None:
        """Many dimensions: rows of what lies before the axis, joined along everything from the axis on."""

        def flat(name: str) -> Operand:
            shape = self.tensors[name].shape
            return self._operand(name, Image(1, math.prod(shape[: op.axis]), 1, math.prod(shape[op.axis :])))

        self.stages.append(Stage(op, tuple(flat(name) for name in op.inputs), flat(op.output), None, None, (op,)))

    def _producer(self, name: str) -> int | None:
        """Index of the stage that may still be extended: it makes ``name``, which nothing else reads."""
        if not self.fuse or self.uses[name] != 1:
            return None
        for index in range(len(self.stages) - 1, -1, -1):
            if self.stages[index].output.tensor == name:
                return index
        return None

    def _lookup(self, op: Lookup) -> None:
        index = self._producer(op.inputs[0])
        if index is not None:
            stage = self.stages[index]
            if isinstance(stage.op, (*_MAIN, Elementwise)) and stage.table is None:
                output = self._operand(op.output, stage.output.image)
                self.stages[index] = dataclasses.replace(stage, output=output, table=op.table, ops=(*stage.ops, op))
                return
        self.stages.append(Stage(op, (self._operand(op.inputs[0]),), self._operand(op.output), None, op.table, (op,)))

    def _elementwise(self, op: Elementwise) -> None:
        rank = max(len(self.tensors[name].shape) for name in (*op.inputs, op.output))
        output = self._operand(op.output, rank=rank)
        images = [image_of(self.tensors[name].shape, rank) for name in op.inputs]
        if rank > 4:
            self._check_high_rank(op)
        candidates = []
        for number, name in enumerate(op.inputs):
            index = self._producer(name)
            if index is None or images[number] != output.image or not self._usable(op, images, number, output.image):
                continue
            stage = self.stages[index]
            if isinstance(stage.op, _MAIN) and stage.second is None and stage.table is None:
                candidates.append((_work(stage.op), index, number))
        if candidates:
            # The one with the most work: the output stage needs several cycles for a second operand, which then pass
            # while the array is busy. It moves behind the other one.
            _, index, number = max(candidates)
            stage = self.stages.pop(index)
            second = Second(op, self._second_operand(op, 1 - number, images, output.image), number)
            stage = dataclasses.replace(stage, output=output, second=second, ops=(*stage.ops, op))
            self.stages.append(stage)
            return
        order = sorted((0, 1), key=lambda n: (not self._usable(op, images, n, output.image), -images[n].size))
        number = order[0]
        if not self._usable(op, images, number, output.image):
            raise UnsupportedError(
                f"{op.kind} {op.name!r} broadcasts both operands over the channels; write one of them out in full."
            )
        second = Second(op, self._second_operand(op, 1 - number, images, output.image), number)
        main = self._operand(op.inputs[number], images[number])
        self.stages.append(Stage(op, (main,), output, second, None, (op,)))

    def _usable(self, op: Elementwise, images: list[Image], number: int, output: Image) -> bool:
        """Whether input ``number`` may be the main one: the other one then needs all channels, or to be constant."""
        other = images[1 - number]
        constant = self.tensors[op.inputs[1 - number]].data is not None
        return other.channels == output.channels or constant

    def _second_operand(self, op: Elementwise, number: int, images: list[Image], output: Image) -> Operand:
        name = op.inputs[number]
        if images[number].channels != output.channels:
            return self._constant(name, output)
        return self._operand(name, images[number])

    def _check_high_rank(self, op: Elementwise) -> None:
        shapes = [self.tensors[name].shape for name in (*op.inputs, op.output)]
        rank = max(map(len, shapes))
        leading = [((1,) * (rank - len(shape)) + tuple(shape))[:-3] for shape in shapes]
        if any(set(part) != {1} and part != leading[-1] for part in leading):
            raise UnsupportedError(
                f"{op.kind} {op.name!r} broadcasts over one of the first {rank - 3} of {rank} dimensions; at most 4 "
                "dimensions are supported there. Reshape its operands to 4 dimensions."
            )


def _work(op: Op) -> int:
    """Products for each output."""
    if isinstance(op, Conv2d | FullyConnected):
        return op.weights[0].size
    return op.weights.shape[0] * op.weights.shape[1] if isinstance(op, DepthwiseConv2d) else 0
