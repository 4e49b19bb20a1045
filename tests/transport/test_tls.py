"""Downloads over TLS: the right server, the right certificate, and the limits of transfers as they were."""

import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from certificates import DAY, NOW, VIN, House, certificate_of
from raw_sockets import HEAD, RawServer, dripping, endless, serving

from uptane.metadata.errors import EndlessDataError, SlowRetrievalError, StorageError, UnreachableError
from uptane.transport.http_client import RepositoryClient
from uptane.transport.limits import TransferLimits
from uptane.transport.tls import client_tls
from uptane.transport.watched_connections import shared_client

QUICK = TransferLimits(
    connect_seconds=1.0, read_seconds=0.5, slow_start_seconds=0.3, min_bytes_per_second=2000.0, total_seconds=10.0
)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def server_side(house: House, *names: str) -> ssl.SSLContext:
    files = house.server(*names)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    context.load_verify_locations(house.trusts)
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


def client(server: RawServer, tls: ssl.SSLContext | None, host: str = "127.0.0.1") -> RepositoryClient:
    return RepositoryClient([f"https://{host}:{server.port}"], limits=QUICK, name="director", tls=tls)


def unreachable(server: RawServer, tls: ssl.SSLContext | None, host: str = "127.0.0.1") -> str:
    with pytest.raises(UnreachableError) as caught:
        client(server, tls, host).fetch("a", 10)
    assert server.requests == []
    return caught.value.what


def says_who(connection: socket.socket, end: threading.Event) -> None:
    assert isinstance(connection, ssl.SSLSocket)
    der = connection.getpeercert(binary_form=True)
    name = ssl.DER_cert_to_PEM_cert(der) if der else "nobody"
    serving(name.encode())(connection, end)


def test_a_vehicle_shows_its_certificate_and_a_stranger_none(house: House) -> None:
    with RawServer(says_who, tls=server_side(house)) as server:
        for host in ("127.0.0.1", "localhost"):
            shown = client(server, house.vehicle(), host).fetch("a", 10_000)
            kept = house.folder / "vehicles" / VIN / "vehicle.pem"
            assert certificate_of(shown or b"") == certificate_of(kept.read_bytes())
        assert client(server, house.stranger()).fetch("a", 10_000) == b"nobody"


def test_a_connection_made_with_one_certificate_is_never_used_with_another(house: House) -> None:
    assert shared_client(house.vehicle()) is not shared_client(house.vehicle())
    tls = house.stranger()
    assert shared_client(tls) is shared_client(tls)


def test_a_server_with_another_name_is_refused_with_words(house: House) -> None:
    with RawServer(serving(b"x"), tls=server_side(house, "uptane.example.org")) as server:
        assert "certificate is not accepted: IP address mismatch" in unreachable(server, house.vehicle())
        assert "certificate is not accepted: Hostname mismatch" in unreachable(server, house.vehicle(), "localhost")


def test_a_server_of_a_foreign_authority_is_refused_with_words(house: House, tmp_path: Path) -> None:
    foreign = House(tmp_path / "foreign")
    with RawServer(serving(b"x"), tls=server_side(foreign)) as server:
        told = unreachable(server, house.vehicle())
        assert "the server's certificate is not accepted: " in told
        assert "the server's certificate is not accepted: " in unreachable(server, None)


def test_a_server_whose_certificate_has_expired_is_refused_with_words(tmp_path: Path) -> None:
    old = House(tmp_path, since=NOW - 30 * DAY)
    files = old.authority.server_files(tmp_path / "server", ["127.0.0.1"], now=NOW - 3 * DAY, lifetime=DAY)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    with RawServer(serving(b"x"), tls=context) as server:
        assert "certificate is not accepted: certificate has expired" in unreachable(server, old.vehicle())


def test_a_server_that_speaks_no_tls_is_unreachable(house: House) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(HEAD)

        thread = threading.Thread(target=answer)
        thread.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(UnreachableError, match="TLS failed: wrong version number"):
            RepositoryClient([url], limits=QUICK, name="director", tls=house.vehicle()).fetch("a", 10)
        thread.join()


def test_a_handshake_that_the_server_does_not_go_on_with_is_given_up(house: House) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        silent_client = RepositoryClient([url], limits=QUICK, name="director", tls=house.vehicle())
        with pytest.raises(UnreachableError, match="no connection in time"):
            silent_client.fetch("a", 10)


def test_a_handshake_that_drips_is_given_up(house: House) -> None:
    """Each byte is in time for a read; the handshake as a whole is not."""
    end = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            connection, _ = listener.accept()
            with connection:
                try:
                    connection.sendall(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc")
                    while not end.wait(0.02):
                        connection.sendall(b"\x00")
                except OSError:
                    return

        thread = threading.Thread(target=drip)
        thread.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(UnreachableError):
            RepositoryClient([url], limits=QUICK, name="director", tls=house.vehicle()).fetch("a", 10)
        end.set()
        thread.join()


def test_a_server_that_wants_a_certificate_is_unreachable_without_one(house: House) -> None:
    context = server_side(house)
    context.verify_mode = ssl.CERT_REQUIRED
    with RawServer(serving(b"x"), tls=context) as server:
        unreachable(server, house.stranger())
        assert client(server, house.vehicle()).fetch("a", 10) == b"x"


@pytest.mark.standard("STD-5.4.3.3-7")
def test_endless_data_over_tls_is_read_up_to_the_limit_and_no_further(house: House) -> None:
    with RawServer(endless, tls=server_side(house)) as server, pytest.raises(EndlessDataError):
        client(server, house.vehicle()).fetch("a", 100_000)


@pytest.mark.standard("STD-5.4-3")
@pytest.mark.parametrize(
    ("head", "drop"), [(HEAD + b"Content-Length: 100000\r\n\r\n", b"x"), (HEAD, b"X: y\r\n")], ids=["body", "head"]
)
def test_what_drips_over_tls_is_slow_retrieval(house: House, head: bytes, drop: bytes) -> None:
    with RawServer(dripping(head, drop), tls=server_side(house)) as server, pytest.raises(SlowRetrievalError):
        client(server, house.vehicle()).fetch("a", 100_000)


@pytest.mark.standard("STD-5.4-3")
def test_a_record_that_never_ends_is_slow_retrieval(house: House) -> None:
    """The bytes of one TLS record drip below TLS, where no read of the client sees them."""
    context = server_side(house)

    def drips_a_record(connection: socket.socket, end: threading.Event) -> None:
        assert isinstance(connection, ssl.SSLSocket)
        connection.sendall(HEAD + b"Content-Length: 100000\r\n\r\nx")
        with socket.socket(fileno=socket.dup(connection.fileno())) as below:
            below.sendall(b"\x17\x03\x03\x40\x00")
            while not end.wait(0.02):
                below.sendall(b"x")

    with RawServer(drips_a_record, tls=context) as server, pytest.raises(SlowRetrievalError, match="stopped after"):
        client(server, house.vehicle()).fetch("a", 100_000)


def test_a_connection_is_used_again_over_tls(house: House) -> None:
    def keeps_alive(connection: socket.socket, end: threading.Event) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
        if connection.recv(65536):
            connection.sendall(HEAD + b"Content-Length: 1\r\n\r\nx")

    with RawServer(keeps_alive, tls=server_side(house)) as server:
        fetching = client(server, house.vehicle())
        assert [fetching.fetch("a", 1) for _ in range(2)] == [b"x"] * 2
        assert len(server.requests) == 1


@pytest.fixture
def pem(house: House) -> Iterator[bytes]:
    yield house.credentials().file.read_bytes()


def test_files_that_cannot_be_used_are_one_clear_error_without_a_word_of_their_content(
    house: House, tmp_path: Path, pem: bytes
) -> None:
    secret = pem.split(b"\n")[1].decode()
    bad = tmp_path / "bad"
    for content in (b"", b"x", pem[:-100], pem[200:], pem.replace(secret[:10].encode(), secret[:10][::-1].encode())):
        bad.write_bytes(content)
        with pytest.raises(StorageError, match="cannot be used as private key") as caught:
            client_tls(authorities=house.trusts, credentials=bad)
        assert secret not in repr((str(caught.value), caught.value.facts, caught.value.__cause__))
    for credentials in (tmp_path / "absent", tmp_path):
        with pytest.raises(StorageError):
            client_tls(authorities=house.trusts, credentials=credentials)
    for authorities in (tmp_path / "absent", bad):
        with pytest.raises(StorageError, match="authorities"):
            client_tls(authorities=authorities)
