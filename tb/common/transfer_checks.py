"""What LOAD's and STORE's benches try alike: runs of any size, and everything that can be wrong with one."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np

from tensaw.spec.isa import Unit, encode
from tensaw.spec.registers import ErrorCode

from .bench import Bench
from .commands import words_of_run
from .managers import covering, from_origin
from .streams import Sink, Source
from .tokens import UnitTokens
from .transfers import accesses, large_transfer, random_transfer, rows_of

__all__ = ["ERRORS", "check_errors", "check_large_runs"]

ERRORS = (
    "no bytes", "no rows", "no planes", "beyond the scratchpad", "beyond the region", "no region", "ILLEGAL_COMMAND",
)  # fmt: skip
"""What can be wrong with a run, besides the memory."""


async def check_large_runs(bench: Bench, unit: Unit, requests: Any, cover: Callable[[str], None]) -> None:
    """What is asked of memory first, at the port ``requests``, by runs whose counts, pitches and places are anything
    that registers hold."""
    ports, pad = bench.ports, bench.config.scratchpad_bytes
    for turn in range(bench.count(60)):
        run = large_transfer(bench, unit, turn)
        tokens = UnitTokens(bench, ports.tokens, bench.pace("never"))
        tokens.expect(run["RUN"]["wait"], run["RUN"]["signal"])
        asked: list[dict[str, int]] = []
        Sink(bench, requests, lambda asked=asked: len(asked) < 6, asked.append)
        Source(bench, ports.words, bench.pace("never"), words_of_run(unit, run))
        wanted, code = [], 0
        for offset, address, *_ in islice(rows_of(run), 7):
            code = ErrorCode.ILLEGAL_VALUE if address + run["ROWS"]["bytes"] > pad else offset >> 32
            if code or len(wanted) == 6:
                break
            wanted.append(
                {"region": run["MEMORY"]["region"], "offset": offset, "bytes": run["ROWS"]["bytes"], "turn": 0}
            )
        await bench.clocks(50)
        assert asked == wanted, f"{asked} instead of {wanted} for {run}"
        code = ErrorCode.OUTSIDE_REGION if code == 1 else code
        found = ports.error.code.get() if ports.error.valid.get() else 0
        assert found == code and ports.busy.get() and ports.tag.get() == run["RUN"]["tag"], f"error {found} for {run}"
        assert not code or (ports.error.tag.get(), ports.error.address.get()) == (run["RUN"]["tag"], 0)
        cover(ErrorCode(code).name if code else "goes on")
        await bench.restart()


async def check_errors(
    bench: Any, unit: Unit, size: int, memory: tuple[str, str], unused: int, cover: Callable[[str], None]
) -> None:
    """Everything that can be wrong with a run, or with the memory, is reported with the run's tag, and what the memory
    says with its address; also while the runs before it are under way.

    ``bench`` is the unit's own, with ``manager``, ``tokens``, ``words``, ``tags``, ``origin``; ``size``: bytes of a
    region; ``memory``: the two errors of the memory; ``unused``: the lowest bit of RUN that must be 0.
    """
    pad, ports, kind = bench.config.scratchpad_bytes, bench.ports, unit.name
    for what in (*ERRORS, *memory) * bench.count(2):
        bench.begin()
        bench.broken = True
        bench.manager.elsewhere = int(bench.rng.integers(1 << 64, dtype=np.uint64))
        tags = bench.rng.permutation(1 << 16)[:3].tolist()
        runs = [random_transfer(bench, unit, size, tag) for tag in tags]
        for before in runs[:2]:
            bench.send(before)
        run, tag = runs[2], tags[2]
        code = ErrorCode.ILLEGAL_VALUE
        words = None
        if what == "no bytes":
            run["ROWS"]["bytes"] = 0
        elif what == "no rows":
            run["ROWS"]["count"] = 0
        elif what == "no planes":
            run["PLANES"]["count"] = 0
        elif what == "beyond the scratchpad":
            run["SCRATCHPAD"]["address"] = pad - run["ROWS"]["bytes"] + 1
        elif what in ("beyond the region", "no region"):
            code = ErrorCode.OUTSIDE_REGION
            run["MEMORY"] |= {"offset": size - run["ROWS"]["bytes"] + 1} if what != "no region" else {"region": 4}
        elif what == "ILLEGAL_COMMAND":
            code, tag = ErrorCode.ILLEGAL_COMMAND, 0
            words = [encode(f"{kind}.RUN") | bench.integers(1 << unused, (1 << 54) - 1)]
        else:
            code = ErrorCode[what]
            beats = sum(len(covering(offset, count, bench.config.bus_bytes)) for offset, count in accesses(*runs))
            bench.manager.fail_beat = bench.integers(0, beats - 1), code
        if words is None:
            words = words_of_run(unit, from_origin(run, bench.origin))
            bench.tokens.expect(run["RUN"]["wait"], run["RUN"]["signal"])
            bench.tags.append(tag)
        bench.words.send(*words)
        error = ports.error
        await bench.until(lambda error=error: bool(error.valid.get()), 2000, what)
        address = words[0] if what == "ILLEGAL_COMMAND" else 0
        if bench.manager.told is not None:
            assert code == bench.manager.told[0], what
            address = bench.manager.told[1]
        if bench.manager.fail_beat is not None:
            owners = [tag for run, tag in zip(runs, tags, strict=True) for _ in accesses(run)]
            tag = owners[bench.manager.failed]
        found = error.code.get(), error.tag.get(), error.address.get()
        assert found == (code, tag, address), f"{what}: {found} instead of {(code, tag, address)}"
        cover(what)
        await bench.restart()
