"""Primary and Secondaries go on at their own pace: what merely comes too late is no attack, and undoes nothing."""

import pytest
from fleet import Fleet, Vehicle
from links import wait
from signed import EVIL, FRESH, PATH, custom
from world import DIRECTOR, IMAGES, TCU, new_signer

from uptane.formats.profile import Profile
from uptane.formats.profiles import PROFILES
from uptane.metadata.errors import (
    BadHashError,
    EndlessDataError,
    FormatError,
    HardwareMismatchError,
    UnreachableError,
    UptaneError,
)
from uptane.metadata.identifiers import EcuIdentifier, RoleName, VehicleIdentifier
from uptane.vehicle.distribution import Bundle
from uptane.vehicle.secondaries import MAX_SECONDARIES
from uptane.vehicle.secondary import Outcome


@pytest.fixture
def car(profile: Profile) -> Vehicle:
    """A vehicle that is up to date."""
    car = Vehicle(Fleet(profile))
    car.cycle()
    return car


def unreachable(vehicle: VehicleIdentifier, ecu: EcuIdentifier, nonce: int, report: bytes) -> None:
    """A Primary that has just gone away."""
    raise UnreachableError("the Primary does not answer")


@pytest.mark.standard("STD-5.4.2.1-5")
def test_an_update_counts_although_its_report_cannot_be_delivered(car: Vehicle) -> None:
    car.fleet.release(PATH, FRESH)
    car.primary.update_cycle()
    car.link.submit_report = unreachable  # type: ignore[method-assign]
    assert car.secondary.update_cycle().outcome is Outcome.UPDATED
    del car.link.submit_report
    car.cycle()
    car.primary.update_cycle()
    car.primary.update_cycle()
    assert wait(car.fleet.director.ecu(TCU)).report_counter == car.secondary.memory.state.counter


@pytest.mark.parametrize("name", [PATH, "other.img"])
def test_an_image_of_a_newer_cycle_is_no_attack(car: Vehicle, name: str) -> None:
    car.fleet.release(PATH, FRESH)
    car.primary.update_cycle()
    offered = car.secondary.verify_metadata()
    assert offered is not None
    car.fleet.release(name, b"Fresher firmware image")
    car.primary.update_cycle()
    with pytest.raises(UnreachableError):
        car.secondary.receive_image(offered)
    assert car.secondary.memory.state.attacks == ()
    assert car.secondary.update_cycle().outcome is Outcome.UPDATED


@pytest.mark.standard("STD-5.4.3.4-9")
def test_an_altered_image_of_the_same_cycle_is_an_attack(car: Vehicle) -> None:
    image = car.fleet.release(PATH, FRESH)
    car.primary.update_cycle()
    car.link.swapped_image = (PATH, EVIL.ljust(image.file.length))
    with pytest.raises(BadHashError):
        car.secondary.update_cycle()
    car.primary.update_cycle()
    assert "E-HASH arbitrary software" in car.fleet.reports(TCU)[0].attacks_detected


def test_a_delegated_file_that_was_not_needed_lately_is_not_handed_on_under_a_newer_name(car: Vehicle) -> None:
    car.fleet.grant(RoleName("supplier"), "supplier/*")
    car.fleet.release("supplier/brakes.img", FRESH)
    car.cycle()
    role = RoleName("supplier")
    wait(car.fleet.images.add_image("supplier/other.img", FRESH, role=role))  # type: ignore[arg-type]
    wait(car.fleet.images.publish(car.fleet.now))
    car.fleet.release(PATH, FRESH)
    car.primary.update_cycle()
    bundle = Bundle(car.link.metadata(TCU), car.fleet.profile)
    listed = wait(car.fleet.images.published()).targets[role].payload.version
    name = car.fleet.profile.metadata_name(role, listed)
    assert bundle.fetch(IMAGES, name, 10_000) is None
    assert car.secondary.update_cycle().outcome is Outcome.UPDATED
    assert bundle.fetch(DIRECTOR, car.fleet.profile.metadata_name("timestamp"), 10_000) is not None


def test_nobody_can_fill_a_primary_with_secondaries(car: Vehicle) -> None:
    key = car.fleet.profile.format.encode_key
    secondaries = car.primary.secondaries
    for number in range(MAX_SECONDARIES - len(secondaries.known())):
        secondaries.register_new_secondary(EcuIdentifier(f"stranger{number}"), key(new_signer().key))
    with pytest.raises(UptaneError, match="255"):
        secondaries.register_new_secondary(EcuIdentifier("one-too-many"), key(new_signer().key))
    secondaries.register_new_secondary(TCU, key(car.tcu.device.signer.key))
    car.fleet.release(PATH, FRESH)
    car.cycle()
    assert car.running() == FRESH


@pytest.mark.parametrize("raw", [b"", b"PK\x05\x06", b"PK\x05\x06" + b"\0" * 17, b"x" * 100])
def test_a_bundle_without_its_end_record_is_refused_unread(raw: bytes) -> None:
    with pytest.raises(FormatError):
        Bundle(raw, PROFILES["der"])


def test_a_bundle_that_announces_too_many_files_is_refused_unread() -> None:
    end = b"PK\x05\x06" + b"\0" * 4 + b"\xff\xff\xff\xff" + b"\0" * 10
    with pytest.raises(EndlessDataError):
        Bundle(end, PROFILES["der"])


@pytest.mark.standard("STD-5.4.3.4-3")
def test_an_ecu_that_does_not_know_its_hardware_installs_nothing_that_is_for_some_hardware_only(car: Vehicle) -> None:
    def again() -> None:
        car.fleet.release(PATH, FRESH)

    with car.secondary_refuses(HardwareMismatchError, undo=again):
        car.fleet.release(PATH, FRESH, custom=custom(hardware=("brakes-v2",)))
        car.primary.update_cycle()


def test_the_same_bytes_released_again_with_a_higher_counter_raise_what_may_come_after(car: Vehicle) -> None:
    car.fleet.release(PATH, FRESH, custom=custom(5))
    car.cycle()
    car.fleet.release(PATH, FRESH, custom=custom(9))
    car.cycle()
    assert car.secondary.memory.state.release_counter == 9
