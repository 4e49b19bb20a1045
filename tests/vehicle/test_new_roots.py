"""New Roots on their way to a vehicle: followed one by one, kept, handed on, and recovered from."""

import pytest
from fleet import Fleet, Vehicle
from signed import FRESH, PATH
from world import DIRECTOR, IMAGES

from uptane.formats.profile import Profile
from uptane.metadata.errors import BadSignatureError, UnreachableError, WrongVehicleError
from uptane.metadata.identifiers import VehicleIdentifier
from uptane.metadata.root import Role, Root
from uptane.signing.sign import sign
from uptane.vehicle.memory import role_name
from uptane.vehicle.secondary import Outcome


@pytest.fixture
def car(profile: Profile) -> Vehicle:
    """A vehicle that got its update."""
    car = Vehicle(Fleet(profile))
    car.fleet.release(PATH, FRESH)
    car.cycle()
    return car


def version(car: Vehicle, store: object) -> int:
    """The version of the Director's Root that an ECU trusts."""
    raw = store.read(role_name(DIRECTOR, Role.ROOT))  # type: ignore[attr-defined]
    return car.fleet.profile.format.decode(Root, raw).payload.version


@pytest.mark.standard("STD-5.4.4.3-7")
@pytest.mark.standard("STD-5.4.2.6-2")
def test_a_secondary_that_missed_several_roots_catches_up(car: Vehicle) -> None:
    for roles in ((Role.TIMESTAMP,), (Role.ROOT,), (Role.TARGETS, Role.SNAPSHOT), (Role.ROOT,), tuple(Role)):
        car.fleet.rotate_director(*roles)
        car.fleet.rotate_images(*roles)
        car.primary.update_cycle()
    car.fleet.release(PATH, FRESH + b" 2")
    car.primary.update_cycle()
    assert version(car, car.tcu.device.store) == 1
    assert car.secondary.update_cycle().outcome is Outcome.UPDATED
    assert version(car, car.tcu.device.store) == version(car, car.device.store) == 6
    assert car.running() == FRESH + b" 2"


@pytest.mark.standard("STD-5.4.4.3-7")
def test_a_primary_that_missed_several_roots_catches_up_and_keeps_each_of_them(car: Vehicle) -> None:
    for _ in range(4):
        car.fleet.rotate_director(*Role)
    car.cycle()
    assert len(car.device.store.names(f"repository/{DIRECTOR}/root/")) == 5
    car.restart_primary()
    car.cycle()


@pytest.mark.standard("STD-5.4.4.3-6")
@pytest.mark.standard("STD-5.4.4.3-9")
@pytest.mark.parametrize("role", list(Role))
def test_a_cycle_that_ends_after_a_new_root_keeps_it_and_goes_on_from_it(car: Vehicle, role: Role) -> None:
    car.fleet.rotate_director(role)
    with car.primary_refuses(UnreachableError, new_roots=True):
        car.links.down.add("imagerepo")
    assert version(car, car.device.store) == 2


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.standard("STD-5.4.4-5")
def test_a_restart_after_a_new_root_and_before_the_other_files_harms_nothing(car: Vehicle, role: Role) -> None:
    car.fleet.rotate_director(role)
    car.fleet.rotate_images(role)
    car.links.down.add("imagerepo")
    with pytest.raises(UnreachableError):
        car.primary.update_cycle()
    car.restart_primary()
    car.tcu.start()
    car.links.restore()
    car.fleet.release(PATH, FRESH + b" 2")
    car.cycle()
    assert car.running() == FRESH + b" 2"


@pytest.mark.standard("STD-5.4.4.3-3")
@pytest.mark.standard("STD-5.4.4.3-4")
def test_a_root_by_a_thief_of_other_keys_is_refused(car: Vehicle) -> None:
    name = car.fleet.profile.metadata_name(Role.ROOT, 2)
    thief = Fleet(car.fleet.profile)
    thief.add_vehicle(car.vin)
    thief.rotate_director(Role.TARGETS)
    for repository in (DIRECTOR, IMAGES):
        with car.primary_refuses(BadSignatureError):
            car.links.altered[repository, name] = thief.file(DIRECTOR, Role.ROOT)


def test_a_root_for_another_vehicle_is_refused(car: Vehicle) -> None:
    codec = car.fleet.profile.format
    mine = codec.decode(Root, car.fleet.file(DIRECTOR, Role.ROOT)).payload
    other = Root(
        version=2,
        expires=mine.expires,
        vehicle=VehicleIdentifier("112"),
        keys=mine.keys,
        roles=mine.roles,
    )
    with car.primary_refuses(WrongVehicleError):
        name = car.fleet.profile.metadata_name(Role.ROOT, 2)
        car.links.altered[DIRECTOR, name] = sign(car.fleet.profile, other, car.fleet.director_keys[Role.ROOT])
