"""The instruction-level golden simulator: executes the program that the hardware executes, one word after the other.

Memory, scratchpad, weight stream, tokens and errors are modelled; time is not. A program is correct if every word that
a word depends on stands earlier (``docs/architecture.md``), so executing in order gives the hardware's result. The
arithmetic is that of the golden operators in this package.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tensaw.model.machine_array import Accumulated, WeightStream, run_array
from tensaw.model.machine_error import MachineError, Refused
from tensaw.model.machine_memory import Bytes, Footprint, Region, load, read_stream, store
from tensaw.model.machine_output import Tables, drain, read_table, softmax_rows
from tensaw.model.machine_races import RaceChecker
from tensaw.spec.config import NpuConfig
from tensaw.spec.errors import InputError
from tensaw.spec.isa import REGIONS, WORDS, Command, Follow, IllegalWord, OutputKind, Peer, TableKind, Unit, decode
from tensaw.spec.limits import MOST_TOKENS, Registers, refusal
from tensaw.spec.program import CONSTANTS, INPUTS, Binding, Program
from tensaw.spec.registers import ErrorCode

__all__ = ["Machine", "MachineError", "Region"]

Int8: TypeAlias = npt.NDArray[np.int8]

PEERS: dict[Unit, Peer] = {Unit[peer.name]: peer for peer in Peer}
FOLLOW_DISTANCE = 128
"""A followed run is one of the last so many of its unit: its number is kept modulo 256, and half means "later"."""


@dataclass
class _Run:
    """The action being executed: where it stands, the registers it copied, its fields."""

    index: int
    command: Command
    registers: Registers

    @property
    def tag(self) -> int:
        return self.command.values["tag"]


class Machine:
    """One NPU and its memory.

    Parameters
    ----------
    config : NpuConfig
        What the program was compiled for.
    check_races : bool
        Also check that units which may work at the same time are ordered by tokens wherever they touch the same bytes;
        see :class:`tensaw.model.machine_races.RaceChecker`. What is found is in ``warnings``.

    Attributes
    ----------
    memory : list of Region
        The four regions; ``memory[i].data`` is uint8.
    scratchpad : uint8 array of ``config.scratchpad_bytes``
    tokens : dict (giver Peer, taker Peer) -> int
    registers : dict Unit -> word name -> field -> int
        Shadow registers, 0 after reset.
    on_command : callable (Machine, index, Command) or None
        Called after every word, for lockstep comparison and traces.
    warnings : list of str
        After END: tokens, weight rows or results that nothing took, and races. Empty for a sound program.
    """

    def __init__(self, config: NpuConfig, *, check_races: bool = False) -> None:
        self.config = config
        self.check_races = check_races
        self.on_command: Callable[[Machine, int, Command], None] | None = None
        self.memory: list[Region] = [Region(np.zeros(0, np.uint8), False, False) for _ in range(REGIONS)]
        self.scratchpad: Bytes = np.zeros(config.scratchpad_bytes, np.uint8)
        self._program: Program | None = None
        self.reset()

    def reset(self) -> None:
        """What START does: every register, queue and counter to its first state. Memory and scratchpad stay."""
        self.registers: dict[Unit, dict[str, dict[str, int]]] = {unit: {} for unit in Unit}
        for word in WORDS:
            self.registers[word.unit][word.name] = {field.name: 0 for field in word.fields}
        self.tokens = {(giver, taker): 0 for giver in Peer for taker in Peer}
        self.stream = WeightStream(self.config)
        self.tables = Tables()
        self.results: deque[Accumulated] = deque()
        self.output_runs = self.load_runs = 0
        self.index = 0
        self.ended = False
        self.warnings: list[str] = []
        self.races = RaceChecker(self.config.scratchpad_bytes) if self.check_races else None

    # Programs ------------------------------------------------------------------------------------------------------

    def load_program(self, program: Program) -> None:
        """Set the memory up for a program: its constants in region 0, the other regions zero. Resets the machine.

        Raises InputError if the program is for another configuration.
        """
        if program.config.digest != self.config.digest:
            raise InputError(
                f"The program {program.name!r} was compiled for the configuration {program.config.name!r}, which is "
                f"not this machine's {self.config.name!r}: compile the network for this one."
            )
        for region, size in enumerate(program.region_sizes):
            data = np.zeros(size, np.uint8)
            if region == CONSTANTS:
                data[: len(program.constants)] = np.frombuffer(program.constants, np.uint8)
            self.memory[region] = Region(data, read=True, write=region not in (CONSTANTS, INPUTS))
        self._program = program
        self.reset()

    def _window(self, binding: Binding) -> Bytes:
        size = int(np.prod(binding.shape))
        return self.memory[binding.region].data[binding.offset : binding.offset + size]

    def write_inputs(self, inputs: Mapping[str, Int8]) -> None:
        """Put int8 arrays, keyed by IR tensor name and in the binding's shape, into memory. Raises InputError."""
        assert self._program is not None
        bindings = {binding.tensor: binding for binding in self._program.inputs}
        if set(inputs) != set(bindings):
            raise InputError(f"The inputs must be {', '.join(bindings)}, not {', '.join(inputs) or 'none'}.")
        for name, values in inputs.items():
            if values.dtype != np.int8 or values.shape != bindings[name].shape:
                raise InputError(
                    f"The input {name} must be an int8 array of shape {bindings[name].shape}, not {values.dtype} of "
                    f"shape {values.shape}."
                )
            self._window(bindings[name])[:] = np.ascontiguousarray(values).view(np.uint8).ravel()

    def read_outputs(self) -> dict[str, Int8]:
        """int8 arrays of all outputs and kept tensors by IR tensor name, in the binding's shape."""
        assert self._program is not None
        return {
            binding.tensor: self._window(binding).view(np.int8).reshape(binding.shape).copy()
            for binding in (*self._program.outputs, *self._program.kept)
        }

    def run(self, program: Program, inputs: Mapping[str, Int8]) -> dict[str, Int8]:
        """Run a program: int8 inputs by IR tensor name to int8 outputs (and kept tensors) by IR tensor name.

        Raises InputError for inputs that do not fit, MachineError if the program stops.
        """
        self.load_program(program)
        self.write_inputs(inputs)
        self.execute(int(word) for word in program.words)
        return self.read_outputs()

    def execute(self, words: Iterable[int]) -> None:
        """Execute words up to and including CONTROL.END. Raises MachineError, also if there is no END."""
        for word in words:
            self.step(word)
            if self.ended:
                return
        raise self._error("CONTROL.END is missing", ErrorCode.NO_END, None, 0)

    # Words ---------------------------------------------------------------------------------------------------------

    def step(self, word: int) -> Command:
        """Execute one word. Raises MachineError."""
        try:
            command = decode(word)
        except IllegalWord as error:
            known = word >> 60 & 15 in list(Unit)
            unit = Unit(word >> 60 & 15) if known else None
            text = str(error).rstrip(".")
            raise self._error(text, ErrorCode.ILLEGAL_COMMAND, unit, 0) from None
        unit, name = command.word.unit, command.word.name
        registers = self.registers[unit]
        registers[name] = dict(command.values)
        if "tag" in command.values:
            run = _Run(self.index, command, registers)
            try:
                self._act(unit, run)
            except Refused as refused:
                raise self._error(refused.reason, refused.code, unit, run.tag, command) from None
        if self.on_command is not None:
            self.on_command(self, self.index, command)
        self.index += 1
        return command

    def _act(self, unit: Unit, run: _Run) -> None:
        if run.command.word.name == "RUN":
            reason = refusal(self.config, unit, run.registers)
            if reason is not None:
                raise Refused(reason, ErrorCode.ILLEGAL_VALUE)
            reason = refusal(self.config, unit, run.registers, checked=False)
            if reason is not None:
                raise Refused(reason)
        peer = PEERS.get(unit)
        if peer is not None:
            self._take_tokens(peer, run.command.values["wait"])
        actions = {
            Unit.WEIGHT: self._weight,
            Unit.LOAD: self._load,
            Unit.ARRAY: self._array,
            Unit.OUTPUT: self._output,
            Unit.STORE: self._store,
            Unit.CONTROL: self._end,
        }
        if self.races is not None and peer is not None:
            self.races.begin(peer, run.command, run.index)
        footprint = actions[unit](run)
        if peer is not None:
            self._give_tokens(peer, run.command.values["signal"])
            if self.races is not None:
                self.races.finish(footprint)

    def _take_tokens(self, taker: Peer, mask: int) -> None:
        for giver in Peer:
            if mask >> giver & 1:
                if self.tokens[giver, taker] == 0:
                    raise Refused(f"it waits for a token from {giver.name} that no earlier word gives")
                self.tokens[giver, taker] -= 1

    def _give_tokens(self, giver: Peer, mask: int) -> None:
        for taker in Peer:
            self.tokens[giver, taker] += mask >> taker & 1
            if self.tokens[giver, taker] > MOST_TOKENS:
                raise Refused(
                    f"more than {MOST_TOKENS} tokens from {giver.name} to {taker.name} are waiting",
                    ErrorCode.ILLEGAL_VALUE,
                )

    def _error(
        self, reason: str, code: ErrorCode | None, unit: Unit | None, tag: int, command: Command | None = None
    ) -> MachineError:
        name = f" ({command.word.full_name}, tag {tag}{self._place(tag)})" if command is not None else ""
        effect = f"stops with {code.name}" if code is not None else "would hang or give undefined results"
        return MachineError(
            f"The program {effect} at word {self.index}{name}: {reason}. This is a fault of the program, not of its "
            "inputs: compile the network again with this version of tensaw, and report it if that does not help.",
            code,
            unit,
            tag,
            self.index,
        )

    def _place(self, tag: int) -> str:
        """Layer and tile of a tag, from the program's listing."""
        if self._program is None or tag >= len(self._program.tags):
            return ""
        entry = self._program.tags[tag]
        layers = self._program.layers
        layer = f" {layers[entry.layer].name}" if 0 <= entry.layer < len(layers) else ""
        return f":{layer} {entry.tile}".rstrip()

    # Actions -------------------------------------------------------------------------------------------------------

    def _weight(self, run: _Run) -> Footprint:
        memory, count = run.registers["MEMORY"], run.registers["RUN"]["bytes"]
        self.stream.append(read_stream(self.memory, memory["region"], memory["offset"], count))
        return Footprint()

    def _load(self, run: _Run) -> Footprint:
        self.load_runs += 1
        return load(self.memory, self.scratchpad, run.registers)

    def _store(self, run: _Run) -> Footprint:
        return store(self.memory, self.scratchpad, run.registers)

    def _array(self, run: _Run) -> Footprint:
        footprint = Footprint()
        if run.command.word.name == "TABLE":
            kind = TableKind(run.command.values["kind"])
            part = run.command.values["part"]
            read_table(self.config, self.stream, self.tables, kind, part)
            footprint.table_writes.append(np.array([int(kind) + (part if kind == TableKind.EXPONENT else 0)]))
            return footprint
        follow = Follow(run.registers["RUN"]["follow"])
        if follow != Follow.NOBODY:
            number = self._followed(follow, run.registers["RUN"]["follow_run"])
            if self.races is not None:
                self.races.follow(Peer.LOAD if follow == Follow.LOAD else Peer.OUTPUT, number)
        result = run_array(
            self.config, self.scratchpad, self.stream, run.registers, footprint if self.races is not None else None
        )
        result.word = run.index
        self.results.append(result)
        return footprint

    def _followed(self, unit: Follow, number: int) -> int:
        """The whole number of the OUTPUT or LOAD run that ``follow_run`` means."""
        runs = self.load_runs if unit == Follow.LOAD else self.output_runs
        distance = (runs - number - 1) % 256 + 1
        if distance > min(FOLLOW_DISTANCE, runs):
            raise Refused(
                f"it follows {unit.name} run {number} (modulo 256), which is not one of the last {FOLLOW_DISTANCE} of "
                f"the {runs} {unit.name} runs before it"
            )
        return runs - distance

    def _output(self, run: _Run) -> Footprint:
        settings = run.registers["RUN"]
        if settings["kind"] == OutputKind.SOFTMAX:
            footprint = softmax_rows(self.config, self.scratchpad, self.tables, run.registers)
            footprint.table_reads.append(int(TableKind.EXPONENT) + np.arange(4))
        else:
            if not self.results:
                raise Refused("it takes the results of an ARRAY.RUN, but no earlier one has any left")
            result = self.results.popleft()
            if self.races is not None:
                self.races.drain(result.word, result.blocks)
            footprint = drain(self.config, self.scratchpad, self.tables, run.registers, result)
            if settings["table"]:
                footprint.table_reads.append(np.array([int(TableKind.LOOKUP)]))
        self.output_runs += 1
        return footprint

    def _end(self, run: _Run) -> Footprint:
        if self.results:
            raise Refused(f"the results of the ARRAY.RUN at word {self.results[0].word} are never taken")
        for (giver, taker), count in self.tokens.items():
            if count:
                self.warnings.append(f"{count} tokens from {giver.name} to {taker.name} are left at the end.")
        if self.stream.content:
            self.warnings.append(f"{len(self.stream.content)} bytes of the weight stream are left at the end.")
        if self.races is not None:
            self.warnings += self.races.findings
        self.ended = True
        return Footprint()
