"""What a client achieves that sends what nobody asked for, or takes no answer: it needs no certificate for that."""

import asyncio
import base64
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from certificates import URI, House, der_of, get
from raw_sockets import answer_of, raw_connection, say, status_of
from still_loop import Loop, Transport, answered, connected

from uptane.assembly import slow_clients, tls_server
from uptane.assembly.http_server import ServerThread
from uptane.assembly.slow_clients import LEAST_BYTES_PER_SECOND, PATIENCE, Seen
from uptane.assembly.tls_server import (
    CLOSE_SECONDS,
    HEAD_SECONDS,
    KEEP_ALIVE_SECONDS,
    MAX_WAITING,
    REST_SECONDS,
    STALLED_SECONDS,
    TlsServer,
    listening,
)
from uptane.services.asgi import Answer, Receive, Scope, Send
from uptane.services.identity import IDENTITY, Identification, Identified, RevokedSerials

CHUNKED = b"PUT / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
REQUEST = get("/")

LEAST_TAKEN = int(STALLED_SECONDS * LEAST_BYTES_PER_SECOND)


@pytest.fixture
def servers() -> Iterator[ServerThread]:
    with ServerThread() as thread:
        yield thread


class Asked:
    """Answers at once, and remembers who asked how."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        await Answer(status=200, content_type="text/plain", body=b"nobody" if not scope[IDENTITY] else b"").send(send)


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
def port(servers: ServerThread, asked: Asked) -> int:
    """Of a server behind a front at this address, which ends TLS."""
    known = Identification(revocations=RevokedSerials(()), now=lambda: datetime.now(UTC), fronts=["127.0.0.1"])
    return servers.serve(TlsServer(Identified(asked, known), listening("127.0.0.1", 0), tls=None))


def test_a_trailer_that_a_front_lets_through_says_nothing_of_who_asks(port: int, asked: Asked, tmp_path: Path) -> None:
    """A front replaces the header of a client, and knows nothing of what comes behind the body."""
    stolen = base64.b64encode(der_of(House(tmp_path).forged([URI])))
    answer = say(port, CHUNKED + b"1\r\nx\r\n0\r\nClient-Cert: :" + stolen + b":\r\n\r\n")
    assert answer.endswith(b"nobody")
    assert asked.scopes[0]["headers"] == [(b"host", b"localhost"), (b"transfer-encoding", b"chunked")]


@pytest.mark.parametrize("protocol", [b"websocket", b"h2c", b"TLS/1.0"])
def test_a_body_behind_a_wish_for_another_protocol_is_no_request_of_somebody_else(
    port: int, asked: Asked, tmp_path: Path, protocol: bytes
) -> None:
    """A front passes both on, and what it does not take for a request has no header of its own."""
    stolen = base64.b64encode(der_of(House(tmp_path).forged([URI]))).decode()
    hidden = get("/", f"Client-Cert: :{stolen}:")
    length = b"\r\nContent-Length: %d\r\n\r\n" % len(hidden)
    with raw_connection(port) as connection:
        connection.sendall(b"PUT / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: " + protocol + length)
        assert status_of(answer_of(connection)) == 400
        with suppress(OSError):
            connection.sendall(hidden)
            answer_of(connection)
    assert asked.scopes == []


@pytest.mark.parametrize(
    ("begun", "more"),
    [(b"0\r\n", b"a: b\r\n"), (b"0\r\na: ", b"b"), (b"1;a=", b"b"), (b"0", b"0")],
    ids=["trailers", "one trailer", "an extension of a chunk", "the length of a chunk"],
)
def test_what_is_endless_between_the_pieces_of_a_body_is_cut_off(
    port: int, asked: Asked, begun: bytes, more: bytes
) -> None:
    with raw_connection(port) as connection:
        connection.sendall(CHUNKED + begun)
        assert status_of(answer_of(connection)) == 200
        with pytest.raises(ConnectionError):
            for _ in range(1000):
                connection.sendall(more * 10_000)
    assert len(asked.scopes[0]["headers"]) == 2


@pytest.mark.parametrize("framing", [b"Content-Length: 100", b"Transfer-Encoding: chunked"])
def test_a_body_that_nobody_asked_for_is_not_waited_for_once_the_request_is_answered(
    servers: ServerThread, asked: Asked, port: int, monkeypatch: pytest.MonkeyPatch, framing: bytes
) -> None:
    monkeypatch.setattr(tls_server, "REST_SECONDS", 0.1)
    with raw_connection(port) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n" + framing + b"\r\n\r\n")
        assert status_of(answer_of(connection)) == 200
        connection.sendall(b"1")
        with suppress(ConnectionError):
            assert connection.recv(100) == b""


def test_a_body_that_comes_after_the_answer_does_not_cost_the_connection(port: int) -> None:
    with raw_connection(port) as connection:
        for _ in range(2):
            connection.sendall(CHUNKED)
            assert status_of(answer_of(connection)) == 200
            connection.sendall(b"1\r\nx\r\n0\r\nTrailer: x\r\n\r\n")


def test_a_client_that_takes_nothing_of_its_answer_is_cut_off(
    servers: ServerThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_server, "STALLED_SECONDS", 0.1)
    gone = threading.Event()

    async def endless(send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": bytes(1_000_000), "more_body": True})

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        answering = asyncio.create_task(endless(send))
        while (await receive())["type"] != "http.disconnect":
            continue
        answering.cancel()
        gone.set()

    with raw_connection(servers.serve(TlsServer(watched, listening("127.0.0.1", 0), tls=None))) as connection:
        connection.sendall(REQUEST)
        assert gone.wait(10)


def test_requests_that_nobody_waits_for_the_answers_of_do_not_fill_the_memory(
    connection: Any, loop: Loop, transport: Transport
) -> None:
    connection.data_received(REQUEST * (1 + MAX_WAITING))
    assert len(connection.pipeline) == MAX_WAITING and not transport.is_closing()
    connection.on_response_complete()
    assert not transport.reads, "before all of them are answered"
    connection.data_received(REQUEST * 1000)
    assert len(connection.pipeline) == MAX_WAITING + 1 and transport.is_closing()


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def over_tls() -> bool:
    return True


@pytest.fixture
def transport(over_tls: bool) -> Transport:
    return Transport(over_tls=over_tls)


@pytest.fixture
def connection(loop: Loop, transport: Transport, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A connection of a server, on that loop."""
    monkeypatch.setattr(slow_clients, "seen", lambda of: Seen(of.waits, of.taken))
    return connected(loop, transport)


def test_the_end_of_an_answer_that_a_slow_client_still_takes_is_not_cut_off_as_a_late_head(
    connection: Any, loop: Loop, transport: Transport
) -> None:
    assert loop.pending() == [HEAD_SECONDS]
    connection.data_received(REQUEST)
    assert loop.pending() == []
    answered(connection)
    assert loop.pending() == [KEEP_ALIVE_SECONDS]


def test_who_has_begun_to_ask_again_waits_for_the_answer_and_then_has_to_go_on(
    connection: Any, loop: Loop, transport: Transport
) -> None:
    connection.data_received(REQUEST + b"G")
    loop.pass_by()
    assert loop.pending() == [HEAD_SECONDS] and not transport.aborted
    answered(connection)
    loop.pass_by()
    assert transport.aborted


def test_who_sends_ends_of_lines_and_no_request_is_cut_off(connection: Any, loop: Loop, transport: Transport) -> None:
    connection.data_received(REQUEST)
    answered(connection)
    connection.data_received(b"\r\n")
    assert loop.pending() == [HEAD_SECONDS]
    loop.pass_by()
    assert transport.aborted


def test_a_body_that_ends_after_its_answer_leaves_the_whole_time_for_the_next_request(
    connection: Any, loop: Loop
) -> None:
    connection.data_received(CHUNKED)
    answered(connection)
    assert loop.pending() == [KEEP_ALIVE_SECONDS, REST_SECONDS]
    connection.data_received(b"0\r\n\r\n")
    assert loop.pending() == [KEEP_ALIVE_SECONDS]


def test_an_idle_connection_is_not_timed_once_the_next_request_comes_with_the_end_of_a_body(
    connection: Any, loop: Loop
) -> None:
    connection.data_received(CHUNKED)
    answered(connection)
    connection.data_received(b"0\r\n\r\n" + REQUEST)
    assert loop.pending() == []


def test_a_client_that_takes_its_answer_slowly_gets_all_of_it_and_one_that_stops_does_not(
    connection: Any, loop: Loop, transport: Transport
) -> None:
    connection.data_received(REQUEST)
    transport.waits = 10 * LEAST_TAKEN
    loop.pass_by()
    for _ in range(5):
        transport.takes(LEAST_TAKEN)
        loop.pass_by()
        assert not transport.aborted
    transport.takes(LEAST_TAKEN - 1)
    loop.pass_by()
    assert transport.aborted


@pytest.mark.parametrize("over_tls", [False])
def test_a_front_that_takes_lumps_for_a_slow_client_gets_all_and_one_that_stops_does_not(
    connection: Any, loop: Loop, transport: Transport
) -> None:
    connection.data_received(REQUEST)
    transport.waits = 10 * LEAST_TAKEN
    loop.pass_by(STALLED_SECONDS)
    for _ in range(3):
        for _ in range(PATIENCE - 1):
            loop.pass_by(STALLED_SECONDS)
        transport.takes(1)
        loop.pass_by(STALLED_SECONDS)
    for _ in range(PATIENCE):
        assert not transport.aborted
        loop.pass_by(STALLED_SECONDS)
    assert transport.aborted


def test_a_server_that_has_little_to_give_does_not_take_its_client_for_a_slow_one(
    connection: Any, loop: Loop, transport: Transport
) -> None:
    connection.data_received(REQUEST)
    for _ in range(5):
        transport.waits = 10
        loop.pass_by()
        transport.takes(10)
    assert not transport.aborted


def test_the_end_of_an_answer_is_waited_for_before_a_connection_is_idle(
    connection: Any, loop: Loop, transport: Transport
) -> None:
    connection.data_received(REQUEST)
    answered(connection)
    transport.waits = 10
    loop.pass_by(KEEP_ALIVE_SECONDS)
    transport.takes(10)
    loop.pass_by(KEEP_ALIVE_SECONDS)
    assert loop.pending() == [KEEP_ALIVE_SECONDS] and not transport.closed
    loop.pass_by(KEEP_ALIVE_SECONDS)
    assert transport.closed


def test_a_closed_connection_ends_without_a_goodbye_once_its_client_has_taken_all(
    connection: Any, loop: Loop, transport: Transport
) -> None:
    transport.waits = 10
    transport.close()
    for _ in range(5):
        loop.pass_by(CLOSE_SECONDS)
    transport.takes(10)
    loop.pass_by(CLOSE_SECONDS)
    assert not transport.aborted
    loop.pass_by(CLOSE_SECONDS)
    assert transport.aborted


def test_where_nobody_counts_what_a_client_takes_it_is_cut_off_once_nothing_moves_for_long(
    connection: Any, loop: Loop, transport: Transport
) -> None:
    transport.taken = None
    connection.data_received(REQUEST)
    transport.waits = 10
    loop.pass_by(STALLED_SECONDS)
    for _ in range(PATIENCE - 1):
        loop.pass_by(STALLED_SECONDS)
    connection.resume_writing()
    for _ in range(PATIENCE):
        loop.pass_by(STALLED_SECONDS)
        assert not transport.aborted
    loop.pass_by(STALLED_SECONDS)
    assert transport.aborted
