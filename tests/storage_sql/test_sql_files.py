"""The file of an SQL inventory: damaged, altered, of another version, or in a place where none can be."""

import asyncio
import os
import sqlite3
import stat
from pathlib import Path

import pytest
from sql_stories import CAR, alter, counter_of, fill, tell
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import create_mock_engine

from uptane.director.ports import VehicleRecord
from uptane.metadata.errors import StorageError
from uptane.storage.sql.engine import open_engine
from uptane.storage.sql.inventory import SqlInventory, open_inventory
from uptane.storage.sql.revision import create_schema
from uptane.storage.sql.schema import tables


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


@pytest.mark.standard("STD-5.3.2.2-8")
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
    "change", ["DROP TABLE inventory_revision", "DELETE FROM inventory_revision", "DROP TABLE reports"]
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
