"""What a server does beside its answers goes on after an error that nobody foresaw: nobody would notice its end."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from uptane.assembly import server_certificates
from uptane.assembly.online_roles import OnlineRoles
from uptane.assembly.server_certificates import keep_making
from uptane.assembly.serving import RevokedCertificates
from uptane.image_repository.renewal import Renewal
from uptane.image_repository.repository import ImageRepository
from uptane.storage.sql.contacts import SqlContacts
from uptane.storage.sql.enrolment import SqlEnrolment


class Failing:
    """Fails twice in a way that nobody foresaw, and is done at the third time."""

    def __init__(self) -> None:
        self.calls, self.done, self.loop = 0, asyncio.Event(), asyncio.get_running_loop()

    def __call__(self) -> None:
        self.calls += 1
        if self.calls < 3:
            raise ValueError("nobody foresaw this")
        self.loop.call_soon_threadsafe(self.done.set)


async def at_once(seconds: float) -> None:
    await asyncio.sleep(0)


class Enrolment(SqlEnrolment):
    """Has a damaged row."""

    def __init__(self, work: Failing) -> None:
        self.work = work

    async def revoked(self) -> frozenset[str]:
        return frozenset()

    async def retired(self) -> Mapping[str, datetime]:
        self.work()
        return {}


class Contacts(SqlContacts):
    """Cannot write for a while."""

    def __init__(self, work: Failing) -> None:
        self.work = work

    async def flush(self) -> None:
        self.work()


class Repository(ImageRepository):
    """Cannot be signed for a while."""

    def __init__(self, work: Failing) -> None:
        self.work = work

    async def renew_expiring(self, now: datetime) -> Renewal:
        self.work()
        raise asyncio.CancelledError


def reading_who_is_revoked(work: Failing, monkeypatch: pytest.MonkeyPatch) -> Coroutine[Any, Any, None]:
    return RevokedCertificates(Enrolment(work)).keep_reading(0)


def signing_again(work: Failing, monkeypatch: pytest.MonkeyPatch) -> Coroutine[Any, Any, None]:
    return OnlineRoles(Repository(work), lambda: datetime.now(UTC), sleep=at_once).keep()


def making_certificates(work: Failing, monkeypatch: pytest.MonkeyPatch) -> Coroutine[Any, Any, None]:
    monkeypatch.setattr(server_certificates, "server_certificate", lambda folder, names: work())
    return keep_making(Path("nowhere"), (), sleep=at_once)


def writing_contacts(work: Failing, monkeypatch: pytest.MonkeyPatch) -> Coroutine[Any, Any, None]:
    return Contacts(work).keep_flushing(0)


@pytest.mark.parametrize("begin", [reading_who_is_revoked, signing_again, making_certificates, writing_contacts])
def test_it_is_logged_and_tried_again(
    begin: Callable[[Failing, pytest.MonkeyPatch], Coroutine[Any, Any, None]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def story() -> None:
        work = Failing()
        keeping = asyncio.create_task(begin(work, monkeypatch))
        ended = asyncio.create_task(work.done.wait())
        await asyncio.wait([keeping, ended], return_when=asyncio.FIRST_COMPLETED)
        assert work.done.is_set()
        for task in (keeping, ended):
            task.cancel()
        await asyncio.gather(keeping, ended, return_exceptions=True)

    with caplog.at_level(logging.WARNING):
        asyncio.run(story())
    assert caplog.text.count("ValueError: nobody foresaw this") == 2
