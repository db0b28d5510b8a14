"""The device's side of MLPerf Tiny's serial protocol: commands, inputs and results of the benchmarks, time."""

from __future__ import annotations

import numpy as np
import pytest

from tensaw.mlperf.benchmarks import BENCHMARKS, benchmark_of
from tensaw.mlperf.protocol import DeviceUnderTest
from tensaw.spec.config import PRESETS
from tensaw.spec.errors import DeviceError, InputError
from tensaw.spec.program import Binding, Program


class Engine:
    """Gives back the first bytes of its input; an inference takes 250 µs."""

    def __init__(self, outputs: int) -> None:
        self.outputs = outputs
        self.values: list[np.ndarray] = []
        self.counts: list[int] = []

    def infer(self, value: np.ndarray, times: int) -> tuple[np.ndarray, float]:
        self.values.append(value)
        self.counts.append(times)
        return value.reshape(-1)[: self.outputs], 250e-6 * times


def binding(shape: tuple[int, ...], scale: float = 1.0, zero_point: int = 0) -> Binding:
    return Binding("x", "x", 0, 0, shape, shape, scale=scale, zero_point=zero_point)


def device(name: str, outputs: int) -> tuple[DeviceUnderTest, Engine]:
    benchmark, engine = BENCHMARKS[name], Engine(outputs)
    given = binding(benchmark.shape, 0.5, 3)
    return DeviceUnderTest(engine, benchmark, "npu", given, binding((1, outputs), 1 / 256, -128)), engine


def ask(dut: DeviceUnderTest, command: str) -> list[str]:
    text = "".join(dut.receive(f"{command}%".encode()))
    assert text.endswith("\r\n")
    lines = text.removesuffix("\r\n").split("\r\n")
    assert lines[-1] == "m-ready"
    return lines[:-1]


def load(dut: DeviceUnderTest, data: bytes, step: int = 31) -> list[str]:
    assert ask(dut, f"db load {len(data)}") == [f"m-[Expecting {len(data)} bytes]"]
    answers = [ask(dut, f"db {data[start : start + step].hex()}") for start in range(0, len(data), step)]
    assert not any(answers[:-1])
    return answers[-1]


def test_who_it_is() -> None:
    dut, _ = device("kws01", 12)
    assert ask(dut, "name") == ["m-name-dut-[npu]"]
    assert ask(dut, "profile") == ["m-profile-[ULPMark for tinyML Firmware V0.0.1]", "m-model-[kws01]"]
    assert ask(dut, "timestamp") == ["m-lap-us-0"]
    assert ask(dut, "help")[0] == "ULPMark for tinyML Firmware V0.0.1"


def test_inference_and_its_time(rng: np.random.Generator) -> None:
    dut, engine = device("kws01", 12)
    data = rng.integers(0, 256, 490, np.uint8)
    assert load(dut, data.tobytes()) == ["m-load-done"]
    lines = ask(dut, "infer 4 2")
    values = ",".join(f"{(int(value) + 128) / 256:0.3f}" for value in data.view(np.int8)[:12])
    assert lines == [
        "m-warmup-start-2", "m-warmup-done", "m-infer-start-4", "m-lap-us-500", "m-lap-us-1500", "m-infer-done",
        f"m-results-[{values}]",
    ]  # fmt: skip
    assert engine.counts == [2, 4]
    np.testing.assert_array_equal(engine.values[0].reshape(-1), data.view(np.int8))
    assert ask(dut, "results") == [f"m-results-[{values}]"]
    assert ask(dut, "timestamp") == ["m-lap-us-1500"]
    # Ten warmups unless told otherwise.
    assert ask(dut, "infer 1")[0] == "m-warmup-start-10"


def test_pixels_are_unsigned(rng: np.random.Generator) -> None:
    dut, engine = device("ic01", 10)
    data = rng.integers(0, 256, 3072, np.uint8)
    load(dut, data.tobytes())
    ask(dut, "infer 1 0")
    np.testing.assert_array_equal(engine.values[0].reshape(-1).astype(int), data.astype(int) - 128)
    assert engine.values[0].shape == (1, 32, 32, 3) and engine.counts == [1]


def test_floats_are_quantised_and_the_error_is_the_result() -> None:
    dut, engine = device("ad01", 640)
    data = np.linspace(-80, 80, 640, dtype="<f4")
    data[:3] = 0.25, -0.25, np.nan  # halves of a step of 0.5 go away from zero
    load(dut, data.tobytes())
    (result,) = (line for line in ask(dut, "infer 1 0") if line.startswith("m-results"))
    quantised = engine.values[0].reshape(-1)
    assert list(quantised[:2]) == [4, 2] and quantised[-1] == 127 and quantised[3] == -128
    data[2] = 0
    load(dut, data.tobytes())
    (result,) = (line for line in ask(dut, "infer 1 0") if line.startswith("m-results"))
    output = (engine.values[1].reshape(-1).astype(float) + 128) / 256
    assert result == f"m-results-[{np.mean((output - data.astype(float)) ** 2):0.3f}]"


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("what", "e-[Unknown command: what]"),
        ("", "e-[Unknown command: ]"),
        ("db", "e-[Command 'db' requires a subcommand]"),
        ("db load", "e-[Command 'db load' requires the # of bytes]"),
        ("db load 0", "e-[Command 'db load' must be >0 bytes]"),
        ("db load x", "e-[Command 'db load' must be >0 bytes]"),
        ("db load 27649", "e-[Supplied buffer size 27649 exceeds maximum of 27648]"),
        ("db 123", "e-[Insufficent number of hex digits]"),
        ("db 12xy", "e-[Invalid hex digit in '12xy']"),
        ("infer 0", "e-[Inference iterations must be >0]"),
        ("infer 1 -1", "e-[Inference warmup must be >=0]"),
        ("infer 1 0", "e-[Input db has 0 bytes, expected 490]"),
    ],
)
def test_mistakes_are_answered(command: str, answer: str) -> None:
    assert ask(device("kws01", 12)[0], command) == [answer]


def test_the_buffer() -> None:
    dut, _ = device("kws01", 12)
    assert load(dut, bytes(range(10)), step=4) == ["m-load-done"]
    assert ask(dut, "db print") == ["m-buffer-00-01-02-03-04-05-06-07", "m-buffer-08-09"]
    # What is too much is disregarded.
    ask(dut, "db load 2")
    assert ask(dut, "db aabbcc") == ["m-load-done"]
    assert ask(dut, "db print") == ["m-buffer-aa-bb"]


def test_commands_come_in_pieces_and_with_line_ends() -> None:
    dut, _ = device("kws01", 12)
    assert list(dut.receive(b"na")) == []
    assert "".join(dut.receive(b"me\r\n%pro")) == "m-name-dut-[npu]\r\nm-ready\r\n"
    assert "m-model-[kws01]" in "".join(dut.receive(b"file%"))


def test_a_failing_device_is_told_and_the_next_command_works() -> None:
    dut, engine = device("kws01", 12)

    def fail(value: np.ndarray, times: int) -> tuple[np.ndarray, float]:
        raise DeviceError("The NPU\nhangs.")

    load(dut, bytes(490))
    engine.infer = fail  # type: ignore[method-assign]
    assert ask(dut, "infer 1 0")[-1] == r"e-[The NPU\nhangs.]"
    assert ask(dut, "name") == ["m-name-dut-[npu]"]


def program(shape: tuple[int, ...], inputs: int = 1) -> Program:
    bindings = [binding(shape) for _ in range(inputs)]
    return Program(
        name="net", config=PRESETS["nano"], constants=b"", program_offset=0, program_bytes=0,
        region_sizes=(64, 64, 64, 64), inputs=bindings, outputs=[binding((1, 10))], kept=[], layers=[], tags=[],
        notes={},
    )  # fmt: skip


def test_the_benchmark_of_a_network() -> None:
    for each in BENCHMARKS.values():
        assert benchmark_of(program(each.shape)) is benchmark_of(program(each.shape), each.name) is each


@pytest.mark.parametrize(
    ("network", "name", "text"),
    [
        (program((1, 3)), None, "has an input of shape (1, 3); the benchmarks' are ic01 (1, 32, 32, 3), kws01"),
        (program((1, 3)), "ad01", "has an input of shape (1, 3), the benchmark ad01 one of (1, 640)."),
        (program((1, 640)), "ad02", "There is no benchmark 'ad02'; there are ic01, kws01, vww01, ad01."),
        (program((1, 640), 2), None, "is none of MLPerf Tiny's: those have one input and one output, both int8."),
    ],
)
def test_networks_that_are_none(network: Program, name: str | None, text: str) -> None:
    with pytest.raises(InputError) as caught:
        benchmark_of(network, name)
    assert text in str(caught.value)
