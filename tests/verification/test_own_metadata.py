"""A repository builds on what it published itself only where nobody changed it."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest
from world import NOW, VIN, FilesInMemory, Repository, World, delegation, delegations, image, new_signer, targets

from uptane.formats.profile import Profile
from uptane.metadata.errors import StorageError
from uptane.metadata.identifiers import RoleName, VehicleIdentifier
from uptane.metadata.root import Role
from uptane.signing.publish import Draft, load_published
from uptane.verification.own_metadata import OwnMetadata, verify_own_metadata

SUPPLIER, BELOW = RoleName("supplier"), RoleName("below")


@pytest.fixture
def repository(profile: Profile) -> Repository:
    """Two levels of delegations, every role published twice under two Roots."""
    repository = Repository(profile)
    signers = {name: new_signer() for name in (SUPPLIER, BELOW)}
    repository.keyring |= {signer.key.key_id: signer for signer in signers.values()}
    below = {name: delegations([key], delegation(name, [key], paths=["*"])) for name, key in signers.items()}
    content = {
        RoleName("targets"): targets(image("a.img", b"a"), delegations=below[SUPPLIER]),
        SUPPLIER: targets(delegations=below[BELOW]),
        BELOW: targets(image("b.img", b"b")),
    }
    repository.publish(Draft(targets=content))
    repository.publish(Draft(root=repository.draft_root(), targets=content))
    return repository


def read(repository: Repository, vehicle: VehicleIdentifier | None = None) -> OwnMetadata | None:
    return asyncio.run(verify_own_metadata(repository.store, repository.profile, vehicle))


def test_what_was_published_is_read_back(repository: Repository) -> None:
    own = read(repository)
    published = repository.published
    assert own is not None and published is not None
    assert (own.root, own.targets) == (published.root, published.targets)
    assert (own.snapshot_version, own.timestamp_version) == (3, 3)


def test_an_empty_store_and_one_with_a_root_only_are_read(repository: Repository) -> None:
    root = repository.files[repository.name(Role.ROOT, 1)]
    repository.files.clear()
    assert read(repository) is None
    repository.files[repository.name(Role.ROOT, 1)] = root
    own = read(repository)
    assert own is not None and own.root.raw == root and own.targets == {}


def test_expired_metadata_of_ones_own_is_renewed(repository: Repository) -> None:
    for role in Role:
        repository.offer(role, expires=NOW - timedelta(days=3650))
    assert read(repository) is not None


def test_a_role_that_nobody_delegates_to_any_more_stays_listed(repository: Repository) -> None:
    repository.publish_targets(image("a.img", b"a"))
    own = read(repository)
    assert own is not None and set(own.targets) == {"targets", SUPPLIER, BELOW}


def test_the_metadata_of_another_vehicle_is_not_built_on(profile: Profile) -> None:
    repository = Repository(profile, vehicle=VehicleIdentifier("othercar"))
    with pytest.raises(StorageError) as refusal:
        read(repository, VIN)
    assert refusal.value.facts["code"] == "E-WRONG-VEHICLE"


@pytest.mark.parametrize(
    ("intrude", "code"),
    [
        (lambda r: r.offer(Role.TIMESTAMP, signers=[new_signer()]), "E-SIG"),
        (lambda r: r.offer(Role.TARGETS, signers=[new_signer()]), "E-SIG"),
        (lambda r: r.offer(SUPPLIER, signers=[new_signer()]), "E-SIG"),
        (lambda r: r.offer(BELOW, signers=[new_signer()]), "E-SIG"),
        (lambda r: r.offer(Role.SNAPSHOT, relist=False, version=3, expires=NOW), "E-MIXMATCH"),
        (lambda r: r.files.update({r.name(BELOW, 2): r.files[r.name(BELOW, 1)]}), "E-MIXMATCH"),
        (lambda r: r.files.update({r.name(Role.ROOT, 2): b"{}"}), "E-FORMAT"),
        (lambda r: r.files.pop(r.name(BELOW, 2)), "E-NET"),
        (lambda r: r.files.pop(r.name(Role.SNAPSHOT, 3)), "E-NET"),
    ],
)
def test_what_an_intruder_changed_is_not_built_on(
    repository: Repository, intrude: Callable[[Repository], object], code: str
) -> None:
    genuine = dict(repository.files)
    intrude(repository)
    with pytest.raises(StorageError) as refusal:
        read(repository)
    assert refusal.value.facts == {"code": code} and refusal.value.next_step
    repository.files.clear()
    repository.files.update(genuine)
    own = read(repository)
    assert own is not None
    assert own.targets == asyncio.run(load_published(repository.store, repository.profile)).targets  # type: ignore[union-attr]


def test_a_timestamp_that_is_gone_or_was_put_back_is_not_built_on(profile: Profile) -> None:
    world = World(profile)
    name = world.images.name(Role.TIMESTAMP)
    old = world.images.files[name]
    world.release("a.img", b"a")
    for planted in (None, old):
        files = {key: raw for key, raw in world.images.files.items() if key != name}
        store = FilesInMemory(files if planted is None else files | {name: planted})
        with pytest.raises(StorageError) as refusal:
            asyncio.run(verify_own_metadata(store, profile))
        assert refusal.value.facts["code"] == ("E-NET" if planted is None else "E-ROLLBACK-META")
    assert asyncio.run(verify_own_metadata(world.images.store, profile)) is not None


def test_a_role_that_nobody_delegates_to_any_more_is_not_built_on_when_it_was_changed(repository: Repository) -> None:
    repository.publish_targets(image("a.img", b"a"))
    name = repository.name(BELOW, 2)
    genuine = repository.files[name]
    repository.files[name] = repository.files[repository.name(BELOW, 1)]
    with pytest.raises(StorageError) as refusal:
        read(repository)
    assert refusal.value.facts["code"] == "E-MIXMATCH"
    repository.files[name] = genuine
    assert read(repository) is not None


def test_what_somebody_else_publishes_meanwhile_is_no_attack(profile: Profile) -> None:
    """At whichever read the other publication falls, this one succeeds or is told to try again."""
    told = 0
    for moment in range(1, 30):
        repository = Repository(profile)
        reads = 0

        class Meanwhile:
            async def read(self, name: str) -> bytes | None:
                nonlocal reads
                reads += 1
                if reads == moment:  # noqa: B023
                    await publisher.publish(before, Draft(root=repository.draft_root()), NOW)  # noqa: B023
                return await repository.store.read(name)  # noqa: B023

        publisher, before = repository.publisher, repository.published
        try:
            own = asyncio.run(verify_own_metadata(Meanwhile(), profile))
            assert own is not None and own.timestamp_version in (1, 2)
        except StorageError as error:
            assert (error.what, error.next_step, error.facts) == (
                "somebody else published while the published metadata was read",
                "Try again.",
                {},
            )
            told += 1
        if reads < moment:
            break
    assert told
