"""The requantise lane against the golden operators: all roundings, ties, extreme values, and its enable."""

from __future__ import annotations

from typing import Any

import numpy as np
from common.bench import Bench, testcase
from common.coverage import Cover
from common.pauses import STYLES, make_pace

from tensaw.compiler.ir import Rounding
from tensaw.model.requantise import high_multiply, multiply, wrap32

COVER = Cover("requantise_lane")
cover_shift = COVER.cross("rounding and shift", tuple(rounding.name for rounding in Rounding), (
    "left 30", "left", "0", "right 1", "right", "right 31"
))  # fmt: skip
cover_tie = COVER.cross("ties", tuple(rounding.name for rounding in Rounding), ("positive", "negative"))
cover_clamp = COVER.point("clamp", ("low", "high", "inside", "far below", "far above"))
cover_wrap = COVER.point("sum wraps", ("upwards", "downwards"))
cover_stall = COVER.point("enable", STYLES)

EXTREMES = np.array([0, 1, -1, 2, -2, 3, (1 << 31) - 1, -(1 << 31), 1 << 30, -(1 << 30), (1 << 30) - 1])
MULTIPLIERS = np.array([0, 1 << 30, (1 << 31) - 1, (1 << 30) + 1, 1518500250])


class LaneBench(Bench):
    """Gives operations in enabled cycles; late operands follow by the class's own latencies."""

    def stimuli(self, count: int) -> dict[str, np.ndarray]:
        rng = self.rng
        value = np.where(
            rng.random(count) < 0.3, rng.choice(EXTREMES, count),
            rng.integers(-(1 << 31), 1 << 31, count) >> rng.integers(0, 31, count),
        )  # fmt: skip
        addend = np.where(rng.random(count) < 0.5, 0, rng.integers(-(1 << 31), 1 << 31, count))
        multiplier = np.where(
            rng.random(count) < 0.3, rng.choice(MULTIPLIERS, count), rng.integers(1 << 30, 1 << 31, count)
        )
        shift = np.where(rng.random(count) < 0.2, rng.choice([0, -31, 30, -1, 1], count), rng.integers(-14, 3, count))
        # Ties: a multiplier of one half makes the discarded bits those of the value.
        tie = rng.random(count) < 0.3
        low, high = np.sort(rng.integers(-128, 128, (2, count)), axis=0)
        wide = rng.random(count) < 0.5
        return {
            "value": np.where(tie, rng.integers(-64, 65, count), value),
            "addend": np.where(tie, 0, addend),
            "carry": np.where(tie, 0, rng.integers(0, 2, count)),
            "multiplier": np.where(tie, 1 << 30, multiplier),
            "shift": np.where(tie, rng.integers(-5, 1, count), shift),
            "rounding": rng.integers(0, 3, count),
            "zero_point": rng.integers(-128, 128, count),
            "invert": rng.random(count) < 0.2,
            "low": np.where(wide, -128, low),
            "high": np.where(wide, 127, high),
        }  # fmt: skip

    def expected(self, given: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Results and bytes by the golden operators."""
        total = wrap32(given["value"] + given["addend"] + given["carry"])
        results = np.zeros(len(total), np.int64)
        for rounding in Rounding:
            mine = given["rounding"] == rounding
            results[mine] = multiply(total[mine], given["multiplier"][mine], given["shift"][mine], rounding)
        results = np.where(given["invert"], -1 - results, results)
        return results, np.clip(results + given["zero_point"], given["low"], given["high"])

    def sample(self, given: dict[str, np.ndarray], results: np.ndarray) -> None:
        total = given["value"] + given["addend"] + given["carry"]
        names = {30: "left 30", 0: "0", -1: "right 1", -31: "right 31"}
        for i in range(len(total)):
            rounding, shift = Rounding(given["rounding"][i]).name, int(given["shift"][i])
            cover_shift((rounding, names.get(shift, "left" if shift > 0 else "right")))
            exact = int(wrap32(total[i])) * int(given["multiplier"][i])
            right = max(-shift, 0)
            if shift <= 0 and exact and exact % (1 << (31 + right)) == 1 << (30 + right):
                cover_tie((rounding, "positive" if exact > 0 else "negative"))
            if total[i] != wrap32(total[i]):
                cover_wrap("upwards" if total[i] > 0 else "downwards")
            byte = results[i] + given["zero_point"][i]
            far = "far below" if byte < -1000 else "far above" if byte > 1000 else None
            cover_clamp(far)
            cover_clamp("low" if byte < given["low"][i] else "high" if byte > given["high"][i] else "inside")

    async def run(self, given: dict[str, np.ndarray], style: str) -> tuple[list[int], list[int]]:
        ports, pace = self.ports, make_pace(self.rng, style)
        result_latency, byte_latency = self.constants["result_latency"], self.constants["byte_latency"]
        count = len(given["value"])
        results: list[int] = []
        found: list[int] = []
        rounding_latency = self.constants["rounding_latency"]
        early = ("value", "addend", "carry", "multiplier", "left", "right")
        late = ("zero_point", "low", "high", "least", "most")
        shift, zero_point = given["shift"], given["zero_point"]
        given = given | {
            "left": np.maximum(shift, 0), "right": np.maximum(-shift, 0),
            "least": given["low"] - zero_point, "most": given["high"] - zero_point,
        }  # fmt: skip
        step = 0

        def offer(names: tuple[str, ...], index: int) -> None:
            for name in names:
                port: Any = getattr(ports, name)
                if 0 <= index < count:
                    port.set(int(given[name][index]))
                else:
                    self.randomise(port)

        while len(found) < count:
            enable = pace()
            ports.enable.set(int(enable))
            # While the lane is not enabled its inputs are nobody's.
            offer(early, step if enable else -1)
            offer(("rounding",), step - rounding_latency if enable else -1)
            offer(("invert",), step - result_latency + 1 if enable else -1)
            offer(late, step - result_latency if enable else -1)
            await self.clocks()
            if not enable:
                continue
            if 0 <= step - result_latency < count:
                results.append(ports.result.get())
            if 0 <= step - byte_latency < count:
                found.append(ports.byte.get())
            step += 1
        return results, found


@testcase(LaneBench)
async def golden_operator(bench: LaneBench) -> None:
    """An operation in every enabled cycle, all equal to the golden operators."""
    for style in STYLES:
        given = bench.stimuli(bench.count(400))
        results, found = await bench.run(given, style)
        wanted, data = bench.expected(given)
        bench.sample(given, wanted)
        cover_stall(style)
        np.testing.assert_array_equal(results, wanted)
        np.testing.assert_array_equal(found, data)


@testcase(LaneBench)
async def negative_multipliers(bench: LaneBench) -> None:
    """DOUBLE multiplies by negative numbers as well, as softmax needs it."""
    count = bench.count(150)
    given = bench.stimuli(count)
    rng = bench.rng
    given |= {
        "value": rng.integers(-(1 << 31) + 1, 1 << 31, count),
        "multiplier": rng.integers(-(1 << 31) + 1, 1 << 31, count),
        **{name: np.zeros(count, int) for name in ("addend", "carry", "shift", "rounding", "invert")},
    }  # fmt: skip
    results, _ = await bench.run(given, "rarely")
    np.testing.assert_array_equal(results, high_multiply(given["value"], given["multiplier"]))
