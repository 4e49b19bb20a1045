"""The server for vehicles on real TLS sockets: who gets in, as whom, and what slow and endless clients achieve."""

import asyncio
import json
import logging
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from certificates import DAY, NOW, URI, VIN, House, ask, get
from cryptography.x509.oid import ExtendedKeyUsageOID
from raw_sockets import answer_of, status_of

from uptane.assembly import tls_server
from uptane.assembly.http_server import ServerThread
from uptane.assembly.tls_context import server_tls
from uptane.assembly.tls_server import MAX_HEAD_BYTES, TlsServer, listening
from uptane.metadata.errors import NoIdentityError, StorageError
from uptane.metadata.identifiers import VehicleIdentifier
from uptane.metadata.keys import KeyType
from uptane.services.asgi import Answer, Receive, Scope, Send
from uptane.services.identity import IDENTITY, Identification, Identified, RevokedSerials, identity_of
from uptane.services.problems import problem
from uptane.services.request_body import read_body


async def who_am_i(scope: Scope, receive: Receive, send: Send) -> None:
    """`/mine` is for vehicles and says who they are; anything else is for everybody."""
    if scope["path"] == "/body":
        body = await read_body(scope, receive, max_bytes=100_000, max_seconds=10)
        await Answer(status=200, content_type="text/plain", body=str(len(body)).encode()).send(send)
    elif scope["path"] == "/mine":
        try:
            body = identity_of(scope).vehicle.encode()
        except NoIdentityError as error:
            await problem(error).send(send)
            return
        await Answer(status=200, content_type="text/plain", body=body).send(send)
    else:
        told = "nobody" if scope[IDENTITY] is None else "somebody"
        await Answer(status=200, content_type="text/plain", body=told.encode()).send(send)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
def servers() -> Iterator[ServerThread]:
    with ServerThread() as thread:
        yield thread


def context_of(house: House, authorities: bytes | None = None) -> ssl.SSLContext:
    files = house.server()
    return server_tls(
        certificate=files.certificate, key=files.key, client_authorities=authorities or house.authority.certificate
    )


def serving(house: House, servers: ServerThread, *revoked: int) -> int:
    """The port of a server of that house."""
    known = Identification(revocations=RevokedSerials(revoked), now=lambda: datetime.now(UTC))
    listener = listening("127.0.0.1", 0)
    return servers.serve(TlsServer(Identified(who_am_i, known), listener, tls=context_of(house)))


def code_of(answer: bytes) -> str:
    return str(json.loads(answer.partition(b"\r\n\r\n")[2])["code"])


def body_of(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


@pytest.mark.standard("STD-5.3.2.1-1")
def test_each_vehicle_is_who_its_certificate_says(house: House, servers: ServerThread) -> None:
    port = serving(house, servers)
    for vehicle in (VIN, VehicleIdentifier("Škoda 7")):
        answer = ask(port, house.vehicle(vehicle), get("/mine"))
        assert (status_of(answer), body_of(answer).decode()) == (200, vehicle)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("key_type", [KeyType.ECDSA, KeyType.ED25519])
def test_both_kinds_of_keys_work_in_both_versions_of_tls(
    house: House, servers: ServerThread, version: ssl.TLSVersion, key_type: KeyType
) -> None:
    port = serving(house, servers)
    held = house.credentials()
    held.keep(house.authority.certify_vehicle(held.request(key_type), VIN, now=NOW, lifetime=DAY))
    tls = house.stranger()
    tls.load_cert_chain(held.file)
    tls.minimum_version = tls.maximum_version = version
    assert body_of(ask(port, tls, get("/mine"))).decode() == VIN


def test_a_client_without_a_certificate_comes_in_and_finds_what_is_for_vehicles_closed(
    house: House, servers: ServerThread
) -> None:
    port = serving(house, servers)
    assert body_of(ask(port, house.stranger(), get("/first-contact"))) == b"nobody"
    answer = ask(port, house.stranger(), get("/mine"))
    assert (status_of(answer), code_of(answer)) == (401, "E-NO-IDENTITY")


def refused_in_the_handshake(port: int, tls: ssl.SSLContext) -> None:
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        tls.minimum_version = tls.maximum_version = version
        with pytest.raises((ssl.SSLError, ConnectionError)):
            assert ask(port, tls, get("/mine")) == b"", "the request was answered"
            raise ConnectionError("the server hung up")


def test_a_certificate_of_a_foreign_authority_is_refused_in_the_handshake(
    house: House, servers: ServerThread, tmp_path: Path
) -> None:
    """The foreign authority even has the same name."""
    port = serving(house, servers)
    foreign = House(tmp_path / "foreign").credentials().file
    tls = house.stranger()
    tls.load_cert_chain(foreign)
    refused_in_the_handshake(port, tls)


@pytest.mark.parametrize(("begins", "ends"), [(NOW - 2 * DAY, NOW - DAY), (NOW + DAY, NOW + 2 * DAY)])
def test_a_certificate_that_has_expired_or_is_not_valid_yet_is_refused_in_the_handshake(
    house: House, servers: ServerThread, begins: datetime, ends: datetime
) -> None:
    refused_in_the_handshake(serving(house, servers), house.with_pem(house.forged(begins=begins, ends=ends)))


def test_a_servers_certificate_is_refused_in_the_handshake(house: House, servers: ServerThread) -> None:
    forged = house.forged(usages=(ExtendedKeyUsageOID.SERVER_AUTH,))
    refused_in_the_handshake(serving(house, servers), house.with_pem(forged))


def test_tls_before_1_2_is_refused(house: House, servers: ServerThread) -> None:
    assert context_of(house).minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("uris", [(), (URI, URI + "0"), ("urn:uptane:vehicle:a%2Fb",)])
def test_a_certificate_that_names_no_vehicle_two_or_a_bad_one_is_refused_everywhere(
    house: House, servers: ServerThread, uris: tuple[str, ...]
) -> None:
    port, tls = serving(house, servers), house.with_pem(house.forged(uris))
    for path in ("/mine", "/first-contact"):
        answer = ask(port, tls, get(path))
        assert (status_of(answer), code_of(answer)) == (403, "E-IDENTITY")


def test_a_revoked_certificate_is_refused_everywhere(house: House, servers: ServerThread) -> None:
    held = house.credentials()
    serial = held.certificate().serial  # type: ignore[union-attr]
    port = serving(house, servers, serial)
    for path in ("/mine", "/first-contact"):
        tls = house.stranger()
        tls.load_cert_chain(held.file)
        answer = ask(port, tls, get(path))
        assert (status_of(answer), code_of(answer)) == (403, "E-IDENTITY")
    assert status_of(ask(port, house.vehicle(), get("/mine"))) == 200


def test_a_header_of_a_front_is_refused_from_a_vehicle(house: House, servers: ServerThread) -> None:
    port = serving(house, servers)
    for tls in (house.vehicle(), house.stranger()):
        answer = ask(port, tls, get("/mine", "Client-Cert: :AAAA:"))
        assert (status_of(answer), code_of(answer)) == (403, "E-IDENTITY")


def test_a_resumed_session_carries_the_certificate_of_its_beginning(house: House, servers: ServerThread) -> None:
    port, tls = serving(house, servers), house.vehicle()
    session = None
    for _ in range(2):
        with (
            socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
            tls.wrap_socket(plain, server_hostname="localhost", session=session) as connection,
        ):
            connection.sendall(get("/mine"))
            assert body_of(answer_of(connection)).decode() == VIN
            resumed, session = connection.session_reused, connection.session
    assert resumed


def test_several_requests_come_over_one_connection(house: House, servers: ServerThread) -> None:
    port = serving(house, servers)
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        house.vehicle().wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        for _ in range(3):
            connection.sendall(get("/mine"))
            assert body_of(answer_of(connection)).decode() == VIN


def test_clients_that_do_not_go_on_with_their_handshake_do_not_keep_others_waiting(
    house: House, servers: ServerThread
) -> None:
    port = serving(house, servers)
    stalled = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(20)]
    for connection in stalled[10:]:
        connection.sendall(b"\x16\x03\x01\x02\x00\x01")
    assert status_of(ask(port, house.vehicle(), get("/mine"))) == 200
    for connection in stalled:
        connection.close()


def test_a_handshake_without_end_is_cut_off(
    house: House, servers: ServerThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_server, "HANDSHAKE_SECONDS", 0.1)
    port = serving(house, servers)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"\x16\x03\x01\x02\x00\x01")
        assert connection.recv(100) == b""


@pytest.mark.parametrize(
    "begun", [b"", b"\r\n", b"GET /mine HTT", get("/mine")[:-2], get("/mine") + b"\r\n", get("/mine") + b"G"]
)
def test_a_head_without_end_is_cut_off(
    house: House, servers: ServerThread, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    monkeypatch.setattr(tls_server, "HEAD_SECONDS", 0.1)
    monkeypatch.setattr(tls_server, "KEEP_ALIVE_SECONDS", 0.1)
    port = serving(house, servers)
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        house.vehicle().wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=True) as connection,
    ):
        connection.sendall(begun)
        received = b""
        try:
            while piece := connection.recv(65536):
                received += piece
        except ConnectionError:
            pass
        assert received.count(b"HTTP/1.1 200 OK") == begun.count(b"\r\n\r\n")


@pytest.mark.parametrize("complete", [True, False])
def test_a_head_that_is_too_large_is_refused_before_it_fills_the_memory(
    house: House, servers: ServerThread, complete: bool
) -> None:
    port = serving(house, servers)
    header = "X: " + "y" * MAX_HEAD_BYTES
    request = get("/mine", header) if complete else get("/mine", header)[:-4]
    answer = ask(port, house.vehicle(), request)
    assert status_of(answer) == 431
    assert b"connection: close" in answer


def test_a_head_of_the_size_that_fronts_make_is_taken(house: House, servers: ServerThread) -> None:
    port = serving(house, servers)
    assert status_of(ask(port, house.vehicle(), get("/mine", "X: " + "y" * 12_000))) == 200


def test_bodies_do_not_count_as_heads(house: House, servers: ServerThread) -> None:
    body = b"x" * 100_000
    request = b"PUT /body HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    assert body_of(ask(serving(house, servers), house.vehicle(), request)) == b"100000"


def test_what_is_no_http_is_refused(house: House, servers: ServerThread) -> None:
    port = serving(house, servers)
    assert status_of(ask(port, house.vehicle(), b"\x00\x01nonsense\r\n\r\n")) == 400
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        plain.sendall(get("/mine"))
        assert not answer_of(plain).startswith(b"HTTP/1.1 2")


def test_a_server_that_stops_finishes_the_requests_that_are_there(house: House, servers: ServerThread) -> None:
    async def made() -> tuple[asyncio.Event, asyncio.Event]:
        return asyncio.Event(), asyncio.Event()

    begun, go_on = servers.run(made())

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        await go_on.wait()
        await Answer(status=200, content_type="text/plain", body=b"finished").send(send)

    server = TlsServer(slow, listening("127.0.0.1", 0), tls=context_of(house))
    port = servers.serve(server)
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        house.vehicle().wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        connection.sendall(get("/"))
        servers.run(begun.wait())

        async def stop() -> "asyncio.Task[None]":
            stopping = asyncio.create_task(server.stop())
            while server._listener.fileno() >= 0:
                await asyncio.sleep(0)
            return stopping

        stopping = servers.run(stop())
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=10)

        async def finish() -> None:
            go_on.set()

        servers.run(finish())
        assert answer_of(connection).endswith(b"finished")

    async def stopped() -> None:
        await stopping

    servers.run(stopped())


def test_a_client_that_never_finishes_does_not_keep_a_server_from_stopping(house: House, servers: ServerThread) -> None:
    listener = listening("127.0.0.1", 0)
    server = TlsServer(who_am_i, listener, tls=context_of(house), grace_seconds=0)
    port = servers.serve(server)
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        house.vehicle().wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        connection.sendall(b"PUT /body HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nx")
        servers.stop(port)
        assert status_of(answer_of(connection)) == 500


def test_files_that_cannot_be_used_are_one_clear_error(house: House, tmp_path: Path) -> None:
    files, other = house.server(), House(tmp_path / "other").server()
    good = house.authority.certificate
    bad = tmp_path / "bad"
    bad.write_bytes(b"\xff nothing")
    for certificate, key, authorities in (
        (tmp_path / "absent", files.key, good),
        (files.certificate, tmp_path / "absent", good),
        (bad, files.key, good),
        (files.certificate, bad, good),
        (files.certificate, other.key, good),
        (files.certificate, files.key, b""),
        (files.certificate, files.key, b"\xff"),
        (files.certificate, files.key, b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"),
    ):
        with pytest.raises(StorageError) as caught:
            server_tls(certificate=certificate, key=key, client_authorities=authorities)
        assert caught.value.next_step


def test_no_secret_is_logged_or_told(
    house: House, servers: ServerThread, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG):
        port = serving(house, servers)
        answers = [ask(port, house.vehicle(), get("/mine")), ask(port, house.stranger(), get("/mine"))]
        answers.append(ask(port, house.with_pem(house.forged([])), get("/mine")))
        with pytest.raises(StorageError) as caught:
            server_tls(certificate=house.server().key, key=house.server().key, client_authorities=b"")
    told = b"".join(answers).decode() + caplog.text + repr((str(caught.value), caught.value.facts))
    told += "".join(capfd.readouterr())
    for file in house.folder.rglob("*"):
        if file.is_file() and b"PRIVATE" in file.read_bytes():
            private = file.read_text().partition("-----END PRIVATE")[0].splitlines()[1:]
            assert not [line for line in private if line in told]
