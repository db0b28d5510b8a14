"""Attribution of cycles to layers, and placement in memory, on made-up cases."""

from __future__ import annotations

import numpy as np
import pytest

from tensaw.harness.profile import ArrayState, Event, Profile
from tensaw.runtime.diagnosis import describe_error, describe_hang
from tensaw.runtime.layers import attribute
from tensaw.runtime.placement import place
from tensaw.spec.config import NpuConfig
from tensaw.spec.errors import InputError


def test_gaps_go_to_the_unit_nearest_to_the_output(program):
    profile = Profile(
        [
            Event("load", 0, 5, 30), Event("array", 1, 20, 40), Event("output", 1, 25, 50), Event("store", 2, 45, 60),
            Event("weight", 2, 55, 70), Event("array", 2, 75, 80),
        ],
        {(1, ArrayState.BUSY): 12, (1, ArrayState.WAIT_FOLLOW): 8, (2, ArrayState.BUSY): 5},
    )  # fmt: skip
    stem, head, _ = attribute(program(), profile, 3, 83)
    # 3-5 nothing yet, 5-20 load, 20-40 array, 40-50 output; 50-60 store, 60-70 weights, 70-75 gap, array, 80-83 end.
    assert stem.states == {"overhead": 2, "input": 15, "array": 12, "dependency": 8, "output": 10}
    assert head.states == {"store": 10, "weights": 10, "overhead": 5 + 3, "array": 5}
    assert (stem.bound_by, head.bound_by) == ("input", "weights")


@pytest.mark.parametrize("seed", range(5))
def test_cycles_always_add_up(program, seed):
    rng = np.random.default_rng(seed)
    events, states = [], {}
    for unit in ("weight", "load", "array", "output", "store"):
        edges = np.sort(rng.choice(np.arange(2, 500), 40, replace=False))
        for start, end in zip(edges[::2], edges[1::2], strict=True):
            tag = int(rng.integers(0, 5))
            events.append(Event(unit, tag, int(start), int(end)))
            if unit == "array":
                key = tag, ArrayState(int(rng.integers(0, 8)))
                states[key] = states.get(key, 0) + int(end - start)
    events.sort(key=lambda event: event.start)
    layers = attribute(program(), Profile(events, states), 1, 510)
    assert sum(layer.cycles for layer in layers) == 509


def test_a_run_without_events_is_overhead(program):
    first, *_ = attribute(program(), Profile(), 0, 7)
    assert (first.states, first.bound_by) == ({"overhead": 7}, "overhead")


def test_regions_are_aligned_guarded_and_use_every_address_bit(program):
    placement = place(program(region_sizes=(5000, 1, 4096, 0)))
    assert placement.base == 1 << 31
    assert [address - placement.base for address in placement.regions] == [4096, 12288, 16384, 24576]
    assert placement.size == 28672
    for low, high in placement.guards():
        assert high - low >= 256


def test_an_address_space_that_is_too_small(program):
    config = NpuConfig(name="narrow", address_width=16)
    assert place(program(config=config, region_sizes=(100, 100, 100, 100))).base == 1 << 15
    assert place(program(config=config, region_sizes=(20000, 100, 100, 100))).base == 0
    with pytest.raises(InputError) as error:
        place(program(config=config, region_sizes=(60000, 100, 100, 100)))
    assert str(error.value) == (
        "The program 'copy' needs 77824 bytes of memory, but address_width 16 of the configuration 'narrow' reaches "
        "only 65536. Raise address_width."
    )


@pytest.mark.parametrize(
    "error, address, text",
    [
        (
            0x0001_0202, 0x80001000,
            "The NPU stopped with READ_DECERR in unit LOAD, layer 'stem' (rows 4..7), tag 1: the memory answered a "
            "read with DECERR (nothing is at that address) (address 0x80001000).",
        ),
        (
            0x0007_0005, 0xFF,
            "The NPU stopped with ILLEGAL_COMMAND in the program fetch: a command word is illegal (command word 0xff).",
        ),
        (0x0009_0363, 0, "The NPU stopped with code 99 in unit ARRAY, tag 9: this code is unknown."),
    ],
)  # fmt: skip
def test_error_registers_become_sentences(program, error, address, text):
    assert describe_error(program(), error, address) == text


def test_a_hang_in_which_nobody_waits(program):
    stalls = {"WEIGHT": 0, "LOAD": 1, "ARRAY": 0, "OUTPUT": 0, "STORE": 0}
    assert describe_hang(program(), stalls, 900, 400) == (
        "The NPU hangs: nothing has moved for 400 cycles at cycle 900; LOAD claims to run."
    )
    assert describe_hang(program(), {**stalls, "LOAD": 0}, 900, 400) == (
        "The NPU hangs: nothing has moved for 400 cycles at cycle 900; all units are idle, so that the program fetch "
        "waits for the memory."
    )


def test_a_hang_in_which_one_is_waited_for_that_has_no_command(program):
    stalls = {"WEIGHT": 0, "LOAD": 0, "ARRAY": 0x0009_0025 | 5, "OUTPUT": 0x0003_0000, "STORE": 0x0009_0052}
    assert describe_hang(program(), stalls, 900, 400) == (
        "The NPU hangs: nothing has moved for 400 cycles at cycle 900; ARRAY waits for a free accumulator half in tag "
        "9, with 0 command words queued; STORE waits for a token from LOAD and OUTPUT in tag 9, with 0 command words "
        "queued; LOAD and OUTPUT have no command: the program fetch waits for the memory, or the program has none."
    )
    most = program().config.queue_depth
    text = describe_hang(program(), {**stalls, "ARRAY": stalls["ARRAY"] | most << 8}, 900, 400)
    assert text.endswith("; LOAD and OUTPUT have no command: the full queue of ARRAY holds up the words behind.")
