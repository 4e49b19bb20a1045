"""What goes out together: dependencies of images, and what a vehicle may have installed without saying so."""

import threading

import pytest
from catalogs import catalog_of
from fleet import Fleet, Vehicle
from links import wait
from signed import FACTORY, custom
from world import TCU, VIN

from uptane.director import deciding
from uptane.director.dependencies import read_dependencies
from uptane.formats.profile import Profile
from uptane.metadata.errors import UnsatisfiableError
from uptane.metadata.identifiers import EcuIdentifier
from uptane.metadata.root import Role
from uptane.metadata.targets import Image, Targets

B, C = EcuIdentifier("B"), EcuIdentifier("C")


@pytest.fixture
def car(profile: Profile) -> Vehicle:
    """A vehicle of three Secondaries, TCU, B and C, that has reported."""
    car = Vehicle(Fleet(profile))
    for ecu in (B, C):
        car.add_secondary(ecu)
    car.cycle()
    car.primary.update_cycle()
    return car


def depend(car: Vehicle, *lines: str, **other: object) -> None:
    """The Director restarts with these rules, and sees the Image repository."""
    rules = read_dependencies("\n".join(lines))
    car.fleet.restart_director(dependencies=rules, catalog=catalog_of(car.fleet), **other)


def release(car: Vehicle, name: str, counter: int, *hardware: str) -> Image:
    """The Image repository publishes a release."""
    return car.fleet.add_image(f"{name}{counter}.img", f"{name} {counter}".encode(), custom(counter, hardware or None))


def assign(car: Vehicle, **images: Image) -> None:
    """Images are assigned; nothing is published."""
    for ecu, image in images.items():
        wait(car.fleet.director.assign(VIN, EcuIdentifier(ecu) if ecu != "TCU" else TCU, image))


def publish(car: Vehicle) -> dict[str, str]:
    """Publishes; the image of each ECU."""
    wait(car.fleet.director.publish(VIN, car.fleet.now))
    return directed(car)


def directed(car: Vehicle) -> dict[str, str]:
    """The image of each ECU, as published."""
    name = car.fleet.profile.metadata_name(Role.TARGETS)
    targets = car.fleet.profile.format.decode(Targets, car.fleet.published(VIN)[name]).payload
    return {ecu: path for path, image in targets.images.items() for ecu in image.custom.ecus}


def withheld(car: Vehicle) -> UnsatisfiableError:
    """Nothing is published."""
    before = car.fleet.published(VIN)
    with pytest.raises(UnsatisfiableError) as caught:
        wait(car.fleet.director.publish(VIN, car.fleet.now))
    assert car.fleet.published(VIN) == before
    return caught.value


def report(car: Vehicle) -> None:
    """Every ECU updates and reports what it has."""
    car.cycle()
    car.primary.update_cycle()


@pytest.mark.standard("STD-5.3.2.1-13")
def test_two_images_that_require_each_other_go_out_together_or_not_at_all(car: Vehicle) -> None:
    depend(car, "a*.img 2.. requires b*.img 2..", "b*.img 2.. requires a*.img 2..")
    assign(car, TCU=release(car, "a", 2))
    error = withheld(car)
    assert error.facts["rules"] == ("a*.img 2.. requires b*.img 2..",)
    assign(car, B=release(car, "b", 2))
    assert publish(car) == {TCU: "a2.img", B: "b2.img"}


@pytest.mark.standard("STD-5.3.2.1-13")
def test_the_third_bundle_is_withheld_until_the_second_is_confirmed(car: Vehicle) -> None:
    """Bundle 2 gives A and B their second release. C's conflicts with A's first, which may still be there."""
    assign(car, TCU=release(car, "a", 1), B=release(car, "b", 1), C=release(car, "c", 1))
    publish(car)
    report(car)
    depend(car, "c*.img 2.. conflicts with a*.img ..1")
    assign(car, TCU=release(car, "a", 2), B=release(car, "b", 2))
    publish(car)
    assign(car, C=release(car, "c", 2))
    error = withheld(car)
    assert "a1.img 1 or a2.img 2" in error.what
    car.fleet.restart_director()
    withheld(car)
    report(car)
    assert publish(car)[C] == "c2.img"


def test_what_was_taken_back_may_still_have_been_installed(car: Vehicle) -> None:
    depend(car, "c*.img conflicts with a*.img 2..")
    assign(car, TCU=release(car, "a", 2))
    publish(car)
    car.cycle()
    car.fleet.clear()
    assign(car, C=release(car, "c", 2))
    withheld(car)


def test_a_bundle_that_was_installed_in_part_only_is_reckoned_with(car: Vehicle) -> None:
    """An attacker keeps B's part of the bundle from it (TH-9): nothing more is built on that bundle."""
    depend(car, "c*.img 3.. requires b*.img 2..")
    assign(car, TCU=release(car, "a", 2), B=release(car, "b", 2))
    publish(car)
    blocked = next(each for each in car.secondaries if each.ecu == B)
    blocked.link.down = True
    car.primary.update_cycle()
    for each in car.secondaries:
        if each is not blocked:
            each.secondary.update_cycle()
    car.primary.update_cycle()
    assert list(wait(car.fleet.director.outstanding(VIN))) == [B]
    assign(car, C=release(car, "c", 3))
    withheld(car)
    blocked.link.down = False
    report(car)
    assert publish(car)[C] == "c3.img"


def test_a_vehicle_that_breaks_a_new_rule_can_still_be_told_the_same_again_and_be_mended(car: Vehicle) -> None:
    assign(car, TCU=release(car, "a", 1), B=release(car, "b", 1))
    publish(car)
    report(car)
    depend(car, "a*.img conflicts with b*.img ..1")
    assert publish(car) == {TCU: "a1.img", B: "b1.img"}
    assign(car, C=release(car, "c", 1))
    withheld(car)
    assign(car, B=release(car, "b", 2))
    assert publish(car) == {TCU: "a1.img", B: "b2.img", C: "c1.img"}


def test_the_release_of_a_factory_image_is_looked_up_on_the_image_repository(car: Vehicle) -> None:
    depend(car, "a*.img requires factory.img 5..")
    assign(car, TCU=release(car, "a", 1))
    assert "factory.img of unknown release" in withheld(car).what
    car.fleet.add_image("factory.img", FACTORY, custom(5))
    assert publish(car)[TCU] == "a1.img"


@pytest.mark.standard("STD-5.3.2.1-13")
def test_a_bundle_whose_parts_must_not_meet_the_old_images_goes_out_in_two_steps(car: Vehicle) -> None:
    """Whoever blocks one part of a bundle (TH-9) leaves an old image beside a new one."""
    assign(car, TCU=release(car, "a", 1), B=release(car, "b", 1))
    publish(car)
    report(car)
    depend(car, "a*.img ..1 conflicts with b*.img 2..")
    second = release(car, "b", 2)
    assign(car, TCU=release(car, "a", 2), B=second)
    assert "Assign one of them first" in withheld(car).next_step
    assign(car, B=release(car, "b", 1))
    assert publish(car) == {TCU: "a2.img", B: "b1.img"}
    assign(car, B=second)
    withheld(car)
    report(car)
    assert publish(car) == {TCU: "a2.img", B: "b2.img"}


def test_what_was_taken_back_and_is_given_again_is_checked_again(car: Vehicle) -> None:
    a = release(car, "a", 1)
    assign(car, TCU=a, C=release(car, "c", 1))
    publish(car)
    report(car)
    car.fleet.clear()
    depend(car, "a*.img conflicts with c*.img")
    assign(car, TCU=a)
    withheld(car)


def test_an_image_that_is_given_again_and_again_is_on_record_once(car: Vehicle) -> None:
    a = release(car, "a", 1)
    for _ in range(3):
        assign(car, TCU=a)
        publish(car)
        car.fleet.clear()

    async def on_record() -> list[int]:
        async with car.fleet.inventory.transaction() as transaction:
            return [each.number for each in await transaction.directed(VIN) if each.ecu == TCU]

    assert wait(on_record()) == [0, 1]


def test_the_dependencies_are_solved_beside_the_event_loop(car: Vehicle, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []

    def solve(*arguments: object) -> None:
        threads.append(threading.get_ident())

    monkeypatch.setattr(deciding, "resolve", solve)
    depend(car, "a*.img requires b*.img")
    assign(car, TCU=release(car, "a", 1))
    publish(car)
    assert threads and threading.get_ident() not in threads
