"""Writes the lines of a log: whole, in their order, and those that can wait a moment together.

Each write wakes whoever reads the log, which for a line of 250 bytes costs several times what it costs to make it.
"""

import asyncio
import threading
from contextlib import suppress
from typing import TextIO

WAITING_SECONDS = 0.05
"""How long a line of level `info` or `debug` may wait for others; these are lost where the process is killed."""

WRITTEN_AT_ONCE = 4_096
"""Bytes that processes can write into one pipe without mixing their lines (`PIPE_BUF` of Linux; POSIX promises 512).
Only a line that is longer by itself is written in a larger piece."""


class LogLines:
    """A log that structlog and `logging.StreamHandler` can write to.

    Lines of level `info` and `debug` wait for others while an event loop runs; all else is written at once, behind what
    waits. A line that cannot be written is lost: there is nowhere to tell it, and no request fails for it.

    Args:
        stream: where they are written.
        seconds: how long one may wait; 0 for not at all.
    """

    def __init__(self, stream: TextIO, seconds: float = WAITING_SECONDS) -> None:
        self._stream = stream
        self._seconds = seconds
        # Whoever holds it may be interrupted by the garbage collector, or by a signal, and log again.
        self._lock = threading.RLock()
        self._waiting: list[str] = []
        self._bytes = 0
        self._loop: asyncio.AbstractEventLoop | None = None

    def info(self, line: str) -> None:
        """Takes one line, without its end."""
        with self._lock:
            self._add(line)
            if not self._is_written_later():
                self._write()

    debug = info

    def error(self, line: str) -> None:
        """Writes one line, given without its end."""
        with self._lock:
            self._add(line)
            self._write()

    warning = critical = error

    def write(self, text: str) -> None:
        """Writes a line that has its end already."""
        self.error(text.removesuffix("\n"))

    def flush(self) -> None:
        """Writes what waits."""
        with self._lock:
            self._write()

    def _add(self, line: str) -> None:
        size = len(line.encode(errors="replace")) + 1
        if self._bytes + size > WRITTEN_AT_ONCE:
            self._write()
        self._waiting.append(line)
        self._bytes += size

    def _is_written_later(self) -> bool:
        if not self._seconds:
            return False
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return False
        if loop is not self._loop:
            self._loop = loop
            loop.call_later(self._seconds, self._due)
        return True

    def _due(self) -> None:
        with self._lock:
            self._loop = None
            self._write()

    def _write(self) -> None:
        none: list[str] = []
        # Nothing is made in between, so that nobody interrupts it and writes the same lines.
        lines, self._waiting = self._waiting, none
        self._bytes = 0
        if lines:
            with suppress(OSError, ValueError, RuntimeError):  # full, closed, or interrupted while it wrote
                self._stream.write("\n".join([*lines, ""]))
                self._stream.flush()
