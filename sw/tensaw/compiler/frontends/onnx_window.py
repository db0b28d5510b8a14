"""Sliding windows of convolutions and pooling: kernel, stride, dilation, padding from a node's attributes."""

from __future__ import annotations

from dataclasses import dataclass

from tensaw.compiler.frontends.onnx_registry import Call

__all__ = ["Window", "window"]

Pair = tuple[int, int]
_LIMIT = 2**31


@dataclass(frozen=True)
class Window:
    """(height, width) pairs; ``padding`` (top, left, bottom, right).

    ``extra`` (bottom, right): positions beyond the padding that ceil_mode adds; they are not in ``padding``.
    """

    kernel: Pair
    stride: Pair
    dilation: Pair
    padding: tuple[int, int, int, int]
    extra: Pair
    output: Pair


def window(call: Call, size: Pair, kernel: Pair) -> Window:
    """The window of ``call`` on an image of ``size``; 1-D attributes get a height of 1."""
    stride = _pair(call, "strides")
    dilation = _pair(call, "dilations")
    if min(kernel) < 1:
        raise call.wrong(f"has a kernel of {list(kernel)}")
    reach = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))
    mode = call.attribute("auto_pad", "NOTSET")
    padding = _padding(call) if mode == "NOTSET" else _automatic(call, mode, size, stride, (reach[0], reach[1]))
    output, extra = [], []
    for axis in (0, 1):
        room = size[axis] + padding[axis] + padding[axis + 2] - reach[axis]
        steps = room // stride[axis]
        if room < 0:
            raise call.wrong(f"has a window of {list(reach)} for an image of {list(size)} padded by {list(padding)}")
        if call.attribute("ceil_mode", 0) and room % stride[axis]:
            # A last, partial window counts only if it starts inside the image or its left padding.
            if (steps + 1) * stride[axis] < size[axis] + padding[axis]:
                steps += 1
        output.append(steps + 1)
        extra.append(max(0, steps * stride[axis] - room))
    return Window(kernel, stride, dilation, padding, (extra[0], extra[1]), (output[0], output[1]))


def _pair(call: Call, name: str) -> Pair:
    """An attribute with one number for each spatial dimension, 1 by default."""
    values = call.ints(name)
    if not values:
        return 1, 1
    if len(values) not in (1, 2) or not all(1 <= v < _LIMIT for v in values):
        raise call.wrong(f"has {name} {list(values)}, which must be positive integers for one or two dimensions")
    return (1, values[0]) if len(values) == 1 else (values[0], values[1])


def _padding(call: Call) -> tuple[int, int, int, int]:
    """The ``pads`` attribute (begins, then ends) as (top, left, bottom, right)."""
    pads = call.ints("pads")
    if not pads:
        return 0, 0, 0, 0
    if len(pads) not in (2, 4) or not all(0 <= p < _LIMIT for p in pads):
        raise call.wrong(f"has pads {list(pads)}, which must be integers from 0 up, two for each dimension")
    if len(pads) == 2:
        return 0, pads[0], 0, pads[1]
    return pads[0], pads[1], pads[2], pads[3]


def _automatic(call: Call, mode: str, size: Pair, stride: Pair, reach: Pair) -> tuple[int, int, int, int]:
    """``auto_pad``: SAME_UPPER puts the odd row at the end, SAME_LOWER at the beginning."""
    if mode == "VALID":
        return 0, 0, 0, 0
    if mode not in ("SAME_UPPER", "SAME_LOWER"):
        raise call.wrong(f"has the auto_pad {mode!r}, which must be NOTSET, VALID, SAME_UPPER or SAME_LOWER")
    before, after = [], []
    for n, s, r in zip(size, stride, reach, strict=True):
        total = max(0, (-(-n // s) - 1) * s + r - n)
        small, large = total // 2, total - total // 2
        before.append(small if mode == "SAME_UPPER" else large)
        after.append(large if mode == "SAME_UPPER" else small)
    return before[0], before[1], after[0], after[1]
