"""One HTTP request and its answer, within limits of size, speed and time; foreign errors stop here."""

import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import httpcore2
import httpx2

from uptane.metadata.errors import EndlessDataError, SlowRetrievalError, UnreachableError
from uptane.transport.limits import TransferLimits
from uptane.transport.watched_connections import Pace, shared_client

Unreachable = Callable[[str], UnreachableError]
"""Makes the error of a client, in its own words, from the reason."""

SKIPPED_BODY = 4_096
"""Bytes of a body that nobody wants and that are read all the same: connecting again costs more."""

_TROUBLE = (
    UnicodeError,  # of a host that no resolver takes
    httpx2.HTTPError,
    httpx2.InvalidURL,
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    httpcore2.ProxyError,
    httpcore2.TimeoutException,
    httpcore2.UnsupportedProtocol,
)

_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (httpcore2.ConnectTimeout, "no connection in time"),
    (httpcore2.ConnectError, "no connection"),
    (httpcore2.TimeoutException, "no answer in time"),
    (httpcore2.NetworkError, "the connection broke"),
    (httpcore2.ProtocolError, "the answer was cut off or is no HTTP"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked.

    Args:
        method: `GET` or `POST`.
        url: where, percent-encoded.
        headers: beside the client's own.
        content: the body.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    content: bytes | None = None


class Exchange:
    """An answer whose head is here and whose body may still come."""

    def __init__(self, response: httpx2.Response, pace: Pace, url: str, unreachable: Unreachable) -> None:
        self._response = response
        self._pace = pace
        self._url = url
        self._unreachable = unreachable

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._response.status_code

    @property
    def media_type(self) -> str:
        """The media type, in lower case, without parameters."""
        return self._response.headers.get("content-type", "").partition(";")[0].strip().lower()

    def header(self, name: str) -> str:
        """A header of the answer; empty where it has none."""
        value: str = self._response.headers.get(name, "")
        return value

    @property
    def content_range(self) -> str:
        """Which bytes of the file a partial answer says that it has; empty where it does not."""
        return self._response.headers.get("content-range", "").strip()

    def chunks(self, limit: int) -> Iterator[bytes]:
        """The body in pieces as they arrive.

        Args:
            limit: bytes; reading stops there.

        Raises:
            EndlessDataError: the body has more than `limit` bytes, or says so.
            SlowRetrievalError: it comes too slowly.
            UnreachableError: it is cut off, or compressed: a compressed body can be any size once unpacked.
        """
        encoding = self._response.headers.get("content-encoding", "identity")
        if encoding.lower() != "identity":
            raise self._unreachable("the body is compressed, which was not asked for")
        declared = self._response.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > limit:
            raise self._endless(limit)
        received = 0
        for chunk in self._raw():
            received += len(chunk)
            if received > limit:
                raise self._endless(limit)
            yield chunk

    def skip_body(self) -> None:
        """Reads a short body to its end, so that the connection can be used again; a longer one closes it."""
        declared = self._response.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) <= SKIPPED_BODY:
            with suppress(UnreachableError, EndlessDataError, SlowRetrievalError):
                for _ in self.chunks(SKIPPED_BODY):
                    pass

    def _raw(self) -> Iterator[bytes]:
        pieces = self._response.iter_raw()
        while True:
            with _foreign_errors_end(self._unreachable), self._pace.watching():
                chunk = next(pieces, None)
            if chunk is None:
                return
            yield chunk

    def _endless(self, limit: int) -> EndlessDataError:
        return EndlessDataError(
            f"{self._url} has more than the {limit} bytes that it may have",
            next_step="The server, or somebody between, sends data without end.",
            url=self._url,
            limit=limit,
        )


@contextmanager
def exchange(
    request: Request, limits: TransferLimits, unreachable: Unreachable, *, tls: ssl.SSLContext | None = None
) -> Iterator[Exchange]:
    """Sends a request and opens its answer; leaving the context closes it, read or not.

    Args:
        request: what is asked.
        limits: of the transfer.
        unreachable: makes the error where there is no answer.
        tls: for `https`, as `transport.tls.client_tls` makes it; None trusts the authorities of the system.

    Raises:
        UnreachableError: no connection or no answer, made by `unreachable`.
        SlowRetrievalError: the head of the answer comes too slowly.
    """
    client, pace = shared_client(tls), Pace(limits, request.url)
    timeout = httpx2.Timeout(limits.read_seconds, connect=limits.connect_seconds, pool=limits.connect_seconds)
    with _foreign_errors_end(unreachable), pace.watching():
        outgoing = client.build_request(
            request.method, request.url, headers=request.headers, content=request.content, timeout=timeout
        )
        response = client.send(outgoing, stream=True)
    try:
        yield Exchange(response, pace, request.url, unreachable)
    finally:
        response.close()


@contextmanager
def _foreign_errors_end(unreachable: Unreachable) -> Iterator[None]:
    try:
        yield
    except _TROUBLE as error:
        raise unreachable(_reason(error)) from error


def _reason(error: Exception) -> str:
    match error.args:  # httpcore2 keeps the error below it there, and nowhere else
        case (ssl.SSLCertVerificationError(verify_message=message), *_):
            return f"the server's certificate is not accepted: {message}"
        case (ssl.SSLError(reason=str(reason)), *_):
            return f"TLS failed: {reason.replace('_', ' ').lower()}"
    return next((text for kind, text in _REASONS if isinstance(error, kind)), type(error).__name__)
