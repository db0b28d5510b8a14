"""``tensaw disasm``: a program's command words as text."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tensaw.cli import calls, files, options, terminal
from tensaw.cli.frame import FINE

if TYPE_CHECKING:
    from tensaw.spec.program import Program

SUMMARY = "list the command words of a program, with the layer and tile of each"
EXAMPLE = """tensaw disasm network.tsw | head
tensaw disasm network.tflite --config small -o network.s"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "program", metavar="PROGRAM|MODEL", type=Path, help="a file of `tensaw compile`, or a network to compile first"
    )
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="write the text here instead of to stdout")
    options.add_config(parser)
    options.add_compiler(parser)
    options.add_json(parser)


def listing(program: Program) -> Iterator[tuple[str, str]]:
    """(text of the command, what its tag stands for or nothing) for each command word; the text can be assembled."""
    from tensaw.spec.isa import Unit, decode

    for value in program.words:
        command = decode(int(value))
        tag = command.values.get("tag")
        meaning = ""
        if tag is not None and tag < len(program.tags) and command.word.unit != Unit.CONTROL:
            entry = program.tags[tag]
            name = terminal.short_name(program.layers[entry.layer].name)
            meaning = ", ".join(part for part in (name, entry.tile) if part)
        yield str(command), meaning


def execute(arguments: argparse.Namespace) -> int:
    from tensaw.spec.program import Program

    files.require_writable(arguments.output, options.json_file(arguments))
    if calls.is_program(arguments.program):
        program = Program.load(arguments.program)
    else:
        config = options.config_from(arguments)
        with terminal.progress(f"Compiling {arguments.program.name}"):
            program = calls.compile_program(
                calls.load_network(arguments.program), config, keep_channels=arguments.keep_channels
            )
    lines = list(listing(program))
    text = "".join(f"{command}  # {meaning}\n" if meaning else f"{command}\n" for command, meaning in lines)
    if arguments.output is not None:
        files.write(arguments.output, text)
    elif arguments.json != "-":
        sys.stdout.write(text)
    terminal.emit_json(
        arguments,
        {
            "name": program.name,
            "config": program.config.to_dict(),
            "commands": [
                {"word": f"0x{int(value):016x}", "text": command, "meaning": meaning}
                for value, (command, meaning) in zip(program.words, lines, strict=True)
            ],
        },
    )
    return FINE
