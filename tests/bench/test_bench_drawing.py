"""The benchmark's plot: one file that needs nothing else, readable on light and dark pages, with every figure in it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from tensaw.bench.drawing import plot, png, require_png
from tensaw.bench.measure import Measurement
from tensaw.report.drawings import COLOURS
from tensaw.runtime.layers import LayerResult
from tensaw.spec.errors import ToolError

SVG = "{http://www.w3.org/2000/svg}"


def made(
    name: str = "network", cycles: int = 300, compared: dict[str, int] | None = None, limit: int = 200
) -> Measurement:
    layers = [LayerResult("a", "CONV_2D", 100, cycles, "array", {"array": cycles - 100, "weights": 100})]
    return Measurement(
        name, f"{name}.tflite", "rtl", cycles, 200, limit, 250, 50, 51200, 32, 1000, 10, layers, True, compared or {}
    )


def test_it_is_one_file_that_needs_nothing_else() -> None:
    text = plot([made(), made("a<b", 400, {"other": 800})], "title & more", "subtitle")
    texts = "".join(ElementTree.fromstring(text).itertext())
    for expected in ("a<b", "800 · 4.00×", "300 · 1.50×", "limit 200 cycles", "title & more", "subtitle"):
        assert expected in texts
    assert "href" not in text and "script" not in text and "url(" not in text
    assert ElementTree.fromstring(plot([], "nothing")).tag.endswith("svg")


def test_multiples_are_those_of_the_whole_network() -> None:
    texts = "".join(ElementTree.fromstring(plot([made(cycles=300, limit=400)], "title")).itertext())
    assert "300 · 0.75×" in texts and "limit 400 cycles; without channels that are constant 200" in texts


def test_bars_are_as_long_as_their_cycles() -> None:
    bars = {
        title.text: float(rect.attrib["width"])
        for rect in ElementTree.fromstring(plot([made(compared={"other": 800})], "title")).iter(f"{SVG}rect")
        if (title := rect.find(f"{SVG}title")) is not None
    }
    (weights,) = (width for text, width in bars.items() if text and text.startswith("100 cycles"))
    (array,) = (width for text, width in bars.items() if text and text.startswith("200 cycles"))
    assert array == pytest.approx(2 * weights, abs=0.02)
    assert bars["other: 800 cycles"] == pytest.approx(8 * weights, abs=0.05)


@pytest.mark.parametrize("cycles", [190, 1900, 19000, 190000])
def test_no_bar_leaves_the_picture(cycles: int) -> None:
    root = ElementTree.fromstring(plot([made(compared={"other": cycles})], "title"))
    ends = [float(rect.attrib["x"]) + float(rect.attrib["width"]) for rect in root.iter(f"{SVG}rect")]
    assert max(ends) <= float(root.attrib["width"])
    assert len(list(root.iter(f"{SVG}line"))) <= 12


def test_it_says_on_which_terms_others_are_given() -> None:
    assert "Arm's estimate" not in plot([made()], "title")
    text = plot([made(compared={"ethos-u55-256 (Vela)": 900, "SCALE-Sim WS": 800})], "title")
    assert (
        "Arm&#x27;s estimates, all in SRAM, weights compressed; bytes a cycle: ethos-u55 8, ethos-u85 2 × 16." in text
    )
    assert "memory without limit" in text


def test_it_has_colours_for_light_and_dark_pages() -> None:
    style = plot([], "title").partition("<style>")[2].partition("</style>")[0]
    light, _, dark = style.partition("@media(prefers-color-scheme:dark)")
    assert all(f".{kind}{{fill:{colour}}}" in light for kind, colour in COLOURS.items())
    for kind in ("text", ".paper", ".faint", ".other"):
        assert contrasting(kind, light) and contrasting(kind, dark)


def contrasting(kind: str, style: str) -> bool:
    """Whether a class differs clearly from the paper in brightness (the paper itself: whether it has a colour)."""
    fills = {name: int(red, 16) for name, red in re.findall(r"(\.?\w+)\{[^}]*?fill:#(\w\w)", style)}
    return kind in fills and (kind == ".paper" or abs(fills[kind] - fills[".paper"]) > 60)


def test_png_needs_a_tool(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError) as caught:
        require_png()
    assert str(caught.value) == (
        "A plot as .png needs the command rsvg-convert, which is not on PATH: install librsvg2-bin (Debian, Ubuntu) or "
        "librsvg (elsewhere), or give --plot a file that ends in .svg."
    )
    tool = tmp_path / "rsvg-convert"
    tool.write_text('#!/bin/sh\nprintf \'drawn %s %s: \' "$1" "$2"; read line; printf \'%s\' "$line"\n')
    tool.chmod(0o755)
    assert png("<svg/>\n") == b"drawn --zoom 2: <svg/>"
    tool.write_text("#!/bin/sh\necho broken >&2; exit 1\n")
    with pytest.raises(ToolError, match="rsvg-convert could not draw the plot: broken"):
        png("<svg/>\n")
