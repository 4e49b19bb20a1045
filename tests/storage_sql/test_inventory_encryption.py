"""Encryption keys of ECUs and encrypted forms of their images, in every inventory."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from inventory_records import CAR, TRUCK, Tell, assignment_of, ecu_of, register, report_of
from msgspec import structs
from sql_stories import tell as tell_file

from uptane.director.ports import InventoryDatabase
from uptane.encryption.keys import EncryptionKey
from uptane.metadata.errors import StorageError, UnknownEcuError, UnknownVehicleError
from uptane.metadata.identifiers import EcuIdentifier, VehicleIdentifier
from uptane.storage.sql.inventory import SqlInventory

KEYS = [
    EncryptionKey.of(X25519PrivateKey.from_private_bytes(b"x" * 32).public_key()),
    EncryptionKey.symmetric(b"s" * 32),
]


@pytest.mark.parametrize("key", KEYS, ids=["public", "symmetric"])
def test_an_encryption_key_is_kept_through_reports_and_replaced(tell: Tell, key: EncryptionKey) -> None:
    async def story(inventory: InventoryDatabase) -> None:
        brake = ecu_of("brake")
        await register(inventory, brake, ecu_of("door"))
        async with inventory.transaction() as changes:
            await changes.set_encryption_key(CAR, brake.ecu, key)
            await changes.set_encryption_key(CAR, EcuIdentifier("door"), key)
        async with inventory.transaction() as changes:
            record = await changes.ecu(brake.ecu)
            assert record == structs.replace(brake, encryption_key=key)
            await changes.add_report(structs.replace(record, report_counter=1, report=b"1"), report_of(1))
        async with inventory.transaction() as changes:
            assert [ecu.encryption_key for ecu in await changes.ecus(CAR)] == [key, key]
            await changes.set_encryption_key(CAR, brake.ecu, KEYS[0])
        async with inventory.transaction() as reader:
            assert [ecu.encryption_key for ecu in await reader.ecus(CAR)] == [KEYS[0], key]

    tell(story)


def test_an_encryption_key_is_for_an_ecu_that_is_there(tell: Tell) -> None:
    async def story(inventory: InventoryDatabase) -> None:
        await register(inventory, ecu_of("brake"))
        async with inventory.transaction() as changes:
            with pytest.raises(UnknownEcuError):
                await changes.set_encryption_key(CAR, EcuIdentifier("door"), KEYS[0])
            with pytest.raises(UnknownEcuError):
                await changes.set_encryption_key(TRUCK, EcuIdentifier("brake"), KEYS[0])
            with pytest.raises(UnknownVehicleError):
                await changes.set_encryption_key(VehicleIdentifier("bus"), EcuIdentifier("brake"), KEYS[0])

    tell(story)


def test_an_encrypted_form_comes_back_with_its_assignment_and_goes_with_it(tell: Tell) -> None:
    async def story(inventory: InventoryDatabase) -> None:
        await register(inventory, ecu_of("brake"))
        plain = assignment_of("brake", "a.img")
        encrypted = structs.replace(plain, encrypted=b'{"method":"\xc3\xa9"}')
        for each in (encrypted, plain, encrypted):
            async with inventory.transaction() as changes:
                await changes.assign(each)
            async with inventory.transaction() as reader:
                assert list(await reader.assignments(CAR)) == [each]

    tell(story)


@pytest.mark.parametrize(
    "change", ["encryption_type = 'rsa'", "encryption_material = X'00'", "encryption_type = 'x25519'"]
)
def test_a_damaged_encryption_key_is_refused_without_telling_it(tmp_path: Path, change: str) -> None:
    path = tmp_path / "inventory.db"
    secret = b"\xff" * 32

    async def fill(inventory: SqlInventory) -> None:
        await register(inventory, ecu_of("brake"))
        async with inventory.transaction() as changes:
            await changes.set_encryption_key(CAR, EcuIdentifier("brake"), EncryptionKey.symmetric(secret))

    async def read(inventory: SqlInventory) -> None:
        async with inventory.transaction() as reader:
            await reader.ecus(CAR)

    tell_file(path, fill)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(f"UPDATE ecus SET {change}")  # noqa: S608
    with pytest.raises(StorageError) as refused:
        tell_file(path, read)
    assert "ff" * 4 not in f"{refused.value!r} {refused.value.__cause__!r}"
