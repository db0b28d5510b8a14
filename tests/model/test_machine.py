"""The machine as a whole: the program of docs/isa.md, tokens, follow, memory, errors."""

import re
from pathlib import Path

import numpy as np
import pytest

from tensaw.compiler.ir import Conv2d, Requantise, Rounding
from tensaw.model.conv import conv2d
from tensaw.model.machine import Machine, MachineError, Region
from tensaw.spec.config import PRESETS
from tensaw.spec.errors import InputError
from tensaw.spec.isa import Command, Unit, assemble
from tensaw.spec.program import Binding, Layer, Program, Tag
from tensaw.spec.registers import ErrorCode

ISA = Path(__file__).parents[2] / "docs" / "isa.md"
ADVICE = (
    "This is a fault of the program, not of its inputs: compile the network again with this version of tensaw, and "
    "report it if that does not help."
)


def documented_program() -> tuple[Program, Conv2d]:
    """The listing of docs/isa.md with random weights, and the operator that it computes."""
    rng = np.random.default_rng(3)
    listing = re.search(r"```tensaw\n(.*?)```", ISA.read_text("utf-8"), re.DOTALL)
    assert listing is not None
    words = np.array(assemble(listing[1]), "<u8")
    weights = rng.integers(-127, 128, (16, 3, 3, 3), dtype=np.int8)
    bias = rng.integers(-9999, 9999, 16, dtype=np.int32)
    multiplier = rng.integers(1 << 30, 1 << 31, 16, dtype=np.int64)
    shift = rng.integers(-10, -7, 16, dtype=np.int64)
    op = Conv2d(
        "conv",
        "CONV_2D",
        ("x",),
        "y",
        weights,
        bias,
        (1, 1),
        (1, 1),
        (1, 1, 1, 1),
        1,
        5,
        Requantise(multiplier, shift, -128, -128, 127, Rounding.DOUBLE),
    )
    folded = bias - 5 * weights.astype(np.int32).sum(axis=(1, 2, 3))
    stream = b"".join(
        [
            folded.astype("<i4").tobytes(),
            multiplier.astype("<i4").tobytes(),
            shift.astype(np.int8).tobytes(),
            weights.transpose(1, 2, 3, 0).tobytes(),
        ]
    )
    assert len(stream) == 576
    code = words.tobytes() + bytes(-len(words.tobytes()) % 16)
    program = Program(
        "example",
        PRESETS["base"],
        stream + code,
        576,
        len(code),
        (576 + len(code), 192, 1024, 0),
        inputs=[Binding("x", "x", 1, 0, (1, 8, 8, 3), (1, 8, 8, 3))],
        outputs=[Binding("y", "y", 2, 0, (1, 8, 8, 16), (1, 8, 8, 16))],
        layers=[Layer("conv", "CONV_2D", "y")],
        tags=[Tag(0, "load"), Tag(0, "rows 0..7")],
    )
    return program, op


def test_the_documented_program() -> None:
    program, op = documented_program()
    x = np.random.default_rng(4).integers(-128, 128, (1, 8, 8, 3), dtype=np.int8)
    machine = Machine(program.config, check_races=True)
    seen: list[str] = []
    machine.on_command = lambda _, index, command: seen.append(f"{index} {command.word.full_name}")
    result = machine.run(program, {"x": x})
    np.testing.assert_array_equal(result["y"], conv2d(x, op))
    assert result["y"].std() > 10
    assert machine.warnings == []
    assert seen[1] == "1 WEIGHT.RUN" and seen[-1].endswith(" CONTROL.END")
    np.testing.assert_array_equal(machine.run(program, {"x": x})["y"], result["y"])


def test_inputs_that_do_not_fit() -> None:
    program, _ = documented_program()
    machine = Machine(program.config)
    with pytest.raises(InputError) as error:
        machine.run(program, {})
    assert str(error.value) == "The inputs must be x, not none."
    with pytest.raises(InputError) as error:
        machine.run(program, {"x": np.zeros((8, 8, 3), np.int8)})
    assert str(error.value) == "The input x must be an int8 array of shape (1, 8, 8, 3), not int8 of shape (8, 8, 3)."
    with pytest.raises(InputError) as error:
        Machine(PRESETS["nano"]).run(program, {})
    assert str(error.value) == (
        "The program 'example' was compiled for the configuration 'base', which is not this machine's 'nano': compile "
        "the network for this one."
    )


def test_an_error_names_layer_and_tile() -> None:
    program, _ = documented_program()
    words = program.words.copy()
    kernel = next(i for i, word in enumerate(words) if int(word) >> 54 == 3 << 6 | 5)
    words[kernel] = assemble("ARRAY.KERNEL_Y steps=0")[0]
    program.constants = program.constants[:576] + words.tobytes()
    with pytest.raises(MachineError) as error:
        Machine(program.config).run(program, {"x": np.zeros((1, 8, 8, 3), np.int8)})
    assert str(error.value) == (
        "The program stops with ILLEGAL_VALUE at word 17 (ARRAY.RUN, tag 1: conv rows 0..7): KERNEL_Y.steps must be at "
        f"least 1, not 0. {ADVICE}"
    )
    assert (error.value.code, error.value.unit, error.value.tag) == (ErrorCode.ILLEGAL_VALUE, Unit.ARRAY, 1)
    assert error.value.index == 17


def machine() -> Machine:
    """nano with 64 bytes in each region: 0 and 1 read only, 2 and 3 read and write."""
    result = Machine(PRESETS["nano"])
    for index in range(4):
        result.memory[index] = Region(np.arange(64, dtype=np.uint8) + 64 * index, True, index > 1)
    return result


ONE = "OUTPUT.OUT height=1 width=1\nOUTPUT.CHANNELS tile=1 last=1 tiles=1\n"
COPY = "LOAD.ROWS bytes=4 count=2\nLOAD.PLANES count=1\nSTORE.ROWS bytes=4 count=2\nSTORE.PLANES count=1\n"


@pytest.mark.parametrize(
    ("text", "reason", "code", "unit", "tag"),
    [
        ("LOAD.RUN tag=7", "ROWS.bytes must be at least 1, not 0", ErrorCode.ILLEGAL_VALUE, Unit.LOAD, 7),
        (
            COPY + "LOAD.MEMORY offset=61\nLOAD.RUN",
            "bytes 61 to 64 are not inside region 0, which has 64 bytes",
            ErrorCode.OUTSIDE_REGION,
            Unit.LOAD,
            0,
        ),
        (
            COPY + "LOAD.MEMORY region=5\nLOAD.RUN",
            "there is no region 5",
            ErrorCode.OUTSIDE_REGION,
            Unit.LOAD,
            0,
        ),
        (
            COPY + "STORE.MEMORY region=1\nSTORE.RUN tag=9",
            "region 1 may not be written",
            ErrorCode.OUTSIDE_REGION,
            Unit.STORE,
            9,
        ),
        (
            "WEIGHT.RUN bytes=12",
            "RUN.bytes must be at least 1 and a multiple of bus_bytes (bus_bytes is 8), not 12",
            ErrorCode.ILLEGAL_VALUE,
            Unit.WEIGHT,
            0,
        ),
        (
            COPY + "LOAD.RUN wait=4",
            "it waits for a token from OUTPUT that no earlier word gives",
            None,
            Unit.LOAD,
            0,
        ),
        (
            ONE + "OUTPUT.BLOCK height=1 width=1\nOUTPUT.RUN",
            "it takes the results of an ARRAY.RUN, but no earlier one has any left",
            None,
            Unit.OUTPUT,
            0,
        ),
        (
            ONE + "OUTPUT.BLOCK height=1 width=1\nOUTPUT.CHANNELS tile=1 last=2 tiles=1\nOUTPUT.RUN",
            "CHANNELS.last must be at most CHANNELS.tile, but CHANNELS.last is 2, CHANNELS.tile is 1",
            ErrorCode.ILLEGAL_VALUE,
            Unit.OUTPUT,
            0,
        ),
        ("ARRAY.TABLE tag=3", "it takes 64 weight rows, but only 0 have been streamed before it", None, Unit.ARRAY, 3),
    ],
)
def test_errors(text: str, reason: str, code: ErrorCode | None, unit: Unit, tag: int) -> None:
    with pytest.raises(MachineError) as error:
        machine().execute(assemble(text))
    assert f": {reason}. {ADVICE}" in str(error.value)
    assert (error.value.code, error.value.unit, error.value.tag) == (code, unit, tag)


def test_illegal_words() -> None:
    for word, unit in ((0, None), (Unit.LOAD << 60 | 63 << 54, Unit.LOAD)):
        with pytest.raises(MachineError) as error:
            machine().execute([int(word)])
        assert (error.value.code, error.value.unit) == (ErrorCode.ILLEGAL_COMMAND, unit)


def test_no_end() -> None:
    with pytest.raises(MachineError) as error:
        machine().execute(assemble("LOAD.PLANES count=1"))
    assert str(error.value) == f"The program stops with NO_END at word 1: CONTROL.END is missing. {ADVICE}"
    assert (error.value.code, error.value.unit) == (ErrorCode.NO_END, None)


def test_transfers_in_three_dimensions_and_fill() -> None:
    npu = machine()
    npu.execute(
        assemble(
            """
            LOAD.MEMORY region=1 offset=2
            LOAD.SCRATCHPAD address=65520
            LOAD.ROWS bytes=2 count=2
            LOAD.ROW_PITCH memory=10 scratchpad=3
            LOAD.PLANES count=2
            LOAD.PLANE_PITCH memory=25 scratchpad=8
            LOAD.RUN signal=8
            STORE.MEMORY region=2 offset=1
            STORE.SCRATCHPAD address=65520
            STORE.ROWS bytes=16 count=1
            STORE.PLANES count=1
            STORE.RUN wait=1 signal=1
            LOAD.ROWS bytes=3 count=1
            LOAD.PLANES count=1
            LOAD.RUN fill=1 value=200 wait=8
            CONTROL.END
            """
        )
    )
    wanted = [66, 67, 0, 76, 77, 0, 0, 0, 91, 92, 0, 101, 102, 0, 0, 0]
    assert npu.memory[2].data[1:17].tolist() == wanted
    assert npu.scratchpad[65520:65524].tolist() == [200, 200, 200, 76]
    assert npu.warnings == []


def test_what_is_left_at_the_end() -> None:
    npu = machine()
    npu.execute(assemble(COPY + "LOAD.RUN signal=2\nWEIGHT.RUN bytes=16\nCONTROL.END"))
    assert npu.warnings == [
        "1 tokens from LOAD to ARRAY are left at the end.",
        "16 bytes of the weight stream are left at the end.",
    ]


def test_too_many_tokens() -> None:
    npu = machine()
    npu.execute(assemble(COPY + "LOAD.RUN signal=2\n" * 255 + "CONTROL.END"))
    with pytest.raises(MachineError) as error:
        npu.step(assemble("LOAD.RUN signal=2")[0])
    assert "more than 255 tokens from LOAD to ARRAY are waiting" in str(error.value)
    assert error.value.code == ErrorCode.ILLEGAL_VALUE


POOL = """
ARRAY.INPUT base=0 pitch=4
ARRAY.WINDOW height=2 row_bytes=4
ARRAY.STEP position=4 row=1 decimation=1
ARRAY.KERNEL_Y steps=1
ARRAY.KERNEL_X steps=1 chunks=1
ARRAY.OUT height=2 width=1
ARRAY.BLOCK height=2 width=1
ARRAY.TILES count=1
OUTPUT.TARGET base=64 pitch=4
OUTPUT.CHANNELS pixel_pitch=4 tile=4 last=4 tiles=1
OUTPUT.OUT height=2 width=1
OUTPUT.BLOCK height=2 width=1
OUTPUT.QUANT low=-128 high=127
OUTPUT.SCALE multiplier=0x40000000 shift=1
ARRAY.RUN mode=2
"""


def test_results_that_nothing_takes() -> None:
    with pytest.raises(MachineError, match="the results of the ARRAY.RUN at word 14 are never taken"):
        machine().execute(assemble(POOL + "CONTROL.END"))


def test_follow_means_one_of_the_last_128_output_runs() -> None:
    npu = machine()
    drained = "OUTPUT.RUN\n"
    npu.scratchpad[:8] = np.arange(8)
    for word in assemble(POOL + drained + "ARRAY.RUN mode=2 follow=1 follow_run=0\n" + drained):
        npu.step(word)
    assert npu.scratchpad[64:72].tolist() == list(range(8))
    with pytest.raises(MachineError, match=r"it follows OUTPUT run 2 \(modulo 256\), which is not one of the last 128"):
        npu.step(assemble("ARRAY.RUN mode=2 follow=1 follow_run=2")[0])
    for _ in range(127):
        for word in assemble("ARRAY.RUN mode=2\n" + drained):
            npu.step(word)
    for word in assemble("ARRAY.RUN mode=2 follow=1 follow_run=1\n" + drained):
        npu.step(word)
    with pytest.raises(MachineError, match="it follows OUTPUT run 1 "):
        npu.step(assemble("ARRAY.RUN mode=2 follow=1 follow_run=1")[0])


def test_the_hook_sees_every_command() -> None:
    npu = machine()
    seen: list[Command] = []
    npu.on_command = lambda _, __, command: seen.append(command)
    npu.execute(assemble("LOAD.PLANES count=3\nCONTROL.END tag=5"))
    assert [str(command) for command in seen] == ["LOAD.PLANES count=3", "CONTROL.END tag=5"]
    assert npu.registers[Unit.LOAD]["PLANES"] == {"count": 3}
