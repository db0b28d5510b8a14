"""The dashboard: one HTML file, readable without a network."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import jinja2

__all__ = ["dashboard"]

_NUMBERS = ("cases", "passed", "failures", "skipped", "seconds")


def dashboard(summary: Mapping[str, Any], request: Mapping[str, Any], seconds: float, version: str) -> str:
    """HTML text. ``summary`` of :func:`tensaw.regress.summary.summarise`; ``request``: what was asked for;
    ``seconds`` that it took."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters["commas"] = lambda value: f"{value:,}"
    environment.filters["duration"] = _duration
    template = environment.from_string(files("tensaw.regress").joinpath("dashboard.html").read_text("utf-8"))
    parts = {
        name: {**part, "more": {key: value for key, value in part.items() if key not in (*_NUMBERS, "title")}}
        for name, part in summary["parts"].items()
    }
    return template.render(summary={**summary, "parts": parts}, request=request, seconds=seconds, version=version)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{seconds:.1f} s"
