"""Step 6a: where every directed image runs already, no Image repository is asked, as long as what is held stands."""

from datetime import timedelta

import pytest
from fleet import Fleet, Vehicle
from links import wait
from maps import DIRECTOR, IMAGES, PARTS
from several import PART, SeveralFleet
from signed import PATH
from world import PRIMARY, TCU

from uptane.formats.profile import Profile
from uptane.formats.profiles import PROFILES
from uptane.metadata.delegations import TARGETS_ROLE
from uptane.metadata.errors import (
    ExpiredMetadataError,
    RepositoryMismatchError,
    UnreachableError,
)
from uptane.metadata.identifiers import EcuIdentifier
from uptane.metadata.root import Role
from uptane.metadata.targets import Custom, MustMatch
from uptane.verification.full_verification import AskImageRepositories
from uptane.verification.match_images import EcuFacts

NO_RULES: dict[str, object] = {}
BRAKES = EcuIdentifier("BCUdemocar")


def counted(counter: int) -> Custom:
    return Custom(must_match=MustMatch(release_counter=counter))


def car_of(fleet: Fleet, **other: object) -> Vehicle:
    """A vehicle as it is made by default, whose Secondary has installed an update and told so."""
    car = Vehicle(fleet, rules=NO_RULES, **other)  # type: ignore[arg-type]
    fleet.release(PATH, b"new", custom=counted(1))
    car.cycle()
    assert car.running() == b"new"
    return car


@pytest.fixture
def car(profile: Profile) -> Vehicle:
    return car_of(Fleet(profile))


def asked(car: Vehicle) -> set[str]:
    """What one more cycle of the Primary asks for, by server."""
    car.links.calls.clear()
    car.primary.update_cycle()
    return {call.partition(" ")[0] for call in car.links.calls}


@pytest.mark.standard("STD-5.4.4.2-10")
def test_the_image_repository_is_not_asked_where_every_directed_image_runs(car: Vehicle) -> None:
    for _ in range(3):
        car.links.calls.clear()
        result = car.primary.update_cycle()
        assert result.nothing_new and result.fetched == () and set(result.images) == {TCU}
        assert not [call for call in car.links.calls if call.startswith((IMAGES, "image"))]
    assert "No update: every image that the Director directs runs already." in car.said
    car.secondary.update_cycle()


@pytest.mark.standard("STD-5.4.4.2-10")
def test_nor_where_the_director_directs_nothing(profile: Profile) -> None:
    car = Vehicle(Fleet(profile), rules=NO_RULES)
    assert IMAGES not in asked(car)
    car.cycle()


@pytest.mark.standard("STD-5.4.4.2-10")
def test_new_metadata_of_the_director_for_the_same_images_is_taken_without_the_image_repository(car: Vehicle) -> None:
    """A Director signs anew before its metadata expires; that is no update."""
    version = car.primary.memory.held(DIRECTOR).files[Role.TARGETS]
    car.fleet.rotate_director(Role.TARGETS)
    assert IMAGES not in asked(car)
    assert car.primary.memory.held(DIRECTOR).files[Role.TARGETS] != version
    car.cycle()


@pytest.mark.standard("STD-5.4.4.2-11")
def test_a_primary_can_be_told_to_ask_in_every_cycle(profile: Profile) -> None:
    car = Vehicle(Fleet(profile))
    car.fleet.release(PATH, b"new")
    car.cycle()
    assert car.rules["ask"] is AskImageRepositories.IN_EVERY_CYCLE
    assert IMAGES in asked(car)
    assert not car.primary.update_cycle().nothing_new


@pytest.mark.standard("STD-5.4.4.2-10")
def test_an_image_that_another_ecu_runs_is_new_to_this_one(car: Vehicle) -> None:
    car.add_secondary(BRAKES)
    assert IMAGES not in asked(car)
    image = car.fleet.targets().images[PATH]
    car.fleet.direct(image, BRAKES)
    assert IMAGES in asked(car)
    car.cycle()
    assert car.secondaries[1].device.running() == b"new"
    assert IMAGES not in asked(car)


@pytest.mark.standard("STD-5.4.4.2-10")
def test_an_image_is_new_until_the_secondary_has_reported_that_it_runs(profile: Profile) -> None:
    car = Vehicle(Fleet(profile), rules=NO_RULES)
    car.fleet.release(PATH, b"new")
    for _ in range(2):
        assert IMAGES in asked(car)
    car.secondary.update_cycle()
    assert IMAGES not in asked(car)


@pytest.mark.standard("STD-5.4.4.2-10")
def test_the_primarys_own_image_is_new_until_it_is_installed(profile: Profile) -> None:
    car = Vehicle(Fleet(profile), rules=NO_RULES)
    car.device.may_install = False
    car.fleet.release("head.img", b"head", PRIMARY)
    for _ in range(2):
        assert IMAGES in asked(car)
    car.device.may_install = True
    assert IMAGES in asked(car)
    assert car.device.running() == b"head"
    assert IMAGES not in asked(car)


def test_a_secondary_that_has_never_reported_counts_as_one_to_which_everything_is_new(car: Vehicle) -> None:
    silent = EcuIdentifier("SILENT")
    car.primary.secondaries.register_new_secondary(silent)
    facts = car.primary.secondaries.facts()
    assert facts[silent] == EcuFacts()
    assert facts[TCU].installed == car.secondary.memory.state.installed


@pytest.mark.standard("STD-5.4.4.2-10", "STD-5.4.4.2-19a")
def test_the_file_that_runs_with_another_release_counter_is_new(car: Vehicle) -> None:
    """Else whoever has the Director's keys could raise what an ECU installs after it, and keep all updates away."""
    image = car.fleet.targets().images[PATH]
    forged = type(image)(file=image.file, custom=counted(10**9))
    with car.primary_refuses(RepositoryMismatchError, undo=lambda: car.fleet.direct(image)):
        car.fleet.direct(forged)
    assert car.secondary.memory.state.release_counter == 1
    car.fleet.release(PATH, b"new", custom=counted(2))
    assert IMAGES in asked(car)
    car.cycle()
    assert car.secondary.memory.state.release_counter == 2
    assert IMAGES not in asked(car)


@pytest.mark.standard("STD-5.4.4.2-10", "STD-5.4.4.2-14")
def test_amb_04_what_is_held_of_the_image_repository_stands_no_longer_than_it_is_valid(car: Vehicle) -> None:
    """So a revocation or a freeze of the Image repository is seen when its Timestamp expires, at the latest."""
    fleet, image = car.fleet, car.fleet.targets().images[PATH]
    fleet.later(days=1, seconds=-1)
    fleet.direct(image)
    assert IMAGES not in asked(car)
    with car.primary_refuses(ExpiredMetadataError, undo=lambda: wait(fleet.images.publish(fleet.now))):
        fleet.later(seconds=1)
        fleet.direct(image)
    assert IMAGES not in asked(car)


def test_a_leap_of_time_is_vouched_for_by_what_is_fresh_and_not_by_what_is_held(car: Vehicle) -> None:
    """Decision 15: whoever has the Timeserver's key must need the keys of every repository as well."""
    assert IMAGES not in asked(car)
    car.primary.memory.longest_leap = timedelta(0)
    car.fleet.later(hours=1)
    assert IMAGES in asked(car)
    assert IMAGES not in asked(car)


def test_no_root_of_the_image_repository_is_lost_while_it_is_not_asked(car: Vehicle) -> None:
    for _ in range(3):
        car.fleet.rotate_images(*Role)
        assert IMAGES not in asked(car)
    car.fleet.release(PATH, b"newer", custom=counted(1))
    car.cycle()
    assert car.running() == b"newer"
    assert car.primary.memory.held(IMAGES).root == car.fleet.file(IMAGES, Role.ROOT)
    assert len(car.primary.memory.names(f"repository/{IMAGES}/root/")) == 4


@pytest.mark.standard("STD-5.4.4.2-10")
@pytest.mark.parametrize("fails", ["mirrors", "Image repository", "Secondary"])
def test_amb_03_a_cycle_that_failed_late_does_not_make_the_next_one_stop_early(car: Vehicle, fails: str) -> None:
    car.fleet.release(PATH, b"newer", custom=counted(2))
    if fails == "Secondary":
        car.primary.update_cycle()
    else:
        car.links.down |= {"mirror 1", "mirror 2"} if fails == "mirrors" else {IMAGES}
        with pytest.raises(UnreachableError):
            car.primary.update_cycle()
        car.links.restore()
    assert IMAGES in asked(car)
    car.cycle()
    assert car.running() == b"newer"
    assert IMAGES not in asked(car)


def test_what_a_new_root_made_the_primary_forget_is_asked_for_although_nothing_is_new(car: Vehicle) -> None:
    image = car.fleet.targets().images[PATH]
    car.fleet.rotate_images(*Role)
    car.fleet.release(PATH, b"newer", custom=counted(2))
    car.links.altered[IMAGES, car.fleet.profile.metadata_name(Role.TIMESTAMP)] = None
    with pytest.raises(UnreachableError):
        car.primary.update_cycle()
    assert Role.SNAPSHOT not in car.primary.memory.held(IMAGES).files
    car.links.restore()
    car.fleet.add_image(PATH, b"new", counted(1))
    car.fleet.direct(image)
    assert IMAGES in asked(car)
    assert IMAGES not in asked(car)


def test_a_supplier_repository_is_not_asked_either(profile: Profile) -> None:
    fleet = SeveralFleet(profile)
    car = Vehicle(fleet, rules=NO_RULES)
    fleet.release_part(b"part")
    car.cycle()
    assert car.running() == b"part"
    assert asked(car) == {"manifest", "time", DIRECTOR}
    fleet.later(days=1)
    wait(fleet.parts.publish(fleet.now))
    fleet.direct(wait(fleet.parts.published()).targets[TARGETS_ROLE].payload.images[PART])
    assert asked(car) == {"manifest", "time", DIRECTOR, PARTS}


def test_a_report_that_nobody_verifies_does_not_tell_that_an_image_runs() -> None:
    """In the archived formats a stranger could say so, and keep an update away from the Secondary."""
    fleet = Fleet(PROFILES["pouf1"])
    car = Vehicle(fleet, rules=NO_RULES)
    fleet.release(PATH, b"new")
    car.cycle()
    assert car.running() == b"new"
    assert car.primary.secondaries.facts() == {TCU: EcuFacts()}
    assert IMAGES in asked(car)
