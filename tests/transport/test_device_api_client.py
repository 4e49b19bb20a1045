"""What a vehicle makes of the answers of the device API, whoever gives them."""

import json
from collections.abc import Iterator

import pytest

from uptane.assembly.http_server import ServerThread
from uptane.metadata.errors import (
    EndlessDataError,
    ProvisioningError,
    RetiredVehicleError,
    SecurityError,
    UnreachableError,
    UptaneError,
)
from uptane.services.asgi import Receive, Scope, Send
from uptane.transport.device_api import MAX_ANSWER, DeviceApiClient
from uptane.transport.limits import TransferLimits

Said = dict[str, tuple[int, bytes]]


@pytest.fixture(scope="module")
def said() -> Said:
    """What the server answers, by path."""
    return {}


@pytest.fixture(scope="module")
def client(said: Said) -> Iterator[DeviceApiClient]:
    """A vehicle's client of a server that says what a test wants."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        status, body = said[scope["path"]]
        headers = [(b"content-type", b"application/problem+json"), (b"uptane-poll-seconds", b"60")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    with ServerThread() as servers:
        url = f"http://127.0.0.1:{servers.start(app, 0)}"
        yield DeviceApiClient(url, limits=TransferLimits(), tls=None, polled=POLLED.append)


POLLED: list[str] = []


def refused(client: DeviceApiClient, said: Said, status: int, body: bytes) -> UptaneError:
    """How the client tells an answer."""
    said["/x"] = (status, body)
    POLLED.clear()
    with pytest.raises(UptaneError) as caught:
        client.send("POST", "/x", b"")
    assert POLLED == [], "a refusal moves no time"
    return caught.value


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, "E-NO-IDENTITY", ProvisioningError),
        (409, "E-REGISTERED", ProvisioningError),
        (403, "E-IDENTITY", SecurityError),
        (410, "E-RETIRED", RetiredVehicleError),
        (507, "E-STORAGE", UnreachableError),
    ],
)
def test_a_refusal_is_told_with_its_code_and_without_what_steers_a_terminal(
    client: DeviceApiClient, said: Said, status: int, code: str, kind: type[UptaneError]
) -> None:
    body = json.dumps({"detail": "no\x1b[2Jway.", "code": code, "next_step": "go\x07home"}).encode()
    error = refused(client, said, status, body)
    assert (type(error), error.facts["code"], error.next_step) == (kind, code, "go home")
    assert error.what.isprintable() and error.what.endswith("no [2Jway")


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"null", b"[" * 60_000, b'{"detail":"x","code":"\\u001b[2J"}', b'{"detail":"x","code":"E-"}', b"\xff"],
)
def test_an_answer_that_is_no_problem_is_no_answer(client: DeviceApiClient, said: Said, body: bytes) -> None:
    assert isinstance(refused(client, said, 403, body), UnreachableError)


def test_an_endless_answer_is_left(client: DeviceApiClient, said: Said) -> None:
    assert isinstance(refused(client, said, 200, b" " * (MAX_ANSWER + 1)), EndlessDataError)


def test_a_good_answer_tells_when_to_come_back(client: DeviceApiClient, said: Said) -> None:
    said["/x"] = (200, b"done")
    POLLED.clear()
    assert client.send("PUT", "/x", b"manifest") == b"done"
    assert POLLED == ["60"]
