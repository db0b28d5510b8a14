"""The host's side of the link to a board (docs/link.md): frames, the serial port, transfers that survive errors."""

from tensaw.runtime.link.frames import Answer, AnswerReader, Request

__all__ = ["Answer", "AnswerReader", "Request"]
