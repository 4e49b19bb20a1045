"""Vehicles and ECUs enter the inventory once, each with a key of its own."""

from collections.abc import Mapping, Sequence

import pytest
from fleet import Fleet
from links import wait
from signed import FRESH, PATH
from world import DIRECTOR, PRIMARY, TCU, VIN, image, new_signer

from uptane.director.check_images import UNSAFE_NO_CATALOG
from uptane.director.director import Director
from uptane.director.ports import VehicleRecord
from uptane.director.registration import MAX_ECUS
from uptane.formats.profile import Profile
from uptane.metadata.errors import (
    AlreadyRegisteredError,
    ProvisioningError,
    SpoofingError,
    StorageError,
    UnknownEcuError,
    UnknownVehicleError,
    UptaneError,
)
from uptane.metadata.identifiers import EcuIdentifier, HardwareIdentifier, VehicleIdentifier
from uptane.metadata.keys import PublicKey
from uptane.metadata.root import Role, Root
from uptane.metadata.targets import Targets
from uptane.storage.memory import MemoryPublished

OTHER = VehicleIdentifier("112")
HARDWARE = HardwareIdentifier("tcu-7")


@pytest.fixture
def fleet(profile: Profile) -> Fleet:
    """A Director that knows two vehicles."""
    fleet = Fleet(profile)
    fleet.add_vehicle(VIN)
    fleet.add_vehicle(OTHER)
    return fleet


def register(
    fleet: Fleet,
    key: PublicKey,
    *,
    ecu: EcuIdentifier = TCU,
    vin: VehicleIdentifier = VIN,
    primary: bool = False,
    hardware: HardwareIdentifier | None = None,
) -> bool:
    """Registers an ECU."""
    return wait(fleet.director.register_ecu(vehicle=vin, ecu=ecu, key=key, is_primary=primary, hardware_id=hardware))


@pytest.mark.standard("STD-5.3.2.2-4", "STD-5.3.2.2-6", "STD-5.3.2.2-11")
@pytest.mark.standard("STD-5.3.2.2-5")
@pytest.mark.standard("STD-5.3.2.2-8")
@pytest.mark.standard("STD-5.3.2.2-9")
def test_an_ecu_registers_and_may_do_so_again(fleet: Fleet) -> None:
    key = new_signer().key
    assert register(fleet, key, hardware=HARDWARE)
    assert not register(fleet, key, hardware=HARDWARE)
    assert not register(fleet, key)
    record = wait(fleet.director.ecu(TCU))
    assert (record.vehicle, record.key, record.is_primary, record.hardware_id) == (VIN, key, False, HARDWARE)
    assert record.key.key_id == key.key_id


@pytest.mark.standard("STD-5.3.2.2-4")
@pytest.mark.parametrize(
    "changes",
    [{"key": "other"}, {"vin": OTHER}, {"primary": True}, {"hardware": HardwareIdentifier("tcu-8")}],
    ids=["another key", "another vehicle", "as Primary", "other hardware"],
)
def test_an_ecu_that_is_registered_is_not_registered_as_something_else(
    fleet: Fleet, changes: dict[str, object]
) -> None:
    key = new_signer().key
    register(fleet, key, hardware=HARDWARE)
    before = wait(fleet.director.ecu(TCU))
    facts = {"key": key, "hardware": HARDWARE} | changes
    if facts["key"] == "other":
        facts["key"] = new_signer().key
    with pytest.raises(SpoofingError):
        register(fleet, **facts)  # type: ignore[arg-type]
    assert wait(fleet.director.ecu(TCU)) == before


@pytest.mark.standard("STD-5.4.1-6")
def test_one_key_is_not_registered_for_two_ecus(fleet: Fleet) -> None:
    key = new_signer().key
    register(fleet, key)
    for vin in (VIN, OTHER):
        with pytest.raises(SpoofingError) as caught:
            register(fleet, key, ecu=EcuIdentifier("BCUdemocar"), vin=vin)
        assert caught.value.facts["owner"] == TCU
    with pytest.raises(UnknownEcuError):
        wait(fleet.director.ecu(EcuIdentifier("BCUdemocar")))


@pytest.mark.standard("STD-5.3.2.2-9")
def test_amb_22_a_vehicle_has_one_primary(fleet: Fleet) -> None:
    register(fleet, new_signer().key, ecu=PRIMARY, primary=True)
    register(fleet, new_signer().key, ecu=EcuIdentifier("BCUdemocar"))
    with pytest.raises(SpoofingError) as caught:
        register(fleet, new_signer().key, primary=True)
    assert caught.value.facts["expected"] == PRIMARY
    assert register(fleet, new_signer().key, ecu=TCU, vin=OTHER, primary=True)


@pytest.mark.standard("STD-5.3.2.2-5")
def test_an_ecu_of_an_unknown_vehicle_is_refused(fleet: Fleet) -> None:
    with pytest.raises(UnknownVehicleError) as caught:
        register(fleet, new_signer().key, vin=VehicleIdentifier("113"))
    assert "dd.add_new_vehicle" in caught.value.next_step


@pytest.mark.standard("STD-5.3.2.2-3")
def test_a_vehicle_is_registered_once(fleet: Fleet) -> None:
    before = fleet.published(VIN)
    with pytest.raises(AlreadyRegisteredError):
        fleet.add_vehicle(VIN)
    assert fleet.published(VIN) == before
    assert wait(fleet.director.vehicles()) == [OTHER, VIN]
    assert wait(fleet.director.vehicle(VIN)) == VehicleRecord(vehicle=VIN)


@pytest.mark.standard("STD-5.2.3.1-6")
def test_a_new_vehicle_has_metadata_that_names_it_and_lists_nothing(fleet: Fleet) -> None:
    decode = fleet.profile.format.decode
    assert decode(Root, fleet.file(DIRECTOR, Role.ROOT)).payload.vehicle == VIN
    targets = decode(Targets, fleet.file(DIRECTOR, Role.TARGETS)).payload
    assert (targets.vehicle, dict(targets.images)) == (VIN, {})


def test_what_the_director_does_not_know_it_says_so_by_name(fleet: Fleet) -> None:
    nobody, nothing = VehicleIdentifier("113"), image(PATH, FRESH)
    director = fleet.director
    for refused in (
        director.publish(nobody, fleet.now),
        director.vehicle(nobody),
        director.clear_assignments(nobody),
        director.assign(nobody, TCU, nothing),
    ):
        with pytest.raises(UnknownVehicleError):
            wait(refused)
    for missing in (director.ecu(TCU), director.reports(TCU), director.assign(VIN, TCU, nothing)):
        with pytest.raises(UnknownEcuError):
            wait(missing)


class FullDisk(MemoryPublished):
    """A store that has no room for its first publication; it publishes all or nothing, as every store must."""

    def __init__(self) -> None:
        super().__init__()
        self.full = True

    async def publish(self, files: Sequence[tuple[str, bytes]], mutable: Mapping[str, bytes]) -> None:
        full, self.full = self.full, False
        if full:
            raise StorageError("the disk is full")
        await super().publish(files, mutable)


def test_a_vehicle_whose_first_publication_failed_is_published_by_the_next_one(fleet: Fleet) -> None:
    vin = VehicleIdentifier("113")
    fleet.metadata[vin] = FullDisk()
    with pytest.raises(StorageError):
        fleet.add_vehicle(vin)
    published = wait(fleet.open_director().publish(vin, fleet.now))
    assert published.root.payload.version == 1
    assert set(fleet.roles(vin)[DIRECTOR]) == set(Role)


def test_without_its_private_keys_a_director_publishes_nothing(fleet: Fleet) -> None:
    before = fleet.published(VIN)
    root = fleet.profile.format.decode(Root, fleet.file(DIRECTOR, Role.ROOT)).payload
    director = Director(
        profile=fleet.profile,
        inventory=fleet.inventory,
        metadata=fleet.metadata.__getitem__,
        root=root,
        catalog=UNSAFE_NO_CATALOG,
    )
    with pytest.raises(ProvisioningError):
        wait(director.publish(VIN, fleet.now))
    assert fleet.published(VIN) == before


def test_a_vehicle_has_no_more_ecus_than_a_primary_can_have(fleet: Fleet) -> None:
    """Whoever reaches the registration door cannot make a vehicle's plans endless."""
    for number in range(MAX_ECUS):
        assert register(fleet, new_signer().key, ecu=EcuIdentifier(f"E{number}"), primary=number == 0)
    with pytest.raises(UptaneError) as caught:
        register(fleet, new_signer().key, ecu=EcuIdentifier("late"))
    assert caught.value.facts == {"vehicle": VIN, "ecu": "late"}
    with pytest.raises(UnknownEcuError):
        wait(fleet.director.ecu(EcuIdentifier("late")))
    assert register(fleet, new_signer().key, ecu=EcuIdentifier("late"), vin=OTHER)
