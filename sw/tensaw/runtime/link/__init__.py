"""The host's side of the link to a board (docs/link.md): frames, the serial port, transfers that survive errors."""

from tensaw.runtime.link.frames import Answer, AnswerReader, Request
from tensaw.runtime.link.host import HostLink, MarchResult, Port
from tensaw.runtime.link.opening import connect
from tensaw.runtime.link.port import SerialPort

__all__ = [
    "Answer", "AnswerReader", "HostLink", "MarchResult", "Port", "Request", "SerialPort", "connect",
]  # fmt: skip
