"""POUF-1: a Root that has expired ends trust on its own, versions are those that are listed, and Roots are bounded."""

from datetime import timedelta

import pytest
from msgspec import structs
from world import IMAGES, World, listed, refused

from uptane.formats.profile import Profile
from uptane.formats.profiles import PROFILES
from uptane.metadata.errors import (
    EndlessDataError,
    ExpiredMetadataError,
    MixAndMatchError,
)
from uptane.metadata.root import Role
from uptane.signing.publish import Draft, new_root
from uptane.signing.sign import sign
from uptane.verification.limits import Limits


@pytest.fixture(params=["pouf1", "pouf1-json"])
def profile(request: pytest.FixtureRequest) -> Profile:
    """The archived formats, in which `world` is made here."""
    return PROFILES[request.param]


def test_a_root_that_expires_alone_ends_the_cycle(world: World) -> None:
    """Everything below it was signed an hour ago, and is good for a day or longer."""
    last = world.images.root.expires
    world.primary.now = last - timedelta(hours=1)
    for repository in (world.images, world.director):
        repository.now = world.primary.now
        repository.publish_targets(*repository.payload(Role.TARGETS).images.values())
    world.primary.cycle()
    with refused(world.primary, ExpiredMetadataError) as refusal:
        world.primary.now = last
    assert refusal.facts["role"] == Role.ROOT


def test_a_root_is_listed_under_its_own_version(world: World) -> None:
    with refused(world.primary, MixAndMatchError) as refusal:
        world.images.publish(Draft(root=new_root(world.images.signers)))
        raw = world.images.files[world.images.name(Role.ROOT)]
        world.images.offer(Role.SNAPSHOT, root=listed(raw, 7))
    assert (refusal.facts["expected"], refusal.facts["offered"]) == (7, 2)


def test_one_cycle_follows_a_bounded_number_of_roots(world: World) -> None:
    world.images.publish(Draft(root=new_root(world.images.signers)))
    with refused(world.primary, EndlessDataError, new_roots=True) as refusal:
        world.primary.limits = Limits(root_updates=1)
    assert refusal.facts == {"repository": IMAGES, "role": "root"}


def test_another_root_of_the_listed_version_is_refused_whoever_signed_it(world: World) -> None:
    with refused(world.primary, MixAndMatchError):
        world.images.publish(Draft(root=new_root(world.images.signers)))
        other = structs.replace(world.images.root, expires=world.images.root.expires - timedelta(days=1))
        raw = sign(world.profile, other, world.images.signers[Role.ROOT])
        world.images.files[world.images.name(Role.ROOT)] = raw
