"""Timeline of a run in the Trace Event format, which https://ui.perfetto.dev and chrome://tracing open."""

from __future__ import annotations

import json

from tensaw.runtime.session import RunResult
from tensaw.spec.program import Program

__all__ = ["UNITS", "perfetto_trace"]

UNITS = ("load", "weight", "array", "output", "store")
"""Rows of a timeline, from top to bottom: the way of the data."""


def perfetto_trace(program: Program, result: RunResult) -> str:
    """JSON text. One thread for each unit, one slice for each command that ran; a microsecond stands for a cycle."""
    events: list[dict[str, object]] = [
        {"ph": "M", "pid": 1, "name": "process_name", "args": {"name": f"{program.name} (1 us = 1 cycle)"}}
    ]
    for number, unit in enumerate(UNITS, 1):
        events.append({"ph": "M", "pid": 1, "tid": number, "name": "thread_name", "args": {"name": unit}})
        events.append({"ph": "M", "pid": 1, "tid": number, "name": "thread_sort_index", "args": {"sort_index": number}})
    for event in result.events:
        layer, tile = "", ""
        if event.tag < len(program.tags):
            tag = program.tags[event.tag]
            layer, tile = program.layers[tag.layer].name, tag.tile
        events.append(
            {
                "ph": "X",
                "pid": 1,
                "tid": UNITS.index(event.unit) + 1,
                "ts": event.start,
                "dur": max(event.end - event.start, 1),
                "name": layer or event.unit,
                "cat": event.unit,
                "args": {"tile": tile, "tag": event.tag},
            }
        )
    return json.dumps({"traceEvents": events, "displayTimeUnit": "ns"})
