"""What the keys of one repository alone are worth to a thief (docs/pouf.md, security considerations)."""

import pytest
from fleet import Fleet, Vehicle
from links import wait
from signed import EVIL, FRESH, PATH
from world import image

from uptane.formats.profile import Profile
from uptane.metadata.errors import RepositoryMismatchError
from uptane.metadata.root import Role
from uptane.vehicle.secondary import Outcome


@pytest.fixture
def car(profile: Profile) -> Vehicle:
    """A vehicle that got its update."""
    car = Vehicle(Fleet(profile))
    car.fleet.release(PATH, FRESH)
    car.cycle()
    assert car.running() == FRESH
    return car


@pytest.mark.standard("STD-5.4.4.2-1", "STD-5.4.4.2-18")
def test_the_keys_of_the_image_repository_alone_install_nothing(car: Vehicle) -> None:
    with car.primary_refuses(RepositoryMismatchError, undo=lambda: car.fleet.add_image(PATH, FRESH)) as errors:
        car.fleet.add_image(PATH, EVIL)
    assert errors[0].facts["image"] == PATH
    assert car.secondary.update_cycle().outcome is Outcome.NO_UPDATE_NEEDED


def test_an_evil_image_that_only_the_image_repository_names_is_never_asked_for(car: Vehicle) -> None:
    car.fleet.add_image("evil.img", EVIL)
    assert car.primary.update_cycle().fetched == ()
    assert car.secondary.update_cycle().outcome is Outcome.NO_UPDATE_NEEDED
    assert car.running() == FRESH


@pytest.mark.standard("STD-5.4.4.2-1")
def test_the_root_keys_of_the_director_alone_install_nothing(car: Vehicle) -> None:
    """The thief makes all other keys of the Director his own, and directs an image that only he signed for."""
    genuine = car.fleet.add_image(PATH, FRESH)
    car.fleet.rotate_director(Role.TARGETS, Role.SNAPSHOT, Role.TIMESTAMP)
    car.cycle()
    with car.primary_refuses(RepositoryMismatchError, undo=lambda: car.fleet.direct(genuine)):
        car.fleet.direct(image(PATH, EVIL))
    wait(car.fleet.director.publish(car.vin, car.fleet.now))
    car.cycle()
    assert car.running() == FRESH
