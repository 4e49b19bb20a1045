"""Reads the body of a request: no more bytes, no longer and no other encoding than allowed."""

import asyncio
from http import HTTPStatus

from uptane.metadata.errors import EndlessDataError, SlowRetrievalError
from uptane.services.asgi import Answer, Receive, Scope, header
from uptane.services.problems import problem, refusal

CLOSE = ((b"connection", b"close"),)


class BodyRefused(Exception):
    """The body cannot be taken.

    Args:
        answer: what to tell the sender; None when the sender has gone.
    """

    def __init__(self, answer: Answer | None) -> None:
        super().__init__()
        self.answer = answer


async def read_body(scope: Scope, receive: Receive, *, max_bytes: int, max_seconds: float) -> bytes:
    """The whole body.

    Args:
        scope, receive: of the ASGI call.
        max_bytes: larger bodies are refused with 413, on their Content-Length already where there is one.
        max_seconds: senders that need longer for the whole body are refused with 408.

    Raises:
        BodyRefused: with the answer to send.
    """
    if header(scope, b"content-encoding") not in (None, b"identity"):
        raise _refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send the body without a content encoding.")
    declared = header(scope, b"content-length")
    if declared is not None and not (declared.isdigit() and len(declared) < 20):
        raise _refused(HTTPStatus.BAD_REQUEST, "The Content-Length is not a number.")
    if declared is not None and int(declared) > max_bytes:
        raise _too_large(max_bytes)
    try:
        async with asyncio.timeout(max_seconds):
            return await _collect(receive, max_bytes)
    except TimeoutError as error:
        late = SlowRetrievalError(f"the body took more than {max_seconds:g} seconds")
        raise BodyRefused(problem(late, headers=CLOSE)) from error


async def _collect(receive: Receive, max_bytes: int) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise BodyRefused(None)
        body += message.get("body", b"")
        if len(body) > max_bytes:
            raise _too_large(max_bytes)
        if not message.get("more_body", False):
            return bytes(body)


def _too_large(max_bytes: int) -> BodyRefused:
    large = EndlessDataError(f"the body may have {max_bytes} bytes at most")
    return BodyRefused(problem(large, headers=CLOSE))


def _refused(status: HTTPStatus, detail: str) -> BodyRefused:
    return BodyRefused(refusal(status, detail, headers=CLOSE))
