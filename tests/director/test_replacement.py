"""The operator replaces a part of a vehicle in the inventory: in one transaction, or not at all."""

import pytest
from fleet import Fleet, Vehicle
from links import wait
from signed import FRESH, PATH, custom
from world import PRIMARY, TCU, VIN

from uptane.formats.profile import Profile
from uptane.formats.profiles import PROFILES
from uptane.metadata.errors import SpoofingError, UnknownEcuError, UnknownVehicleError, UptaneError
from uptane.metadata.identifiers import EcuIdentifier, HardwareIdentifier, VehicleIdentifier
from uptane.metadata.keys import PublicKey

NEW = EcuIdentifier("spare part")
BOARD, OTHER_BOARD = HardwareIdentifier("board-1"), HardwareIdentifier("board-2")


@pytest.fixture
def car(profile: Profile) -> Vehicle:
    """A vehicle that has its update."""
    car = Vehicle(Fleet(profile), hardware_id=BOARD)
    car.fleet.release(PATH, FRESH, custom=custom(hardware=(BOARD,)))
    car.cycle()
    return car


def replace(car: Vehicle, old: str = TCU, ecu: str = NEW, key: PublicKey | None = None, **other: object) -> bool:
    made = car.fleet.director.replace_ecu(
        other.pop("vehicle", car.vin),  # type: ignore[arg-type]
        EcuIdentifier(old),
        ecu=EcuIdentifier(ecu),
        key=key or car.fleet.new_key().key,
        now=car.fleet.now,
        **other,  # type: ignore[arg-type]
    )
    return wait(made)


def everything(car: Vehicle) -> object:
    async def read() -> object:
        async with car.fleet.inventory.transaction() as transaction:
            vehicle, ecus = await transaction.vehicle(VIN), await transaction.ecus(VIN)
            return vehicle, ecus, await transaction.assignments(VIN), await transaction.directed(VIN)

    return wait(read())


def test_the_assignment_goes_to_the_new_part_with_its_order(car: Vehicle) -> None:
    image = car.fleet.add_image(PATH, FRESH, custom(hardware=(BOARD,)))
    wait(car.fleet.director.assign(VIN, TCU, image, install_order=7))
    assert replace(car, hardware_id=BOARD) is True
    (assignment,) = everything(car)[2]  # type: ignore[index]
    assert (assignment.ecu, assignment.path, assignment.install_order) == (NEW, PATH, 7)
    assert wait(car.fleet.director.ecu(NEW)).hardware_id == BOARD


def test_an_image_for_other_hardware_is_not_carried_over_and_an_alert_tells(car: Vehicle) -> None:
    assert replace(car, hardware_id=OTHER_BOARD) is False
    assert everything(car)[2] == []  # type: ignore[index]
    (alert,) = wait(car.fleet.director.alerts(VIN))
    assert alert.code == "E-HWID" and TCU in alert.text and NEW in alert.text


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"old": "nobody"}, UnknownEcuError),
        ({"vehicle": VehicleIdentifier("no car")}, UnknownVehicleError),
        ({"ecu": TCU}, SpoofingError),
        ({"ecu": PRIMARY}, SpoofingError),
    ],
    ids=["nobody", "no vehicle", "the same identifier", "another part of the car"],
)
def test_what_is_refused_changes_nothing(car: Vehicle, changes: dict, expected: type[UptaneError]) -> None:  # type: ignore[type-arg]
    before = everything(car)
    with pytest.raises(expected):
        replace(car, **changes)
    assert everything(car) == before
    car.cycle()


@pytest.mark.parametrize("whose", [TCU, PRIMARY])
def test_a_new_part_has_a_key_of_its_own(car: Vehicle, whose: EcuIdentifier) -> None:
    before = everything(car)
    with pytest.raises(SpoofingError, match=f"is that of ECU {whose}"):
        replace(car, key=wait(car.fleet.director.ecu(whose)).key)
    assert everything(car) == before


def test_an_ecu_that_is_part_of_the_car_already_replaces_none(car: Vehicle) -> None:
    added = car.add_secondary(EcuIdentifier("radio"))
    before = everything(car)
    with pytest.raises(SpoofingError, match="already"):
        replace(car, ecu="radio", key=added.device.signer.key)
    assert everything(car) == before


def test_a_retired_ecu_is_not_replaced_again(car: Vehicle) -> None:
    replace(car)
    with pytest.raises(UnknownEcuError, match=TCU):
        replace(car, ecu="third")
    replace(car, old=NEW, ecu="third")
    assert {ecu.ecu for ecu in everything(car)[1]} == {PRIMARY, "third"}  # type: ignore[index]


def test_an_ecu_of_another_vehicle_is_not_replaced_through_this_one(car: Vehicle) -> None:
    other = car.fleet.add_vehicle("truck")
    with pytest.raises(UnknownEcuError):
        replace(car, vehicle=other)
    assert {ecu.ecu for ecu in everything(car)[1]} == {PRIMARY, TCU}  # type: ignore[index]


@pytest.mark.parametrize("name", ["pouf1", "pouf1-json"])
def test_a_part_of_a_vehicle_with_archived_formats_is_replaced_as_well(name: str) -> None:
    car = Vehicle(Fleet(PROFILES[name]))
    car.fleet.release(PATH, FRESH)
    car.cycle()
    old = car.tcu.device.signer.key
    assert replace(car) is True
    with pytest.raises(SpoofingError, match="does not come back"):
        car.links.register_ecu(car.vin, TCU, car.fleet.profile.format.encode_key(old), is_primary=False)
