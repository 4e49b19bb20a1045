"""Files from the mirrors of a repository, over HTTP, within limits of size and speed."""

import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TypeVar
from urllib.parse import quote, urlsplit

import httpx2

from uptane.metadata.errors import FormatError, UnreachableError
from uptane.transport.file_download import Body, FileClient
from uptane.transport.limits import TransferLimits

FoundT = TypeVar("FoundT")


class RepositoryClient:
    """The mirrors of one repository.

    Args:
        base_urls: where the mirrors are, `http` or `https`, in the order in which they are asked.
        limits: of each transfer.
        name: of the repository, for messages.
        on_event: is told of every download, a line at a time.
        tls: for `https`, as `transport.tls.client_tls` makes it; None trusts the authorities of the system and shows no
            certificate.

    Raises:
        FormatError: a base URL is none, or there is no mirror at all.
    """

    def __init__(
        self,
        base_urls: Sequence[str],
        *,
        limits: TransferLimits,
        name: str,
        on_event: Callable[[str], None] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        if not base_urls:
            raise FormatError(f"the repository {name} has no mirror", field="urls")
        self._base_urls = [_base_url(url) for url in base_urls]
        server = f"the repository {name}"
        self._files = FileClient(limits=limits, server=server, say=on_event or (lambda line: None), tls=tls)

    def fetch(self, path: str, limit: int) -> bytes | None:
        """A file of at most `limit` bytes, from the first mirror that gives it whole.

        Args:
            path: relative, with `/` between components, not percent-encoded.
            limit: bytes.

        Returns:
            The bytes, or None where mirrors answer and none of those has it.

        Raises:
            UnreachableError: no mirror answers as it should.
            EndlessDataError: more than `limit` bytes.
            SlowRetrievalError: slower than the limits allow.
        """
        return self._fetch(_encoded(path), limit)

    def fetch_named(self, name: str, limit: int) -> bytes | None:
        """`fetch` of a file whose whole name is one component, `/` and anything else in it percent-encoded."""
        if name in ("", ".", ".."):
            raise FormatError(f"{name!r} is not the name of a file", field="path")
        return self._fetch(quote(name, safe=""), limit)

    def _fetch(self, relative: str, limit: int) -> bytes | None:
        def attempt(base: str) -> bytes | None:
            with self._files.open(base + relative, limit, f"an upper limit of {limit}") as chunks:
                return None if chunks is None else b"".join(chunks)

        return self._first(attempt)

    @contextmanager
    def stream(self, path: str, limit: int, start: int = 0) -> Iterator[Body | None]:
        """The bytes of a file in pieces, from the first mirror that has it; see `fetch`.

        Args:
            path: relative, with `/` between components, not percent-encoded.
            limit: bytes that the file is expected to have.
            start: how many of them are there already; the body begins with the next one, or with the first one where
                the mirror cannot continue.

        Raises:
            UnreachableError, EndlessDataError, SlowRetrievalError: on opening or while iterating. A body that breaks
                off is not continued from another mirror.
            FormatError, LengthMismatchError: the answer is not the rest of a file of `limit` bytes.
        """
        relative = _encoded(path)
        with ExitStack() as stack:
            yield self._first(
                lambda base: stack.enter_context(
                    self._files.open(base + relative, limit, f"the expected {limit}", start)
                )
            )

    def _first(self, attempt: Callable[[str], FoundT | None]) -> FoundT | None:
        troubles: list[UnreachableError] = []
        for base in self._base_urls:
            try:
                found = attempt(base)
            except UnreachableError as error:
                troubles.append(error)
                continue
            if found is not None:
                return found
        if len(troubles) == len(self._base_urls):
            raise troubles[-1]
        return None


def _base_url(url: str) -> str:
    try:
        url.encode()
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
        httpx2.URL(url)
    except (ValueError, httpx2.InvalidURL):
        usable = False
    if not usable or parts.query or parts.fragment:
        raise FormatError(f"{url!r} is not the URL of a mirror", next_step="Write http://HOST:PORT/PATH.", field="urls")
    return url.rstrip("/") + "/"


def _encoded(path: str) -> str:
    components = path.split("/")
    if any(component in ("", ".", "..") for component in components):
        raise FormatError(f"{path!r} is not a relative path", field="path")
    return "/".join(quote(component, safe="") for component in components)
