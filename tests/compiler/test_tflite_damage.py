"""Damaged files never raise anything but TensawError, and never hang."""

import time

import numpy as np
import pytest

from tensaw.compiler.frontends.tflite import load_tflite, survey_tflite
from tensaw.networks.random_network import random_network
from tensaw.spec.errors import TensawError


def attempt(data: bytes) -> None:
    for function in (load_tflite, survey_tflite):
        begin = time.perf_counter()
        try:
            function(data, "m.tflite")
        except TensawError as error:
            assert "\n" not in str(error)
        assert time.perf_counter() - begin < 5


@pytest.fixture(scope="module")
def model() -> bytes:
    return random_network(np.random.default_rng(11), ["CONV_2D", "ADD", "MEAN", "FULLY_CONNECTED", "PAD"], 6)


def test_random_bytes_changed(model, rng):
    for _ in range(200):
        data = bytearray(model)
        for position in rng.integers(8, len(data), int(rng.integers(1, 6))):
            data[position] = rng.integers(256)
        attempt(bytes(data))


def test_words_replaced_by_extremes(model, rng):
    for _ in range(200):
        data = bytearray(model)
        position = int(rng.integers(8, len(data) - 4)) & ~3
        value = (0, 1, -1, 1 << 31, (1 << 31) - 1, len(data), len(data) - 4, 1 << 16)[int(rng.integers(8))]
        data[position : position + 4] = (value & 0xFFFFFFFF).to_bytes(4, "little")
        attempt(bytes(data))


def test_every_word_of_the_header_and_tables_replaced(model):
    """The whole of a small file, word by word, as a huge count and as an offset far outside."""
    for position in range(0, min(len(model), 1600), 12):
        for value in (0x7FFFFFFF, 0xFFFFFFF0):
            data = bytearray(model)
            data[position : position + 4] = value.to_bytes(4, "little")
            attempt(bytes(data))


def test_truncated_anywhere(model, rng):
    for length in [*range(40), *rng.integers(40, len(model), 150)]:
        attempt(model[: int(length)])


def test_pieces_swapped(model, rng):
    for _ in range(100):
        first, second = sorted(int(v) for v in rng.integers(8, len(model) - 64, 2))
        size = int(rng.integers(4, 64))
        data = bytearray(model)
        data[first : first + size], data[second : second + size] = (
            data[second : second + size],
            data[first : first + size],
        )
        attempt(bytes(data))
