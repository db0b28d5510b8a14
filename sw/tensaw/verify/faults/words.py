"""Programs that are damaged, illegal or made up."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from tensaw.spec.isa import END_WORD, WORDS, IllegalWord, Word, decode, encode

__all__ = ["damage"]

Words = list[int]


def damage(rng: np.random.Generator, words: npt.NDArray[np.uint64]) -> tuple[Words, str]:
    """As many words as there were, and what was done to them. They end as they did, unless that was hit, too."""
    name, change = _DAMAGES[int(rng.integers(len(_DAMAGES)))]
    changed = change(rng, [int(word) for word in words])
    length = len(words)
    return (changed + [END_WORD] * length)[:length], name


def _flip(rng: np.random.Generator, words: Words) -> Words:
    """One to three bits."""
    for _ in range(int(rng.integers(1, 4))):
        words[_place(rng, words)] ^= 1 << int(rng.integers(64))
    return words


def _field(rng: np.random.Generator, words: Words) -> Words:
    """One field of a word is a little larger or smaller, or anything; often 0, 1 or its largest value."""
    for _ in range(int(rng.integers(1, 3))):
        place = _place(rng, words)
        try:
            command = decode(words[place])
        except IllegalWord:
            continue
        if command.word.fields:
            values = dict(command.values)
            field = command.word.fields[int(rng.integers(len(command.word.fields)))]
            near = values[field.name] + int(rng.integers(-20, 21))
            legal = field.range[0] <= near <= field.range[1]
            values[field.name] = near if legal and rng.random() < 0.6 else _values(rng, command.word)[field.name]
            words[place] = encode(command.word.full_name, **values)
    return words


def _remove(rng: np.random.Generator, words: Words) -> Words:
    place = _place(rng, words)
    return words[:place] + words[place + int(rng.integers(1, 4)) :]


def _repeat(rng: np.random.Generator, words: Words) -> Words:
    place = _place(rng, words)
    return words[:place] + words[max(0, place - int(rng.integers(1, 20))) :]


def _exchange(rng: np.random.Generator, words: Words) -> Words:
    one, other = _place(rng, words), _place(rng, words)
    words[one], words[other] = words[other], words[one]
    return words


def _shuffle(rng: np.random.Generator, words: Words) -> Words:
    return [words[int(index)] for index in rng.permutation(len(words))]


def _bytes(rng: np.random.Generator, words: Words) -> Words:
    """Random bytes from somewhere on."""
    place = 0 if rng.random() < 0.5 else _place(rng, words)
    return words[:place] + [int(word) for word in rng.integers(0, 1 << 64, len(words) - place, np.uint64)]


def _legal(rng: np.random.Generator, words: Words) -> Words:
    """Legal words with any values, from somewhere on."""
    place = 0 if rng.random() < 0.5 else _place(rng, words)
    made = []
    for _ in range(len(words) - place):
        word = WORDS[int(rng.integers(len(WORDS)))]
        made.append(encode(word.full_name, **_values(rng, word)))
    return words[:place] + made


def _values(rng: np.random.Generator, word: Word) -> dict[str, int]:
    values = {}
    for field in word.fields:
        low, high = field.range
        small, any_value = min(low + int(rng.integers(0, 20)), high), int(rng.integers(low, high, endpoint=True))
        values[field.name] = (low, high, min(low + 1, high), small, small, any_value)[int(rng.integers(6))]
    return values


def _place(rng: np.random.Generator, words: Words) -> int:
    return int(rng.integers(len(words)))


_DAMAGES: tuple[tuple[str, Callable[[np.random.Generator, Words], Words]], ...] = (
    ("bits flipped", _flip), ("fields changed", _field), ("fields changed", _field), ("fields changed", _field),
    ("fields changed", _field), ("words removed", _remove),
    ("words repeated", _repeat), ("words exchanged", _exchange), ("words shuffled", _shuffle), ("random bytes", _bytes),
    ("random legal words", _legal),
)  # fmt: skip
