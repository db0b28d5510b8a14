"""A board made of the golden model: it speaks the host link's protocol and answers at once, without clock and pins.

For the host's side of things, where the virtual board would only take longer. Counters stay 0 but for the cycles of a
run, which count command words.
"""

from __future__ import annotations

import os
import select
import threading
import tty
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from tensaw.model.machine import Machine, MachineError, Region
from tensaw.spec.isa import REGIONS
from tensaw.spec.link import (
    BACKGROUNDS,
    COUNTERS_FORMAT,
    HEADER_BYTES,
    ONCE,
    PROTOCOL,
    SYNC_REQUEST,
    SYNC_RESPONSE,
    WITH_PAYLOAD,
    Header,
    Identity,
    MarchFlag,
    Op,
    Status,
)
from tensaw.spec.registers import IDENTITY, VERSION, region_register, register

__all__ = ["BoardTerminal", "GoldenBoard"]

_REGISTER_BYTES = 4096
_HEAD = len(SYNC_REQUEST) + HEADER_BYTES + 4


class GoldenBoard:
    """What an identity promises, at the speed of Python.

    ``memory`` is all of it, uint8. ``spoil``, if set, is given each byte string in either direction and returns what
    arrives. ``stuck``: bits of the memory as (byte, bit, value). ``once_done`` counts operations that must not be done
    twice.
    """

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self.memory = np.random.default_rng(1).integers(0, 256, identity.memory_bytes, np.uint8)
        self.registers: dict[int, int] = {}
        self.spoil: Callable[[bytes], bytes] = lambda content: content
        self.stuck: list[tuple[int, int, int]] = []
        self.once_done = 0
        self._machine = Machine(identity.config)
        self._bytes = bytearray()
        self._last_tag: int | None = None
        self._damaged = 0
        self._reset_registers()

    def feed(self, content: bytes) -> bytes:
        """Bytes from the host; returns those that go back."""
        self._bytes += self.spoil(content)
        answers = b""
        while (request := self._next_request()) is not None:
            answers += self._answer(*request)
        return self.spoil(answers)

    def _next_request(self) -> tuple[Header, bytes] | None:
        data = self._bytes
        while True:
            start = data.find(SYNC_REQUEST)
            if start < 0:
                del data[: len(data) - (1 if data.endswith(SYNC_REQUEST[:1]) else 0)]
                return None
            del data[:start]
            if len(data) < _HEAD:
                return None
            head = bytes(data[2 : 2 + HEADER_BYTES])
            header = Header.from_bytes(head)
            size = header.count + 4 if header.op in WITH_PAYLOAD and header.count else 0
            if _crc(head) != data[2 + HEADER_BYTES : _HEAD]:
                self._damaged += 1
                del data[:2]
                continue
            if len(data) < _HEAD + size:
                return None
            payload, crc = bytes(data[_HEAD : _HEAD + max(size - 4, 0)]), data[_HEAD + max(size - 4, 0) : _HEAD + size]
            del data[: _HEAD + size]
            if size and _crc(payload) != crc:
                self._damaged += 1
                continue
            return header, payload

    def _answer(self, header: Header, payload: bytes) -> bytes:
        answer, status = b"", Status.OK
        if header.version != PROTOCOL and header.op != Op.HELLO:
            status = Status.VERSION
        elif header.op not in list(Op):
            status = Status.UNKNOWN
        elif header.op in ONCE and header.tag == self._last_tag:
            answer, status = (
                (bytes(4 + self.identity.config.bus_bytes) if header.op == Op.MARCH else b""),
                Status.REPEATED,
            )
        else:
            if header.op in ONCE:
                self._last_tag, self.once_done = header.tag, self.once_done + 1
            answer, status = self._do(header, payload)
        head = Header(PROTOCOL, header.op, header.tag, header.flags, header.address, len(answer)).to_bytes()
        body = answer + bytes([status])
        return SYNC_RESPONSE + head + _crc(head) + body + _crc(body)

    def _do(self, header: Header, payload: bytes) -> tuple[bytes, Status]:
        place = header.address - self.identity.memory_base
        inside = 0 <= place <= len(self.memory) - header.count
        if header.op == Op.HELLO:
            self._last_tag = None
            return self.identity.to_bytes(), Status.OK
        if header.op == Op.RESET:
            self._reset_registers()
            return b"", Status.OK
        if header.op == Op.COUNTERS:
            return COUNTERS_FORMAT.pack(0, self._damaged & 0xFFFF, 0), Status.OK
        if header.op == Op.READ_MEMORY:
            if not inside:
                return bytes(header.count), Status.BUS_ERROR
            self._stick()
            return self.memory[place : place + header.count].tobytes(), Status.OK
        if header.op == Op.WRITE_MEMORY:
            if not inside:
                return b"", Status.BUS_ERROR
            self.memory[place : place + len(payload)] = np.frombuffer(payload, np.uint8)
            return b"", Status.OK
        if header.op == Op.MARCH:
            return self._march(header, place)
        if header.address % 4 or header.count % 4:
            return b"", Status.MISALIGNED
        if header.address + header.count > _REGISTER_BYTES:
            return b"", Status.OUTSIDE
        if header.op == Op.READ_REGISTERS:
            offsets = range(header.address, header.address + header.count, 4)
            return b"".join(self.registers.get(offset, 0).to_bytes(4, "little") for offset in offsets), Status.OK
        for number in range(0, len(payload), 4):
            self._write_register(header.address + number, int.from_bytes(payload[number : number + 4], "little"))
        return b"", Status.OK

    def _stick(self) -> None:
        for byte, bit, value in self.stuck:
            self.memory[byte] = int(self.memory[byte]) & ~(1 << bit) | value << bit

    def _march(self, header: Header, place: int) -> tuple[bytes, Status]:
        width, flags = self.identity.config.bus_bytes, header.flags
        background = BACKGROUNDS[flags >> 5 & 3]
        expected = background ^ (255 if flags & MarchFlag.READ_INVERSE else 0)
        written = background ^ (255 if flags & MarchFlag.WRITE_INVERSE else 0)
        down = bool(flags & MarchFlag.DOWN)
        size = header.count * width
        low = place - size + width if down else place
        words = self.memory[low : low + size].reshape(-1, width)[:: -1 if down else 1]
        self._stick()
        wrong = np.flatnonzero((words != expected).any(axis=1)) if flags & MarchFlag.READ else np.zeros(0, np.intp)
        last = int(wrong[0]) if len(wrong) else header.count - 1
        found = words[last].tobytes()
        if flags & MarchFlag.WRITE:
            words[: last + (not len(wrong))] = written
        self._stick()
        address = header.address + (-last if down else last) * width
        return address.to_bytes(4, "little") + found, Status.MISMATCH if len(wrong) else Status.OK

    # The NPU -------------------------------------------------------------------------------------------------------

    def _reset_registers(self) -> None:
        config = self.identity.config
        lanes = config.rows | config.columns << 8 | config.bus_bytes << 16 | config.requant_lanes << 24
        values = {
            "IDENTITY": IDENTITY, "VERSION": VERSION, "CONFIG": config.digest, "SHAPE": lanes,
            "SCRATCHPAD_BYTES": config.scratchpad_bytes, "WEIGHT_BYTES": config.weight_bytes,
            "ACC_ENTRIES": config.acc_entries,
        }  # fmt: skip
        self.registers = {register(name).offset: value for name, value in values.items()}

    def _write_register(self, offset: int, value: int) -> None:
        status = register("STATUS").offset
        if offset == status:
            self.registers[status] = self.registers.get(status, 0) & ~(value & 6)
        elif offset == register("CONTROL").offset:
            if value & 1:
                self._run()
        else:
            self.registers[offset] = value

    def _run(self) -> None:
        machine, base = self._machine, self.identity.memory_base
        for index in range(REGIONS):
            start, size, access = (
                self.registers.get(region_register(index, part).offset, 0) for part in ("BASE_LO", "SIZE", "ACCESS")
            )
            window = self.memory[start - base : start - base + size]
            machine.memory[index] = Region(window, read=bool(access & 1), write=bool(access & 2))
        offset, size = (self.registers.get(register(f"PROGRAM_{part}").offset, 0) for part in ("OFFSET", "BYTES"))
        words = machine.memory[0].data[offset : offset + size].view(np.uint64)
        machine.reset()
        self._stick()
        status = 2
        try:
            machine.execute(int(word) for word in words)
        except MachineError as error:
            status = 4
            self.registers[register("ERROR").offset] = (
                int(error.code or 0) | int(error.unit or 0) << 8 | error.tag << 16
            )
        self._stick()
        self.registers[register("STATUS").offset] = status
        self.registers[register("CYCLES_LO").offset] = max(machine.index, 1)


class BoardTerminal:
    """A golden board on a pseudo-terminal, answering from a thread. A context manager; ``port`` is the name to open."""

    def __init__(self, board: GoldenBoard) -> None:
        self._board = board
        self._ours, self._theirs = os.openpty()
        tty.setraw(self._theirs)
        self.port = os.ttyname(self._theirs)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self) -> None:
        while not self._ended.is_set():
            ready, _, _ = select.select([self._ours], [], [], 0.05)
            if not ready:
                continue
            try:
                answer = self._board.feed(os.read(self._ours, 4096))
                while answer:
                    answer = answer[os.write(self._ours, answer) :]
            except OSError:
                return

    def __enter__(self) -> BoardTerminal:
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._ended.set()
        self._thread.join()
        os.close(self._ours)
        os.close(self._theirs)


def _crc(content: bytes) -> bytes:
    return zlib.crc32(content).to_bytes(4, "little")
