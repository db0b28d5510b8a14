"""The operator report: for each operator of a network where it runs and what bounds it, or why it is refused.

The compiler leaves one entry for each IR operator in ``Program.notes["operators"]`` (:func:`describe_operators`);
:func:`operator_report` joins them with the front end's verdicts on the file's operators.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tensaw.compiler.builder import LayerCost
from tensaw.compiler.frontends.verdict import OperatorVerdict
from tensaw.compiler.ir import Elementwise, Graph, Lookup, Op, Pad, Reshape
from tensaw.compiler.lowering.base import Lowering
from tensaw.spec.config import NpuConfig
from tensaw.spec.program import Program

__all__ = ["OperatorReport", "bound", "describe_operators", "operator_report", "removed_channels"]


@dataclass(frozen=True)
class OperatorReport:
    """One operator of the file.

    ``index``, ``type`` and ``name`` (output tensor) are the file's. ``runs_on`` says where it runs, ``layer`` the index
    of the program's layer (None: of no layer). For the main operator of a layer ``bound_by`` is what limits it by
    estimate and ``cycles`` how many cycles that takes. ``removed_channels`` of its ``channels`` are constant or unused
    and left out. ``reason`` and ``fix`` are sentences for a refused operator.
    """

    index: int
    type: str
    name: str
    runs_on: str
    layer: int | None = None
    bound_by: str = ""
    cycles: int = 0
    removed_channels: int = 0
    channels: int = 0
    reason: str = ""
    fix: str = ""


def bound(cost: LayerCost, weight_bytes: int, config: NpuConfig) -> tuple[str, int]:
    """What a layer takes longest in, and the cycles: "array", "output stage", "weights" or "transfers" over the bus."""
    cycles = {
        "array": cost.limit,
        "output stage": cost.output,
        "weights": weight_bytes // config.bus_bytes,
        "transfers": cost.transfer_bytes // config.bus_bytes,
    }
    name = max(cycles, key=lambda key: cycles[key])
    return name, cycles[name]


def describe_operators(
    graph: Graph,
    lowerings: Sequence[Lowering],
    costs: Sequence[LayerCost],
    weight_bytes: Sequence[int],
    config: NpuConfig,
    removed: Mapping[str, tuple[int, int]],
) -> list[dict[str, Any]]:
    """An entry (JSON values) for each operator of the graph that the compiler was given; ``of`` is the result of the
    operator that it is a part of. ``removed``: by operator, how many of how many channels were left out."""
    entries: dict[str, dict[str, Any]] = {}
    main_of: dict[str, tuple[int, str]] = {}
    for index, lowering in enumerate(lowerings):
        main, *added = lowering.stage.ops
        bound_by, cycles = bound(costs[index], weight_bytes[index], config)
        entries[main.name] = {"runs_on": lowering.unit, "layer": index, "bound_by": bound_by, "cycles": cycles}
        for op in added:
            entries[op.name] = {"runs_on": _part(op), "of": main.output, "layer": index}
        for name in lowering.stage.op.inputs:
            main_of.setdefault(name, (index, main.output))
    result = []
    for op in graph.ops:
        entry = entries.get(op.name)
        if entry is None and isinstance(op, Reshape):
            entry = {"runs_on": "no operation: the same bytes", "layer": None}
        if entry is None and isinstance(op, Pad) and op.inputs[0] in main_of:
            layer, name = main_of[op.inputs[0]]
            entry = {"runs_on": "window", "of": name, "layer": layer}
        gone = dict(zip(("removed_channels", "channels"), removed.get(op.name, ()), strict=False))
        result.append({"name": op.output, "kind": op.kind, **(entry or {"runs_on": "nowhere", "layer": None}), **gone})
    return result


def removed_channels(program: Program) -> str:
    """A sentence on the channels that the program leaves out; empty if it has all."""
    removed = program.notes.get("removed_channels", {})
    if not removed:
        return ""
    gone, whole = (sum(counts[place] for counts in removed.values()) for place in (0, 1))
    return f"{gone:,} of {whole:,} channels of {len(removed)} operators are constant or unused and were left out."


def _part(op: Op) -> str:
    if isinstance(op, Elementwise):
        return "second operand"
    return "table" if isinstance(op, Lookup) else "output stage"


def operator_report(verdicts: Sequence[OperatorVerdict], program: Program | None = None) -> list[OperatorReport]:
    """One entry for each operator of the file; without a program it is only known which ones are refused."""
    known = {} if program is None else {entry["name"]: entry for entry in program.notes.get("operators", [])}
    # Of two rows with one tensor, such as an ONNX Conv and its QuantizeLinear, the one that computes it.
    ordered = sorted(verdicts, key=lambda verdict: bool(verdict.result))
    places = {verdict.result or verdict.name: f"operator {verdict.index}, {verdict.type}" for verdict in ordered}
    result = []
    for verdict in verdicts:
        file = verdict.index, verdict.type, verdict.name
        entry = known.get(verdict.result or verdict.name)
        if not verdict.ok:
            result.append(OperatorReport(*file, runs_on="refused", reason=verdict.reason, fix=verdict.fix))
        elif verdict.note and not verdict.result:
            result.append(OperatorReport(*file, runs_on=verdict.note))
        elif program is None:
            result.append(OperatorReport(*file, runs_on="NPU"))
        elif entry is None:
            result.append(OperatorReport(*file, runs_on="part of a neighbouring operator"))
        else:
            values = {key: value for key, value in entry.items() if key not in ("name", "kind", "of")}
            if "of" in entry:
                values["runs_on"] = f"{entry['runs_on']} of {places.get(entry['of'], entry['of'])}"
            result.append(OperatorReport(*file, **values))
    return result
