"""Every block's bench, test by test, and the coverage points that its configurations must hit together."""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Iterator

import pytest

from tensaw.verify.blocks import BLOCKS
from tensaw.verify.plan import bench_tests
from tensaw.verify.results import BenchRun, merge, missing
from tensaw.verify.simulate import bench_directory, run_bench

SEED = int(os.environ.get("TENSAW_SEED", "0"))

pytestmark = pytest.mark.skipif(not shutil.which("iverilog"), reason="Icarus Verilog is not installed")


def runs() -> Iterator[tuple[str, str, str]]:
    """(block, configuration, simulator) of every test run: all configurations on Icarus, the first one on others."""
    for block in BLOCKS.values():
        yield from ((block.name, config, "icarus") for config in block.configs)
        yield from ((block.name, block.configs[0], name) for name in block.simulators if name != "icarus")


@functools.cache
def result(block: str, config: str, simulator: str) -> BenchRun:
    return run_bench(BLOCKS[block], config, simulator, SEED)


@pytest.mark.parametrize(
    ("block", "config", "simulator", "test"),
    [
        pytest.param(*run, test, id="-".join((*run, test)), marks=pytest.mark.xdist_group(f"bench-{run[0]}"))
        for run in runs()
        for test in bench_tests(bench_directory(), run[0])
    ],
)
def test_bench(block: str, config: str, simulator: str, test: str) -> None:
    run = result(block, config, simulator)
    assert not run.trouble, f"{run.trouble}\nrepeat with: {run.command}"
    (found,) = (item for item in run.tests if item.name == test)
    assert found.passed, f"{found.text}\nrepeat with: {run.command} --test {test}"


@pytest.mark.parametrize(
    "block", [pytest.param(name, marks=pytest.mark.xdist_group(f"bench-{name}")) for name in BLOCKS]
)
def test_coverage_is_complete(block: str) -> None:
    """The points of a block are all hit by the runs of its bench that every test run makes."""
    found = [result(*run) for run in runs() if run[0] == block]
    assert missing(merge(run.coverage for run in found)) == []
