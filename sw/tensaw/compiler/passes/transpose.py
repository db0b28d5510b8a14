"""Exchange rows and columns of all images, where that puts the long side of kernels and images along the array's rows.

A network of convolutions, pools and pointwise operators computes the same when every image and kernel in it is
transposed. The bytes of a kernel row follow each other in memory, those of a kernel column do not: a 10 × 4 kernel over
one channel fills 4 rows of the array in one direction and 10 in the other.
"""

from __future__ import annotations

import dataclasses

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
    Port,
    Reshape,
    Softmax,
    Tensor,
)

__all__ = ["transpose_images"]

_AXES = (0, 2, 1, 3)


class _Fixed(Exception):
    """Something in the network depends on which axis is which."""


def transpose_images(graph: Graph) -> Graph | None:
    """The same network on transposed images, or None if it cannot be had.

    Tensors of four dimensions get their second and third exchanged, under the same names; ports get the permutation
    that makes up for it.
    """
    try:
        return dataclasses.replace(
            graph,
            tensors={name: _tensor(tensor) for name, tensor in graph.tensors.items()},
            ops=[_operator(op, graph) for op in graph.ops],
            inputs=[_port(port, graph) for port in graph.inputs],
            outputs=[_port(port, graph) for port in graph.outputs],
        )
    except _Fixed:
        return None


def _shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (shape[0], shape[2], shape[1], shape[3]) if len(shape) == 4 else shape


def _swap(pair: tuple[int, int]) -> tuple[int, int]:
    return pair[1], pair[0]


def _around(padding: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    top, left, bottom, right = padding
    return left, top, right, bottom


def _flat(shape: tuple[int, ...]) -> bool:
    """Whether transposing changes the order of no bytes."""
    return len(shape) != 4 or shape[1] == 1 or shape[2] == 1


def _tensor(tensor: Tensor) -> Tensor:
    data = tensor.data
    if data is not None and data.ndim == 4:
        data = data.transpose(_AXES).copy()
    return dataclasses.replace(tensor, shape=_shape(tensor.shape), data=data)


def _port(port: Port, graph: Graph) -> Port:
    shape = graph.tensors[port.tensor].shape
    if len(shape) != 4:
        return port
    order = port.permutation or tuple(range(len(port.shape)))
    if len(order) == 4:
        return dataclasses.replace(port, permutation=tuple(order[axis] for axis in _AXES))
    if not _flat(shape):
        raise _Fixed
    return port


def _operator(op: Op, graph: Graph) -> Op:
    shapes = [graph.tensors[name].shape for name in (*op.inputs, op.output)]
    if isinstance(op, Conv2d | DepthwiseConv2d):
        axes = (0, 2, 1, 3) if isinstance(op, Conv2d) else (1, 0, 2)
        return dataclasses.replace(
            op,
            weights=op.weights.transpose(axes).copy(),
            stride=_swap(op.stride),
            dilation=_swap(op.dilation),
            padding=_around(op.padding),
        )
    if isinstance(op, Pool2d):
        return dataclasses.replace(op, kernel=_swap(op.kernel), stride=_swap(op.stride), padding=_around(op.padding))
    if isinstance(op, Pad) and len(op.padding) == 4:
        return dataclasses.replace(op, padding=tuple(op.padding[axis] for axis in _AXES))
    if isinstance(op, Concat) and all(len(shape) == 4 for shape in shapes):
        return dataclasses.replace(op, axis=_AXES[op.axis])
    if isinstance(op, Reshape) and all(map(_flat, shapes)):
        return op
    if isinstance(op, Elementwise):
        # Broadcasting lines up the last axes: what has no rows and columns of its own stays as it is.
        if all(len(shape) == 4 or all(size == 1 for size in shape[:-1]) for shape in shapes):
            return op
        raise _Fixed
    pointwise = isinstance(op, Lookup | Softmax | Mean | FullyConnected)
    if pointwise or (isinstance(op, Pad | Concat) and all(len(shape) < 4 for shape in shapes)):
        return op
    raise _Fixed
