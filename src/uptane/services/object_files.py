"""Published images out of object storage over HTTP, whole or in a range of bytes; errors have an empty body."""

from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from typing import Protocol

from uptane.metadata.errors import FormatError
from uptane.services.asgi import FIXED_HEADERS, Receive, Scope, Send
from uptane.services.byte_ranges import UnsatisfiableRange, asked_range
from uptane.services.static_files import safe_path


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

    def stream(self, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Its bytes from `start` to before `end`, in pieces."""
        ...


class ObjectFiles:
    """Serves GET, also of a range of bytes, and HEAD.

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
        if found is None:
            await _empty(send, HTTPStatus.NOT_FOUND)
            return
        try:
            asked = asked_range(scope, found.length)
        except UnsatisfiableRange:
            whole = (b"content-range", f"bytes */{found.length}".encode())
            await _empty(send, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, whole)
            return
        part = range(found.length) if asked is None else asked
        head = [(b"content-type", b"application/octet-stream"), (b"content-length", str(len(part)).encode())]
        head.append((b"accept-ranges", b"bytes"))
        if found.etag:
            head.append((b"etag", found.etag.encode()))
        if asked is not None:
            head.append((b"content-range", f"bytes {part.start}-{part.stop - 1}/{found.length}".encode()))
        status = HTTPStatus.OK if asked is None else HTTPStatus.PARTIAL_CONTENT
        await send({"type": "http.response.start", "status": status, "headers": [*head, *FIXED_HEADERS]})
        if scope["method"] == "GET" and part:
            async for piece in found.stream(part.start, part.stop):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def _empty(send: Send, status: HTTPStatus, *headers: tuple[bytes, bytes]) -> None:
    head = [(b"content-length", b"0"), *headers, *FIXED_HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": b""})
