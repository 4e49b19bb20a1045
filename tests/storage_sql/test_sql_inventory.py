"""The SQL inventory on a real disk: killed processes, damaged files, a full disk, two programs at once."""

import asyncio
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import textwrap
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from sqlalchemy import event
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import create_mock_engine

from uptane.director.ports import Assignment, EcuRecord, VehicleRecord
from uptane.metadata.errors import StorageError
from uptane.metadata.identifiers import EcuIdentifier, ImagePath, VehicleIdentifier
from uptane.metadata.keys import PublicKey
from uptane.storage.sql.engine import open_engine
from uptane.storage.sql.inventory import SqlInventory, open_inventory
from uptane.storage.sql.schema import SCHEMA_VERSION, create_schema, tables

CAR = VehicleIdentifier("car")
KEY = PublicKey.of(ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key())
GATEWAY = EcuRecord(vehicle=CAR, ecu=EcuIdentifier("gateway"), key=KEY, is_primary=True)


def tell(path: Path, story: Callable[[SqlInventory], Coroutine[Any, Any, None]]) -> None:
    """Runs `story` on the inventory at `path`."""

    async def on_the_inventory() -> None:
        inventory = await open_inventory(path, wait_seconds=0.2)
        try:
            await story(inventory)
        finally:
            await inventory.dispose()

    asyncio.run(on_the_inventory())


async def count(inventory: SqlInventory, counter: int) -> None:
    async with inventory.transaction() as changes:
        await changes.update_vehicle(VehicleRecord(vehicle=CAR, manifest_counter=counter, manifest=b"m" * 100))


async def counter_of(inventory: SqlInventory) -> int:
    async with inventory.transaction() as reader:
        record = await reader.vehicle(CAR)
    assert record is not None
    return record.manifest_counter


async def fill(inventory: SqlInventory) -> None:
    async with inventory.transaction() as changes:
        await changes.add_vehicle(VehicleRecord(vehicle=CAR, manifest_counter=1))
        await changes.add_ecu(GATEWAY)
        await changes.assign(Assignment(vehicle=CAR, ecu=GATEWAY.ecu, path=ImagePath("a.img"), image=b"{}"))


def alter(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


CHILD = """
    import asyncio, sys
    from uptane.director.ports import VehicleRecord
    from uptane.metadata.identifiers import VehicleIdentifier
    from uptane.storage.sql.inventory import open_inventory

    CAR = VehicleIdentifier("car")

    async def work():
        inventory = await open_inventory(sys.argv[1])
        async with inventory.transaction() as changes:
            await changes.add_vehicle(VehicleRecord(vehicle=CAR, manifest_counter=1, manifest=b"kept"))
        if sys.argv[2] == "after the commit":
            print("ready", flush=True)
            await asyncio.Event().wait()
        async with inventory.transaction() as changes:
            await changes.update_vehicle(VehicleRecord(vehicle=CAR, manifest_counter=2, manifest=b"x" * 5_000_000))
            for number in range(500):
                await changes.add_vehicle(VehicleRecord(vehicle=VehicleIdentifier(f"car {number}")))
            print("ready", flush=True)
            await asyncio.Event().wait()

    asyncio.run(work())
"""


@pytest.mark.parametrize("moment", ["after the commit", "in the middle of a transaction"])
def test_a_killed_director_keeps_what_it_committed_and_nothing_else(tmp_path: Path, moment: str) -> None:
    path = tmp_path / "inventory.db"
    command = [sys.executable, "-c", textwrap.dedent(CHILD), str(path), moment]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        child.send_signal(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL

    async def story(inventory: SqlInventory) -> None:
        async with inventory.transaction() as reader:
            assert await reader.vehicles() == [CAR]
            assert await reader.vehicle(CAR) == VehicleRecord(vehicle=CAR, manifest_counter=1, manifest=b"kept")
        await count(inventory, 3)
        assert await counter_of(inventory) == 3

    tell(path, story)


def test_a_director_that_is_killed_again_and_again_never_loses_a_reported_commit(tmp_path: Path) -> None:
    path = tmp_path / "inventory.db"
    tell(path, fill)
    endless = """
        import asyncio, sys
        from dataclasses import replace
        from uptane.metadata.identifiers import VehicleIdentifier
        from uptane.storage.sql.inventory import open_inventory

        async def work():
            inventory = await open_inventory(sys.argv[1])
            while True:
                async with inventory.transaction() as changes:
                    record = await changes.vehicle(VehicleIdentifier("car"))
                    await changes.update_vehicle(replace(record, manifest_counter=record.manifest_counter + 1))
                print(record.manifest_counter + 1, flush=True)

        asyncio.run(work())
    """
    for commits in (1, 2, 7):
        command = [sys.executable, "-c", textwrap.dedent(endless), str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            reported = [int(child.stdout.readline()) for _ in range(commits)][-1]
            child.kill()
            reported = max([reported, *(int(line) for line in child.stdout.read().splitlines())])

        async def story(inventory: SqlInventory, reported: int = reported) -> None:
            assert await counter_of(inventory) in (reported, reported + 1)

        tell(path, story)


def test_reopened_data_equal_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "inventory.db"
    tell(path, fill)

    async def story(inventory: SqlInventory) -> None:
        async with inventory.transaction() as reader:
            assert await reader.vehicle(CAR) == VehicleRecord(vehicle=CAR, manifest_counter=1)
            assert await reader.ecus(CAR) == [GATEWAY]
            assert [a.path for a in await reader.assignments(CAR)] == ["a.img"]

    tell(path, story)


def test_two_programs_that_count_manifests_of_one_vehicle_lose_none(tmp_path: Path) -> None:
    path = tmp_path / "inventory.db"
    tell(path, fill)

    async def story(_: SqlInventory) -> None:
        inventories = [await open_inventory(path) for _ in range(3)]

        async def manifest(inventory: SqlInventory) -> None:
            async with inventory.transaction() as changes:
                record = await changes.vehicle(CAR)
                assert record is not None
                await asyncio.sleep(0)
                counter = record.manifest_counter + 1
                await changes.update_vehicle(VehicleRecord(vehicle=CAR, manifest_counter=counter))

        await asyncio.gather(*(manifest(inventory) for inventory in inventories for _ in range(8)))
        assert await counter_of(inventories[0]) == 25
        for inventory in inventories:
            await inventory.dispose()

    tell(path, story)


def test_a_database_that_another_program_holds_is_named_and_works_again_when_it_lets_go(tmp_path: Path) -> None:
    path = tmp_path / "inventory.db"
    tell(path, fill)

    async def story(inventory: SqlInventory) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StorageError) as refused:
                await count(inventory, 2)
            other.execute("ROLLBACK")
        assert refused.value.facts["reason"] == "SQLITE_BUSY"
        assert refused.value.facts["database"] == str(path)
        assert isinstance(refused.value.__cause__, sqlite3.OperationalError)
        await count(inventory, 3)
        assert await counter_of(inventory) == 3

    tell(path, story)


def test_a_full_disk_changes_nothing_and_the_next_good_write_succeeds(tmp_path: Path) -> None:
    path = tmp_path / "inventory.db"
    tell(path, fill)

    async def story() -> None:
        engine = open_engine(path)

        @event.listens_for(engine.sync_engine, "connect")
        def fill_the_disk(connection: Any, _entry: object) -> None:
            cursor = connection.cursor()
            cursor.execute("PRAGMA max_page_count=40")
            cursor.close()

        inventory = SqlInventory(engine)
        with pytest.raises(StorageError) as refused:
            async with inventory.transaction() as changes:
                await changes.update_vehicle(VehicleRecord(vehicle=CAR, manifest_counter=2))
                await changes.update_vehicle(VehicleRecord(vehicle=CAR, manifest_counter=3, manifest=bytes(10**6)))
        assert refused.value.facts["reason"] == "SQLITE_FULL"
        assert await counter_of(inventory) == 1
        with pytest.raises(StorageError):
            async with inventory.transaction() as changes:
                with pytest.raises(StorageError):
                    await changes.update_vehicle(VehicleRecord(vehicle=CAR, manifest_counter=3, manifest=bytes(10**6)))
                with pytest.raises(StorageError):
                    await changes.update_vehicle(VehicleRecord(vehicle=CAR, manifest_counter=4))
        assert await counter_of(inventory) == 1
        await count(inventory, 5)
        assert await counter_of(inventory) == 5
        await inventory.dispose()

    asyncio.run(story())


@pytest.mark.parametrize("damage", ["not a database", "first page", "tables"])
def test_a_damaged_file_is_refused_with_what_to_do(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "inventory.db"
    tell(path, fill)
    raw = bytearray(path.read_bytes())
    if damage == "not a database":
        raw[:] = b"Dear reader, this is a letter and no database." * 200
    elif damage == "first page":
        raw[100:4096] = os.urandom(3996)
    else:
        raw[4096:] = b"\xa5" * (len(raw) - 4096)
    path.write_bytes(raw)

    async def story(inventory: SqlInventory) -> None:
        await counter_of(inventory)

    with pytest.raises(StorageError) as refused:
        tell(path, story)
    assert refused.value.facts["reason"] in ("SQLITE_NOTADB", "SQLITE_CORRUPT")
    assert "backup" in refused.value.next_step
    assert isinstance(refused.value.__cause__, sqlite3.DatabaseError)
    assert path.read_bytes() == bytes(raw)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE ecus SET key_material = zeroblob(5)",
        "UPDATE ecus SET key_id = 'no id'",
        "UPDATE ecus SET key_type = 'rot13'",
        "UPDATE ecus SET hardware_id = '../up'",
        "UPDATE ecus SET key_id = replace(key_id, substr(key_id, 1, 1), 'f') || ''",
        "UPDATE assignments SET path = '../../etc/passwd'",
    ],
)
def test_a_record_that_somebody_altered_into_nonsense_is_not_believed(tmp_path: Path, change: str) -> None:
    path = tmp_path / "inventory.db"
    tell(path, fill)
    alter(path, change)

    async def story(inventory: SqlInventory) -> None:
        async with inventory.transaction() as reader:
            await reader.ecus(CAR)
            await reader.assignments(CAR)

    with pytest.raises(StorageError) as refused:
        tell(path, story)
    assert refused.value.facts["database"] == str(path)


@pytest.mark.parametrize(
    ("offered", "change"),
    [
        (SCHEMA_VERSION - 1, "UPDATE inventory_schema SET version = version - 1"),
        (SCHEMA_VERSION + 1, "UPDATE inventory_schema SET version = version + 1"),
    ],
)
def test_an_inventory_of_another_version_is_refused_and_left_alone(tmp_path: Path, offered: int, change: str) -> None:
    path = tmp_path / "inventory.db"
    tell(path, fill)
    alter(path, change)
    before = path.read_bytes()
    with pytest.raises(StorageError) as refused:
        tell(path, fill)
    assert (refused.value.facts["expected"], refused.value.facts["offered"]) == (SCHEMA_VERSION, offered)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "change", ["DROP TABLE inventory_schema", "DELETE FROM inventory_schema", "DROP TABLE reports"]
)
def test_an_inventory_that_lost_a_table_or_its_version_is_refused(tmp_path: Path, change: str) -> None:
    path = tmp_path / "inventory.db"
    tell(path, fill)
    alter(path, change)
    with pytest.raises(StorageError) as refused:
        tell(path, fill)
    assert refused.value.facts["database"] == str(path)


def test_several_programs_may_make_the_tables_at_the_same_time(tmp_path: Path) -> None:
    async def story() -> None:
        inventories = await asyncio.gather(*(open_inventory(tmp_path / "inventory.db") for _ in range(4)))
        await fill(inventories[0])
        assert [await counter_of(inventory) for inventory in inventories] == [1] * 4
        for inventory in inventories:
            await inventory.dispose()

    asyncio.run(story())


@pytest.mark.standard("STD-5.3.2.2-1")
def test_the_file_is_private_and_keeps_commits_through_a_power_cut(tmp_path: Path) -> None:
    path = tmp_path / "inventory.db"

    async def story(inventory: SqlInventory) -> None:
        await fill(inventory)
        for file in tmp_path.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file.name

    async def settings() -> list[object]:
        engine = open_engine(path)
        async with engine.connect() as connection:
            names = ("journal_mode", "synchronous", "foreign_keys")
            found = [(await connection.exec_driver_sql(f"PRAGMA {name}")).scalar() for name in names]
        await engine.dispose()
        return found

    tell(path, story)
    assert asyncio.run(settings()) == ["wal", 2, 1]


@pytest.mark.parametrize(
    "place",
    [
        "no/such/folder/inventory.db",
        "",
        ".",
        "nul\0.db",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file:x?uri=true",
        "nosuchdatabase://host/x",
        "://",
        "postgresql://user:pa55word@host:port/x",
        "mysql+nosuchdriver://user:pa55word@host/x",
    ],
)
def test_a_place_where_no_inventory_can_be_is_refused_without_telling_a_password(
    tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StorageError) as refused:
        asyncio.run(open_inventory(place))
    assert refused.value.next_step
    assert "pa55word" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_a_url_of_a_file_opens_the_same_inventory_as_its_path(tmp_path: Path) -> None:
    path = tmp_path / "inventory.db"
    tell(path, fill)

    async def story() -> None:
        inventory = await open_inventory(f"sqlite:///{path}")
        assert await counter_of(inventory) == 1
        await inventory.dispose()

    asyncio.run(story())


def test_no_record_shows_in_the_error_of_a_failed_statement(tmp_path: Path) -> None:
    path = tmp_path / "inventory.db"
    tell(path, fill)

    async def story(inventory: SqlInventory) -> None:
        alter(path, "ALTER TABLE vehicles RENAME COLUMN manifest TO gone")
        with pytest.raises(StorageError) as refused:
            async with inventory.transaction() as changes:
                await changes.update_vehicle(VehicleRecord(vehicle=CAR, manifest=b"secret manifest"))
        assert "secret" not in f"{refused.value} {refused.value.__cause__} {refused.value.__context__}"
        assert not type(refused.value.__cause__).__module__.startswith("sqlalchemy")

    tell(path, story)


def test_making_the_tables_twice_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "inventory.db"
    tell(path, fill)

    async def story() -> None:
        engine = open_engine(path)
        await create_schema(engine)
        await create_schema(engine)
        assert await counter_of(SqlInventory(engine)) == 1
        await engine.dispose()

    asyncio.run(story())


def test_every_table_of_records_begins_its_key_with_the_vehicle() -> None:
    first = {table.name: next(iter(table.primary_key.columns)).name for table in tables.sorted_tables}
    assert first.pop("inventory_schema") == "version"
    assert set(first.values()) == {"vehicle"}


def test_the_tables_can_be_made_in_postgresql() -> None:
    statements: list[str] = []
    engine = create_mock_engine(
        "postgresql+psycopg://", lambda sql, *_, **__: statements.append(str(sql.compile(dialect=postgresql.dialect())))
    )
    tables.create_all(engine, checkfirst=False)
    made = " ".join(" ".join(statements).split())
    assert "CREATE UNIQUE INDEX one_primary_per_vehicle ON ecus (vehicle) WHERE is_primary IS true" in made
    assert 'vehicle TEXT COLLATE "C" NOT NULL' in made
    assert "TIMESTAMP WITH TIME ZONE" in made
