"""What every inventory does: the same stories told to the SQL one and to the one in memory."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from inventory_records import (
    CAR,
    NOW,
    TRUCK,
    Tell,
    assignment_of,
    contents,
    directed_of,
    ecu_of,
    key_of,
    register,
    report_of,
)
from msgspec import structs

from uptane.director.ports import MAX_ALERTS, Alert, EcuRecord, InventoryDatabase, VehicleRecord
from uptane.metadata.errors import AlreadyRegisteredError, StorageError, UnknownEcuError, UnknownVehicleError
from uptane.metadata.identifiers import EcuIdentifier, HardwareIdentifier, VehicleIdentifier
from uptane.metadata.keys import PublicKey
from uptane.metadata.version_report import MAX_COUNTER


def test_a_new_inventory_knows_nobody(tell: Tell) -> None:
    async def story(inventory: InventoryDatabase) -> None:
        async with inventory.transaction() as reader:
            assert list(await reader.vehicles()) == []
            assert await reader.vehicle(CAR) is None
            assert list(await reader.ecus(CAR)) == []
            assert await reader.ecu(EcuIdentifier("brake")) is None
            assert await reader.ecu_of_key(key_of("brake")) is None
            assert list(await reader.reports(CAR, EcuIdentifier("brake"), 10)) == []
            assert list(await reader.assignments(CAR)) == []
            await reader.clear_assignments(CAR)

    tell(story)


@pytest.mark.standard("STD-5.3.2.2-3", "STD-5.3.2.2-2")
def test_a_vehicle_and_its_last_manifest_come_back_as_they_were(tell: Tell) -> None:
    async def story(inventory: InventoryDatabase) -> None:
        record = VehicleRecord(vehicle=CAR)
        later = structs.replace(record, manifest_counter=MAX_COUNTER, manifest=b"\0\xff'", manifest_received=NOW)
        async with inventory.transaction() as changes:
            await changes.add_vehicle(record)
            assert await changes.vehicle(CAR) == record
        async with inventory.transaction() as changes:
            await changes.update_vehicle(later)
        async with inventory.transaction() as reader:
            assert await reader.vehicle(CAR) == later

    tell(story)


def test_vehicles_are_sorted_by_code_point(tell: Tell) -> None:
    async def story(inventory: InventoryDatabase) -> None:
        names = ["b", "B", "a", "é", "z", "10", "9", "🚗", "｡"]
        async with inventory.transaction() as changes:
            for name in names:
                await changes.add_vehicle(VehicleRecord(vehicle=VehicleIdentifier(name)))
        async with inventory.transaction() as reader:
            found = await reader.vehicles()
        assert list(found) == sorted(names)
        assert {type(name) for name in found} == {VehicleIdentifier}

    tell(story)


@pytest.mark.standard("STD-5.3.2.2-4", "STD-5.3.2.2-2", "STD-5.3.2.2-6", "STD-5.3.2.2-8")
def test_an_ecu_comes_back_with_its_key_whatever_its_kind(tell: Tell) -> None:
    async def story(inventory: InventoryDatabase) -> None:
        keys = [
            key_of("gateway"),
            PublicKey.of(ec.generate_private_key(ec.SECP256R1()).public_key()),
            PublicKey.of(rsa.generate_private_key(65537, 2048).public_key()),
        ]
        records = [
            EcuRecord(
                vehicle=CAR,
                ecu=EcuIdentifier(f"ecu {i}"),
                key=key,
                is_primary=i == 0,
                hardware_id=HardwareIdentifier("board-7") if i else None,
                report_counter=i,
                report=b"signed" if i else None,
                report_received=NOW if i else None,
            )
            for i, key in enumerate(keys)
        ]
        await register(inventory, *reversed(records))
        async with inventory.transaction() as reader:
            assert list(await reader.ecus(CAR)) == records
            assert list(await reader.ecus(TRUCK)) == []
            for record in records:
                assert await reader.ecu(record.ecu) == record
                assert await reader.ecu_of_key(record.key) == record

    tell(story)


@pytest.mark.standard("STD-5.3.2.2-3")
def test_a_vehicle_is_not_added_twice(tell: Tell) -> None:
    async def story(inventory: InventoryDatabase) -> None:
        await register(inventory)
        async with inventory.transaction() as changes:
            with pytest.raises(AlreadyRegisteredError) as refused:
                await changes.add_vehicle(VehicleRecord(vehicle=CAR, manifest_counter=9))
            assert refused.value.facts == {"conflict": "vehicle", "vehicle": CAR}
            assert await changes.vehicle(CAR) == VehicleRecord(vehicle=CAR)

    tell(story)


@pytest.mark.standard("STD-5.3.2.2-4")
@pytest.mark.parametrize("vehicle", [CAR, TRUCK])
def test_a_thief_registers_an_ecu_that_exists_in_this_or_another_vehicle(tell: Tell, vehicle: str) -> None:
    async def story(inventory: InventoryDatabase) -> None:
        brake = ecu_of("brake")
        await register(inventory, brake)
        async with inventory.transaction() as changes:
            with pytest.raises(AlreadyRegisteredError) as refused:
                await changes.add_ecu(ecu_of("brake", VehicleIdentifier(vehicle), key="the thief's"))
            assert refused.value.facts["conflict"] == "ecu"
            assert refused.value.facts["vehicle"] == vehicle
            assert (refused.value.facts["holder_vehicle"], refused.value.facts["holder_ecu"]) == (CAR, "brake")
            assert await changes.ecu(brake.ecu) == brake

    tell(story)


@pytest.mark.standard("STD-5.4.1-6")
@pytest.mark.parametrize("vehicle", [CAR, TRUCK])
def test_one_key_is_not_registered_for_two_ecus(tell: Tell, vehicle: str) -> None:
    async def story(inventory: InventoryDatabase) -> None:
        await register(inventory, ecu_of("brake"))
        async with inventory.transaction() as changes:
            with pytest.raises(AlreadyRegisteredError) as refused:
                await changes.add_ecu(ecu_of("radio", VehicleIdentifier(vehicle), key="brake"))
            assert refused.value.facts["conflict"] == "key"
            assert refused.value.facts["holder_ecu"] == "brake"
            assert await changes.ecu(EcuIdentifier("radio")) is None

    tell(story)


@pytest.mark.standard("STD-5.3.2.2-9")
def test_a_vehicle_has_one_primary_and_many_secondaries(tell: Tell) -> None:
    async def story(inventory: InventoryDatabase) -> None:
        await register(inventory, ecu_of("gateway", primary=True), ecu_of("brake"), ecu_of("radio"))
        async with inventory.transaction() as changes:
            with pytest.raises(AlreadyRegisteredError) as refused:
                await changes.add_ecu(ecu_of("impostor", primary=True))
            assert refused.value.facts["conflict"] == "primary"
            assert refused.value.facts["holder_ecu"] == "gateway"
            await changes.add_ecu(ecu_of("cab", TRUCK, primary=True))
        async with inventory.transaction() as reader:
            assert [e.ecu for e in await reader.ecus(CAR) if e.is_primary] == ["gateway"]
            assert await reader.ecu(EcuIdentifier("impostor")) is None

    tell(story)


@pytest.mark.standard("STD-5.3.2.2-5")
def test_nothing_is_written_for_an_unknown_vehicle(tell: Tell) -> None:
    async def story(inventory: InventoryDatabase) -> None:
        async with inventory.transaction() as changes:
            for attempt in (
                lambda: changes.update_vehicle(VehicleRecord(vehicle=CAR, manifest_counter=1)),
                lambda: changes.add_ecu(ecu_of("brake")),
                lambda: changes.add_report(ecu_of("brake"), report_of(1)),
                lambda: changes.assign(assignment_of("brake", "a.img")),
            ):
                with pytest.raises(UnknownVehicleError) as refused:
                    await attempt()
                assert refused.value.facts["vehicle"] == CAR
        assert await contents(inventory) == []

    tell(story)


def test_nothing_is_written_for_an_ecu_that_is_unknown_or_in_another_vehicle(tell: Tell) -> None:
    async def story(inventory: InventoryDatabase) -> None:
        await register(inventory, ecu_of("radio", TRUCK))
        before = await contents(inventory)
        async with inventory.transaction() as changes:
            for name in ("brake", "radio"):
                with pytest.raises(UnknownEcuError) as refused:
                    await changes.add_report(ecu_of(name), report_of(1))
                assert refused.value.facts == {"vehicle": CAR, "ecu": name}
                with pytest.raises(UnknownEcuError):
                    await changes.assign(assignment_of(name, "a.img"))
        assert await contents(inventory) == before

    tell(story)


def test_the_history_of_reports_grows_and_shows_the_newest_first(tell: Tell) -> None:
    async def story(inventory: InventoryDatabase) -> None:
        brake = ecu_of("brake")
        await register(inventory, brake, ecu_of("radio"))
        sent = [report_of(n, attacks="freeze, 'quoted'" if n == 2 else "") for n in (1, 2, MAX_COUNTER)]
        for stored in sent:
            latest = structs.replace(brake, report_counter=stored.counter, report=stored.report, report_received=NOW)
            async with inventory.transaction() as changes:
                await changes.add_report(latest, stored)
        async with inventory.transaction() as reader:
            assert await reader.ecu(brake.ecu) == latest
            assert list(await reader.reports(CAR, brake.ecu, 10)) == sent[::-1]
            assert list(await reader.reports(CAR, brake.ecu, 2)) == sent[:0:-1]
            assert list(await reader.reports(CAR, brake.ecu, 0)) == []
            assert list(await reader.reports(CAR, brake.ecu, -1)) == []
            assert list(await reader.reports(CAR, EcuIdentifier("radio"), 10)) == []
            assert list(await reader.reports(TRUCK, brake.ecu, 10)) == []

    tell(story)


def test_a_report_in_the_history_is_never_overwritten(tell: Tell) -> None:
    async def story(inventory: InventoryDatabase) -> None:
        brake = ecu_of("brake")
        await register(inventory, brake)
        first = structs.replace(brake, report_counter=7, report=b"first")
        async with inventory.transaction() as changes:
            await changes.add_report(first, report_of(7))
        before = await contents(inventory)
        async with inventory.transaction() as changes:
            with pytest.raises(AlreadyRegisteredError) as refused:
                await changes.add_report(
                    structs.replace(first, report=b"other"), structs.replace(report_of(7), report=b"other")
                )
            assert (refused.value.facts["conflict"], refused.value.facts["counter"]) == ("report", 7)
        assert await contents(inventory) == before

    tell(story)


def test_a_report_cannot_smuggle_in_the_key_or_the_rank_of_another_ecu(tell: Tell) -> None:
    async def story(inventory: InventoryDatabase) -> None:
        await register(inventory, ecu_of("gateway", primary=True), ecu_of("brake"))
        before = await contents(inventory)
        async with inventory.transaction() as changes:
            for conflict, record in (
                ("key", ecu_of("brake", key="gateway")),
                ("primary", ecu_of("brake", primary=True)),
            ):
                with pytest.raises(AlreadyRegisteredError) as refused:
                    await changes.add_report(record, report_of(1))
                assert refused.value.facts["conflict"] == conflict
        assert await contents(inventory) == before

    tell(story)


def test_an_ecu_has_one_image_at_a_time(tell: Tell) -> None:
    async def story(inventory: InventoryDatabase) -> None:
        await register(inventory, ecu_of("radio"), ecu_of("brake"), ecu_of("cab", TRUCK))
        kept = assignment_of("cab", "cab.img", TRUCK)
        async with inventory.transaction() as changes:
            for assignment in (assignment_of("radio", "old.img"), assignment_of("brake", "b/é 1.img"), kept):
                await changes.assign(assignment)
            await changes.assign(assignment_of("radio", "new.img"))
        async with inventory.transaction() as changes:
            expected = [assignment_of("brake", "b/é 1.img"), assignment_of("radio", "new.img")]
            assert list(await changes.assignments(CAR)) == expected
            await changes.clear_assignments(CAR)
        async with inventory.transaction() as reader:
            assert list(await reader.assignments(CAR)) == []
            assert list(await reader.assignments(TRUCK)) == [kept]

    tell(story)


def test_alerts_come_back_newest_first(tell: Tell) -> None:
    async def story(inventory: InventoryDatabase) -> None:
        await register(inventory)
        told = [Alert(vehicle=CAR, time=NOW, code="E-MISSING", text=f"Zoë 車 '{n}'") for n in range(4)]
        async with inventory.transaction() as changes:
            for alert in told:
                await changes.add_alert(alert)
            await changes.add_alert(replace(told[0], vehicle=TRUCK))
            with pytest.raises(UnknownVehicleError):
                await changes.add_alert(replace(told[0], vehicle=VehicleIdentifier("nobody")))
            with pytest.raises(StorageError):
                await changes.add_alert(replace(told[0], text="a\0b"))
        async with inventory.transaction() as reader:
            assert list(await reader.alerts(CAR, 3)) == [told[3], told[2], told[1]]
            assert len(await reader.alerts(TRUCK, 10)) == 1
            assert list(await reader.alerts(VehicleIdentifier("nobody"), 10)) == []

    tell(story)


def test_of_a_vehicle_the_newest_alerts_are_kept(tell: Tell) -> None:
    async def story(inventory: InventoryDatabase) -> None:
        await register(inventory)
        async with inventory.transaction() as changes:
            for vehicle, count in ((TRUCK, 2), (CAR, MAX_ALERTS + 3)):
                for number in range(count):
                    await changes.add_alert(Alert(vehicle=vehicle, time=NOW, code="E-TIME", text=str(number)))
        async with inventory.transaction() as reader:
            texts = [alert.text for alert in await reader.alerts(CAR, 2 * MAX_ALERTS)]
            assert texts == [str(number) for number in range(MAX_ALERTS + 2, 2, -1)]
            assert len(await reader.alerts(TRUCK, 10)) == 2

    tell(story)


def test_alerts_of_a_transaction_that_fails_are_not_kept(tell: Tell) -> None:
    async def story(inventory: InventoryDatabase) -> None:
        await register(inventory)
        with pytest.raises(ZeroDivisionError):
            async with inventory.transaction() as changes:
                await changes.add_alert(Alert(vehicle=CAR, time=NOW, code="E-TIME", text="x"))
                raise ZeroDivisionError
        async with inventory.transaction() as reader:
            assert list(await reader.alerts(CAR, 10)) == []

    tell(story)


def test_what_an_ecu_may_have_is_replaced_as_a_whole_and_comes_back_in_order(tell: Tell) -> None:
    async def story(inventory: InventoryDatabase) -> None:
        await register(inventory, ecu_of("brake"), ecu_of("axle"), ecu_of("lorry", TRUCK))
        brake, axle = EcuIdentifier("brake"), EcuIdentifier("axle")
        async with inventory.transaction() as changes:
            await changes.set_directed(CAR, brake, [directed_of("brake", 3), directed_of("brake", 1)])
            await changes.set_directed(CAR, axle, [directed_of("axle", 7)])
        async with inventory.transaction() as reader:
            found = [(each.ecu, each.number) for each in await reader.directed(CAR)]
            assert found == [("axle", 7), ("brake", 1), ("brake", 3)]
            assert list(await reader.directed(TRUCK)) == []
        async with inventory.transaction() as changes:
            await changes.set_directed(CAR, brake, [directed_of("brake", 3)])
            await changes.set_directed(CAR, axle, [])
        async with inventory.transaction() as reader:
            assert list(await reader.directed(CAR)) == [directed_of("brake", 3)]

    tell(story)


def test_nothing_is_directed_to_an_ecu_that_is_not_in_the_vehicle(tell: Tell) -> None:
    async def story(inventory: InventoryDatabase) -> None:
        await register(inventory, ecu_of("brake"), ecu_of("lorry", TRUCK))
        async with inventory.transaction() as changes:
            for vehicle, ecu, error in (
                (CAR, "lorry", UnknownEcuError),
                (CAR, "nobody", UnknownEcuError),
                (VehicleIdentifier("nobody"), "brake", UnknownVehicleError),
            ):
                with pytest.raises(error):
                    await changes.set_directed(vehicle, EcuIdentifier(ecu), [])
            for wrong in ([directed_of("lorry", 1)], [directed_of("brake", 1), directed_of("brake", 1)]):
                with pytest.raises(StorageError):
                    await changes.set_directed(CAR, EcuIdentifier("brake"), wrong)
            assert list(await changes.directed(CAR)) == []

    tell(story)


def test_an_assignment_keeps_its_install_order(tell: Tell) -> None:
    async def story(inventory: InventoryDatabase) -> None:
        await register(inventory, ecu_of("brake"))
        for order in (7, None, 0):
            assignment = structs.replace(assignment_of("brake", "a.img"), install_order=order)
            async with inventory.transaction() as changes:
                await changes.assign(assignment)
            async with inventory.transaction() as reader:
                assert list(await reader.assignments(CAR)) == [assignment]

    tell(story)
