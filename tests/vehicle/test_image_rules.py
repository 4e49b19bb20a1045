"""Which image an ECU may have: release counters and hardware, on the Primary and on the Secondary."""

import pytest
from fleet import Fleet, Vehicle
from links import wait
from msgspec import structs
from signed import FACTORY, FRESH, PATH, custom
from world import PRIMARY, TCU, image

from uptane.formats.profile import Profile
from uptane.metadata.errors import (
    ForeignEcuError,
    HardwareMismatchError,
    ImageRollbackError,
    RepositoryMismatchError,
    UptaneError,
)
from uptane.metadata.identifiers import EcuIdentifier, HardwareIdentifier
from uptane.metadata.targets import Custom
from uptane.vehicle.secondary import Outcome

OLD = b"old firmware with a hole"


@pytest.fixture
def car(profile: Profile) -> Vehicle:
    """A vehicle whose ECUs run release 5."""
    car = Vehicle(Fleet(profile), hardware_id=HardwareIdentifier("tcu-7"))
    car.fleet.release(PATH, FRESH, custom=custom(5))
    car.fleet.release("head unit.img", FRESH, PRIMARY, custom=custom(5))
    car.cycle()
    return car


@pytest.mark.parametrize("counter", [4, 0, None])
@pytest.mark.standard("STD-5.4.3.4-5")
@pytest.mark.standard("STD-5.4.4.2-19b")
def test_a_secondary_never_goes_back_to_an_older_release(car: Vehicle, counter: int | None) -> None:
    def again() -> None:
        car.fleet.release(PATH, FRESH, custom=custom(5))
        car.primary.update_cycle()

    with car.secondary_refuses(ImageRollbackError, undo=again):
        car.fleet.release(PATH, OLD, custom=custom(counter))
        car.primary.update_cycle()


@pytest.mark.standard("STD-5.4.3.4-5", "STD-5.4.4.2-19b")
@pytest.mark.parametrize("counter", [4, None])
def test_a_primary_never_goes_back_to_an_older_release(car: Vehicle, counter: int | None) -> None:
    back = "head unit.img"
    with car.primary_refuses(
        ImageRollbackError, undo=lambda: car.fleet.release(back, FRESH, PRIMARY, custom=custom(5))
    ):
        car.fleet.release(back, OLD, PRIMARY, custom=custom(counter))


@pytest.mark.standard("STD-5.4.4.2-19b")
def test_amb_06_an_empty_targets_in_between_does_not_make_an_ecu_forget_its_release(car: Vehicle) -> None:
    car.fleet.clear()
    car.cycle()
    car.restart_primary()
    car.tcu.start()
    for ecu, path in ((TCU, PATH), (PRIMARY, "head unit.img")):
        car.fleet.release(path, OLD, ecu, custom=custom(4))
        with pytest.raises(ImageRollbackError):
            car.cycle()
        car.fleet.clear()
        car.cycle()
    assert car.running() == car.device.running() == FRESH


@pytest.mark.standard("STD-5.4.3.4-5")
def test_an_equal_release_and_a_higher_one_are_installed(car: Vehicle) -> None:
    car.fleet.release(PATH, OLD, custom=custom(5))
    car.cycle()
    assert car.running() == OLD
    car.fleet.release(PATH, FRESH, custom=custom(6))
    car.cycle()
    assert car.running() == FRESH
    assert car.secondary.memory.state.release_counter == 6


@pytest.mark.standard("STD-5.4.3.4-3")
def test_an_image_for_other_hardware_is_not_installed(car: Vehicle) -> None:
    def again() -> None:
        car.fleet.release(PATH, FRESH, custom=custom(5))
        car.primary.update_cycle()

    with car.secondary_refuses(HardwareMismatchError, undo=again):
        car.fleet.release(PATH, OLD, custom=custom(6, ("tcu-8", "tcu-9")))
        car.primary.update_cycle()


@pytest.mark.standard("STD-5.4.3.4-3")
def test_an_image_for_our_hardware_among_others_is_installed(car: Vehicle) -> None:
    car.fleet.release(PATH, OLD, custom=custom(6, ("tcu-7", "tcu-9")))
    car.primary.update_cycle()
    assert car.secondary.update_cycle().outcome is Outcome.UPDATED


@pytest.mark.parametrize("directed", [custom(7), custom(6, ("tcu-7",)), custom()])
@pytest.mark.standard("STD-5.4.4.2-19a", "STD-5.2.3.1.1-2")
def test_a_director_that_changes_what_must_match_is_refused(car: Vehicle, directed: Custom) -> None:
    signed = car.fleet.add_image(PATH, OLD, custom(6))
    with car.primary_refuses(RepositoryMismatchError, undo=lambda: car.fleet.direct(signed)):
        car.fleet.direct(structs.replace(signed, custom=directed))


@pytest.mark.standard("STD-5.4.4.2-16", "STD-5.4.2.3-1")
def test_one_bad_image_of_three_refuses_them_all(car: Vehicle) -> None:
    bcu = car.add_secondary(EcuIdentifier("BCUdemocar"))
    good = car.fleet.add_image(PATH, OLD, custom(6))
    for ecu in (TCU, PRIMARY):
        wait(car.fleet.director.assign(car.vin, ecu, good))
    with car.primary_refuses(RepositoryMismatchError, undo=car.fleet.clear) as errors:
        car.fleet.direct(image("unsigned.img", OLD), bcu.ecu)
    assert errors[0].facts["image"] == "unsigned.img"
    assert bcu.device.running() == FACTORY


@pytest.mark.standard("STD-5.4.4.6-9")
def test_an_image_for_an_ecu_that_is_not_in_the_vehicle_is_refused(car: Vehicle) -> None:
    stranger = EcuIdentifier("stranger")
    key = car.fleet.profile.format.encode_key(car.fleet.time_key.key)
    car.links.register_ecu(car.vin, stranger, key, is_primary=False)
    with car.primary_refuses(ForeignEcuError, undo=car.fleet.clear):
        car.fleet.release("other.img", OLD, stranger)


@pytest.mark.standard("STD-5.2.3.1.1-10", "STD-5.4.3.4-2", "STD-3.2.2.1-3", "STD-5.4.4.2-16")
def test_an_image_for_another_ecu_is_none_of_a_secondarys_business(car: Vehicle) -> None:
    bcu = car.add_secondary(EcuIdentifier("BCUdemocar"))
    car.fleet.clear()
    car.fleet.release("other.img", OLD, bcu.ecu)
    car.primary.update_cycle()
    assert car.secondary.update_cycle().outcome is Outcome.NO_UPDATE
    assert bcu.secondary.update_cycle().outcome is Outcome.UPDATED
    with pytest.raises(UptaneError):
        car.primary.secondaries.get_image(EcuIdentifier("nobody"))
