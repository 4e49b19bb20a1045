"""Errors as problem documents after RFC 9457."""

import json
from http import HTTPStatus

import pytest

from uptane.metadata.errors import (
    BadHashError,
    BadSignatureError,
    SpoofingError,
    StorageError,
    UnknownVehicleError,
    UptaneError,
)
from uptane.services.problems import CONTENT_TYPE, STATUS, problem, refusal, status_of
from uptane.services.request_context import CURRENT, RequestRecord


def family(kind: type[UptaneError]) -> list[type[UptaneError]]:
    return [kind, *(found for child in kind.__subclasses__() for found in family(child))]


@pytest.mark.parametrize("kind", family(UptaneError), ids=lambda kind: kind.__name__)
def test_every_error_has_a_status_that_says_failure(kind: type[UptaneError]) -> None:
    assert 400 <= status_of(kind("x")) < 600


def test_an_error_without_its_own_status_has_that_of_its_family() -> None:
    assert BadHashError not in STATUS
    assert status_of(BadHashError("x")) is HTTPStatus.UNPROCESSABLE_ENTITY


def test_a_problem_tells_what_happened_which_attack_and_what_to_do() -> None:
    answer = problem(SpoofingError("the key is not TCU's", next_step="Register it.", ecu="TCU"))
    assert (answer.status, answer.content_type) == (403, CONTENT_TYPE)
    assert json.loads(answer.body) == {
        "type": "about:blank",
        "title": "Forbidden",
        "status": 403,
        "detail": "the key is not TCU's.",
        "code": "E-SPOOF",
        "attack": "spoofing",
        "next_step": "Register it.",
    }


def test_what_an_error_does_not_have_is_left_out() -> None:
    assert "attack" not in json.loads(problem(UnknownVehicleError("no vehicle x")).body)
    assert "next_step" not in json.loads(problem(BadSignatureError("no key signed it")).body)


def test_what_is_wrong_with_a_servers_stores_is_told_to_its_log_alone() -> None:
    """Anybody may ask, also a stranger at first contact."""
    error = StorageError(
        "the inventory postgresql://uptane@db.internal/fleet failed",
        next_step="Ask fleet-admin.",
        database="db.internal",
    )
    token = CURRENT.set(record := RequestRecord("name"))
    try:
        answer = problem(error)
    finally:
        CURRENT.reset(token)
    assert (answer.status, json.loads(answer.body)["code"]) == (507, "E-STORAGE")
    assert not any(word in answer.body for word in (b"postgresql", b"internal", b"fleet"))
    assert record.what == error.what


def test_a_refusal_of_http_is_a_problem_too() -> None:
    body = json.loads(refusal(HTTPStatus.METHOD_NOT_ALLOWED, "Files are read only.").body)
    assert body == {
        "type": "about:blank",
        "title": "Method Not Allowed",
        "status": 405,
        "detail": "Files are read only.",
        "code": "E-HTTP",
    }
