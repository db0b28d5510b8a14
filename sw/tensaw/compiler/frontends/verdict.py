"""What a survey of a network says about each operator."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["OperatorVerdict"]


@dataclass(frozen=True)
class OperatorVerdict:
    """Whether an operator can be compiled.

    ``index`` and ``type`` are the file's, ``name`` is its output tensor. ``reason`` and ``fix`` are sentences, empty
    where ``ok``.
    """

    index: int
    type: str
    name: str
    ok: bool
    reason: str = ""
    fix: str = ""
