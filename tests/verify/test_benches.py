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


def group(bench: str) -> pytest.MarkDecorator:
    """All tests of a bench run in one process, which runs the bench itself only once."""
    return pytest.mark.xdist_group(f"bench-{bench}")


@functools.cache
def result(block: str, config: str, simulator: str) -> BenchRun:
    return run_bench(BLOCKS[block], config, simulator, SEED)


@pytest.mark.parametrize(
    ("block", "config", "simulator", "test"),
    [
        pytest.param(*run, test, id="-".join((*run, test)), marks=group(BLOCKS[run[0]].bench))
        for run in runs()
        for test in bench_tests(bench_directory(), BLOCKS[run[0]].bench)
    ],
)
def test_bench(block: str, config: str, simulator: str, test: str) -> None:
    run = result(block, config, simulator)
    assert not run.trouble, f"{run.trouble}\nrepeat with: {run.command}"
    (found,) = (item for item in run.tests if item.name == test)
    assert found.passed, f"{found.text}\nrepeat with: {run.command} --test {test}"


@pytest.mark.parametrize(
    "bench", [pytest.param(name, marks=group(name)) for name in dict.fromkeys(block.bench for block in BLOCKS.values())]
)
def test_coverage_is_complete(bench: str) -> None:
    """The points of a bench are all hit by the runs that every test run makes of it."""
    if SEED:
        pytest.skip("only the default seed is known to hit everything with so few stimuli")
    found = [result(*run) for run in runs() if BLOCKS[run[0]].bench == bench]
    assert missing(merge(run.coverage for run in found)) == []
