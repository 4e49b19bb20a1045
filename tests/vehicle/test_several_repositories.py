"""A vehicle whose map names two Image repositories: what it asks for, hands on and installs."""

import pytest
from fleet import Vehicle
from maps import DIRECTOR, IMAGES, PARTS, map_of, mapping
from several import PART, SeveralFleet
from world import PRIMARY, TCU

from uptane.formats.profile import Profile
from uptane.metadata.errors import MixAndMatchError, RepositoryMismatchError, UnreachableError
from uptane.metadata.identifiers import EcuIdentifier
from uptane.metadata.root import Role
from uptane.vehicle.distribution import Bundle, pack
from uptane.vehicle.memory import VerificationKind

SECOND = EcuIdentifier("BCUdemocar")


@pytest.fixture
def car(profile: Profile) -> Vehicle:
    """A vehicle with two Secondaries that has finished a cycle."""
    car = Vehicle(SeveralFleet(profile))
    car.add_secondary(SECOND)
    car.cycle()
    return car


def fleet_of(car: Vehicle) -> SeveralFleet:
    assert isinstance(car.fleet, SeveralFleet)
    return car.fleet


def handed(car: Vehicle, ecu: EcuIdentifier) -> set[str]:
    """The repositories of which a Secondary gets anything."""
    raw, names = car.primary.secondaries.get_metadata(ecu), (DIRECTOR, IMAGES, PARTS)
    bundle, timestamp = Bundle(raw, car.fleet.profile), car.fleet.profile.metadata_name(Role.TIMESTAMP)
    return {name for name in names if bundle.fetch(name, timestamp, 10**6) is not None}


@pytest.mark.standard("STD-5.2.6-1", "STD-5.2.6-4", "STD-5.4.2.6-1")
def test_a_secondary_installs_what_the_directors_and_its_suppliers_repository_sign(car: Vehicle) -> None:
    fleet_of(car).release_part(b"part")
    car.links.calls.clear()
    car.cycle()
    assert car.running() == b"part"
    assert {call.partition(" ")[0] for call in car.links.calls} == {"manifest", "time", DIRECTOR, PARTS, "image"}
    assert car.secondary.memory.held(PARTS).files[Role.TARGETS] == car.fleet.file(PARTS, Role.TARGETS)


@pytest.mark.standard("STD-5.4.2.6-4")
def test_each_secondary_gets_the_repositories_that_its_own_image_needs(car: Vehicle) -> None:
    part, other = fleet_of(car).add_part(b"part"), car.fleet.add_image("car.img", b"car")
    car.fleet.direct(part, TCU)
    car.fleet.direct(other, SECOND)
    car.cycle()
    assert (handed(car, TCU), handed(car, SECOND)) == ({DIRECTOR, PARTS}, {DIRECTOR, IMAGES})
    assert [each.device.running() for each in car.secondaries] == [b"part", b"car"]


@pytest.mark.standard("STD-5.2.6-5")
def test_an_image_that_the_suppliers_repository_does_not_list_is_refused(car: Vehicle) -> None:
    with car.primary_refuses(RepositoryMismatchError, undo=car.fleet.clear):
        car.fleet.release(PART, b"listed by the wrong repository")


@pytest.mark.standard("STD-5.2.6-5")
def test_a_secondary_finds_out_that_the_suppliers_repository_was_swapped(car: Vehicle) -> None:
    """A hostile Primary hands on files of the other Image repository under the supplier's name."""
    fleet_of(car).release_part(b"part")
    car.primary.update_cycle()
    files = Bundle(car.link.metadata(TCU), car.fleet.profile)._files
    name = car.fleet.profile.metadata_name
    with car.secondary_refuses(MixAndMatchError):
        snapshot = f"{PARTS}/{name(Role.SNAPSHOT, 2)}"
        assert snapshot in files
        car.link.swapped_bundle = pack(files | {snapshot: car.fleet.file(IMAGES, Role.SNAPSHOT)})


def test_a_repository_that_is_down_stops_only_those_cycles_that_need_it(car: Vehicle) -> None:
    car.links.down.add(PARTS)
    car.fleet.release("car.img", b"car")
    car.cycle()
    assert car.running() == b"car"
    fleet_of(car).release_part(b"part")
    before = car.trusted()
    with pytest.raises(UnreachableError):
        car.primary.update_cycle()
    assert car.trusted() == before
    car.links.restore()
    car.cycle()
    assert car.running() == b"part"


def test_after_a_restart_every_secondary_gets_what_it_got_before(car: Vehicle) -> None:
    part, other = fleet_of(car).add_part(b"part"), car.fleet.add_image("car.img", b"car")
    car.fleet.direct(part, TCU)
    car.fleet.direct(other, SECOND)
    car.primary.update_cycle()
    door = car.primary.secondaries
    before = [door.get_metadata(ecu) for ecu in (TCU, SECOND)] + [door.get_image(TCU), door.get_image(SECOND)]
    door = car.restart_primary().secondaries
    assert [door.get_metadata(ecu) for ecu in (TCU, SECOND)] + [door.get_image(TCU), door.get_image(SECOND)] == before
    car.cycle()
    assert car.running() == b"part"


def test_a_partial_secondary_gets_the_directors_part_alone(profile: Profile) -> None:
    car = Vehicle(SeveralFleet(profile), verification=VerificationKind.PARTIAL)
    fleet_of(car).release_part(b"part")
    car.cycle()
    assert car.running() == b"part"
    assert car.secondary.memory.names(f"repository/{PARTS}") == ()


def test_the_primarys_own_image_can_come_from_a_suppliers_repository_that_must_agree_with_the_other(
    profile: Profile,
) -> None:
    both = map_of(mapping("parts/*", DIRECTOR, IMAGES, PARTS), mapping("*", DIRECTOR, IMAGES))
    fleet = SeveralFleet(profile, both)
    car = Vehicle(fleet)
    fleet.release_part(b"part", PRIMARY)
    with pytest.raises(RepositoryMismatchError):
        car.primary.update_cycle()
    fleet.add_image(PART, b"part")
    assert car.primary.update_cycle().installed is not None
    assert car.device.running() == b"part"
