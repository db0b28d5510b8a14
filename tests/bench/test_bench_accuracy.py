"""The cycle model against the RTL, on small configurations whose simulators the random tests build anyway."""

from __future__ import annotations

from pathlib import Path

import pytest

from tensaw.bench.accuracy import compare
from tensaw.bench.estimating import estimate_run
from tensaw.bench.references import compile_reference, simulate
from tensaw.regress.configs import CONFIGS


@pytest.mark.parametrize(("name", "network"), [("r4c4b8", "KWS"), ("r4c4b8", "AD"), ("r5c7b16", "KWS")])
@pytest.mark.parametrize("latencies", [(32, 8), (100, 20)], ids=str)
def test_close_to_the_hardware(models: Path, name: str, network: str, latencies: tuple[int, int]) -> None:
    config = CONFIGS[name]
    program = compile_reference(models / "mlperf_tiny", network, config)
    rtl = simulate(program, *latencies)
    estimate = estimate_run(program, *latencies)
    found = compare(config, network, latencies[0], rtl, estimate)
    assert abs(found.error) < 0.02 and abs(found.layer_error) < 0.05, found
    for counter in ("bytes_read", "bytes_written"):
        assert estimate.counters[counter] == rtl.counters[counter]
