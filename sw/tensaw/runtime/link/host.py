"""The host's side of the link: transfers that survive lost and damaged frames."""

from __future__ import annotations

import random
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from tensaw.runtime.link.frames import Answer, AnswerReader, Request
from tensaw.spec.errors import DeviceError
from tensaw.spec.link import COUNTERS_FORMAT, ONCE, STATUS_TEXTS, Header, Identity, MarchFlag, Op, Status

__all__ = ["HELLO_TIMES", "HostLink", "MarchResult", "Port"]

ATTEMPTS = 8
"""How often a request is sent before the board counts as gone."""
_FLOOR = 0.1
"""Seconds that are waited for an answer at least: schedulers and USB are no real-time systems."""
_PATIENCE = 8.0
"""How many times as long as measured an answer may take before it counts as lost."""
HELLO_TIMES = (0.3, 0.6, 1.2, 2.4)
"""Seconds waited for the answers to successive HELLOs."""
_FORMER = 10.0
"""Seconds that a board may go on answering a former host."""
_UNDER_WAY = 8
"""Requests that are under way at most: enough for USB chips that hold bytes back for 16 ms."""

Progress = Callable[[int, int], None]
"""Called with the bytes done so far and the total."""


class Port(Protocol):
    """What the link needs of a serial port, see SerialPort."""

    path: str
    baud: int

    def read(self, timeout: float) -> bytes: ...

    def write(self, content: bytes) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class MarchResult:
    """``status`` OK or MISMATCH; ``address`` of the last word touched, and what was ``found`` there if it was read."""

    status: Status
    address: int
    found: bytes


@dataclass
class _UnderWay:
    request: Request
    index: int
    attempts: int


class HostLink:
    """A board behind a port. :meth:`hello` comes first; every method raises DeviceError.

    ``resent`` counts requests that had to be sent again.
    """

    def __init__(self, port: Port) -> None:
        self.port = port
        self.resent = 0
        self._reader = AnswerReader()
        self._tag = random.SystemRandom().randrange(256)
        self._once_tag = -1
        self._identity: Identity | None = None
        # Seconds for a byte of line, both directions together; follows what is measured.
        self._byte_time = 10 / port.baud

    @property
    def identity(self) -> Identity:
        """What the board said of itself."""
        if self._identity is None:
            raise DeviceError("The board has not been asked who it is yet.")
        return self._identity

    @property
    def stray_bytes(self) -> int:
        """Bytes that came and belong to no answer."""
        return self._reader.skipped + self._reader.damaged

    # Opening -------------------------------------------------------------------------------------------------------

    def hello(self, times: Sequence[float] = HELLO_TIMES) -> Identity | None:
        """Ask who is there, giving up each attempt after so many seconds of silence; None if nobody answers.

        A board may first have to finish what a former host has asked for.
        """
        number = random.SystemRandom().randrange(1 << 32)
        self._reader = AnswerReader()
        last = time.monotonic() + sum(times) + _FORMER
        for seconds in times:
            tag = self._next_tag()
            started = heard = time.monotonic()
            self.port.write(Request(Op.HELLO, number).to_bytes(tag))
            while (left := min(heard + seconds, last) - time.monotonic()) > 0:
                content = self.port.read(left)
                heard = time.monotonic() if content else heard
                for answer in self._reader.feed(content):
                    if answer.header.op == Op.HELLO and answer.header.address == number:
                        took = time.monotonic() - started
                        self._identity = Identity.from_bytes(answer.payload)
                        self._byte_time = max(10 / self.port.baud, took / (len(answer.payload) + 37))
                        self._once_tag = -1
                        return self._identity
        return None

    def reset(self) -> None:
        """Reset NPU and interconnect, whatever they are doing; the memory keeps its contents."""
        self._one(Request(Op.RESET, seconds=0.001))

    def close(self) -> None:
        """Give the port back."""
        self.port.close()

    # Memory and registers ------------------------------------------------------------------------------------------

    def read_memory(self, address: int, size: int, progress: Progress | None = None) -> bytes:
        """``size`` bytes from ``address``."""
        step = self.identity.payload_bytes
        requests = [
            Request(Op.READ_MEMORY, address + start, min(step, size - start), answer_bytes=min(step, size - start))
            for start in range(0, size, step)
        ]
        # What waits in the board must fit its buffer.
        window = max(min(_UNDER_WAY, self.identity.buffer_bytes // (2 * 16)), 1)
        answers = self._exchange(requests, window, progress)
        return b"".join(answer.payload for answer in answers)

    def write_memory(self, address: int, content: bytes, progress: Progress | None = None) -> None:
        """Write ``content`` to ``address``."""
        step = self.identity.payload_bytes
        pieces = [(start, content[start : start + step]) for start in range(0, len(content), step)]
        requests = [Request(Op.WRITE_MEMORY, address + start, len(piece), bytes(piece)) for start, piece in pieces]
        self._exchange(requests, _UNDER_WAY, progress)

    def read_registers(self, offset: int, count: int = 1) -> list[int]:
        """``count`` successive registers from byte ``offset``."""
        answer = self._one(Request(Op.READ_REGISTERS, offset, 4 * count, answer_bytes=4 * count))
        return [int.from_bytes(answer.payload[place : place + 4], "little") for place in range(0, 4 * count, 4)]

    def write_registers(self, offset: int, values: Sequence[int]) -> None:
        """Write successive registers from byte ``offset``, each exactly once."""
        payload = b"".join(value.to_bytes(4, "little") for value in values)
        self._one(Request(Op.WRITE_REGISTERS, offset, len(payload), payload))

    def march(self, address: int, words: int, flags: MarchFlag, background: int) -> MarchResult | None:
        """One element of a march test over at most 65,535 words; None if its answer was lost, so that it is unknown
        whether it was done: the whole test must then begin anew. ``background`` is a place in spec.link.BACKGROUNDS."""
        width = self.identity.config.bus_bytes
        # Forty cycles for a word, generously.
        seconds = 40 * words / self.identity.clock
        request = Request(
            Op.MARCH, address, words, flags=int(flags) | background << 5, answer_bytes=4 + width, seconds=seconds
        )
        answer = self._one(request, (Status.OK, Status.MISMATCH, Status.REPEATED))
        if answer.status == Status.REPEATED:
            return None
        payload = answer.payload
        return MarchResult(Status(answer.status), int.from_bytes(payload[:4], "little"), payload[4:])

    def counters(self) -> tuple[int, int, int]:
        """Clock cycles (modulo 2^32), frames dropped for an error, frames dropped for want of room (modulo 2^16)."""
        cycles, damaged, dropped = COUNTERS_FORMAT.unpack(
            self._one(Request(Op.COUNTERS, answer_bytes=COUNTERS_FORMAT.size)).payload
        )
        return cycles, damaged, dropped

    # Exchanging frames ---------------------------------------------------------------------------------------------

    def _next_tag(self) -> int:
        self._tag = (self._tag + 1) % 256
        return self._tag

    def _one(self, request: Request, accepted: Sequence[Status] = (Status.OK, Status.REPEATED)) -> Answer:
        (answer,) = self._exchange([request], 1, None, accepted)
        return answer

    def _exchange(
        self,
        requests: Sequence[Request],
        window: int,
        progress: Progress | None = None,
        accepted: Sequence[Status] = (Status.OK,),
    ) -> list[Answer]:
        """The answers to all requests, of which ``window`` are under way at a time."""
        answers: list[Answer | None] = [None] * len(requests)
        waiting = deque(range(len(requests)))
        under_way: OrderedDict[int, _UnderWay] = OrderedDict()  # by tag, in the order of sending
        total = sum(request.count for request in requests)
        done = 0
        answered = heard = time.monotonic()
        while waiting or under_way:
            if waiting and len(under_way) < window:
                index = waiting.popleft()
                tag = self._next_tag()
                if requests[index].op in ONCE and tag == self._once_tag:
                    tag = self._next_tag()
                self._send(under_way, tag, _UnderWay(requests[index], index, 0))
                heard = time.monotonic()  # sending may have taken long
            # More may be sent at once; otherwise there is nothing to do but to listen.
            silence = self._patience(under_way)
            more = waiting and len(under_way) < window
            content = self.port.read(0.0 if more else heard + silence - time.monotonic())
            if content:
                heard = time.monotonic()
            for answer in self._reader.feed(content):
                sent = under_way.get(answer.header.tag)
                if sent is None or not _answers(answer.header, sent.request):
                    continue  # to an earlier host, or to a request that was sent twice
                self._measure(heard - answered, sent.request)
                answered = heard
                earlier = list(under_way)[: list(under_way).index(answer.header.tag)]
                del under_way[answer.header.tag]
                self._judge(answer, sent.request, accepted)
                answers[sent.index] = answer
                done += sent.request.count
                if progress is not None:
                    progress(done, total)
                # The board answers in order: what was sent before and is not answered is lost.
                self._send_again(under_way, earlier)
            damaged = [header.tag for header in self._reader.lost if header.tag in under_way]
            self._reader.lost.clear()
            self._send_again(under_way, damaged)
            now = time.monotonic()
            if under_way and not more and (now >= heard + silence or now >= answered + self._limit(under_way)):
                self._send_again(under_way, list(under_way))
                answered = heard = time.monotonic()
        return [answer for answer in answers if answer is not None]

    def _send_again(self, under_way: OrderedDict[int, _UnderWay], tags: Sequence[int]) -> None:
        for tag in tags:
            self._send(under_way, tag, under_way.pop(tag))

    def _send(self, under_way: OrderedDict[int, _UnderWay], tag: int, sent: _UnderWay) -> None:
        if sent.attempts >= ATTEMPTS:
            advice = "Check cable and power; if it goes on, load the bitstream again."
            if self.stray_bytes:
                advice = (
                    "What comes back is damaged: the line is bad. Use a shorter cable, another USB port, or a "
                    "bitstream built with a lower --baud."
                )
            raise DeviceError(
                f"The board at {self.port.path!r} no longer answers: {ATTEMPTS} attempts of {sent.request.op.name} at "
                f"0x{sent.request.address:x} were lost. {advice}"
            )
        if sent.attempts:
            self.resent += 1
        sent.attempts += 1
        under_way[tag] = sent
        if sent.request.op in ONCE:
            self._once_tag = tag
        self.port.write(sent.request.to_bytes(tag))

    def _patience(self, under_way: OrderedDict[int, _UnderWay]) -> float:
        """Seconds of silence after which those under way count as lost: an answer begins when its request has gone over
        the line, even if the board then needs time for the rest."""
        first = next(iter(under_way.values()))
        seconds = self._byte_time * (first.request.line_bytes - first.request.answer_bytes) + self._work(first.request)
        return (_FLOOR + _PATIENCE * seconds) * 2 ** min(first.attempts - 1, 4)

    def _limit(self, under_way: OrderedDict[int, _UnderWay]) -> float:
        """Seconds without a whole answer, whatever arrives."""
        longest = max(sent.request.line_bytes for sent in under_way.values())
        work = max(self._work(sent.request) for sent in under_way.values())
        return 10 * _FLOOR + 2 * _PATIENCE * (self._byte_time * longest + work)

    def _work(self, request: Request) -> float:
        """Seconds that the board takes for a request beyond the line's time."""
        return request.seconds * max(self._byte_time * self.port.baud / 10, 1.0)

    def _measure(self, seconds: float, request: Request) -> None:
        """Learn from an answer that came so long after the one before: quickly that all is slower, slowly that it is
        faster."""
        sample = seconds / request.line_bytes
        if request.seconds == 0 and request.line_bytes > 200:
            slow = sample > self._byte_time
            self._byte_time = sample if slow else 0.9 * self._byte_time + 0.1 * sample

    def _judge(self, answer: Answer, request: Request, accepted: Sequence[Status]) -> None:
        if answer.status in accepted:
            return
        text = STATUS_TEXTS.get(Status(answer.status)) if answer.status in list(Status) else None
        raise DeviceError(
            f"The board refuses {request.op.name} at 0x{request.address:x}, {request.count} bytes: "
            f"{text or f'status {answer.status}, which this release does not know'}."
        )


def _answers(header: Header, request: Request) -> bool:
    return (header.op, header.address, header.flags) == (request.op, request.address, request.flags)
