"""How often the golden model and ONNX Runtime differ, layer by layer from identical inputs.

``python -m tensaw.networks.onnx_agreement`` prints the table of ``docs/numerics.md``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx

from tensaw.compiler.frontends.onnx import load_onnx
from tensaw.model.graph import run_operator
from tensaw.networks.onnx_reference import run_onnxruntime, to_ir
from tensaw.networks.onnx_samples import random_network

__all__ = ["LayerAgreement", "compare_layers"]


@dataclass(frozen=True)
class LayerAgreement:
    """One operator: ``elements`` compared, how many are ``differing``, by how many steps at most (``largest``)."""

    name: str
    kind: str
    elements: int
    differing: int
    largest: int


def compare_layers(data: bytes, inputs: dict[str, npt.NDArray]) -> list[LayerAgreement]:
    """Each IR operator on ONNX Runtime's own tensors, against ONNX Runtime's result (no optimisation).

    Tensors are matched by name; those that only one side has are computed by the golden model and not compared.
    """
    graph = load_onnx(data, "network.onnx")
    reference = run_onnxruntime(_with_outputs(data, {op.output for op in graph.ops}), inputs)
    values = {t.name: t.data for t in graph.tensors.values() if t.data is not None}
    for port in graph.inputs:
        values[port.tensor] = to_ir(port, graph.tensors[port.tensor], inputs[port.name])
    layers = []
    for op in graph.ops:
        shape = graph.tensors[op.output].shape
        result = run_operator(op, [values[name] for name in op.inputs], shape)
        values[op.output] = result
        if op.output not in reference or reference[op.output].dtype == np.float32:
            continue
        expected = _as_ir(reference[op.output], shape)
        difference = np.abs(result.astype(np.int16) - expected)
        differing = int(np.count_nonzero(difference))
        layers.append(LayerAgreement(op.name, op.kind, difference.size, differing, int(difference.max())))
        # The next layer starts from ONNX Runtime's values.
        values[op.output] = expected
    return layers


def _with_outputs(data: bytes, names: set[str]) -> bytes:
    """The model with those results of its nodes that are among ``names`` as further outputs."""
    model = onnx.load_model_from_string(data)
    known = {value.name for value in model.graph.output}
    for node in model.graph.node:
        if node.output[0] in names - known:
            # ONNX Runtime finds type and shape out itself.
            model.graph.output.append(onnx.ValueInfoProto(name=node.output[0]))
    return model.SerializeToString()


def _as_ir(array: npt.NDArray, shape: tuple[int, ...]) -> npt.NDArray[np.int8]:
    """An NCHW or matrix result, int8 or uint8, in the IR's layout."""
    values = array.astype(np.int16) - (128 if array.dtype == np.uint8 else 0)
    if values.ndim == 4:
        values = values.transpose(0, 2, 3, 1)
    return values.reshape(shape).astype(np.int8)


def _sample() -> Iterator[LayerAgreement]:
    for seed in range(100):
        for unsigned in (False, True):
            net, inputs = random_network(seed, "qdq", unsigned)
            yield from compare_layers(net.to_bytes(), inputs)


def main() -> None:
    """Print, for each operator type, how many of all results differ."""
    kinds: dict[str, list[LayerAgreement]] = defaultdict(list)
    for layer in _sample():
        kinds[layer.kind].append(layer)
    print(f"{'operator':<12} {'layers':>7} {'elements':>10} {'differing':>10} {'share':>9} {'largest':>8}")
    for kind, layers in sorted(kinds.items()):
        elements, differing = sum(x.elements for x in layers), sum(x.differing for x in layers)
        largest = max(x.largest for x in layers)
        print(f"{kind:<12} {len(layers):>7} {elements:>10,} {differing:>10,} {differing / elements:>9.5%} {largest:>8}")


if __name__ == "__main__":
    main()
