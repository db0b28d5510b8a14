"""Programs word by word on the serial core: transfers, what compilers never emit, and everything that is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tensaw.boards.board import BlockRam, SinglePort
from tensaw.harness.serial_core import MEMORY_BYTES, SerialDevice
from tensaw.model.machine import Machine, Region
from tensaw.serial.microcode.transfer import SEGMENTS
from tensaw.spec.config import PRESETS
from tensaw.spec.isa import END_WORD, assemble, encode
from tensaw.spec.registers import IDENTITY, ErrorCode, region_register, register

NANO = PRESETS["nano"]
ODD = NANO.replace(name="odd", rows=7, columns=3, scratchpad_bytes=2048, acc_entries=16, queue_depth=16)
SIZES = (0x3000, 0x2000, 0x4000, 0x2000)
BASES = (0x0400, 0x3800, 0x6000, 0xB000)
PROGRAM = 0x2000
"""Offset in region 0."""
ACCESS = (1, 1, 3, 3)

Bytes = Any


def words_of(text: str) -> list[int]:
    return [int(word) for word in assemble(text)]


def write(device: SerialDevice, name: str, value: int) -> None:
    device.write_register(register(name).offset, value)


def read(device: SerialDevice, name: str) -> int:
    return device.read_register(register(name).offset)


def start(device: SerialDevice, words: list[int], memory: Bytes, access: tuple[int, ...] = ACCESS) -> None:
    content = memory.copy()
    program = np.array(words, "<u8").view(np.uint8)
    content[BASES[0] + PROGRAM : BASES[0] + PROGRAM + len(program)] = program
    device.write_memory(0, content)
    for index in range(4):
        for part, value in (("BASE_LO", BASES[index]), ("SIZE", SIZES[index]), ("ACCESS", access[index])):
            device.write_register(region_register(index, part).offset, value)
    write(device, "PROGRAM_OFFSET", PROGRAM)
    write(device, "PROGRAM_BYTES", (len(program) + 15) // 16 * 16)
    write(device, "INTERRUPT_ENABLE", 1)
    write(device, "CONTROL", 1)


def finish(device: SerialDevice) -> tuple[ErrorCode, int, int, int]:
    """Code, unit, tag and address of the error; code NONE if there was none."""
    assert device.wait(0).kind == "interrupt"
    status, error = read(device, "STATUS"), read(device, "ERROR")
    assert status == (4 if error else 2)
    address = read(device, "ERROR_ADDRESS_LO") | read(device, "ERROR_ADDRESS_HI") << 32
    return ErrorCode(error & 255), error >> 8 & 15, error >> 16, address


def golden(config: Any, words: list[int], memory: Bytes) -> Bytes:
    """Memory after the program, by the instruction-level model."""
    machine = Machine(config)
    content = memory.copy()
    program = np.array(words, "<u8").view(np.uint8)
    content[BASES[0] + PROGRAM : BASES[0] + PROGRAM + len(program)] = program
    machine.memory = [
        Region(content[base : base + size], bool(access & 1), bool(access & 2))
        for base, size, access in zip(BASES, SIZES, ACCESS, strict=True)
    ]
    machine.execute(words)
    return content


def check(device: SerialDevice, config: Any, words: list[int], rng: np.random.Generator) -> None:
    memory = rng.integers(0, 256, MEMORY_BYTES, np.uint8)
    wanted = golden(config, words, memory)
    start(device, words, memory)
    assert finish(device)[0] == ErrorCode.NONE
    found = device.read_memory(0, MEMORY_BYTES)
    assert (found == wanted).all(), np.flatnonzero(found != wanted)[:4]


def transfer(rng: np.random.Generator, unit: str, room: int) -> list[int]:
    """One LOAD or STORE with its registers, within ``room`` bytes of scratchpad."""
    planes, rows, length = int(rng.integers(1, 4)), int(rng.integers(1, 5)), int(rng.integers(1, 40))
    if rng.random() < 0.1:
        length = int(rng.integers(250, 520))
    plane_memory, row_memory, plane_pad, row_pad = (int(rng.integers(0, 60)) for _ in range(4))
    span = (planes - 1) * plane_pad + (rows - 1) * row_pad + length
    region = int(rng.integers(2, 4)) if unit == "STORE" else int(rng.integers(0, 4))
    reach = (planes - 1) * plane_memory + (rows - 1) * row_memory + length
    most = min(SIZES[region], PROGRAM) - reach
    fill = {"fill": int(rng.random() < 0.3), "value": int(rng.integers(256))} if unit == "LOAD" else {}
    return [
        encode(f"{unit}.MEMORY", region=region, offset=int(rng.integers(most + 1))),
        encode(f"{unit}.SCRATCHPAD", address=int(rng.integers(room - span + 1))),
        encode(f"{unit}.ROWS", bytes=length, count=rows),
        encode(f"{unit}.ROW_PITCH", memory=row_memory, scratchpad=row_pad),
        encode(f"{unit}.PLANES", count=planes),
        encode(f"{unit}.PLANE_PITCH", memory=plane_memory, scratchpad=plane_pad),
        encode(f"{unit}.RUN", **fill),
    ]


@pytest.mark.parametrize("config", [NANO, ODD], ids=lambda config: config.name)
def test_random_transfers(devices: Any, config: Any, rng: np.random.Generator) -> None:
    device = devices(config)
    for _ in range(30):
        words = [*words_of(f"LOAD.SCRATCHPAD address=0\nLOAD.ROWS bytes={config.scratchpad_bytes} count=1"),
                 *words_of("LOAD.PLANES count=1\nLOAD.RUN fill=1 value=90")]  # fmt: skip
        for _ in range(12):
            words += transfer(rng, str(rng.choice(["LOAD", "STORE"])), config.scratchpad_bytes)
        check(device, config, [*words, END_WORD], rng)


MAXIMUM = """
LOAD.MEMORY region=1 offset=8
LOAD.SCRATCHPAD address=0
LOAD.ROWS bytes=2048 count=1
LOAD.PLANES count=1
LOAD.RUN tag=1 signal=2
WEIGHT.MEMORY region=0 offset=64
WEIGHT.RUN bytes=1024
ARRAY.INPUT base=40 pitch={pitch}
ARRAY.WINDOW height=7 row_bytes={row}
ARRAY.ORIGIN y=-1 x=-3
ARRAY.STEP position=3 row=1 decimation=1
ARRAY.KERNEL_Y steps=2 rows=2
ARRAY.KERNEL_X steps=2 bytes=5 chunks={chunks}
ARRAY.OUT height=3 width=4
ARRAY.BLOCK height=2 width=3
ARRAY.TILES count=2 input_step=17 pad_value={pad}
ARRAY.WEIGHTS rows={rows} free=1 bias={bias} pad=2
ARRAY.RUN tag=2 wait=1 mode={mode} maximum={maximum}
OUTPUT.TARGET base=1500 pitch=37
OUTPUT.CHANNELS pixel_pitch=9 tile=3 last=2 tiles=2
OUTPUT.OUT height=3 width=4
OUTPUT.BLOCK height=2 width=3
OUTPUT.QUANT zero_point=5 low=-100 high=110 rounding={rounding} bias={bias}
OUTPUT.SCALE multiplier={multiplier} shift={shift}
OUTPUT.OPERAND base=200 pitch=11
OUTPUT.OPERAND_STEP pixel_pitch=2 tile_step=1 zero_a=3 zero_b=-9 operation={operation} reverse={reverse}
OUTPUT.SCALE_A multiplier=1500000000 shift={shift_a}
OUTPUT.SCALE_B multiplier=1100000000 shift=-1
OUTPUT.SCALE_OUT multiplier=1234567890 shift={shift_out}
OUTPUT.QUANT_OUT zero_point=-7 low=-120 high=127 rounding={rounding_out}
OUTPUT.RUN tag=3 signal=8
STORE.MEMORY region=2 offset=16
STORE.SCRATCHPAD address=1400
STORE.ROWS bytes=400 count=1
STORE.PLANES count=1
STORE.RUN tag=4 wait=4
CONTROL.END
"""


@pytest.mark.parametrize("config", [NANO, ODD], ids=lambda config: config.name)
def test_random_runs(devices: Any, config: Any, rng: np.random.Generator) -> None:
    """CONV and POOL, sums and maxima, every rounding and operation, windows that cut anywhere."""
    device = devices(config)
    for number in range(60):
        mode = int(rng.choice([0, 0, 2]))
        operation = int(rng.integers(4))
        # Shifts to the left may overflow, which is defined.
        text = MAXIMUM.format(
            pitch=int(rng.integers(20, 60)), row=int(rng.integers(1, 40)), chunks=int(rng.integers(1, 4)) if not mode
            else 1, pad=int(rng.integers(-128, 128)), rows=int(rng.integers(1, config.rows + 1)), mode=mode,
            maximum=int(rng.random() < 0.5), bias=int(rng.random() < 0.5), rounding=int(rng.integers(3)),
            multiplier=int(rng.choice([0, 1 << 30, 2**31 - 1, int(rng.integers(1 << 30, 1 << 31))])),
            shift=int(rng.choice([-31, -12, -9, -6, -3, 0, 2, 20])), operation=operation,
            reverse=int(operation == 2 and rng.random() < 0.5), shift_a=int(rng.integers(-6, 2)),
            shift_out=int(rng.choice([-31, -20, -18, -9, -4, 1])), rounding_out=int(rng.integers(3)),
        )  # fmt: skip
        try:
            check(device, config, words_of(text), rng)
        except AssertionError as error:
            raise AssertionError(f"run {number}:\n{text}") from error


DRAINED = """
WEIGHT.RUN bytes=256
ARRAY.TABLE kind=0 signal=4
WEIGHT.RUN bytes=64
ARRAY.INPUT pitch=16
ARRAY.WINDOW height=4 row_bytes=16
ARRAY.STEP position=1 row=1 decimation=1
ARRAY.KERNEL_Y steps=1
ARRAY.KERNEL_X steps=1 chunks=1
ARRAY.OUT height=2 width=2
ARRAY.BLOCK height=2 width=2
ARRAY.TILES count=1
ARRAY.WEIGHTS rows=3 free=1
ARRAY.RUN signal=4
OUTPUT.CHANNELS pixel_pitch=4 tile=3 last=3 tiles=1
OUTPUT.OUT height=2 width=2
OUTPUT.BLOCK height=2 width=2
OUTPUT.SCALE multiplier=1073741824
OUTPUT.TARGET base=600
OUTPUT.RUN wait=2 table=1
ARRAY.RUN
OUTPUT.TARGET base=700
OUTPUT.RUN wait=2 signal=8
STORE.MEMORY region=2
STORE.SCRATCHPAD address=600
STORE.ROWS bytes=200 count=1
STORE.PLANES count=1
STORE.RUN wait=4
CONTROL.END
"""


def test_tokens_of_the_array(devices: Any, rng: np.random.Generator) -> None:
    """Those of a table, and of a run that has been drained."""
    fill = words_of("LOAD.ROWS bytes=2048 count=1\nLOAD.PLANES count=1\nLOAD.RUN fill=1 value=77")
    check(devices(NANO), NANO, [*fill, *words_of(DRAINED)], rng)


def word_and(*lines: str) -> list[int]:
    return words_of("\n".join((*lines, "CONTROL.END")))


LOADED = (
    "LOAD.MEMORY region=1 offset=0", "LOAD.SCRATCHPAD address=0", "LOAD.ROWS bytes=8 count=1", "LOAD.PLANES count=1",
)  # fmt: skip
STORED = tuple(line.replace("LOAD", "STORE").replace("region=1", "region=2") for line in LOADED)
ARRAY = (
    "WEIGHT.RUN bytes=64", "ARRAY.INPUT pitch=16", "ARRAY.WINDOW height=4 row_bytes=16", "ARRAY.STEP position=1 row=1 "
    "decimation=1", "ARRAY.KERNEL_Y steps=1", "ARRAY.KERNEL_X steps=1 chunks=1", "ARRAY.OUT height=2 width=2",
    "ARRAY.BLOCK height=2 width=2", "ARRAY.TILES count=1", "ARRAY.WEIGHTS rows=4 free=1",
)  # fmt: skip
OUTPUT = (
    "OUTPUT.CHANNELS pixel_pitch=4 tile=4 last=4 tiles=1", "OUTPUT.OUT height=2 width=2",
    "OUTPUT.BLOCK height=2 width=2", "OUTPUT.SCALE multiplier=1073741824",
)  # fmt: skip
RUN, DRAIN = "ARRAY.RUN tag=7 mode=0", "OUTPUT.RUN tag=9"


def refusals() -> list[tuple[list[int], ErrorCode, int, int]]:
    """Words, code, unit and tag."""
    value = ErrorCode.ILLEGAL_VALUE
    cases: list[tuple[list[int], ErrorCode, int, int]] = []
    for unit, number, lines in (("LOAD", 2, LOADED), ("STORE", 5, STORED)):
        run = f"{unit}.RUN tag=258"
        for line in (f"{unit}.ROWS bytes=0 count=1", f"{unit}.ROWS bytes=1 count=0", f"{unit}.PLANES count=0",
                     f"{unit}.SCRATCHPAD address=65529", f"{unit}.SCRATCHPAD address=16777215",
                     f"{unit}.ROWS bytes=16777215 count=65535"):  # fmt: skip
            cases.append((word_and(*lines, line, run), value, number, 258))
        wide = (f"{unit}.PLANES count=65535", f"{unit}.PLANE_PITCH scratchpad=16777215")
        cases.append((word_and(*lines, *wide, run), value, number, 258))
        for line in (f"{unit}.MEMORY region=4 offset=0", f"{unit}.MEMORY region=2 offset=16377",
                     f"{unit}.MEMORY region=2 offset=4294967295"):  # fmt: skip
            cases.append((word_and(*lines, line, run), ErrorCode.OUTSIDE_REGION, number, 258))
        wide = (f"{unit}.PLANES count=65535", f"{unit}.PLANE_PITCH memory=268435455")
        cases.append((word_and(*lines, *wide, run), ErrorCode.OUTSIDE_REGION, number, 258))
    cases.append((word_and(*STORED, "STORE.MEMORY region=1", "STORE.RUN tag=3"), ErrorCode.OUTSIDE_REGION, 5, 3))
    for line in ("WEIGHT.RUN tag=5 bytes=0", "WEIGHT.RUN tag=5 bytes=12", "WEIGHT.RUN tag=5 bytes=8 turn=3"):
        cases.append((word_and(line), value, 1, 5))
    cases.append((word_and("WEIGHT.MEMORY region=0 offset=4", "WEIGHT.RUN tag=5 bytes=8"), value, 1, 5))
    cases.append((word_and("WEIGHT.RUN tag=5 bytes=268435448"), ErrorCode.OUTSIDE_REGION, 1, 5))
    # A stream that the program could overwrite, and one in too many pieces.
    cases.append((word_and("WEIGHT.MEMORY region=2", "WEIGHT.RUN tag=5 bytes=8"), value, 1, 5))
    pieces: list[str] = []
    for piece in range(SEGMENTS + 1):
        pieces += [f"WEIGHT.MEMORY region=0 offset={16 * piece}", f"WEIGHT.RUN tag={piece} bytes=8"]
    cases.append((word_and(*pieces), value, 1, SEGMENTS))
    for line in ("ARRAY.STEP position=1 decimation=0", "ARRAY.KERNEL_Y steps=0", "ARRAY.KERNEL_X steps=0 chunks=1",
                 "ARRAY.KERNEL_X steps=1 chunks=0", "ARRAY.OUT height=0 width=2", "ARRAY.OUT height=2 width=0",
                 "ARRAY.BLOCK height=0 width=2", "ARRAY.BLOCK height=2 width=0", "ARRAY.TILES count=0",
                 "ARRAY.WEIGHTS rows=0", "ARRAY.WEIGHTS rows=5", "ARRAY.STEP position=1 decimation=2"):  # fmt: skip
        cases.append((word_and(*ARRAY, line, RUN), value, 3, 7))
    large = ("ARRAY.OUT height=9 width=9", "ARRAY.BLOCK height=8 width=9")
    cases.append((word_and(*ARRAY, *large, RUN), value, 3, 7))
    for run in ("mode=1 groups=0", "mode=1 groups=2", "mode=0 follow=3", "mode=3 groups=1"):
        cases.append((word_and(*ARRAY, "ARRAY.WEIGHTS rows=3", f"ARRAY.RUN tag=7 {run}"), value, 3, 7))
    cases.append((word_and(*ARRAY, "ARRAY.RUN tag=7 mode=1 groups=1"), value, 3, 7))
    cases.append((word_and(*ARRAY, "ARRAY.KERNEL_X steps=1 chunks=2", "ARRAY.RUN tag=7 mode=2"), value, 3, 7))
    for line in ("OUTPUT.OUT height=0 width=2", "OUTPUT.OUT height=2 width=0", "OUTPUT.BLOCK height=0 width=2",
                 "OUTPUT.BLOCK height=2 width=0", "OUTPUT.CHANNELS tile=0 last=1 tiles=1",
                 "OUTPUT.CHANNELS tile=5 last=1 tiles=1", "OUTPUT.CHANNELS tile=4 last=0 tiles=1",
                 "OUTPUT.CHANNELS tile=2 last=3 tiles=1", "OUTPUT.CHANNELS tile=4 last=4 tiles=0",
                 "OUTPUT.QUANT rounding=3", "OUTPUT.OUT height=1 width=2", "OUTPUT.QUANT bias=1",
                 "OUTPUT.QUANT scale=1", "OUTPUT.CHANNELS tile=4 last=4 tiles=2",
                 "OUTPUT.TARGET base=65535"):  # fmt: skip
        cases.append((word_and(*ARRAY, RUN, *OUTPUT, line, DRAIN), value, 4, 9))
    two = ("OUTPUT.OPERAND_STEP operation=1", "OUTPUT.QUANT_OUT rounding=3")
    cases.append((word_and(*ARRAY, RUN, *OUTPUT, *two, DRAIN), value, 4, 9))
    beyond = ("OUTPUT.OPERAND_STEP operation=1", "OUTPUT.OPERAND base=65536")
    cases.append((word_and(*ARRAY, RUN, *OUTPUT, *beyond, DRAIN), value, 4, 9))
    cases.append((word_and(*ARRAY, RUN, *OUTPUT, "OUTPUT.RUN tag=9 table=1"), value, 4, 9))
    cases.append((word_and(*OUTPUT, DRAIN), value, 4, 9))
    # A token that no run of the array has given which has been drained.
    own = ("ARRAY.RUN tag=7 signal=4", *OUTPUT, "OUTPUT.RUN tag=9 wait=2")
    cases.append((word_and(*ARRAY, *own), value, 4, 9))
    cases.append((word_and("WEIGHT.RUN bytes=256", "ARRAY.TABLE signal=8", *ARRAY, *own), value, 4, 9))
    # Fewer weights than are taken, and none at all.
    cases.append((word_and(*ARRAY, "ARRAY.KERNEL_Y steps=5", RUN, *OUTPUT, DRAIN), value, 4, 9))
    cases.append((word_and(*ARRAY[1:], RUN, *OUTPUT, DRAIN), value, 4, 9))
    cases.append((word_and("ARRAY.TABLE tag=6 kind=0"), value, 3, 6))
    cases.append((word_and("OUTPUT.OUT height=1 width=9", "OUTPUT.RUN tag=9 kind=1"), value, 4, 9))
    tables = ("WEIGHT.RUN bytes=1024", *(f"ARRAY.TABLE kind=1 part={part}" for part in range(4)))
    cases.append((word_and(*tables, "OUTPUT.OUT height=1 width=4096", "OUTPUT.RUN tag=9 kind=1"), value, 4, 9))
    # Between a run of the array and what drains it.
    for line, unit, tag in (("LOAD.RUN tag=2", 2, 0), ("STORE.RUN tag=2", 5, 0), ("ARRAY.OUT height=1 width=1", 3, 0),
                            ("CONTROL.END tag=2", 6, 0), ("OUTPUT.RUN tag=2 kind=1", 4, 2)):  # fmt: skip
        cases.append((word_and(*LOADED, *STORED, *ARRAY, RUN, *OUTPUT, line), value, unit, tag))
    cases.append((words_of("LOAD.PLANES count=1\nLOAD.PLANES count=1"), ErrorCode.NO_END, 0, 0))
    return cases


def test_what_is_refused(devices: Any, rng: np.random.Generator) -> None:
    """Each by its unit and tag, and the core can run again."""
    device = devices(NANO)
    memory = rng.integers(0, 256, MEMORY_BYTES, np.uint8)
    for number, (words, code, unit, tag) in enumerate(refusals()):
        start(device, words, memory)
        assert finish(device)[:3] == (code, unit, tag), (number, [hex(word) for word in words])
    check(device, NANO, word_and(*LOADED, *STORED, "LOAD.RUN", "STORE.RUN"), rng)


@pytest.mark.parametrize(
    ("word", "unit"),
    [
        (1 << 60 | 2 << 54, 1), (2 << 60 | 7 << 54, 2), (3 << 60 | 11 << 54, 3), (3 << 60 | 33 << 54, 3),
        (4 << 60 | 32 << 54, 4), (6 << 60 | 1 << 54, 6), (0, 0), (7 << 60, 0), (15 << 60 | 1, 0),
        (2 << 60 | 2 << 54 | 1 << 24, 2), (2 << 60 | 1 << 54 | 1 << 35, 2), (6 << 60 | 1 << 16, 6),
        (3 << 60 | 32 << 54 | 1 << 27, 3), (5 << 60 | 4 << 54 | 1 << 53, 5),
    ],
)  # fmt: skip
def test_illegal_words(devices: Any, word: int, unit: int, rng: np.random.Generator) -> None:
    """Of no unit, of no register, with bits above the last field."""
    device = devices(NANO)
    start(device, [word, END_WORD], rng.integers(0, 256, MEMORY_BYTES, np.uint8))
    assert finish(device) == (ErrorCode.ILLEGAL_COMMAND, unit, 0, word)


@pytest.mark.parametrize("kind", [SinglePort(MEMORY_BYTES), BlockRam(40_960)], ids=lambda kind: kind.size)
def test_memory_that_is_not_there(devices: Any, kind: BlockRam | SinglePort, rng: np.random.Generator) -> None:
    """A region may reach beyond the memory, an access may not."""
    device = devices(NANO, kind)
    memory = rng.integers(0, 256, kind.size, np.uint8)
    for lines, code, unit in ((LOADED, ErrorCode.READ_DECERR, 2), (STORED, ErrorCode.WRITE_DECERR, 5)):
        name, place = ("LOAD", BASES[1]) if unit == 2 else ("STORE", BASES[2])
        offset = kind.size - place - 7
        words = word_and(*lines, f"{name}.MEMORY region={unit // 5 + 1} offset={offset}", f"{name}.RUN tag=4")
        start(device, [], memory)
        assert finish(device)[0] == ErrorCode.NO_END
        for index in (1, 2):
            device.write_register(region_register(index, "SIZE").offset, 0xFFFFFFFF)
        device.write_memory(BASES[0] + PROGRAM, np.array(words, "<u8").view(np.uint8))
        write(device, "PROGRAM_BYTES", 8 * len(words))
        write(device, "CONTROL", 1)
        assert finish(device) == (code, unit, 4, place + offset)


def test_programs_that_may_not_be_read(devices: Any, rng: np.random.Generator) -> None:
    device = devices(NANO)
    memory = rng.integers(0, 256, MEMORY_BYTES, np.uint8)
    start(device, [END_WORD], memory, (2, 1, 3, 3))
    assert finish(device) == (ErrorCode.OUTSIDE_REGION, 0, 0, BASES[0] + PROGRAM)
    write(device, "PROGRAM_OFFSET", SIZES[0])
    device.write_register(region_register(0, "ACCESS").offset, 1)
    write(device, "CONTROL", 1)
    assert finish(device) == (ErrorCode.OUTSIDE_REGION, 0, 0, BASES[0] + SIZES[0])


def test_registers(devices: Any) -> None:
    """What does not exist reads as 0 and cannot be written; settings are 0 after a reset, and fixed during a run."""
    device = devices(NANO)
    assert read(device, "IDENTITY") == IDENTITY and read(device, "CONFIG") == NANO.digest
    assert read(device, "SHAPE") == 4 | 4 << 8 | 8 << 16 | 1 << 24
    base, high = region_register(2, "BASE_LO").offset, region_register(2, "BASE_HI").offset
    access = region_register(2, "ACCESS").offset
    for offset in (base, high, access, register("INTERRUPT_ENABLE").offset, register("PROGRAM_BYTES").offset):
        assert device.read_register(offset) == 0
    device.write_register(base, 0xFFFFFFFF)
    device.write_register(high, 0xFFFFFFFF)
    device.write_register(access, 0xFFFFFFFF)
    write(device, "INTERRUPT_ENABLE", 0xFFFFFFFE)
    write(device, "IDENTITY", 5)
    assert device.read_register(base) == 0xFFFFFFF0 and device.read_register(high) == 0
    assert device.read_register(access) == 3 and read(device, "INTERRUPT_ENABLE") == 0
    assert read(device, "IDENTITY") == IDENTITY
    assert read(device, "STALL_ARRAY") == 0 and device.read_register(0x1FC) == 0
    device.reset()
    assert device.read_register(base) == 0


def test_stop(devices: Any, rng: np.random.Generator) -> None:
    """In the middle of a run that would take long; settings cannot be changed meanwhile, registers can be read."""
    device = devices(NANO)
    lines = (*LOADED, "LOAD.ROWS bytes=32768 count=65535", "LOAD.RUN tag=3 fill=1")
    start(device, word_and(*lines), rng.integers(0, 256, MEMORY_BYTES, np.uint8))
    device.limit, before = 5000, device.limit
    assert device.wait(0).kind == "limit"
    device.limit = before
    assert read(device, "STATUS") == 1
    write(device, "PROGRAM_BYTES", 32)
    assert read(device, "PROGRAM_BYTES") != 32
    device.write_memory(BASES[3], np.arange(64, dtype=np.uint8))
    assert (device.read_memory(BASES[3], 64) == np.arange(64)).all()
    write(device, "CONTROL", 2)
    assert finish(device)[:3] == (ErrorCode.STOPPED, 0, 0)
    write(device, "STATUS", 4)
    assert read(device, "STATUS") == 0 and read(device, "CYCLES_LO") > 5000


def damaged(rng: np.random.Generator) -> list[int]:
    """A program with bits flipped, words exchanged or random fields; or random words altogether."""
    text = MAXIMUM.format(
        pitch=30, row=20, chunks=1, pad=0, rows=3, mode=int(rng.choice([0, 1, 2])), maximum=int(rng.integers(2)),
        bias=1, rounding=0, multiplier=1 << 30, shift=-6, operation=int(rng.integers(4)), reverse=0, shift_a=0,
        shift_out=-9, rounding_out=1,
    )  # fmt: skip
    words = words_of(text)
    for _ in range(int(rng.integers(1, 6))):
        place = int(rng.integers(len(words)))
        kind = rng.integers(3)
        if kind == 0:
            words[place] ^= 1 << int(rng.integers(64))
        elif kind == 1:
            other = int(rng.integers(len(words)))
            words[place], words[other] = words[other], words[place]
        else:
            words[place] = words[place] >> 54 << 54 | int.from_bytes(rng.bytes(8), "little") >> int(
                rng.integers(10, 64)
            )
    return words


def test_damaged_programs(devices: Any, rng: np.random.Generator) -> None:
    """Each ends or can be stopped, writes nowhere but where it may, and leaves a core that runs the next program."""
    device = devices(NANO)
    memory = rng.integers(0, 256, MEMORY_BYTES, np.uint8)
    locked = np.ones(MEMORY_BYTES, bool)
    for base, size in zip(BASES[2:], SIZES[2:], strict=True):
        locked[base : base + size] = False
    locked[BASES[0] + PROGRAM : BASES[0] + SIZES[0]] = False
    most, device.limit = device.limit, 100_000
    ends = set()
    for _ in range(60):
        start(device, damaged(rng), memory)
        stopped = device.wait(0).kind == "limit"
        if stopped:
            write(device, "CONTROL", 2)
            device.limit = most
        code = finish(device)[0]
        device.limit = 100_000
        assert not stopped or code == ErrorCode.STOPPED
        ends.add(code)
        assert (device.read_memory(0, MEMORY_BYTES) == memory)[locked].all()
    device.limit = most
    assert len(ends) >= 4
    check(device, NANO, word_and(*LOADED, *STORED, "LOAD.RUN", "STORE.RUN"), rng)
