"""Runs as registers: fields by word name, their command words, and the payload that CommandPort makes of them."""

from __future__ import annotations

from typing import Any, TypeAlias

from tensaw.spec.isa import Unit, encode, words_of

__all__ = ["Registers", "payload_of", "registers_of", "words_of_run"]

Registers: TypeAlias = dict[str, dict[str, int]]


def registers_of(unit: Unit, words: Registers | None = None) -> Registers:
    """All registers and actions of a unit; those not given are 0."""
    given = words or {}
    return {word.name: {field.name: 0 for field in word.fields} | given.get(word.name, {}) for word in words_of(unit)}


def words_of_run(unit: Unit, registers: Registers, action: str = "RUN", only: set[str] | None = None) -> list[int]:
    """Command words that set the registers (``only`` these) and start the action."""
    actions = {word.name for word in words_of(unit) if any(field.name == "tag" for field in word.fields)}
    names = [name for name in registers if name not in actions and (only is None or name in only)]
    return [encode(f"{unit.name}.{name}", **registers[name]) for name in (*names, action)]


def payload_of(unit: Unit, registers: Registers, action: str = "RUN") -> dict[str, Any]:
    """Value of a port of ``run_layout(unit)``."""
    payload: dict[str, Any] = {name.lower(): fields for name, fields in registers_of(unit, registers).items()}
    return {"action": int(action == "TABLE"), **payload}
