"""A server that runs for longer than its certificate is valid shows a new one in time."""

import asyncio
import hashlib
import logging
import socket
import ssl
from pathlib import Path

import pytest
from certificates import DAY, House

from uptane.assembly import server_certificates
from uptane.assembly.server_certificates import LIFETIME, keep_loading, keep_making, server_certificate
from uptane.assembly.tls_server import TlsServer, listening, server_tls
from uptane.services.asgi import Answer, Receive, Scope, Send
from uptane.transport.tls import client_tls

NAMES = ("localhost",)


class Pauses:
    """Ends the story after so many pauses, before each of which something may happen."""

    def __init__(self, number: int) -> None:
        self.left, self.slept = number, list[float]()

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if self.left == 0:
            raise asyncio.CancelledError
        self.left -= 1


def shown(port: int, authorities: Path) -> bytes:
    """The certificate of the server, as a new client sees it."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        client_tls(authorities=authorities).wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        return connection.getpeercert(binary_form=True) or b""


async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
    await Answer(status=200, content_type="text/plain", body=b"").send(send)


def test_a_running_server_shows_the_certificate_that_was_made_since(tmp_path: Path) -> None:
    house = House(tmp_path)
    folder = house.trusts.parent
    files = server_certificate(folder, NAMES)
    tls = server_tls(certificate=files.certificate, key=files.key, client_authorities=house.authority.certificate)

    async def story() -> None:
        server = TlsServer(nothing, listening("127.0.0.1", 0), tls=tls)
        await server.start()
        first = await asyncio.to_thread(shown, server.port, house.trusts)
        for keeping in (
            keep_making(folder, NAMES, sleep=Pauses(1).sleep),
            keep_loading(tls, files, sleep=Pauses(1).sleep),
        ):
            assert await asyncio.to_thread(shown, server.port, house.trusts) == first
            with pytest.raises(asyncio.CancelledError):
                await keeping
        second = await asyncio.to_thread(shown, server.port, house.trusts)
        assert second != first
        assert second == ssl.PEM_cert_to_DER_cert(files.certificate.read_text())
        await server.stop()

    asyncio.run(story())


def test_a_new_certificate_is_made_long_before_the_old_one_ends(tmp_path: Path) -> None:
    pauses = Pauses(3)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(keep_making(House(tmp_path).trusts.parent, NAMES, sleep=pauses.sleep))
    assert max(pauses.slept) + server_certificates.LOADED_SECONDS <= 2 * DAY.total_seconds() < LIFETIME.total_seconds()


def test_a_certificate_that_cannot_be_made_or_read_leaves_the_old_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    house = House(tmp_path)
    folder = house.trusts.parent
    files = server_certificate(folder, NAMES)
    tls = server_tls(certificate=files.certificate, key=files.key, client_authorities=house.authority.certificate)
    before = hashlib.sha256(files.certificate.read_bytes()).digest()
    house.trusts.write_text("damaged")
    with pytest.raises(asyncio.CancelledError), caplog.at_level(logging.WARNING):
        asyncio.run(keep_making(folder, NAMES, sleep=Pauses(2).sleep))
    assert hashlib.sha256(files.certificate.read_bytes()).digest() == before
    files.certificate.unlink()
    with pytest.raises(asyncio.CancelledError), caplog.at_level(logging.WARNING):
        asyncio.run(keep_loading(tls, files, sleep=Pauses(1).sleep))
    assert caplog.text.count("stays the old one") == 3
