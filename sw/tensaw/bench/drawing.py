"""The benchmark's plot: for each network the cycles of tensaw and of others, as multiples of the arithmetic limit (of
the network as it is in the file, which is what all of them are given).

SVG with nothing loaded from elsewhere. It follows the reader's light or dark theme; programs that know no themes draw
it light. :func:`png` turns it into pixels where librsvg's command is installed.
"""

from __future__ import annotations

import math
import shutil
import subprocess
from collections.abc import Sequence
from html import escape

from tensaw.bench.measure import Measurement
from tensaw.bench.vela import ACCELERATORS
from tensaw.report.drawings import COLOURS
from tensaw.runtime.layers import BOUNDS
from tensaw.spec.errors import ToolError
from tensaw.spec.names import short_name

__all__ = ["plot", "png", "require_png"]

_WIDTH, _LEFT, _RIGHT, _EDGE = 780, 178, 132, 20
_BAR, _STEP, _HEAD, _GAP, _TOP = 15, 21, 24, 14, 96
_STYLE = (
    "text{font:13px system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;fill:#1f2328;"
    "paint-order:stroke;stroke:#ffffff;stroke-width:3px}"
    ".paper{fill:#ffffff;stroke:#d1d9e0}.faint{fill:#59636e}.title{font-size:17px;font-weight:600}"
    ".strong{font-weight:600}.end{text-anchor:end}.middle{text-anchor:middle}.grid{stroke:#e6eaef}"
    ".limit{stroke:#59636e;stroke-dasharray:4 3}.other{fill:#aeb8c4}"
    + "".join(f".{kind}{{fill:{colour}}}" for kind, colour in COLOURS.items())
    + "@media(prefers-color-scheme:dark){text{fill:#f0f6fc;stroke:#0d1117}.paper{fill:#0d1117;stroke:#3d444d}"
    ".faint{fill:#9198a1}.grid{stroke:#21262d}.limit{stroke:#9198a1}.other{fill:#59626d}.array{fill:#3fa683}"
    ".output{fill:#8488c9}.store{fill:#a3937f}.overhead{fill:#8d949c}}"
)


def plot(measurements: Sequence[Measurement], title: str, subtitle: str = "") -> str:
    """SVG text. tensaw's bars are split by what their cycles were spent on; networks without a limit are left out."""
    shown = [measurement for measurement in measurements if measurement.limit_all_channels]
    axis = _ceiling(max((_most(measurement) for measurement in shown), default=2.0))
    scale = (_WIDTH - _LEFT - _RIGHT) / axis
    body: list[str] = []
    y = float(_TOP)
    for measurement in shown:
        body.append(_text(_EDGE, y + 12, short_name(measurement.network, 60), "strong"))
        limit = f"limit {measurement.limit_all_channels:,} cycles"
        if measurement.limit != measurement.limit_all_channels:
            limit += f"; without channels that are constant {measurement.limit:,}"
        body.append(_text(_WIDTH - _EDGE, y + 12, limit, "faint end"))
        y += _HEAD
        body.append(_text(_LEFT - 10, y + 12, "tensaw", "strong end"))
        body += _split_bar(measurement, y, scale)
        y += _STEP
        for name, cycles in measurement.compared.items():
            width = cycles / measurement.limit_all_channels * scale
            body.append(_text(_LEFT - 10, y + 12, name, "faint end"))
            body.append(_rect(_LEFT, y, width, "other", f"{name}: {cycles:,} cycles"))
            body.append(_label(cycles, measurement.limit_all_channels, width, y, ""))
            y += _STEP
        y += _GAP
    bottom = y - _GAP + 6
    grid = []
    for number in range(0, round(axis) + 1, _tick(axis)):
        at = _LEFT + number * scale
        grid.append(_line(at, bottom, "limit" if number == 1 else "grid"))
        grid.append(_text(at, bottom + 16, f"{number}×" if number else "0", "faint middle"))
    if _tick(axis) > 1:
        grid.append(_line(_LEFT + scale, bottom, "limit"))
    below = [_text(_EDGE, bottom + 40 + 18 * row, line, "faint") for row, line in enumerate(_caption(shown))]
    head = [_text(_EDGE, 30, title, "title"), _text(_EDGE, 50, subtitle, "faint"), *_legend(shown)]
    return _svg(bottom + 38 + 18 * len(below), [*head, *grid, *body, *below], title)


def require_png() -> str:
    """The command that turns SVG into PNG. Raises ToolError where there is none."""
    if found := shutil.which("rsvg-convert"):
        return found
    raise ToolError(
        "A plot as .png needs the command rsvg-convert, which is not on PATH: install librsvg2-bin (Debian, Ubuntu) or "
        "librsvg (elsewhere), or give --plot a file that ends in .svg."
    )


def png(svg: str) -> bytes:
    """The plot as pixels, twice as large. Raises ToolError."""
    done = subprocess.run([require_png(), "--zoom", "2"], input=svg.encode(), capture_output=True, check=False)
    if done.returncode or not done.stdout:
        raise ToolError(f"rsvg-convert could not draw the plot: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def _ceiling(longest: float) -> float:
    """Where the axis ends: beyond the longest bar, at a whole number that its ticks divide."""
    tick = _tick(longest)
    return max(2, math.ceil(longest / tick) * tick)


def _tick(axis: float) -> int:
    """Multiples between two lines of the grid: at most ten lines."""
    tick = 1
    for factor in (2, 5, 10, 20, 50, 100, 200, 500, 1000):
        if axis / tick > 10:
            tick = factor
    return tick


def _most(measurement: Measurement) -> float:
    return max([measurement.cycles, *measurement.compared.values()]) / measurement.limit_all_channels


def _spent(measurement: Measurement) -> dict[str, int]:
    """Cycles of all layers by what they were spent on."""
    return {kind: sum(layer.states.get(kind, 0) for layer in measurement.layers) for kind in BOUNDS}


def _split_bar(measurement: Measurement, y: float, scale: float) -> list[str]:
    body = []
    x = float(_LEFT)
    for kind, cycles in _spent(measurement).items():
        width = cycles / measurement.limit_all_channels * scale
        if width:
            body.append(_rect(x, y, width, kind, f"{cycles:,} cycles: {BOUNDS[kind]}"))
            x += width
    body.append(_label(measurement.cycles, measurement.limit_all_channels, x - _LEFT, y, "strong"))
    return body


def _caption(measurements: Sequence[Measurement]) -> list[str]:
    """What the axis is, and on which terms the others' figures are."""
    others = {name for measurement in measurements for name in measurement.compared}
    lines = ["Cycles in multiples of the limit (dashed): every multiplier busy, or the memory port, in every cycle."]
    if any("Vela" in name for name in others):
        ports = ", ".join(f"{accelerator.family} {accelerator.port}" for accelerator in ACCELERATORS)
        lines.append(f"Vela: Arm's estimates, all in SRAM, weights compressed; bytes a cycle: {ports}.")
    if any("SCALE-Sim" in name for name in others):
        lines.append("SCALE-Sim: a textbook array of the same size, memory without limit, operators with weights only.")
    return lines


def _legend(measurements: Sequence[Measurement]) -> list[str]:
    """The colours in use, in a row."""
    used = [kind for kind in BOUNDS if any(_spent(measurement)[kind] for measurement in measurements)]
    if not used:
        return []
    body = [_text(_EDGE, 74, "tensaw's cycles:", "faint")]
    x = _EDGE + 116.0
    for kind in used:
        body.append(f'<rect x="{x}" y="64" width="11" height="11" rx="2" class="{kind}"/>')
        body.append(_text(x + 16, 74, kind, ""))
        x += 38 + 7.4 * len(kind)
    return body


def _label(cycles: int, limit: int, width: float, y: float, style: str) -> str:
    return _text(_LEFT + width + 7, y + 12, f"{cycles:,} · {cycles / limit:.2f}×", style or "faint")


def _text(x: float, y: float, text: str, style: str) -> str:
    kind = f' class="{style}"' if style else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{kind}>{escape(text)}</text>'


def _rect(x: float, y: float, width: float, style: str, title: str) -> str:
    return (
        f'<rect x="{x:.2f}" y="{y:.1f}" width="{width:.2f}" height="{_BAR}" class="{style}">'
        f"<title>{escape(title)}</title></rect>"
    )


def _line(x: float, bottom: float, style: str) -> str:
    return f'<line x1="{x:.1f}" y1="{_TOP - 4}" x2="{x:.1f}" y2="{bottom:.1f}" class="{style}"/>'


def _svg(height: float, body: Sequence[str], label: str) -> str:
    paper = f'<rect x=".5" y=".5" width="{_WIDTH - 1}" height="{height - 1:.0f}" rx="8" class="paper"/>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}" width="{_WIDTH}" '
        f'height="{height:.0f}" role="img" aria-label="{escape(label)}"><style>{_STYLE}</style>{paper}'
        f"{''.join(body)}</svg>\n"
    )
