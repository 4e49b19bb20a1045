"""A Primary that was told, by a loud name, to refuse bad images alone: what it keeps, and what it still tells."""

import pytest
from encrypted import FIRMWARE, encrypted_vehicle, release_encrypted
from fleet import Fleet, Vehicle
from links import wait
from maps import DIRECTOR
from signed import PATH
from world import PRIMARY, TCU

from uptane.formats.profile import Profile
from uptane.metadata.errors import RepositoryMismatchError, UnreachableError
from uptane.metadata.identifiers import EcuIdentifier
from uptane.metadata.root import Role
from uptane.metadata.targets import Custom, Image, MustMatch
from uptane.vehicle.memory import VerificationKind

BRAKES = EcuIdentifier("BCUdemocar")
ALONE = {"unsafe_refuse_single_images": True}


class Brakes:
    """A vehicle with a second Secondary, whose image is attacked; both have installed a first one."""

    def __init__(self, profile: Profile, **brakes: object) -> None:
        self.car = Vehicle(Fleet(profile), rules=ALONE)
        self.fleet, self.brakes = self.car.fleet, self.car.add_secondary(BRAKES, **brakes)
        self.direct(self.image(PATH, b"one", 1), self.image("brakes.img", b"brakes 1", 1))
        self.car.cycle()
        assert self.running() == [b"one", b"brakes 1"]

    def image(self, path: str, content: bytes, counter: int) -> Image:
        """The Image repository signs for an image."""
        return self.fleet.add_image(path, content, Custom(must_match=MustMatch(release_counter=counter)))

    def direct(self, tcu: Image, brakes: Image) -> None:
        """The Director directs both, as whoever holds its keys can."""
        wait(self.fleet.director.assign(self.car.vin, TCU, tcu))
        self.fleet.direct(brakes, BRAKES)

    def running(self) -> list[bytes]:
        return [each.device.running() for each in self.car.secondaries]

    def attack(self) -> None:
        """A genuine update of the TCU, and for the brakes what the Image repository does not list."""
        genuine = self.fleet.targets().images["brakes.img"]
        forged = Image(file=genuine.file, custom=Custom(must_match=MustMatch(release_counter=10**9)))
        self.direct(self.image(PATH, b"two", 2), forged)


@pytest.mark.standard("STD-5.4.4.2-16")
@pytest.mark.parametrize("kind", [VerificationKind.FULL, VerificationKind.PARTIAL])
def test_amb_08_the_good_image_is_installed_and_the_bad_one_is_told_in_every_cycle(
    profile: Profile, kind: VerificationKind
) -> None:
    story = Brakes(profile, verification=kind)
    car, door = story.car, story.car.primary.secondaries
    held = car.trusted()
    offered = door.get_metadata(BRAKES), door.get_partial_metadata(BRAKES), door.get_image(BRAKES)
    story.attack()
    for told in range(1, 4):
        result = car.primary.update_cycle()
        assert set(result.images) == {TCU} and not result.nothing_new
        assert type(result.refused[BRAKES]) is RepositoryMismatchError
        assert (door.get_metadata(BRAKES), door.get_partial_metadata(BRAKES), door.get_image(BRAKES)) == offered
        assert car.trusted() == held
        for each in car.secondaries:
            each.secondary.update_cycle()
        assert story.running() == [b"two", b"brakes 1"]
        assert story.brakes.secondary.memory.state.release_counter == 1
        assert car.primary.memory.state.attacks != ()
        reports = story.fleet.reports(PRIMARY)
        assert sum("E-REPO-MISMATCH" in report.attacks_detected for report in reports) == told - 1
    assert any(f"The image for ECU {BRAKES} was refused" in line for line in car.said)


def test_nothing_of_it_is_left_after_a_restart_and_a_genuine_release_goes_on(profile: Profile) -> None:
    story = Brakes(profile)
    car, door = story.car, story.car.primary.secondaries
    before = door.get_metadata(TCU)
    story.attack()
    car.primary.update_cycle()
    assert door.get_metadata(TCU) != before
    for each in car.secondaries:
        each.secondary.update_cycle()
    door = car.restart_primary().secondaries
    for each in car.secondaries:
        with pytest.raises(UnreachableError):
            door.get_metadata(each.ecu)
        with pytest.raises(UnreachableError):
            each.secondary.update_cycle()
        assert each.secondary.memory.state.attacks == (), "what is older now was good before"
    assert car.primary.update_cycle().refused
    story.direct(story.fleet.targets().images[PATH], story.image("brakes.img", b"brakes 2", 2))
    result = car.primary.update_cycle()
    assert result.refused == {} and set(result.images) == {TCU, BRAKES}
    assert car.primary.memory.held(DIRECTOR).files[Role.TARGETS] == story.fleet.file(DIRECTOR, Role.TARGETS)
    for each in car.secondaries:
        each.secondary.update_cycle()
    assert story.running() == [b"two", b"brakes 2"]
    car.primary.update_cycle()
    assert car.primary.memory.state.attacks == ()


def test_what_was_refused_alone_is_not_taken_for_agreed_by_a_primary_with_the_default_rules(profile: Profile) -> None:
    story = Brakes(profile)
    story.attack()
    story.car.primary.update_cycle()
    for each in story.car.secondaries:
        each.secondary.update_cycle()
    story.car.rules = {}
    story.car.restart_primary()
    for _ in range(2):
        with pytest.raises(RepositoryMismatchError):
            story.car.primary.update_cycle()
    assert story.running() == [b"two", b"brakes 1"]


def test_an_ecu_that_had_nothing_before_gets_nothing(profile: Profile) -> None:
    car = Vehicle(Fleet(profile), rules=ALONE)
    brakes = car.add_secondary(BRAKES)
    good = car.fleet.add_image(PATH, b"one")
    other = car.fleet.add_image("brakes.img", b"brakes")
    wait(car.fleet.director.assign(car.vin, TCU, good))
    car.fleet.direct(Image(file=other.file, custom=Custom(must_match=MustMatch(release_counter=3))), BRAKES)
    car.primary.update_cycle()
    assert not car.primary.secondaries.update_exists_for_ecu(BRAKES)
    assert car.primary.secondaries.get_image(BRAKES) is None
    running = brakes.device.running()
    car.secondary.update_cycle()
    assert (car.running(), brakes.device.running()) == (b"one", running)


def test_the_primarys_own_image_is_refused_alone_as_well(profile: Profile) -> None:
    car = Vehicle(Fleet(profile), rules=ALONE)
    good = car.fleet.add_image(PATH, b"one")
    own = car.fleet.add_image("head.img", b"head")
    wait(car.fleet.director.assign(car.vin, TCU, good))
    running = car.device.running()
    car.fleet.direct(Image(file=own.file, custom=Custom(must_match=MustMatch(release_counter=3))), PRIMARY)
    result = car.primary.update_cycle()
    assert result.installed is None and set(result.refused) == {PRIMARY}
    assert car.device.running() == running
    car.secondary.update_cycle()
    assert car.running() == b"one"


def test_what_waits_encrypted_for_a_refused_ecu_still_waits(profile: Profile) -> None:
    car = encrypted_vehicle(profile, rules=ALONE)
    car.add_secondary(BRAKES)
    genuine = release_encrypted(car.fleet)
    car.primary.update_cycle()
    door = car.primary.secondaries
    before = door.get_image(TCU)
    assert before is not None
    wait(car.fleet.director.assign(car.vin, BRAKES, car.fleet.add_image("brakes.img", b"brakes")))
    car.fleet.direct(Image(file=genuine.file, custom=Custom(must_match=MustMatch(release_counter=3))), TCU)
    assert set(car.primary.update_cycle().refused) == {TCU}
    assert door.get_image(TCU) == before
    for each in car.secondaries:
        each.secondary.update_cycle()
    assert [each.device.running() for each in car.secondaries] == [FIRMWARE, b"brakes"]
