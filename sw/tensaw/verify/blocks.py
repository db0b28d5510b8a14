"""The blocks that have a bench of their own: the class, how it is made for a configuration, where it is tried."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tensaw.regress.configs import CONFIGS
from tensaw.spec.config import PRESETS, NpuConfig
from tensaw.spec.errors import InputError

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
    """A block, its bench ``tb/tb_<name>.py``, and what the bench needs to know of the hardware.

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


def _loader_arguments(config: NpuConfig) -> tuple[Any, ...]:
    """As ArrayUnit makes it."""
    return (config, _ring_latency(), _feeder_latency() - 1)


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
        Block(
            "address_products", "tensaw.rtl.array.products:AddressProducts", "tensaw_address_products",
            arguments=_nothing, configs=(FAST,),
        ),
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
            configs=(FAST, "r9c3b8", "r5c7b16"),
        ),
        Block("scratchpad", "tensaw.rtl.memory.scratchpad:Scratchpad", "tensaw_scratchpad", simulators=_BOTH),
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
