"""The XML-RPC door: an ASGI application that lets callers use the methods it was given, and nothing else.

Every refusal of a method is a fault in the form of `uptane.formats.fault_text`; what HTTP itself forbids (method,
place, size, encoding, host) is a problem document. The door has no authentication of its own: whoever opens it
listens on 127.0.0.1 or puts a gateway before it.
"""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from http import HTTPStatus

from uptane.formats.fault_text import INTERNAL_ERROR, fault_text
from uptane.formats.xmlrpc import decode_call, encode_fault, encode_response
from uptane.metadata.errors import FormatError, UptaneError
from uptane.services.asgi import LOOPBACK_NAMES, Answer, Receive, Scope, Send, header, host_is_allowed
from uptane.services.problems import refusal
from uptane.services.request_body import BodyRefused, read_body
from uptane.services.xmlrpc_arguments import Parameters

_log = logging.getLogger(__name__)
_log.addHandler(logging.NullHandler())

Method = Callable[..., Awaitable[object] | object]

MAX_BODY = 16 * 1024 * 1024
"""Bytes of a request: a manifest of a thousand ECUs with post-quantum signatures takes half of it."""

BODY_SECONDS = 20.0
"""Seconds for a whole body: `MAX_BODY` at the slowest speed that a transfer may have would take far longer, but
nobody sends such a body over a slow line."""


class FaultCode(IntEnum):
    """Numbers of faults. The negative ones are those that XML-RPC servers agree on."""

    REFUSED = 1
    NOT_XMLRPC = -32700
    NO_SUCH_METHOD = -32601
    BAD_ARGUMENTS = -32602
    INTERNAL = -32603


@dataclass(frozen=True, slots=True)
class _Offer:
    method: Method
    parameters: Parameters


class XmlRpcDoor:
    """Serves methods over XML-RPC at one path.

    Args:
        methods: the methods by the names under which callers know them. `async def` ones run on the event loop,
            others in a worker thread. Their annotations are checked before they are called (see `Parameters`).
        path: the only path that is served.
        max_body: bytes of a request.
        body_seconds: seconds in which a whole request has to arrive.
        allowed_hosts: names, without port, that a Host header may carry.
    """

    def __init__(
        self,
        methods: Mapping[str, Method],
        *,
        path: str = "/RPC2",
        max_body: int = MAX_BODY,
        body_seconds: float = BODY_SECONDS,
        allowed_hosts: Iterable[str] = LOOPBACK_NAMES,
    ) -> None:
        self._offers = {name: _Offer(method, Parameters(method)) for name, method in methods.items()}
        self._path = path
        self._max_body = max_body
        self._body_seconds = body_seconds
        self._allowed_hosts = frozenset(name.lower() for name in allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One HTTP request."""
        if scope["type"] != "http":
            # A server that asks for more than HTTP (lifespan, WebSocket) learns by silence that there is no more.
            return
        answer = self._refusal(scope)
        if answer is None:
            try:
                raw = await read_body(scope, receive, max_bytes=self._max_body, max_seconds=self._body_seconds)
            except BodyRefused as refused:
                answer = refused.answer
            else:
                answer = Answer(status=HTTPStatus.OK, content_type="text/xml", body=await self._respond(raw))
        if answer is not None:
            await answer.send(send)

    def _refusal(self, scope: Scope) -> Answer | None:
        if not host_is_allowed(scope, self._allowed_hosts):
            return refusal(HTTPStatus.MISDIRECTED_REQUEST, "This server does not answer to that host name.")
        if scope["path"] != self._path:
            return refusal(HTTPStatus.NOT_FOUND, f"XML-RPC is served at {self._path} only.")
        if scope["method"] != "POST":
            allow = ((b"allow", b"POST"),)
            return refusal(HTTPStatus.METHOD_NOT_ALLOWED, "XML-RPC is called with POST only.", headers=allow)
        media_type = (header(scope, b"content-type") or b"").partition(b";")[0].strip().lower()
        if media_type not in (b"text/xml", b"application/xml"):
            # Also what keeps web pages out: a page of another origin may send text/plain, but not this.
            return refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "XML-RPC is sent as text/xml.")
        return None

    async def _respond(self, raw: bytes) -> bytes:
        try:
            name, args = decode_call(raw)
        except FormatError as error:
            return encode_fault(FaultCode.NOT_XMLRPC, fault_text(error))
        offer = self._offers.get(name)
        if offer is None:
            unknown = UptaneError(
                f"there is no method {name!r} here", next_step="Ask for one of the documented methods."
            )
            return encode_fault(FaultCode.NO_SUCH_METHOD, fault_text(unknown))
        try:
            offer.parameters.check(name, args)
        except FormatError as error:
            return encode_fault(FaultCode.BAD_ARGUMENTS, fault_text(error))
        try:
            result = await _call(offer.method, args)
        except UptaneError as error:
            return encode_fault(FaultCode.REFUSED, fault_text(error))
        except Exception:  # noqa: BLE001 - whatever it is, its text stays on this side
            return _internal_error(name)
        try:
            return encode_response(result)
        except FormatError:
            return _internal_error(name)


def _internal_error(name: str) -> bytes:
    _log.exception("the method %s failed in a way that nobody foresaw", name)
    return encode_fault(FaultCode.INTERNAL, INTERNAL_ERROR)


async def _call(method: Method, args: tuple[object, ...]) -> object:
    if inspect.iscoroutinefunction(method) or inspect.iscoroutinefunction(getattr(method, "__call__", None)):  # noqa: B004
        result = method(*args)
    else:
        result = await asyncio.to_thread(method, *args)
    return await result if inspect.isawaitable(result) else result
