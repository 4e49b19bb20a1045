"""The few pieces of ASGI that all our HTTP applications share: their types, answers and the check of the Host."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from uptane.formats.profile import Profile

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
"""Names that a request to this machine carries in its Host header. A web page that has rebound its own name to
127.0.0.1 still sends its own name."""


def host_names(profile: Profile) -> frozenset[str]:
    """The names that a server on this machine answers to."""
    return LOOPBACK_NAMES | ({"0.0.0.0"} if profile.unsafe_any_address_as_host else set())  # noqa: S104 - a name


Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]

FIXED_HEADERS: Headers = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole HTTP response that fits into memory.

    Args:
        status: the HTTP status.
        content_type: of the body.
        body: the bytes.
        headers: further headers.
    """

    status: int
    content_type: str
    body: bytes
    headers: Headers = ()

    async def send(self, send: Send) -> None:
        """Sends it."""
        head = ((b"content-type", self.content_type.encode()), (b"content-length", str(len(self.body)).encode()))
        headers = [*head, *FIXED_HEADERS, *self.headers]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


def header(scope: Scope, name: bytes) -> bytes | None:
    """The value of a request header; None when it is absent or there more than once."""
    values = [value for key, value in scope["headers"] if key == name]
    return values[0] if len(values) == 1 else None


def host_is_allowed(scope: Scope, allowed: Iterable[str]) -> bool:
    """Whether the request's one Host header, without its port, is an allowed name."""
    host = (header(scope, b"host") or b"").decode("latin-1").lower()
    name, colon, port = host.rpartition(":")
    if not colon or not port.isdecimal():
        name = host
    return name in allowed
