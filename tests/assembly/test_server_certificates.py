"""A server that runs for longer than its certificate is valid shows a new one in time."""

import asyncio
import hashlib
import logging
import socket
import ssl
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from certificates import DAY, NOW, House, certificate_of

from uptane.assembly import server_certificates
from uptane.assembly.production import utc_now
from uptane.assembly.server_certificates import (
    FAILED_SECONDS,
    LIFETIME,
    LOOKED_SECONDS,
    RENEWED,
    is_due,
    keep_loading,
    keep_making,
    server_certificate,
)
from uptane.assembly.tls_context import server_tls
from uptane.assembly.tls_server import TlsServer, listening
from uptane.services.asgi import Answer, Receive, Scope, Send
from uptane.transport.tls import client_tls

NAMES = ("localhost",)


HOUR = timedelta(hours=1)


class Clock:
    """The clock of a server, which may be wrong."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead = timedelta(0)
        monkeypatch.setattr(server_certificates, "utc_now", lambda: utc_now() + self.ahead)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Right until a test says otherwise; that of clients is right always."""
    return Clock(monkeypatch)


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


def looks(folder: Path, number: int = 1) -> list[float]:
    """A server looks at its certificate so often; the pauses that it made."""
    pauses = Pauses(number)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(keep_making(folder, NAMES, sleep=pauses.sleep))
    return pauses.slept


def begins(folder: Path) -> datetime:
    """When the certificate begins to be valid."""
    return certificate_of((folder / "server.pem").read_bytes()).not_valid_before_utc


@pytest.mark.parametrize(("ahead", "accepted"), [(-DAY, True), (timedelta(hours=2), False)])
def test_a_running_server_shows_the_certificate_that_was_made_since(
    ahead: timedelta, accepted: bool, tmp_path: Path, clock: Clock
) -> None:
    """A day has passed, or its clock was hours ahead when it started and was put right."""
    house = House(tmp_path, since=NOW - 3 * DAY)
    folder = house.trusts.parent
    clock.ahead = ahead
    files = server_certificate(folder, NAMES)
    tls = server_tls(certificate=files.certificate, key=files.key, client_authorities=house.authority.certificate)

    async def story() -> None:
        server = TlsServer(nothing, listening("127.0.0.1", 0), tls=tls)
        await server.start()
        first = ssl.PEM_cert_to_DER_cert(files.certificate.read_text())
        clock.ahead = timedelta(0)
        for keeping in (
            keep_making(folder, NAMES, sleep=Pauses(1).sleep),
            keep_loading(tls, files, sleep=Pauses(1).sleep),
        ):
            if accepted:
                assert await asyncio.to_thread(shown, server.port, house.trusts) == first
            else:
                with pytest.raises(ssl.SSLCertVerificationError, match="not yet valid"):
                    await asyncio.to_thread(shown, server.port, house.trusts)
            with pytest.raises(asyncio.CancelledError):
                await keeping
        second = await asyncio.to_thread(shown, server.port, house.trusts)
        assert second != first
        assert second == ssl.PEM_cert_to_DER_cert(files.certificate.read_text())
        await server.stop()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("later", "due"),
    [
        (timedelta(0), False),
        (RENEWED - timedelta(minutes=1), False),
        (RENEWED + timedelta(minutes=1), True),
        (-timedelta(minutes=1), True),
        (-2 * HOUR, True),
    ],
)
def test_a_certificate_is_made_where_it_is_a_day_old_or_a_later_clock_has_made_it(
    later: timedelta, due: bool, tmp_path: Path, clock: Clock
) -> None:
    folder = House(tmp_path, since=NOW - 3 * DAY).trusts.parent
    server_certificate(folder, NAMES)
    before = (folder / "server.pem").read_bytes()
    clock.ahead = later
    looks(folder, 2)
    assert ((folder / "server.pem").read_bytes() != before) is due
    assert not is_due(folder, utc_now() + later), "one is enough"
    assert begins(folder) <= utc_now() + later - HOUR + timedelta(minutes=2)


def test_where_the_authority_too_was_made_by_a_later_clock_no_certificate_would_be_better(
    tmp_path: Path, clock: Clock
) -> None:
    folder = House(tmp_path, since=NOW + DAY).trusts.parent
    server_certificate(folder, NAMES)
    before = (folder / "server.pem").read_bytes()
    looks(folder, 3)
    assert (folder / "server.pem").read_bytes() == before


def test_a_certificate_that_cannot_be_read_is_made_anew(tmp_path: Path) -> None:
    folder = House(tmp_path).trusts.parent
    for harmed in ("damaged", None):
        server_certificate(folder, NAMES)
        (folder / "server.pem").unlink() if harmed is None else (folder / "server.pem").write_text(harmed)
        looks(folder)
        assert not is_due(folder, utc_now())


def test_a_new_certificate_is_made_long_before_the_old_one_ends_and_is_taken_up_at_once(tmp_path: Path) -> None:
    slept = looks(House(tmp_path).trusts.parent, 3)
    assert set(slept) == {LOOKED_SECONDS} and timedelta(seconds=LOOKED_SECONDS) <= timedelta(minutes=1)
    assert RENEWED + timedelta(seconds=LOOKED_SECONDS + FAILED_SECONDS) <= 2 * DAY < LIFETIME


def test_what_has_not_changed_is_not_loaded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    house, loaded = House(tmp_path), list[Path]()
    files = server_certificate(house.trusts.parent, NAMES)
    tls = server_tls(certificate=files.certificate, key=files.key, client_authorities=house.authority.certificate)
    monkeypatch.setattr(server_certificates, "load_certificate", lambda context, **given: loaded.append(context))
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(keep_loading(tls, files, sleep=Pauses(3).sleep))
    assert len(loaded) == 1


def test_a_certificate_that_cannot_be_made_or_read_leaves_the_old_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, clock: Clock
) -> None:
    house = House(tmp_path)
    folder = house.trusts.parent
    files = server_certificate(folder, NAMES)
    tls = server_tls(certificate=files.certificate, key=files.key, client_authorities=house.authority.certificate)
    before = hashlib.sha256(files.certificate.read_bytes()).digest()
    house.trusts.write_text("damaged")
    clock.ahead = 2 * DAY
    with caplog.at_level(logging.WARNING):
        assert looks(folder, 2) == [LOOKED_SECONDS, FAILED_SECONDS, FAILED_SECONDS]
    assert hashlib.sha256(files.certificate.read_bytes()).digest() == before
    files.certificate.unlink()
    with pytest.raises(asyncio.CancelledError), caplog.at_level(logging.WARNING):
        asyncio.run(keep_loading(tls, files, sleep=Pauses(1).sleep))
    assert caplog.text.count("stays the old one") == 3
