"""From a board and a configuration to a bitstream: synthesis, placement, routing, packing, and what came of it."""

from tensaw.fpga.build import BuildOptions, BuildResult, build_board
from tensaw.fpga.fit import Usage, estimate_memory, refuse_overflow
from tensaw.fpga.report import BuildReport, Clock, PathStep

__all__ = [
    "BuildOptions", "BuildReport", "BuildResult", "Clock", "PathStep", "Usage", "build_board", "estimate_memory",
    "refuse_overflow",
]  # fmt: skip
