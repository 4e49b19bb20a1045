"""An event loop for connections of a server, without time, and a client that takes what a test says."""

import asyncio
from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

from uptane.assembly import tls_server
from uptane.assembly.tls_server import CLOSE_SECONDS, STALLED_SECONDS
from uptane.services.asgi import Receive, Scope, Send

ALWAYS = (STALLED_SECONDS, CLOSE_SECONDS)
"""A connection is looked at each time that so many seconds have passed."""


class Timer:
    """Stands for what `call_later` gives."""

    def __init__(self, seconds: float, work: Callable[[], object]) -> None:
        self.seconds, self.work, self.cancelled = seconds, work, False

    def cancel(self) -> None:
        self.cancelled = True


class Task:
    """Stands for a task that is never run."""

    def add_done_callback(self, done: Callable[..., object]) -> None:
        """Is never called."""


class Loop:
    """An event loop in which nothing runs and no time passes but when a test says so."""

    def __init__(self) -> None:
        self.timers: list[Timer] = []

    def call_later(self, seconds: float, work: Callable[..., object], *arguments: object) -> Timer:
        self.timers.append(Timer(seconds, lambda: work(*arguments)))
        return self.timers[-1]

    def create_task(self, work: Any) -> Task:
        work.close()
        return Task()

    def pending(self) -> list[float]:
        """After how many seconds something happens that does not happen all the time."""
        return [timer.seconds for timer in self.timers if not timer.cancelled and timer.seconds not in ALWAYS]

    def pass_by(self, *seconds: float) -> None:
        """The time of every timer comes, or of those of that many seconds."""
        due = [timer for timer in self.timers if not timer.cancelled and timer.seconds in (seconds or (timer.seconds,))]
        self.timers = [timer for timer in self.timers if timer not in due]
        for timer in due:
            timer.work()


class Transport(asyncio.Transport):
    """A connection whose client takes what a test says."""

    def __init__(self, *, over_tls: bool) -> None:
        super().__init__({"ssl_object": Mock()} if over_tls else {})
        self.waits, self.closed, self.aborted, self.reads, self.written = 0, False, False, True, b""
        self.taken: int | None = 1

    def get_write_buffer_size(self) -> int:
        return self.waits

    def takes(self, count: int) -> None:
        """The client acknowledges so many bytes."""
        self.waits -= count
        self.taken = (self.taken or 0) + count

    def abort(self) -> None:
        self.aborted = True

    def close(self) -> None:
        self.closed = True

    def write(self, data: Any) -> None:
        self.written += data

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    def is_closing(self) -> bool:
        return self.closed or self.aborted


async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that is never run."""


def connected(loop: Loop, transport: Transport) -> Any:
    """A connection of a server, on that loop."""
    server = tls_server._Server(nothing, None, 0)
    made = tls_server._Connection(server.config, server.server_state, {}, loop)  # type: ignore[arg-type]
    made.connection_made(transport)
    return made


def answered(connection: Any) -> None:
    """All of the answer was handed to the transport."""
    connection.cycle.response_started = connection.cycle.response_complete = True
    connection.on_response_complete()
