"""Every verification test runs in each profile."""

import pytest
from world import World

from uptane.formats.profile import Profile
from uptane.formats.profiles import PROFILES


@pytest.fixture(params=["der", "json"])
def profile(request: pytest.FixtureRequest) -> Profile:
    """A wire format with its file names."""
    return PROFILES[request.param]


@pytest.fixture
def world(profile: Profile) -> World:
    """Two repositories that published an image for the TCU, and a Primary that took it."""
    world = World(profile)
    world.release("firmware.img", b"one")
    world.primary.cycle()
    return world
