"""Published images over HTTP, whole or in a range of bytes, from wherever they are; errors have an empty body."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from http import HTTPStatus
from typing import Protocol

from uptane.metadata.errors import FormatError, StorageError
from uptane.services.asgi import FIXED_HEADERS, Receive, Scope, Send, header
from uptane.services.byte_ranges import UnsatisfiableRange, asked_range
from uptane.services.static_files import CHUNK_SECONDS, safe_path

_log = logging.getLogger(__name__)


class FoundObject(Protocol):
    """A published object."""

    @property
    def length(self) -> int:
        """Bytes."""
        ...

    @property
    def etag(self) -> str | None:
        """What changes whenever its bytes do."""
        ...

    def stream(self, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes]:
        """Its bytes from `start` to before `end`, in pieces."""
        ...


class ObjectFiles:
    """Serves GET, also of a range of bytes and only where something changed, and HEAD.

    Args:
        prefix: of the paths, such as `repo/targets/`.
        open_object: gives the object of a name, or None.
    """

    def __init__(self, prefix: str, open_object: Callable[[str], Awaitable[FoundObject | None]]) -> None:
        self._prefix = prefix
        self._open = open_object

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One HTTP request."""
        if scope["method"] not in ("GET", "HEAD"):
            await _empty(send, HTTPStatus.METHOD_NOT_ALLOWED, (b"allow", b"GET, HEAD"))
            return
        path = safe_path(scope["raw_path"]) or ""
        try:
            found = await self._open(path.removeprefix(self._prefix)) if path.startswith(self._prefix) else None
        except FormatError:
            found = None
        except StorageError:
            _log.exception("an image could not be looked up")
            await _empty(send, HTTPStatus.SERVICE_UNAVAILABLE)
            return
        if found is None:
            await _empty(send, HTTPStatus.NOT_FOUND)
            return
        tag = [] if found.etag is None else [(b"etag", found.etag.encode())]
        if found.etag is not None and names_tag(header(scope, b"if-none-match"), found.etag):
            await send(
                {"type": "http.response.start", "status": HTTPStatus.NOT_MODIFIED, "headers": [*tag, *FIXED_HEADERS]}
            )
            await send({"type": "http.response.body", "body": b""})
            return
        try:
            asked = asked_range(scope, found.length)
        except UnsatisfiableRange:
            whole = (b"content-range", f"bytes */{found.length}".encode())
            await _empty(send, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, whole)
            return
        part = range(found.length) if asked is None else asked
        head = [(b"content-type", b"application/octet-stream"), (b"content-length", str(len(part)).encode())]
        head += [(b"accept-ranges", b"bytes"), *tag]
        if asked is not None:
            head.append((b"content-range", f"bytes {part.start}-{part.stop - 1}/{found.length}".encode()))
        status = HTTPStatus.OK if asked is None else HTTPStatus.PARTIAL_CONTENT
        await send({"type": "http.response.start", "status": status, "headers": [*head, *FIXED_HEADERS]})
        await _send_part(found, part if scope["method"] == "GET" else range(0), send)


async def _send_part(found: FoundObject, part: range, send: Send) -> None:
    try:
        if part:
            async with aclosing(found.stream(part.start, part.stop)) as pieces:
                async for piece in pieces:
                    async with asyncio.timeout(CHUNK_SECONDS):
                        await send({"type": "http.response.body", "body": piece, "more_body": True})
    except StorageError:
        # Ending here without the last message makes the server cut the connection; the client asks for the rest later.
        _log.exception("an image could not be read to its end")
        return
    await send({"type": "http.response.body", "body": b""})


def names_tag(condition: bytes | None, etag: str) -> bool:
    """Whether `If-None-Match` names an entity tag; compared weakly, as RFC 9110 (13.1.2) has it."""
    if condition is None:
        return False
    listed = [each.strip().removeprefix("W/") for each in condition.decode("latin-1").split(",")]
    return listed == ["*"] or etag.removeprefix("W/") in listed


async def _empty(send: Send, status: HTTPStatus, *headers: tuple[bytes, bytes]) -> None:
    head = [(b"content-length", b"0"), *headers, *FIXED_HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": b""})
