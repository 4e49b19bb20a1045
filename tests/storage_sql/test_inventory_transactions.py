"""All or nothing, one after the other, and whatever names come: told to the SQL inventory and to the one in memory."""

import asyncio
from datetime import UTC, timedelta, timezone

import pytest
from inventory_records import (
    CAR,
    HOSTILE,
    NOW,
    TRUCK,
    Tell,
    assignment_of,
    contents,
    ecu_of,
    register,
    report_of,
)
from msgspec import structs

from uptane.director.ports import InventoryDatabase, VehicleRecord
from uptane.metadata.errors import AlreadyRegisteredError, StorageError
from uptane.metadata.identifiers import HardwareIdentifier, VehicleIdentifier
from uptane.metadata.version_report import MAX_COUNTER


def test_an_error_in_the_context_takes_back_everything(tell: Tell) -> None:
    class Stop(Exception):
        pass

    async def story(inventory: InventoryDatabase) -> None:
        brake = ecu_of("brake")
        await register(inventory, brake)
        async with inventory.transaction() as changes:
            await changes.assign(assignment_of("brake", "a.img"))
        before = await contents(inventory)
        with pytest.raises(Stop):
            async with inventory.transaction() as changes:
                await changes.add_vehicle(VehicleRecord(vehicle=VehicleIdentifier("bus")))
                await changes.update_vehicle(VehicleRecord(vehicle=CAR, manifest_counter=5))
                await changes.add_ecu(ecu_of("radio"))
                await changes.add_report(structs.replace(brake, report_counter=3), report_of(3))
                await changes.assign(assignment_of("brake", "b.img"))
                await changes.clear_assignments(CAR)
                with pytest.raises(AlreadyRegisteredError):
                    await changes.add_ecu(brake)
                raise Stop
        assert await contents(inventory) == before

    tell(story)


def test_a_cancelled_request_leaves_nothing_and_blocks_nobody(tell: Tell) -> None:
    async def story(inventory: InventoryDatabase) -> None:
        await register(inventory)
        before = await contents(inventory)
        written = asyncio.Event()

        async def request() -> None:
            async with inventory.transaction() as changes:
                await changes.update_vehicle(VehicleRecord(vehicle=CAR, manifest_counter=5))
                written.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(request())
        await written.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await contents(inventory) == before

    tell(story)


def test_a_request_cancelled_at_any_moment_leaves_all_or_nothing(tell: Tell) -> None:
    async def story(inventory: InventoryDatabase) -> None:
        await register(inventory, ecu_of("brake"))
        for moment in range(40):

            async def request(moment: int = moment) -> None:
                async with inventory.transaction() as changes:
                    await changes.update_vehicle(VehicleRecord(vehicle=CAR, manifest_counter=moment))
                    await changes.assign(assignment_of("brake", f"{moment}.img"))

            task = asyncio.create_task(request())
            for _ in range(moment):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            async with inventory.transaction() as reader:
                record = await reader.vehicle(CAR)
                paths = [assignment.path for assignment in await reader.assignments(CAR)]
            assert record is not None
            assert paths in ([f"{record.manifest_counter}.img"], [])
            assert bool(paths) or record.manifest_counter == 0

    tell(story)


@pytest.mark.standard("STD-5.3.2.1-10")
def test_manifests_of_one_vehicle_that_arrive_together_are_counted_one_after_the_other(tell: Tell) -> None:
    async def story(inventory: InventoryDatabase) -> None:
        await register(inventory)

        async def count() -> None:
            async with inventory.transaction() as changes:
                record = await changes.vehicle(CAR)
                assert record is not None
                await asyncio.sleep(0)
                await changes.update_vehicle(structs.replace(record, manifest_counter=record.manifest_counter + 1))

        await asyncio.gather(*(count() for _ in range(25)))
        async with inventory.transaction() as reader:
            record = await reader.vehicle(CAR)
        assert record is not None
        assert record.manifest_counter == 25

    tell(story)


def test_whoever_waits_too_long_for_a_turn_is_told(tell: Tell) -> None:
    async def story(inventory: InventoryDatabase) -> None:
        await register(inventory)
        async with inventory.transaction() as first:
            await first.vehicle(CAR)
            with pytest.raises(StorageError):
                async with inventory.transaction() as second:
                    await second.vehicle(CAR)
            await first.update_vehicle(VehicleRecord(vehicle=CAR, manifest_counter=2))
        async with inventory.transaction() as reader:
            assert await reader.vehicle(CAR) == VehicleRecord(vehicle=CAR, manifest_counter=2)

    tell(story)


def test_a_transaction_cannot_be_used_after_its_end(tell: Tell) -> None:
    async def story(inventory: InventoryDatabase) -> None:
        async with inventory.transaction() as changes:
            await changes.add_vehicle(VehicleRecord(vehicle=CAR))
        with pytest.raises(StorageError):
            await changes.vehicle(CAR)
        with pytest.raises(StorageError):
            await changes.add_vehicle(VehicleRecord(vehicle=TRUCK))
        async with inventory.transaction() as reader:
            assert list(await reader.vehicles()) == [CAR]

    tell(story)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_come_back_as_they_were(tell: Tell, name: str) -> None:
    async def story(inventory: InventoryDatabase) -> None:
        vehicle = VehicleIdentifier(name)
        record = structs.replace(ecu_of(name, vehicle), hardware_id=HardwareIdentifier(name))
        await register(inventory)
        async with inventory.transaction() as changes:
            await changes.add_vehicle(VehicleRecord(vehicle=vehicle, manifest=name.encode()))
            await changes.add_ecu(record)
            await changes.add_report(record, report_of(1, attacks=name))
            await changes.assign(assignment_of(name, name, vehicle))
        async with inventory.transaction() as reader:
            assert await reader.vehicles() == sorted([CAR, TRUCK, vehicle])
            assert await reader.vehicle(vehicle) == VehicleRecord(vehicle=vehicle, manifest=name.encode())
            assert await reader.ecus(vehicle) == [record]
            assert await reader.reports(vehicle, record.ecu, 1) == [report_of(1, attacks=name)]
            assert await reader.assignments(vehicle) == [assignment_of(name, name, vehicle)]

    tell(story)


def test_times_of_any_zone_are_kept_in_utc(tell: Tell) -> None:
    async def story(inventory: InventoryDatabase) -> None:
        tokyo = NOW.astimezone(timezone(timedelta(hours=9)))
        brake = ecu_of("brake")
        await register(inventory, brake)
        async with inventory.transaction() as changes:
            await changes.update_vehicle(VehicleRecord(vehicle=CAR, manifest_received=tokyo))
            await changes.add_report(structs.replace(brake, report_received=tokyo), report_of(1, received=tokyo))
        async with inventory.transaction() as reader:
            car, ecu = await reader.vehicle(CAR), await reader.ecu(brake.ecu)
            (report,) = await reader.reports(CAR, brake.ecu, 1)
        assert car is not None
        assert ecu is not None
        for time in (car.manifest_received, ecu.report_received, report.received):
            assert time == NOW
            assert time is not None
            assert time.tzinfo is UTC

    tell(story)


def test_what_no_database_can_keep_is_refused_and_nothing_else_is_lost(tell: Tell) -> None:
    async def story(inventory: InventoryDatabase) -> None:
        brake = ecu_of("brake")
        await register(inventory, brake)
        before = await contents(inventory)
        async with inventory.transaction() as changes:
            for attempt in (
                lambda: changes.update_vehicle(VehicleRecord(vehicle=CAR, manifest_counter=MAX_COUNTER + 1)),
                lambda: changes.update_vehicle(VehicleRecord(vehicle=CAR, manifest_counter=-1)),
                lambda: changes.update_vehicle(VehicleRecord(vehicle=CAR, manifest_received=NOW.replace(tzinfo=None))),
                lambda: changes.add_report(structs.replace(brake, report_counter=10**400), report_of(1)),
                lambda: changes.add_report(brake, report_of(MAX_COUNTER + 1)),
                lambda: changes.add_report(brake, report_of(1, attacks="nul \0")),
                lambda: changes.add_report(brake, report_of(1, attacks="half \ud800")),
            ):
                with pytest.raises(StorageError) as refused:
                    await attempt()
                assert refused.value.facts["field"]
        assert await contents(inventory) == before

    tell(story)
