"""What the output stage makes of one beat, by the golden operators."""

from __future__ import annotations

import numpy as np

from tensaw.compiler.ir import Elementwise, ElementwiseKind, Requantise, Rounding
from tensaw.model.elementwise import elementwise
from tensaw.model.requantise import requantise, wrap32
from tensaw.spec.isa import Operation

from .bench import Bench
from .commands import Registers

__all__ = ["beat_bytes", "random_quant", "random_scale"]


def random_quant(bench: Bench) -> dict[str, int]:
    """Fields of QUANT or QUANT_OUT; the clamp is often the whole range."""
    low, high = sorted(int(value) for value in bench.rng.integers(-128, 128, 2))
    if bench.chance(0.6):
        low, high = -128, 127
    return {"zero_point": bench.integers(-128, 127), "low": low, "high": high, "rounding": bench.integers(0, 2)}


def random_scale(bench: Bench, shift: int) -> dict[str, int]:
    """Fields of a SCALE word around a shift; few multiply by 0."""
    multiplier = int(bench.rng.integers(1 << 30, 1 << 31)) if bench.chance(0.95) else 0
    return {"multiplier": multiplier, "shift": bench.integers(shift - 3, shift + 1)}


def _requantise(quant: dict[str, int], multiplier: np.ndarray, shift: np.ndarray) -> Requantise:
    return Requantise(multiplier, shift, quant["zero_point"], quant["low"], quant["high"], Rounding(quant["rounding"]))


def beat_bytes(
    run: Registers,
    accumulators: np.ndarray,
    parameters: dict[str, np.ndarray],
    operand: np.ndarray | None,
    table: np.ndarray | None,
) -> np.ndarray:
    """int8 of one beat: requantised, combined with the operand (int8), through the table (entry v & 255)."""

    def scale(name: str) -> tuple[int, int]:
        return run[name]["multiplier"], run[name]["shift"]

    quant = run["QUANT"]
    values = wrap32(accumulators + parameters["bias"]) if quant["bias"] else accumulators
    multiplier, shift = (np.array([value]) for value in scale("SCALE"))
    if quant["scale"]:
        multiplier, shift = parameters["multiplier"], parameters["shift"]
    result = requantise(values, _requantise(quant, multiplier, shift))
    step = run["OPERAND_STEP"]
    if step["operation"] != Operation.NONE:
        assert operand is not None
        first, second = result, operand
        zeros, scales = (step["zero_a"], step["zero_b"]), (scale("SCALE_A"), scale("SCALE_B"))
        if step["operation"] == Operation.SUB and step["reverse"]:
            first, second = second, first
            zeros, scales = (zeros[1], zeros[0]), (scales[1], scales[0])
        out = _requantise(run["QUANT_OUT"], *(np.array([value]) for value in scale("SCALE_OUT")))
        kind = ElementwiseKind(step["operation"])
        multipliers, shifts = (scales[0][0], scales[1][0]), (scales[0][1], scales[1][1])
        result = elementwise(first, second, Elementwise("", "", (), "", kind, zeros, multipliers, shifts, out))
    if run["RUN"]["table"]:
        assert table is not None
        result = table[result.view(np.uint8)]
    return result
