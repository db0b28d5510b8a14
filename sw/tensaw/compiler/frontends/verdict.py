"""What a survey of a network says about each operator."""

from __future__ import annotations

from dataclasses import dataclass

from tensaw.spec.names import printable

__all__ = ["OperatorVerdict"]


@dataclass(frozen=True)
class OperatorVerdict:
    """Whether an operator can be compiled.

    ``index`` and ``type`` are the file's, ``name`` is its output tensor. ``reason`` and ``fix`` are sentences, empty
    where ``ok``, printable whatever they quote. ``result`` is the IR tensor of the operator that it becomes, if it is
    not called ``name``; ``note`` says what becomes of one that is no IR operator.
    """

    index: int
    type: str
    name: str
    ok: bool
    reason: str = ""
    fix: str = ""
    result: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        for field in ("type", "reason", "fix"):
            object.__setattr__(self, field, printable(getattr(self, field)))
