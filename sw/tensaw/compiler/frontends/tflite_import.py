"""What all ``.tflite`` operator handlers share: tensors by index, refusals, and the graph under construction."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from tensaw.compiler import ir
from tensaw.compiler.frontends.tflite_file import FileOperator, FileTensor, TfliteFile
from tensaw.spec.errors import ModelError, UnsupportedError

__all__ = ["HANDLERS", "Handler", "Importer", "Refusal", "handles"]


class Refusal(UnsupportedError):
    """An operator that cannot be compiled: ``reason`` and ``fix`` are sentences; ``str()`` has both and the place."""

    def __init__(self, place: str, reason: str, fix: str) -> None:
        super().__init__(f"{place}: {reason} {fix}")
        self.reason = reason
        self.fix = fix


# Within these, no product or quotient of scales leaves float32, in which some of LiteRT's kernels compute.
_SCALES = (2.0**-40, 2.0**40)

QUANTISE_FIX = (
    "Quantise the network to int8: tf.lite.TFLiteConverter with optimizations = [tf.lite.Optimize.DEFAULT], a "
    "representative_dataset and supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]."
)


class Importer:
    """Turns one file into one graph. Handlers read the operator through it and append IR operators."""

    def __init__(self, file: TfliteFile, name: str) -> None:
        self.file = file
        self.graph = ir.Graph(name)
        self.input_ports: dict[int, ir.Port] = {}
        self.output_ports: dict[int, ir.Port] = {}
        self.names = _unique_names(file.tensors)

    # Places and refusals -------------------------------------------------------------------------------------------

    def place(self, op: FileOperator) -> str:
        """``Operator 3 (CONV_2D, 'conv1') of model.tflite``, for messages."""
        name = f", {self.names[op.outputs[0]]!r}" if op.outputs and op.outputs[0] >= 0 else ""
        return f"Operator {op.index} ({op.kind}{name}) of {self.graph.name}"

    def refuse(self, op: FileOperator, reason: str, fix: str) -> NoReturn:
        """Raise the refusal of an operator; ``reason`` and ``fix`` are whole sentences."""
        raise Refusal(self.place(op), reason, fix)

    # Tensors -------------------------------------------------------------------------------------------------------

    def operand(self, op: FileOperator, position: int) -> FileTensor:
        """The file's tensor at an input position that must be present."""
        if position >= len(op.inputs) or op.inputs[position] < 0:
            raise ModelError(f"{self.place(op)} lacks its input {position}. Convert the model again.")
        return self.file.tensors[op.inputs[position]]

    def result(self, op: FileOperator) -> FileTensor:
        """The file's tensor of the only output."""
        if len(op.outputs) != 1 or op.outputs[0] < 0:
            raise ModelError(f"{self.place(op)} has {len(op.outputs)} outputs, not one. Convert the model again.")
        return self.file.tensors[op.outputs[0]]

    def int8(self, op: FileOperator, tensor: FileTensor) -> ir.Tensor:
        """The IR tensor of an int8 tensor with one scale; refuses any other."""
        if tensor.type.startswith(("FLOAT", "BFLOAT")):
            self.refuse(op, f"it works on {tensor.type} tensors (here {tensor.name!r}).", QUANTISE_FIX)
        if tensor.type != "INT8":
            self.refuse(op, f"tensor {tensor.name!r} is {tensor.type}; activations must be INT8.", QUANTISE_FIX)
        return self.as_int8(op, tensor, 0)

    def as_int8(self, op: FileOperator, tensor: FileTensor, offset: int) -> ir.Tensor:
        """The IR tensor of an 8-bit tensor whose stored values, less ``offset``, are int8."""
        self.check_shape(op, tensor)
        quantisation = tensor.quantisation
        if quantisation is None or len(quantisation.scales) != 1:
            self.refuse(
                op, f"tensor {tensor.name!r} has {len(quantisation.scales) if quantisation else 0} scales, not one.",
                QUANTISE_FIX,
            )  # fmt: skip
        if not _SCALES[0] <= quantisation.scales[0] <= _SCALES[1]:
            self.refuse(
                op,
                f"the scale {quantisation.scales[0]:g} of {tensor.name!r} is outside 2^-40 to 2^40.",
                "Quantise again with data that represent the real inputs.",
            )
        zero_point = quantisation.zero_points[0] - offset
        if not -128 <= zero_point <= 127:
            raise ModelError(
                f"{self.place(op)}: the zero point {quantisation.zero_points[0]} of {tensor.name!r} is no "
                f"{tensor.type} value. Convert the model again."
            )
        name = self.names[tensor.index]
        if name not in self.graph.tensors:
            data = None if tensor.data is None else tensor.data.astype(np.int8)
            self.graph.tensors[name] = ir.Tensor(
                name, tensor.shape, quantisation.scales[0], zero_point, data, tensor.index
            )
        return self.graph.tensors[name]

    def check_shape(self, op: FileOperator, tensor: FileTensor) -> None:
        """Refuse a tensor whose shape is not known now."""
        if tensor.dynamic:
            self.refuse(
                op,
                f"the shape of {tensor.name!r} is dynamic ({', '.join(map(str, tensor.shape))}).",
                "Convert the model with fixed input shapes (input_shape in the Keras model, or "
                "concrete_functions with a fixed signature).",
            )
        if 0 in tensor.shape:
            self.refuse(
                op,
                f"tensor {tensor.name!r} of shape {tensor.shape} is empty.",
                "Give every dimension at least one element.",
            )
        if tensor.variable:
            self.refuse(
                op,
                f"tensor {tensor.name!r} is a variable that keeps its value between runs.",
                "Make the state an input and an output of the network.",
            )

    def constant(self, op: FileOperator, position: int, what: str, types: tuple[str, ...]) -> FileTensor:
        """An input that must be a dense constant of one of ``types``."""
        tensor = self.operand(op, position)
        if tensor.sparse:
            self.refuse(
                op, f"its {what} {tensor.name!r} are stored sparsely.", "Convert without sparsity optimisation."
            )
        if tensor.type not in types:
            fix = QUANTISE_FIX if tensor.type.startswith("FLOAT") else "Convert the model with 8-bit integer weights."
            self.refuse(op, f"its {what} {tensor.name!r} are {tensor.type}, not {' or '.join(types)}.", fix)
        if tensor.data is None:
            self.refuse(
                op,
                f"its {what} {tensor.name!r} are computed by the network.",
                f"Make the {what} a constant of the model.",
            )
        return tensor

    def integers(self, op: FileOperator, position: int, what: str) -> npt.NDArray[np.int64]:
        """A constant input of integers (axes, paddings)."""
        data = self.constant(op, position, what, ("INT32", "INT64")).data
        assert data is not None  # constant() refuses otherwise
        return data.astype(np.int64)

    # Building ------------------------------------------------------------------------------------------------------

    def require_shape(self, op: FileOperator, tensor: ir.Tensor, shape: tuple[int, ...]) -> None:
        """The file's own shape of a result must be the computed one."""
        if tensor.shape != shape:
            raise ModelError(
                f"{self.place(op)}: the file gives its output the shape {tensor.shape}, but the operator makes "
                f"{shape}. Convert the model again."
            )

    def require_image(self, op: FileOperator, tensor: ir.Tensor) -> None:
        """The tensor must be one image, (1, height, width, channels)."""
        if len(tensor.shape) != 4 or tensor.shape[0] != 1:
            self.refuse(
                op,
                f"its input {tensor.name!r} has the shape {tensor.shape}, not (1, height, width, channels).",
                "Convert the model for a batch of one image.",
            )

    def reshaped(self, op: FileOperator, tensor: ir.Tensor, shape: tuple[int, ...], suffix: str) -> ir.Tensor:
        """The tensor under another shape: itself if the shape agrees, else the output of a new Reshape."""
        if tensor.shape == shape:
            return tensor
        view = ir.Tensor(f"{self.names[op.outputs[0]]}/{suffix}", shape, tensor.scale, tensor.zero_point)
        self.graph.tensors[view.name] = view
        self.append(ir.Reshape(view.name, op.kind, (tensor.name,), view.name))
        return view

    def append(self, operator: ir.Op) -> None:
        """Add an operator at the end of the graph."""
        self.graph.ops.append(operator)


Handler = Callable[[Importer, FileOperator], None]
HANDLERS: dict[str, Handler] = {}
"""By operator type; the first paragraph of a handler's docstring says what is supported."""


def handles(*kinds: str) -> Callable[[Handler], Handler]:
    """Register a function as the handler of these operator types."""

    def register(handler: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(kinds, handler))
        return handler

    return register


def _unique_names(tensors: list[FileTensor]) -> list[str]:
    """The tensors' names by index; a name that occurs again gets its index as suffix."""
    seen: set[str] = set()
    names = []
    for tensor in tensors:
        name = tensor.name if tensor.name not in seen else f"{tensor.name}:{tensor.index}"
        while name in seen:
            name += "'"
        seen.add(name)
        names.append(name)
    return names


def element_count(shape: tuple[int, ...]) -> int:
    """Number of elements of a shape."""
    return math.prod(shape)
