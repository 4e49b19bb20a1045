"""While servers run, what they sign stays fresh: failures are tried again, and a stale repository is not ready."""

import asyncio
import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from certificates import ask, get
from raw_sockets import status_of
from running_servers import new_servers

from uptane.assembly import serving as serving_module
from uptane.assembly.online_roles import CHECK_SECONDS, OnlineRoles
from uptane.assembly.production import System, open_systems, utc_now
from uptane.assembly.server_certificates import server_certificate
from uptane.assembly.serving import certificates_of, serving
from uptane.assembly.tls_server import listening
from uptane.image_repository.renewal import Outlook, Renewal
from uptane.image_repository.repository import ImageRepository
from uptane.metadata.errors import ProvisioningError, StorageError
from uptane.storage.sql.inventory import SqlInventory
from uptane.transport.tls import client_tls
from uptane.verification.own_metadata import verify_own_metadata

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=utc_now().tzinfo)
DAY = timedelta(days=1)


class Repository(ImageRepository):
    """Stands for an Image repository whose Timestamp lives for a day; the store fails where it is told to."""

    def __init__(self) -> None:
        self.expires, self.fails, self.asked, self.signed = NOW + DAY, False, 0, 0

    async def renew_expiring(self, now: datetime) -> Renewal:
        self.asked += 1
        if self.fails:
            raise StorageError("the store does not answer")
        due = now > self.expires - DAY / 3
        if due:
            self.signed, self.expires = self.signed + 1, now + DAY
        outlook = Outlook(expires=self.expires, due=frozenset(), next_due=self.expires - DAY / 3, elsewhere={})
        return Renewal(outlook=outlook, renewed=frozenset({"timestamp"}) if due else frozenset())


class Clock:
    """A clock that moves while somebody sleeps; it ends the story after so many pauses."""

    def __init__(self, pauses: int, seconds: float | None = None) -> None:
        self.now, self.left, self.seconds, self.slept = NOW, pauses, seconds, list[float]()

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if self.left == 0:
            raise asyncio.CancelledError
        self.left -= 1
        self.now += timedelta(seconds=seconds if self.seconds is None else self.seconds)


def kept(repository: Repository, clock: Clock, draw: float = 0.5) -> OnlineRoles:
    """The roles after the clock's pauses."""
    roles = OnlineRoles(repository, lambda: clock.now, draw=lambda: draw, sleep=clock.sleep)

    async def story() -> None:
        await roles.renew()
        await roles.keep()

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(story())
    return roles


def test_a_day_of_looking_at_the_clock_signs_once_and_asks_the_store_twice() -> None:
    repository, clock = Repository(), Clock(24 * 60)
    roles = kept(repository, clock)
    assert (repository.signed, repository.asked) == (1, 2)
    assert roles.are_fresh()


@pytest.mark.parametrize("draw", [0.0, 0.999])
def test_processes_do_not_all_come_at_once(draw: float) -> None:
    clock = Clock(1)
    kept(Repository(), clock, draw)
    assert clock.slept[0] == CHECK_SECONDS * (0.5 + draw)


def test_a_store_that_is_down_is_asked_again_and_the_repository_is_stale_once_the_timestamp_has_expired(
    caplog: pytest.LogCaptureFixture,
) -> None:
    repository, clock = Repository(), Clock(3000)
    roles = OnlineRoles(repository, lambda: clock.now, draw=lambda: 0.5, sleep=clock.sleep)
    assert not roles.are_fresh(), "nothing is known yet"
    assert asyncio.run(roles.renew()) and roles.are_fresh()
    repository.fails, clock.now = True, NOW + DAY * 3 / 4
    assert not asyncio.run(roles.renew()) and roles.are_fresh(), "there is a quarter of its life left"
    with pytest.raises(asyncio.CancelledError), caplog.at_level(logging.WARNING):
        asyncio.run(roles.keep())
    assert clock.now > NOW + 2 * DAY and not roles.are_fresh()
    assert clock.slept[1:9] == [2, 4, 8, 16, 32, 60, 60, 60] and max(clock.slept) == CHECK_SECONDS
    assert "the store does not answer" in caplog.text
    repository.fails, clock.left = False, 1
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(roles.keep())
    assert roles.are_fresh() and repository.signed == 1


def test_a_clock_that_jumps_years_ahead_signs_and_one_that_jumps_back_does_not() -> None:
    repository, clock = Repository(), Clock(1, seconds=400 * 86_400)
    roles = kept(repository, clock)
    assert repository.signed == 1 and roles.are_fresh()
    clock.now = NOW
    asyncio.run(roles.renew())
    assert repository.signed == 1 and roles.are_fresh()


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Iterator[datetime]:
    """The servers' clock is there."""
    moment = utc_now().replace(microsecond=0) + 30 * DAY
    monkeypatch.setattr(serving_module, "utc_now", lambda: moment)
    yield moment


def test_after_a_long_stop_a_server_has_signed_again_before_it_answers(tmp_path: Path, later: datetime) -> None:
    settings = new_servers(tmp_path / "fleet")
    (tmp_path / "fleet" / "keys" / "image-repository-root").unlink()

    async def story() -> None:
        with listening("127.0.0.1", 0) as listener:
            async with open_systems(settings) as systems:
                for which, version in (({System.TIMESERVER}, 1), ({System.IMAGE_REPOSITORY}, 2), (set(System), 2)):
                    async with serving(settings, frozenset(which), listener):
                        own = await verify_own_metadata(systems.image_metadata, settings.profile)
                        assert own is not None and own.timestamp_version == version, which
                assert own.expires == later + DAY

    asyncio.run(story())


@pytest.mark.parametrize("away", [True, False])
def test_a_server_without_the_directors_root_key_says_at_its_start_who_has_to_sign(
    tmp_path: Path, away: bool, caplog: pytest.LogCaptureFixture
) -> None:
    settings = new_servers(tmp_path / "fleet")
    if away:
        (tmp_path / "fleet" / "keys" / "director-root").unlink()

    async def story() -> None:
        with listening("127.0.0.1", 0) as listener:
            async with serving(settings, frozenset({System.DIRECTOR}), listener):
                pass

    with caplog.at_level(logging.WARNING):
        asyncio.run(story())
    assert ("uptane root renew director" in caplog.text) == away


def test_strangers_who_ask_whether_a_server_is_ready_ask_the_database_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, asked, answers = new_servers(tmp_path / "fleet"), list[bool](), SqlInventory.answers

    async def counted(self: SqlInventory) -> bool:
        asked.append(await answers(self))
        return asked[-1]

    monkeypatch.setattr(SqlInventory, "answers", counted)
    monkeypatch.setattr("uptane.services.health.REMEMBERED_SECONDS", 3600.0)
    tls = client_tls(authorities=certificates_of(settings) / "authority.pem")

    async def story() -> None:
        with listening("127.0.0.1", 0) as listener:
            async with serving(settings, frozenset({System.DIRECTOR}), listener) as server:
                await server.start()
                for _ in range(5):
                    answer = await asyncio.to_thread(ask, server.port, tls, get("/readyz", "Connection: close"))
                    assert status_of(answer) == 200
                await server.stop()
        assert asked == [True]

    asyncio.run(story())


def test_a_database_that_has_lost_its_tables_does_not_answer(tmp_path: Path) -> None:
    settings = new_servers(tmp_path / "fleet")

    async def story() -> None:
        async with open_systems(settings) as systems:
            assert await systems.inventory.answers()
            async with systems.engine.begin() as connection:
                await connection.exec_driver_sql("ALTER TABLE vehicles RENAME TO others")
            assert not await systems.inventory.answers()

    asyncio.run(story())


def test_a_server_whose_timestamp_has_expired_is_not_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, moment = new_servers(tmp_path / "fleet"), [utc_now()]
    files = server_certificate(certificates_of(settings), settings.listen.names)
    tls = client_tls(authorities=certificates_of(settings) / "authority.pem")
    monkeypatch.setattr(serving_module, "utc_now", lambda: moment[0])

    async def story() -> None:
        with listening("127.0.0.1", 0) as listener:
            async with serving(settings, frozenset({System.IMAGE_REPOSITORY}), listener, files) as server:
                await server.start()
                for moment[0], status in ((utc_now(), 200), (utc_now() + DAY, 503)):
                    answer = await asyncio.to_thread(ask, server.port, tls, get("/readyz", "Connection: close"))
                    assert status_of(answer) == status
                await server.stop()

    asyncio.run(story())


def test_without_the_key_of_the_snapshot_nothing_is_opened_and_without_that_of_targets_it_is(tmp_path: Path) -> None:
    settings = new_servers(tmp_path / "fleet")

    async def opened() -> None:
        async with open_systems(settings) as systems:
            await systems.image_repository.renew_expiring(utc_now() + DAY)
            with pytest.raises(ProvisioningError, match="keys needed to sign targets"):
                await systems.image_repository.add_image("a.img", b"x")  # type: ignore[arg-type]
                await systems.image_repository.publish(utc_now())

    (tmp_path / "fleet" / "keys" / "image-repository-targets").unlink()
    asyncio.run(opened())
    (tmp_path / "fleet" / "keys" / "image-repository-snapshot").unlink()
    (tmp_path / "fleet" / "keys" / "image-repository-snapshot.pub").unlink()
    with pytest.raises(ProvisioningError, match="image-repository-snapshot"):
        asyncio.run(opened())
