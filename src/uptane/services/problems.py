"""Errors as HTTP answers: problem details after RFC 9457, with the status of each class of error in one table."""

import json
from http import HTTPStatus

from uptane.metadata.errors import (
    AlreadyRegisteredError,
    BadSignatureError,
    EndlessDataError,
    FormatError,
    IdentityError,
    ImageNotListedError,
    NoIdentityError,
    ProvisioningError,
    ReplayedMetadataError,
    ReplayedReportError,
    RetiredVehicleError,
    SecurityError,
    SlowRetrievalError,
    SpoofingError,
    StorageError,
    UndecidedError,
    UnknownBaseError,
    UnknownEcuError,
    UnknownVehicleError,
    UnreachableError,
    UnsatisfiableError,
    UptaneError,
    WrongVehicleError,
)
from uptane.services.asgi import Answer, Headers
from uptane.services.request_context import CURRENT

CONTENT_TYPE = "application/problem+json"

HTTP_CODE = "E-HTTP"
"""The code of what HTTP itself forbids; the status tells the rest."""

STATUS: dict[type[UptaneError], HTTPStatus] = {
    FormatError: HTTPStatus.BAD_REQUEST,
    BadSignatureError: HTTPStatus.FORBIDDEN,
    SpoofingError: HTTPStatus.FORBIDDEN,
    IdentityError: HTTPStatus.FORBIDDEN,
    RetiredVehicleError: HTTPStatus.GONE,
    NoIdentityError: HTTPStatus.UNAUTHORIZED,
    WrongVehicleError: HTTPStatus.FORBIDDEN,
    ReplayedMetadataError: HTTPStatus.CONFLICT,
    ReplayedReportError: HTTPStatus.CONFLICT,
    EndlessDataError: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    SlowRetrievalError: HTTPStatus.REQUEST_TIMEOUT,
    ImageNotListedError: HTTPStatus.NOT_FOUND,
    SecurityError: HTTPStatus.UNPROCESSABLE_ENTITY,
    UnknownBaseError: HTTPStatus.CONFLICT,
    UnknownVehicleError: HTTPStatus.NOT_FOUND,
    UnknownEcuError: HTTPStatus.NOT_FOUND,
    AlreadyRegisteredError: HTTPStatus.CONFLICT,
    UnsatisfiableError: HTTPStatus.CONFLICT,
    UndecidedError: HTTPStatus.CONFLICT,
    ProvisioningError: HTTPStatus.CONFLICT,
    UnreachableError: HTTPStatus.BAD_GATEWAY,
    StorageError: HTTPStatus.INSUFFICIENT_STORAGE,
    UptaneError: HTTPStatus.INTERNAL_SERVER_ERROR,
}
"""The status of each class; a class that is not here has that of its nearest ancestor."""


def status_of(error: UptaneError) -> HTTPStatus:
    """The HTTP status for an error."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def problem(error: UptaneError, *, headers: Headers = ()) -> Answer:
    """An error as an answer; `code`, `attack` and `next_step` are extension members.

    What is wrong with a server's own stores names files, hosts and users, and is for its log alone.
    """
    what, next_step = error.what, error.next_step
    if isinstance(error, StorageError):
        what, next_step = "the server could not read or write what it keeps", "Try again later; its log tells more."
    extensions = {"code": error.code, "attack": error.attack, "next_step": next_step}
    given = {name: value for name, value in extensions.items() if value}
    record = CURRENT.get()
    if record is not None:
        record.what = error.what
    return _answer(status_of(error), f"{what}.", given, headers)


def refusal(status: HTTPStatus, detail: str, *, headers: Headers = ()) -> Answer:
    """A request that HTTP itself forbids here: the wrong method, place, encoding or host."""
    return _answer(status, detail, {"code": HTTP_CODE}, headers)


def _answer(status: HTTPStatus, detail: str, extensions: dict[str, str], headers: Headers = ()) -> Answer:
    record = CURRENT.get()
    if record is not None:
        record.code = extensions["code"]
        extensions = {**extensions, "instance": record.uri}
    members = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail, **extensions}
    return Answer(status=status.value, content_type=CONTENT_TYPE, body=json.dumps(members).encode(), headers=headers)
