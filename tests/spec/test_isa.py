"""Command words: encoding, decoding, text, and every error text."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tensaw.spec.errors import InputError
from tensaw.spec.isa import (
    END_WORD,
    PAYLOAD_BITS,
    WORDS,
    IllegalWord,
    Unit,
    Word,
    assemble,
    decode,
    disassemble,
    encode,
    word_named,
    words_of,
)


@st.composite
def commands(draw: st.DrawFn) -> tuple[Word, dict[str, int]]:
    word = draw(st.sampled_from(WORDS))
    return word, {field.name: draw(st.integers(*field.range)) for field in word.fields}


@given(commands())
def test_decode_gives_back_what_encode_took(command: tuple[Word, dict[str, int]]) -> None:
    word, values = command
    decoded = decode(encode(word.full_name, **values))
    assert decoded.word is word
    assert decoded.values == values


@given(st.lists(commands()))
def test_assemble_gives_back_what_disassemble_printed(program: list[tuple[Word, dict[str, int]]]) -> None:
    words = [encode(word.full_name, **values) for word, values in program]
    assert assemble("\n".join(disassemble(words))) == words


@given(st.integers(0, (1 << 64) - 1))
def test_any_word_decodes_to_itself_or_is_illegal(value: int) -> None:
    try:
        command = decode(value)
    except IllegalWord:
        return
    assert encode(command.word.full_name, **command.values) == value


def test_words_are_distinct_and_fit() -> None:
    assert len({(word.unit, word.code) for word in WORDS}) == len({word.full_name for word in WORDS}) == len(WORDS)
    for word in WORDS:
        assert 0 <= word.code < 64
        assert sum(field.width for field in word.fields) <= PAYLOAD_BITS
        assert len({field.name for field in word.fields}) == len(word.fields)
        assert word is word_named(word.full_name)
    for unit in Unit:
        assert all(low.code < high.code for low, high in pairwise(words_of(unit)))


def test_bits_are_where_the_documentation_says() -> None:
    assert END_WORD == 6 << 60
    assert encode("ARRAY.ORIGIN", y=-1, x=-3) == 3 << 60 | 3 << 54 | 0xFFFFFD << 16 | 0xFFFF


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (
            0xF << 60,
            "0xf000000000000000 is no command: unit 15 with code 0 does not exist. The program is damaged, or it was "
            "compiled by another version.",
        ),
        (
            END_WORD | 1 << 16,
            "0x6000000000010000 is no command: CONTROL.END has bits set above its last field.",
        ),
        (1 << 64, "18446744073709551616 is no command: a command word has 64 bits."),
        (-1, "-1 is no command: a command word has 64 bits."),
    ],
)
def test_illegal_words(value: int, text: str) -> None:
    with pytest.raises(IllegalWord) as error:
        decode(value)
    assert str(error.value) == text


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("CONTROL.STOP", "Line 1: There is no command 'CONTROL.STOP'; the commands are ARRAY.BLOCK, "),
        ("CONTROL.END tog=1", "Line 1: CONTROL.END has no field 'tog'; its fields are tag."),
        ("\n# a remark\nCONTROL.END tag=65536", "Line 3: CONTROL.END tag must be between 0 and 65535, not 65536."),
        ("CONTROL.END tag", "Line 1: 'tag' is not of the form field=number."),
        ("CONTROL.END tag=x", "Line 1: 'tag=x' is not of the form field=number."),
        ("CONTROL.END tag=1 tag=2", "Line 1: tag is given twice."),
    ],
)
def test_assembly_errors(line: str, text: str) -> None:
    with pytest.raises(InputError) as error:
        assemble(line)
    assert str(error.value).startswith(text)
