"""ECUs that are not there: a Primary goes on without its Secondaries, and a Secondary catches up after months."""

import pytest
from fleet import Fleet, Vehicle
from links import wait
from partial import FOLLOWS
from signed import FACTORY, FRESH, PATH
from time_keys import rotate
from world import DIRECTOR, IMAGES, PRIMARY, TCU

from uptane.formats.profile import Profile
from uptane.metadata.root import Role, Root
from uptane.metadata.vehicle_manifest import VehicleVersionManifest
from uptane.vehicle.memory import VerificationKind
from uptane.vehicle.secondary import Outcome

RELEASES = [b"release %d" % month for month in range(1, 8)]
OWN = "head-unit.img"


@pytest.fixture(params=[VerificationKind.FULL, FOLLOWS], ids=["full", "partial"])
def car(profile: Profile, request: pytest.FixtureRequest) -> Vehicle:
    """A vehicle whose Secondary has its update."""
    car = Vehicle(Fleet(profile), verification=request.param)
    car.fleet.release(PATH, FRESH)
    car.cycle()
    return car


def a_month_passes(car: Vehicle, content: bytes, *roles: Role) -> None:
    """Both repositories get new Roots and keys for these roles, and sign everything anew; an image is released."""
    car.fleet.later(days=31)
    car.fleet.rotate_images(*roles)
    car.fleet.rotate_director(*roles)
    car.fleet.release(PATH, content)


@pytest.mark.standard("STD-5.4.2.6-2", "STD-5.4.3.1-1")
def test_a_secondary_that_was_asleep_for_months_catches_up_in_one_cycle(car: Vehicle) -> None:
    """All that it holds has expired, every key has changed, twice the Timeserver's, and its images are long gone."""
    every = [(), (Role.ROOT,), (Role.TARGETS,), (Role.SNAPSHOT, Role.TIMESTAMP), tuple(Role), (Role.TARGETS,), ()]
    for month, content in enumerate(RELEASES):
        a_month_passes(car, content, *every[month])
        if month in (1, 4):
            rotate(car.fleet)
        car.primary.update_cycle()
        car.restart_primary()
    assert car.running() == FRESH
    assert car.secondary.update_cycle().outcome is Outcome.UPDATED
    memory = car.secondary.memory
    assert (car.running(), memory.state.time) == (RELEASES[-1], car.fleet.now)
    assert memory.timeserver_keys == (car.fleet.time_key.key,)
    for repository in memory.repositories:
        held = car.fleet.profile.format.decode(Root, memory.held(repository).root).payload
        newest = car.fleet.profile.format.decode(Root, car.fleet.file(repository, Role.ROOT)).payload
        assert held == newest and held.version > len(RELEASES)
    car.primary.update_cycle()
    assert car.fleet.reports(TCU)[0].attacks_detected == ""
    assert wait(car.fleet.director.outstanding(car.vin)) == ()


def test_a_whole_car_that_was_asleep_for_months_catches_up_in_one_cycle(car: Vehicle) -> None:
    for month, content in enumerate(RELEASES):
        a_month_passes(car, content, *([Role.TARGETS, Role.TIMESTAMP] if month % 2 else []))
    rotate(car.fleet)
    car.restart_primary()
    car.cycle()
    assert car.running() == RELEASES[-1]
    car.primary.update_cycle()
    assert {report.attacks_detected for ecu in (PRIMARY, TCU) for report in car.fleet.reports(ecu)} == {""}


@pytest.mark.standard("STD-5.4.2.1.1-9")
def test_a_primary_goes_on_without_its_secondaries(car: Vehicle) -> None:
    """It reports what it last heard of them, updates itself, and keeps what is theirs until they come."""
    car.primary.update_cycle()
    told = len(car.fleet.reports(TCU))
    for content in RELEASES:
        a_month_passes(car, content)
        car.fleet.release(OWN, content, PRIMARY)
        car.primary.update_cycle()
        assert car.device.running() == content
    manifest = car.fleet.profile.format.decode(VehicleVersionManifest, car.links.manifests[-1]).payload
    assert {report.payload.ecu for report in manifest.reports} == {PRIMARY, TCU}
    assert len(car.fleet.reports(TCU)) == told
    assert wait(car.fleet.director.outstanding(car.vin)) == (PRIMARY, TCU)
    assert car.primary.secondaries.update_exists_for_ecu(TCU)
    assert car.secondary.update_cycle().outcome is Outcome.UPDATED
    car.primary.update_cycle()
    assert wait(car.fleet.director.outstanding(car.vin)) == ()
    assert len(car.fleet.reports(TCU)) == told + 1


def test_a_primary_whose_secondaries_never_came_updates_itself(profile: Profile) -> None:
    """They are registered, and the Director is told that they are missed."""
    car = Vehicle(Fleet(profile))
    car.device.store.write(dict.fromkeys(car.device.store.names(f"secondary/{TCU}/report")))
    car.fleet.release(PATH, FRESH)
    car.fleet.release(OWN, FRESH, PRIMARY)
    car.restart_primary()
    car.primary.update_cycle()
    assert (car.device.running(), car.running()) == (FRESH, FACTORY)
    (alert,) = wait(car.fleet.director.alerts(car.vin))
    assert alert.code == "E-MISSING" and TCU in alert.text
    assert {DIRECTOR, IMAGES} == set(car.primary.memory.repositories)
