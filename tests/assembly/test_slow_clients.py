"""Clients that take their answers slowly or not at all, on real sockets: kernels hold what they do not take."""

import asyncio
import select
import socket
import ssl
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from certificates import House, get
from raw_sockets import answer_of

from uptane.assembly import tls_server
from uptane.assembly.http_server import ServerThread
from uptane.assembly.slow_clients import LEAST_BYTES_PER_SECOND, PATIENCE, Seen, seen
from uptane.assembly.tls_context import server_tls
from uptane.assembly.tls_server import FLUSH_SECONDS, STALLED_SECONDS, TlsServer, listening
from uptane.services.asgi import Answer, Receive, Scope, Send
from uptane.services.static_files import CHUNK, CHUNK_SECONDS
from uptane.storage.objects import PIECE
from uptane.transport.limits import TransferLimits

SEND_BUFFER = 4 * 1024 * 1024
"""Bytes that Linux holds of one connection at most, unless it was told otherwise."""

LARGE = b"x" * (2 * SEND_BUFFER)


MIDDLE = LARGE[: SEND_BUFFER // 8]
"""More than a client with a small receive buffer takes, and all of it in the kernel at once."""


async def large_or_small(scope: Scope, receive: Receive, send: Send) -> None:
    body = {"/large": LARGE, "/middle": MIDDLE}.get(scope["path"], b"small")
    await Answer(status=200, content_type="text/plain", body=body).send(send)


@pytest.fixture
def servers() -> Iterator[ServerThread]:
    with ServerThread() as thread:
        yield thread


@pytest.fixture
def client(tmp_path: Path, servers: ServerThread, monkeypatch: pytest.MonkeyPatch) -> Iterator[ssl.SSLSocket]:
    """A client over TLS with a small receive buffer, of a server without patience."""
    monkeypatch.setattr(tls_server, "HEAD_SECONDS", 0.5)
    house = House(tmp_path)
    files = house.server()
    tls = server_tls(certificate=files.certificate, key=files.key, client_authorities=house.authority.certificate)
    port = servers.serve(TlsServer(large_or_small, listening("127.0.0.1", 0), tls=tls, grace_seconds=0))
    with socket.socket() as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plain.settimeout(10)
        plain.connect(("127.0.0.1", port))
        with house.stranger().wrap_socket(plain, server_hostname="localhost") as wrapped:
            yield wrapped


def wait_for_its_end(connection: socket.socket) -> None:
    """Until the server has ended the connection; the client reads nothing."""
    ended = select.poll()
    ended.register(connection, select.POLLRDHUP)
    assert ended.poll(10_000)


def test_what_a_vehicle_puts_up_with_is_served() -> None:
    floor = TransferLimits().min_bytes_per_second
    assert floor > LEAST_BYTES_PER_SECOND
    assert PATIENCE * STALLED_SECONDS * floor > SEND_BUFFER
    for seconds in (CHUNK_SECONDS, FLUSH_SECONDS):
        assert seconds * floor > SEND_BUFFER + 2 * max(CHUNK, PIECE)


def test_the_front_of_the_template_is_as_patient_as_the_server_behind_it() -> None:
    template = (Path(__file__).parents[2] / "deploy" / "nginx" / "uptane.conf").read_text("utf-8")
    assert f"send_timeout          {PATIENCE * STALLED_SECONDS:.0f}s;" in template
    assert "proxy_max_temp_file_size 0;" in template, "1 GiB at 1 MiB/s keeps the server waiting for longer"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has POLLRDHUP and long send buffers")
def test_the_end_of_an_answer_is_not_cut_off_while_a_client_takes_its_time(
    tmp_path: Path, servers: ServerThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another client, who asked later and never says goodbye, shows that the time for a goodbye is over."""
    monkeypatch.setattr(tls_server, "CLOSE_SECONDS", 0.05)
    house = House(tmp_path)
    files, client = house.server(), house.stranger()
    tls = server_tls(certificate=files.certificate, key=files.key, client_authorities=house.authority.certificate)
    port = servers.serve(TlsServer(large_or_small, listening("127.0.0.1", 0), tls=tls))
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        client.wrap_socket(plain, server_hostname="localhost") as slow,
        socket.create_connection(("127.0.0.1", port), timeout=10) as other,
        client.wrap_socket(other, server_hostname="localhost") as silent,
    ):
        slow.sendall(get("/large", "Connection: close"))
        begun = slow.recv(1)
        silent.sendall(get("/small", "Connection: close"))
        assert answer_of(silent).endswith(b"small")
        wait_for_its_end(silent)
        assert (begun + answer_of(slow)).endswith(b"\r\n\r\n" + LARGE)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a client has taken")
def test_a_client_that_takes_nothing_of_what_the_kernel_holds_is_cut_off(
    servers: ServerThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_server, "STALLED_SECONDS", 0.05)
    port = servers.serve(TlsServer(large_or_small, listening("127.0.0.1", 0), tls=None))
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(get("/large"))
        wait_for_its_end(connection)
        with pytest.raises(ConnectionResetError):
            answer_of(connection)


def asks_on_and_stops(client: ssl.SSLSocket) -> None:
    client.sendall(b"G")


def sends_no_more(client: ssl.SSLSocket) -> None:
    socket.socket.shutdown(client, socket.SHUT_WR)


def breaks_tls(client: ssl.SSLSocket) -> None:
    socket.socket.send(client, b"\x17\x03\x03\x00\x20" + bytes(32))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has POLLRDHUP and long send buffers")
@pytest.mark.parametrize("leaves", [asks_on_and_stops, sends_no_more, breaks_tls])
def test_who_leaves_in_the_middle_of_an_answer_leaves_nothing_of_it_in_the_kernel(
    client: ssl.SSLSocket, leaves: Callable[[ssl.SSLSocket], None]
) -> None:
    """What is left there belongs to no connection, and is sent for as long as the client likes."""
    client.sendall(get("/middle"))
    client.recv(1)
    leaves(client)
    wait_for_its_end(client)
    with pytest.raises(ConnectionResetError):
        while socket.socket.recv(client, 65536):
            continue


def test_who_has_taken_his_answer_and_says_goodbye_is_not_reset(client: ssl.SSLSocket) -> None:
    client.sendall(get("/small"))
    assert answer_of(client).endswith(b"small")
    assert client.unwrap().recv(1) == b""


def test_who_never_says_goodbye_is_cut_off_when_a_server_has_stopped(
    client: ssl.SSLSocket, servers: ServerThread
) -> None:
    client.sendall(get("/small", "Connection: close"))
    assert answer_of(client).endswith(b"small")
    assert client.recv(1) == b""
    servers.stop(client.getpeername()[1])
    wait_for_its_end(client)


class Transport(asyncio.Transport):
    """A transport that holds nothing itself."""

    def get_write_buffer_size(self) -> int:
        return 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a client has taken")
def test_what_the_kernel_holds_and_what_a_client_has_acknowledged_can_be_seen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        server, _ = listener.accept()
        with server:
            transport = Transport(extra={"socket": server})
            assert seen(transport) == Seen(0, None)
            server.setblocking(False)
            sent = 0
            with suppress(BlockingIOError):
                while True:
                    sent += server.send(LARGE)
            now = seen(transport)
            assert now.taken is not None and now.taken + now.waits >= sent > now.taken
            got = 0
            while got < sent:
                got += len(client.recv(1_000_000))
            while seen(transport).waits:
                continue
            taken = seen(transport).taken
            assert taken is not None and taken >= sent
        assert seen(transport) == Seen(0, None), "closed"
