"""Published metadata and images over HTTP: an ASGI application that gives out published files and nothing else."""

import asyncio
import os
import stat
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO, Protocol, TypeAlias
from urllib.parse import unquote_to_bytes

from uptane.services.asgi import FIXED_HEADERS, LOOPBACK_NAMES, Answer, Receive, Scope, Send, host_is_allowed
from uptane.services.byte_ranges import UnsatisfiableRange, asked_range
from uptane.services.problems import refusal

CHUNK = 256 * 1024
"""Bytes read from a file at a time: few trips to the thread, and little memory for each client."""

CHUNK_SECONDS = 900.0
"""Seconds that a client may take to accept one chunk before the connection is closed: for chunks of 1 MiB
and what the kernel holds before them, 4 MiB at most on Linux, at the 8,192 bytes a second that a vehicle puts up with.
A server that sees what clients acknowledge ends those that take nothing long before."""

MAX_PATH = 2_048
"""Bytes of a URL's path; the longest name of an image, percent-encoded, is shorter."""

MAX_COMPONENT = 255
"""Bytes of one component; no file system of a server allows more."""


class PublishedFiles(Protocol):
    """A folder of published files."""

    def open_for_reading(self, name: str) -> Path | None:
        """The file of that name (components separated by `/`), or None when none is published under it."""
        ...


Place: TypeAlias = tuple[PublishedFiles, str]
Resolver: TypeAlias = Callable[[str], Place | None]
"""From a URL's path, decoded and safe and without its first `/`, to a folder and the name in it; None for nowhere."""


def mounts(folders: Mapping[str, PublishedFiles]) -> Resolver:
    """`/FOLDER/NAME`: the first component selects one of the folders."""

    def resolve(path: str) -> Place | None:
        first, _, name = path.partition("/")
        folder = folders.get(first)
        return (folder, name) if folder is not None and name else None

    return resolve


def mounts_by_vehicle(folders_of: Callable[[str], Mapping[str, PublishedFiles] | None]) -> Resolver:
    """`/VEHICLE/FOLDER/NAME`: the first component selects the vehicle's folders.

    Args:
        folders_of: from a vehicle's identifier, as the URL has it, to its folders; None when there is none.
    """

    def resolve(path: str) -> Place | None:
        vehicle, _, rest = path.partition("/")
        folders = folders_of(vehicle)
        return mounts(folders)(rest) if folders is not None else None

    return resolve


class StaticFiles:
    """Serves GET, also of a range of bytes, and HEAD of published files; everything else does not exist.

    Args:
        resolve: where a path leads; called in a worker thread, so it may look at the disk.
        allowed_hosts: names, without port, that a Host header may carry.
    """

    def __init__(self, resolve: Resolver, *, allowed_hosts: Iterable[str] = LOOPBACK_NAMES) -> None:
        self._resolve = resolve
        self._allowed_hosts = frozenset(name.lower() for name in allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One HTTP request."""
        if scope["type"] != "http":
            # A server that asks for more than HTTP (lifespan, WebSocket) learns by silence that there is no more.
            return
        answer = self._refusal(scope)
        if answer is not None:
            await answer.send(send)
            return
        path = safe_path(scope["raw_path"])
        file = await asyncio.to_thread(self._open, path) if path is not None else None
        if file is None:
            await refusal(HTTPStatus.NOT_FOUND, "No file is published there.").send(send)
            return
        try:
            await _send_file(file, scope, send)
        finally:
            file.close()

    def _refusal(self, scope: Scope) -> Answer | None:
        if not host_is_allowed(scope, self._allowed_hosts):
            return refusal(HTTPStatus.MISDIRECTED_REQUEST, "This server does not answer to that host name.")
        if scope["method"] not in ("GET", "HEAD"):
            allow = ((b"allow", b"GET, HEAD"),)
            return refusal(HTTPStatus.METHOD_NOT_ALLOWED, "Files are read only.", headers=allow)
        return None

    def _open(self, path: str) -> BinaryIO | None:
        place = self._resolve(path)
        found = place[0].open_for_reading(place[1]) if place else None
        return _open_regular(found) if found is not None else None


def safe_path(raw_path: bytes) -> str | None:
    """A URL's path, each component percent-decoded once; None when a component could lead anywhere else.

    Args:
        raw_path: the path as it stood in the request line, without the query.
    """
    if not raw_path.startswith(b"/") or len(raw_path) > MAX_PATH:
        return None
    try:
        components = [unquote_to_bytes(part).decode("utf-8") for part in raw_path[1:].split(b"/")]
    except UnicodeDecodeError:
        return None
    return "/".join(components) if all(map(_is_safe, components)) else None


def _is_safe(component: str) -> bool:
    strange = any(character in "/\\" or unicodedata.category(character).startswith("C") for character in component)
    return (
        component not in ("", ".", "..")
        and len(component.encode()) <= MAX_COMPONENT
        and not strange
        and unicodedata.is_normalized("NFC", component)
    )


def _open_regular(path: Path) -> BinaryIO | None:
    """Opens a regular file; never waits for a pipe, never follows a link in the last component."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    return os.fdopen(descriptor, "rb", buffering=0)


async def _send_file(file: BinaryIO, scope: Scope, send: Send) -> None:
    length = os.fstat(file.fileno()).st_size
    try:
        asked = asked_range(scope, length)
    except UnsatisfiableRange:
        whole = ((b"content-range", f"bytes */{length}".encode()),)
        why = "The file ends before that range."
        await refusal(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, why, headers=whole).send(send)
        return
    part = range(length) if asked is None else asked
    head = [(b"content-type", b"application/octet-stream"), (b"content-length", str(len(part)).encode())]
    head.append((b"accept-ranges", b"bytes"))
    if asked is not None:
        head.append((b"content-range", f"bytes {part.start}-{part.stop - 1}/{length}".encode()))
    status = HTTPStatus.OK if asked is None else HTTPStatus.PARTIAL_CONTENT
    await send({"type": "http.response.start", "status": status, "headers": [*head, *FIXED_HEADERS]})
    await _send_part(file, part if scope["method"] == "GET" else range(0), send)


async def _send_part(file: BinaryIO, part: range, send: Send) -> None:
    file.seek(part.start)
    left = len(part)
    while left:
        chunk = await asyncio.to_thread(file.read, min(CHUNK, left))
        if not chunk:
            # The file became shorter. Ending here without the last message makes the server cut the connection.
            return
        left -= len(chunk)
        async with asyncio.timeout(CHUNK_SECONDS):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
