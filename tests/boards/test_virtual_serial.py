"""Virtual boards with the serial core behind their link, on simulated pins."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tensaw.boards.definitions import find_board
from tensaw.boards.export import board_verilog, plan_build
from tensaw.bringup import run_steps
from tensaw.compiler.frontends import load
from tensaw.compiler.pipeline import compile_graph
from tensaw.harness.virtual_board import VirtualBoard, build_virtual_board, fastest_baud
from tensaw.model.machine import Machine
from tensaw.runtime import Session
from tensaw.runtime.link import HostLink, connect
from tensaw.spec.config import NpuConfig, load_config
from tensaw.spec.errors import DeviceError

pytestmark = pytest.mark.xdist_group("virtual-board")

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits"


def configuration(name: str) -> NpuConfig:
    """What is meant for a board."""
    return load_config(find_board(name).configuration_source())


@pytest.fixture(scope="module", params=["icebreaker", "tang-nano-20k"])
def board(request: pytest.FixtureRequest) -> Iterator[VirtualBoard]:
    description = find_board(request.param)
    baud = fastest_baud(description.clock_for(configuration(description.name)))
    build = plan_build(description, configuration(description.name), None, baud)
    with VirtualBoard(build_virtual_board(board_verilog(build), description), description) as running:
        yield running


@pytest.fixture
def link(board: VirtualBoard) -> Iterator[HostLink]:
    with contextlib.closing(connect(board.port)) as link:
        yield link


def test_every_step_of_the_board_test(link: HostLink) -> None:
    steps = list(run_steps(link))
    assert [(step.name, step.text) for step in steps if step.finding] == [] and len(steps) == 8


def test_memory_ends_where_the_board_says(link: HostLink) -> None:
    """Any alignment up to the last byte; beyond it nothing is written."""
    size = link.identity.memory_bytes
    content = bytes(range(1, 14))
    for address in (0, size - 13, 0x1235):
        link.write_memory(address, content)
        assert link.read_memory(address, 13) == content
    first = link.read_memory(0, 16)
    with pytest.raises(DeviceError):
        link.write_memory(size, bytes(16))
    with pytest.raises(DeviceError):
        link.read_memory(size, 1)
    assert link.read_memory(0, 16) == first


def test_a_network(link: HostLink) -> None:
    """The example, twice."""
    config = configuration(link.identity.board)
    program = compile_graph(load(DIGITS / "digits_int8.tflite"), config)
    images = np.load(DIGITS / "digits_images.npz")["image"]
    (source,), (sink,) = program.inputs, program.outputs
    with Session(program, "board", device=link) as session:
        for number in (3, 141):
            expected = Machine(config).run(program, {source.tensor: images[number].reshape(source.shape)})
            found = session.run({source.name: images[number].reshape(source.file_shape)})
            assert (np.asarray(found.outputs[sink.name]).ravel() == expected[sink.tensor].ravel()).all(), number
