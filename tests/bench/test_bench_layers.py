"""Rates of single layers by the cycle model: a mapping that gets worse fails here."""

from __future__ import annotations

import pytest

from tensaw.bench.layers import Case, depthwise_cases, main, measure
from tensaw.spec.config import PRESETS

BASE = PRESETS["base"]


def estimate(case: Case) -> float:
    return measure(case, BASE, estimate=True).rate


@pytest.mark.parametrize("case", depthwise_cases((3, 3), (1,)), ids=str)
def test_depthwise_layers_keep_64_multipliers_busy(case: Case) -> None:
    rate = estimate(case)
    height, width, channels = case.image
    if height * width * -(-channels // 16) * 16 > BASE.scratchpad_bytes // 2:
        # Input and output are in memory: 9 multiplications for each byte at most, 8 bytes a cycle.
        assert rate > 20
    else:
        # 17 channels occupy two groups of 16.
        assert rate > (60 if channels == 17 else 64)


def test_the_command_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kernels", "--estimate"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "## kernels, 16×16"
    assert "| 24×24×16 | 5×5 | 1 | 1 |" in "\n".join(lines)


def test_mistakes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["dense"])
    assert caught.value.code == 2
    assert "there is no kind 'dense'; choose from depthwise, kernels, stems" in capsys.readouterr().err
    with pytest.raises(SystemExit) as caught:
        main(["--config", "none.toml"])
    assert caught.value.code == 2
    assert "neither a preset" in capsys.readouterr().err
