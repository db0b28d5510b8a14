"""The serial port, with one sentence for each way in which it can fail."""

from __future__ import annotations

import errno
import os
import stat
import termios
from typing import TYPE_CHECKING

from tensaw.spec.errors import DeviceError

if TYPE_CHECKING:
    import serial

__all__ = ["SerialPort"]


class SerialPort:
    """A serial port in exclusive use. Every failure is a DeviceError."""

    def __init__(self, path: str, baud: int) -> None:
        """Open ``path`` at ``baud`` bits a second."""
        self.path = path
        self.baud = baud
        self._port: serial.Serial | None = None
        import serial

        try:
            mode = os.stat(path).st_mode
        except OSError as error:
            raise DeviceError(_cannot_open(path, error)) from None
        if not stat.S_ISCHR(mode):
            raise DeviceError(f"{path!r} is no serial port: give a device such as /dev/ttyUSB0.")
        try:
            self._port = serial.Serial(path, baud, timeout=0, write_timeout=None, exclusive=True)
        except (OSError, ValueError) as error:
            raise DeviceError(_cannot_open(path, error)) from None
        try:
            # USB chips of FTDI otherwise wait 16 ms for more bytes before they send what they have.
            self._port.set_low_latency_mode(True)
        except (OSError, ValueError, AttributeError, NotImplementedError):
            pass  # not that kind of port

    def set_rate(self, baud: int) -> None:
        """Go on at another rate."""
        port = self._open_port()
        try:
            port.baudrate = baud
        except (OSError, ValueError) as error:
            raise DeviceError(f"The port {self.path!r} cannot run at {baud:,} baud: {_reason(error)}.") from None
        self.baud = baud

    def read(self, timeout: float) -> bytes:
        """What has arrived, after at most ``timeout`` seconds; empty if nothing has."""
        port = self._open_port()
        try:
            port.timeout = max(timeout, 0.0)
            first = port.read(1)
            if not first:
                return b""
            return first + port.read(port.in_waiting)
        except _GONE as error:
            raise DeviceError(self._gone(error)) from None

    def write(self, content: bytes) -> None:
        """Send bytes; returns when the system has taken them."""
        port = self._open_port()
        try:
            port.write(content)
        except _GONE as error:
            raise DeviceError(self._gone(error)) from None

    def close(self) -> None:
        """Give the port back; harmless if done before."""
        port, self._port = self._port, None
        if port is not None:
            try:
                port.close()
            except OSError:
                pass  # it has gone

    def _open_port(self) -> serial.Serial:
        if self._port is None:
            raise DeviceError(f"The port {self.path!r} has been closed.")
        return self._port

    def _gone(self, error: Exception) -> str:
        return (
            f"The board at {self.path!r} has gone ({_reason(error)}): the cable was pulled, or the board was switched "
            "off. Connect it again and repeat the command; nothing else is needed."
        )


_GONE = (OSError, TypeError, ValueError, termios.error)
"""What pyserial raises, or lets through, where a port is gone: setting its timeout alone touches the device."""


def _reason(error: Exception) -> str:
    number = getattr(error, "errno", None)
    if isinstance(number, int) and number:
        return os.strerror(number).lower()
    return (str(error).strip().rstrip(".") or type(error).__name__)[:200]


def _cannot_open(path: str, error: Exception) -> str:
    number = getattr(error, "errno", None)
    text = str(error).lower()
    if number in (errno.ENOENT, errno.ENXIO, errno.ENODEV):
        return (
            f"There is no port {path!r}: connect the board, or look for its name with `ls /dev/ttyUSB* /dev/ttyACM*`."
        )
    if number in (errno.EACCES, errno.EPERM):
        return (
            f"You may not use the port {path!r} (permission denied): add yourself to the group that owns it, on most "
            "systems with `sudo usermod -aG dialout $USER`, then log in again."
        )
    if number in (errno.EBUSY, errno.EAGAIN, errno.EWOULDBLOCK) or "exclusively lock" in text:
        return (
            f"The port {path!r} is in use by another program: end that program (`fuser {path}` names it), then repeat "
            "the command."
        )
    return f"The port {path!r} cannot be opened: {_reason(error)}. Give a serial port such as /dev/ttyUSB0."
