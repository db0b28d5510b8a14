"""The blocks that have a bench of their own: the class, how it is made for a configuration, where it is tried."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tensaw.regress.configs import CONFIGS
from tensaw.spec.config import PRESETS, NpuConfig
from tensaw.spec.errors import InputError
from tensaw.spec.isa import Unit

__all__ = ["BLOCKS", "FAST", "Block", "block_named", "bench_config"]

FAST = "nano"
"""Every bench runs on this configuration, the one that mutants are made of."""


def _only_config(config: NpuConfig) -> tuple[Any, ...]:
    return (config,)


def _nothing(config: NpuConfig) -> tuple[Any, ...]:
    return ()


def _no_constants(kind: Any, config: NpuConfig) -> dict[str, int]:
    return {}


@dataclass(frozen=True)
class Block:
    """A block, its bench ``tb/tb_<bench>.py`` (by the block's name if not given), and what the bench needs to know.

    ``component`` is ``module:Class``; ``module`` its Verilog module in the whole NPU. ``arguments`` gives the
    constructor's arguments, ``constants`` what the class promises in numbers (latencies): both may import Amaranth.
    ``configs`` are tried in every test run, by the names of :func:`bench_config`; ``simulators`` on the first of them.
    """

    name: str
    component: str
    module: str
    arguments: Callable[[NpuConfig], tuple[Any, ...]] = _only_config
    constants: Callable[[Any, NpuConfig], Mapping[str, int]] = _no_constants
    configs: tuple[str, ...] = (FAST, "r9c3b8")
    simulators: tuple[str, ...] = ("icarus",)
    bench: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "bench", self.bench or self.name)

    def load(self) -> Any:
        """The class. Imports Amaranth."""
        place, _, name = self.component.partition(":")
        return getattr(importlib.import_module(place), name)


def _psum_width(config: NpuConfig) -> tuple[Any, ...]:
    from tensaw.rtl.array.systolic_array import psum_width

    return (psum_width(config),)


def _ring_latency() -> int:
    from tensaw.rtl.npu import RING_LATENCY

    return RING_LATENCY


def _feeder_latency() -> int:
    from tensaw.rtl.array.feeder import Feeder

    return Feeder.LATENCY


def _lane_latencies() -> dict[str, int]:
    from tensaw.rtl.output.requantise import BYTE_LATENCY, RESULT_LATENCY, ROUNDING_LATENCY

    return {"result_latency": RESULT_LATENCY, "byte_latency": BYTE_LATENCY, "rounding_latency": ROUNDING_LATENCY}


def _outstanding_writes() -> int:
    from tensaw.rtl.bus.write_manager import OUTSTANDING_WRITES

    return OUTSTANDING_WRITES


def _loader_arguments(config: NpuConfig) -> tuple[Any, ...]:
    """As ArrayUnit makes it."""
    return (config, _ring_latency(), _feeder_latency() - 1)


def _splitter(direction: str, askers: int) -> Block:
    return Block(
        f"{direction}_burst_splitter", "tensaw.rtl.bus.burst_splitter:BurstSplitter",
        f"tensaw_{direction}_burst_splitter", arguments=lambda config: (config, direction, askers),
        constants=lambda kind, config: {"reads": int(direction == "read"), "askers": askers}, configs=(FAST, "r5c7b16"),
        bench="burst_splitter",
    )  # fmt: skip


def _register_bits() -> int:
    from tensaw.spec.registers import ADDRESS_BITS

    return ADDRESS_BITS


def _command_port(unit: str) -> Block:
    code = Unit[unit]
    return Block(
        f"{unit.lower()}_command_port", "tensaw.rtl.control.command:CommandPort", f"tensaw_{unit.lower()}_command_port",
        arguments=lambda config: (config, code), constants=lambda kind, config: {"unit": int(code)}, configs=(FAST,),
        bench="command_port",
    )  # fmt: skip


_BOTH = ("icarus", "verilator")

BLOCKS: dict[str, Block] = {
    block.name: block
    for block in (
        Block(
            "pe", "tensaw.rtl.array.pe:ProcessingElement", "tensaw_processing_element",
            arguments=_psum_width, constants=lambda kind, config: {"latency": getattr(kind, "LATENCY", 3)},
            configs=(FAST,), simulators=_BOTH,
        ),
        Block(
            "systolic_array", "tensaw.rtl.array.systolic_array:SystolicArray", "tensaw_systolic_array",
            constants=lambda kind, config: {"latency": kind.latency(config)},
            configs=(FAST, "r9c3b8", "r5c7b16", "r2c2b8"),
        ),
        Block("aligner", "tensaw.rtl.array.align:Aligner", "tensaw_aligner", configs=(FAST, "r9c3b8", "r5c7b16")),
        Block("loops", "tensaw.rtl.array.loops:Loops", "tensaw_loops"),
        Block(
            "feeder", "tensaw.rtl.array.feeder:Feeder", "tensaw_feeder",
            constants=lambda kind, config: {"latency": kind.LATENCY},
        ),
        Block(
            "weight_loader", "tensaw.rtl.array.weight_loader:WeightLoader", "tensaw_weight_loader",
            arguments=_loader_arguments,
            constants=lambda kind, config: {"ring_latency": _ring_latency(), "feeder_latency": _feeder_latency()},
        ),
        Block("accumulators", "tensaw.rtl.array.accumulators:Accumulators", "tensaw_accumulators"),
        Block(
            "array_unit", "tensaw.rtl.array.unit:ArrayUnit", "tensaw_array_unit",
            arguments=lambda config: (config, _ring_latency()),
            constants=lambda kind, config: {"ring_latency": _ring_latency()},
        ),
        Block("scratchpad", "tensaw.rtl.memory.scratchpad:Scratchpad", "tensaw_scratchpad", simulators=_BOTH),
        Block(
            "weight_ring", "tensaw.rtl.memory.weight_ring:WeightRing", "tensaw_weight_ring",
            configs=(FAST, "r9c3b8", "r5c7b16", "r8c16b8"),
        ),
        Block(
            "requantise_lane", "tensaw.rtl.output.requantise:RequantiseLane", "tensaw_requantise_lane",
            arguments=_nothing, constants=lambda kind, config: _lane_latencies(), configs=(FAST,), simulators=_BOTH,
        ),
        Block(
            "requantise_lanes", "tensaw.rtl.output.lanes:Lanes", "tensaw_requantise_lanes",
            constants=lambda kind, config: _lane_latencies(), configs=(FAST, "r9c3b8", "r5c7b16"),
        ),
        Block(
            "softmax", "tensaw.rtl.output.softmax:Softmax", "tensaw_softmax",
            constants=lambda kind, config: _lane_latencies(),
        ),
        Block("output_unit", "tensaw.rtl.output.unit:OutputUnit", "tensaw_output_unit"),
        Block("output_walk", "tensaw.rtl.output.walk:Walk", "tensaw_output_walk", configs=(FAST, "r9c3b8", "r5c7b8")),
        Block("operand_fetch", "tensaw.rtl.output.fetch:OperandFetch", "tensaw_operand_fetch"),
        Block(
            "parameter_store", "tensaw.rtl.output.parameters:ParameterStore", "tensaw_parameter_store",
            configs=(FAST, "r9c3b8", "r5c7b8", "r5c7b16"),
        ),
        Block("row_walker", "tensaw.rtl.dma.row_walker:RowWalker", "tensaw_row_walker", configs=(FAST, "r5c7b16")),
        Block("row_stepper", "tensaw.rtl.dma.row_stepper:RowStepper", "tensaw_row_stepper",
              configs=(FAST, "r9c3b8", "r5c7b16")),
        Block("load_dma", "tensaw.rtl.dma.load:LoadDma", "tensaw_load_dma", configs=(FAST, "r5c7b16", "r9c3b8")),
        Block("store_dma", "tensaw.rtl.dma.store:StoreDma", "tensaw_store_dma", configs=(FAST, "r5c7b16", "r9c3b8")),
        Block("weight_dma", "tensaw.rtl.dma.weight:WeightDma", "tensaw_weight_dma", configs=(FAST, "r5c7b16")),
        *(_command_port(name) for name in ("WEIGHT", "LOAD", "ARRAY", "OUTPUT", "STORE")),
        Block(
            "tokens", "tensaw.rtl.control.tokens:Tokens", "tensaw_tokens", arguments=_nothing, configs=(FAST,),
            simulators=_BOTH,
        ),
        Block("program_fetch", "tensaw.rtl.control.fetch:Fetch", "tensaw_program_fetch", configs=(FAST, "r5c7b16")),
        Block("sequencer", "tensaw.rtl.control.sequencer:Sequencer", "tensaw_sequencer", configs=(FAST, "r5c7b16")),
        Block(
            "run_control", "tensaw.rtl.control.run_control:RunControl", "tensaw_run_control", arguments=_nothing,
            configs=(FAST,),
        ),
        Block("counters", "tensaw.rtl.control.counters:Counters", "tensaw_counters", configs=(FAST, "r5c7b16")),
        Block(
            "axi_lite_port", "tensaw.rtl.bus.axi_lite:AxiLitePort", "tensaw_axi_lite_port",
            arguments=lambda config: (_register_bits(),), configs=(FAST,), simulators=_BOTH,
        ),
        Block("registers", "tensaw.rtl.control.registers:Registers", "tensaw_registers", configs=(FAST, "r3c10b16")),
        _splitter("read", 3),
        _splitter("write", 1),
        Block("read_manager", "tensaw.rtl.bus.read_manager:ReadManager", "tensaw_read_manager",
              configs=(FAST, "r5c7b16"), simulators=_BOTH),
        Block("write_manager", "tensaw.rtl.bus.write_manager:WriteManager", "tensaw_write_manager",
              constants=lambda kind, config: {"outstanding": _outstanding_writes()}, configs=(FAST, "r5c7b16")),
        Block("npu", "tensaw.rtl.npu:Npu", "tensaw_npu", configs=(FAST,)),
    )
}  # fmt: skip
"""By name, from the array outwards."""


def block_named(name: str) -> Block:
    """The block of that name. Raises InputError."""
    if name not in BLOCKS:
        raise InputError(f"There is no bench for a block {name!r}; there are benches for {', '.join(BLOCKS)}.")
    return BLOCKS[name]


def bench_config(name: str) -> NpuConfig:
    """A preset, or one of tensaw.regress.configs, by name. Raises InputError."""
    known = {**PRESETS, **CONFIGS}
    if name not in known:
        raise InputError(f"There is no configuration {name!r} for benches; there are {', '.join(known)}.")
    return known[name]
