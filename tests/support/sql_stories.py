"""Stories about an inventory in a file."""

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ed25519

from uptane.director.ports import Assignment, EcuRecord, VehicleRecord
from uptane.metadata.identifiers import EcuIdentifier, ImagePath, VehicleIdentifier
from uptane.metadata.keys import PublicKey
from uptane.storage.sql.inventory import SqlInventory, open_inventory

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
