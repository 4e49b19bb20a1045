"""Whether a client takes its answers: as slowly as a vehicle puts up with, and no more slowly."""

import asyncio
import socket
import struct
import sys
from contextlib import suppress
from dataclasses import dataclass

from uptane.transport.limits import TransferLimits

LEAST_BYTES_PER_SECOND = TransferLimits().min_bytes_per_second / 2
"""What a client has to take of what waits for it: half of what a vehicle asks of a server, because buffers on the way
take their bytes by lumps."""

PATIENCE = 10
"""Judgements in a row in which nothing at all moved, where nobody tells what a client has taken: of a front's clients,
and on operating systems that do not count. What moves there are lumps as large as buffers, 4 MiB at most on Linux."""

ACKED = 120
"""Where `tcpi_bytes_acked` stands in Linux's `tcp_info` (linux/tcp.h), since Linux 4.1: 8 bytes."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A moment of a connection.

    Args:
        waits: bytes that the client has not taken yet, as far as they can be seen.
        taken: bytes that it has acknowledged since it connected; None where that is unknown.
    """

    waits: int
    taken: int | None


class ClientWatch:
    """Ends the connection of a client that does not take its answers, or that is closed and does not say goodbye.

    What the transport still holds tells nothing of a slow client, as the send buffer of the kernel, up to 4 MiB,
    swallows whole images. What the client has acknowledged does. A front, which ends TLS, acknowledges for its clients:
    between two lumps that it takes for a slow one, minutes pass.

    A client that breaks TLS, says goodbye in the middle of an answer, or asks on and stops leaves what it has not taken
    to the kernel as well, where it belongs to no connection and no limit counts it. So the kernel is told beforehand to
    forget that when a connection over TLS ends. Over TCP alone a connection is closed while its client still takes.

    Args:
        transport: the connection's.
        loop: its event loop.
        seconds: between two judgements. Of what waited at one of them, the client has to have taken
            `LEAST_BYTES_PER_SECOND` at the next, or all of it.
        goodbye_seconds: for the client's goodbye, from the moment when it has taken all and the connection is closed.
    """

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, *, seconds: float, goodbye_seconds: float
    ) -> None:
        self._transport = transport
        self._loop = loop
        self._is_tls = transport.get_extra_info("ssl_object") is not None
        if self._is_tls:
            _forget_at_the_end(transport)
        self._seconds = seconds
        self._goodbye_seconds = goodbye_seconds
        self._seen = seen(transport)
        self._unmoved = 0
        self._resumed = self._was_taking = self._was_over = False
        self._judging = loop.call_later(seconds, self._judge)
        self._parting = loop.call_later(goodbye_seconds, self._part)

    def end(self) -> None:
        """The connection is closed."""
        self._judging.cancel()
        self._parting.cancel()

    def says_goodbye(self) -> None:
        """The client sends no more; over TLS that is the end of the connection."""
        if self._is_tls and not seen(self._transport).waits:
            _forget_at_the_end(self._transport, forget=False)

    def resumed(self) -> None:
        """The transport takes bytes again, so the client has taken some."""
        self._resumed = True

    def is_taking(self) -> bool:
        """Whether the client had something to take, now or when this was asked before."""
        was, self._was_taking = self._was_taking, seen(self._transport).waits > 0
        return was or self._was_taking

    def _judge(self) -> None:
        before, self._seen = self._seen, seen(self._transport)
        if self._is_too_slow(before):
            _forget_at_the_end(self._transport)
            self._transport.abort()
            return
        self._resumed = False
        self._judging = self._loop.call_later(self._seconds, self._judge)

    def _is_too_slow(self, before: Seen) -> bool:
        if self._is_tls and before.taken is not None and self._seen.taken is not None:
            return self._seen.taken - before.taken < min(before.waits, self._seconds * LEAST_BYTES_PER_SECOND)
        moved = self._seen != before or self._resumed
        self._unmoved = self._unmoved + 1 if before.waits and not moved else 0
        return self._unmoved == PATIENCE

    def _part(self) -> None:
        was_over, self._was_over = self._was_over, self._transport.is_closing() and not seen(self._transport).waits
        if was_over and self._was_over:
            _forget_at_the_end(self._transport, forget=False)
            self._transport.abort()
            return
        self._parting = self._loop.call_later(self._goodbye_seconds, self._part)


def seen(transport: asyncio.Transport) -> Seen:
    """What can be seen of a client now.

    The event loop's own buffer, between those of TLS and the kernel, cannot: while it holds something, the kernel's
    does as well.
    """
    kernel = transport.get_extra_info("socket")
    try:
        waits = transport.get_write_buffer_size()
    except AttributeError:
        # asyncio's TLS forgets itself once it is closed twice.
        waits = 0
    if sys.platform != "linux" or kernel is None:
        return Seen(waits, None)
    return Seen(waits + _queued(kernel.fileno()), _acknowledged(kernel))


if sys.platform == "linux":
    import fcntl
    import termios

    def _queued(descriptor: int) -> int:
        """Bytes in the kernel that the other side has not acknowledged (tcp(7), SIOCOUTQ)."""
        try:
            return int.from_bytes(fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
        except (OSError, ValueError):
            return 0

    def _acknowledged(kernel: socket.socket) -> int | None:
        try:
            told = kernel.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, ACKED + 8)
        except OSError:
            return None
        # Zero is what a kernel says that does not count.
        return (struct.unpack_from("=Q", told, ACKED)[0] or None) if len(told) == ACKED + 8 else None


def _forget_at_the_end(transport: asyncio.Transport, *, forget: bool = True) -> None:
    """Whether the kernel forgets what the client has not taken when the connection ends, and tells it so with a reset.

    Without that it goes on to send, as slowly as the client likes.
    """
    kernel = transport.get_extra_info("socket")
    if kernel is not None:
        with suppress(OSError):
            kernel.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", forget, 0))
