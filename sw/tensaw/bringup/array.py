"""Patterns for the array from whose results a faulty processing element follows.

Every weight is -1. An input that is 1 in one row r alone makes the partial sums of a column 0 above row r and -1, all
bits ones, from there on. A partial sum's bit that is stuck below row q spoils the results of exactly those r on one
side of q: which ones tells q, and whether the input without any 1 comes out right tells the bit's value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tensaw.bringup.finding import Finding
from tensaw.bringup.networks import run_network
from tensaw.networks.tflite_builder import TfliteBuilder
from tensaw.runtime.link import HostLink
from tensaw.spec.config import NpuConfig

__all__ = ["diagnose", "test_array"]

_WEIGHTS = (-1, 1, 2, 4, 8, 16, 32, 64, 85, -86)
_VALUES = (1, -1, 2, 4, 8, 16, 32, 64, -127)
_CHECK = (
    "Was timing met (`tensaw fpga build` says so)? Build with a lower --clock, load the bitstream again, and look at "
    "the FPGA's supply and temperature; if it is always this element on this board alone, the FPGA is broken there."
)
_INSIDE = "The array inside the FPGA computes wrongly; link, memory and DMA are sound."


def test_array(link: HostLink) -> str:
    """Raises Finding."""
    config = link.identity.config
    network, inputs = _network(config)
    found, expected = run_network(link, network, {"patterns": inputs})
    names = sorted(expected, key=lambda name: int(name.split("_")[1]))
    ours = [np.asarray(found[name]).reshape(-1, config.columns) for name in names]
    theirs = [np.asarray(expected[name]).reshape(-1, config.columns) for name in names]
    text = diagnose(config, ours, theirs)
    if text:
        raise Finding(text, _INSIDE, _CHECK)
    return f"{len(names) * len(inputs[0, 0])} patterns through every one of {config.rows}×{config.columns} elements"


def _network(config: NpuConfig) -> tuple[bytes, npt.NDArray[np.int8]]:
    """A 1 × 1 convolution of ``rows`` to ``columns`` channels for each weight, and the patterns, as one row of pixels:
    nothing, then each value in each row alone."""
    patterns = np.zeros((1 + len(_VALUES) * config.rows, config.rows), np.int8)
    for number, value in enumerate(_VALUES):
        for row in range(config.rows):
            patterns[1 + number * config.rows + row, row] = value
    builder = TfliteBuilder("array_patterns")
    x = builder.input((1, 1, len(patterns), config.rows), 1.0, 0, name="patterns")
    for number, weight in enumerate(_WEIGHTS):
        weights = np.full((config.columns, 1, 1, config.rows), weight)
        builder.output(builder.conv2d(x, weights, weight_scale=1.0, name=f"weights_{number}"))
    return builder.finish(), patterns[None, None]


def diagnose(config: NpuConfig, found: Sequence[npt.NDArray[np.int8]], expected: Sequence[npt.NDArray[np.int8]]) -> str:
    """What is wrong, by results (patterns, columns) for each weight; empty if nothing is."""
    rows = config.rows
    wrong = [ours != theirs for ours, theirs in zip(found, expected, strict=True)]
    faulty = np.flatnonzero(np.stack([part.any(axis=0) for part in wrong]).any(axis=0))
    if not len(faulty):
        return ""
    single = np.concatenate([part[1:].reshape(-1, rows, config.columns) for part in wrong])
    by_row = np.asarray(single.any(axis=0))
    spoiled = np.flatnonzero(by_row.any(axis=-1))
    zero = np.stack([part[0] for part in wrong]).any(axis=0)
    if len(spoiled) == 1 and len(faulty) == config.columns and not zero.any():
        return (
            f"All columns are wrong when row {spoiled[0]} has an input: the input lane of row {spoiled[0]} is faulty."
        )
    lanes = {int(column) % config.requant_lanes for column in faulty}
    if (
        len(faulty) > 1
        and len(lanes) == 1
        and len(faulty) == len(range(min(lanes), config.columns, config.requant_lanes))
    ):
        return (
            f"Columns {_list(faulty)} are wrong, which are those of requantise lane {min(lanes)}: it or the "
            "accumulators in front of it are faulty."
        )
    texts = [_column(config, int(column), found, by_row[:, column]) for column in faulty[:4]]
    rest = f" Columns {_list(faulty[4:])} are wrong, too." if len(faulty) > 4 else ""
    return " ".join(texts) + rest


def _column(
    config: NpuConfig,
    column: int,
    found: Sequence[npt.NDArray[np.int8]],
    by_row: npt.NDArray[Any],
) -> str:
    """One faulty column."""
    rows = config.rows
    # Weight -1 and input 1: all bits of the sum are ones from the input's row on.
    ones = found[0][1 : 1 + rows, column].astype(int) != -1
    zero = int(found[0][0, column])
    above, bit = None, ""
    if zero and np.array_equal(ones, np.sort(ones)):  # right up to some row, wrong behind it
        above, bit = rows - 1 - int(ones.sum()), "1"
        size = zero
    elif not zero and ones.any() and np.array_equal(ones, np.sort(ones)[::-1]):
        above, bit = int(ones.sum()) - 1, "0"
        size = -1 - int(found[0][1, column])
    if above is not None and above >= 0:
        number = f"bit {size.bit_length() - 1}" if 0 < size < 127 else "a bit above 6"
        behind = ", or what follows the column's last row" if above == rows - 1 else ""
        return (
            f"The processing element in row {above}, column {column}{behind}, is faulty: {number} of its partial sum "
            f"is always {bit}."
        )
    spoiled = np.flatnonzero(by_row)
    if len(spoiled) == 1:
        return f"The processing element in row {spoiled[0]}, column {column}, is faulty: its products are wrong."
    return (
        f"Column {column} is wrong for inputs in rows {_list(spoiled)}: one of its processing elements, its "
        "accumulators or its output lane is faulty."
    )


def _list(numbers: Sequence[int] | npt.NDArray[np.intp]) -> str:
    return ", ".join(str(int(number)) for number in numbers)
