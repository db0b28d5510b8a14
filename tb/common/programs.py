"""Random programs for the whole NPU: rounds of LOAD, WEIGHT, ARRAY, OUTPUT and STORE that overlap as tokens allow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tensaw.spec.isa import END_WORD, Mode, Operation, Peer, Unit, encode

from .array_runs import modes_of, random_run, stream_rows
from .bench import Bench
from .commands import registers_of, words_of_run
from .output_jobs import drain_job

__all__ = ["RoundProgram", "random_program"]

LOADED = {8: 3072, 16: 5120}
"""Bytes of the scratchpad that each round loads, by the size of a word: all that a random run may look at."""
TARGET_BYTES = 1024


@dataclass
class RoundProgram:
    """``constants`` (region 0: weights, then the program), ``offset`` and ``length`` of the program in it, ``inputs``
    (region 1), and how many bytes of region 2 it may write."""

    constants: np.ndarray
    offset: int
    length: int
    inputs: np.ndarray
    output_bytes: int
    modes: list[Mode]


def _bit(*peers: Peer) -> int:
    return sum(1 << peer for peer in peers)


def random_program(bench: Bench, rounds: int) -> RoundProgram:
    """Each round loads an input, computes a random ARRAY run and OUTPUT run on it, and stores the result."""
    config, rng = bench.config, bench.rng
    loaded = LOADED[config.word_bytes]
    words: list[int] = []
    weights = bytearray()
    modes = []
    for number in range(rounds):
        mode = bench.choose(*modes_of(bench.config))
        modes.append(mode)
        run = random_run(
            bench, mode, height=bench.integers(1, 4), width=bench.integers(1, 4), tiles=bench.integers(1, 2)
        )
        job = drain_job(
            bench, bench.choose(*Operation), height=run["OUT"]["height"], width=run["OUT"]["width"],
            tiles=run["TILES"]["count"], block=(run["BLOCK"]["height"], run["BLOCK"]["width"]),
            streamed=(run["WEIGHTS"]["bias"], run["WEIGHTS"]["scale"]),
        )  # fmt: skip
        later = number > 0
        weights_at = len(weights)
        weights += _stream(bench, run, job.side)
        words += [
            encode("WEIGHT.MEMORY", region=0, offset=weights_at),
            encode("WEIGHT.RUN", tag=number, bytes=len(weights) - weights_at),
        ]
        load = {"tag": number, "wait": _bit(Peer.ARRAY, Peer.OUTPUT) if later else 0,
                "signal": _bit(Peer.ARRAY, Peer.OUTPUT)}  # fmt: skip
        if not later:  # what nobody has written has no value, and would go around with what is stored
            words += words_of_run(Unit.LOAD, registers_of(Unit.LOAD, {
                "SCRATCHPAD": {"address": loaded}, "ROWS": {"bytes": TARGET_BYTES, "count": 1}, "PLANES": {"count": 1},
                "RUN": {"fill": 1, "value": bench.integers(0, 255)},
            }))  # fmt: skip
        words += words_of_run(Unit.LOAD, registers_of(Unit.LOAD, {
            "MEMORY": {"region": 1, "offset": number * loaded}, "ROWS": {"bytes": loaded, "count": 1},
            "PLANES": {"count": 1}, "RUN": load,
        }))  # fmt: skip
        run["RUN"] |= {"tag": number, "wait": _bit(Peer.LOAD), "signal": _bit(Peer.LOAD)}
        words += words_of_run(Unit.ARRAY, run)
        registers = job.registers
        extent = (
            (run["OUT"]["height"] - 1) * registers["TARGET"]["pitch"]
            + (run["OUT"]["width"] - 1) * registers["CHANNELS"]["pixel_pitch"]
            + run["TILES"]["count"] * config.columns
        )
        registers["TARGET"]["base"] = loaded + bench.integers(0, TARGET_BYTES - 32 - extent)
        registers["OPERAND"]["base"] = bench.integers(0, loaded - extent)
        registers["RUN"] |= {"tag": number, "wait": _bit(Peer.LOAD) | (_bit(Peer.STORE) if later else 0),
                             "signal": _bit(Peer.LOAD, Peer.STORE), "table": 0}  # fmt: skip
        words += job.words
        # The target area before it was written is nobody's: only what this round has written is stored.
        first, count = registers["TARGET"]["base"], registers["CHANNELS"]["last"]
        if run["TILES"]["count"] > 1:
            count = registers["CHANNELS"]["tile"]
        words += words_of_run(Unit.STORE, registers_of(Unit.STORE, {
            "MEMORY": {"region": 2, "offset": number * 256 + bench.integers(0, 15)}, "SCRATCHPAD": {"address": first},
            "ROWS": {"bytes": count, "count": run["OUT"]["width"]},
            "ROW_PITCH": {"memory": count + bench.integers(0, 3), "scratchpad": registers["CHANNELS"]["pixel_pitch"]},
            "PLANES": {"count": 1},
            "RUN": {"tag": number, "wait": _bit(Peer.OUTPUT), "signal": _bit(Peer.OUTPUT)},
        }))  # fmt: skip
    words += [END_WORD] * (1 + (len(words) + 1) % 2)
    weights += bytes(-len(weights) % 16)
    program = np.array(words, "<u8").view(np.uint8)
    constants = np.concatenate([np.frombuffer(bytes(weights), np.uint8), program])
    inputs = rng.integers(0, 256, rounds * loaded, np.uint8)
    return RoundProgram(constants, len(weights), len(program), inputs, rounds * 256 + 256, modes)


def _stream(bench: Bench, run: dict[str, dict[str, int]], side: list[dict[str, int]]) -> bytes:
    """The weight stream of a run: each tile's parameters, as the OUTPUT run has them, then its random steps."""
    width, beat = bench.config.weight_row_bytes, bench.config.bus_bytes
    parameters, steps = stream_rows(run)
    content = bytearray()
    for tile in range(run["TILES"]["count"]):
        for row in side[tile * parameters : (tile + 1) * parameters]:
            content += row["row"].to_bytes(width, "little")
        content += bench.bytes(steps * width).tobytes()
    pad = (-len(content) % beat) // width
    run["WEIGHTS"] |= {"free": 1, "pad": pad}
    return bytes(content + bytes(pad * width)) or _fill(run, width, beat)


def _fill(run: dict[str, dict[str, int]], width: int, beat: int) -> bytes:
    """A run that takes no rows still skips some: WEIGHT.RUN cannot be empty."""
    run["WEIGHTS"]["pad"] = beat // min(width, beat)
    return bytes(run["WEIGHTS"]["pad"] * width)
