"""Writes small quantised ``.onnx`` networks, in QDQ and in QOperator form from the same calls, for examples and tests.

net = OnnxWriter("qdq")
x = net.input("image", (1, 1, 8, 8), scale=1 / 16, zero_point=-128)
w = net.weights("w", weights, scales, axis=0)
y = net.operator("Conv", [x, w, net.bias("b", bias, x, w)], scale=0.1, zero_point=0, pads=[1, 1, 1, 1])
net.output(y, (1, 4, 8, 8))
data = net.to_bytes()
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = ["Activation", "Form", "OnnxWriter", "Weights"]

Form = Literal["qdq", "qoperator"]
_MICROSOFT = "com.microsoft"
_DOMAINS = {"Conv": ("QLinearConv", ""), "MatMul": ("QLinearMatMul", ""), "Gemm": ("QGemm", _MICROSOFT)}
_TYPES = {"float32": TensorProto.FLOAT, "int8": TensorProto.INT8, "uint8": TensorProto.UINT8}


@dataclass(frozen=True)
class Activation:
    """A quantised activation: the name of its integer tensor, its scale and zero point as the file holds them."""

    name: str
    scale: float
    zero_point: int


@dataclass(frozen=True)
class Weights:
    """A constant: integers with ``scale`` and ``zero_point`` of shape () or (channels,) along ``axis``.

    ``raw`` constants stay integers in QOperator form (biases).
    """

    name: str
    integers: npt.NDArray
    scale: npt.NDArray[np.float32]
    zero_point: npt.NDArray
    axis: int
    raw: bool = False


class OnnxWriter:
    """A network under construction. ``unsigned``: activations are uint8 instead of int8."""

    def __init__(self, form: Form = "qdq", *, unsigned: bool = False, opset: int = 17, name: str = "network") -> None:
        self.form = form
        self.opset = opset
        self.name = name
        self.dtype = np.dtype(np.uint8 if unsigned else np.int8)
        self.nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []

    def input(
        self, name: str, shape: Sequence[int], scale: float, zero_point: int, *, dtype: str = "float32"
    ) -> Activation:
        """A network input, ``dtype`` float32 (quantised by the network), int8 or uint8."""
        self._inputs.append(helper.make_tensor_value_info(name, _TYPES[dtype], shape))
        if dtype != "float32":
            return Activation(name, scale, zero_point)
        return self.quantise(name, f"{name}_quantised", scale, zero_point)

    def weights(
        self, name: str, integers: npt.NDArray, scale: npt.ArrayLike, *, axis: int = 0, zero_point: npt.ArrayLike = 0
    ) -> Weights:
        """Constant weights (int8 or uint8), one ``scale`` or one for each index of ``axis``."""
        scales = np.asarray(scale, np.float32)
        zeros = np.broadcast_to(np.asarray(zero_point, integers.dtype), scales.shape)
        return Weights(name, integers, scales, zeros, axis)

    def bias(self, name: str, integers: npt.NDArray, x: Activation, weights: Weights) -> Weights:
        """An int32 bias in units of input scale times weight scale."""
        scale = np.float32(x.scale) * weights.scale
        return Weights(name, integers.astype(np.int32), scale, np.zeros(scale.shape, np.int32), 0, raw=True)

    def node(self, kind: str, inputs: Sequence[str], output: str, *, domain: str = "", **attributes: Any) -> str:
        """A node as it is; returns its output's name."""
        self.nodes.append(helper.make_node(kind, inputs, [output], name=f"{output}_node", domain=domain, **attributes))
        return output

    def constant(self, name: str, array: npt.ArrayLike) -> str:
        """An initializer; returns its name."""
        self._constants[name] = numpy_helper.from_array(np.asarray(array), name)
        return name

    def quantise(self, source: str, name: str, scale: float, zero_point: int) -> Activation:
        """QuantizeLinear of the float tensor ``source``."""
        result = Activation(name, scale, zero_point)
        self.node("QuantizeLinear", [source, *self._parameters(result)], name)
        return result

    def dequantise(self, x: Activation | Weights) -> str:
        """DequantizeLinear; returns the float tensor's name."""
        if isinstance(x, Activation):
            # One for each use, as quantisation tools write them.
            name = f"{x.name}_float_{len(self.nodes)}"
            return self.node("DequantizeLinear", [x.name, *self._parameters(x)], name)
        axis: dict[str, Any] = {"axis": x.axis} if x.scale.ndim else {}
        self.constant(x.name, x.integers)
        parameters = self._parameters(x)
        return self.node("DequantizeLinear", [x.name, *parameters], f"{x.name}_float_{len(self.nodes)}", **axis)

    def operator(
        self,
        kind: str,
        inputs: Sequence[Activation | Weights | str],
        *,
        scale: float,
        zero_point: int,
        name: str = "",
        activation: str = "",
        limits: tuple[float, float] | None = None,
        **attributes: Any,
    ) -> Activation:
        """A quantised operator, by its float name (``Conv``). Strings among the inputs are passed on as they are.

        ``activation`` (``Relu``, or ``Clip`` with ``limits``) stands before the QuantizeLinear, in QDQ form only.
        """
        name = name or f"{kind.lower()}_{len(self.nodes)}"
        if self.form == "qoperator":
            return self._qoperator(kind, inputs, Activation(name, scale, zero_point), attributes)
        floats = [x if isinstance(x, str) else self.dequantise(x) for x in inputs]
        result = self.node(kind, floats, f"{name}_result", **attributes)
        if activation:
            bounds = [self.constant(f"{name}_limit_{i}", np.float32(v)) for i, v in enumerate(limits or ())]
            result = self.node(activation, [result, *bounds], f"{name}_activated")
        return self.quantise(result, name, scale, zero_point)

    def output(self, x: Activation, shape: Sequence[int], *, dtype: str = "") -> None:
        """Declare an output of ``shape``, by default of the integer type; ``dtype`` float32 dequantises it."""
        if dtype == "float32":
            name = self.node("DequantizeLinear", [x.name, *self._parameters(x)], f"{x.name}_output")
        else:
            name = x.name
        self._outputs.append(helper.make_tensor_value_info(name, _TYPES[dtype or self.dtype.name], shape))

    def to_model(self) -> onnx.ModelProto:
        """The network as a protobuf message."""
        graph = helper.make_graph(self.nodes, self.name, self._inputs, self._outputs, list(self._constants.values()))
        imports = [helper.make_opsetid("", self.opset), helper.make_opsetid(_MICROSOFT, 1)]
        return helper.make_model(graph, opset_imports=imports, ir_version=8 if self.opset < 19 else 10)

    def to_bytes(self) -> bytes:
        """The content of the ``.onnx`` file."""
        return self.to_model().SerializeToString()

    def _parameters(self, x: Activation | Weights) -> list[str]:
        """Initializers for scale and zero point; returns their names."""
        zero_type = x.integers.dtype if isinstance(x, Weights) else self.dtype
        scale = self.constant(f"{x.name}_scale", np.asarray(x.scale, np.float32))
        return [scale, self.constant(f"{x.name}_zero_point", np.asarray(x.zero_point, zero_type))]

    def _qoperator(
        self, kind: str, inputs: Sequence[Activation | Weights | str], result: Activation, attributes: dict[str, Any]
    ) -> Activation:
        arguments: list[str] = []
        for x in inputs:
            if isinstance(x, Weights):
                self.constant(x.name, x.integers)
            if isinstance(x, str) or (isinstance(x, Weights) and x.raw):
                arguments.append(x if isinstance(x, str) else x.name)
            else:
                arguments += [x.name, *self._parameters(x)]
        output = self._parameters(result)
        if kind == "Conv":
            # The bias comes last.
            arguments = [*arguments[:6], *output, *arguments[6:]]
        elif kind == "Gemm":
            arguments = [*arguments[:6], arguments[6] if len(arguments) > 6 else "", *output]
        elif kind == "Concat":
            arguments = [*output, *arguments]
        else:
            arguments += output
        if kind == "Softmax":
            # It carries the version of the operator set that defines it.
            attributes = {**attributes, "opset": self.opset}
        operator, domain = _DOMAINS.get(kind, (f"QLinear{kind}", _MICROSOFT))
        self.node(operator, arguments, result.name, domain=domain, **attributes)
        return result
