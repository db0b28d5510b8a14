"""Figures of a run as plain numbers: what the drawings and tables show."""

from __future__ import annotations

from dataclasses import dataclass

from tensaw.runtime.session import RunResult
from tensaw.spec.names import short_name
from tensaw.spec.program import Program

__all__ = ["LayerFigures", "Totals", "layer_figures", "totals"]


@dataclass(frozen=True)
class LayerFigures:
    """One layer. ``fused``: names of the operators that run with it. ``utilization``: MACs / (cycles × rows × columns).
    ``intensity``: MACs for each byte that the layer moves over the memory port at least (its weights)."""

    number: int
    name: str
    full_name: str
    op: str
    fused: tuple[str, ...]
    macs: int
    cycles: int
    limit: int
    utilization: float
    intensity: float
    bound_by: str
    states: dict[str, int]


@dataclass(frozen=True)
class Totals:
    """The whole run. ``limit``: cycles in which the array alone could do all tiles without a gap; ``bus_limit``: in
    which the memory port could move all bytes of the run."""

    macs: int
    cycles: int
    utilization: float
    limit: int
    bus_limit: int
    bytes_read: int
    bytes_written: int


def layer_figures(program: Program, result: RunResult) -> list[LayerFigures]:
    """Figures of every layer, in order."""
    peak = program.config.macs_per_cycle
    return [
        LayerFigures(
            number=number,
            name=short_name(layer.name),
            full_name=layer.name,
            op=layer.op,
            fused=tuple(short_name(name, 20) for name in declared.fused),
            macs=layer.macs,
            cycles=layer.cycles,
            limit=declared.limit,
            utilization=layer.macs / (layer.cycles * peak) if layer.cycles else 0.0,
            intensity=layer.macs / declared.weight_bytes if declared.weight_bytes else 0.0,
            bound_by=layer.bound_by,
            states=dict(layer.states),
        )
        for number, (layer, declared) in enumerate(zip(result.layers, program.layers, strict=True))
    ]


def totals(program: Program, result: RunResult) -> Totals:
    """Figures of the run."""
    counters = result.counters
    read, written = counters.get("bytes_read", 0), counters.get("bytes_written", 0)
    cycles = result.cycles
    return Totals(
        macs=program.macs,
        cycles=cycles,
        utilization=program.macs / (cycles * program.config.macs_per_cycle) if cycles else 0.0,
        limit=sum(layer.limit for layer in program.layers),
        bus_limit=-(-read // program.config.bus_bytes),
        bytes_read=read,
        bytes_written=written,
    )
