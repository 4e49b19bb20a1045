"""Names, times, counts and logs every request, and turns what nobody foresaw into a problem with the same name."""

import re
import secrets
from collections.abc import Callable
from time import perf_counter
from typing import Any, Protocol

from uptane.metadata.errors import IdentityError, UptaneError
from uptane.services.asgi import Application, Message, Receive, Scope, Send, header
from uptane.services.identity import IDENTITY, Identity
from uptane.services.metrics import count_request
from uptane.services.metrics_page import RouteNames
from uptane.services.problems import problem
from uptane.services.request_context import CURRENT, RequestRecord

REQUEST_ID = b"x-request-id"
"""The header in which a front gives a request's name, and in which every answer has it."""

MAX_LOGGED_PATH = 200

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{8,64}")
_NEXT_ROOT = re.compile(r"/(?:director|repo)/[0-9]+\.root\.[a-z]+")


class Log(Protocol):
    """A structured log, such as structlog's."""

    def debug(self, event: str, **fields: Any) -> Any:
        """What is of interest in trouble only."""
        ...

    def info(self, event: str, **fields: Any) -> Any:
        """What happened."""
        ...

    def warning(self, event: str, **fields: Any) -> Any:
        """What was refused."""
        ...

    def error(self, event: str, **fields: Any) -> Any:
        """What an operator has to look at."""
        ...

    def exception(self, event: str, **fields: Any) -> Any:
        """The same, with the exception that is being handled."""
        ...


class Observed:
    """Stands before everything else, `Identified` too.

    A request that changes nothing and answers that there is nothing new is logged at level debug. Bodies, headers and
    queries are never logged. The text of an error is logged where it is the server's own, or about a certificate; else
    its code, because texts can repeat what came in.

    Args:
        app: the application.
        routes: names routes for counts and logs.
        log: where to.
        is_front: whether a request comes from a front, whose names of requests are taken over.
    """

    def __init__(self, app: Application, routes: RouteNames, log: Log, is_front: Callable[[Scope], bool]) -> None:
        self._app = app
        self._routes = routes
        self._log = log
        self._is_front = is_front

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; other kinds of connection are passed on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = perf_counter()
        record = RequestRecord(self._named(scope))
        status = sent = 0
        path = scope["path"]

        async def watched(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = int(message["status"])
                message["headers"] = [*message["headers"], (REQUEST_ID, record.id.encode())]
            else:
                sent += len(message.get("body", b""))
            await send(message)

        token = CURRENT.set(record)
        try:
            await self._app(scope, receive, watched)
        except Exception:  # noqa: BLE001 - logged, and answered
            self._log.exception("a request failed in a way that nobody foresaw", request=record.id)
            if not status:
                await problem(_unforeseen()).send(watched)
        finally:
            CURRENT.reset(token)
            seconds = perf_counter() - began
            route = self._routes.name(path)
            newest = status == 404 and _NEXT_ROOT.fullmatch(path) is not None
            if newest:
                record.code = ""  # that a Root is the newest is no refusal
            count_request(scope["method"], route, status, seconds, sent, record.code)
            level = self._log.debug if newest or status == 304 else self._level(status)
            self._report(level, scope, route, status, seconds, sent, record)

    def _named(self, scope: Scope) -> str:
        given = header(scope, REQUEST_ID)
        if given is not None and _REQUEST_ID.fullmatch(given) and self._is_front(scope):
            return given.decode()
        return secrets.token_hex(16)

    def _level(self, status: int) -> Callable[..., Any]:
        if status < 400:
            return self._log.info
        return self._log.warning if status < 500 else self._log.error

    def _report(
        self,
        level: Callable[..., Any],
        scope: Scope,
        route: str,
        status: int,
        seconds: float,
        sent: int,
        record: RequestRecord,
    ) -> None:
        identity = scope.get(IDENTITY)
        fields: dict[str, object] = {
            "request": record.id,
            "vehicle": str(identity.vehicle) if isinstance(identity, Identity) else None,
            "method": scope["method"],
            "route": route,
            "path": scope.get("raw_path", b"")[:MAX_LOGGED_PATH].decode("ascii", "backslashreplace"),
            "status": status,
            "bytes": sent,
            "seconds": round(seconds, 6),
        }
        if record.code:
            fields["code"] = record.code
            if status >= 500 or record.code == IdentityError.code:
                fields["error"] = record.what
        level("request", **fields)


def _unforeseen() -> UptaneError:
    return UptaneError(
        "the server met something that nobody foresaw", next_step="Its log tells more under the name in `instance`."
    )
