"""Network inputs and outputs: their order in memory, and the ports that map the host's arrays to it."""

from __future__ import annotations

from tensaw.compiler import ir
from tensaw.compiler.frontends.onnx_builder import Builder
from tensaw.compiler.frontends.onnx_layout import Layout, channels_last
from tensaw.compiler.frontends.onnx_parse import Declared, Model
from tensaw.compiler.frontends.onnx_values import FloatInput, Integers, Pending, Real, Value, View
from tensaw.spec.errors import ModelError, UnsupportedError

__all__ = ["input_value", "output_port"]

_IMAGE_READERS = {
    "Conv", "QLinearConv", "MaxPool", "AveragePool", "QLinearAveragePool", "GlobalAveragePool",
    "QLinearGlobalAveragePool", "ReduceMean", "QLinearReduceMean",
}  # fmt: skip
_ORDER_READERS = {"Gemm", "MatMul", "QGemm", "QLinearMatMul", "Reshape", "Flatten", "Squeeze", "Unsqueeze"}


def input_value(model: Model, port: Declared, builder: Builder) -> Value:
    """The value of a network input; declares its IR tensor and its port.

    An image is stored NHWC, whatever the file does with it first: if it is NHWC in the file and transposed there, then
    nothing is permuted on either side.
    """
    rank = len(port.shape)
    if rank > 4:
        raise UnsupportedError(
            f"{model.name}: input {port.name!r} has {rank} dimensions, {list(port.shape)}, and tensors have at most "
            f"4; join "
            "dimensions before exporting."
        )
    order = _storage_order(model, port.name, rank)
    dims = tuple(port.shape[axis] for axis in order)
    match rank:
        case 1:
            dims = (1, *dims)
        case 3:
            dims = (dims[0], 1, *dims[1:])
    tensor = builder.tensor(port.name, dims)
    view = View(tensor, port.shape, Layout.of(port.shape, order))
    permutation = None if order == tuple(range(rank)) else order
    builder.graph.inputs.append(ir.Port(tensor, port.name, port.shape, port.dtype, permutation, True))
    return FloatInput(view) if port.dtype == "float32" else Integers(view, port.dtype == "uint8")


def _storage_order(model: Model, name: str, rank: int) -> tuple[int, ...]:
    """Axes of the input in the order in which its first reader of substance wants them stored."""
    identity = tuple(range(rank))
    seen = {name}
    queue = [(name, identity)]
    while queue:
        source, moved = queue.pop(0)
        for node in model.nodes:
            if source not in node.inputs or not node.outputs or node.outputs[0] in seen:
                continue
            if node.op_type in _ORDER_READERS or rank < 3:
                return identity
            if node.op_type in _IMAGE_READERS:
                return tuple(moved[axis] for axis in channels_last(rank))
            then = moved
            if node.op_type == "Transpose":
                perm = node.attributes.get("perm") or tuple(reversed(identity))
                if not isinstance(perm, tuple) or sorted(perm) != list(identity):
                    return identity
                then = tuple(moved[int(axis)] for axis in perm)
            seen.add(node.outputs[0])
            queue.append((node.outputs[0], then))
    return channels_last(rank) if rank == 4 else identity


def output_port(model: Model, port: Declared, value: Value, builder: Builder) -> ir.Port:
    """The port of a network output: an int8 or uint8 tensor, or its dequantised values."""
    if isinstance(value, Real):
        linear = builder.linear(value)
        if linear is None:
            raise UnsupportedError(
                f"{model.name}: output {port.name!r} is the float result of {value.kind} {value.label!r}, and every "
                f"operator's "
                "result must be int8; quantise this operator too, so that a QuantizeLinear follows it."
            )
        known = builder.graph.tensors[linear.view.tensor]
        if (known.scale, known.zero_point) != (linear.scale, linear.zero_point):
            raise UnsupportedError(
                f"{model.name}: output {port.name!r} is dequantised with scale {linear.scale:g}, unlike the scale "
                f"{known.scale:g} it was quantised with; use the same scale in both places."
            )
        return _port(model, port, linear.view, "float32")
    if isinstance(value, Integers):
        return _port(model, port, value.view, "uint8" if value.unsigned else "int8")
    origin = f" of {value.owner}" if isinstance(value, Pending) else ""
    raise UnsupportedError(
        f"{model.name}: output {port.name!r} is a float result{origin} or a constant, and every output must be an "
        f"int8 result; "
        "quantise the last operator too, so that a QuantizeLinear follows it."
    )


def _port(model: Model, port: Declared, view: View, dtype: str) -> ir.Port:
    if port.dtype != dtype:
        raise ModelError(
            f"{model.name}: output {port.name!r} is declared {port.dtype} and computed as {dtype}; the file is "
            f"inconsistent, "
            "export it again."
        )
    order = view.layout.axes(view.shape)
    if order is None:
        raise UnsupportedError(
            f"{model.name}: output {port.name!r} is an image of several channels flattened to {list(view.shape)}, and "
            f"the NPU "
            "keeps it channels last; end the network before the Flatten or Reshape and flatten on the host."
        )
    permutation = None if order == tuple(range(len(order))) else order
    return ir.Port(view.tensor, port.name, view.shape, dtype, permutation)
