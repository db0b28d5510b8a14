"""What a proof is made of: a block, an environment as free as its interface allows, and properties with names.

A proof is a function that takes a :class:`Bench` and fills it; :func:`proof` enters it in the catalogue. The bench
turns into one RTLIL module whose free values a solver may choose in every cycle. Registers begin with their reset
values and the reset itself stays 0.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from inspect import getdoc
from typing import Any, TypeVar

from amaranth.asserts import AnyConst, AnySeq
from amaranth.back import rtlil
from amaranth.hdl import Assert, Assume, ClockDomain, Cover, Elaboratable, Fragment, Module, Signal, Value, ValueLike
from amaranth.lib.fifo import FIFOInterface
from amaranth.lib.wiring import In, Out

from tensaw.rtl.checks import FORMAL

__all__ = ["PROOFS", "Bench", "Planted", "Proof", "proof"]

Block = TypeVar("Block", bound=Elaboratable)

_CELL = re.compile(r'^(  cell \$check) \S+\n(    parameter \\FORMAT "(\w+)(: .*)?"\n)', re.MULTILINE)


@dataclass(frozen=True)
class Planted:
    """A bug to be found: ``old``, which occurs once in the source of the module, becomes ``new``."""

    module: str
    old: str
    new: str


@dataclass(frozen=True)
class Proof:
    """One entry of the catalogue.

    ``depth``: cycles from reset that are searched, which are also the longest induction tried. ``bounded``: empty for
    a proof by induction, which holds for ever; otherwise the reason why only the first ``depth`` cycles are searched.
    ``planted``: bugs that it must find.
    """

    name: str
    fill: Callable[[Bench], None]
    depth: int
    cover_depth: int
    bounded: str
    planted: tuple[Planted, ...]

    @property
    def summary(self) -> str:
        """What is proved, in a paragraph."""
        return " ".join((getdoc(self.fill) or "").split())

    def bench(self) -> Bench:
        """The filled bench."""
        bench = Bench()
        self.fill(bench)
        return bench


PROOFS: dict[str, Proof] = {}
"""By name; filled by importing tensaw.formal.catalogue."""


def proof(
    name: str,
    depth: int,
    cover_depth: int | None = None,
    bounded: str = "",
    planted: tuple[Planted, ...] = (),
) -> Callable[[Callable[[Bench], None]], Callable[[Bench], None]]:
    """Enter a function in the catalogue; see :class:`Proof`. ``cover_depth`` is ``depth`` or more cycles for covers."""

    def enter(fill: Callable[[Bench], None]) -> Callable[[Bench], None]:
        if name in PROOFS:
            raise ValueError(f"There are two proofs called {name!r}.")
        PROOFS[name] = Proof(name, fill, depth, cover_depth or depth, bounded, planted)
        return fill

    return enter


class Bench:
    """A module under construction, whose statements may use the signals inside the blocks that it holds.

    ``properties`` and ``covers``: name to text of what is proved, and of what must be seen to happen.
    """

    def __init__(self) -> None:
        self.m = Module()
        self.m._MustUse__silence = True  # some benches are only looked at
        self.properties: dict[str, str] = {}
        self.covers: dict[str, str] = {}
        self._blocks: dict[str, Fragment] = {}
        # What is free or remembered is so in every cycle, even if it was asked for within an ``m.If``.
        self.m.submodules.always = self._always = Module()
        self._always._MustUse__silence = True
        self._added: list[Any] = []
        self._ignored: set[str] = set()
        self._domain = ClockDomain("sync")
        self.m.domains.sync = self._domain
        self.m.d.comb += self._domain.rst.eq(0)

    # Blocks --------------------------------------------------------------------------------------------------------

    def add(self, block: Block, name: str = "dut") -> Block:
        """Put a block into the bench."""
        self._blocks[name] = fragment = Fragment.get(block, FORMAL)
        self._added.append(block)
        self.m.submodules[name] = fragment
        return block

    def _fragment(self, path: list[str]) -> Fragment:
        fragment = self._blocks[path[0]]
        for name in path[1:]:
            fragment = fragment.find_subfragment(name)
        return fragment

    def part(self, path: str) -> Any:
        """The block inside a block, such as the queue ``dut.owed``, whose ports may be looked at."""
        origins = self._fragment(path.split(".")).origins
        assert origins
        return origins[0]

    def cut(self, path: str) -> Any:
        """Take what is inside a block away: its outputs may be anything, and what another proof says of them is to be
        assumed. Returns the block, for its ports."""
        block, fragment = self.part(path), self._fragment(path.split("."))
        fragment.statements.clear()
        fragment.subfragments.clear()
        if isinstance(block, FIFOInterface):
            outputs = [block.w_rdy, block.w_level, block.r_rdy, block.r_data, block.r_level]
            if hasattr(block, "level"):
                outputs.append(block.level)
        else:
            outputs = [value for _, member, value in block.signature.flatten(block) if member.flow is Out]
        for value in outputs:
            fragment.add_statements("comb", Value.cast(value).eq(AnySeq(len(Value.cast(value)))))
        return block

    def inside(self, path: str) -> Signal:
        """The register or wire of that name inside a block, such as ``dut.queue.level``, for invariants that tie a
        block's state together. Raises KeyError if the block has none."""
        *place, name = path.split(".")
        found = {
            id(signal): signal
            for statements in self._fragment(place).statements.values()
            for statement in statements
            for signal in statement._lhs_signals()
            if signal.name == name
        }
        if len(found) != 1:
            raise KeyError(f"{len(found)} signals inside {'.'.join(place)} are called {name!r}")
        return next(iter(found.values()))

    def state(self, path: str, name: str) -> Value:
        """Whether the state machine ``fsm`` inside the block at ``path`` is in the state ``name``."""
        machine: Any = self._fragment(path.split(".")).generated["fsm"]
        return machine.state == machine.encoding[name]

    def row(self, path: str, address: ValueLike) -> Signal:
        """The contents of a memory inside a block at an address, in this cycle."""
        fragment: Any = self._fragment(path.split("."))
        while not hasattr(fragment, "read_port"):  # the component around it
            ((fragment, _, _),) = [part for part in fragment.subfragments if _holds_memory(part[0])]
        bits = (fragment._data.depth - 1).bit_length()
        where = Signal(bits, name=f"row_address_{len(self.m._statements)}")
        found = Signal(len(Value.cast(Signal(fragment._data.shape))))
        self.m.d.comb += where.eq(address)
        fragment.read_port(domain="comb", addr=where, data=found, en=Value.cast(1), transparent_for=())
        return found

    # The environment -----------------------------------------------------------------------------------------------

    def free(self, shape: Any, name: str) -> Any:
        """A value that may be anything in every cycle."""
        value = Signal(shape, name=name)
        self._always.d.comb += Value.cast(value).eq(AnySeq(len(Value.cast(value))))
        return value

    def constant(self, shape: Any, name: str) -> Any:
        """A value that may be anything and never changes."""
        value = Signal(shape, name=name)
        self._always.d.comb += Value.cast(value).eq(AnyConst(len(Value.cast(value))))
        return value

    def drive(self, port: Any, name: str) -> None:
        """Let an input be anything in every cycle."""
        self.m.d.comb += Value.cast(port).eq(AnySeq(len(Value.cast(port))))

    def ignore(self, *names: str) -> None:
        """These inputs lead to nothing but parts that were taken away."""
        self._ignored |= set(names)

    @property
    def undriven(self) -> list[str]:
        """Inputs of the blocks that nothing drives: they would always be 0, which proves little."""
        driven = {
            id(signal)
            for statements in self.m._statements.values()
            for statement in statements
            for signal in statement._lhs_signals()
        }
        return [
            "__".join(map(str, path))
            for block in self._added
            if hasattr(block, "signature")
            for path, member, value in block.signature.flatten(block)
            if member.flow is In and path[0] not in self._ignored
            if any(id(signal) not in driven for signal in Value.cast(value)._lhs_signals())
        ]

    def source(self, port: Any) -> None:
        """Drive a stream into a block: anything at any time, but held until it is taken."""
        self.drive(port.valid, "valid")
        self.drive(port.payload, "payload")
        self.assume(self.holds_still(port))

    def sink(self, port: Any) -> None:
        """Take from a block's stream, or not, as one likes."""
        self.drive(port.ready, "ready")

    def assume(self, condition: ValueLike) -> None:
        """The environment keeps to this."""
        self.m.d.comb += Assume(Value.cast(condition).bool())

    # Properties ----------------------------------------------------------------------------------------------------

    def prove(self, name: str, condition: ValueLike, text: str) -> None:
        """``condition`` is never 0. Within ``m.If``: while that holds."""
        self._new(name)
        self.properties[name] = text
        self.m.d.comb += Assert(Value.cast(condition).bool(), f"{name}: {text}")

    def cover(self, name: str, condition: ValueLike, text: str) -> None:
        """Some run leads to this, so that nothing above is true for want of runs."""
        self._new(name)
        self.covers[name] = text
        self.m.d.comb += Cover(Value.cast(condition).bool(), f"{name}: {text}")

    def _new(self, name: str) -> None:
        if name in self.properties or name in self.covers:
            raise ValueError(f"Two properties or covers are called {name!r}.")

    def past(self, value: ValueLike, cycles: int = 1) -> Any:
        """The value so many cycles ago; 0 before the first cycle."""
        for _ in range(cycles):
            register = Signal.like(Value.cast(value), name="past", init=0)
            self._always.d.sync += register.eq(value)
            value = register
        return value

    def holds_still(self, port: Any) -> Value:
        """The rule of streams: what is offered and not taken is offered again, unchanged."""
        offered, payload = self.past(port.valid & ~port.ready), self.past(Value.cast(port.payload))
        return ~offered | (port.valid & (Value.cast(port.payload) == payload))

    def prove_stream(self, port: Any, name: str) -> None:
        """A block's stream keeps to the rule of streams."""
        self.prove(f"{name}_holds_still", self.holds_still(port), f"{name}: what is offered stays until it is taken")

    # The end -------------------------------------------------------------------------------------------------------

    def rtlil(self) -> str:
        """The bench as RTLIL, top module ``top``; properties and the blocks' own checks are cells of their names."""
        text = rtlil.convert(self.m, "top", FORMAL, ports=[self._domain.clk], emit_src=False)
        return _CELL.sub(r"\1 \\prop_\3\n\2", text)


def _holds_memory(fragment: Any) -> bool:
    return hasattr(fragment, "read_port") or any(_holds_memory(part[0]) for part in fragment.subfragments)


def transfer(port: Any) -> Value:
    """A stream's payload is taken in this cycle."""
    return port.valid & port.ready
