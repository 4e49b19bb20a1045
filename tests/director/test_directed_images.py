"""A Director that sees the Image repository directs nothing that it does not list, and nothing for other hardware."""

from collections.abc import Callable, Mapping
from datetime import datetime

import pytest
from catalogs import catalog_of
from fleet import Fleet, Vehicle
from links import wait
from signed import EVIL, FRESH, PATH, custom
from world import DIRECTOR, IMAGES, TCU, VIN, image, new_signer

from uptane.director.check_images import UNSAFE_NO_CATALOG
from uptane.formats.profile import KINDS, Profile
from uptane.metadata.errors import (
    BadSignatureError,
    ExpiredMetadataError,
    HardwareMismatchError,
    ImageNotListedError,
    ReplayedMetadataError,
    RepositoryMismatchError,
    UnreachableError,
    UptaneError,
)
from uptane.metadata.identifiers import EcuIdentifier, HardwareIdentifier, ImagePath, RoleName
from uptane.metadata.root import Role
from uptane.metadata.targets import Image

BRAKE = EcuIdentifier("brake")


@pytest.fixture
def car(profile: Profile) -> Vehicle:
    """A vehicle whose Director sees the Image repository."""
    car = Vehicle(Fleet(profile))
    car.fleet.restart_director(catalog=catalog_of(car.fleet))
    key, hardware = new_signer().key, HardwareIdentifier("brake-3")
    wait(car.fleet.director.register_ecu(vehicle=VIN, ecu=BRAKE, key=key, is_primary=False, hardware_id=hardware))
    car.cycle()
    return car


def refuses(car: Vehicle, expected: type[UptaneError], attempt: Callable[[], object]) -> UptaneError:
    """The Director refuses with exactly that error, and publishes nothing."""
    before = car.fleet.published(VIN)
    with pytest.raises(UptaneError) as caught:
        attempt()
    assert type(caught.value) is expected, repr(caught.value)
    assert car.fleet.published(VIN) == before
    return caught.value


@pytest.mark.standard("STD-5.3.2.1-12")
def test_an_image_that_the_image_repository_lists_reaches_the_vehicle(car: Vehicle) -> None:
    car.fleet.release(PATH, FRESH, custom=custom(1))
    car.cycle()
    assert car.running() == FRESH


@pytest.mark.standard("STD-5.2.3.1-1")
def test_an_image_that_nobody_signed_is_not_directed(car: Vehicle) -> None:
    """An intruder in the Director's database assigns an image of his own."""
    error = refuses(car, ImageNotListedError, lambda: car.fleet.direct(image(PATH, EVIL)))
    assert error.facts["image"] == PATH


@pytest.mark.parametrize(
    "altered",
    [
        image(PATH, EVIL),
        image(PATH, FRESH + b"!"),
        image(PATH, FRESH, counter=4),
        image(PATH, FRESH, counter=3, hardware=("board-8",)),
        image(PATH, FRESH, counter=3, hashes=("sha256",)),
    ],
    ids=["content", "length", "release counter", "hardware", "hashes"],
)
def test_an_image_that_was_altered_on_its_way_to_the_director_is_not_directed(car: Vehicle, altered: Image) -> None:
    car.fleet.add_image(PATH, FRESH, custom(3))
    refuses(car, RepositoryMismatchError, lambda: car.fleet.direct(altered))


def test_an_image_may_be_assigned_before_it_is_published(car: Vehicle) -> None:
    early = image(PATH, FRESH)
    wait(car.fleet.director.assign(VIN, TCU, early))
    refuses(car, ImageNotListedError, lambda: wait(car.fleet.director.publish(VIN, car.fleet.now)))
    assert car.fleet.add_image(PATH, FRESH) == early
    wait(car.fleet.director.publish(VIN, car.fleet.now))
    car.cycle()
    assert car.running() == FRESH


@pytest.mark.standard("STD-5.3.2.2-11")
def test_an_image_for_other_hardware_is_never_assigned(car: Vehicle) -> None:
    for rules in ({}, {"catalog": UNSAFE_NO_CATALOG}):
        car.fleet.restart_director(**rules)
        other = car.fleet.add_image(PATH, FRESH, custom(1, ("brake-2", "brake-4")))
        error = refuses(car, HardwareMismatchError, lambda other=other: car.fleet.direct(other, BRAKE))
        assert (error.facts["ecu"], error.facts["expected"]) == (BRAKE, "brake-3")
        wait(car.fleet.director.publish(VIN, car.fleet.now))
    car.fleet.direct(car.fleet.add_image(PATH, FRESH, custom(1, ("brake-3",))), BRAKE)


@pytest.mark.standard("STD-5.3.2.2-11")
def test_an_image_is_not_changed_under_an_ecu_that_it_does_not_fit(car: Vehicle) -> None:
    """One name is one image, so another one for the first ECU would reach the second as well."""
    car.fleet.release(PATH, FRESH, BRAKE, custom(1, ("brake-3",)))
    other = car.fleet.add_image(PATH, b"other", custom(2, ("board-7",)))
    refuses(car, HardwareMismatchError, lambda: car.fleet.direct(other))


def test_a_supplier_that_may_sign_for_other_hardware_only_is_not_asked(car: Vehicle) -> None:
    car.fleet.grant(RoleName("supplier"), "supplier/*", hardware=("board-7",))
    supplied = wait(car.fleet.images.add_image("supplier/a.img", FRESH, role=RoleName("supplier")))  # type: ignore[arg-type]
    wait(car.fleet.images.publish(car.fleet.now))
    refuses(car, ImageNotListedError, lambda: car.fleet.direct(supplied, BRAKE))
    wait(car.fleet.director.clear_assignments(VIN))
    car.fleet.direct(supplied)
    car.cycle()
    assert car.running() == FRESH


@pytest.mark.parametrize(
    ("forged", "expected"),
    [("another repository's", BadSignatureError), ("older", ReplayedMetadataError), ("missing", UnreachableError)],
)
def test_an_intruder_between_the_repositories_gets_nothing_directed(
    car: Vehicle, forged: str, expected: type[UptaneError]
) -> None:
    other = Fleet(car.fleet.profile).file(IMAGES, Role.TIMESTAMP)
    older = car.fleet.file(IMAGES, Role.TIMESTAMP)
    car.fleet.release(PATH, FRESH)  # by now the Director has seen a newer one
    newer = car.fleet.add_image("other.img", b"other")
    files, name = car.fleet.image_metadata._files, car.fleet.profile.metadata_name(Role.TIMESTAMP)
    genuine = files.pop(name)
    if forged != "missing":
        files[name] = older if forged == "older" else other
    refuses(car, expected, lambda: car.fleet.direct(newer))
    files[name] = genuine
    wait(car.fleet.director.publish(VIN, car.fleet.now))
    car.cycle()
    assert car.running() == b"other"


def test_expired_metadata_of_the_image_repository_stops_new_images_and_nothing_else(car: Vehicle) -> None:
    fresh = car.fleet.add_image(PATH, FRESH)
    car.fleet.direct(fresh)
    newer = car.fleet.add_image("newer.img", b"newer")
    car.fleet.later(days=2)
    wait(car.fleet.director.publish(VIN, car.fleet.now))
    refuses(car, ExpiredMetadataError, lambda: car.fleet.direct(newer))


def test_stolen_keys_are_revoked_even_while_the_assigned_images_may_not_be_directed(car: Vehicle) -> None:
    car.fleet.release(PATH, FRESH)
    wait(car.fleet.director.assign(VIN, TCU, image("unlisted.img", EVIL)))
    car.fleet.rotate_director(Role.TARGETS, Role.SNAPSHOT, Role.TIMESTAMP)
    assert car.fleet.profile.metadata_name(Role.ROOT, 2) in car.fleet.published(VIN)
    car.cycle()
    assert car.running() == FRESH


def test_a_director_without_a_catalogue_says_so_and_its_vehicles_refuse(car: Vehicle) -> None:
    """The thief of the walkthrough's 3.4 signs past the catalogue: the vehicle is the one that refuses then."""
    car.fleet.release(PATH, FRESH)
    car.cycle()
    with car.primary_refuses(RepositoryMismatchError, undo=lambda: car.fleet.release(PATH, FRESH)):
        car.fleet.restart_director(catalog=UNSAFE_NO_CATALOG)
        car.fleet.direct(image(PATH, EVIL))


class _NeverAsked:
    """An Image repository that must not be asked."""

    async def look_up(
        self, asked: Mapping[ImagePath, frozenset[HardwareIdentifier] | None], now: datetime
    ) -> Mapping[ImagePath, Image]:
        raise AssertionError("new keys wait for nobody")


def test_new_keys_reach_every_vehicle_although_the_image_repository_is_away(profile: Profile) -> None:
    car = Vehicle(Fleet(profile))
    wait(car.fleet.director.assign(VIN, TCU, image("a.img", b"a")))
    car.fleet.restart_director(catalog=_NeverAsked())
    car.fleet.rotate_director(Role.TARGETS, Role.SNAPSHOT, Role.TIMESTAMP)
    decode = profile.format.decode
    assert decode(KINDS[Role.ROOT], car.fleet.file(DIRECTOR, Role.ROOT)).payload.version == 2
    car.primary.update_cycle()
