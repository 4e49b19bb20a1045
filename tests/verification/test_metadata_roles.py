"""Timestamp, Snapshot and Targets: signed, for this vehicle, not older, not mixed, not expired (5.4.4.4 to 5.4.4.6)."""

from datetime import timedelta
from itertools import combinations

import pytest
from both_repositories import ROLES, name_of
from both_repositories import repository as repository
from msgspec import structs
from world import FAR, NOW, Repository, World, listed, new_signer, refused

from uptane.formats.profile import Profile
from uptane.metadata.attacks import Attack
from uptane.metadata.digests import Digests
from uptane.metadata.errors import (
    BadSignatureError,
    ExpiredMetadataError,
    MixAndMatchError,
    ReplayedMetadataError,
)
from uptane.metadata.identifiers import RoleName
from uptane.metadata.root import Role
from uptane.metadata.snapshot import MetadataFile
from uptane.verification.check_root import load_root
from uptane.verification.check_timestamp import check_timestamp, load_held_timestamp


@pytest.mark.standard("STD-5.4.4.4-2", "STD-5.4.4.2-13", "STD-5.4.4.2-7", "STD-5-1")
@pytest.mark.standard("STD-5.4.4.5-3")
@pytest.mark.standard("STD-5.4.4.6-3")
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("thief", ["a stranger", "another role", "the same role of the other repository", "nobody"])
def test_only_the_keys_of_the_role_sign_for_it(world: World, repository: Repository, role: Role, thief: str) -> None:
    other = world.images if repository is world.director else world.director
    signers = {
        "a stranger": [new_signer()],
        "another role": [s for r in Role if r is not role for s in repository.signers[r]],
        "the same role of the other repository": other.signers[role],
        "nobody": [],
    }[thief]
    with refused(world.primary, BadSignatureError) as refusal:
        repository.offer(role, signers=signers)
    assert refusal.facts == {"repository": name_of(repository), "role": role, "expected": 1, "offered": 0}
    assert refusal.error is not None and refusal.error.attack is Attack.ARBITRARY_SOFTWARE


@pytest.mark.standard("STD-5.2.2-4")
@pytest.mark.parametrize("role", ROLES)
def test_a_revoked_key_signs_no_more(world: World, repository: Repository, role: Role) -> None:
    old = repository.signers[role]
    repository.rotate(role)
    with refused(world.primary, BadSignatureError, new_roots=True) as refusal:
        repository.offer(role, signers=old)
    assert refusal.facts["role"] == role


@pytest.mark.standard("STD-5.4.4.2-14")
@pytest.mark.parametrize("role", ROLES)
def test_amb_04_held_files_signed_by_revoked_keys_are_checked_again(
    world: World, repository: Repository, role: Role
) -> None:
    """Nothing is listed anew, and yet what is held may no longer be trusted (AMB-4)."""
    held = dict(repository.files)
    repository.rotate(role)
    for name in (Role.TIMESTAMP, Role.SNAPSHOT, Role.TARGETS):
        repository.files[repository.name(name)] = held[repository.name(name)]
    with pytest.raises(BadSignatureError) as refusal:
        world.primary.cycle()
    assert refusal.value.facts["role"] == role


@pytest.mark.standard("STD-5.4.4.4-2", "STD-5.4.4.5-3", "STD-5.4.4.6-3")
@pytest.mark.parametrize("role", ROLES)
def test_fewer_signatures_than_the_threshold_are_not_enough(profile: Profile, role: Role) -> None:
    world = World(profile, keys=3, threshold=2)
    world.release("firmware.img", b"one")
    for each in (world.director, world.images):
        with refused(world.primary, BadSignatureError) as refusal:
            each.offer(role, signers=[each.signers[role][0], new_signer()])
        assert (refusal.facts["expected"], refusal.facts["offered"]) == (2, 1)
        each.offer(role, signers=each.signers[role][1:])
        world.primary.cycle()


@pytest.mark.standard("STD-5.4.4.4-3")
@pytest.mark.standard("STD-5.4.4.5-4")
@pytest.mark.standard("STD-5.4.4.6-5")
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("version", [1, 4])
def test_an_older_version_is_a_rollback_whoever_signs_it(
    world: World, repository: Repository, role: Role, version: int
) -> None:
    """CVE-2022-29173 and CVE-2021-41131's kin: what is held counts, also after a restart."""
    for _ in range(3):
        repository.publish_targets(*repository.payload(Role.TARGETS).images.values())
    world.primary.cycle()
    assert repository.payload(role).version == 5
    with refused(world.primary, ReplayedMetadataError) as refusal:
        repository.offer(role, version=version)
    assert (refusal.facts["role"], refusal.facts["expected"], refusal.facts["offered"]) == (role, 5, version)
    assert refusal.error is not None and refusal.error.attack is Attack.ROLLBACK


@pytest.mark.standard("STD-5.2.1-8")
@pytest.mark.parametrize("role", ROLES)
def test_amb_25_the_same_version_with_other_content_is_refused(
    world: World, repository: Repository, role: Role
) -> None:
    with refused(world.primary, ReplayedMetadataError) as refusal:
        old = repository.payload(role)
        repository.offer(role, version=old.version, expires=old.expires - timedelta(seconds=1))
    assert refusal.facts["role"] == role
    assert refusal.facts["expected"] == refusal.facts["offered"]


@pytest.mark.standard("STD-5.4.4.4-3")
def test_a_newer_timestamp_cannot_list_an_older_snapshot(world: World, repository: Repository) -> None:
    old = repository.timestamp.snapshot
    repository.publish()
    world.primary.cycle()
    with refused(world.primary, ReplayedMetadataError) as refusal:
        repository.offer(Role.TIMESTAMP, snapshot=old)
        listing = repository.files[repository.name(Role.TIMESTAMP)]
    context, root = world.primary.context(name_of(repository)), world.primary.held[name_of(repository)]
    held = load_held_timestamp(context, root.files[Role.TIMESTAMP])
    with pytest.raises(ReplayedMetadataError):
        check_timestamp(context, load_root(context, root.root), listing, held)
    assert (refusal.facts["role"], refusal.facts["expected"], refusal.facts["offered"]) == ("snapshot", 3, 2)


@pytest.mark.standard("STD-5.4.4.5-5", "STD-5.2.4-1")
def test_a_snapshot_cannot_lower_the_version_of_a_targets_role(world: World, repository: Repository) -> None:
    with refused(world.primary, ReplayedMetadataError) as refusal:
        old = repository.files[repository.name(Role.TARGETS, 1)]
        files = dict(repository.snapshot.files) | {RoleName("targets"): listed(old, 1)}
        repository.offer(Role.SNAPSHOT, files=files)
    assert (refusal.facts["role"], refusal.facts["expected"], refusal.facts["offered"]) == ("targets", 2, 1)


@pytest.mark.standard("STD-5.4.4.5-5")
@pytest.mark.standard("STD-5.4.4.5-6")
@pytest.mark.parametrize("offered", [None, 1])
def test_a_snapshot_cannot_forget_or_lower_a_delegated_role(world: World, offered: int | None) -> None:
    """CVE-2025-2887: the rollback of a delegated role was not noticed."""
    files = dict(world.images.snapshot.files)
    supplier = RoleName("supplier")
    world.images.offer(Role.SNAPSHOT, files=files | {supplier: MetadataFile(version=2)})
    world.primary.cycle()
    with refused(world.primary, ReplayedMetadataError) as refusal:
        now = files if offered is None else files | {supplier: MetadataFile(version=offered)}
        world.images.offer(Role.SNAPSHOT, files=now)
    assert (refusal.facts["role"], refusal.facts["offered"]) == ("supplier", offered)


@pytest.mark.standard("STD-5.4.4.5-6")
def test_a_role_may_go_when_the_snapshot_keys_change(world: World) -> None:
    files = dict(world.images.snapshot.files)
    world.images.offer(Role.SNAPSHOT, files=files | {RoleName("supplier"): MetadataFile(version=2)})
    world.primary.cycle()
    world.images.rotate(Role.SNAPSHOT)
    world.images.publish()
    world.images.publish()
    world.primary.cycle()
    assert set(world.images.snapshot.files) == {"targets"}


@pytest.mark.standard("STD-5.4.4.5-2")
@pytest.mark.standard("STD-5.4.4.6-2")
@pytest.mark.parametrize("old", [roles for size in (1, 2) for roles in combinations(ROLES, size)])
def test_files_of_two_publications_do_not_mix(world: World, repository: Repository, old: tuple[Role, ...]) -> None:
    """A man in the middle serves genuine files of an older set under the names of the newer one."""
    ecu = world.primary
    before = dict(repository.files)
    repository.publish_targets(*repository.payload(Role.TARGETS).images.values())
    newest = {role: repository.payload(role).version for role in ROLES}
    ahead = Role.TIMESTAMP not in old
    if ahead:
        expected = MixAndMatchError
    else:
        ecu.cycle()
        expected = ReplayedMetadataError
    with refused(ecu, expected) as refusal:
        for role in old:
            raw = before[repository.name(role)]
            repository.files[repository.name(role)] = raw
            repository.files[repository.name(role, newest[role])] = raw
    assert refusal.facts["role"] == next(role for role in ROLES if role in old)


@pytest.mark.standard("STD-5.4.4.5-2", "STD-5.4.4.6-2")
def test_the_listed_version_must_be_that_of_the_file(world: World, repository: Repository) -> None:
    raw, files = repository.files[repository.name(Role.SNAPSHOT)], dict(repository.snapshot.files)
    with refused(world.primary, MixAndMatchError) as refusal:
        repository.files[repository.name(Role.SNAPSHOT, 9)] = raw
        repository.offer(Role.TIMESTAMP, snapshot=listed(raw, 9))
    assert (refusal.facts["role"], refusal.facts["expected"], refusal.facts["offered"]) == ("snapshot", 9, 2)
    raw = repository.files[repository.name(Role.TARGETS)]
    with refused(world.primary, MixAndMatchError) as refusal:
        repository.files[repository.name(Role.TARGETS, 9)] = raw
        repository.offer(Role.SNAPSHOT, files=files | {RoleName("targets"): listed(raw, 9)})
    assert (refusal.facts["role"], refusal.facts["expected"], refusal.facts["offered"]) == ("targets", 9, 2)


@pytest.mark.standard("STD-5.4.4.5-2")
@pytest.mark.parametrize("role", [Role.SNAPSHOT, Role.TARGETS])
def test_one_wrong_hash_among_several_is_one_too_many(world: World, repository: Repository, role: Role) -> None:
    """Every listed hash is compared, and the length as well."""
    raw = repository.write(role, structs.replace(repository.payload(role), version=7), repository.signers[role])
    good = Digests.of(raw, ("sha256", "sha512"))
    flipped = [
        Digests(
            tuple((name, bytes([digest[0] ^ 1]) + digest[1:] if name == wrong else digest) for name, digest in good)
        )
        for wrong in ("sha256", "sha512")
    ]
    entries = [MetadataFile(version=7, length=len(raw), digests=digests) for digests in flipped]
    entries.append(MetadataFile(version=7, length=len(raw) + 1, digests=good))
    for entry in entries:
        with refused(world.primary, MixAndMatchError) as refusal:
            if role is Role.TARGETS:
                repository.files[repository.name(Role.SNAPSHOT)] = repository.files[repository.name(Role.SNAPSHOT, 2)]
                repository.offer(Role.SNAPSHOT, files=dict(repository.snapshot.files) | {RoleName("targets"): entry})
            else:
                repository.offer(Role.TIMESTAMP, snapshot=entry)
        assert refusal.facts["role"] == role


@pytest.mark.standard("STD-5.4.4.4-4")
@pytest.mark.standard("STD-5.4.4.5-7")
@pytest.mark.standard("STD-5.4.4.6-6")
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("seconds", [0, 1])
def test_an_expired_role_is_a_freeze(world: World, repository: Repository, role: Role, seconds: int) -> None:
    with refused(world.primary, ExpiredMetadataError) as refusal:
        repository.offer(role, expires=NOW - timedelta(seconds=seconds))
    assert refusal.facts["role"] == role
    assert refusal.error is not None and refusal.error.attack is Attack.FREEZE
    repository.offer(role, expires=NOW + timedelta(seconds=1))
    world.primary.cycle()


@pytest.mark.standard("STD-5.4.4.4-4")
@pytest.mark.parametrize(("days", "role"), [(1, "timestamp"), (7, "snapshot"), (91, "targets"), (365, "root")])
def test_the_same_old_files_are_served_until_they_expire_and_no_longer(
    world: World, repository: Repository, days: int, role: str
) -> None:
    """Freeze: each role in turn is the last that notices, because an intruder keeps the ones above it fresh."""
    fresh = [name for name in (Role.TIMESTAMP, Role.SNAPSHOT, Role.TARGETS, Role.ROOT) if name != role]
    if role == "root":
        repository.offer(Role.ROOT, expires=NOW + timedelta(days=days))
    for other in (world.director, world.images):
        for name in (Role.TARGETS, Role.SNAPSHOT, Role.TIMESTAMP):
            if other is not repository or name in fresh:
                other.offer(name, expires=FAR)
        if role != "root" or other is not repository:
            other.offer(Role.ROOT, expires=FAR)
    world.primary.now = NOW + timedelta(days=days, seconds=-1)
    world.primary.cycle()
    with refused(world.primary, ExpiredMetadataError) as refusal:
        world.primary.later(seconds=1)
    assert refusal.facts["role"] == role
