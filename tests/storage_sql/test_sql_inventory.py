"""The SQL inventory on a real disk: killed processes, damaged files, a full disk, two programs at once."""

import asyncio
import signal
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sql_stories import CAR, CHILD, GATEWAY, count, counter_of, fill, tell
from sqlalchemy import event

from uptane.director.ports import VehicleRecord
from uptane.metadata.errors import StorageError
from uptane.storage.sql.engine import open_engine
from uptane.storage.sql.inventory import SqlInventory, open_inventory


@pytest.mark.standard("STD-5.3.2.2-1")
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
        from msgspec import structs
        from uptane.metadata.identifiers import VehicleIdentifier
        from uptane.storage.sql.inventory import open_inventory

        async def work():
            inventory = await open_inventory(sys.argv[1])
            while True:
                async with inventory.transaction() as changes:
                    record = await changes.vehicle(VehicleIdentifier("car"))
                    await changes.update_vehicle(structs.replace(record, manifest_counter=record.manifest_counter + 1))
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


@pytest.mark.standard("STD-5.3.2.2-1")
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
