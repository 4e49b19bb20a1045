"""Root: every version in turn, signed by a threshold of the old and of the new keys (5.4.4.3)."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from msgspec import structs
from world import DIRECTOR, FAR, IMAGES, NOW, VIN, Repository, World, new_signer, refused

from uptane.formats.profile import Profile
from uptane.metadata.attacks import Attack
from uptane.metadata.errors import (
    BadSignatureError,
    EndlessDataError,
    ExpiredMetadataError,
    FormatError,
    ReplayedMetadataError,
    WrongVehicleError,
)
from uptane.metadata.root import Role, RoleKeys, Root
from uptane.signing.publish import Draft, new_root
from uptane.signing.sign import sign
from uptane.signing.signer import KeySigner
from uptane.verification.limits import Limits
from uptane.verification.trusted import Held

pytestmark = pytest.mark.standard("STD-5.4.4.3")


def next_root(
    repository: Repository, *, new: Sequence[KeySigner] | None = None, threshold: int = 1, **changes: object
) -> Root:
    """The Root after the present one, with other Root keys where given."""
    signers = repository.signers if new is None else repository.signers | {Role.ROOT: list(new)}
    draft = new_root(signers, repository.thresholds | {Role.ROOT: threshold})
    version = repository.root.version + 1
    return structs.replace(draft, **({"version": version, "expires": FAR, "vehicle": repository.vehicle} | changes))


def serve(repository: Repository, root: Root, signers: Sequence[KeySigner], *, name: int | None = None) -> None:
    """Puts a Root under the name of a version, its own unless told otherwise."""
    raw = sign(repository.profile, root, signers)
    repository.files[repository.name(Role.ROOT, name or root.version)] = raw


@pytest.fixture(params=["director", "images"])
def repository(request: pytest.FixtureRequest, world: World) -> Repository:
    return getattr(world, request.param)


def names(repository: Repository) -> str:
    return DIRECTOR if repository.vehicle else IMAGES


@pytest.mark.standard("STD-5.4.4.3-6")
def test_a_root_signed_by_old_and_new_keys_is_kept(world: World, repository: Repository) -> None:
    repository.rotate(Role.ROOT)
    world.primary.cycle()
    assert world.primary.held[names(repository)].root == repository.files[repository.name(Role.ROOT)]


@pytest.mark.standard("STD-5.4.4.3-5")
@pytest.mark.parametrize("version", [1, 3, 99])
def test_amb_02_a_root_under_the_name_of_version_2_must_be_version_2(
    world: World, repository: Repository, version: int
) -> None:
    """CVE-2025-2885: another version was accepted."""
    with refused(world.primary, ReplayedMetadataError) as refusal:
        serve(repository, next_root(repository, version=version), repository.signers[Role.ROOT], name=2)
    assert refusal.facts == {"repository": names(repository), "role": "root", "expected": 2, "offered": version}


@pytest.mark.standard("STD-5.4.4.3-3")
def test_old_keys_alone_or_new_keys_alone_do_not_make_a_root(world: World, repository: Repository) -> None:
    new = [new_signer()]
    root = next_root(repository, new=new)
    for signers in (repository.signers[Role.ROOT], new):
        with refused(world.primary, BadSignatureError) as refusal:
            serve(repository, root, signers)
        assert refusal.facts["role"] == "root" and refusal.facts["offered"] == 0
        assert refusal.error is not None and refusal.error.attack is Attack.ARBITRARY_SOFTWARE


@pytest.mark.standard("STD-5.4.4.3-3")
def test_one_new_key_that_signs_twice_is_one_key(world: World, repository: Repository) -> None:
    """GMS-2022-4197: the signatures of one new key were counted twice."""
    new = [new_signer(), new_signer()]
    old = repository.signers[Role.ROOT]
    root = next_root(repository, new=new, threshold=2)
    with refused(world.primary, BadSignatureError) as refusal:
        serve(repository, root, [*old, new[0]])
    assert (refusal.facts["expected"], refusal.facts["offered"]) == (2, 1)
    with pytest.raises(FormatError, match="same key"):
        sign(repository.profile, root, [*old, new[0], new[0]])


@pytest.mark.standard("STD-5.4.4.3-3")
def test_thresholds_may_rise_from_2_to_3_when_both_are_met(profile: Profile) -> None:
    world = World(profile, keys=3, threshold=2)
    world.release("firmware.img", b"one")
    world.primary.cycle()
    old, new = world.images.signers[Role.ROOT], [new_signer() for _ in range(3)]
    root = next_root(world.images, new=new, threshold=3)
    for signers in ([*old[:1], *new], [*old[:2], *new[:2]], old, new):
        with refused(world.primary, BadSignatureError):
            serve(world.images, root, signers)
    serve(world.images, root, [*old[:2], *new])
    world.primary.cycle()
    assert world.primary.held[IMAGES].root == world.images.files[world.images.name(Role.ROOT, 2)]


def test_a_root_may_lower_its_threshold_and_share_a_key_with_the_next(profile: Profile) -> None:
    world = World(profile, keys=2, threshold=2)
    world.release("firmware.img", b"one")
    kept, lost = world.images.signers[Role.ROOT]
    serve(world.images, next_root(world.images, new=[kept], threshold=1), [kept, lost])
    world.primary.cycle()
    serve(world.images, next_root(world.images, new=[kept, new_signer()], threshold=1, version=3), [kept])
    world.primary.cycle()
    assert world.primary.held[IMAGES].root == world.images.files[world.images.name(Role.ROOT, 3)]


@pytest.mark.standard("STD-5.4.4.3-7")
def test_an_ecu_ten_versions_behind_catches_up_through_expired_roots(world: World, repository: Repository) -> None:
    for version in range(2, 12):
        old = repository.signers[Role.ROOT]
        repository.signers[Role.ROOT] = [new_signer()]
        expires = FAR if version == 11 else NOW - timedelta(days=1)
        root = structs.replace(next_root(repository), version=version, expires=expires)
        serve(repository, root, [*old, *repository.signers[Role.ROOT]])
    world.primary.cycle()
    assert world.primary.held[names(repository)].root == repository.files[repository.name(Role.ROOT, 11)]


@pytest.mark.standard("STD-5.4.4.3-2", "STD-5.4.4.3-7")
def test_one_cycle_follows_a_bounded_number_of_roots_and_the_next_goes_on(world: World, repository: Repository) -> None:
    for version in range(2, 8):
        serve(repository, next_root(repository, version=version), repository.signers[Role.ROOT])
    world.primary.limits = Limits(root_updates=4)
    for newest in (5, 7):
        world.primary.cycle()
        held = world.primary.held[names(repository)].root
        assert held == repository.files[repository.name(Role.ROOT, newest)]


@pytest.mark.standard("STD-5.4.4.3-8", "STD-5.4.4.2-6", "STD-5.4.4.2-12")
@pytest.mark.parametrize("seconds", [0, 1, 86400])
def test_an_expired_newest_root_ends_the_cycle(world: World, repository: Repository, seconds: int) -> None:
    """CVE-2015-9259; a Root that expires at this very moment has expired."""
    ecu, name = world.primary, names(repository)
    files = ecu.held[name].files
    expired = next_root(repository, expires=NOW - timedelta(seconds=seconds))
    serve(repository, expired, repository.signers[Role.ROOT])
    with pytest.raises(ExpiredMetadataError) as refusal:
        ecu.cycle()
    assert (refusal.value.attack, refusal.value.facts["role"]) == (Attack.FREEZE, "root")
    assert f"{name}/{repository.name(Role.TIMESTAMP)}" not in ecu.fetched
    assert ecu.held[name] == Held(root=repository.files[repository.name(Role.ROOT, 2)], files=files)
    serve(repository, next_root(repository, version=3), repository.signers[Role.ROOT])
    ecu.cycle()


@pytest.mark.standard("STD-5.4.4.3-8")
def test_a_root_that_expires_in_one_second_is_good(world: World, repository: Repository) -> None:
    root = next_root(repository, expires=NOW + timedelta(seconds=1))
    serve(repository, root, repository.signers[Role.ROOT])
    world.primary.cycle()


@pytest.mark.standard("STD-5.4.4.3-4")
def test_a_bad_root_after_a_good_one_leaves_the_good_one(world: World, repository: Repository) -> None:
    """CVE-2020-15163: a Root that failed stayed on disk and was trusted at the next start."""
    good = next_root(repository)
    serve(repository, good, repository.signers[Role.ROOT])
    with refused(world.primary, BadSignatureError, new_roots=True):
        serve(repository, structs.replace(good, version=3), [new_signer()])
    assert world.primary.held[names(repository)].root == repository.files[repository.name(Role.ROOT, 2)]


@pytest.mark.standard("STD-5.4.4.3-2")
def test_an_oversize_root_is_not_read(world: World, repository: Repository) -> None:
    with refused(world.primary, EndlessDataError):
        repository.files[repository.name(Role.ROOT, 2)] = b" " * (Limits().root_bytes + 1)


def test_garbage_under_the_name_of_the_next_root_is_refused(world: World, repository: Repository) -> None:
    for raw in (b"", b"\0", b"{}", repository.files[repository.name(Role.TARGETS)]):
        with refused(world.primary, FormatError):
            repository.files[repository.name(Role.ROOT, 2)] = raw


@pytest.mark.standard("STD-5.4.4.3-5")
def test_the_present_root_again_under_the_next_name_is_a_replay(world: World, repository: Repository) -> None:
    with refused(world.primary, ReplayedMetadataError):
        repository.files[repository.name(Role.ROOT, 2)] = repository.files[repository.name(Role.ROOT, 1)]


@pytest.mark.standard("STD-5.2.3.1-6")
def test_a_directors_root_for_another_vehicle_is_refused(world: World) -> None:
    for vehicle in ("othercar", None):
        with refused(world.primary, WrongVehicleError) as refusal:
            root = next_root(world.director, vehicle=vehicle)
            serve(world.director, root, world.director.signers[Role.ROOT])
        assert (refusal.facts["expected"], refusal.facts["offered"]) == (VIN, vehicle)


@pytest.mark.standard("STD-5.4.4.3-1")
def test_a_damaged_held_root_is_never_replaced_from_the_network(world: World, repository: Repository) -> None:
    ecu, name = world.primary, names(repository)
    good = ecu.held[name]
    forged = sign(repository.profile, repository.root, [new_signer()])
    for raw, error in ((good.root[:-1], FormatError), (b"", FormatError), (forged, BadSignatureError)):
        ecu.held[name] = Held(root=raw, files=good.files)
        ecu.fetched.clear()
        with pytest.raises(error):
            ecu.cycle()
        assert ecu.held[name].root == raw
        assert not [file for file in ecu.fetched if file.startswith(name)]
    ecu.held[name] = good
    ecu.cycle()


@pytest.mark.standard("STD-5.4.4.3-9")
@pytest.mark.parametrize("role", [Role.TIMESTAMP, Role.SNAPSHOT, Role.TARGETS])
def test_amb_07_new_keys_recover_from_versions_pushed_out_of_reach(
    world: World, repository: Repository, role: Role
) -> None:
    """Fast-forward: a thief of a role's keys signs the highest version; honest versions are then refused as old."""
    honest = dict(repository.files)
    repository.offer(role, version=2**31 - 1)
    world.primary.cycle()
    repository.files.clear()
    repository.files.update(honest)
    repository.publish_targets(*repository.payload(Role.TARGETS).images.values())
    with pytest.raises(ReplayedMetadataError):
        world.primary.cycle()
    if role is Role.TARGETS:
        repository.rotate(Role.TARGETS)
    else:
        repository.rotate(Role.TIMESTAMP, Role.SNAPSHOT)
    world.primary.cycle()


def test_keys_of_another_role_do_not_lower_the_floor(world: World, repository: Repository) -> None:
    honest = dict(repository.files)
    repository.offer(Role.TARGETS, version=1000)
    world.primary.cycle()
    repository.files.clear()
    repository.files.update(honest)
    repository.rotate(Role.ROOT)
    with pytest.raises(ReplayedMetadataError):
        world.primary.cycle()


@pytest.mark.parametrize("director", [True, False])
def test_files_that_a_new_root_made_the_ecu_forget_are_kept_again(profile: Profile, director: bool) -> None:
    """Two keys signed, one is taken away, and the same Timestamp stays valid: its version must stay the floor."""
    world = World(profile, keys=2)
    world.release("firmware.img", b"one")
    world.primary.cycle()
    repository = world.director if director else world.images
    before = dict(world.primary.held[names(repository)].files)
    for role in (Role.TIMESTAMP, Role.SNAPSHOT, Role.TARGETS):
        repository.signers[role].pop()
    serve(repository, next_root(repository), repository.signers[Role.ROOT])
    world.primary.cycle()
    assert world.primary.held[names(repository)].files == before


def test_a_root_draft_without_change_is_a_new_version(world: World, repository: Repository) -> None:
    repository.publish(Draft(root=repository.draft_root()))
    world.primary.cycle()
    assert repository.root.version == 2
    assert repository.root.roles[Role.ROOT] == RoleKeys(
        key_ids=(repository.signers[Role.ROOT][0].key.key_id,), threshold=1
    )
