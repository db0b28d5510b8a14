"""What a textbook array would take: the closed forms of SCALE-Sim for a weight- and an output-stationary array.

Samajdar et al., "A systematic methodology for characterizing scalability of DNN accelerators using SCALE-Sim", ISPASS
2020. Each *fold* of a product of matrices that is larger than the array loads, skews, streams and drains by itself; the
memory never stalls, and only operators with weights are counted.
"""

from __future__ import annotations

from collections.abc import Sequence

from tensaw.bench.limits import OperatorWork
from tensaw.spec.config import NpuConfig

__all__ = ["closed_forms", "output_stationary", "weight_stationary"]


def weight_stationary(op: OperatorWork, rows: int, columns: int) -> int:
    """Cycles: inputs of the product along the rows, outputs along the columns, 2R + C + M - 2 a fold."""
    folds = -(-op.depth // rows) * -(-op.outputs // columns) * op.repeats
    return folds * (2 * rows + columns + op.positions - 2)


def output_stationary(op: OperatorWork, rows: int, columns: int) -> int:
    """Cycles: positions along the rows, outputs along the columns, R + C + K - 2 a fold."""
    folds = -(-op.positions // rows) * -(-op.outputs // columns) * op.repeats
    return folds * (rows + columns + op.depth - 2)


def closed_forms(operators: Sequence[OperatorWork], config: NpuConfig) -> dict[str, int]:
    """Cycles of a whole network by the name of the form."""
    return {
        "SCALE-Sim WS": sum(weight_stationary(op, config.rows, config.columns) for op in operators),
        "SCALE-Sim OS": sum(output_stationary(op, config.rows, config.columns) for op in operators),
    }
