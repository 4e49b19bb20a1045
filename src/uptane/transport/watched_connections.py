"""HTTP connections that are watched byte by byte, so that no server can be slow in a way that goes unnoticed.

A timeout for each read stops a server that falls silent, but not one that sends a byte a second, in the body or in
the head. Therefore the watch stands below HTTP: `Pace` sees every read of a connection, and counts only the time in
which we waited, so that a slow disk of ours is not taken for a slow server.
"""

import ssl
import time
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, cast

import httpcore2
import httpx2

from uptane.metadata.errors import SlowRetrievalError
from uptane.transport.limits import TransferLimits

KEEP_ALIVE_SECONDS = 2.0
"""Seconds that an idle connection is kept: less than servers keep theirs, so that none is used while it closes."""

MAX_CONNECTIONS = 32
"""Connections at once, over all peers of one process."""

READ_PIECE = 256 * 1024
"""Bytes asked for at a time, if the HTTP library asks for fewer: each piece costs it as much as copying that many."""

TLS_CONTEXTS = 8
"""Clients of this process at once: one for each certificate that it shows, and one more while it is exchanged."""

WRITE_PIECE = 64 * 1024
"""Bytes handed to the network at a time while sending."""

_current: ContextVar["Pace | None"] = ContextVar("uptane_transport_pace", default=None)


class Pace:
    """The speed of one answer.

    Args:
        limits: what is too slow.
        what: names the transfer in the error, such as its URL.
    """

    def __init__(self, limits: TransferLimits, what: str) -> None:
        self._limits = limits
        self._what = what
        self._received = 0
        self._waited = 0.0

    @contextmanager
    def watching(self) -> Iterator[None]:
        """While this context is open, every read of this thread counts for this answer."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)

    def read(self, stream: httpcore2.NetworkStream, max_bytes: int, timeout: float | None) -> bytes:
        """Reads from a connection; raises SlowRetrievalError when the answer has become too slow."""
        started = time.monotonic()
        try:
            data = stream.read(max_bytes, timeout)
        except httpcore2.ReadTimeout as error:
            if not self._received:
                raise
            raise self._slow(f"stopped after {self._received} bytes") from error
        finally:
            self._waited += time.monotonic() - started
        self._received += len(data)
        if data:
            self._judge()
        return data

    def _judge(self) -> None:
        limits, waited = self._limits, self._waited
        if waited > limits.total_seconds:
            raise self._slow(f"takes more than {limits.total_seconds:g} seconds")
        if waited > limits.slow_start_seconds and self._received < waited * limits.min_bytes_per_second:
            speed = f"{self._received / waited:.0f} bytes per second, less than {limits.min_bytes_per_second:g}"
            raise self._slow(f"comes at {speed}")

    def _slow(self, how: str) -> SlowRetrievalError:
        return SlowRetrievalError(
            f"{self._what} {how}",
            next_step="Try again later or over another network.",
            url=self._what,
            received=self._received,
        )


class _WatchedStream(httpcore2.NetworkStream):
    def __init__(self, inner: httpcore2.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        pace, max_bytes = _current.get(), max(max_bytes, READ_PIECE)
        return self._inner.read(max_bytes, timeout) if pace is None else pace.read(self._inner, max_bytes, timeout)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), WRITE_PIECE):
            self._inner.write(buffer[start : start + WRITE_PIECE], timeout)

    def close(self) -> None:
        self._inner.close()

    def start_tls(self, *args: Any, **kwargs: Any) -> httpcore2.NetworkStream:
        return _WatchedStream(self._inner.start_tls(*args, **kwargs))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _WatchedBackend(httpcore2.SyncBackend):
    def connect_tcp(self, *args: Any, **kwargs: Any) -> httpcore2.NetworkStream:
        return _WatchedStream(super().connect_tcp(*args, **kwargs))


class _Body(httpx2.SyncByteStream):
    def __init__(self, stream: Iterable[bytes]) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        yield from self._stream

    def close(self) -> None:
        cast(Any, self._stream).close()


class WatchedTransport(httpx2.BaseTransport):
    """The connections of an `httpx2.Client`. Raises the errors of httpcore2 as they are; keeps no cookies.

    Args:
        tls: for `https`; None trusts the authorities of the system and shows no certificate.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._pool = httpcore2.ConnectionPool(
            ssl_context=tls,
            max_connections=MAX_CONNECTIONS,
            keepalive_expiry=KEEP_ALIVE_SECONDS,
            network_backend=_WatchedBackend(),
        )

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """One request over one of the connections."""
        url = request.url
        answer = self._pool.handle_request(
            httpcore2.Request(
                method=request.method,
                url=httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                headers=request.headers.raw,
                content=cast(httpx2.SyncByteStream, request.stream),
                extensions=request.extensions,
            )
        )
        headers = [(name, value) for name, value in answer.headers if name.lower() != b"set-cookie"]
        body = _Body(cast(Iterable[bytes], answer.stream))
        return httpx2.Response(answer.status, headers=headers, stream=body, extensions=answer.extensions)

    def close(self) -> None:
        """Closes all connections."""
        self._pool.close()


@lru_cache(maxsize=TLS_CONTEXTS)
def shared_client(tls: ssl.SSLContext | None = None) -> httpx2.Client:
    """The HTTP client of this process: no proxy of the environment, no redirect, no cookie, no compression.

    Args:
        tls: for `https`; each context has connections of its own, so that none is used under another certificate.
    """
    transport = WatchedTransport(tls)
    client = httpx2.Client(
        transport=transport,
        headers={"Accept-Encoding": "identity", "User-Agent": "uptane"},
        follow_redirects=False,
        trust_env=False,
    )
    # At the end of the process, or when a context that replaced this one has made the cache forget it.
    weakref.finalize(client, transport.close)
    return client
