"""The HTML report: one file, readable without a network, printable."""

from __future__ import annotations

from importlib.resources import files

import jinja2

from tensaw.report.drawings import COLOURS, layer_bars, roofline, timeline
from tensaw.report.figures import layer_figures, totals
from tensaw.runtime.layers import BOUNDS
from tensaw.runtime.session import RunResult
from tensaw.spec.config import FIELD_TEXTS
from tensaw.spec.program import Program
from tensaw.spec.registers import COUNTERS

__all__ = ["html_report"]


def html_report(
    program: Program,
    result: RunResult,
    *,
    simulator: str = "verilator",
    read_latency: int = 32,
    matches_golden: bool | None = None,
    notes: dict[str, str] | None = None,
) -> str:
    """HTML text of one run.

    ``matches_golden``: whether every output byte equals the golden model's (None: not compared). ``notes``: further
    lines for the summary, name to text.
    """
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters["commas"] = lambda value: f"{value:,}"
    environment.filters["percent"] = lambda value: f"{value:.1%}"
    template = environment.from_string(files("tensaw.report").joinpath("template.html").read_text("utf-8"))
    layers = layer_figures(program, result)
    return template.render(
        program=program,
        config={name: value for name, value in program.config.to_dict().items()},
        field_texts=FIELD_TEXTS,
        layers=layers,
        totals=totals(program, result),
        counters=[(name.lower(), result.counters.get(name.lower(), 0), text) for name, text in COUNTERS],
        colours=COLOURS,
        bounds=BOUNDS,
        simulator=simulator,
        read_latency=read_latency,
        speed=result.sim_cycles_per_second,
        matches_golden=matches_golden,
        notes=notes or {},
        bars=layer_bars(layers),
        roofline=roofline(program.config, layers),
        timeline=timeline(program, result),
    )
