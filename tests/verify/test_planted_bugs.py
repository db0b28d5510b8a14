"""Bugs planted by hand, one in each of many blocks: the bench of the block notices."""

from __future__ import annotations

import importlib.util
import shutil
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUGS = tomllib.loads((ROOT / "tb" / "planted_bugs.toml").read_text("utf-8"))["bug"]

pytestmark = pytest.mark.skipif(not shutil.which("iverilog"), reason="Icarus Verilog is not installed")


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("planted_bugs", ROOT / "scripts" / "planted_bugs.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug["bench"])
def test_a_planted_bug_is_noticed(script: ModuleType, bug: dict[str, str]) -> None:
    test, _ = script.hunt(bug)
    assert test, bug["text"]
