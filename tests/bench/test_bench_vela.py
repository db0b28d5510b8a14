"""Arm's estimates: the very figures of Vela where it is installed, and a stand-in for what can go wrong with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tensaw.bench import vela
from tensaw.bench.vela import ACCELERATORS, find_vela, summary_cycles, vela_estimates
from tensaw.spec.config import PRESETS

BASE = PRESETS["base"]
MODEL = Path("network.tflite")
STAND_IN = """
import sys, pathlib
options = dict(zip(sys.argv[2::2], sys.argv[3::2]))
folder = pathlib.Path(options["--output-dir"])
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def install(script: str) -> None:
        path = tmp_path / "vela.py"
        path.write_text(STAND_IN + script)
        monkeypatch.setattr(vela, "find_vela", lambda: [sys.executable, str(path)])

    return install


def test_the_nearest_size_is_chosen() -> None:
    u55, u85 = ACCELERATORS
    assert [u55.variant(PRESETS[name]) for name in ("nano", "small", "base", "large")] == [
        "ethos-u55-32", "ethos-u55-64", "ethos-u55-256", "ethos-u55-256",
    ]  # fmt: skip
    assert [u85.variant(PRESETS[name]) for name in ("nano", "base", "large")] == [
        "ethos-u85-128", "ethos-u85-256", "ethos-u85-1024",
    ]  # fmt: skip


def test_summaries_are_read(tmp_path: Path) -> None:
    summary = tmp_path / "x_summary_y.csv"
    summary.write_text("experiment,cycles_npu,cycles_total\ndefault,100.0,123.0\n")
    assert summary_cycles(summary) == 123
    summary.write_text("experiment\ndefault\n")
    assert summary_cycles(summary) == 0


def test_it_asks_for_arms_own_settings(stand_in) -> None:
    stand_in(
        "assert options['--config'] == 'Arm/vela.ini' and options['--memory-mode'] == 'Sram_Only'\n"
        "cycles = {'Ethos_U55_High_End_Embedded': 55, 'Ethos_U85_SYS_Flash_High': 85}[options['--system-config']]\n"
        "(folder / 'network_summary_x.csv').write_text(f'cycles_total\\n{cycles}.0\\n')\n"
        "print('CPU operators = 0 (0.0%)')\n"
    )
    found = vela_estimates(MODEL, BASE)
    assert found.cycles == {"ethos-u55-256 (Vela)": 55, "ethos-u85-256 (Vela)": 85} and found.remarks == []
    assert vela_estimates(Path("network.onnx"), BASE).cycles == {}


def test_what_is_missing_is_said(stand_in, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(
        "(folder / 'network_summary_x.csv').write_text('cycles_total\\n7\\n')\nprint('CPU operators = 2 (9.0%)')\n"
    )
    found = vela_estimates(MODEL, BASE)
    assert found.cycles == {"ethos-u55-256 (Vela)": 7, "ethos-u85-256 (Vela)": 7}
    assert found.remarks[0] == (
        "ethos-u55-256 (Vela) for network.tflite: operators that Vela leaves to the CPU are not in the figure: 2."
    )
    stand_in("print('reading'); sys.exit('it cannot')")
    found = vela_estimates(MODEL, BASE)
    assert found.cycles == {}
    assert found.remarks[1] == (
        "ethos-u85-256 (Vela) for network.tflite: no estimate; Vela's last words were 'it cannot'."
    )
    monkeypatch.setattr(vela, "find_vela", lambda: ["/nowhere/vela"])
    assert "no estimate, since Vela could not be run" in vela_estimates(MODEL, BASE).remarks[0]


@pytest.mark.parametrize(
    ("network", "u55", "u85"),
    [
        ("ic_resnet8_int8", 107151, 85092),
        ("kws_dscnn_int8", 56222, 40347),
        ("vww_mobilenetv1_025_int8", 146940, 117653),
        ("ad_autoencoder_int8", 40929, 22200),
    ],
)
def test_the_published_figures(models: Path, network: str, u55: int, u85: int) -> None:
    command = find_vela()
    if command is None:
        pytest.skip("ethos-u-vela is not installed")
    version = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if not version.startswith("5.2."):
        pytest.skip(f"the published figures are Vela 5.2's, and {version} is installed")
    found = vela_estimates(models / "mlperf_tiny" / f"{network}.tflite", BASE)
    assert found.cycles == {"ethos-u55-256 (Vela)": u55, "ethos-u85-256 (Vela)": u85} and found.remarks == []
