"""Configurations for random tests: some fixed ones, whose simulators are built once, and any legal one."""

from __future__ import annotations

import numpy as np

from tensaw.spec.config import NpuConfig

__all__ = ["CONFIGS", "LARGEST", "random_config"]

LARGEST = 1024
"""Processing elements of a random configuration, at most."""

_SIZES = (2, 3, 4, 5, 7, 8, 10, 12, 16, 24, 32, 64)
"""Of rows and columns; drawn with chances that go with ``size ** -0.5``, because large arrays take long to build."""


def _config(
    rows: int, columns: int, bus: int, lanes: int, scratchpad: int, acc: int, group: int = 8, **more: int
) -> NpuConfig:
    """A configuration with the smallest weight buffer, or one ``weights`` times as large."""
    weights = more.pop("weights", 1)
    config = NpuConfig(
        name=f"r{rows}c{columns}b{bus}", rows=rows, columns=columns, column_group=group, bus_bytes=bus,
        requant_lanes=lanes, scratchpad_bytes=scratchpad, acc_entries=acc, **more,
    )  # fmt: skip
    return config.replace(weight_bytes=weights * _least_weights(config))


def _least_weights(config: NpuConfig) -> int:
    """The smallest legal weight buffer (the rule is NpuConfig's)."""
    least = max(256, 2 * (config.rows + 9) * config.weight_row_bytes + 2 * config.burst_beats * config.bus_bytes)
    return -(-least // config.weight_word_bytes) * config.weight_word_bytes


CONFIGS: dict[str, NpuConfig] = {
    config.name: config
    for config in (
        _config(4, 4, 8, 1, 4096, 16, queue_depth=16, outstanding_reads=4),
        _config(5, 7, 8, 3, 4096, 32, group=2, burst_beats=8, weights=2),
        _config(5, 7, 16, 7, 8192, 64, group=3, burst_beats=4),
        _config(9, 3, 8, 2, 4096, 8, outstanding_reads=1, address_width=24, weights=3),
        _config(8, 16, 8, 16, 2048, 32, burst_beats=4),
        _config(2, 2, 8, 2, 2048, 24, group=1, burst_beats=1, outstanding_reads=2),
        _config(3, 10, 16, 4, 8192, 40, group=4, address_width=40),
        _config(12, 5, 8, 5, 8192, 100, burst_beats=32, weights=2),
        _config(16, 4, 16, 3, 4096, 12, outstanding_reads=16),
        _config(6, 24, 8, 8, 16384, 128, group=5, weights=4),
        _config(7, 9, 8, 9, 2048, 512, group=9, burst_beats=2, outstanding_reads=64),
        _config(16, 16, 8, 16, 16384, 256, weights=4),
        _config(16, 15, 8, 4, 16384, 256, weights=4, depthwise_rows=2),
    )
}
"""By name: odd and even shapes, both bus widths, memories so small that layers are cut into many pieces."""


def random_config(rng: np.random.Generator) -> NpuConfig:
    """Any legal configuration of at most :data:`LARGEST` processing elements (the time that building a simulator takes
    goes with them); memories from the smallest legal size upwards."""

    def one_of(*values: int) -> int:
        return int(rng.choice(values))

    def size_up_to(largest: int) -> int:
        sizes = np.array([size for size in _SIZES if size <= largest])
        chances = sizes**-0.5
        return int(rng.choice(sizes, p=chances / chances.sum()))

    columns = size_up_to(_SIZES[-1])
    config = NpuConfig(
        name="any",
        rows=size_up_to(LARGEST // columns),
        columns=columns,
        column_group=int(rng.integers(1, columns + 1)),
        bus_bytes=one_of(8, 16),
        address_width=one_of(24, 32, 33, 48),
        weight_bytes=2 << 20,
        scratchpad_bytes=1 << 20,
        requant_lanes=int(rng.integers(1, columns + 1)),
        queue_depth=int(rng.integers(16, 100)),
        acc_entries=4 * one_of(2, 3, 4, 7, 16, 64, 128),
        burst_beats=one_of(1, 2, 4, 8, 16, 64, 256),
        outstanding_reads=one_of(1, 2, 3, 8, 64),
    )
    word, step = config.word_bytes, config.banks * config.word_bytes
    smallest = -(-max(32 * word, 512) // step)
    wanted = one_of(32 * word, 64 * word, 128 * word, 4096, 16384, 1 << 17)
    least = _least_weights(config)
    return config.replace(
        scratchpad_bytes=max(wanted // step, smallest) * step,
        weight_bytes=one_of(1, 2, 3, 8) * least,
        depthwise_rows=one_of(1, 2, 3, 3, 3),
    )
