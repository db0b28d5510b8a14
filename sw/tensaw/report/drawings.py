"""The report's drawings, as SVG text: no scripts, no fonts, nothing loaded from elsewhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from tensaw.report.figures import LayerFigures
from tensaw.report.perfetto import UNITS
from tensaw.runtime.layers import BOUNDS
from tensaw.runtime.session import RunResult
from tensaw.spec.config import NpuConfig
from tensaw.spec.names import short_name
from tensaw.spec.program import Program

__all__ = ["COLOURS", "layer_bars", "roofline", "timeline"]

COLOURS: dict[str, str] = {
    "array": "#2a7f62",
    "weights": "#d1495b",
    "input": "#e98a15",
    "output": "#5b5f97",
    "dependency": "#edae49",
    "store": "#7a6c5d",
    "overhead": "#b8b8b8",
}
"""One colour for each of tensaw.runtime.layers.BOUNDS."""

_UNIT_COLOURS = {"load": "#e98a15", "weight": "#d1495b", "array": "#2a7f62", "output": "#5b5f97", "store": "#7a6c5d"}
_WIDTH = 1000


def _svg(height: float, body: Sequence[str], label: str) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" role="img" aria-label="{escape(label)}" '
        f'xmlns="http://www.w3.org/2000/svg">' + "".join(body) + "</svg>"
    )


def layer_bars(layers: Sequence[LayerFigures]) -> str:
    """A bar for each layer: its cycles, split by what they were spent on."""
    if not layers:
        return ""
    left, right, step = 300, 120, 22
    longest = max(layer.cycles for layer in layers) or 1
    scale = (_WIDTH - left - right) / longest
    body = []
    for layer in layers:
        y = 6 + layer.number * step
        body.append(
            f'<text x="{left - 8}" y="{y + 12}" text-anchor="end">{escape(layer.name)}'
            f"<title>{escape(layer.full_name)}</title></text>"
        )
        x = float(left)
        for kind in BOUNDS:
            cycles = layer.states.get(kind, 0)
            if cycles:
                width = cycles * scale
                body.append(
                    f'<rect x="{x:.2f}" y="{y}" width="{width:.2f}" height="{step - 6}" fill="{COLOURS[kind]}">'
                    f"<title>{escape(layer.name)}: {cycles:,} cycles, {escape(BOUNDS[kind])}</title></rect>"
                )
                x += width
        body.append(f'<text x="{x + 6:.2f}" y="{y + 12}">{layer.cycles:,} · {layer.utilization:.0%}</text>')
    return _svg(12 + len(layers) * step, body, "Cycles of each layer")


def roofline(config: NpuConfig, layers: Sequence[LayerFigures]) -> str:
    """MACs a cycle over MACs for each byte of weights, both logarithmic, under what array and memory port allow."""
    points = [layer for layer in layers if layer.macs and layer.cycles and layer.intensity]
    if not points:
        return ""
    peak, bus = config.macs_per_cycle, config.bus_bytes
    height, left, bottom, top, right = 380, 70, 330, 20, 970
    ridge = peak / bus
    low_x = min(0.25, *(point.intensity / 2 for point in points))
    high_x = max(ridge * 8, *(point.intensity * 2 for point in points))
    low_y, high_y = min(1.0, *(point.macs / point.cycles / 2 for point in points)), peak * 2.0

    def x(value: float) -> float:
        return left + (right - left) * math.log(value / low_x) / math.log(high_x / low_x)

    def y(value: float) -> float:
        return bottom - (bottom - top) * math.log(value / low_y) / math.log(high_y / low_y)

    body = []
    for exponent in range(math.ceil(math.log2(low_x)), math.floor(math.log2(high_x)) + 1, 2):
        at = x(2.0**exponent)
        body.append(f'<line class="grid" x1="{at:.1f}" y1="{top}" x2="{at:.1f}" y2="{bottom}"/>')
        label = f"{2**exponent}" if exponent >= 0 else f"1/{2**-exponent}"
        body.append(f'<text x="{at:.1f}" y="{bottom + 18}" text-anchor="middle">{label}</text>')
    for exponent in range(math.ceil(math.log2(low_y)), math.floor(math.log2(high_y)) + 1, 2):
        at = y(2.0**exponent)
        body.append(f'<line class="grid" x1="{left}" y1="{at:.1f}" x2="{right}" y2="{at:.1f}"/>')
        label = f"{2**exponent}" if exponent >= 0 else f"1/{2**-exponent}"
        body.append(f'<text x="{left - 8}" y="{at + 4:.1f}" text-anchor="end">{label}</text>')
    start = max(low_x, low_y / bus)
    body.append(
        f'<polyline class="roof" points="{x(start):.1f},{y(start * bus):.1f} {x(ridge):.1f},{y(peak):.1f} '
        f'{x(high_x):.1f},{y(peak):.1f}"/>'
    )
    body.append(f'<text x="{x(ridge):.1f}" y="{y(peak) - 16:.1f}">array: {peak} MAC a cycle</text>')
    at_x, at_y = x(start * 4) + 10, y(start * 4 * bus) + 14
    body.append(f'<text x="{at_x:.1f}" y="{at_y:.1f}">memory port: {bus} bytes a cycle</text>')
    for point in points:
        at_x, at_y = x(point.intensity), y(point.macs / point.cycles)
        body.append(
            f'<circle cx="{at_x:.1f}" cy="{at_y:.1f}" r="6" fill="{COLOURS.get(point.bound_by, "#888")}">'
            f"<title>{escape(point.name)}: {point.macs / point.cycles:.1f} MAC a cycle, {point.intensity:.1f} MAC a "
            f"byte, bound by {escape(point.bound_by)}</title></circle>"
        )
        body.append(f'<text class="small" x="{at_x + 8:.1f}" y="{at_y + 3:.1f}">{point.number}</text>')
    body.append(
        f'<text x="{(left + right) / 2}" y="{height - 8}" text-anchor="middle">MAC for each byte of weights</text>'
    )
    body.append(
        f'<text transform="translate(18 {(top + bottom) / 2}) rotate(-90)" text-anchor="middle">MAC a cycle</text>'
    )
    return _svg(height, body, "Roofline")


def timeline(program: Program, result: RunResult) -> str:
    """When each unit was at work."""
    if not result.events or not result.cycles:
        return ""
    left, step = 70, 34
    scale = (_WIDTH - left - 10) / result.cycles
    body = []
    for row, unit in enumerate(UNITS):
        y = 8 + row * step
        body.append(f'<text x="{left - 8}" y="{y + 17}" text-anchor="end">{unit}</text>')
        body.append(f'<line class="grid" x1="{left}" y1="{y + 26}" x2="{_WIDTH - 10}" y2="{y + 26}"/>')
    for event in result.events:
        y = 8 + UNITS.index(event.unit) * step
        text = event.unit
        if event.tag < len(program.tags):
            tag = program.tags[event.tag]
            text = f"{short_name(program.layers[tag.layer].name)}, {tag.tile}"
        width = max((event.end - event.start) * scale, 0.4)
        body.append(
            f'<rect x="{left + event.start * scale:.2f}" y="{y}" width="{width:.2f}" height="24" '
            f'fill="{_UNIT_COLOURS[event.unit]}" class="slice"><title>{escape(text)}: cycles {event.start:,} to '
            f"{event.end:,}</title></rect>"
        )
    bottom = 8 + len(UNITS) * step
    magnitude = 10 ** math.floor(math.log10(result.cycles))
    tick = next(
        size for size in (magnitude / 10, magnitude / 5, magnitude / 2, magnitude) if result.cycles / size <= 12
    )
    for number in range(int(result.cycles / tick) + 1):
        at = left + number * tick * scale
        body.append(
            f'<text class="small" x="{at:.1f}" y="{bottom + 12}" text-anchor="middle">{number * tick:,.0f}</text>'
        )
    return _svg(bottom + 20, body, "Timeline of the units")
