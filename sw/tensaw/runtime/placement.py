"""Where a program's four regions lie in the device's memory, and the guards between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tensaw.spec.errors import InputError
from tensaw.spec.program import Program

__all__ = ["Placement", "place", "place_on_board"]

_PAGE = 4096
_GUARD = 256


@dataclass(frozen=True)
class Placement:
    """``size`` bytes of memory from bus address ``base``; ``regions``: bus address of each, a multiple of 256."""

    base: int
    size: int
    regions: tuple[int, ...]
    sizes: tuple[int, ...]

    def guards(self) -> Iterator[tuple[int, int]]:
        """Bus addresses from, up to (exclusive) of what belongs to no region: at least 256 bytes on both sides of each.

        Nothing may change there.
        """
        start = self.base
        for address, size in zip(self.regions, self.sizes, strict=True):
            yield start, address
            start = address + size
        yield start, self.base + self.size


def place(program: Program, wish: int | None = None) -> Placement:
    """Put the regions one after another. In the upper half of the address space if they fit there, so that every
    address bit is used; or from the bus address ``wish`` on, rounded down to a multiple of 256 at which they fit.
    Raises InputError if the address space is too small."""
    width = program.config.address_width
    offsets, total = _line_up(program, _PAGE)
    if total > 1 << width:
        raise InputError(
            f"The program {program.name!r} needs {total} bytes of memory, but address_width {width} of the "
            f"configuration {program.config.name!r} reaches only {1 << width}. Raise address_width."
        )
    if wish is None:
        base = 1 << (width - 1) if total <= 1 << (width - 1) else 0
    else:
        base = min(wish, (1 << width) - total) & -_GUARD
    return Placement(base, total, tuple(base + offset for offset in offsets), tuple(program.region_sizes))


def place_on_board(program: Program, base: int, size: int) -> Placement:
    """The same in ``size`` bytes of a board's memory from ``base``, with guards no larger than they must be. Raises
    InputError if the memory is too small."""
    offsets, total = _line_up(program, _GUARD)
    if total > size:
        raise InputError(
            f"The program {program.name!r} needs {total:,} bytes of memory, but the board has {size:,}: use a board "
            "with more memory, or a smaller network."
        )
    return Placement(base, total, tuple(base + offset for offset in offsets), tuple(program.region_sizes))


def _line_up(program: Program, page: int) -> tuple[list[int], int]:
    """Offsets of the regions, multiples of ``page``, and the bytes of all."""
    offsets = []
    end = 0
    for size in program.region_sizes:
        offset = -(-(end + _GUARD) // page) * page
        offsets.append(offset)
        end = offset + size
    return offsets, -(-(end + _GUARD) // page) * page
