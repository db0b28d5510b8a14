"""What each unit must refuse: words that it does not know, runs that it cannot do, accesses outside all regions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from tensaw.spec.isa import PAYLOAD_BITS, Command, Unit, decode, encode, words_of
from tensaw.spec.program import SCRATCH
from tensaw.spec.registers import ErrorCode
from tensaw.verify.faults.site import READ, WRITE, End, Failure, Site

__all__ = ["refused"]

Rng = np.random.Generator

_LIMIT = 20_000
_AT_ONCE = 12
"""Refusals that a case tries."""
_EMPTY = {Unit.LOAD: "ROWS", Unit.STORE: "ROWS", Unit.ARRAY: "OUT", Unit.OUTPUT: "OUT"}
"""A register of each unit that must not be 0."""


@dataclass(frozen=True)
class _Refusal:
    """What is changed in the program (word by place) and in the registers, and the cause that must be told; ``address``
    is None where it means nothing."""

    text: str
    code: ErrorCode
    unit: int
    tag: int = 0
    address: int | None = 0
    words: dict[int, int] = field(default_factory=dict)
    settings: dict[str, int] = field(default_factory=dict)


def refused(site: Site, rng: Rng) -> str:
    """Something that a unit must refuse, many times: the run stops with its unit, tag, and word or address."""
    network = site.network
    every = [*_illegal_words(site, rng), *_illegal_runs(site, rng), *_outside(site, rng)]
    chosen = [every[index] for index in sorted(rng.permutation(len(every))[:_AT_ONCE])]
    start = network.placement.regions[0] - network.placement.base + network.program.program_offset
    for refusal in chosen:
        memory = network.before.copy()
        for place, word in refusal.words.items():
            memory[start + 8 * place :][:8] = np.array([word], "<u8").view(np.uint8)
        site.start({**network.settings, **refusal.settings}, memory)
        end = site.finish(_LIMIT)
        address = end.address if refusal.address is None else refusal.address
        wanted = End("error", end.cycles, refusal.code, refusal.unit, refusal.tag, address)
        if end != wanted:
            raise Failure(f"{refusal.text} must end so: {wanted}; but it ends so: {end}")
        site.check_windows()
        site.check_partial()
    return f"refused: {', '.join(refusal.text for refusal in chosen)}"


def _commands(site: Site) -> list[Command]:
    return [decode(int(word)) for word in site.network.program.words]


def _both_ways(rng: Rng, bits: int) -> Iterator[int]:
    """A random number, and the one with all bits the other way."""
    number = int.from_bytes(rng.bytes(8), "little") & (1 << bits) - 1
    yield number
    yield number ^ (1 << bits) - 1


def _illegal_words(site: Site, rng: Rng) -> Iterator[_Refusal]:
    """In place of one of the unit's words; for words that name no unit, of any word."""
    commands = _commands(site)
    places = {unit: [at for at, command in enumerate(commands) if command.word.unit == unit] for unit in Unit}
    del places[Unit.CONTROL][1:]  # nobody looks behind the first END
    for unit, own in places.items():
        unknown = sorted(set(range(64)) - {word.code for word in words_of(unit)})
        for payload in _both_ways(rng, PAYLOAD_BITS) if own else ():
            word = unit << 60 | int(rng.choice(unknown)) << PAYLOAD_BITS | payload
            yield _Refusal(
                f"a word that {unit.name} does not have", ErrorCode.ILLEGAL_COMMAND, unit, address=word,
                words={int(rng.choice(own)): word},
            )  # fmt: skip
    nobody = sorted(set(range(16)) - set(Unit))
    for payload in _both_ways(rng, 60):
        word = int(rng.choice(nobody)) << 60 | payload
        place = int(rng.integers(places[Unit.CONTROL][0]))
        yield _Refusal("a word of no unit", ErrorCode.ILLEGAL_COMMAND, 0, address=word, words={place: word})


def _illegal_runs(site: Site, rng: Rng) -> Iterator[_Refusal]:
    """The unit's first RUN, with any tag, after a register was set to 0."""
    commands = _commands(site)
    for unit in (Unit.WEIGHT, *_EMPTY):
        place = _first_run(commands, unit)
        if place is None:
            continue
        for tag in _both_ways(rng, 16):
            values = {**commands[place].values, "tag": tag}
            words = {}
            if unit == Unit.WEIGHT:
                values["bytes"] = 0
            elif commands[place - 1].word.unit == unit and commands[place - 1].word.name != "TABLE":
                words[place - 1] = encode(f"{unit.name}.{_EMPTY[unit]}")
            else:
                continue
            words[place] = encode(f"{unit.name}.RUN", **values)
            yield _Refusal(f"an illegal run of {unit.name}", ErrorCode.ILLEGAL_VALUE, unit, tag, None, words)


def _outside(site: Site, rng: Rng) -> Iterator[_Refusal]:
    """The unit's first access is to a closed region anywhere in memory; or the program is where nothing may be read."""
    commands = _commands(site)
    spare = all(command.values["region"] != SCRATCH for command in commands if command.word.name == "MEMORY")
    width, bus_bytes = site.network.program.config.address_width, site.network.program.config.bus_bytes

    def window(region: int, base: int, offset: int, size: int) -> tuple[dict[str, int], int]:
        """Settings of the region, and the address of what lies there, whose last bytes lie outside if it may be read
        and written at all."""
        base &= (1 << width) - 16
        settings = {"BASE_LO": base & 0xFFFFFFFF, "BASE_HI": base >> 32}
        settings |= {"SIZE": offset + size - 1 - int(rng.integers(min(size, 16))), "ACCESS": READ | WRITE}
        if offset + size > 1 << 32 or rng.random() < 0.5:
            settings |= {"SIZE": int(rng.integers(1 << 32)), "ACCESS": 0}
        return {f"REGION{region}_{part}": value for part, value in settings.items()}, (base + offset) % (1 << width)

    for unit in (Unit.WEIGHT, Unit.LOAD, Unit.STORE):
        run = _first_run(commands, unit)
        place = None if run is None else _last(commands[:run], unit, "MEMORY")
        if run is None or place is None or not spare:
            continue
        values = dict(commands[run].values)
        for base, offset, size in zip(*(_both_ways(rng, bits) for bits in (width, 32, 28)), strict=True):
            if unit == Unit.WEIGHT:
                offset, size = offset // bus_bytes * bus_bytes, max(size // bus_bytes, 1) * bus_bytes
                values["bytes"] = size
            else:
                size = 1  # whatever the size of its rows
            settings, address = window(SCRATCH, base, offset, size)
            words = {
                place: encode(f"{unit.name}.MEMORY", region=SCRATCH, offset=offset),
                run: encode(f"{unit.name}.RUN", **values),
            }
            text = f"an access of {unit.name} outside"
            yield _Refusal(text, ErrorCode.OUTSIDE_REGION, unit, values["tag"], address, words, settings)
    for base, offset, size in zip(*(_both_ways(rng, bits) for bits in (width, 32, 28)), strict=True):
        offset, size = offset & -16, max(size & -16, 16)
        settings, address = window(0, base, offset, size)
        settings |= {"PROGRAM_OFFSET": offset, "PROGRAM_BYTES": size}
        yield _Refusal("a program outside", ErrorCode.OUTSIDE_REGION, 0, 0, address, settings=settings)


def _first_run(commands: list[Command], unit: Unit) -> int | None:
    """Place of the unit's first RUN, of LOAD the first that reads memory."""
    for place, command in enumerate(commands):
        if command.word.full_name == f"{unit.name}.RUN" and not command.values.get("fill"):
            return place
    return None


def _last(commands: list[Command], unit: Unit, name: str) -> int | None:
    places = [at for at, command in enumerate(commands) if command.word.full_name == f"{unit.name}.{name}"]
    return places[-1] if places else None
