"""Every step's findings, on a golden board that is made to have the fault."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest

from tensaw.bringup import STEPS, Finding, StepResult, array, line, memory, run_steps
from tensaw.compiler.frontends.tflite import load_tflite
from tensaw.harness.golden_board import GoldenBoard
from tensaw.model import machine_array
from tensaw.networks import TfliteBuilder
from tensaw.runtime.link import HostLink
from tensaw.spec.config import PRESETS, NpuConfig
from tensaw.spec.link import Identity, Op
from tensaw.spec.registers import region_register, register


class Port:
    """A port in memory."""

    path = "/dev/ttyUSB0"
    baud = 3_000_000

    def __init__(self, board: GoldenBoard) -> None:
        self.board, self.waiting = board, b""

    def read(self, timeout: float) -> bytes:
        content, self.waiting = self.waiting, b""
        if not content:
            time.sleep(max(timeout, 0))
        return content

    def write(self, content: bytes) -> None:
        self.waiting += self.board.feed(content)

    def close(self) -> None: ...


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "_SILENCE", 0.005)
    monkeypatch.setattr("tensaw.runtime.link.host._FLOOR", 0.002)


def opened(config: NpuConfig = PRESETS["small"], board: str = "ulx3s-85f") -> tuple[HostLink, GoldenBoard]:
    golden = GoldenBoard(Identity(board, config, bytes(8), 100_000_000, 3_000_000, 0x10000, 1 << 17, 2048, 1024))
    link = HostLink(Port(golden))
    assert link.hello()
    return link, golden


def failed(link: HostLink, step: str, memory_bytes: int | None = 4096) -> Finding:
    """The finding of the step that must fail; those before it pass."""
    results = list(run_steps(link, memory_bytes))
    assert [result.name for result in results] == list(STEPS)[: list(STEPS).index(step) + 1], results[-1]
    finding = results[-1].finding
    assert finding is not None and results[-1].text == finding.text
    assert results[-1].to_dict()["meaning"] == finding.meaning and not results[-1].to_dict()["passed"]
    return finding


@pytest.mark.parametrize(
    "config", [PRESETS["small"], PRESETS["large"], NpuConfig(name="odd", rows=3, columns=7, requant_lanes=2)],
    ids=lambda config: config.name,
)  # fmt: skip
def test_a_sound_board_passes(config: NpuConfig) -> None:
    link, _ = opened(config)
    told: list[str] = []
    results = list(run_steps(link, None, tell=told.append))
    assert [result.name for result in results] == list(STEPS)
    assert not [result for result in results if result.finding]
    assert "March C− over all of 131,072 bytes" in results[3].text
    assert told[0] == f"link: {STEPS['link']}"


def test_a_network_of_ones_own() -> None:
    builder = TfliteBuilder("mine")
    builder.output(builder.pointwise("RELU", builder.input((1, 4, 4, 2), 0.1, 0, name="x")))
    link, _ = opened()
    *_, last = run_steps(link, 1024, load_tflite(builder.finish(), "mine"))
    assert isinstance(last, StepResult) and last.text.startswith("mine: 32 values equal to the golden model's, ")


# Line ----------------------------------------------------------------------------------------------------------------


ANSWERS = "Of 16 answers that should be known in every byte,"


def lose(content: bytes) -> bytes:
    return content[:300] + content[301:] if len(content) > 300 else content


def change(content: bytes) -> bytes:
    return content[:300] + bytes([content[300] ^ 16]) + content[301:] if len(content) > 300 else content


@pytest.mark.parametrize(
    ("spoil", "text", "meaning"),
    [
        (lose, f"{ANSWERS} 16 came with bytes missing and 0 with bits changed.",
         "Bytes are lost between board and host."),
        (change, f"{ANSWERS} 0 came with bytes missing and 16 with bits changed.",
         "Bits are changed between board and host: noise, a bad cable, or rates that differ by more than 2 %."),
        (lambda content: b"", "16 of 16 requests were not answered.",
         "Bytes are lost or changed on the way from host to board; the other way is sound."),
    ],
    ids=["lost", "changed", "silent"],
)  # fmt: skip
def test_a_bad_line(spoil: Callable[[bytes], bytes], text: str, meaning: str) -> None:
    link, board = opened()
    board.spoil = spoil
    finding = failed(link, "link")
    assert (finding.text, finding.meaning) == (text, meaning) and "--baud" in finding.check


def test_a_line_that_is_bad_now_and_then() -> None:
    link, board = opened()
    board.spoil = lambda content: change(content) if content[3:4] == bytes([Op.WRITE_MEMORY]) and once() else content
    left = [True]

    def once() -> bool:
        return bool(left and left.pop())

    finding = failed(link, "link")
    assert finding.text.startswith(
        "1 requests had to be sent again while 4,096 bytes went each way; the board counted 1 "
    )


# Identity and registers ----------------------------------------------------------------------------------------------


def test_another_npu() -> None:
    link, board = opened()
    board.registers[register("SHAPE").offset] ^= 1
    finding = failed(link, "identity")
    shape = PRESETS["small"]
    value = shape.rows | shape.columns << 8 | shape.bus_bytes << 16 | shape.requant_lanes << 24
    assert finding.text == (
        f"The register SHAPE holds 0x{value ^ 1:x}; by the board's identity it must be 0x{value:x}."
    )


def test_a_register_with_a_dead_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    link, board = opened()
    write = board._write_register
    offset = region_register(0, "BASE_LO").offset
    monkeypatch.setattr(
        board, "_write_register", lambda place, value: write(place, value & ~(1 << 9) if place == offset else value)
    )
    finding = failed(link, "registers")
    assert finding.text == "The register REGION0_BASE_LO holds 0xfffffde0 after 0xffffffe0 was written: bit 9 is wrong."


def test_two_registers_that_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    link, board = opened()
    write = board._write_register
    monkeypatch.setattr(board, "_write_register", lambda place, value: write(place & ~0x20, value))
    finding = failed(link, "registers")
    assert finding.text.startswith("The register REGION0_BASE_LO holds 0x")


# Memory --------------------------------------------------------------------------------------------------------------


def test_a_data_line(monkeypatch: pytest.MonkeyPatch) -> None:
    link, board = opened()

    def stuck() -> None:
        board.memory[1::2] |= 4

    monkeypatch.setattr(board, "_stick", stuck)
    finding = failed(link, "memory")
    assert finding.text == (
        "Of the words written to the memory bits 10 (sdram_dq[10]), 26 (sdram_dq[10]), 42 (sdram_dq[10]), 58 "
        "(sdram_dq[10]) are wrong in many."
    )


def test_an_address_line(monkeypatch: pytest.MonkeyPatch) -> None:
    link, board = opened()
    half = len(board.memory) // 2

    def alias() -> None:
        changed = board.memory[half:] != alias_before[half:]
        board.memory[:half][changed] = board.memory[half:][changed]
        board.memory[half:] = board.memory[:half]
        alias_before[:] = board.memory

    alias_before = board.memory.copy()
    do = board._do

    def done(*arguments: object) -> object:
        answer = do(*arguments)  # pyright: ignore
        alias()
        return answer

    monkeypatch.setattr(board, "_do", done)
    finding = failed(link, "memory")
    assert finding.text == "The bytes at offsets 0x0 and 0x10000 of the memory are the same."
    assert finding.meaning == "The address line of 0x10000 is open or stuck (SDRAM: row, sdram_a[4])."


@pytest.mark.parametrize("value", [0, 1])
def test_a_stuck_bit(value: int) -> None:
    link, board = opened()
    board.stuck.append((0x345, 2, value))
    finding = failed(link, "memory")
    assert finding.text == (
        f"Bit 2 of the byte at 0x10345 always reads {value} (SDRAM: bank 0, row 0, column 418, sdram_dq[10])."
    )


def test_a_stuck_bit_of_a_board_without_sdram() -> None:
    link, board = opened(board="orangecrab-85f")
    board.stuck.append((0x345, 2, 1))
    assert failed(link, "memory").text == "Bit 2 of the byte at 0x10345 always reads 1."


def test_a_cell_that_another_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    link, board = opened()
    march = board._march

    def coupled(header, place):
        answer = march(header, place)
        board.memory[0x200] ^= 1
        return answer

    monkeypatch.setattr(board, "_march", coupled)
    finding = failed(link, "memory")
    assert finding.text.startswith("Bit 0 of the byte at 0x10200 reads wrong now and then (SDRAM: ")


def test_marches_whose_answers_are_lost() -> None:
    link, board = opened()
    count = [0]

    def lose_some(content: bytes) -> bytes:
        if content[:1] == b"\x53" and content[3:4] == bytes([Op.MARCH]):
            count[0] += 1
            return b"" if count[0] % 2 else content
        return content

    board.spoil = lose_some
    with pytest.raises(Finding, match="The answers to 3 march tests were lost. The serial line is bad."):
        memory.test_memory(link, 1024)


# Programs ------------------------------------------------------------------------------------------------------------


def test_a_copy_that_goes_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    link, board = opened()
    run = board._run

    def spoiled() -> None:
        run()
        start = board.registers[region_register(2, "BASE_LO").offset] - 0x10000
        board.memory[start + 700] ^= 3

    monkeypatch.setattr(board, "_run", spoiled)
    finding = failed(link, "dma")
    assert finding.text.startswith(
        "Of 1499 bytes that the NPU copied from memory to its scratchpad and back, 1 are wrong,"
    )


def test_a_run_that_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    link, board = opened()
    monkeypatch.setattr(board, "_run", lambda: board.registers.update({register("STATUS").offset: 4}))
    assert failed(link, "dma").text.startswith("The NPU stopped with ")


def test_a_layer_that_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """Larger sums lose a bit that the patterns of the step before do not reach."""
    link, _ = opened()
    run = machine_array.run_array

    def spoiled(*arguments, **options):
        results = run(*arguments, **options)
        for result in results if isinstance(results, list) else [results]:
            result.values[:] = np.where(abs(result.values) > 30_000, result.values ^ 0x4000, result.values)
        return results

    monkeypatch.setattr("tensaw.model.machine.run_array", spoiled)
    finding = failed(link, "layer")
    assert "values of the convolution's output" in finding.text and "the first at index [0, " in finding.text


# The array's patterns ------------------------------------------------------------------------------------------------

CONFIG = NpuConfig(name="odd", rows=5, columns=6, requant_lanes=3)


def results(fault: Callable[[int, int, int], int] = lambda row, column, total: total, product=None, behind=None):
    """What an array gives: ``fault`` changes a partial sum on its way down, ``product`` a product, ``behind`` a result
    of a column."""
    _, patterns = array._network(CONFIG)
    found = []
    for weight in array._WEIGHTS:
        out = np.zeros((len(patterns[0, 0]), CONFIG.columns), np.int8)
        for number, vector in enumerate(patterns[0, 0]):
            for column in range(CONFIG.columns):
                total = 0
                for row, value in enumerate(vector):
                    term = int(value) * weight
                    total += product(row, column, term) if product else term
                    total = fault(row, column, total)
                total = behind(column, total) if behind else total
                out[number, column] = min(max(total, -128), 127)
        found.append(out)
    return found


def diagnosis(**faults) -> str:
    return array.diagnose(CONFIG, results(**faults), results())


def stuck(row: int, column: int, bit: int, value: int) -> Callable[[int, int, int], int]:
    def fault(at_row: int, at_column: int, total: int) -> int:
        if (at_row, at_column) != (row, column):
            return total
        total = total | 1 << bit if value else total & ~(1 << bit)
        return (total + (1 << 18)) % (1 << 19) - (1 << 18)  # a sum of 19 bits

    return fault


@pytest.mark.parametrize("value", [0, 1])
@pytest.mark.parametrize("bit", [0, 3, 6, 7, 12, 18])
@pytest.mark.parametrize("row", range(CONFIG.rows))
def test_a_stuck_bit_names_element_bit_and_value(row: int, bit: int, value: int) -> None:
    text = diagnosis(fault=stuck(row, 4, bit, value))
    behind = ", or what follows the column's last row" if row == CONFIG.rows - 1 else ""
    assert text.startswith(f"The processing element in row {row}, column 4{behind}, is faulty: ")
    assert text.endswith(f" of its partial sum is always {value}.")
    if bit <= 6:
        assert f": bit {bit} of" in text


def test_a_product_that_is_wrong() -> None:
    text = diagnosis(product=lambda row, column, term: term & ~32 if (row, column) == (2, 1) else term)
    assert text == "The processing element in row 2, column 1, is faulty: its products are wrong."


def test_an_input_lane() -> None:
    text = diagnosis(product=lambda row, column, term: term // 2 if row == 3 else term)
    assert text == "All columns are wrong when row 3 has an input: the input lane of row 3 is faulty."


def test_an_output_lane() -> None:
    text = diagnosis(behind=lambda column, total: total + 1 if column % 3 == 1 else total)
    assert text == (
        "Columns 1, 4 are wrong, which are those of requantise lane 1: it or the accumulators in front of it are "
        "faulty."
    )


def test_a_column() -> None:
    text = diagnosis(behind=lambda column, total: total // 2 if column == 5 else total)
    assert text.startswith("The processing element in row ") or text.startswith(
        "Column 5 is wrong for inputs in rows 0, 1"
    )


def test_two_elements_and_many() -> None:
    first, second = stuck(1, 0, 2, 1), stuck(3, 2, 5, 0)
    text = diagnosis(fault=lambda row, column, total: second(row, column, first(row, column, total)))
    assert "row 1, column 0, is faulty: bit 2" in text and "row 3, column 2, is faulty: bit 5" in text
    text = diagnosis(fault=lambda row, column, total: total + 1 if row == 1 else total)
    assert text.endswith(" Columns 4, 5 are wrong, too.")


def test_the_board_says_what_the_array_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    link, _ = opened()
    run = machine_array.run_array

    def spoiled(*arguments, **options):
        results = run(*arguments, **options)
        for result in results if isinstance(results, list) else [results]:
            result.values[..., 3] |= 1
        return results

    monkeypatch.setattr("tensaw.model.machine.run_array", spoiled)
    finding = failed(link, "array")
    assert finding.text.startswith(
        "The processing element in row 7, column 3, or what follows the column's last row, is"
    )
    assert finding.meaning == "The array inside the FPGA computes wrongly; link, memory and DMA are sound."
