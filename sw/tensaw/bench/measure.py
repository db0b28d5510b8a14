"""One network on one configuration: what was measured, beside what is possible."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tensaw.bench.limits import arithmetic_limit, bus_limit, tile_limit, work
from tensaw.compiler.ir import Graph
from tensaw.runtime.layers import LayerResult
from tensaw.runtime.session import RunResult
from tensaw.spec.errors import InputError
from tensaw.spec.program import Program

__all__ = ["Measurement", "find_networks", "measurement"]

_SUFFIXES = (".tflite", ".onnx")


@dataclass
class Measurement:
    """``cycles`` by ``source`` (``rtl`` or ``estimate``) from start to interrupt, with a memory that answers reads
    after ``read_latency`` cycles. ``macs`` and limits are those of what is computed, without the channels that the
    compiler leaves out. ``limit``: the larger of :func:`tensaw.bench.limits.arithmetic_limit` and ``bus_limit``;
    ``limit_all_channels``: the same for the network as it is in the file, which is what other designs compute;
    ``tile_limit``: with the tiles of the program instead of the multipliers (:func:`tensaw.bench.limits.tile_limit`).
    ``ratio``, ``tile_ratio``: cycles / limit. ``matches_golden``: whether the outputs equal the golden model's
    (None: not simulated). ``compared``: figures of others for the same file, by name; ``remarks``: sentences on them.
    """

    network: str
    file: str
    source: str
    cycles: int
    limit: int
    limit_all_channels: int
    tile_limit: int
    bus_limit: int
    macs: int
    read_latency: int
    bytes_read: int
    bytes_written: int
    layers: list[LayerResult]
    matches_golden: bool | None = None
    compared: dict[str, int] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        return self.cycles / self.limit if self.limit else 0.0

    @property
    def tile_ratio(self) -> float:
        return self.cycles / self.tile_limit if self.tile_limit else 0.0

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        ratios = {"ratio": round(self.ratio, 4), "tile_ratio": round(self.tile_ratio, 4)}
        return {**dataclasses.asdict(self), **ratios}


def find_networks(paths: Iterable[Path]) -> list[Path]:
    """The networks among these files and, in order of their names, in these folders.

    Raises InputError for a path that does not exist, and if there is no network at all.
    """
    found: list[Path] = []
    given = list(paths)
    for path in given:
        if path.is_dir():
            found += sorted(entry for entry in path.iterdir() if entry.suffix in _SUFFIXES and entry.is_file())
        elif path.exists():
            found.append(path)
        else:
            raise InputError(
                f"There is no file or folder {str(path)!r}; give networks (.tflite, .onnx) or their folder."
            )
    if not found:
        raise InputError(
            f"There is no network in {', '.join(repr(str(path)) for path in given)}: no file there ends in .tflite or "
            ".onnx. Give networks or their folder."
        )
    return found


def measurement(
    path: Path, graph: Graph, computed: Graph, program: Program, result: RunResult, source: str, read_latency: int
) -> Measurement:
    """A run of a network's program, with its limits. ``computed`` is the graph without the channels that were left
    out."""
    config = program.config
    operators = work(computed)
    bus = bus_limit(computed, operators, config)
    whole = work(graph)
    return Measurement(
        network=path.stem,
        file=str(path),
        source=source,
        cycles=result.cycles,
        limit=max(arithmetic_limit(operators, config), bus),
        limit_all_channels=max(arithmetic_limit(whole, config), bus_limit(graph, whole, config)),
        tile_limit=max(tile_limit(program), bus),
        bus_limit=bus,
        macs=sum(op.macs for op in operators),
        read_latency=read_latency,
        bytes_read=result.counters["bytes_read"],
        bytes_written=result.counters["bytes_written"],
        layers=result.layers,
    )
