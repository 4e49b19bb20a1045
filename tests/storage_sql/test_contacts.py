"""When a vehicle was last heard of is written for many at once, and never put back."""

from datetime import timedelta
from pathlib import Path

import pytest
from inventory_records import CAR, NOW, TRUCK, register
from sql_stories import alter, tell

from uptane.metadata.errors import StorageError
from uptane.metadata.identifiers import VehicleIdentifier
from uptane.storage.sql.contacts import SqlContacts
from uptane.storage.sql.inventory import SqlInventory

STRANGER = VehicleIdentifier("stranger")
LATER = NOW + timedelta(seconds=7)


def test_the_newest_contact_of_each_vehicle_is_kept_and_strangers_are_not(tmp_path: Path) -> None:
    async def story(inventory: SqlInventory) -> None:
        await register(inventory)
        contacts, other = SqlContacts(inventory.engine), SqlContacts(inventory.engine)
        for vehicle in (CAR, STRANGER):
            contacts.saw(vehicle, NOW)
        contacts.saw(CAR, LATER)
        assert await contacts.last(CAR) is None, "it is only noted"
        await contacts.flush()
        other.saw(CAR, NOW)
        other.saw(TRUCK, NOW)
        await other.flush()
        assert [await contacts.last(each) for each in (CAR, TRUCK, STRANGER)] == [LATER, NOW, None]

    tell(tmp_path / "inventory.db", story)


def test_what_a_database_did_not_take_is_written_the_next_time(tmp_path: Path) -> None:
    async def story(inventory: SqlInventory) -> None:
        await register(inventory)
        contacts = SqlContacts(inventory.engine)
        contacts.saw(CAR, NOW)
        alter(tmp_path / "inventory.db", "ALTER TABLE contacts RENAME TO away")
        with pytest.raises(StorageError):
            await contacts.flush()
        alter(tmp_path / "inventory.db", "ALTER TABLE away RENAME TO contacts")
        contacts.saw(TRUCK, LATER)
        await contacts.flush()
        assert [await contacts.last(each) for each in (CAR, TRUCK)] == [NOW, LATER]

    tell(tmp_path / "inventory.db", story)
