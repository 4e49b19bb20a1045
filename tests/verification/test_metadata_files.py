"""Files under other names, missing, too long, unchanged, or of another vehicle."""

import pytest
from both_repositories import ROLES
from both_repositories import repository as repository
from msgspec import structs
from world import DIRECTOR, IMAGES, TCU, VIN, Repository, World, image, listed, refused

from uptane.metadata.attacks import Attack
from uptane.metadata.errors import (
    DelegationError,
    EndlessDataError,
    FormatError,
    UnreachableError,
    WrongVehicleError,
)
from uptane.metadata.identifiers import RoleName, VehicleIdentifier
from uptane.metadata.root import Role
from uptane.metadata.snapshot import MetadataFile
from uptane.signing.publish import Draft
from uptane.verification.check_snapshot import check_listed_file
from uptane.verification.check_targets import listed_file
from uptane.verification.limits import Limits
from uptane.verification.trusted import Trusted


@pytest.mark.standard("STD-5.2.1-5")
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("other", list(Role))
def test_a_file_of_another_role_under_this_name_is_refused(
    world: World, repository: Repository, role: Role, other: Role
) -> None:
    if role == other:
        return
    with refused(world.primary, FormatError):
        raw = repository.files[repository.name(other)]
        version = repository.payload(role).version + 1
        repository.files[repository.name(role)] = repository.files[repository.name(role, version)] = raw
        repository.list_again(role, raw, version)


@pytest.mark.standard("STD-5.4.4.2-20")
@pytest.mark.parametrize("role", ROLES)
def test_a_missing_file_is_named(world: World, repository: Repository, role: Role) -> None:
    repository_files = repository.files
    with refused(world.primary, UnreachableError) as refusal:
        repository.offer(role)
        version = None if role is Role.TIMESTAMP else repository.payload(role).version
        del repository_files[repository.name(role, version)]
    assert refusal.facts["role"] == role
    assert refusal.error is not None and refusal.error.next_step


@pytest.mark.standard("STD-5.4.4.4-1")
@pytest.mark.standard("STD-5.4.4.5-1")
@pytest.mark.standard("STD-5.4.4.6-1")
@pytest.mark.parametrize("role", ROLES)
def test_no_more_bytes_are_read_than_our_own_limit(world: World, repository: Repository, role: Role) -> None:
    """However much the parent role lists."""
    repository.offer(role)
    with refused(world.primary, EndlessDataError) as refusal:
        world.primary.limits = Limits(**{f"{role}_bytes": 100})
    assert refusal.error is not None and refusal.error.attack is Attack.ENDLESS_DATA


@pytest.mark.standard("STD-5.4.4.5-1", "STD-5.4.4.6-1")
@pytest.mark.parametrize("role", [Role.SNAPSHOT, Role.TARGETS])
def test_no_more_bytes_are_read_than_listed(world: World, repository: Repository, role: Role) -> None:
    with refused(world.primary, EndlessDataError):
        raw = repository.offer(role)
        repository.files[repository.name(role, repository.payload(role).version)] = raw + b" "


@pytest.mark.standard("STD-5.4.4.5-1")
def test_a_file_longer_than_listed_is_refused_whoever_brought_it(world: World) -> None:
    """A Secondary is handed the files; nobody counted their bytes on the way."""
    raw = world.images.files[world.images.name(Role.SNAPSHOT)]
    with pytest.raises(EndlessDataError) as refusal:
        check_listed_file(world.primary.context(IMAGES), Role.SNAPSHOT, raw + b" ", listed(raw, 2))
    assert refusal.value.facts == {"repository": IMAGES, "role": "snapshot"}


@pytest.mark.standard("STD-5.4.4.2-9", "STD-5.4.4.2-15")
@pytest.mark.standard("STD-5.4.4.4-1", "STD-5.2.7-1", "STD-5.2.7-2", "STD-5.4.4.5-1", "STD-5.4.4.6-1", "STD-5.4.4.2-7")
def test_the_timestamp_has_a_fixed_name_and_all_others_have_their_version_in_front(world: World) -> None:
    world.release("firmware.img", b"two")
    world.primary.cycle()
    name = world.profile.metadata_name
    assert world.primary.fetched == [
        f"{repository}/{file}"
        for repository in (DIRECTOR, IMAGES)
        for file in (name("root", 2), name("timestamp"), name("snapshot", 3), name("targets", 3))
    ]


@pytest.mark.standard("STD-5.4.4.2-8", "STD-5.4.4.2-11")
@pytest.mark.standard("STD-5.4.4.2-14")
def test_an_unchanged_snapshot_needs_no_further_request(world: World) -> None:
    world.primary.cycle()
    name = world.profile.metadata_name
    assert world.primary.fetched == [
        f"{repository}/{file}" for repository in (DIRECTOR, IMAGES) for file in (name("root", 2), name("timestamp"))
    ]


def test_a_new_snapshot_of_unchanged_targets_fetches_no_targets(world: World) -> None:
    world.director.publish()
    world.primary.cycle()
    assert f"{DIRECTOR}/{world.director.name('targets', 2)}" not in world.primary.fetched


def test_a_repository_may_list_neither_length_nor_hash_of_its_targets(world: World) -> None:
    """Plain TUF repositories do so; the version and our own limit count then."""
    repository = world.images
    repository.offer(Role.SNAPSHOT, files={RoleName("targets"): MetadataFile(version=2)})
    world.primary.cycle()
    repository.offer(Role.TARGETS, relist=False)
    repository.offer(Role.SNAPSHOT, files={RoleName("targets"): MetadataFile(version=3)})
    world.primary.cycle()
    assert world.primary.held[IMAGES].files["targets"] == repository.files[repository.name("targets", 3)]
    with refused(world.primary, EndlessDataError):
        repository.offer(Role.TARGETS, relist=False)
        repository.offer(Role.SNAPSHOT, files={RoleName("targets"): MetadataFile(version=4)})
        world.primary.limits = Limits(targets_bytes=10)


@pytest.mark.standard("STD-5.4.4.5-1")
def test_amb_10_where_the_length_of_snapshot_is_not_listed_our_own_limit_holds(
    world: World, repository: Repository
) -> None:
    bare = structs.replace(repository.timestamp.snapshot, length=None)
    repository.offer(Role.TIMESTAMP, snapshot=bare)
    world.primary.cycle()
    raw = repository.offer(Role.SNAPSHOT)
    bare = structs.replace(repository.timestamp.snapshot, length=None)
    with refused(world.primary, EndlessDataError):
        repository.offer(Role.TIMESTAMP, snapshot=bare)
        world.primary.limits = Limits(snapshot_bytes=len(raw) - 1)


@pytest.mark.standard("STD-5.2.5-2")
def test_a_timestamp_that_lists_no_hash_is_refused(world: World, repository: Repository) -> None:
    with refused(world.primary, FormatError):
        version = repository.snapshot.version
        repository.offer(Role.TIMESTAMP, snapshot=MetadataFile(version=version, length=10))


@pytest.mark.standard("STD-5.2.3.1-6")
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("vehicle", ["othercar", None])
def test_amb_13_every_role_of_a_director_is_for_this_vehicle(world: World, role: Role, vehicle: str | None) -> None:
    with refused(world.primary, WrongVehicleError) as refusal:
        world.director.offer(role, vehicle=None if vehicle is None else VehicleIdentifier(vehicle))
    assert refusal.facts == {"repository": DIRECTOR, "role": role, "expected": VIN, "offered": vehicle}
    assert refusal.error is not None and refusal.error.attack is Attack.REPLAY


@pytest.mark.standard("STD-5.4.4.6-9", "STD-5.2.3.1-6")
@pytest.mark.parametrize("images", [(), ("firmware.img",)])
def test_amb_27_another_vehicles_complete_set_changes_nothing_in_this_one(
    world: World, images: tuple[str, ...]
) -> None:
    """Both vehicles trust the same Director keys; the other's versions are far higher, and it may have no update."""
    other = Repository(world.profile, vehicle=VehicleIdentifier("othercar"))
    other.signers, other.keyring = world.director.signers, world.director.keyring
    other.store.files.clear()
    other.published = None
    other.publish(Draft(root=other.draft_root()))
    for _ in range(20):
        other.publish_targets(*(image(path, b"one", ecus=(TCU,)) for path in images))
    with refused(world.primary, WrongVehicleError) as refusal:
        for role in ROLES:
            version = None if role is Role.TIMESTAMP else other.payload(role).version
            world.director.files[other.name(role, version)] = other.files[other.name(role, version)]
    assert refusal.facts["role"] == "timestamp"


def test_a_snapshot_that_does_not_list_a_trusted_role_is_refused(world: World) -> None:
    """The decoder asks for `targets` in every Snapshot; a delegated role can still be missing."""
    envelope = world.profile.format.decode(
        type(world.images.snapshot), world.images.files[world.images.name(Role.SNAPSHOT)]
    )
    with pytest.raises(DelegationError):
        listed_file(world.primary.context(IMAGES), RoleName("gone"), Trusted(envelope.payload, envelope))
