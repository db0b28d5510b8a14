"""The report's figures, drawings and trace on a made-up run."""

from __future__ import annotations

import html.parser
import json
import xml.etree.ElementTree as ElementTree

import pytest

from tensaw.harness import Event
from tensaw.report import html_report, perfetto_trace
from tensaw.report.drawings import COLOURS, layer_bars, roofline, timeline
from tensaw.report.figures import layer_figures, totals
from tensaw.runtime.layers import BOUNDS, LayerResult
from tensaw.runtime.session import RunResult
from tensaw.spec.config import PRESETS
from tensaw.spec.names import short_name
from tensaw.spec.program import Layer, Program, Tag


@pytest.fixture
def program() -> Program:
    return Program(
        name="net<1>",
        config=PRESETS["base"],
        constants=b"\0" * 16,
        program_offset=0,
        program_bytes=16,
        region_sizes=(16, 0, 0, 0),
        layers=[
            Layer("a/b/conv;again", "CONV_2D", "t1", macs=25600, weight_bytes=400, limit=100, fused=("a/add",)),
            Layer("soft & max", "SOFTMAX", "t2"),
        ],
        tags=[Tag(0, "channels 0..15"), Tag(1, "all")],
    )


@pytest.fixture
def result() -> RunResult:
    return RunResult(
        outputs={},
        cycles=250,
        counters={"cycles": 250, "bytes_read": 801, "bytes_written": 16},
        layers=[
            LayerResult("a/b/conv;again", "CONV_2D", 25600, 200, "array", {"array": 150, "weights": 50}),
            LayerResult("soft & max", "SOFTMAX", 0, 50, "output", {"output": 50}),
        ],
        sim_cycles_per_second=1e5,
        events=[Event("array", 0, 10, 180), Event("output", 1, 200, 250), Event("load", 7, 0, 20)],
    )


def test_figures_are_what_the_run_gave(program: Program, result: RunResult) -> None:
    convolution, softmax = layer_figures(program, result)
    assert convolution.utilization == 25600 / (200 * 256)
    assert convolution.intensity == 64
    assert (convolution.name, convolution.fused, softmax.utilization) == ("a/b/conv", ("a/add",), 0)
    whole = totals(program, result)
    assert (whole.macs, whole.cycles, whole.limit, whole.bus_limit) == (25600, 250, 100, 101)


def test_short_names() -> None:
    assert short_name("x;y") == "x"
    assert short_name("functional_1/activation/long/Relu", 20) == "activation/long/Relu"
    assert short_name("n" * 50, 10) == "…" + "n" * 9


def test_drawings_are_svg_with_every_layer_and_unit(program: Program, result: RunResult) -> None:
    layers = layer_figures(program, result)
    assert set(COLOURS) == set(BOUNDS)
    for drawing in (layer_bars(layers), roofline(program.config, layers), timeline(program, result)):
        ElementTree.fromstring(drawing)
    bars = ElementTree.fromstring(layer_bars(layers))
    widths = [float(rect.get("width", 0)) for rect in bars.iter() if rect.tag.endswith("rect")]
    assert widths[0] / widths[1] == pytest.approx(3, rel=1e-3)
    assert timeline(program, result).count("<rect") == 3
    assert "soft &amp; max" in timeline(program, result)


def test_html_is_whole_and_self_contained(program: Program, result: RunResult) -> None:
    page = html_report(program, result, matches_golden=True, notes={"accuracy": "98 %"})

    class Reader(html.parser.HTMLParser):
        loaded: list[str] = []

        def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
            self.loaded += [value or "" for name, value in attributes if name in ("src", "href")]

    reader = Reader()
    reader.feed(page)
    assert not reader.loaded and "<script" not in page
    for text in ("net&lt;1&gt;", "250", "40.0%", "accuracy", "equal", "bytes_read", "scratchpad_bytes"):
        assert text in page
    assert "DIFFERENT" in html_report(program, result, matches_golden=False)


def test_golden_runs_have_a_report_without_times(program: Program) -> None:
    page = html_report(program, RunResult(outputs={}, layers=[LayerResult("a", "b"), LayerResult("c", "d")]))
    assert "Timeline" not in page and "Roofline" not in page


def test_perfetto_trace_has_a_slice_for_each_event(program: Program, result: RunResult) -> None:
    trace = json.loads(perfetto_trace(program, result))
    slices = [event for event in trace["traceEvents"] if event["ph"] == "X"]
    assert [(event["ts"], event["dur"], event["name"]) for event in slices] == [
        (10, 170, "a/b/conv;again"),
        (200, 50, "soft & max"),
        (0, 20, "load"),
    ]
    assert {event["args"]["name"] for event in trace["traceEvents"] if event["name"] == "thread_name"} == {
        "load",
        "weight",
        "array",
        "output",
        "store",
    }
