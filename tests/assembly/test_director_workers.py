"""Several workers answer one fleet: nobody is served what is out of date, and no version is used twice."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from load_fleet import CAR, Workers, told, workers
from postgresql import running_postgresql
from sqlalchemy import make_url

from bench.load.fleet import ecu_name, vehicle_name
from uptane.assembly.production import utc_now
from uptane.director.planning import assignment_of
from uptane.director.ports import VehicleState
from uptane.director.vehicle_cache import AtHand
from uptane.encryption.keys import EncryptionKey
from uptane.metadata.delegations import TARGETS_ROLE
from uptane.metadata.errors import ReplayedReportError, StorageError
from uptane.metadata.root import Role
from uptane.storage.sql import changes
from uptane.storage.sql.fleet import SqlFleet
from uptane.storage.sql.metadata import SqlPublished
from uptane.storage.sql.postgresql_fleet import PostgresqlFleet
from uptane.verification.own_metadata import verify_own_metadata

APART = timedelta(seconds=30)
"""Between two clocks: two publications of the same moment are byte for byte the same, and so are their versions."""

Scenario = Callable[[Workers], Coroutine[Any, Any, None]]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """PostgreSQL, once for all."""
    with running_postgresql() as url:
        yield url


@pytest.fixture
def on_postgresql(server: str, tmp_path: Path) -> Callable[..., None]:
    """Runs a scenario with some workers on a database of its own."""
    name = f"db{abs(hash(tmp_path))}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    database = make_url(server).set(database=name).render_as_string(hide_password=False)
    return lambda scenario, count=2, vehicles=1: run(scenario, tmp_path / "fleet", database, count, vehicles)


def run(scenario: Scenario, folder: Path, database: str, count: int, vehicles: int = 1) -> None:
    """Runs a scenario; the last worker is an operator's command and answers no vehicles."""

    async def with_workers() -> None:
        async with workers(folder, database, count + 1, vehicles=vehicles) as running:
            await scenario(running)

    asyncio.run(with_workers())


async def assigned(fleet: Workers, release: int, worker: int = 0) -> None:
    """Assigns a release, and waits until a worker has been told."""
    waiting = asyncio.create_task(told(fleet.systems[worker].cache, "changed"))
    await fleet.assign(release)
    await waiting


@pytest.mark.standard("STD-5.3.2.1-16")
def test_two_workers_that_publish_for_one_vehicle_at_the_same_time_never_use_a_version_twice(
    on_postgresql: Callable[..., None],
) -> None:
    async def scenario(fleet: Workers) -> None:
        one, other = (systems.director for systems in fleet.systems[:2])
        used: list[int] = []
        for number, manifest in enumerate(fleet.cars[0].manifests[:4]):
            await fleet.assign(number % 3 + 1)
            both = await asyncio.gather(
                one.answer_manifest(CAR, None, manifest, utc_now()),
                other.publish(CAR, utc_now() + APART),
                return_exceptions=True,
            )
            for result in both:
                assert not isinstance(result, Exception) or isinstance(result, StorageError), result
            published = [getattr(result, "published", result) for result in both]
            used += [each.timestamp_version for each in published if hasattr(each, "timestamp_version")]
            own = await verify_own_metadata(
                SqlPublished(fleet.systems[2].engine, CAR), fleet.systems[2].settings.profile, CAR
            )
            assert own is not None and own.timestamp_version == max(used)
            assert (await one.vehicle(CAR)).manifest_counter == number + 1
        assert len(used) == len(set(used)) >= 4

    on_postgresql(scenario)


def test_what_one_worker_publishes_another_does_not_serve_an_older_one_of(on_postgresql: Callable[..., None]) -> None:
    async def scenario(fleet: Workers) -> None:
        assert [await fleet.version(Role.TIMESTAMP, worker) for worker in (0, 1)] == [1, 1]
        await assigned(fleet, 1, worker=1)
        waiting = asyncio.create_task(told(fleet.systems[1].cache, "changed"))
        await fleet.systems[0].director.answer_manifest(CAR, None, fleet.cars[0].manifests[0], utc_now())
        await waiting
        for role in (Role.TARGETS, Role.TIMESTAMP):
            assert [await fleet.version(role, worker) for worker in (0, 1)] == [2, 2]
        name = fleet.systems[1].settings.profile.metadata_name(Role.TIMESTAMP)
        assert fleet.systems[1].director.metadata_at_hand(CAR, name, utc_now()) is not AtHand.UNKNOWN

    on_postgresql(scenario)


@pytest.mark.standard("STD-5.3.2.1-10")
def test_what_another_worker_took_in_is_no_news_to_one_that_has_not_heard_of_it(
    on_postgresql: Callable[..., None],
) -> None:
    """The last manifest may come again; an older one is refused, whatever this worker remembers as the last."""

    async def scenario(fleet: Workers) -> None:
        one, other = (systems.director for systems in fleet.systems[:2])
        first, second, third, *_ = fleet.cars[0].manifests
        await one.answer_manifest(CAR, None, first, utc_now())
        await fleet.version(Role.TIMESTAMP, 1)
        quiet = fleet.systems[1].cache
        quiet.changed = lambda *_, **__: None  # type: ignore[method-assign]
        await one.answer_manifest(CAR, None, second, utc_now())
        known = quiet.current(CAR)
        assert known is not None and known.state.record.manifest == first, "so this worker could take it for the last"
        with pytest.raises(ReplayedReportError):
            await other.answer_manifest(CAR, None, first, utc_now())
        stored = await one.vehicle(CAR)
        assert (await other.answer_manifest(CAR, None, second, utc_now())).manifest.fresh == ()
        assert await one.vehicle(CAR) == stored
        del quiet.changed  # type: ignore[method-assign]
        assert (await other.answer_manifest(CAR, None, third, utc_now())).manifest.counter == 3
        assert [each.code for each in await one.alerts(CAR)] == ["E-REPLAY"]

    on_postgresql(scenario)


async def is_as_on_record(fleet: Workers) -> bool:
    """Whether what the first worker knows is what a reading from nothing gives."""
    known = fleet.systems[0].cache.current(CAR)
    return known is not None and known.state == await SqlFleet(fleet.systems[0].engine).read(CAR, ())


def test_where_nothing_but_assignments_has_changed_nothing_else_is_read(
    on_postgresql: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(fleet: Workers) -> None:
        director = fleet.systems[0].director
        await director.answer_manifest(CAR, None, fleet.cars[0].manifests[0], utc_now())
        monkeypatch.setattr(PostgresqlFleet, "read", None)
        for release, manifest in ((2, 1), (3, 2)):
            await assigned(fleet, release)
            answer = await director.answer_manifest(CAR, None, fleet.cars[0].manifests[manifest], utc_now())
            assert answer.published is not None
            images = answer.published.targets[TARGETS_ROLE].payload.images
            assert set(images) == {image.file.path for (_, of), image in fleet.images.items() if of == release}
            assert await is_as_on_record(fleet)
        async with fleet.systems[2].inventory.transaction() as transaction:
            await transaction.clear_assignments(CAR)
        assert (await fleet.systems[0].director.publish(CAR, utc_now() + APART)).targets[
            TARGETS_ROLE
        ].payload.images == {}

    on_postgresql(scenario)


def test_what_is_assigned_to_many_vehicles_is_read_at_once(
    on_postgresql: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(fleet: Workers) -> None:
        director, cache = fleet.systems[0].director, fleet.systems[0].cache
        vehicles = [vehicle_name(number) for number in range(4)]
        for vehicle, car in zip(vehicles, fleet.cars, strict=True):
            await director.answer_manifest(vehicle, None, car.manifests[0], utc_now())
        asked: list[int] = []
        real = PostgresqlFleet.reassigned

        async def counted(self: PostgresqlFleet, of: Sequence[tuple[VehicleState, int]]) -> Sequence[VehicleState]:
            asked.append(len(of))
            return await real(self, of)

        monkeypatch.setattr(PostgresqlFleet, "reassigned", counted)
        for release in (2, 3):
            await fleet.assign(release)
            async with asyncio.timeout(30):
                while any(cache.current(vehicle) is not None for vehicle in vehicles):
                    await asyncio.sleep(0.01)
            for vehicle, car in zip(vehicles, fleet.cars, strict=True):
                answer = await director.answer_manifest(vehicle, None, car.manifests[release - 1], utc_now())
                assert answer.published is not None
                images = answer.published.targets[TARGETS_ROLE].payload.images
                assert set(images) == {image.file.path for (_, of), image in fleet.images.items() if of == release}
            for vehicle in vehicles:
                known = cache.current(vehicle)
                assert known is not None
                assert known.state == await SqlFleet(fleet.systems[0].engine).read(vehicle, ())
        assert asked == [4, 4]

    on_postgresql(scenario, 1, vehicles=4)


async def _sets_a_key(fleet: Workers) -> None:
    await fleet.systems[2].director.set_encryption_key(CAR, ecu_name(0, 3), EncryptionKey.symmetric(bytes(32)))


async def _assigns_and_sets_a_key_in_one_transaction(fleet: Workers) -> None:
    async with fleet.systems[2].inventory.transaction() as transaction:
        await transaction.assign(assignment_of(CAR, ecu_name(0, 0), fleet.images[0, 2]))
        await transaction.set_encryption_key(CAR, ecu_name(0, 3), EncryptionKey.symmetric(bytes(32)))


async def _another_worker_takes_in_a_manifest(fleet: Workers) -> None:
    await fleet.systems[1].director.answer_manifest(CAR, None, fleet.cars[0].manifests[1], utc_now())


@pytest.mark.parametrize(
    "more", [_sets_a_key, _assigns_and_sets_a_key_in_one_transaction, _another_worker_takes_in_a_manifest]
)
def test_where_more_has_changed_than_assignments_all_is_read(
    on_postgresql: Callable[..., None], more: Callable[[Workers], Coroutine[Any, Any, None]]
) -> None:
    async def scenario(fleet: Workers) -> None:
        director = fleet.systems[0].director
        await director.answer_manifest(CAR, None, fleet.cars[0].manifests[0], utc_now())
        await more(fleet)
        await assigned(fleet, 1)
        await director.answer_manifest(CAR, None, fleet.cars[0].manifests[2], utc_now())
        assert await is_as_on_record(fleet)

    on_postgresql(scenario)


def test_nothing_is_served_from_memory_while_nobody_tells_of_changes(on_postgresql: Callable[..., None]) -> None:
    async def scenario(fleet: Workers) -> None:
        systems = fleet.systems[0]
        name = systems.settings.profile.metadata_name(Role.TIMESTAMP)
        await fleet.version(Role.TIMESTAMP)
        assert systems.director.metadata_at_hand(CAR, name, utc_now()) is not AtHand.UNKNOWN
        closed = asyncio.create_task(told(systems.cache, "close"))
        async with await psycopg.AsyncConnection.connect(
            systems.settings.database_url, autocommit=True
        ) as administrator:
            await asyncio.sleep(0)
            await administrator.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
            )
        await closed
        assert systems.director.metadata_at_hand(CAR, name, utc_now()) is AtHand.UNKNOWN
        assert await fleet.version(Role.TIMESTAMP) == 1, "the database still answers"
        await told(systems.cache, "open")
        await fleet.version(Role.TIMESTAMP)
        assert systems.director.metadata_at_hand(CAR, name, utc_now()) is not AtHand.UNKNOWN

    on_postgresql(scenario, 1)


def test_a_worker_outlives_a_restart_of_its_connections(on_postgresql: Callable[..., None]) -> None:
    async def scenario(fleet: Workers) -> None:
        director = fleet.systems[0].director
        await director.answer_manifest(CAR, None, fleet.cars[0].manifests[0], utc_now())
        async with await psycopg.AsyncConnection.connect(
            fleet.systems[0].settings.database_url, autocommit=True
        ) as administrator:
            await administrator.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                " AND datname = current_database()"
            )
        answer = await director.answer_manifest(CAR, None, fleet.cars[0].manifests[1], utc_now())
        assert answer.manifest.counter == 2

    on_postgresql(scenario, 1)


def test_an_operators_command_reaches_the_vehicle_at_its_next_poll_on_sqlite_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "SQLITE_SECONDS", 0.01)

    async def scenario(fleet: Workers) -> None:
        assert await fleet.version(Role.TARGETS) == 1
        waiting = asyncio.create_task(told(fleet.systems[0].cache, "all_changed"))
        await fleet.assign(1)
        await waiting
        assert await fleet.version(Role.TIMESTAMP) == 2, "it is signed because the vehicle asks"
        assert await fleet.version(Role.TARGETS) == 2

    run(scenario, tmp_path / "fleet", "data/inventory.sqlite", 1)


def test_memory_of_one_vehicle_never_answers_another(on_postgresql: Callable[..., None]) -> None:
    async def scenario(fleet: Workers) -> None:
        systems, other = fleet.systems[0], vehicle_name(1)
        await fleet.assign(1)
        for number, car in enumerate(fleet.cars):
            await systems.director.answer_manifest(vehicle_name(number), None, car.manifests[0], utc_now())
        for role in Role:
            name = systems.settings.profile.metadata_name(role, 2)
            mine, theirs = (systems.director.metadata_at_hand(each, name, utc_now()) for each in (CAR, other))
            assert (role is Role.ROOT) == (mine is None) == (theirs is None)
            if isinstance(mine, bytes) and isinstance(theirs, bytes):
                assert mine != theirs and CAR.encode() in mine and other.encode() in theirs

    on_postgresql(scenario, 1, 2)
