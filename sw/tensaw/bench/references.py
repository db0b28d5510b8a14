"""The four reference networks, compiled and simulated."""

from __future__ import annotations

import os
from pathlib import Path

from tensaw.compiler.frontends import load
from tensaw.compiler.pipeline import CompileOptions, compile_graph
from tensaw.runtime import RunResult, Session
from tensaw.runtime.arrays import random_inputs
from tensaw.spec.config import NpuConfig
from tensaw.spec.errors import InputError
from tensaw.spec.program import Program

__all__ = ["REFERENCES", "compile_reference", "models_folder", "simulate"]

REFERENCES: dict[str, str] = {
    "IC": "ic_resnet8_int8.tflite",
    "KWS": "kws_dscnn_int8.tflite",
    "VWW": "vww_mobilenetv1_025_int8.tflite",
    "AD": "ad_autoencoder_int8.tflite",
}
"""The MLPerf Tiny networks by the benchmark's abbreviations: files in the folder ``mlperf_tiny``."""


def models_folder(given: Path | None = None) -> Path:
    """The folder of the reference networks: the one given, or ``mlperf_tiny`` in that of ``TENSAW_MODELS``.

    Raises InputError if there is none.
    """
    folder = given or Path(os.environ.get("TENSAW_MODELS") or "../shared/models") / "mlperf_tiny"
    missing = [file for file in REFERENCES.values() if not (folder / file).is_file()]
    if missing:
        raise InputError(
            f"The reference network {missing[0]!r} is not in {str(folder)!r}. Give the folder of the MLPerf Tiny "
            "networks with --models, or set TENSAW_MODELS to the folder above it."
        )
    return folder


def compile_reference(folder: Path, network: str, config: NpuConfig, remove_channels: bool = True) -> Program:
    """The program of one of :data:`REFERENCES`. Raises TensawError."""
    options = CompileOptions(remove_channels=remove_channels)
    return compile_graph(load(folder / REFERENCES[network]), config, options)


def simulate(program: Program, read_latency: int = 32, write_latency: int = 8) -> RunResult:
    """One run on the RTL in Verilator, with random inputs: cycles do not depend on them but for a few in softmax.

    Raises TensawError.
    """
    with Session(program, read_latency=read_latency, write_latency=write_latency) as session:
        return session.run(random_inputs(program.inputs, 0))
