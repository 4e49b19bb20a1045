"""Vehicles, ECUs and reports for the stories that are told to inventories."""

import hashlib
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ed25519

from uptane.director.ports import Assignment, Directed, EcuRecord, InventoryDatabase, StoredReport, VehicleRecord
from uptane.metadata.identifiers import EcuIdentifier, ImagePath, VehicleIdentifier
from uptane.metadata.keys import PublicKey

Tell = Callable[[Callable[[InventoryDatabase], Coroutine[Any, Any, None]]], None]

CAR, TRUCK = VehicleIdentifier("car"), VehicleIdentifier("truck")
NOW = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)
HOSTILE = [
    "Robert'); DROP TABLE vehicles;--",
    '"quoted" `name` [x]',
    "100 :name ?1 $2 %(x)s".replace("%", "{"),
    "Zoë 車 🚗",
    "true",
    "0",
    "NULL",
]


def key_of(name: str) -> PublicKey:
    seed = hashlib.sha256(name.encode()).digest()
    return PublicKey.of(ed25519.Ed25519PrivateKey.from_private_bytes(seed).public_key())


def ecu_of(name: str, vehicle: VehicleIdentifier = CAR, *, primary: bool = False, key: str = "") -> EcuRecord:
    return EcuRecord(vehicle=vehicle, ecu=EcuIdentifier(name), key=key_of(key or name), is_primary=primary)


def report_of(counter: int, *, attacks: str = "", received: datetime = NOW) -> StoredReport:
    return StoredReport(counter=counter, report=b"report %d" % counter, received=received, attacks_detected=attacks)


def assignment_of(ecu: str, path: str, vehicle: VehicleIdentifier = CAR) -> Assignment:
    return Assignment(vehicle=vehicle, ecu=EcuIdentifier(ecu), path=ImagePath(path), image=b"{}")


def directed_of(ecu: str, number: int, vehicle: VehicleIdentifier = CAR) -> Directed:
    return Directed(
        vehicle=vehicle, ecu=EcuIdentifier(ecu), number=number, path=ImagePath(f"{number}.img"), image=b"{}"
    )


async def register(inventory: InventoryDatabase, *records: EcuRecord) -> None:
    async with inventory.transaction() as changes:
        for vehicle in (CAR, TRUCK):
            await changes.add_vehicle(VehicleRecord(vehicle=vehicle))
        for record in records:
            await changes.add_ecu(record)


async def contents(inventory: InventoryDatabase) -> list[object]:
    found: list[object] = []
    async with inventory.transaction() as reader:
        for vehicle in await reader.vehicles():
            found += [await reader.vehicle(vehicle), await reader.assignments(vehicle)]
            found += [await reader.directed(vehicle), await reader.alerts(vehicle, 1000)]
            for record in await reader.ecus(vehicle):
                found += [record, await reader.reports(vehicle, record.ecu, 1000)]
    return found
