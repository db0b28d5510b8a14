"""Proofs of tensaw.rtl.control.command_queue, for a depth that is a power of two and one that is none."""

from __future__ import annotations

from amaranth.hdl import Mux

from tensaw.formal.bench import Bench, Planted, proof
from tensaw.formal.order import Order
from tensaw.rtl.control.command_queue import CommandQueue

_MODULE = "tensaw.rtl.control.command_queue"


def _queue(b: Bench, depth: int) -> None:
    queue = b.add(CommandQueue(4, depth))
    b.drive(queue.w_data, "w_data")
    b.drive(queue.w_en, "w_en")
    b.drive(queue.r_en, "r_en")
    b.assume(~queue.w_en | (queue.level != depth))
    order = Order(
        b,
        enters=queue.w_en,
        entering=queue.w_data,
        offers=queue.r_rdy,
        leaves=queue.r_rdy & queue.r_en,
        leaving=queue.r_data,
        capacity=depth,
        behind=4,
    )
    b.prove("level", queue.level == order.inside, "level counts what is inside")
    held = ~b.past(queue.r_rdy & ~queue.r_en) | (queue.r_rdy & (b.past(queue.r_data) == queue.r_data))
    b.prove("held", held, "what is on offer stays until it is taken")

    # What the block's state means: the first word in the last register, the next one at the memory's output.
    shown, fetched, some = (b.inside(f"dut.{name}") for name in ("shown", "fetched", "some"))
    consume, produce = b.inside("dut.consume"), b.inside("dut.produce")
    stored = order.inside - shown - fetched
    b.prove("registers", order.inside >= shown + fetched, "the registers hold what is inside")
    b.prove("some", some == (stored != 0), "whether there is a word in the memory alone")
    b.prove("places", (consume < depth) & (produce < depth), "places are in the memory")
    end = consume + stored
    b.prove("produce", produce == Mux(end >= depth, end - depth, end), "the next word's place is behind the others")
    there = consume + order.ahead - shown - fetched
    in_memory = b.row("dut", Mux(there >= depth, there - depth, there)) == order.value
    at_output = b.inside("dut.coming") == order.value
    behind = order.ahead - shown
    place = Mux(shown & (order.ahead == 0), 1, Mux(fetched & (behind == 0), at_output, in_memory))
    b.prove("place", ~order.picked | place, "the picked word is in its place")
    b.cover("full", queue.level == depth, "a full queue")
    flowing = b.past(queue.w_en & queue.r_rdy & queue.r_en)
    b.cover("flows", flowing & queue.w_en & queue.r_rdy & queue.r_en, "a word a cycle in and out")


@proof(
    "control.command_queue.power_of_two",
    depth=2,
    cover_depth=10,
    planted=(
        Planted(_MODULE, "self.w_en | several | (some & ~advance)", "self.w_en | (some & ~advance)"),
        Planted(_MODULE, "~(fetched & shown), ~(fetched | shown)", "~(fetched & shown), ~(fetched & shown)"),
        Planted(_MODULE, "advance.eq(~fetched | move)", "advance.eq(1)"),
    ),
)
def power_of_two(b: Bench) -> None:
    """Every word comes out once, in order and unchanged; what is on offer stays until it is taken; ``level`` counts."""
    _queue(b, 8)


@proof("control.command_queue.other_depth", depth=2, cover_depth=10)
def other_depth(b: Bench) -> None:
    """The same where places end before their bits do."""
    _queue(b, 6)
