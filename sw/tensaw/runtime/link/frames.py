"""Frames of the host link: requests to bytes, and bytes with any errors to answers."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from tensaw.spec.link import HEADER_BYTES, PROTOCOL, SYNC_REQUEST, SYNC_RESPONSE, WITH_PAYLOAD, Header, Op

__all__ = ["Answer", "AnswerReader", "Request"]

_SYNC = len(SYNC_RESPONSE)
_HEAD = _SYNC + HEADER_BYTES + 4
_STATUS_AND_CRC = 5


def _crc(content: bytes) -> bytes:
    return zlib.crc32(content).to_bytes(4, "little")


@dataclass(frozen=True)
class Request:
    """A request before it has a tag. ``count`` is the payload's length where there is one.

    ``answer_bytes`` is the length of the answer's payload, ``seconds`` what the board may take beyond the time of the
    line, both for the host to know how long to wait.
    """

    op: Op
    address: int = 0
    count: int = 0
    payload: bytes = b""
    flags: int = 0
    answer_bytes: int = 0
    seconds: float = 0.0

    def to_bytes(self, tag: int) -> bytes:
        """The frame as it goes over the line."""
        header = Header(PROTOCOL, self.op, tag, self.flags, self.address, self.count).to_bytes()
        frame = SYNC_REQUEST + header + _crc(header)
        if self.op in WITH_PAYLOAD and self.count:
            frame += self.payload + _crc(self.payload)
        return frame

    @property
    def buffered(self) -> int:
        """Bytes that it takes in the board's buffer."""
        return HEADER_BYTES + len(self.payload)

    @property
    def line_bytes(self) -> int:
        """Bytes on the line in both directions, one after the other."""
        return len(self.to_bytes(0)) + _HEAD + self.answer_bytes + _STATUS_AND_CRC


@dataclass(frozen=True)
class Answer:
    """What a board answered; ``status`` as a number, for boards of other versions may send what is no Status here."""

    header: Header
    payload: bytes
    status: int


class AnswerReader:
    """Finds answers in the bytes that arrive, in pieces of any length.

    ``skipped`` counts bytes that belong to no answer, ``damaged`` the frames whose CRC was wrong. ``lost`` holds the
    headers of answers of which only the payload was damaged; the caller takes them out.
    """

    def __init__(self) -> None:
        self._bytes = bytearray()
        self.skipped = 0
        self.damaged = 0
        self.lost: list[Header] = []

    def clear(self) -> None:
        """Forget what has arrived."""
        self._bytes.clear()

    def feed(self, content: bytes) -> list[Answer]:
        """Take bytes; returns the answers that they complete."""
        self._bytes += content
        answers: list[Answer] = []
        while (answer := self._next()) is not None:
            answers.append(answer)
        return answers

    def _next(self) -> Answer | None:
        data = self._bytes
        while True:
            start = data.find(SYNC_RESPONSE)
            if start < 0:
                self._skip(len(data) - (1 if data.endswith(SYNC_RESPONSE[:1]) else 0))
                return None
            self._skip(start)
            if len(data) < _HEAD:
                return None
            head = bytes(data[_SYNC : _SYNC + HEADER_BYTES])
            if data[_SYNC + HEADER_BYTES : _HEAD] != _crc(head):
                self._drop()
                continue
            header = Header.from_bytes(head)
            end = _HEAD + header.count + _STATUS_AND_CRC
            if len(data) < end:
                return None
            body = bytes(data[_HEAD : end - 4])
            if data[end - 4 : end] != _crc(body):
                self.lost.append(header)
                self._drop()
                continue
            del data[:end]
            return Answer(header, body[:-1], body[-1])

    def _skip(self, count: int) -> None:
        self.skipped += count
        del self._bytes[:count]

    def _drop(self) -> None:
        """What began as a frame is none, or damaged: look for the next one behind its synchronisation."""
        self.damaged += 1
        self._skip(_SYNC)
