"""Order: what goes in comes out, once, in the same order, unchanged. Said with one item that the solver may pick."""

from __future__ import annotations

from amaranth.hdl import Mux, Signal, Value, ValueLike

from tensaw.formal.bench import Bench

__all__ = ["Order"]


class Order:
    """Watches items on their way through a block.

    Any item on its way in may be *picked*: its value and the number of items before it are noted, and when these have
    left, it must be there. Since the solver tries every item, this is loss, duplication, exchange and change at once.

    Parameters
    ----------
    enters, leaves : Value
        An item goes in, goes out, in this cycle.
    offers : Value
        An item is at the way out.
    entering, leaving : Value
        The items there.
    capacity : int
        Most items inside.
    choice : Value
        Which items may be picked, where another free choice says which; by default any.
    behind : int
        How far behind the first one an item is to be seen picked; by default as far as possible.

    Attributes
    ----------
    inside : Signal
        Items inside.
    picked : Signal
        The item that was picked is inside, ``ahead`` items before it; ``value`` is its value.
    """

    def __init__(
        self,
        bench: Bench,
        *,
        enters: ValueLike,
        entering: ValueLike,
        offers: ValueLike,
        leaves: ValueLike,
        leaving: ValueLike,
        capacity: int,
        choice: ValueLike = 1,
        behind: int | None = None,
        name: str = "order",
    ) -> None:
        m = bench.m
        entering, leaving = Value.cast(entering), Value.cast(leaving)
        enters, offers, leaves = Value.cast(enters), Value.cast(offers), Value.cast(leaves)
        self.inside = inside = Signal(range(2 * capacity + 2), name=f"{name}_inside")
        self.picked = picked = Signal(name=f"{name}_picked")
        self.ahead = ahead = Signal.like(inside, name=f"{name}_ahead")
        self.value = value = Signal(len(entering), name=f"{name}_value")
        pick = bench.free(1, f"{name}_pick")
        m.d.sync += inside.eq(inside + enters - leaves)
        with m.If(enters & pick & choice & ~picked):
            m.d.sync += [picked.eq(1), ahead.eq(inside - leaves), value.eq(entering)]
        with m.Elif(picked & leaves):
            m.d.sync += [picked.eq(ahead != 0), ahead.eq(Mux(ahead == 0, 0, ahead - 1))]
        bench.prove(f"{name}_capacity", inside <= capacity, f"never more than {capacity} items inside")
        bench.prove(f"{name}_nothing_new", ~offers | (inside != 0), "nothing comes out that did not go in")
        bench.prove(f"{name}_ahead", ~picked | (ahead < inside), "the picked item is inside")
        bench.prove(
            f"{name}_kept", ~(picked & (ahead == 0) & offers) | (leaving == value), "items come out as they went in"
        )
        far = picked & (ahead == (capacity - 1 if behind is None else behind))
        bench.cover(f"{name}_far", far, "an item waits behind others")
        bench.cover(f"{name}_moves", bench.past(far) & leaves, "and moves on")
