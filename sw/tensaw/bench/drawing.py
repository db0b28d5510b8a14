"""The benchmark's plot: for each network the cycles of tensaw and of others, as multiples of the arithmetic limit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from tensaw.bench.measure import Measurement
from tensaw.report.drawings import COLOURS
from tensaw.runtime.layers import BOUNDS

__all__ = ["plot"]

_WIDTH, _LEFT, _RIGHT = 960, 250, 150
_BAR, _STEP, _GAP, _TOP = 16, 22, 18, 56
_OTHERS = ("#8d99ae", "#adb5c4", "#c9cfd9", "#dfe3ea")


def plot(measurements: Sequence[Measurement], title: str) -> str:
    """SVG text. tensaw's bars are split by what their cycles were spent on."""
    shown = [measurement for measurement in measurements if measurement.limit]
    longest = max((_most(measurement) for measurement in shown), default=1.0)
    axis = max(2, math.ceil(longest))
    scale = (_WIDTH - _LEFT - _RIGHT) / axis
    names = sorted({name for measurement in shown for name in measurement.compared})
    body: list[str] = []
    y = _TOP
    for measurement in shown:
        body.append(
            f'<text x="{_LEFT - 10}" y="{y + 12}" text-anchor="end" font-weight="bold">'
            f"{escape(measurement.network)}</text>"
        )
        body += _split_bar(measurement, y, scale)
        y += _STEP
        for name, cycles in measurement.compared.items():
            colour = _OTHERS[names.index(name) % len(_OTHERS)]
            width = cycles / measurement.limit * scale
            body.append(f'<text x="{_LEFT - 10}" y="{y + 12}" text-anchor="end">{escape(name)}</text>')
            body.append(f'<rect x="{_LEFT}" y="{y}" width="{width:.1f}" height="{_BAR}" fill="{colour}"/>')
            body.append(_label(cycles, measurement.limit, width, y))
            y += _STEP
        y += _GAP
    bottom = y - _GAP + 4
    grid = []
    tick = max(1, axis // 10)
    for number in range(0, axis + 1, tick):
        at = _LEFT + number * scale
        grid.append(f'<line x1="{at:.1f}" y1="{_TOP - 8}" x2="{at:.1f}" y2="{bottom}" stroke="#e3e3e3"/>')
        grid.append(f'<text x="{at:.1f}" y="{bottom + 16}" text-anchor="middle" fill="#555">{number}</text>')
    limit = _LEFT + scale
    body.append(
        f'<line x1="{limit:.1f}" y1="{_TOP - 8}" x2="{limit:.1f}" y2="{bottom}" stroke="#222" stroke-dasharray="4 3"/>'
    )
    caption = (
        f'<text x="{_LEFT}" y="{bottom + 36}" fill="#555">cycles, in multiples of the arithmetic limit (dashed): all '
        "multipliers busy, or the port</text>"
    )
    return _svg(bottom + 48, [_title(title), *_legend(shown), *grid, *body, caption], title)


def _most(measurement: Measurement) -> float:
    return max([measurement.cycles, *measurement.compared.values()]) / measurement.limit


def _spent(measurement: Measurement) -> dict[str, int]:
    """Cycles of all layers by what they were spent on."""
    return {kind: sum(layer.states.get(kind, 0) for layer in measurement.layers) for kind in BOUNDS}


def _split_bar(measurement: Measurement, y: int, scale: float) -> list[str]:
    body = []
    x = float(_LEFT)
    for kind, cycles in _spent(measurement).items():
        width = cycles / measurement.limit * scale
        if width:
            body.append(
                f'<rect x="{x:.2f}" y="{y}" width="{width:.2f}" height="{_BAR}" fill="{COLOURS[kind]}">'
                f"<title>{cycles:,} cycles: {escape(BOUNDS[kind])}</title></rect>"
            )
            x += width
    body.append(_label(measurement.cycles, measurement.limit, x - _LEFT, y, "bold"))
    return body


def _label(cycles: int, limit: int, width: float, y: int, weight: str = "normal") -> str:
    text = f"{cycles:,} · {cycles / limit:.2f}×"
    return f'<text x="{_LEFT + width + 6:.1f}" y="{y + 12}" font-weight="{weight}">{text}</text>'


def _title(text: str) -> str:
    return f'<text x="12" y="20" font-size="15" font-weight="bold">{escape(text)}</text>'


def _legend(measurements: Sequence[Measurement]) -> list[str]:
    body = []
    x = 12
    for kind in BOUNDS:
        if any(_spent(measurement)[kind] for measurement in measurements):
            body.append(f'<rect x="{x}" y="31" width="10" height="10" fill="{COLOURS[kind]}"/>')
            body.append(f'<text x="{x + 14}" y="40">{kind}</text>')
            x += 30 + 7 * len(kind)
    return body


def _svg(height: float, body: Sequence[str], label: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}" width="{_WIDTH}" '
        f'height="{height:.0f}" role="img" aria-label="{escape(label)}" font-family="sans-serif" font-size="12">'
        f'<rect width="100%" height="100%" fill="#fff"/>{"".join(body)}</svg>\n'
    )
