"""Missing tokens are found, present ones suffice."""

import numpy as np
import pytest

from tensaw.model.machine import Machine, Region
from tensaw.spec.config import PRESETS
from tensaw.spec.isa import assemble

# A layer that copies: 4 rows of 4 bytes at 0 to 64 (a pool of one position), two blocks of two rows.
LAYER = """
ARRAY.INPUT base=0 pitch=4
ARRAY.WINDOW height=4 row_bytes=4
ARRAY.STEP position=4 row=1 decimation=1
ARRAY.KERNEL_Y steps=1
ARRAY.KERNEL_X steps=1 chunks=1
ARRAY.OUT height=4 width=1
ARRAY.BLOCK height=2 width=1
ARRAY.TILES count=1
OUTPUT.TARGET base=64 pitch=4
OUTPUT.CHANNELS pixel_pitch=4 tile=4 last=4 tiles=1
OUTPUT.OUT height=4 width=1
OUTPUT.BLOCK height=2 width=1
OUTPUT.QUANT low=-128 high=127
OUTPUT.SCALE multiplier=0x40000000 shift=1
LOAD.ROWS bytes=16 count=1
LOAD.PLANES count=1
STORE.MEMORY region=2
STORE.SCRATCHPAD address=64
STORE.ROWS bytes=16 count=1
STORE.PLANES count=1
"""


def findings(text: str) -> list[str]:
    machine = Machine(PRESETS["nano"], check_races=True)
    for index in range(4):
        machine.memory[index] = Region(np.zeros(4096, np.uint8))
    machine.execute(assemble(LAYER + text + "\nCONTROL.END"))
    return [warning for warning in machine.warnings if "token from" not in warning and "tokens from" not in warning]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("LOAD.RUN signal=2\nARRAY.RUN mode=2 wait=1\nOUTPUT.RUN signal=8\nSTORE.RUN wait=4", []),
        ("LOAD.RUN\nARRAY.RUN mode=2\nOUTPUT.RUN signal=8\nSTORE.RUN wait=4", ["ARRAY.RUN reads 0 to 15 LOAD.RUN"]),
        ("ARRAY.RUN mode=2\nOUTPUT.RUN\nSTORE.RUN", ["STORE.RUN reads 64 to 79 OUTPUT.RUN"]),
        # The next image is loaded while the array may still read this one; OUTPUT's end implies ARRAY's.
        ("ARRAY.RUN mode=2\nOUTPUT.RUN\nLOAD.RUN", ["LOAD.RUN writes 0 to 15 ARRAY.RUN"]),
        ("ARRAY.RUN mode=2\nOUTPUT.RUN signal=1\nLOAD.RUN wait=4", []),
        # A token taken by another unit carries what its giver knew.
        ("LOAD.RUN signal=8\nSTORE.RUN wait=1 signal=2\nARRAY.RUN mode=2 wait=8\nOUTPUT.RUN", []),
        # A token given before does not order what comes after.
        (
            "LOAD.RUN signal=2\nLOAD.RUN\nARRAY.RUN mode=2 wait=1\nOUTPUT.RUN",
            ["ARRAY.RUN reads 0 to 15 LOAD.RUN"],
        ),
        # In place: with two blocks the second block is read while the first is written.
        ("OUTPUT.TARGET base=0 pitch=4\nARRAY.RUN mode=2\nOUTPUT.RUN", ["OUTPUT.RUN writes 0 to 15 ARRAY.RUN"]),
        (
            "OUTPUT.TARGET base=0 pitch=4\nARRAY.BLOCK height=4 width=1\nOUTPUT.BLOCK height=4 width=1\n"
            "ARRAY.RUN mode=2\nOUTPUT.RUN",
            [],
        ),
        # The next layer reads what the output stage is writing.
        (
            "ARRAY.RUN mode=2\nOUTPUT.RUN\nARRAY.INPUT base=64 pitch=4\nOUTPUT.TARGET base=128 pitch=4\n"
            "ARRAY.RUN mode=2\nOUTPUT.RUN",
            ["ARRAY.RUN reads 64 to 79 OUTPUT.RUN"],
        ),
        (
            "ARRAY.RUN mode=2\nOUTPUT.RUN\nARRAY.INPUT base=64 pitch=4\nOUTPUT.TARGET base=128 pitch=4\n"
            "ARRAY.RUN mode=2 follow=1 follow_run=0\nOUTPUT.RUN",
            [],
        ),
        # It follows the wrong one of two runs.
        (
            "ARRAY.RUN mode=2\nOUTPUT.RUN\nOUTPUT.TARGET base=128 pitch=4\nARRAY.RUN mode=2\nOUTPUT.RUN\n"
            "ARRAY.INPUT base=128 pitch=4\nOUTPUT.TARGET base=192 pitch=4\n"
            "ARRAY.RUN mode=2 follow=1 follow_run=0\nOUTPUT.RUN",
            ["ARRAY.RUN reads 128 to 143 OUTPUT.RUN"],
        ),
        # Its input row 0 holds the followed run's row 1.
        (
            "ARRAY.RUN mode=2\nOUTPUT.RUN\nARRAY.INPUT base=68 pitch=4\nARRAY.WINDOW height=3 row_bytes=4\n"
            "OUTPUT.TARGET base=128 pitch=4\nARRAY.RUN mode=2 follow=1 follow_run=0\nOUTPUT.RUN",
            ["row"],
        ),
        # Memory: a spill read back.
        ("STORE.RUN\nLOAD.MEMORY region=2 offset=8\nLOAD.RUN", ["LOAD.RUN reads region 2 8 to 15 STORE.RUN"]),
        ("STORE.RUN signal=1\nLOAD.MEMORY region=2 offset=8\nLOAD.RUN wait=8", []),
        # Tables: the second replaces the one that the first run may still use.
        (
            "WEIGHT.RUN bytes=512\nARRAY.TABLE\nARRAY.RUN mode=2\nOUTPUT.RUN table=1\nARRAY.TABLE",
            ["ARRAY.TABLE writes table OUTPUT.RUN"],
        ),
        ("WEIGHT.RUN bytes=512\nARRAY.TABLE\nARRAY.RUN mode=2\nOUTPUT.RUN table=1 signal=2\nARRAY.TABLE wait=4", []),
        # The accumulators hold two blocks, so that two can be finished before the first is emptied, but not four.
        ("ARRAY.RUN mode=2 signal=4\nOUTPUT.RUN wait=2", []),
        (
            "ARRAY.BLOCK height=1 width=1\nOUTPUT.BLOCK height=1 width=1\nARRAY.RUN mode=2 signal=4\nOUTPUT.RUN wait=2",
            ["OUTPUT.RUN waits for the end of ARRAY.RUN 4 blocks"],
        ),
        # Lane 3 of the last tile reads the byte at 16, but its result is not taken.
        (
            "ARRAY.WINDOW height=1 row_bytes=17\nARRAY.OUT height=1 width=1\nOUTPUT.OUT height=1 width=1\n"
            "ARRAY.BLOCK height=1 width=1\nOUTPUT.BLOCK height=1 width=1\nARRAY.TILES count=3 input_step=4\n"
            "ARRAY.INPUT base=5\nOUTPUT.CHANNELS tile=4 last=3 tiles=3 pixel_pitch=11\nOUTPUT.TARGET base=16\n"
            "ARRAY.RUN mode=2\nOUTPUT.RUN",
            [],
        ),
    ],
)
def test_findings(text: str, words: list[str]) -> None:
    found = findings(text)
    assert len(found) == len(words), found
    for finding, pattern in zip(found, words, strict=True):
        position = 0
        for part in pattern.split():
            assert part in finding[position:], finding
            position = finding.index(part, position)


def test_a_finding_in_full() -> None:
    assert findings("LOAD.RUN tag=1\nARRAY.RUN mode=2 tag=2\nOUTPUT.RUN signal=8\nSTORE.RUN wait=4") == [
        "ARRAY.RUN at word 21 (tag 2) reads scratchpad bytes 0 to 15 while LOAD.RUN at word 20 (tag 1) may still be "
        "writing there: no token orders them."
    ]
