"""The virtual ULX3S: what hosts do, on simulated pins. All tests share one simulator and one running board."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tensaw.boards.definitions import find_board
from tensaw.boards.export import BoardBuild, board_verilog, plan_build
from tensaw.bringup import Finding, array, measure, run_steps
from tensaw.cli.main import main
from tensaw.harness.virtual_board import Faults, VirtualBoard, arm_pe, build_virtual_board, fastest_baud
from tensaw.runtime.link import HostLink, connect
from tensaw.spec.config import PRESETS
from tensaw.spec.errors import DeviceError, InputError, ToolError

pytestmark = pytest.mark.xdist_group("virtual-board")

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits" / "digits_int8.tflite"
BAUD = 16_000_000


@pytest.fixture(scope="module")
def build() -> BoardBuild:
    """With fewer requantise lanes than programs are compiled for."""
    board = find_board("ulx3s-85f")
    return plan_build(board, board.fitted(PRESETS["small"]), None, BAUD)


@pytest.fixture(scope="module")
def verilog(build: BoardBuild) -> str:
    return board_verilog(build)


@pytest.fixture(scope="module")
def program(build: BoardBuild, verilog: str) -> Path:
    """The element in row 5, column 2, can be stuck."""
    return build_virtual_board(arm_pe(verilog, 5, 2), build.board)


@pytest.fixture(scope="module")
def board(program: Path, build: BoardBuild) -> Iterator[VirtualBoard]:
    with VirtualBoard(program, build.board) as running:
        yield running


@pytest.fixture
def link(board: VirtualBoard) -> Iterator[HostLink]:
    with contextlib.closing(connect(board.port)) as link:
        yield link


def test_board_test_passes(board: VirtualBoard, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "test.json"
    assert main(["board", "test", "--device", board.port, "--memory", "8192", "--json", str(path)]) == 0
    values = json.loads(path.read_text())
    assert values["passed"] and [step["step"] for step in values["steps"]] == [
        "link", "identity", "registers", "memory", "dma", "array", "layer", "network"
    ]  # fmt: skip
    assert values["device"]["baud"] == BAUD and values["device"]["memory_bytes"] == 32 << 20
    assert "ulx3s-85f works: all 8 steps passed." in capsys.readouterr().out


@pytest.mark.parametrize("model", ["digits", "mlperf_tiny/kws_dscnn_int8.tflite"])
def test_networks_are_bit_exact(
    board: VirtualBoard, model: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    path = str(DIGITS) if model == "digits" else str(request.getfixturevalue("models") / model)
    assert main(["run", path, "--device", board.port, "--json", str(tmp_path / "run.json")]) == 0
    values = json.loads((tmp_path / "run.json").read_text())
    assert values["matches_golden"] and values["cycles"] > 5000 and values["device"]["board"] == "ulx3s-85f"


def test_throughput_is_nine_tenths_of_the_lines_rate(link: HostLink) -> None:
    # The simulated clock goes on while the host waits for a busy machine, which can only make it slower: best of three.
    found = [measure(link, 8192) for _ in range(3)]
    assert max(min(one.write, one.read) for one in found) > 0.9 * BAUD / 10
    assert all(one.resent == 0 and one.line == BAUD / 10 for one in found)


def test_lights(board: VirtualBoard, link: HostLink) -> None:
    """Light 3 shines when the memory is ready."""
    assert link.read_memory(0, 1)
    status = board.status()
    assert status.lights & 8 and status.cycles > 0 and status.seconds > 0


@pytest.mark.parametrize(
    ("model", "runs"), [("kws_dscnn_int8", 70), ("ic_resnet8_int8", 12)], ids=["kws", "ic"]
)  # fmt: skip
def test_mlperf_with_the_runners_own_device_code(
    board: VirtualBoard, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, runs: int
) -> None:
    """Accuracy mode infers once, performance mode many times; the parsing is the runner's, read from a clone."""
    clone = os.environ.get("TENSAW_MLPERF_TINY")
    if not clone:
        pytest.skip("set TENSAW_MLPERF_TINY to a clone of github.com/mlcommons/tiny to test with its runner's code")
    monkeypatch.syspath_prepend(str(Path(clone) / "benchmark" / "runner"))
    dut_class = importlib.import_module("device_under_test").DUT
    data = np.load(models / f"mlperf_tiny/reference_outputs/{model}.npz")
    link = tmp_path / "dut"
    command = [
        sys.executable, "-m", "tensaw.cli.main", "mlperf-dut", str(models / f"mlperf_tiny/{model}.tflite"),
        "--device", board.port, "--simulated", "--link", str(link),
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert "on tensaw small 8x8, on a simulated ulx3s-85f: " in line
            with dut_class(str(link), 115200) as dut:
                assert dut.get_name() == "tensaw small 8x8, on a simulated ulx3s-85f"
                content = data["inputs"][0]
                if model.startswith("ic"):  # the runner sends the image as it is, unsigned
                    content = (content.astype(int) + 128).astype(np.uint8)
                dut.load(content.tobytes())
                output = (data["outputs"][0].reshape(-1).astype(int) + 128) / 256
                wanted = f"m-results-[{','.join(f'{value:0.3f}' for value in output)}]"
                laps = []
                for times, warmups in ((1, 0), (runs, 3)):
                    lines = dut.infer(times, warmups)
                    assert wanted in lines
                    begin, end = (int(line[9:]) for line in lines if line.startswith("m-lap-us-"))
                    laps.append((end - begin) / times)
                # What one inference takes is the same, to the microsecond that the protocol tells.
                assert laps[0] > 100 and abs(laps[0] - laps[1]) <= 1
        finally:
            process.terminate()


def test_the_whole_command(program: Path, tmp_path: Path) -> None:
    """The same simulator as all tests here, since the same element can be stuck."""
    link = tmp_path / "board"
    command = [
        sys.executable, "-m", "tensaw.cli.main", "board", "sim", "ulx3s-85f", "--config", "small", "--link", str(link),
        "--stuck-pe", "5:2:0:1",
    ]  # fmt: skip
    # Whoever runs the tests in the background of a shell has them ignore SIGINT, and with them what they start.
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:  # fmt: skip
        assert process.stdout is not None and process.stderr is not None
        line = process.stdout.readline()
        assert line == f"ulx3s-85f with small (8×8) on simulated pins, 100 MHz, 16,000,000 baud: {link}\n"
        assert main(["board", "info", "--device", str(link)]) == 0
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130 and process.stderr.read() == "tensaw: interrupted\n"
        assert " cycles simulated, " in process.stdout.read()
    assert not link.is_symlink()


# Faults --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("drop", "flip", "text"),
    [(0.001, 0.0, "Bytes are lost between board and host."), (0.0, 0.003, "Bits are changed between board and host:")],
)
def test_a_bad_line_is_named(board: VirtualBoard, link: HostLink, drop: float, flip: float, text: str) -> None:
    """Often enough that both directions see it within sixteen requests."""
    board.spoil_line(drop, flip)
    try:
        *_, last = run_steps(link)
    finally:
        board.spoil_line(0.0, 0.0)
    assert last.name == "link" and last.finding is not None
    assert last.finding.meaning.startswith(text), last.finding


def test_a_line_with_few_errors_still_works(board: VirtualBoard, link: HostLink, rng: np.random.Generator) -> None:
    board.spoil_line(0.0, 0.00025)
    try:
        content = rng.bytes(16_000)
        link.write_memory(0x100, content)
        assert link.read_memory(0x100, len(content)) == content
        assert link.resent > 0
    finally:
        board.spoil_line(0.0, 0.0)


def test_a_cable_that_is_pulled(board: VirtualBoard) -> None:
    with contextlib.closing(connect(board.port)) as link:
        link.write_memory(0, b"before")
        timer = threading.Timer(0.3, board.unplug)
        timer.start()
        with pytest.raises(DeviceError, match="has gone .*: the cable was pulled, or the board was switched off."):
            link.read_memory(0, 1 << 20)
        timer.join()
        time.sleep(0.2)
        port = board.plug()
    with contextlib.closing(connect(port)) as link:
        assert link.read_memory(0, 6) == b"before"


def test_another_rate_is_named(board: VirtualBoard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tensaw.runtime.link.opening.HELLO_TIMES", (0.5,))
    with pytest.raises(DeviceError, match="does not answer at 3,000,000 baud, but at 16,000,000: give --baud 16000000"):
        connect(board.port, 3_000_000)
    connect(board.port, BAUD).close()


def test_a_run_that_was_left_in_the_middle(board: VirtualBoard, link: HostLink) -> None:
    """A host that ends while requests are under way, and one that sends garbage, leave nothing to clear up."""
    for content in (b"\xa7\x53\x01\x02\x03", bytes(range(200)), b"\xa7\x53" * 30):
        link.port.write(content)
        link.close()
        link = connect(board.port)
        link.write_memory(0, b"whole")
        assert link.read_memory(0, 5) == b"whole"
    link.close()


def test_a_bad_bit_of_the_memory_is_named(board: VirtualBoard, link: HostLink) -> None:
    """The last test of this board, which keeps the fault."""
    board.stick(0x1235, 6, 0)
    *_, last = run_steps(link, 8192)
    assert last.name == "memory" and last.finding is not None
    assert last.finding.text == (
        "Bit 6 of the byte at 0x1235 always reads 0 (SDRAM: bank 0, row 1, column 282, sdram_dq[14])."
    )
    assert last.finding.meaning == "The cell is stuck, in the memory chip itself: its lines work elsewhere."


@pytest.mark.parametrize(
    ("element", "text"),
    [
        ((4, 1), "The processing element in row 5, column 2, is faulty: bit 4 of its partial sum is always 1."),
        (
            (17, 0),
            "The processing element in row 5, column 2, is faulty: a bit above 6 of its partial sum is always 0.",
        ),
    ],
)
def test_a_stuck_processing_element_is_named(
    program: Path, build: BoardBuild, element: tuple[int, int], text: str
) -> None:
    with VirtualBoard(program, build.board, faults=Faults(element=element)) as board:
        with contextlib.closing(connect(board.port)) as link:
            if element[1]:
                *_, last = run_steps(link, 1024)
                assert last.name == "array" and last.finding is not None and last.text == text
            else:
                with pytest.raises(Finding) as found:
                    array.test_array(link)
                assert found.value.text == text


# What is refused -----------------------------------------------------------------------------------------------------


def test_elements_and_bits_that_do_not_exist(verilog: str) -> None:
    with pytest.raises(InputError, match="There is no processing element in row 8, column 0 of this array."):
        arm_pe(verilog, 8, 0)
    with pytest.raises(
        InputError, match="row 8, column 3, shares a multiplier with its neighbour and has no partial sum"
    ):
        arm_pe(verilog + "  tensaw_processing_pair pair_8_2(\n", 8, 3)
    with pytest.raises(InputError, match="The stuck processing element's 3:2 must be a bit of its sum, and 0 or 1."):
        Faults(element=(3, 2))


def test_faults_that_make_no_sense() -> None:
    with pytest.raises(InputError, match="The fault drop must be a probability of 0 to 0.5, not 0.7."):
        Faults(drop=0.7)
    with pytest.raises(InputError, match="The stuck bit 0x10:8:1 must be a byte address, a bit 0 to 7, and 0 or 1."):
        Faults(stuck=((16, 8, 1),))


def test_boards_without_models_of_their_primitives() -> None:
    with pytest.raises(InputError) as error:
        build_virtual_board("", find_board("arty-a7-100t"))
    assert str(error.value) == (
        "There is no virtual arty-a7-100t: the primitives of its family (xilinx7) have no models here. Choose "
        "ulx3s-85f, orangecrab-85f, icebreaker or tang-nano-20k."
    )


def test_rates_of_virtual_boards() -> None:
    assert [fastest_baud(clock * 1_000_000) for clock in (100, 80, 48, 7)] == [
        16_000_000, 12_000_000, 8_000_000, 1_000_000
    ]  # fmt: skip


def test_a_chip_whose_rules_are_broken_ends_the_board(program: Path, build: BoardBuild) -> None:
    """With a chip that is slower than the controller was made for."""
    memory = build.board.memory
    slow = dataclasses.replace(memory, chip=dataclasses.replace(memory.chip, trcd=90.0))  # pyright: ignore
    with VirtualBoard(program, dataclasses.replace(build.board, memory=slow)) as board:
        with contextlib.suppress(DeviceError), contextlib.closing(connect(board.port, BAUD)) as link:
            link.write_memory(0, b"x")
        with pytest.raises(
            ToolError, match="The virtual board's SDRAM was not treated as its data sheet demands: tRCD"
        ):
            board.wait()
