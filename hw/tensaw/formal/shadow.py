"""A plain list beside the hardware, for properties about things that follow each other, such as bursts."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Mux, Signal, Value, ValueLike
from amaranth.lib import data

from tensaw.formal.bench import Bench

__all__ = ["Shadow"]


class Shadow:
    """A list of up to ``capacity`` entries, oldest first.

    Attributes
    ----------
    count : Signal
    entries : list of View
        Entry 0 is the oldest.
    after : list of View
        What the entries become in this cycle, before the oldest is removed. Assign to their fields in ``comb``.
    """

    def __init__(
        self,
        bench: Bench,
        layout: data.StructLayout,
        capacity: int,
        push: ValueLike,
        entry: Any,
        pop: ValueLike,
        name: str,
    ) -> None:
        m = bench.m
        self._capacity = capacity
        self.count = count = Signal(range(capacity + 2), name=f"{name}_count")
        self.entries: list[Any] = [Signal(layout, name=f"{name}_{index}") for index in range(capacity)]
        self.after: list[Any] = [Signal(layout, name=f"{name}_after_{index}") for index in range(capacity)]
        push, pop = Value.cast(push), Value.cast(pop)
        for before, after in zip(self.entries, self.after, strict=True):
            m.d.comb += after.eq(before)
        following = [*self.after[1:], self.after[-1]]
        for index, (target, same, next_one) in enumerate(zip(self.entries, self.after, following, strict=True)):
            m.d.sync += target.eq(Mux(pop, next_one.as_value(), same.as_value()))
            with m.If(push & (count - pop == index)):
                m.d.sync += target.eq(entry)
        m.d.sync += count.eq(count + push - pop)
        bench.prove(f"{name}_count", count <= capacity, f"never more than {capacity} under way")
        bench.prove(f"{name}_room", ~push | (count != capacity) | pop, "what is begun is counted")
        bench.prove(f"{name}_pop", ~pop | (count != 0), "only what was begun ends")

    def valid(self, index: int) -> Value:
        """There is such an entry."""
        return self.count > index

    def first(self, conditions: list[Value]) -> list[Value]:
        """For each entry whether it is the first one that is there and fulfils its condition."""
        result: list[Value] = []
        before: Value = Value.cast(0)
        for index, condition in enumerate(conditions):
            here = self.valid(index) & condition
            result.append(here & ~before)
            before = before | here
        return result

    def select(self, chosen: list[Value], values: list[Value]) -> Value:
        """The value of the entry that is chosen; 0 if none is."""
        result: Value = Value.cast(0)
        for choice, value in zip(chosen, values, strict=True):
            result = result | Mux(choice, value, 0)
        return result
