"""An ECU that was taken out of its vehicle, in every inventory: gone from the vehicle, and never free again."""

import pytest
from inventory_records import (
    CAR,
    NOW,
    TRUCK,
    Tell,
    assignment_of,
    contents,
    directed_of,
    ecu_of,
    register,
    report_of,
)
from msgspec import structs

from uptane.director.ports import InventoryDatabase
from uptane.metadata.errors import AlreadyRegisteredError, StorageError, UnknownEcuError, UnknownVehicleError
from uptane.metadata.identifiers import EcuIdentifier, VehicleIdentifier


@pytest.mark.standard("STD-5.3.2.2-4", "STD-5.3.2.2-5")
def test_a_retired_ecu_is_part_of_no_vehicle_and_keeps_its_name_key_and_history(tell: Tell) -> None:
    async def story(inventory: InventoryDatabase) -> None:
        gateway, brake = ecu_of("gateway", primary=True), ecu_of("brake")
        await register(inventory, gateway, brake)
        async with inventory.transaction() as changes:
            await changes.add_report(structs.replace(gateway, report_counter=1, report=b"report 1"), report_of(1))
            await changes.assign(assignment_of("gateway", "a.img"))
            await changes.assign(assignment_of("brake", "b.img"))
            await changes.set_directed(CAR, gateway.ecu, [directed_of("gateway", 1)])
            await changes.set_directed(CAR, brake.ecu, [directed_of("brake", 1)])
        async with inventory.transaction() as changes:
            await changes.retire_ecu(CAR, gateway.ecu, NOW)
        async with inventory.transaction() as changes:
            assert list(await changes.ecus(CAR)) == [brake]
            retired = await changes.ecu(gateway.ecu)
            assert retired == structs.replace(gateway, report_counter=1, report=b"report 1", retired=NOW)
            assert await changes.ecu_of_key(gateway.key) == retired
            assert list(await changes.reports(CAR, gateway.ecu, 10)) == [report_of(1)]
            assert [each.ecu for each in await changes.assignments(CAR)] == [brake.ecu]
            assert [each.ecu for each in await changes.directed(CAR)] == [brake.ecu]
            for conflict, again in (("ecu", gateway), ("key", ecu_of("another", key="gateway"))):
                with pytest.raises(AlreadyRegisteredError) as refusal:
                    await changes.add_ecu(again)
                assert refusal.value.facts["conflict"] == conflict
            await changes.add_ecu(ecu_of("new gateway", primary=True))
            with pytest.raises(AlreadyRegisteredError):
                await changes.add_ecu(ecu_of("third gateway", primary=True))

    tell(story)


def test_nothing_is_written_for_a_retired_ecu(tell: Tell) -> None:
    async def story(inventory: InventoryDatabase) -> None:
        brake = ecu_of("brake")
        await register(inventory, brake)
        async with inventory.transaction() as changes:
            await changes.retire_ecu(CAR, brake.ecu, NOW)
        before = await contents(inventory)
        async with inventory.transaction() as changes:
            with pytest.raises(UnknownEcuError):
                await changes.retire_ecu(CAR, brake.ecu, NOW)
            with pytest.raises(UnknownEcuError):
                await changes.assign(assignment_of("brake", "b.img"))
            with pytest.raises(UnknownEcuError):
                await changes.set_directed(CAR, brake.ecu, [directed_of("brake", 1)])
            with pytest.raises(UnknownEcuError):
                await changes.add_report(structs.replace(brake, report_counter=1, report=b"report 1"), report_of(1))
            assert list(await changes.reports(CAR, brake.ecu, 10)) == []
            retired = await changes.ecu(brake.ecu)
            assert retired is not None and (retired.retired, retired.report_counter) == (NOW, 0)
        assert await contents(inventory) == before

    tell(story)


def test_only_an_ecu_of_that_vehicle_is_retired(tell: Tell) -> None:
    async def story(inventory: InventoryDatabase) -> None:
        await register(inventory, ecu_of("brake"))
        async with inventory.transaction() as changes:
            with pytest.raises(UnknownVehicleError):
                await changes.retire_ecu(VehicleIdentifier("nowhere"), EcuIdentifier("brake"), NOW)
            for vehicle, ecu in ((TRUCK, "brake"), (CAR, "nobody")):
                with pytest.raises(UnknownEcuError):
                    await changes.retire_ecu(vehicle, EcuIdentifier(ecu), NOW)
            with pytest.raises(StorageError):
                await changes.retire_ecu(CAR, EcuIdentifier("brake"), NOW.replace(tzinfo=None))
            assert [record.ecu for record in await changes.ecus(CAR)] == ["brake"]

    tell(story)
