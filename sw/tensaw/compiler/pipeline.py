"""Graph to program: passes, layouts, memory plan, actions, order, command words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tensaw.compiler.builder import Builder
from tensaw.compiler.emit import emit_words, keep_weights, weight_bytes
from tensaw.compiler.ir import Graph, Port
from tensaw.compiler.lowering.base import Lowering
from tensaw.compiler.lowering.select import choose_layouts, lower
from tensaw.compiler.operator_report import describe_operators
from tensaw.compiler.passes.channels import remove_channels
from tensaw.compiler.passes.fusion import form_stages
from tensaw.compiler.passes.padding import fold_padding
from tensaw.compiler.passes.transpose import transpose_images
from tensaw.compiler.planner.execute import execute
from tensaw.compiler.planner.memory import MemoryPlan, plan_memory
from tensaw.compiler.stages import Network
from tensaw.compiler.tokens import order_actions
from tensaw.spec.config import NpuConfig
from tensaw.spec.errors import UnsupportedError
from tensaw.spec.isa import END_WORD
from tensaw.spec.program import CONSTANTS, INPUTS, OUTPUTS, SCRATCH, Binding, Layer, Program

__all__ = ["CompileOptions", "compile_graph", "port_binding"]

_ALIGNMENT = 64
"""Bytes: of tensors in memory, so that transfers begin at a bus word of every width."""
_WORTH_TRANSPOSING = 0.985
"""Images are transposed if the estimated cycles fall below this part."""


@dataclass(frozen=True)
class CompileOptions:
    """``keep_tensors``: every operator's result is also stored to memory, and nothing is fused that would hide one.
    ``fuse``: let the output stage do elementwise operators and tables of its producer. ``follow``: let layers start on
    rows that the layer before has finished. ``transpose``: exchange rows and columns of all images where that saves
    cycles (the bindings' permutations then say so). ``remove_channels``: leave out channels that are constant or that
    nothing wants (never with ``keep_tensors``)."""

    keep_tensors: bool = False
    fuse: bool = True
    follow: bool = True
    transpose: bool = True
    remove_channels: bool = True


class _Regions:
    """Hands out memory in the four regions."""

    def __init__(self) -> None:
        self.sizes = [0, 0, 0, 0]

    def take(self, region: int, size: int) -> tuple[int, int]:
        offset = self.sizes[region]
        self.sizes[region] = offset + -(-size // _ALIGNMENT) * _ALIGNMENT
        return region, offset

    def final(self) -> tuple[int, int, int, int]:
        """Sizes of the regions; none is empty."""
        constants, inputs, outputs, scratch = (max(size, _ALIGNMENT) for size in self.sizes)
        return constants, inputs, outputs, scratch


def compile_graph(graph: Graph, config: NpuConfig, options: CompileOptions | None = None) -> Program:
    """The program that computes ``graph`` on ``config``.

    Raises UnsupportedError if the network cannot run on this configuration, with what to change.
    """
    options = options or CompileOptions()
    fuse = options.fuse and not options.keep_tensors
    source, removed = graph, {}
    if options.remove_channels and not options.keep_tensors:
        graph, removed = remove_channels(graph)
    built = _build(fold_padding(graph) if fuse else graph, config, options)
    if options.transpose and not options.keep_tensors:
        other = transpose_images(built.graph)
        if other is not None:
            transposed = _build(other, config, options)
            if transposed.cycles < _WORTH_TRANSPOSING * built.cycles:
                built = transposed
    return _assemble(built, source, removed, options)


@dataclass
class _Built:
    """A graph with all actions that compute it, before they are ordered and encoded."""

    graph: Graph
    config: NpuConfig
    network: Network
    lowerings: list[Lowering]
    plan: MemoryPlan
    builder: Builder
    regions: _Regions
    constants: list[tuple[int, bytes]]
    """(offset, bytes) of constant tensors in region 0."""

    @property
    def cycles(self) -> int:
        """Estimate: layer by layer the slowest of array, output stage and weight stream."""
        return sum(cost.estimate for cost in self.builder.costs)


def _build(graph: Graph, config: NpuConfig, options: CompileOptions) -> _Built:
    network = form_stages(graph, options.fuse and not options.keep_tensors)
    layouts = choose_layouts(config, network)
    lowerings = [lower(config, stage, layouts) for stage in network.stages]
    plan = plan_memory(config, network, lowerings, layouts)
    regions = _Regions()
    constants = _place_tensors(graph, network, plan, regions, options)
    builder = Builder(config)
    execute(config, network, lowerings, plan, builder)
    return _Built(graph, config, network, lowerings, plan, builder, regions, constants)


def _assemble(built: _Built, source: Graph, removed: Mapping[str, tuple[int, int]], options: CompileOptions) -> Program:
    """The program; ``source`` is the graph before passes and ``removed`` what went from its operators' results, for
    the report."""
    graph, config, network, builder, regions = built.graph, built.config, built.network, built.builder, built.regions
    keep_weights(builder.actions, config)
    order_actions(builder.actions, options.follow)
    _, weights_offset = regions.take(CONSTANTS, builder.store.size)
    words = emit_words(builder.actions, weights_offset, config)
    words += [END_WORD] * (len(words) % 2)
    _, program_offset = regions.take(CONSTANTS, 8 * len(words))
    _check_address_space(graph, regions, config)
    image = bytearray(regions.final()[CONSTANTS])
    program = np.array(words, "<u8").tobytes()
    parts = (*built.constants, (weights_offset, builder.store.to_bytes()), (program_offset, program))
    for offset, content in parts:
        image[offset : offset + len(content)] = content
    layers = [_layer(lowering, builder, index) for index, lowering in enumerate(built.lowerings)]
    streamed = [layer.weight_bytes for layer in layers]
    return Program(
        name=graph.name,
        config=config,
        constants=bytes(image),
        program_offset=program_offset,
        program_bytes=len(program),
        region_sizes=regions.final(),
        inputs=[_port_binding(graph, network, port) for port in graph.inputs],
        outputs=[_port_binding(graph, network, port) for port in graph.outputs],
        kept=_kept(graph, network) if options.keep_tensors else [],
        layers=layers,
        tags=builder.tags,
        notes=_notes(built, len(words))
        | {
            "removed_channels": {name: list(counts) for name, counts in removed.items()},
            "operators": describe_operators(source, built.lowerings, builder.costs, streamed, config, removed),
        },
    )


def _place_tensors(
    graph: Graph, network: Network, plan: MemoryPlan, regions: _Regions, options: CompileOptions
) -> list[tuple[int, bytes]]:
    """Give every storage that needs one a place in memory; returns (offset, bytes) of the constants."""
    storages = network.storages
    constants = []
    for port in graph.inputs:
        storage = storages[network.storage_of[port.tensor]]
        storage.home, storage.loaded = regions.take(INPUTS, storage.size), True
    for port in graph.outputs:
        storage = storages[network.storage_of[port.tensor]]
        if storage.home is None and storage.data is None:
            storage.home, storage.stored = regions.take(OUTPUTS, storage.size), True
    for storage in storages.values():
        if storage.data is not None:
            storage.home, storage.loaded = regions.take(CONSTANTS, storage.size), True
            constants.append((storage.home[1], np.ascontiguousarray(storage.data).tobytes()))
        elif storage.home is None and (options.keep_tensors or storage.name not in plan.addresses):
            storage.home, storage.stored = regions.take(SCRATCH, storage.size), True
    return constants


def _check_address_space(graph: Graph, regions: _Regions, config: NpuConfig) -> None:
    total = sum(regions.sizes)
    if total > 1 << config.address_width:
        raise UnsupportedError(
            f"The network {graph.name!r} needs {total} bytes of memory for constants, inputs, outputs and intermediate "
            f"tensors, but address_width {config.address_width} reaches {1 << config.address_width}. Choose a "
            "configuration with a larger address_width."
        )
    if max(regions.sizes) > 1 << 32:
        raise UnsupportedError(
            f"The network {graph.name!r} needs a memory region of {max(regions.sizes)} bytes; a region holds at most "
            f"{1 << 32}. Use a smaller network or a smaller batch."
        )


def _port_binding(graph: Graph, network: Network, port: Port) -> Binding:
    home = network.storages[network.storage_of[port.tensor]].home
    assert home is not None
    return port_binding(graph, port, *home)


def port_binding(graph: Graph, port: Port, region: int = 0, offset: int = 0) -> Binding:
    """How a port's own array becomes the tensor of the graph. A compiled program's bindings may differ from those of
    the graph that it was made from: images may be transposed in it."""
    tensor = graph.tensors[port.tensor]
    return Binding(
        name=port.name, tensor=port.tensor, region=region, offset=offset, shape=tensor.shape, file_shape=port.shape,
        dtype=port.dtype, permutation=port.permutation, scale=tensor.scale, zero_point=tensor.zero_point,
        ties_to_even=port.ties_to_even,
    )  # fmt: skip


def _kept(graph: Graph, network: Network) -> list[Binding]:
    result = []
    for op in graph.ops:
        tensor = graph.tensors[op.output]
        home = network.storages[network.storage_of.get(op.output, op.output)].home
        assert home is not None
        result.append(
            Binding(
                name=op.output, tensor=op.output, region=home[0], offset=home[1], shape=tensor.shape,
                file_shape=tensor.shape, scale=tensor.scale, zero_point=tensor.zero_point,
            )
        )  # fmt: skip
    return result


def _layer(lowering: Lowering, builder: Builder, index: int) -> Layer:
    stage = lowering.stage
    weight = weight_bytes([action for action in builder.actions if builder.tags[action.tag].layer == index])
    return Layer(
        name=stage.op.name, kind=stage.op.kind, output=stage.output.tensor, macs=lowering.macs, weight_bytes=weight,
        limit=builder.costs[index].limit, fused=tuple(op.name for op in stage.ops[1:]),
    )  # fmt: skip


def _notes(built: _Built, words: int) -> dict[str, object]:
    stages, plan = built.network.stages, built.plan
    return {
        "scratchpad_peak_bytes": plan.peak,
        "spilled_tensors": sorted(
            name
            for name, storage in built.network.storages.items()
            if name not in plan.addresses and storage.home is not None and storage.home[0] == SCRATCH
        ),
        "fused": {stage.op.name: [op.name for op in stage.ops[1:]] for stage in stages if len(stage.ops) > 1},
        "words": words,
        "runs": len(built.builder.actions),
        "estimated_cycles": built.cycles,
    }
