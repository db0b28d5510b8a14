"""The aligner: rotation of scratchpad words, padding, and the lanes that take part."""

from __future__ import annotations

from typing import Any

import numpy as np
from common.bench import Bench, testcase
from common.coverage import Cover

COVER = Cover("aligner")
cover_mode = COVER.point("mode", ("one word", "two words", "groups 1", "groups 2", "groups 3", "pairs"))
cover_window = COVER.point("window", ("all", "left edge", "right edge", "both", "nothing", "no row"))
cover_offset = COVER.point("offset", ("0", "middle", "last byte"))


class AlignerBench(Bench):
    """Random words and slots in every cycle; what comes out a cycle later is made byte by byte."""

    def random_slot(self) -> dict[str, Any]:
        config = self.config
        size, width = config.word_bytes, max(config.rows, config.columns)
        by_column, pair = self.integers(0, 1), self.integers(0, 1)
        groups, lanes = self.integers(1, config.groups), self.integers(1, config.rows)
        first = self.choose(0, size - 1, self.integers(0, size - 1))
        offsets = [self.integers(0, size - 1) for _ in range(3)]
        low, high = self.choose((0, width), (self.integers(0, width), self.integers(0, width)))
        return {
            # Two words of one vector have the same offset.
            "offset": [first, first if pair else offsets[1], offsets[2]],
            "row_valid": self.choose(7, 7, self.integers(0, 7)),
            "exists": sum(1 << lane for lane in range(low, high)),
            "rows": 0 if by_column else (1 << lanes) - 1, "groups": (1 << groups) - 1 if by_column else 0, "pair": pair,
            "second": self.integers(0, 1), "second_exists": self.integers(0, 1),
            "pad": self.integers(-128, 127),
        }  # fmt: skip

    def sample(self, slot: dict[str, Any]) -> None:
        size, width = self.config.word_bytes, max(self.config.rows, self.config.columns)
        if not slot["groups"]:
            cover_mode("two words" if slot["pair"] and slot["offset"][0] + self.config.rows > size else "one word")
        else:
            cover_mode(f"groups {slot['groups'].bit_count()}")
            cover_mode("pairs" if slot["second"] else None)
        cover_offset({0: "0", size - 1: "last byte"}.get(slot["offset"][0], "middle"))
        left, right = not slot["exists"] & 1, not slot["exists"] >> width - 1
        if not slot["row_valid"] & 1:
            cover_window("no row")
        elif not slot["exists"]:
            cover_window("nothing")
        else:
            cover_window("both" if left and right else "left edge" if left else "right edge" if right else "all")

    def expected(self, words: np.ndarray, slot: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Lanes, columns and second pixels by the definitions of slot_layout."""
        config, size = self.config, self.config.word_bytes

        def byte(group: int, lane: int) -> int:
            if not (slot["row_valid"] >> group & 1 and slot["exists"] >> lane & 1):
                return slot["pad"]
            at = slot["offset"][group] + lane
            word = words[1] if group == 0 and slot["pair"] and at >= size else words[group]
            return int(word[at % size])

        lanes = np.zeros(config.rows, np.int64)
        columns = np.zeros((config.groups, config.columns), np.int64)
        seconds = np.zeros_like(columns)
        for group in range(slot["groups"].bit_length()):
            columns[group] = [byte(group, column) for column in range(config.columns)]
            if slot["second"]:
                exists = slot["second_exists"] and slot["row_valid"] >> group & 1
                seconds[group] = words[3 + group, : config.columns] if exists else slot["pad"]
        taken = slot["rows"].bit_length()
        lanes[:taken] = [byte(0, lane) for lane in range(taken)]
        return lanes, columns, seconds


@testcase(AlignerBench)
async def random_slots(bench: AlignerBench) -> None:
    """A new slot in every cycle, its words in the next one."""
    ports, size = bench.ports, bench.config.word_bytes
    slot = before = None
    for _ in range(bench.count(600)):
        words = bench.rng.integers(-128, 128, (3 + bench.config.groups, size))
        coming = bench.random_slot()
        ports.words.set([int.from_bytes(word.astype(np.uint8).tobytes(), "little") for word in words])
        ports.slot.set(coming)
        bench.sample(coming)
        await bench.clocks()
        if before is not None:
            for name, wanted in zip(("lanes", "columns", "seconds"), before[0], strict=True):
                found = np.array(getattr(ports, name).get())
                assert np.array_equal(found, wanted), f"{name} {found} instead of {wanted} for {before[1]}"
        before = (bench.expected(words, slot), slot) if slot is not None else None
        slot = coming
