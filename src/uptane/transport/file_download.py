"""One file over HTTP, whole or from a byte on where an earlier transfer was cut, within limits of size and speed."""

import re
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from uptane.metadata.errors import (
    EndlessDataError,
    FormatError,
    LengthMismatchError,
    SlowRetrievalError,
    UnreachableError,
)
from uptane.transport.exchange import Exchange, Request, exchange
from uptane.transport.limits import TransferLimits

NOT_THERE = frozenset({403, 404})
"""Statuses that say that there is no such file; some object stores answer 403 for one (STD-5.4.4.3-2)."""

PROBLEM = "application/problem+json"
"""The media type of a refusal by a server like ours (RFC 9457): there may be such a file, but not for whoever asks."""

_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19}|\*)", re.IGNORECASE)


class Body(Iterator[bytes]):
    """The bytes of a file in pieces as they arrive.

    Args:
        pieces: the bytes.
        start: the position in the file of the first of them.
    """

    def __init__(self, pieces: Iterator[bytes], start: int) -> None:
        self._pieces = pieces
        self.start = start

    def __next__(self) -> bytes:
        return next(self._pieces)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileClient:
    """Downloads files by their URLs.

    Args:
        limits: of each transfer.
        server: whose files they are, for messages.
        say: is told of every download, a line at a time.
        tls: for `https`; see `RepositoryClient`.
    """

    limits: TransferLimits
    server: str
    say: Callable[[str], None]
    tls: ssl.SSLContext | None = None

    @contextmanager
    def open(self, url: str, limit: int, out_of: str, start: int = 0) -> Iterator[Body | None]:
        """Asks for a file, and opens what comes.

        Args:
            url: percent-encoded.
            limit: bytes of the whole file.
            out_of: the limit in words.
            start: how many of its bytes are there already. A server that cannot continue sends the whole file.

        Returns:
            The body, which begins at `start` or at 0; None where there is no such file.

        Raises:
            UnreachableError: no answer, or one that is none to this request.
            EndlessDataError: more than `limit` bytes, or a range that goes beyond them; also while iterating.
            FormatError: another range than the rest of the file.
            LengthMismatchError: the file ends at `start` or before.
            SlowRetrievalError: slower than the limits allow; also while iterating.
        """
        self.say(f"Downloading: {url}" + (f" (from byte {start} on)" if start else ""))

        def unreachable(why: str) -> UnreachableError:
            self.say(f"Could not download URL: {url} ({why})")
            return UnreachableError(
                f"{url} cannot be fetched: {why}",
                next_step=f"Is the server of {self.server} running?",
                url=url,
                server=self.server,
            )

        headers = {"Range": f"bytes={start}-"} if start else {}
        request = Request(method="GET", url=url, headers=headers)
        with exchange(request, self.limits, unreachable, tls=self.tls) as answer:
            if answer.status == 403 and answer.media_type == PROBLEM:
                raise unreachable("the server refuses this vehicle or its certificate")
            if answer.status in NOT_THERE:
                self.say(f"Could not download URL: {url} (there is no such file)")
                answer.skip_body()
                yield None
            elif answer.status == 200:
                yield Body(self._told(answer, url, limit, out_of), 0)
            elif start and answer.status in (206, 416):
                _check_range(answer, url, start, limit)
                yield Body(self._told(answer, url, limit - start, out_of, start), start)
            else:
                raise unreachable(f"the server answers with HTTP status {answer.status}")

    def _told(self, answer: Exchange, url: str, limit: int, out_of: str, start: int = 0) -> Iterator[bytes]:
        received = 0
        try:
            for chunk in answer.chunks(limit):
                received += len(chunk)
                yield chunk
        except (EndlessDataError, SlowRetrievalError) as error:
            self.say(f"Could not download URL: {url} ({error.attack})")
            raise
        before = f", after {start} that were there" if start else ""
        self.say(f"Downloaded {received} bytes out of {out_of} bytes{before}.")


def _check_range(answer: Exchange, url: str, start: int, limit: int) -> None:
    """Nothing else passes than the rest of a file of `limit` bytes from `start` on."""
    if answer.status == 416:
        raise LengthMismatchError(
            f"{url} ends before byte {start}; {limit} bytes are expected", url=url, expected=limit, offered=None
        )
    offered = answer.content_range
    found = _CONTENT_RANGE.fullmatch(offered)
    first, last, total = (int(text) if text != "*" else limit for text in found.groups()) if found else (-1, -1, -1)
    if max(last + 1, total) > limit:
        raise EndlessDataError(
            f"{url} is offered as {offered!r}, with more than the {limit} bytes that it may have", url=url, limit=limit
        )
    if (first, last, total) != (start, limit - 1, limit):
        raise FormatError(
            f"{url} was asked for from byte {start} on to its end at {limit}, and {offered[:80]!r} is offered",
            field="Content-Range",
            url=url,
        )
