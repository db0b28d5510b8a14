"""Fold explicit padding into the convolutions behind it."""

from __future__ import annotations

import dataclasses

from tensaw.compiler.ir import Conv2d, DepthwiseConv2d, Graph, Op, Pad

__all__ = ["fold_padding"]


def fold_padding(graph: Graph) -> Graph:
    """A graph in which convolutions do the zero-point padding in front of them themselves.

    A :class:`Pad` of rows and columns by a convolution's input zero point is the same as more padding of the
    convolution. It is folded where every reader is such a convolution and the padded tensor is no output.
    """
    readers: dict[str, list[Op]] = {}
    for op in graph.ops:
        for name in op.inputs:
            readers.setdefault(name, []).append(op)
    outputs = {port.tensor for port in graph.outputs}
    folded: dict[str, Pad] = {
        op.output: op
        for op in graph.ops
        if isinstance(op, Pad)
        and op.output not in outputs
        and len(op.padding) == 4
        and op.padding[0] == op.padding[3] == (0, 0)
        and readers.get(op.output)
        and all(
            isinstance(reader, Conv2d | DepthwiseConv2d) and reader.input_zero_point == op.value
            for reader in readers[op.output]
        )
    }
    ops: list[Op] = []
    for op in graph.ops:
        if op.output in folded:
            continue
        if isinstance(op, Conv2d | DepthwiseConv2d) and op.inputs[0] in folded:
            pad = folded[op.inputs[0]]
            (top, bottom), (left, right) = pad.padding[1:3]
            before = op.padding
            padding = (before[0] + top, before[1] + left, before[2] + bottom, before[3] + right)
            op = dataclasses.replace(op, inputs=(pad.inputs[0],), padding=padding)
        ops.append(op)
    return dataclasses.replace(graph, ops=ops)
