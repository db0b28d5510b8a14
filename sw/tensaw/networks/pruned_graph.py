"""Small random graphs in the IR itself, full of channels that are constant, unread or both.

Front ends never make some of what the IR allows (a constant that is both operands, a group of filters that is all
zero, a dead branch); passes must get it right all the same. Values are planted so that constants often equal a zero
point, and often miss it by one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from tensaw.compiler.ir import (
    Concat,
    Conv2d,
    DepthwiseConv2d,
    Elementwise,
    ElementwiseKind,
    FullyConnected,
    Graph,
    Lookup,
    Mean,
    Op,
    Pad,
    Pool2d,
    PoolKind,
    Port,
    Requantise,
    Reshape,
    Rounding,
    Softmax,
    Tensor,
)

__all__ = ["pruned_graph"]

Shape = tuple[int, ...]
_MOST_CHANNELS = 9


def pruned_graph(rng: np.random.Generator, most_operators: int = 9) -> Graph:
    """A legal graph of up to ``most_operators`` operators on images of at most 5 × 5 × 9.

    One or two inputs; the outputs are the last tensor, some in the middle, and some of those that nothing reads. The
    same state of ``rng`` gives the same graph.
    """
    return _Maker(rng).run(int(rng.integers(2, most_operators + 1)))


class _Maker:
    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.graph = Graph("pruned")
        self.made: list[Tensor] = []

    def run(self, count: int) -> Graph:
        rng, graph = self.rng, self.graph
        for number in range(int(rng.integers(1, 3))):
            shape = (1, *(int(v) for v in rng.integers(1, 6, 2)), int(rng.integers(1, _MOST_CHANNELS + 1)))
            tensor = self.tensor(f"in{number}", shape)
            graph.inputs.append(Port(tensor.name, tensor.name, shape))
        makers: list[Callable[[], Tensor | None]] = [
            self.conv, self.conv, self.conv, self.depthwise, self.depthwise, self.dense, self.elementwise,
            self.elementwise, self.pool, self.mean, self.reshape, self.pad, self.concat, self.concat, self.lookup,
            self.softmax,
        ]  # fmt: skip
        while len(graph.ops) < count:
            makers[int(rng.integers(len(makers)))]()
        # What reads a tensor with weights lets channels go; an output needs all of them.
        for tensor in self.unread():
            if self.chance(0.8):
                (self.conv if len(tensor.shape) == 4 else self.dense)(tensor)
        unread = {tensor.name for tensor in self.unread()}
        for op in graph.ops:
            tensor = graph.tensors[op.output]
            if op is graph.ops[-1] or self.chance(0.7 if tensor.name in unread else 0.04):
                graph.outputs.append(Port(tensor.name, tensor.name, tensor.shape))
        return graph

    def unread(self) -> list[Tensor]:
        read = {name for op in self.graph.ops for name in op.inputs}
        return [tensor for tensor in self.made if tensor.name not in read and tensor.name[0] == "t"]

    # Random pieces -------------------------------------------------------------------------------------------------

    def number(self, low: int, high: int) -> int:
        """Uniform in [low, high]."""
        return int(self.rng.integers(low, high + 1))

    def chance(self, part: float) -> bool:
        return bool(self.rng.random() < part)

    def zero_point(self) -> int:
        return int(self.rng.choice([-128, -128, 0, 127, self.number(-128, 127)]))

    def tensor(self, name: str, shape: Shape, zero_point: int | None = None, data: np.ndarray | None = None) -> Tensor:
        tensor = Tensor(name, shape, 1.0, self.zero_point() if zero_point is None else zero_point, data)
        self.graph.tensors[name] = tensor
        self.made.append(tensor)
        return tensor

    def choose(self, rank: int | None = None) -> Tensor | None:
        """A tensor to read, more often a late one; None if there is none of that rank."""
        able = [t for t in self.made if rank is None or len(t.shape) == rank]
        return able[-1 - min(int(self.rng.geometric(0.6)) - 1, len(able) - 1)] if able else None

    def add(self, op: Op, shape: Shape, zero_point: int) -> Tensor:
        self.graph.ops.append(replace(op, name=f"op{len(self.graph.ops)}", output=f"t{len(self.graph.ops)}"))
        return self.tensor(self.graph.ops[-1].output, shape, zero_point)

    def requantise(self, channels: int, bits: int, zero_point: int) -> Requantise:
        """Parameters under which sums of so many bits fill the range of int8, or go a little beyond."""
        count = channels if self.chance(0.6) else 1
        low, high = (-128, 127) if self.chance(0.6) else sorted((zero_point, self.number(-128, 127)))
        return Requantise(
            self.rng.integers(1 << 30, 1 << 31, count), 7 - bits + self.rng.integers(0, 3, count), zero_point, low,
            high, Rounding(self.number(0, 2)),
        )  # fmt: skip

    def pruned(self, weights: npt.NDArray[np.int8], reads: bool = True) -> npt.NDArray[np.int8]:
        """Weights (output channel first, input channel last) with filters and, where ``reads``, inputs all zero."""
        weights = weights.copy()
        weights[self.rng.random(weights.shape[0]) < self.rng.choice([0, 0.4, 0.8, 1])] = 0
        if reads:
            weights[..., self.rng.random(weights.shape[-1]) < self.rng.choice([0, 0.4, 0.8])] = 0
        weights[self.rng.random(weights.shape) < self.rng.choice([0, 0.5])] = 0
        return weights

    def bias(self, channels: int) -> npt.NDArray[np.int32]:
        """Often 0, so that a filter of zeros gives the zero point; now and then so large that sums wrap around."""
        values = self.rng.integers(-4000, 4001, channels)
        values[self.rng.random(channels) < 0.4] = 0
        values[self.rng.random(channels) < 0.05] = (1 << 31) - 1
        return values.astype(np.int32)

    def window(self, image: Shape) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int], list[int]]:
        """Kernel, stride, dilation and padding (top, left, bottom, right), which is 0 half of the time."""
        kernel = (self.number(1, 3), self.number(1, 3))
        dilation = (self.number(1, 2), self.number(1, 2)) if self.chance(0.2) else (1, 1)
        padding = [self.number(0, 2) if self.chance(0.7) else 0 for _ in range(4)] if self.chance(0.5) else [0] * 4
        for axis in (0, 1):
            lacking = (kernel[axis] - 1) * dilation[axis] + 1 - image[1 + axis] - padding[axis] - padding[axis + 2]
            padding[axis] += max(0, lacking)
        return kernel, (self.number(1, 2), self.number(1, 2)), dilation, padding

    @staticmethod
    def sizes(
        image: Shape, kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int], padding: list[int]
    ) -> tuple[int, int]:
        height, width = (
            (image[1 + a] + padding[a] + padding[a + 2] - (kernel[a] - 1) * dilation[a] - 1) // stride[a] + 1
            for a in (0, 1)
        )
        return height, width

    # Operators -----------------------------------------------------------------------------------------------------

    def conv(self, x: Tensor | None = None) -> Tensor | None:
        x = x or self.choose(4)
        if x is None:
            return None
        groups = int(self.rng.choice([d for d in range(1, x.shape[3] + 1) if x.shape[3] % d == 0]))
        groups = groups if self.chance(0.25) else 1
        outputs, depth = groups * self.number(1, max(1, _MOST_CHANNELS // groups)), x.shape[3] // groups
        kernel, stride, dilation, padding = self.window(x.shape)
        weights = self.pruned(self.rng.integers(-127, 128, (outputs, *kernel, depth), dtype=np.int8))
        zero_point = self.zero_point()
        op = Conv2d(
            "", "CONV_2D", (x.name,), "", weights, self.bias(outputs), stride, dilation,
            (padding[0], padding[1], padding[2], padding[3]), groups, x.zero_point,
            self.requantise(outputs, 15, zero_point),
        )  # fmt: skip
        return self.add(op, (1, *self.sizes(x.shape, kernel, stride, dilation, padding), outputs), zero_point)

    def depthwise(self) -> Tensor | None:
        x = self.choose(4)
        if x is None:
            return None
        multiplier = self.number(2, 3) if x.shape[3] <= 4 and self.chance(0.4) else 1
        outputs = x.shape[3] * multiplier
        kernel, stride, dilation, padding = self.window(x.shape)
        weights = self.pruned(self.rng.integers(-127, 128, (outputs, *kernel), dtype=np.int8), reads=False)
        zero_point = self.zero_point()
        op = DepthwiseConv2d(
            "", "DEPTHWISE_CONV_2D", (x.name,), "", np.ascontiguousarray(weights.transpose(1, 2, 0)),
            self.bias(outputs), stride, dilation, (padding[0], padding[1], padding[2], padding[3]), multiplier,
            x.zero_point, self.requantise(outputs, 15, zero_point),
        )  # fmt: skip
        return self.add(op, (1, *self.sizes(x.shape, kernel, stride, dilation, padding), outputs), zero_point)

    def dense(self, x: Tensor | None = None) -> Tensor | None:
        x = x or self.choose(2)
        if x is None or len(x.shape) != 2 or x.shape[1] > 300:
            return None
        outputs = self.number(1, 2 * _MOST_CHANNELS)
        weights = self.pruned(self.rng.integers(-127, 128, (outputs, x.shape[1]), dtype=np.int8))
        zero_point = self.zero_point()
        op = FullyConnected(
            "", "FULLY_CONNECTED", (x.name,), "", weights, self.bias(outputs), x.zero_point,
            self.requantise(outputs, 16, zero_point),
        )  # fmt: skip
        return self.add(op, (x.shape[0], outputs), zero_point)

    def elementwise(self) -> Tensor | None:
        a = self.choose()
        assert a is not None
        alike = [t for t in self.made if t.shape == a.shape]
        b = alike[self.number(0, len(alike) - 1)]
        if self.chance(0.35):
            shape = tuple(size if self.chance(0.7) else 1 for size in a.shape)
            b = self.constant(shape)
        operands = [a, b] if self.chance(0.5) else [b, a]
        kind = ElementwiseKind(self.number(1, 3))
        zero_point = self.zero_point()
        bits = 15 if kind is ElementwiseKind.MUL else 26
        op = Elementwise(
            "", kind.name, (operands[0].name, operands[1].name), "", kind,
            (operands[0].zero_point, operands[1].zero_point),
            (self.number(1 << 30, (1 << 31) - 1), self.number(1 << 30, (1 << 31) - 1)),
            (-self.number(0, 2), -self.number(0, 2)), replace(
                self.requantise(1, bits, zero_point), rounding=Rounding.DOUBLE),
        )  # fmt: skip
        return self.add(op, np.broadcast_shapes(operands[0].shape, operands[1].shape), zero_point)

    def constant(self, shape: Shape) -> Tensor:
        """A constant tensor, in some channels the same everywhere and in some the zero point."""
        zero_point = self.zero_point()
        data = self.rng.integers(-128, 128, shape, dtype=np.int8)
        if shape:
            data[..., self.rng.random(shape[-1]) < 0.5] = self.number(-128, 127)
            data[..., self.rng.random(shape[-1]) < 0.3] = zero_point
        tensor = self.tensor(f"c{len(self.graph.ops)}", shape, zero_point, data)
        self.made.pop()
        return tensor

    def pool(self) -> Tensor | None:
        x = self.choose(4)
        if x is None:
            return None
        kernel, stride, _, padding = self.window(x.shape)
        padding = [min(pad, kernel[axis % 2] - 1) for axis, pad in enumerate(padding)]
        fits = all(x.shape[1 + a] + padding[a] + padding[a + 2] >= kernel[a] for a in (0, 1))
        low, high = (-128, 127) if self.chance(0.6) else sorted((self.number(-128, 127), self.number(-128, 127)))
        if not fits:
            return None
        op = Pool2d(
            "", "POOL", (x.name,), "", PoolKind(self.number(0, 1)), kernel, stride,
            (padding[0], padding[1], padding[2], padding[3]), low, high,
        )  # fmt: skip
        return self.add(op, (1, *self.sizes(x.shape, kernel, stride, (1, 1), padding), x.shape[3]), x.zero_point)

    def mean(self) -> Tensor | None:
        x = self.choose(4)
        if x is None:
            return None
        zero_point = self.zero_point()
        requantise = self.requantise(1, 8 + int(np.log2(x.shape[1] * x.shape[2])), zero_point)
        op = Mean("", "MEAN", (x.name,), "", -x.zero_point * x.shape[1] * x.shape[2], requantise)
        return self.add(op, (1, x.shape[3]) if self.chance(0.5) else (1, 1, 1, x.shape[3]), zero_point)

    def reshape(self) -> Tensor | None:
        x = self.choose()
        assert x is not None
        size = int(np.prod(x.shape))
        rows = int(self.rng.choice([d for d in range(1, size + 1) if size % d == 0 and d <= 12]))
        shape: Shape = (1, size) if self.chance(0.4) else (rows, size // rows)
        if self.chance(0.4):
            high = int(self.rng.choice([d for d in range(1, rows + 1) if rows % d == 0]))
            shape = (1, high, rows // high, size // rows)
        return self.add(Reshape("", "RESHAPE", (x.name,), ""), shape, x.zero_point)

    def pad(self) -> Tensor | None:
        x = self.choose(4)
        if x is None or max(x.shape[1:3]) > 8:
            return None
        amounts = [(0, 0), *((self.number(0, 1), self.number(0, 1)) for _ in range(2))]
        amounts.append((self.number(0, 1), self.number(0, 1)) if self.chance(0.2) else (0, 0))
        value = x.zero_point if self.chance(0.6) else self.number(-128, 127)
        shape = tuple(size + sum(amount) for size, amount in zip(x.shape, amounts, strict=True))
        return self.add(Pad("", "PAD", (x.name,), "", tuple(amounts), value), shape, x.zero_point)

    def concat(self) -> Tensor | None:
        x = self.choose()
        assert x is not None
        if not x.shape or max(x.shape) > 20:
            return None
        axis = len(x.shape) - 1 if self.chance(0.6) else self.number(int(len(x.shape) == 4), len(x.shape) - 1)
        rest = [t for t in self.made if len(t.shape) == len(x.shape)]
        fitting = [t for t in rest if t.shape[:axis] + t.shape[axis + 1 :] == x.shape[:axis] + x.shape[axis + 1 :]]
        chosen = [x, *(fitting[self.number(0, len(fitting) - 1)] for _ in range(self.number(1, 2)))]
        identity = np.arange(-128, 128, dtype=np.int8)
        tables = np.stack([identity if self.chance(0.6) else self.table() for _ in chosen])
        self.rng.shuffle(chosen)  # type: ignore[arg-type]
        shape = (*x.shape[:axis], sum(t.shape[axis] for t in chosen), *x.shape[axis + 1 :])
        op = Concat("", "CONCATENATION", tuple(t.name for t in chosen), "", axis, tables)
        return self.add(op, shape, self.zero_point())

    def table(self) -> npt.NDArray[np.int8]:
        """Any function; often a step, so that constants meet."""
        values = self.rng.integers(-128, 128, 256, dtype=np.int8)
        return np.maximum(np.sort(values), np.int8(self.number(-128, 127))) if self.chance(0.6) else values

    def lookup(self) -> Tensor | None:
        x = self.choose()
        assert x is not None
        return self.add(Lookup("", "TABLE", (x.name,), "", self.table()), x.shape, self.zero_point())

    def softmax(self) -> Tensor | None:
        x = self.choose()
        assert x is not None
        if not x.shape or x.shape[-1] > 100 or self.chance(0.7):
            return None
        return self.add(Softmax("", "SOFTMAX", (x.name,), "", 1 << 30, 24, -200), x.shape, -128)
