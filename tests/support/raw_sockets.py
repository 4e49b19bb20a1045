"""Peers on real sockets that do not keep to HTTP: servers that misbehave, and requests no library would send."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"


class RawServer:
    """A server on a free port of 127.0.0.1 that does what `answer` does with each connection.

    Args:
        answer: is given the connection, whose request head was read, and an event that is set at the end of the test.
        tls: of a server that speaks TLS.
    """

    def __init__(
        self, answer: Callable[[socket.socket, threading.Event], None], *, tls: ssl.SSLContext | None = None
    ) -> None:
        self._answer = answer
        self._tls = tls
        self._end = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept)]
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.requests: list[bytes] = []

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        if self._tls is not None:
            try:
                connection = self._tls.wrap_socket(connection, server_side=True)
            except OSError:
                connection.close()
                return
        with connection:
            head = b""
            try:
                while b"\r\n\r\n" not in head:
                    head += connection.recv(65536) or b"\r\n\r\n"
                self.requests.append(head)
                self._answer(connection, self._end)
            except OSError:
                return


def saying(answer: bytes) -> Callable[[socket.socket, threading.Event], None]:
    """Sends these bytes and closes."""
    return lambda connection, end: connection.sendall(answer)


def serving(body: bytes, headers: bytes = b"") -> Callable[[socket.socket, threading.Event], None]:
    """Answers with a whole file."""
    return saying(HEAD + headers + b"Content-Length: %d\r\n\r\n" % len(body) + body)


def dripping(head: bytes, drop: bytes, seconds: float = 0.02) -> Callable[[socket.socket, threading.Event], None]:
    """Sends `head`, and then `drop` again and again with pauses, each far shorter than any timeout."""

    def answer(connection: socket.socket, end: threading.Event) -> None:
        connection.sendall(head)
        while not end.wait(seconds):
            connection.sendall(drop)

    return answer


def silent(connection: socket.socket, end: threading.Event) -> None:
    """Accepts and never answers."""
    end.wait()


def endless(connection: socket.socket, end: threading.Event) -> None:
    """Sends a body without length until somebody closes."""
    connection.sendall(HEAD + b"Content-Type: text/xml\r\n\r\n")
    while not end.is_set():
        connection.sendall(b"x" * 4096)


def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def say(port: int, *pieces: bytes) -> bytes:
    """Sends bytes to a server and returns all that it says until it closes, or until an answer is complete."""
    with raw_connection(port) as connection:
        for piece in pieces:
            connection.sendall(piece)
        return answer_of(connection)


@contextmanager
def raw_connection(port: int) -> Iterator[socket.socket]:
    """A connection that gives up after ten seconds."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        yield connection


def answer_of(connection: socket.socket) -> bytes:
    """One answer: its head, and the body that its Content-Length promises; without one, until the end."""
    answer = b""
    while piece := connection.recv(65536):
        answer += piece
        head, found, body = answer.partition(b"\r\n\r\n")
        for line in head.lower().split(b"\r\n") if found else ():
            if line.startswith(b"content-length:") and len(body) >= int(line.partition(b":")[2]):
                return answer
    return answer


def status_of(answer: bytes) -> int:
    """The status of an answer; 0 for none."""
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0
