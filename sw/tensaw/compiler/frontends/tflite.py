"""``.tflite`` networks: :func:`load_tflite` and :func:`survey_tflite`."""

from __future__ import annotations

from tensaw.compiler import ir
from tensaw.compiler.frontends import tflite_matrix, tflite_pointwise, tflite_tensor
from tensaw.compiler.frontends.tflite_file import FileTensor, read_tflite
from tensaw.compiler.frontends.tflite_import import HANDLERS, QUANTISE_FIX, Importer, Refusal
from tensaw.compiler.frontends.verdict import OperatorVerdict
from tensaw.spec.errors import ModelError, UnsupportedError

__all__ = ["load_tflite", "supported_operators", "survey_tflite"]

# Importing these modules fills HANDLERS.
_HANDLER_MODULES = (tflite_matrix, tflite_pointwise, tflite_tensor)


def supported_operators() -> dict[str, str]:
    """{operator type: what is supported}, from the handlers' docstrings."""
    return {kind: " ".join((HANDLERS[kind].__doc__ or "").split()) for kind in sorted(HANDLERS)}


def load_tflite(data: bytes, name: str) -> ir.Graph:
    """The network in ``data`` as integers. ``name`` becomes the graph's and appears in messages.

    Raises ModelError for a file that is none or damaged, UnsupportedError for the first operator that cannot be used.
    """
    file = read_tflite(data, name)
    importer = Importer(file, name)
    _check_network_inputs(importer)
    for op in file.operators:
        _import(importer, op.index)
    _check_order(importer)
    importer.graph.inputs = [_input_port(importer, file.tensors[index]) for index in file.inputs]
    importer.graph.outputs = [_output_port(importer, file.tensors[index]) for index in file.outputs]
    return importer.graph


def survey_tflite(data: bytes, name: str) -> list[OperatorVerdict]:
    """Every operator's verdict, refusals included. Raises ModelError only if the file cannot be read at all."""
    file = read_tflite(data, name)
    verdicts = []
    for op in file.operators:
        importer = Importer(file, name)
        label = importer.names[op.outputs[0]] if op.outputs and op.outputs[0] >= 0 else ""
        try:
            _import(importer, op.index)
        except Refusal as refusal:
            verdicts.append(OperatorVerdict(op.index, op.kind, label, False, refusal.reason, refusal.fix))
        except ModelError as error:
            verdicts.append(OperatorVerdict(op.index, op.kind, label, False, str(error), ""))
        else:
            verdicts.append(OperatorVerdict(op.index, op.kind, label, True))
    return verdicts


def _import(importer: Importer, index: int) -> None:
    op = importer.file.operators[index]
    handler = HANDLERS.get(op.kind)
    if handler is None:
        importer.refuse(
            op,
            "tensaw has no such operator.",
            f"Replace it by supported ones ({', '.join(sorted(HANDLERS))}), or end the network before it and compute "
            "the rest on the host.",
        )
    handler(importer, op)


def _check_network_inputs(importer: Importer) -> None:
    if not importer.file.inputs or not importer.file.outputs:
        raise ModelError(f"{importer.graph.name} has no inputs or no outputs. Convert the model again.")
    for index in importer.file.inputs:
        tensor = importer.file.tensors[index]
        if tensor.dynamic:
            raise UnsupportedError(
                f"Input {tensor.name!r} of {importer.graph.name} has a dynamic shape. The NPU's program is made for "
                "one shape: convert the model with fixed input shapes."
            )
        if len(tensor.shape) > 2 and tensor.shape[0] != 1:
            raise UnsupportedError(
                f"Input {tensor.name!r} of {importer.graph.name} has the shape {tensor.shape}, a batch of "
                f"{tensor.shape[0]}. The NPU runs one sample at a time: convert the model for a batch of 1."
            )


def _check_order(importer: Importer) -> None:
    """Every operator's inputs are constants, network inputs or earlier results; no result is written twice."""
    ready = {name for name, tensor in importer.graph.tensors.items() if tensor.data is not None}
    ready |= {port.tensor for port in importer.input_ports.values()}
    ready |= {importer.names[index] for index in importer.file.inputs if index not in importer.input_ports}
    for op in importer.graph.ops:
        for name in op.inputs:
            if name not in ready:
                raise ModelError(
                    f"Operator {op.kind} ({op.name!r}) of {importer.graph.name} reads {name!r} before anything has "
                    "written it. Convert the model again."
                )
        if op.output in ready:
            raise ModelError(
                f"Tensor {op.output!r} of {importer.graph.name} is written more than once. Convert the model again."
            )
        ready.add(op.output)


def _boundary(importer: Importer, tensor: FileTensor, what: str) -> ir.Port:
    """A port whose tensor is the network's own int8 tensor."""
    if tensor.type.startswith("FLOAT"):
        raise UnsupportedError(
            f"The {what} {tensor.name!r} of {importer.graph.name} is {tensor.type} and no operator converts it, so the "
            f"network is not quantised. {QUANTISE_FIX}"
        )
    name = importer.names[tensor.index]
    if tensor.type != "INT8" or name not in importer.graph.tensors:
        raise UnsupportedError(
            f"The {what} {tensor.name!r} of {importer.graph.name} is {tensor.type} and not the int8 tensor of a "
            "supported operator. Make it an int8, uint8 or float32 tensor that an operator of the network uses."
        )
    return ir.Port(name, tensor.name, tensor.shape)


def _input_port(importer: Importer, tensor: FileTensor) -> ir.Port:
    return importer.input_ports.get(tensor.index) or _boundary(importer, tensor, "network input")


def _output_port(importer: Importer, tensor: FileTensor) -> ir.Port:
    return importer.output_ports.get(tensor.index) or _boundary(importer, tensor, "network output")
