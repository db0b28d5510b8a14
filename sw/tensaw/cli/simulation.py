"""What ``tensaw run`` and ``tensaw check`` share: from the options to a compiled network and a session."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tensaw.cli import calls, device, options, terminal
from tensaw.runtime.arrays import Arrays, load_arrays, random_inputs, split_runs

if TYPE_CHECKING:
    from tensaw.compiler.ir import Graph
    from tensaw.runtime import Session
    from tensaw.runtime.link import HostLink
    from tensaw.spec.program import Program

__all__ = ["opened", "prepare", "inputs_from"]


def prepare(
    arguments: argparse.Namespace, keep_tensors: bool = False, link: HostLink | None = None
) -> tuple[Graph, Program]:
    """Load and compile the model, after checking that the simulator's tools are there. Raises TensawError."""
    config = device.config_for(arguments, link)
    options.waves_from(arguments)
    calls.check_tools(arguments.sim)
    with terminal.progress(f"Compiling {arguments.model.name}"):
        graph = calls.load_network(arguments.model)
        return graph, calls.compile_program(graph, config, keep_tensors, arguments.keep_channels)


def inputs_from(arguments: argparse.Namespace, program: Program) -> list[Arrays]:
    """The inputs of each run: those of ``--input``, or one random set. Raises InputError."""
    if arguments.input is None:
        return [random_inputs(program.inputs, arguments.seed)]
    return split_runs(load_arrays(arguments.input), program.inputs)


@contextmanager
def opened(
    arguments: argparse.Namespace, program: Program, runs: int, link: HostLink | None = None
) -> Iterator[tuple[Session, terminal.Step]]:
    """A session for these options, with a progress bar over its runs."""
    with terminal.progress("Starting", runs) as step:

        def tell(text: str, cycles: int) -> None:
            step.update(text, note=f"{cycles:,} cycles" if cycles else "")

        with calls.open_session(
            program,
            arguments.sim,
            read_latency=arguments.read_latency,
            stalls=arguments.stalls,
            seed=arguments.seed,
            waves=options.waves_from(arguments),
            progress=tell,
            link=link,
        ) as session:
            yield session, step
