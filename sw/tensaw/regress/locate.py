"""Where a wrong byte of memory comes from: region, tensor, layer and tile."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tensaw.model.machine import Machine, MachineError, Region
from tensaw.runtime.placement import Placement
from tensaw.spec.isa import Command, Unit
from tensaw.spec.program import Program

__all__ = ["describe_byte"]

Bytes = npt.NDArray[np.uint8]
_REGION_NAMES = ("constants", "inputs", "outputs", "scratch")


def describe_byte(
    program: Program, placement: Placement, before: Bytes, position: int, found: Bytes, expected: Bytes
) -> str:
    """One sentence about byte ``position`` of the memory, which holds ``before`` at first; ``found`` and ``expected``
    are the memory's contents afterwards."""
    values = f"{found[position]} instead of {expected[position]}"
    if found[position] == before[position]:
        values += " (not written)"
    region = _region_of(placement, position)
    if region is None:
        return f"the first outside all regions, at bus address 0x{placement.base + position:x}: {values}."
    offset = position - (placement.regions[region] - placement.base)
    names = [
        f" of {binding.tensor!r} {tuple(int(i) for i in np.unravel_index(offset - binding.offset, binding.shape))}"
        for binding in (*program.kept, *program.outputs)
        if binding.region == region and 0 <= offset - binding.offset < np.prod(binding.shape)
    ]
    tag = _tag_of_writer(program, placement, before.copy(), region, offset)
    text = f"the first at byte {offset} of the {_REGION_NAMES[region]}{names[0] if names else ''}: {values}"
    if tag is None:
        return f"{text}; the program does not write it."
    entry = program.tags[tag]
    return f"{text}; stored by layer {program.layers[entry.layer].name!r} ({entry.tile or 'whole'}), tag {tag}."


def _region_of(placement: Placement, position: int) -> int | None:
    for region, (address, size) in enumerate(zip(placement.regions, placement.sizes, strict=True)):
        if address <= placement.base + position < address + size:
            return region
    return None


def _tag_of_writer(program: Program, placement: Placement, memory: Bytes, region: int, offset: int) -> int | None:
    """The tag of the last STORE.RUN that writes a byte, by running the program on the golden model once more."""
    writers: list[int] = []

    def watch(machine: Machine, _: int, command: Command) -> None:
        if command.word.full_name == "STORE.RUN" and _writes(machine.registers[Unit.STORE], region, offset):
            writers.append(command.values["tag"])

    machine = Machine(program.config)
    machine.load_program(program)
    for index, (address, size) in enumerate(zip(placement.regions, placement.sizes, strict=True)):
        machine.memory[index] = Region(memory[address - placement.base :][:size], read=True, write=index > 1)
    machine.on_command = watch
    try:
        machine.execute(int(word) for word in program.words)
    except MachineError:
        return None
    return writers[-1] if writers else None


def _writes(registers: dict[str, dict[str, int]], region: int, offset: int) -> bool:
    if registers["MEMORY"]["region"] != region:
        return False
    distance = offset - registers["MEMORY"]["offset"]
    rows = np.arange(registers["ROWS"]["count"]) * registers["ROW_PITCH"]["memory"]
    planes = np.arange(registers["PLANES"]["count"]) * registers["PLANE_PITCH"]["memory"]
    starts = rows[None, :] + planes[:, None]
    return bool(((starts <= distance) & (distance < starts + registers["ROWS"]["bytes"])).any())
