"""Which runs the array cannot carry out."""

from __future__ import annotations

from typing import Any

from amaranth import Mux, Value

from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import Follow, Mode

__all__ = ["illegal_run"]


def illegal_run(config: NpuConfig, run: Any) -> Value:
    """Whether the hardware cannot carry out this RUN. (Too large a block shows while it runs.)"""
    zero = [
        run.kernel_y.steps,
        run.kernel_x.steps,
        run.kernel_x.chunks,
        run.out.height,
        run.out.width,
        run.block.height,
        run.block.width,
        run.tiles.count,
        run.step.decimation,
    ]
    result: Value = Mux(run.run.follow > max(Follow), 1, 0)
    for field in zero:
        result |= field == 0
    word_bits = config.word_bytes.bit_length() - 1
    pairs = run.run.mode == Mode.PAIRS
    depthwise = (run.run.mode == Mode.DEPTHWISE) | pairs
    groups = run.run.groups
    pitch, position = run.kernel_y.group_pitch, run.step.position
    rows, pixel = pitch[word_bits:], position[word_bits + 1 :]
    spread = (pitch[:word_bits] == 0) & (rows[:2] != 0)
    result |= depthwise & ((groups == 0) | (groups > config.groups) | ((groups > 1) & ~spread))
    # The words of two pixels of each kernel row lie in different banks.
    apart = pixel[0] & ((rows[:2] == 2) | (groups == 1))
    if config.banks == 8:
        apart |= (pixel[:3] == 4) & (rows[0] | (groups == 1))
    result |= pairs & ((position[: word_bits + 1] != 0) | ~apart if config.taps == 3 else 1)
    result |= (run.run.mode != Mode.POOL) & ((run.weights.rows == 0) | (run.weights.rows > config.rows))
    return result
