"""Arrays of all sizes come near what their tiles need, by the cycle model."""

from __future__ import annotations

from pathlib import Path

import pytest

from tensaw.bench.scaling import NETWORKS, SIZES, main, scaled
from tensaw.spec.config import NpuConfig


@pytest.mark.parametrize("config", SIZES, ids=lambda config: config.name)
@pytest.mark.parametrize(("network", "remove_channels"), NETWORKS)
def test_within_a_fifth_of_the_tiles(models: Path, config: NpuConfig, network: str, remove_channels: bool) -> None:
    found = scaled(models / "mlperf_tiny", config, network, remove_channels, estimate=True)
    assert 1 < found.ratio < 1.16, f"{found.cycles:,} cycles, {found.limit:,} for the tiles"


def test_the_command_prints_a_table(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--models", str(models / "mlperf_tiny"), "--estimate"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + len(SIZES) * len(NETWORKS)
    assert lines[2].startswith("| nano | 4×4 | IC | ")


def test_missing_networks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--models", str(tmp_path), "--estimate"])
    assert caught.value.code == 2
    assert f"The reference network 'ic_resnet8_int8.tflite' is not in {str(tmp_path)!r}" in capsys.readouterr().err
