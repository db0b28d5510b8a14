"""Which layer every cycle of a run belongs to, and what it was spent on.

The array is the resource that a network should be bound by, so its state decides while it is at work. In the gaps
between its runs the units at work decide, those nearest to the output first. Each cycle is counted once: the layers'
cycles add up to the run's.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from tensaw.harness.profile import ArrayState, Event, Profile
from tensaw.spec.program import Program

__all__ = ["BOUNDS", "LayerResult", "attribute"]

BOUNDS: dict[str, str] = {
    "array": "the array took a position in every cycle",
    "weights": "weights had not arrived from memory",
    "input": "the input had not arrived from memory",
    "output": "the output stage was still at work on earlier positions",
    "dependency": "rows or tiles of an earlier layer were not ready",
    "store": "results were written to memory and nothing else was left to do",
    "overhead": "commands were fetched, or units started and drained",
}
"""What a cycle can be spent on, and so what can bound a layer."""

_OF_STATE = {
    ArrayState.IDLE: "overhead",
    ArrayState.BUSY: "array",
    ArrayState.WAIT_WEIGHTS: "weights",
    ArrayState.WAIT_INPUT: "input",
    ArrayState.WAIT_FOLLOW: "dependency",
    ArrayState.WAIT_ACCUMULATORS: "output",
    ArrayState.OVERHEAD: "overhead",
    ArrayState.WAIT_TOKENS: "dependency",
}
# Between runs of the array: the first of these units that is at work.
_OF_UNIT = {"output": "output", "store": "store", "load": "input", "weight": "weights"}


@dataclass
class LayerResult:
    """One layer of a run. ``states`` are the cycles spent on each of :data:`BOUNDS` and add up to ``cycles``;
    ``bound_by`` is the largest, or ``nothing`` for a layer without cycles. ``op`` is the operator's type in the file.
    """

    name: str
    op: str
    macs: int = 0
    cycles: int = 0
    bound_by: str = "nothing"
    states: dict[str, int] = field(default_factory=dict)


def attribute(program: Program, profile: Profile, start: int, end: int) -> list[LayerResult]:
    """The layers of a run that took cycles ``start`` to ``end - 1`` of a profile."""
    results = [LayerResult(layer.name, layer.kind, layer.macs) for layer in program.layers]
    if not results:
        return results

    def add(layer: int, state: str, cycles: int) -> None:
        if cycles:
            states = results[layer].states
            states[state] = states.get(state, 0) + cycles

    def layer_of(tag: int) -> int:
        return min(max(program.tags[tag].layer, 0), len(results) - 1) if tag < len(program.tags) else 0

    for (tag, state), cycles in profile.states.items():
        add(layer_of(tag), _OF_STATE[state], cycles)
    runs = [event for event in profile.events if event.unit == "array"]
    others = {unit: [event for event in profile.events if event.unit == unit] for unit in _OF_UNIT}
    latest = layer_of(min(profile.events, key=lambda event: event.start).tag) if profile.events else 0
    position = start
    for run in [*runs, None]:
        stop = end if run is None else min(max(run.start, position), end)
        for unit, tag, cycles in _fill(position, stop, others):
            latest = layer_of(tag) if unit else latest
            add(latest, _OF_UNIT[unit] if unit else "overhead", cycles)
        if run is not None:
            latest = layer_of(run.tag)
            position = max(position, run.end)
    for result in results:
        result.cycles = sum(result.states.values())
        if result.cycles:
            result.bound_by = max(BOUNDS, key=lambda state: result.states.get(state, 0))
    return results


def _fill(start: int, stop: int, others: dict[str, list[Event]]) -> Sequence[tuple[str, int, int]]:
    """Cut cycles ``start`` to ``stop - 1`` into pieces (unit, tag, cycles) in order; no unit at work: ("", 0, cycles).

    Each unit's events are in order and do not overlap.
    """
    if start >= stop:
        return []
    pieces = [(start, stop)]
    found: list[tuple[int, str, int, int]] = []
    for unit, events in others.items():
        rest = []
        for low, high in pieces:
            for index in range(bisect_right(events, low, key=lambda event: event.end), len(events)):
                event = events[index]
                if event.start >= high:
                    break
                begin, end = max(event.start, low), min(event.end, high)
                if begin > low:
                    rest.append((low, begin))
                found.append((begin, unit, event.tag, end - begin))
                low = end
            if low < high:
                rest.append((low, high))
        pieces = rest
    found += [(low, "", 0, high - low) for low, high in pieces]
    return [(unit, tag, cycles) for _, unit, tag, cycles in sorted(found)]
