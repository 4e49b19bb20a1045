"""POUF-1: an archived Director never takes an assignment back, and names ECUs that a Primary may not know yet."""

import pytest
from world import PRIMARY, TCU, World, image

from uptane.formats.profiles import PROFILES

STRANGER = "unknown_ecu"


@pytest.fixture(params=["pouf1", "pouf1-json"])
def world(request: pytest.FixtureRequest) -> World:
    """A vehicle that trusts a first release."""
    world = World(PROFILES[request.param])
    world.release("TCU1.1.txt", b"one")
    world.primary.cycle()
    return world


def test_of_several_images_for_one_ecu_the_last_one_by_name_counts(world: World) -> None:
    images = [image(f"TCU1.{n}.txt", b"release %d" % n) for n in (2, 1)]
    world.images.publish_targets(*images)
    world.director.publish_targets(*(image(f"TCU1.{n}.txt", b"release %d" % n, ecus=(TCU,)) for n in (2, 1)))
    assert world.primary.cycle().images[TCU].file.path == "TCU1.2.txt"


def test_an_image_for_an_ecu_that_is_not_known_yet_is_passed_over(world: World) -> None:
    world.images.publish_targets(image("a.img", b"a"), image("b.img", b"b"))
    world.director.publish_targets(image("a.img", b"a", ecus=(STRANGER,)), image("b.img", b"b", ecus=(PRIMARY,)))
    assert set(world.primary.cycle().images) == {PRIMARY}
