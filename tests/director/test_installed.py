"""What each ECU has and what it may have, on the evidence of its reports alone."""

import pytest
from fleet import Fleet, Vehicle
from links import wait
from signed import FACTORY, FRESH, PATH
from world import PRIMARY, TCU, VIN, image

from uptane.director.installed import confirmed, installed_files, may_have
from uptane.director.planning import assignment_of, image_of, newly_directed
from uptane.director.ports import Directed
from uptane.formats.profile import Profile
from uptane.metadata.digests import Digests
from uptane.metadata.targets import Image

A, B, C = (image(f"{name}.img", name.encode(), counter=n) for n, name in enumerate("abc"))


def directed(*images: Image) -> list[Directed]:
    """What an ECU was directed, one after the other."""
    found: list[Directed] = []
    for each in images:
        found += newly_directed([assignment_of(VIN, TCU, each)], found)
    return found


def names(entries: list[Directed]) -> list[Image]:
    """The images of records."""
    return [image_of(each.path, each.image) for each in entries]


@pytest.fixture
def car(profile: Profile) -> Vehicle:
    """A vehicle that has reported."""
    car = Vehicle(Fleet(profile))
    car.cycle()
    car.primary.update_cycle()
    return car


@pytest.mark.standard("STD-5.3.2.1-12")
def test_a_vehicle_is_up_to_date_only_when_its_ecus_have_reported_their_images(car: Vehicle) -> None:
    director = car.fleet.director
    assert wait(director.outstanding(VIN)) == ()
    released = car.fleet.release(PATH, FRESH)
    assert wait(director.outstanding(VIN)) == (TCU,)
    car.cycle()
    assert car.running() == FRESH
    assert wait(director.outstanding(VIN)) == (TCU,)  # it has the image, and has not said so
    car.primary.update_cycle()
    assert wait(director.outstanding(VIN)) == ()
    installed = wait(director.installed(VIN))
    assert installed[TCU] == released.file
    assert installed[PRIMARY].digests.matches(FACTORY)


@pytest.mark.standard("STD-5.3.2.1-12")
def test_an_image_of_another_content_under_the_same_name_is_not_what_was_wanted(car: Vehicle) -> None:
    car.fleet.release(PATH, FRESH)
    car.cycle()
    car.primary.update_cycle()
    car.fleet.release(PATH, b"newer")
    assert wait(car.fleet.director.outstanding(VIN)) == (TCU,)
    assert wait(car.fleet.director.installed(VIN))[TCU].digests == Digests.of(FRESH, ("sha256", "sha512"))


def test_an_ecu_that_never_reported_has_nothing_that_is_known(profile: Profile) -> None:
    car = Vehicle(Fleet(profile))
    assert wait(car.fleet.director.installed(VIN)) == {}
    assert installed_files(profile, []) == {}


def test_an_image_is_directed_once_however_often_it_is_published(car: Vehicle) -> None:
    car.fleet.release(PATH, FRESH)
    for _ in range(3):
        wait(car.fleet.director.publish(VIN, car.fleet.now))
    assert [each.path for each in in_inventory(car)] == ["factory.img", PATH]


def test_a_report_rules_out_what_was_directed_before(car: Vehicle) -> None:
    car.fleet.release("one.img", b"one")
    car.fleet.release("two.img", b"two")
    assert [each.path for each in in_inventory(car)] == ["factory.img", "one.img", "two.img"]
    car.cycle()
    assert [each.path for each in in_inventory(car)] == ["factory.img", "one.img", "two.img"]
    car.primary.update_cycle()
    assert [each.path for each in in_inventory(car)] == ["two.img"]


@pytest.mark.standard("STD-5.3.2.1-13")
def test_an_assignment_that_was_taken_back_may_still_be_installed(car: Vehicle) -> None:
    """The vehicle may hold the metadata already, and say so only later."""
    car.fleet.release(PATH, FRESH)
    car.fleet.clear()
    car.primary.update_cycle()
    assert [each.path for each in in_inventory(car)] == ["factory.img", PATH]


def after(entries: list[Directed], image: Image) -> list[Directed]:
    """What the ECU may have once it has reported an image."""
    return list(confirmed(VIN, TCU, entries, image.file))


def test_a_report_of_an_image_that_was_directed_twice_may_be_of_the_first_time() -> None:
    entries = directed(A, B, A)
    assert names(after(entries, A)) == [A, B, A]
    assert names(after(entries, B)) == [B, A]
    assert [each.number for each in directed(A, A, B)] == [1, 2]


def test_what_an_ecu_had_all_along_does_not_rule_out_what_was_taken_back_meanwhile() -> None:
    """B was published, never fetched, and taken back; then A is directed, which the ECU has had since it was made."""
    factory = Image(file=A.file)
    entries = after([], A)
    assert (names(entries), [each.number for each in entries]) == ([factory], [0])
    for each in (B, A):
        entries += newly_directed([assignment_of(VIN, TCU, each)], entries)
    assert names(entries) == [factory, B, A]
    assert after(entries, A) == entries
    assert may_have(entries, A.file) == (A, B)


def test_an_image_that_nobody_directed_is_the_first_of_an_ecu_and_only_the_last_such_counts() -> None:
    entries = after(directed(A), C)
    assert names(entries) == [Image(file=C.file), A]
    assert names(after(entries, B)) == [Image(file=B.file), A]
    assert names(after(entries, A)) == [A]


def test_an_ecu_may_have_what_it_reported_and_what_it_was_directed_since() -> None:
    assert may_have([], None) == ()
    assert may_have([], C.file) == (Image(file=C.file),)
    assert may_have(directed(A, B), C.file) == (A, B, Image(file=C.file))
    assert may_have(directed(A, B), A.file) == (A, B)
    assert may_have(directed(A), None) == (A,)


def in_inventory(car: Vehicle) -> list[Directed]:
    """What the inventory says that the Secondary may have."""

    async def read() -> list[Directed]:
        async with car.fleet.inventory.transaction() as transaction:
            return [each for each in await transaction.directed(VIN) if each.ecu == TCU]

    return wait(read())
