"""POUF-1: a new Root is found through the Snapshot or after a bad signature, and is still the next one."""

from dataclasses import replace

import pytest
from msgspec import structs
from world import DIRECTOR, IMAGES, TCU, Repository, World, listed, new_signer, refused

from uptane.formats.profile import Profile
from uptane.formats.profiles import PROFILES
from uptane.metadata.errors import (
    BadSignatureError,
    ExpiredMetadataError,
    MixAndMatchError,
    ProvisioningError,
    ReplayedMetadataError,
    UnreachableError,
    UptaneError,
)
from uptane.metadata.root import Role
from uptane.signing.publish import Draft, new_root
from uptane.signing.sign import sign


@pytest.fixture(params=["pouf1", "pouf1-json"])
def profile(request: pytest.FixtureRequest) -> Profile:
    """The archived formats, in which `world` is made here."""
    return PROFILES[request.param]


def trusted_root(world: World, repository: Repository) -> int:
    """The version of the Root that the Primary trusts."""
    name = DIRECTOR if repository is world.director else IMAGES
    ecu = world.primary
    return repository.profile.format.decode(type(repository.root), ecu.held[name].root).payload.version


def put_root(repository: Repository, raw: bytes) -> None:
    """An intruder replaces the published Root."""
    repository.files[repository.name(Role.ROOT)] = raw


def list_root(repository: Repository, raw: bytes, version: int) -> None:
    """The Snapshot lists a Root, genuinely signed."""
    repository.offer(Role.SNAPSHOT, root=listed(raw, version))


@pytest.mark.parametrize("role", [Role.TIMESTAMP, Role.SNAPSHOT, Role.TARGETS])
def test_after_a_signature_by_unknown_keys_the_new_root_is_looked_for(world: World, role: Role) -> None:
    world.images.rotate(role)
    world.director.rotate(role)
    assert set(world.primary.cycle().images) == {TCU}
    assert trusted_root(world, world.images) == trusted_root(world, world.director) == 2
    assert set(world.primary.cycle().images) == {TCU}


def test_a_root_that_only_the_snapshot_tells_of_is_followed(world: World) -> None:
    world.images.publish(Draft(root=new_root(world.images.signers)))
    world.primary.cycle()
    assert trusted_root(world, world.images) == 2


def test_an_expired_root_is_replaced_by_its_successor(world: World) -> None:
    world.primary.later(days=366)
    for repository in (world.images, world.director):
        repository.now = world.primary.now
        assert repository.published is not None
        content = {name: envelope.payload for name, envelope in repository.published.targets.items()}
        repository.publish(Draft(root=new_root(repository.signers), targets=content))
    world.primary.cycle()
    assert trusted_root(world, world.images) == 2


def test_an_expired_root_without_a_successor_ends_the_cycle(world: World) -> None:
    with refused(world.primary, ExpiredMetadataError):
        world.primary.later(days=366)


def test_plain_names_are_asked_for_and_nothing_else(world: World) -> None:
    world.primary.held[IMAGES] = replace(world.primary.held[IMAGES], files={})
    world.primary.cycle()
    extension = world.profile.format.extension
    assert [name for name in world.primary.fetched if name.startswith(IMAGES)] == [
        f"{IMAGES}/{role}.{extension}" for role in ("timestamp", "snapshot", "targets")
    ]


@pytest.mark.parametrize("role", [Role.TIMESTAMP, Role.ROOT])
def test_a_client_that_missed_a_root_follows_where_the_repository_has_its_versions(world: World, role: Role) -> None:
    for _ in range(3):
        world.images.rotate(role)
        world.director.rotate(role)
    world.primary.cycle()
    assert trusted_root(world, world.images) == trusted_root(world, world.director) == 4


def test_a_client_that_missed_a_root_of_an_archived_repository_says_so(world: World) -> None:
    with refused(world.primary, ProvisioningError) as refusal:
        world.images.rotate(Role.TIMESTAMP)
        world.images.rotate(Role.TIMESTAMP)
        del world.images.files[world.images.name(Role.ROOT, 2)]
    assert (refusal.facts["expected"], refusal.facts["offered"]) == (2, 3)


@pytest.mark.parametrize("root", ["a stranger's of version 99", "garbage", "a stranger's of the next version"])
@pytest.mark.parametrize("fault", [BadSignatureError, ExpiredMetadataError])
def test_what_stands_unsigned_under_the_name_of_root_hides_nothing(
    world: World, root: str, fault: type[UptaneError]
) -> None:
    stranger = Repository(world.profile)
    with refused(world.primary, fault):
        if fault is BadSignatureError:
            world.director.offer(Role.TIMESTAMP, signers=stranger.signers[Role.TIMESTAMP])
        else:
            world.primary.later(days=2)
        version = 99 if "99" in root else 2
        raw = sign(world.profile, structs.replace(stranger.root, version=version), stranger.signers[Role.ROOT])
        put_root(world.director, b"garbage" if root == "garbage" else raw)


def test_another_root_of_the_trusted_version_is_refused(world: World) -> None:
    """The archived client took it: weakness 12."""
    with refused(world.primary, MixAndMatchError):
        other = structs.replace(world.images.root, expires=world.images.root.expires.replace(year=2030))
        raw = sign(world.profile, other, world.images.signers[Role.ROOT])
        put_root(world.images, raw)
        list_root(world.images, raw, 1)


def test_a_snapshot_that_lists_an_older_root_is_refused(world: World) -> None:
    first = world.images.files[world.images.name(Role.ROOT)]
    world.images.rotate(Role.TIMESTAMP)
    world.primary.cycle()
    with refused(world.primary, ReplayedMetadataError) as refusal:
        put_root(world.images, first)
        list_root(world.images, first, 1)
    assert (refusal.facts["expected"], refusal.facts["offered"]) == (2, 1)


@pytest.mark.parametrize("who", ["only the old keys", "only the new keys"])
def test_a_new_root_needs_the_old_and_the_new_keys(world: World, who: str) -> None:
    old, new = world.images.signers[Role.ROOT], [new_signer(id_rule=world.profile.format.key_id_rule)]
    with refused(world.primary, BadSignatureError):
        payload = structs.replace(
            new_root(world.images.signers | {Role.ROOT: new}), version=2, consistent_snapshot=False
        )
        payload = structs.replace(payload, expires=world.images.root.expires)
        raw = sign(world.profile, payload, old if who == "only the old keys" else new)
        put_root(world.images, raw)
        list_root(world.images, raw, 2)


def test_a_root_that_is_not_the_listed_one_is_refused(world: World) -> None:
    with refused(world.primary, MixAndMatchError):
        genuine = world.images.files[world.images.name(Role.ROOT)]
        world.images.publish(Draft(root=new_root(world.images.signers)))
        put_root(world.images, genuine)


def test_a_listed_root_that_is_missing_ends_the_cycle(world: World) -> None:
    with refused(world.primary, UnreachableError):
        world.images.publish(Draft(root=new_root(world.images.signers)))
        del world.images.files[world.images.name(Role.ROOT)]


@pytest.mark.parametrize("missing", [False, True])
def test_a_forged_timestamp_beside_the_trusted_root_is_a_bad_signature(world: World, missing: bool) -> None:
    thief = new_signer(id_rule=world.profile.format.key_id_rule)
    with refused(world.primary, BadSignatureError):
        world.director.offer(Role.TIMESTAMP, signers=[thief])
        if missing:
            del world.director.files[world.director.name(Role.ROOT)]


def test_a_timestamp_by_revoked_keys_is_refused(world: World) -> None:
    stolen = world.director.signers[Role.TIMESTAMP]
    world.director.rotate(Role.TIMESTAMP, Role.SNAPSHOT, Role.TARGETS)
    world.primary.cycle()
    with refused(world.primary, BadSignatureError):
        world.director.offer(Role.TIMESTAMP, signers=stolen)
