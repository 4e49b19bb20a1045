"""A request that is bad gets an answer where that can be told from all others, and the end of its connection."""

from typing import Any

import pytest
from certificates import get
from raw_sockets import raw_connection, status_of
from still_loop import Loop, Transport, answered, connected

from uptane.assembly.http_server import ServerThread
from uptane.assembly.tls_server import MAX_HEAD_BYTES, TlsServer, listening
from uptane.services.asgi import Receive, Scope, Send

CHUNKED = b"PUT / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
REQUEST = get("/")

BAD = [
    pytest.param(b"\0\r\n\r\n", 400, id="no HTTP"),
    pytest.param(b"GET http://[ HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, id="a bad address"),
    pytest.param(get("/", "Connection: Upgrade", "Upgrade: h2c"), 400, id="another protocol"),
    pytest.param(b"GET / HTTP/1.1\r\nA: " + b"a" * MAX_HEAD_BYTES, 431, id="a large head"),
]


@pytest.fixture
def transport() -> Transport:
    return Transport(over_tls=False)


@pytest.fixture
def connection(transport: Transport) -> Any:
    return connected(Loop(), transport)


@pytest.mark.parametrize(("bad", "status"), BAD)
def test_a_bad_request_is_answered_where_no_other_one_waits(
    connection: Any, transport: Transport, bad: bytes, status: int
) -> None:
    connection.data_received(REQUEST)
    answered(connection)
    connection.data_received(bad)
    assert status_of(transport.written) == status and transport.closed


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize(("bad", "status"), BAD)
def test_a_bad_request_is_not_answered_in_the_place_of_the_one_before_it(
    connection: Any, transport: Transport, bad: bytes, status: int, begun: bool
) -> None:
    """It would be taken for the answer to that one, or for a part of it."""
    connection.data_received(REQUEST)
    connection.cycle.response_started = begun
    connection.data_received(bad)
    assert transport.written == b"" and transport.closed


def test_a_bad_body_is_answered_once(connection: Any, transport: Transport) -> None:
    connection.data_received(CHUNKED)
    connection.data_received(b"x\r\n")
    assert status_of(transport.written) == 400 and transport.closed


@pytest.mark.parametrize("ended", [False, True])
def test_a_bad_body_is_not_answered_into_the_answer_to_its_own_request(
    connection: Any, transport: Transport, ended: bool
) -> None:
    connection.data_received(CHUNKED)
    connection.cycle.response_started = True
    if ended:
        answered(connection)
    connection.data_received(b"x\r\n")
    assert transport.written == b"" and transport.closed


def test_a_bad_body_is_not_answered_in_the_place_of_the_request_before_its_own(
    connection: Any, transport: Transport
) -> None:
    connection.data_received(REQUEST + CHUNKED + b"x\r\n")
    assert transport.written == b"" and transport.closed


def test_an_answer_under_way_is_cut_off_where_a_bad_request_follows() -> None:
    async def waiting(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"10")]})
        await send({"type": "http.response.body", "body": b"12345", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            continue

    server = TlsServer(waiting, listening("127.0.0.1", 0), tls=None)
    with ServerThread() as servers, raw_connection(servers.serve(server)) as connection:
        connection.sendall(REQUEST)
        answer = b""
        while not answer.endswith(b"12345"):
            answer += connection.recv(100)
        connection.sendall(b"\0\r\n\r\n")
        assert connection.recv(100) == b""
