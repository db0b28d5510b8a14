"""ONNX Runtime as a reference for quantised ``.onnx`` networks, and the golden model called in the file's own terms."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from tensaw.compiler import ir
from tensaw.model import run_graph

__all__ = ["from_ir", "run_golden", "run_onnxruntime", "to_ir"]

Array = npt.NDArray


def run_onnxruntime(data: bytes, inputs: Mapping[str, Array], *, optimise: bool = False) -> dict[str, Array]:
    """The network's outputs by name, on one CPU thread.

    Without ``optimise`` every node is computed as the file has it, QDQ networks in float. With it, ONNX Runtime fuses
    them into its integer kernels. On x86 without VNNI these add pairs of uint8 · int8 products in 16 bits that saturate
    (https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html), so comparisons with uint8
    activations need weights of at most 7 bits.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimise else levels.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, map(np.asarray, session.run(names, dict(inputs))), strict=True))


def to_ir(port: ir.Port, tensor: ir.Tensor, array: Array) -> npt.NDArray[np.int8]:
    """A host array as the IR's int8 tensor."""
    if port.dtype == "float32":
        quotient = np.rint(array.astype(np.float32) / np.float32(tensor.scale))
        array = np.clip(quotient + tensor.zero_point, -128, 127)
    elif port.dtype == "uint8":
        array = array.astype(np.int16) - 128
    order = port.permutation or tuple(range(array.ndim))
    return array.transpose(order).astype(np.int8).reshape(tensor.shape)


def from_ir(port: ir.Port, tensor: ir.Tensor, array: npt.NDArray[np.int8]) -> Array:
    """An IR tensor as the host sees the port."""
    order = port.permutation or tuple(range(len(port.shape)))
    values = array.reshape([port.shape[axis] for axis in order]).transpose(np.argsort(order))
    if port.dtype == "float32":
        return (values.astype(np.int32) - tensor.zero_point).astype(np.float32) * np.float32(tensor.scale)
    return (values.astype(np.int16) + 128).astype(np.uint8) if port.dtype == "uint8" else values


def run_golden(graph: ir.Graph, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """The golden model's outputs, by the file's names and in its types and shapes, from inputs likewise."""
    tensors = graph.tensors
    given = {port.tensor: to_ir(port, tensors[port.tensor], inputs[port.name]) for port in graph.inputs}
    results = run_graph(graph, given)
    return {port.name: from_ir(port, tensors[port.tensor], results[port.tensor]) for port in graph.outputs}
