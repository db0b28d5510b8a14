"""From calls of Python functions to the serial core's program: registers and labels by name, constants by value."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NewType, TypeAlias

from tensaw.serial.instruction import ADDRESS_BITS, REGISTERS, Op, Word
from tensaw.serial.registers import VISIBLE
from tensaw.spec.registers import register

__all__ = ["Assembler", "Firmware", "Operand", "Reg"]

Reg = NewType("Reg", str)
"""A register by name."""
Operand: TypeAlias = "Reg | int"
"""A register, or a constant of 32 bits, signed or not."""

_BYTE = 256
_MASK = (1 << 32) - 1


@dataclass(frozen=True)
class Firmware:
    """``words`` of the program, ``registers`` as configuration leaves them, ``labels`` and ``names`` for listings."""

    words: list[Word]
    registers: list[int]
    labels: dict[str, int]
    names: dict[str, int]


class Assembler:
    """Collects instructions. Its methods are named like the instructions; d, a and b are registers, a and b constants,
    too. ``label`` names the next instruction; labels may be used before."""

    def __init__(self) -> None:
        self._words: list[tuple[Word, str]] = []
        self._labels: dict[str, int] = {}
        self._names = {name: register(name).offset >> 2 for name in VISIBLE}
        taken = {self._names[name] for name in VISIBLE}
        self._free = [number for number in reversed(range(REGISTERS)) if number not in taken]
        self._constants: dict[int, int] = {}
        self._contents = [0] * REGISTERS
        self._places: list[tuple[str, str]] = []
        self._unique = 0

    # Names -----------------------------------------------------------------------------------------------------------

    def reg(self, name: str) -> Reg:
        """The register of that name, a new one or one that the host sees."""
        if name not in self._names:
            self._names[name] = self._take(name)
        return Reg(name)

    def regs(self, *names: str) -> tuple[Reg, ...]:
        """Several."""
        return tuple(self.reg(name) for name in names)

    def block(self, names: Iterable[str]) -> tuple[int, int]:
        """Reserve registers of successive numbers from the top down: the first and the one behind the last."""
        names = list(names)
        first = REGISTERS - len(names)
        for number, name in enumerate(names, first):
            self._free.remove(number)
            self._names[name] = number
        return first, REGISTERS

    def share(self, name: str, other: Reg) -> None:
        """Another name for a register that is not used at the same time."""
        if name in self._names:
            raise ValueError(f"The register {name} is there already.")
        self._names[name] = self._names[other]

    def preset(self, name: str, value: int) -> None:
        """What a register holds from the beginning, for one that nothing writes."""
        self._contents[self._names[name]] = value & _MASK

    def constant(self, value: int) -> Reg:
        """A register that holds the value, also where a byte would do."""
        name = f"constant_{value & _MASK}"
        self._names[name] = self._number(value)
        return Reg(name)

    def place(self, label: str) -> Reg:
        """A register that holds the address of a label."""
        name = f"at_{label}"
        if name not in self._names:
            self._names[name] = self._take(name)
            self._places.append((name, label))
        return Reg(name)

    def _take(self, name: str) -> int:
        if not self._free:
            raise ValueError(f"There is no register left for {name}.")
        return self._free.pop()

    def _number(self, operand: Operand) -> int:
        if isinstance(operand, str):
            return self._names[operand]
        value = operand & _MASK
        if value not in self._constants:
            self._constants[value] = self._take(f"the constant {value}")
            self._contents[self._constants[value]] = value
        return self._constants[value]

    def label(self, name: str) -> None:
        """The next instruction is called so."""
        if name in self._labels:
            raise ValueError(f"The label {name} is there already.")
        self._labels[name] = len(self._words)

    def fresh(self, name: str) -> str:
        """A label that nobody else has."""
        self._unique += 1
        return f"{name}_{self._unique}"

    # Instructions ----------------------------------------------------------------------------------------------------

    def _emit(self, op: Op, d: Reg | None, a: Operand, b: Operand, aux: int = 0, target: str = "") -> None:
        immediate = isinstance(b, int) and 0 <= b < _BYTE
        word = Word(
            op,
            0 if d is None else self._number(d),
            self._number(a),
            b if isinstance(b, int) and immediate else self._number(b),
            aux,
            immediate,
        )
        self._words.append((word, target))

    def add(self, d: Reg, a: Operand, b: Operand) -> None:
        self._emit(Op.ADD, d, a, b)

    def sub(self, d: Reg, a: Operand, b: Operand) -> None:
        self._emit(Op.SUB, d, a, b)

    def bits_and(self, d: Reg, a: Operand, b: Operand) -> None:
        self._emit(Op.AND, d, a, b)

    def bits_or(self, d: Reg, a: Operand, b: Operand) -> None:
        self._emit(Op.OR, d, a, b)

    def bits_xor(self, d: Reg, a: Operand, b: Operand) -> None:
        self._emit(Op.XOR, d, a, b)

    def move(self, d: Reg, b: Operand) -> None:
        self._emit(Op.MOVE, d, 0, b)

    def funnel(self, d: Reg, upper: Operand, lower: Operand, amount: int) -> None:
        """D = lower half of (upper:lower) >> amount."""
        # A byte would do for the upper half, but a register is as good.
        self._emit(Op.FUNNEL, d, lower, upper, amount)

    def shift_right(self, d: Reg, a: Operand, amount: int) -> None:
        self._emit(Op.SHIFT, d, a, 0, amount)

    def shift_sign(self, d: Reg, a: Operand, amount: int) -> None:
        self._emit(Op.SHIFT_SIGN, d, a, 0, amount)

    def shift_left(self, d: Reg, a: Operand, amount: int) -> None:
        """1 to 31."""
        self.funnel(d, a, 0, 32 - amount)

    def shift_by(self, d: Reg, a: Operand, b: Operand) -> None:
        self._emit(Op.SHIFT_BY, d, a, b)

    def multiply(self, lower: Reg | None, a: Operand, b: Operand, upper: Reg | None = None) -> None:
        """Unsigned; the lower half is right for signed numbers, too."""
        self._emit(Op.MULTIPLY, None, a, b)
        if lower is not None:
            self._emit(Op.LOWER, lower, 0, 0)
        if upper is not None:
            self._emit(Op.UPPER, upper, 0, 0)

    def load_word(self, d: Reg, a: Operand, b: Operand = 0) -> None:
        self._emit(Op.LOAD_WORD, d, a, b)

    def load_byte(self, d: Reg, a: Operand, b: Operand = 0) -> None:
        self._emit(Op.LOAD_BYTE, d, a, b)

    def fetch(self, d: Reg, a: Operand, b: Operand = 0) -> None:
        self._emit(Op.FETCH, d, a, b)

    def store(self, address: Reg, b: Reg) -> None:
        self._emit(Op.STORE, None, address, b)

    def keep(self, address: Reg, b: Reg) -> None:
        self._emit(Op.KEEP, None, address, b)

    def put(self, address: Reg, b: Operand) -> None:
        self._emit(Op.PUT, None, address, b)

    def weights(self, a: Reg) -> None:
        self._emit(Op.WEIGHTS, None, a, 0)

    def dot(self, address: Reg, count: Operand) -> None:
        self._emit(Op.DOT, None, address, count)

    def dot_same(self, value: Reg, count: Operand) -> None:
        self._emit(Op.DOT_SAME, None, value, count)

    def dot_word(self, address: Reg) -> None:
        self._emit(Op.DOT_WORD, None, address, 1)

    def sum(self, d: Reg, column: Operand) -> None:
        self._emit(Op.SUM, d, 0, column)

    def cycles(self, d: Reg) -> None:
        self._emit(Op.CYCLES, d, 0, 0)

    def state(self, done: bool = False, error: bool = False) -> None:
        self._emit(Op.STATE, None, 0, 0, 2 * done + 4 * error)

    # Ways through the program ----------------------------------------------------------------------------------------

    def go(self, target: str) -> None:
        self._emit(Op.GO, None, 0, 0, target=target)

    def call(self, target: str) -> None:
        """The routine ends with :meth:`back`; it must not call itself, whatever way it takes."""
        self._emit(Op.CALL, self.reg(f"back_{target}"), 0, 0, target=target)

    def back(self, routine: str) -> None:
        self._emit(Op.RETURN, None, self.reg(f"back_{routine}"), 0)

    def jump(self, a: Reg) -> None:
        self._emit(Op.RETURN, None, a, 0)

    def branch(self, op: Op, a: Operand, b: Operand, target: str) -> None:
        self._emit(op, None, a, b, target=target)

    def if_equal(self, a: Operand, b: Operand, target: str) -> None:
        self.branch(Op.IF_EQUAL, a, b, target)

    def if_different(self, a: Operand, b: Operand, target: str) -> None:
        self.branch(Op.IF_DIFFERENT, a, b, target)

    def if_less(self, a: Operand, b: Operand, target: str) -> None:
        self.branch(Op.IF_LESS, a, b, target)

    def if_not_less(self, a: Operand, b: Operand, target: str) -> None:
        self.branch(Op.IF_NOT_LESS, a, b, target)

    def if_below(self, a: Operand, b: Operand, target: str) -> None:
        self.branch(Op.IF_BELOW, a, b, target)

    def if_not_below(self, a: Operand, b: Operand, target: str) -> None:
        self.branch(Op.IF_NOT_BELOW, a, b, target)

    def if_start(self, target: str) -> None:
        self.branch(Op.IF_START, 0, 0, target)

    def if_stop(self, target: str) -> None:
        self.branch(Op.IF_STOP, 0, 0, target)

    # The result ------------------------------------------------------------------------------------------------------

    def finish(self) -> Firmware:
        """Resolve the labels. Raises ValueError for a program that is too long, and for labels that are missing."""
        if len(self._words) > 1 << ADDRESS_BITS:
            raise ValueError(f"The program has {len(self._words)} instructions, {1 << ADDRESS_BITS} are possible.")
        words = []
        for word, target in self._words:
            if target:
                if target not in self._labels:
                    raise ValueError(f"There is no label {target}.")
                place = self._labels[target]
                low = {"b" if word.op == Op.CALL else "d": place & 255}
                word = replace(word, **low, aux=place >> 8)
                if word.op == Op.CALL:
                    word = replace(word, immediate=False)
            words.append(word)
        for name, label in self._places:
            self.preset(name, self._labels[label])
        return Firmware(words, self._contents, dict(self._labels), dict(self._names))
