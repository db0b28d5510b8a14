"""Fixtures for every test: randomness that can be repeated, the reference networks, one Yosys on all machines."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent

# Any other Yosys on the machine would write other Verilog.
os.environ.setdefault("AMARANTH_USE_YOSYS", "builtin")


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """A seed of the test's own: ``TENSAW_SEED`` if set, else made from the test's name. Printed where it fails."""
    chosen = os.environ.get("TENSAW_SEED")
    value = int(chosen) if chosen else zlib.crc32(request.node.nodeid.encode())
    print(f"seed {value} (repeat with TENSAW_SEED={value})")
    return value


@pytest.fixture
def rng(seed: int) -> np.random.Generator:
    """The test's generator of random numbers; every test gets its own sequence, the same in every run."""
    return np.random.default_rng(seed)


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def models() -> Path:
    """The folder that holds ``mlperf_tiny/``: ``TENSAW_MODELS``, else ``../shared/models`` beside the repository."""
    path = Path(os.environ.get("TENSAW_MODELS") or ROOT.parent / "shared" / "models")
    if not path.is_dir():
        pytest.skip(f"the reference networks are not at {path}; set TENSAW_MODELS to their folder")
    return path
