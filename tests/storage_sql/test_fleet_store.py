"""A vehicle is read in one go and changed as a whole, or not at all where somebody else was first."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from inventory_records import CAR, HOSTILE, NOW, TRUCK, assignment_of, directed_of, ecu_of, register, report_of
from msgspec import structs
from postgresql import running_postgresql
from sqlalchemy import make_url, text

from uptane.director.ports import Changes, Publication, VehicleRecord
from uptane.encryption.keys import EncryptionKey
from uptane.metadata.errors import StorageError
from uptane.metadata.identifiers import EcuIdentifier, VehicleIdentifier
from uptane.storage.sql.engine import open_engine
from uptane.storage.sql.enrolment import SqlEnrolment
from uptane.storage.sql.fleet import SqlFleet
from uptane.storage.sql.inventory import SqlInventory, open_inventory
from uptane.storage.sql.metadata import SqlPublished
from uptane.storage.sql.postgresql_fleet import PostgresqlFleet, connection_url
from uptane.storage.sql.roots import roots_in_service

Story = Callable[[SqlFleet, SqlInventory], Coroutine[Any, Any, None]]
NAMES = ("1.a.der", "2.a.der", "a.der", "b.der")
BRAKE = EcuIdentifier("brake")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """PostgreSQL, once for all."""
    with running_postgresql() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql", "postgresql in one statement"])
def tell(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Story], None]:
    """Runs a story on a fresh database with two vehicles."""
    database = str(tmp_path / "inventory.db")
    if request.param != "sqlite":
        url, name = request.getfixturevalue("server"), f"db{abs(hash(tmp_path))}"
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        database = make_url(url).set(database=name).render_as_string(hide_password=False)

    @asynccontextmanager
    async def fleet(inventory: SqlInventory) -> AsyncIterator[SqlFleet]:
        if request.param != "postgresql in one statement":
            yield SqlFleet(inventory.engine)
            return
        async with PostgresqlFleet(inventory.engine).open() as opened:
            yield opened

    async def told(story: Story) -> None:
        inventory = await open_inventory(database)
        try:
            await register(inventory, ecu_of("brake", primary=True), ecu_of("door"), ecu_of("horn", TRUCK))
            async with fleet(inventory) as opened:
                await story(opened, inventory)
        finally:
            await inventory.dispose()

    return lambda story: asyncio.run(told(story))


in_one_statement = pytest.mark.parametrize("tell", ["postgresql in one statement"], indirect=True)


def everything() -> Changes:
    """Changes of all kinds."""
    latest = structs.replace(ecu_of("brake", primary=True), report_counter=7, report=b"report 7", report_received=NOW)
    return Changes(
        record=VehicleRecord(vehicle=CAR, manifest_counter=3, manifest=b"\x00manifest\xff", manifest_received=NOW),
        reports=[(latest, report_of(7, attacks='"quoted" \\ Zoë'))],
        directed={BRAKE: [directed_of("brake", 2), directed_of("brake", 3)]},
        publication=Publication(
            files=[("1.a.der", b"\x00one"), ("2.a.der", b"one\xff")], mutable={"a.der": b"one\xff"}
        ),
    )


def test_all_changes_are_there_afterwards_and_nothing_of_another_vehicle_has_changed(tell: Callable[..., None]) -> None:
    async def story(fleet: SqlFleet, inventory: SqlInventory) -> None:
        async with inventory.transaction() as changes:
            await changes.assign(assignment_of("door", "a/b.img"))
            await changes.set_directed(CAR, BRAKE, [directed_of("brake", 1), directed_of("brake", 2)])
        before, other = await fleet.read(CAR, NAMES), await fleet.read(TRUCK, NAMES)
        assert before is not None and not before.files
        assert await fleet.commit(CAR, before.revision, everything())
        after = await fleet.read(CAR, NAMES, before)
        assert after is not None and after == await fleet.read(CAR, NAMES), "what was known before changes no answer"
        assert after.revision == before.revision + 1
        assert after.files == {"1.a.der": b"\x00one", "2.a.der": b"one\xff", "a.der": b"one\xff"}
        async with inventory.transaction() as reader:
            assert after.record == await reader.vehicle(CAR) == everything().record
            assert list(after.ecus) == list(await reader.ecus(CAR))
            assert list(after.assignments) == list(await reader.assignments(CAR))
            assert list(after.directed) == list(await reader.directed(CAR)) == [*everything().directed[BRAKE]]
            assert list(await reader.reports(CAR, BRAKE, 9)) == [everything().reports[0][1]]
        assert await fleet.read(TRUCK, NAMES) == other

    tell(story)


@in_one_statement
def test_no_statement_looks_at_other_vehicles_also_where_nobody_has_counted_rows(tell: Callable[..., None]) -> None:
    """A plan that was made for an empty table stays with its connection, and would look through all of a fleet."""
    many = """
        INSERT INTO vehicles (vehicle, manifest_counter, revision)
            SELECT 'bus ' || n, 0, 0 FROM generate_series(1, 3000) n;
        INSERT INTO ecus (vehicle, ecu, key_id, key_type, key_scheme, key_material, is_primary, report_counter)
            SELECT 'bus ' || n, 'horn ' || n, key_id, key_type, key_scheme, key_material, false, 0
            FROM ecus, generate_series(1, 3000) n WHERE ecu = 'horn';
        INSERT INTO assignments (vehicle, ecu, path, image)
            SELECT 'bus ' || n, 'horn ' || n, 'a.img', '{}' FROM generate_series(1, 3000) n;
    """
    counted = "SELECT relname, seq_tup_read FROM pg_stat_user_tables"

    async def story(fleet: SqlFleet, inventory: SqlInventory) -> None:
        async with await psycopg.AsyncConnection.connect(connection_url(inventory.engine), autocommit=True) as other:

            async def counts() -> dict[str, int]:
                await asyncio.sleep(1.1)  # after which a connection tells what it has counted
                await statements(1)
                return {name: read async for name, read in await other.execute(counted)}

            async def statements(count: int) -> None:
                for _ in range(count):
                    state = await fleet.read(CAR, NAMES)
                    assert state is not None
                    assert await fleet.reassigned([(state, state.revision)])
                    reports = [(everything().reports[0][0], report_of(state.revision))]
                    assert await fleet.commit(CAR, state.revision, Changes(reports=reports))

            await statements(8)
            await other.execute(many)
            await other.execute("SELECT pg_stat_force_next_flush()")
            before = await counts()
            await statements(8)
            after = await counts()
        looked = {name: after[name] - before[name] for name in after}
        assert max(looked[name] for name in ("vehicles", "ecus", "assignments")) < 3000, looked

    tell(story)


def test_of_two_that_build_on_one_revision_one_writes_and_the_other_changes_nothing(tell: Callable[..., None]) -> None:
    async def story(fleet: SqlFleet, inventory: SqlInventory) -> None:
        state = await fleet.read(CAR, ())
        assert state is not None
        bids = [
            Changes(
                record=structs.replace(state.record, manifest_counter=number),
                publication=Publication(files=[(f"{number}.a.der", b"x")], mutable={"a.der": b"%d" % number}),
            )
            for number in (1, 2)
        ]
        assert sorted(await asyncio.gather(*(fleet.commit(CAR, state.revision, bid) for bid in bids))) == [False, True]
        after = await fleet.read(CAR, NAMES)
        assert after is not None
        won = after.record.manifest_counter
        assert after.files == {f"{won}.a.der": b"x", "a.der": b"%d" % won}
        assert not await fleet.commit(CAR, state.revision, everything())
        assert await fleet.read(CAR, NAMES) == after

    tell(story)


def test_a_revision_is_built_on_once_also_where_nothing_is_published(tell: Callable[..., None]) -> None:
    async def story(fleet: SqlFleet, inventory: SqlInventory) -> None:
        state = await fleet.read(CAR, ())
        assert state is not None
        bids = [Changes(record=structs.replace(state.record, manifest_counter=number)) for number in (1, 2)]
        assert sorted(await asyncio.gather(*(fleet.commit(CAR, state.revision, bid) for bid in bids))) == [False, True]
        after = await fleet.read(CAR, ())
        for revision in (state.revision, state.revision + 2):
            assert not await fleet.commit(CAR, revision, structs.replace(everything(), publication=None))
        assert await fleet.read(CAR, ()) == after

    tell(story)


def test_what_was_known_of_an_ecu_is_read_anew_where_it_has_changed(tell: Callable[..., None]) -> None:
    async def story(fleet: SqlFleet, inventory: SqlInventory) -> None:
        before = await fleet.read(CAR, ())
        async with inventory.transaction() as changes:
            await changes.set_encryption_key(CAR, BRAKE, EncryptionKey.symmetric(bytes(32)))
        after = await fleet.read(CAR, (), before)
        assert after == await fleet.read(CAR, ()) and before is not None and after is not None
        assert [each.encryption_key is not None for each in after.ecus] == [each.ecu == BRAKE for each in after.ecus]

    tell(story)


def test_what_a_row_says_again_is_taken_from_what_was_known(tell: Callable[..., None]) -> None:
    other_image = structs.replace(directed_of("brake", 3), image=b"{ }")

    async def story(fleet: SqlFleet, inventory: SqlInventory) -> None:
        state = await fleet.read(CAR, ())
        assert state is not None
        assert await fleet.commit(CAR, state.revision, everything())
        async with inventory.transaction() as changes:
            await changes.assign(assignment_of("brake", "a/b.img"))
            await changes.assign(assignment_of("door", "a/b.img"))
        before = await fleet.read(CAR, ())
        async with inventory.transaction() as changes:
            await changes.assign(assignment_of("door", "a/c.img"))
            await changes.set_directed(CAR, BRAKE, [other_image, directed_of("brake", 4)])
        after = await fleet.read(CAR, (), before)
        assert before is not None and after is not None and after == await fleet.read(CAR, ())
        assert [one is other for one, other in zip(before.ecus, after.ecus, strict=True)] == [True, True]
        assert [one is other for one, other in zip(before.assignments, after.assignments, strict=True)] == [True, False]

    tell(story)


def test_files_of_any_name_are_read_and_more_readers_than_connections_take_turns(tell: Callable[..., None]) -> None:
    names = ('{"a",b}', "a'b\\c", "Zoë NULL", "a.der")

    async def story(fleet: SqlFleet, inventory: SqlInventory) -> None:
        await SqlPublished(inventory.engine, CAR).publish([], {name: name.encode() for name in names})
        for _ in range(2):
            for state in await asyncio.gather(*(fleet.read(CAR, (*names, "absent")) for _ in range(12))):
                assert state is not None and state.files == {name: name.encode() for name in names}

    tell(story)


def test_a_published_file_that_is_not_what_it_was_is_not_replaced(tell: Callable[..., None]) -> None:
    async def story(fleet: SqlFleet, inventory: SqlInventory) -> None:
        await SqlPublished(inventory.engine, CAR).publish([], {"a.der": b"altered"})
        before = await fleet.read(CAR, NAMES)
        assert before is not None
        for replaced in ({}, {"a.der": b"genuine"}):
            publication = Publication(files=[("2.a.der", b"2")], mutable={"a.der": b"new"}, replaced=replaced)
            assert not await fleet.commit(CAR, before.revision, structs.replace(everything(), publication=publication))
            assert await fleet.read(CAR, NAMES) == before
        publication = Publication(files=[], mutable={"a.der": b"new"}, replaced={"a.der": b"altered"})
        assert await fleet.commit(CAR, before.revision, Changes(publication=publication))

    tell(story)


def test_a_version_that_exists_is_refused_and_nothing_of_the_rest_is_written(tell: Callable[..., None]) -> None:
    async def story(fleet: SqlFleet, inventory: SqlInventory) -> None:
        await SqlPublished(inventory.engine, CAR).publish([("1.a.der", b"other bytes")], {})
        before = await fleet.read(CAR, NAMES)
        assert before is not None
        with pytest.raises(StorageError, match=r"1\.a\.der of vehicle car exists with other bytes"):
            await fleet.commit(CAR, before.revision, everything())
        assert await fleet.read(CAR, NAMES) == before

    tell(story)


def test_every_write_of_anybody_raises_the_revision(tell: Callable[..., None]) -> None:
    async def story(fleet: SqlFleet, inventory: SqlInventory) -> None:
        async def revision() -> int:
            state = await fleet.read(CAR, ())
            assert state is not None
            return state.revision

        writes: list[Callable[[Any], Coroutine[Any, Any, None]]] = [
            lambda changes: changes.update_vehicle(VehicleRecord(vehicle=CAR, manifest_counter=5)),
            lambda changes: changes.add_ecu(ecu_of("window")),
            lambda changes: changes.add_report(structs.replace(ecu_of("door"), report_counter=1), report_of(1)),
            lambda changes: changes.assign(assignment_of("door", "a.img")),
            lambda changes: changes.set_directed(CAR, BRAKE, [directed_of("brake", 1)]),
            lambda changes: changes.clear_assignments(CAR),
            lambda changes: changes.retire_ecu(CAR, EcuIdentifier("window"), NOW),
        ]
        for write in writes:
            before = await revision()
            async with inventory.transaction() as changes:
                await write(changes)
            assert await revision() == before + 1
        before = await revision()
        await SqlPublished(inventory.engine, CAR).publish([], {"a.der": b"new"})
        assert await revision() == before + 1
        assert await fleet.read(CAR, ()) is not None and (await fleet.read(TRUCK, ())).revision == 1  # type: ignore[union-attr]

    tell(story)


def test_assignments_are_read_alone_at_the_revision_that_was_told_and_at_no_other(tell: Callable[..., None]) -> None:
    async def story(fleet: SqlFleet, inventory: SqlInventory) -> None:
        async with inventory.transaction() as changes:
            await changes.assign(assignment_of("door", "a.img"))
            await changes.assign(assignment_of("brake", "b.img"))
        state = await fleet.read(CAR, ())
        for paths in (("c.img", "d.img"), ("c.img", "e.img"), ()):
            assert state is not None
            last, revision = state, state.revision + 1
            async with inventory.transaction() as changes:
                await changes.clear_assignments(CAR)
                for ecu, path in zip(("door", "brake"), paths, strict=False):
                    await changes.assign(assignment_of(ecu, path))
            state = await fleet.read(CAR, ())
            if isinstance(fleet, PostgresqlFleet):
                assert await fleet.reassigned([(last, revision)]) == [state]
                for other in (revision - 1, revision + 1):
                    assert await fleet.reassigned([(last, other)]) == []
            else:
                assert not await fleet.reassigned([(last, revision)]), "nobody is told of revisions"

    tell(story)


@in_one_statement
def test_the_assignments_of_many_vehicles_are_read_at_once_but_for_those_that_are_damaged(
    tell: Callable[..., None],
) -> None:
    async def story(fleet: SqlFleet, inventory: SqlInventory) -> None:
        vehicles = [CAR, TRUCK, VehicleIdentifier(HOSTILE[0]), VehicleIdentifier("van"), VehicleIdentifier("bus")]
        async with inventory.transaction() as changes:
            for vehicle in vehicles[2:]:
                await changes.add_vehicle(VehicleRecord(vehicle=vehicle))
                await changes.add_ecu(ecu_of(f"door of {vehicle}", vehicle))
        asked = []
        for vehicle in vehicles:
            last = await fleet.read(vehicle, ())
            assert last is not None
            asked.append((last, last.revision + (vehicle != TRUCK)))
        async with inventory.transaction() as changes:
            for vehicle in vehicles[2:]:
                await changes.assign(assignment_of(f"door of {vehicle}", "a.img", vehicle))
            await changes.assign(assignment_of("door", "a.img"))
            await changes.assign(assignment_of("brake", "b.img"))
        async with inventory.engine.begin() as connection:
            await connection.execute(text("UPDATE assignments SET path = '../up' WHERE vehicle = 'van'"))
        found = {state.record.vehicle: state for state in await fleet.reassigned(asked)}
        assert found.keys() == {*vehicles} - {VehicleIdentifier("van")}
        for vehicle, state in found.items():
            assert state == await fleet.read(vehicle, ())
        assert len(found[CAR].assignments) == 2 and not found[TRUCK].assignments

    tell(story)


def test_a_publication_that_builds_on_what_somebody_has_replaced_is_refused(tell: Callable[..., None]) -> None:
    async def story(fleet: SqlFleet, inventory: SqlInventory) -> None:
        one, other = (SqlPublished(inventory.engine, CAR) for _ in range(2))
        assert await one.read("a.der") is None and await other.read("a.der") is None
        await one.publish([], {"a.der": b"one"})
        with pytest.raises(StorageError, match="somebody else has published"):
            await other.publish([("1.a.der", b"other")], {"a.der": b"other"})
        assert await other.read("a.der") == b"one" and await other.read("1.a.der") is None
        await other.publish([], {"a.der": b"other"})
        await one.publish([], {"a.der": b"one, which has read nothing since"})

    tell(story)


@pytest.mark.parametrize("page", [1, 2, 1000])
def test_the_roots_of_all_vehicles_in_service_are_read_a_page_at_a_time_with_nothing_open_meanwhile(
    tell: Callable[..., None], page: int
) -> None:
    async def story(fleet: SqlFleet, inventory: SqlInventory) -> None:
        bus, scrapped = VehicleIdentifier("Zürich bus"), VehicleIdentifier("scrapped")
        async with inventory.transaction() as transaction:
            for vehicle in (bus, scrapped):
                await transaction.add_vehicle(VehicleRecord(vehicle=vehicle))
        for vehicle in (CAR, bus, scrapped):
            files = {"root.der": b"root of %s" % vehicle.encode(), "timestamp.der": b"another"}
            await SqlPublished(inventory.engine, vehicle).publish([("1.root.der", b"old")], files)
        await SqlEnrolment(inventory.engine).retire(scrapped, NOW)
        found = {}
        async for vehicle, raw in roots_in_service(inventory.engine, "root.der", page):
            found[vehicle] = raw
            await SqlPublished(inventory.engine, vehicle).publish([], {"timestamp.der": b"new"})
        assert found == {bus: "root of Zürich bus".encode(), CAR: b"root of %s" % CAR.encode(), TRUCK: None}
        assert list(found) == sorted(found)

    tell(story)


def test_no_statement_waits_for_a_database_that_is_gone_without_a_word(server: str) -> None:
    """The kernel ends the connection, where nobody answers for ten seconds."""

    def patience(connection: psycopg.AsyncConnection[Any]) -> tuple[str, ...]:
        set_up = {each.keyword: each.val for each in connection.pgconn.info}
        wanted = (b"tcp_user_timeout", b"keepalives_idle", b"keepalives_interval", b"keepalives_count")
        return tuple((set_up[name] or b"").decode() for name in wanted)

    async def story() -> None:
        engine = open_engine(server)
        async with (
            engine.connect() as through,
            PostgresqlFleet(engine).open() as fleet,
            fleet._connections._pool.connection() as own,
        ):
            other = (await through.get_raw_connection()).driver_connection
            assert patience(own) == patience(other) == ("10000", "3", "2", "3")  # type: ignore[arg-type]
        await engine.dispose()

    asyncio.run(story())
