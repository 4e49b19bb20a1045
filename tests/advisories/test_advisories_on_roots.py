"""Advisories on Root: each version in turn, by the old keys and by its own, and never what failed a check."""

import shutil
from pathlib import Path

import pytest
from failing_disk import FailingLayer
from msgspec import structs
from stage import Stage, Unsynced, every, on_disk
from wire import signatures_of, with_signatures
from world import DIRECTOR, FAR, IMAGES, new_signer

from uptane.formats.profile import Profile
from uptane.metadata.attacks import Attack
from uptane.metadata.errors import (
    BadSignatureError,
    ExpiredMetadataError,
    FormatError,
    ReplayedMetadataError,
    UptaneError,
)
from uptane.metadata.identifiers import RepositoryName
from uptane.metadata.root import Role
from uptane.signing.publish import new_root
from uptane.signing.signer import KeySigner
from uptane.storage.atomic_files import FileLayer
from uptane.storage.ecu_state import EcuStateFolder
from uptane.vehicle.memory import EcuMemory, role_name
from uptane.vehicle.primary import Primary
from uptane.verification.full_verification import AskImageRepositories

ROOTS = [(DIRECTOR, str(Role.ROOT)), (IMAGES, str(Role.ROOT))]
Place = tuple[RepositoryName, str]


def rotated(stage: Stage, repository: RepositoryName) -> tuple[dict[str, object], list[KeySigner]]:
    """What a Root with two new root keys holds, and those keys."""
    signers = {role: stage.signers(repository, role) for role in Role}
    new = [new_signer(), new_signer()]
    draft = new_root(signers | {Role.ROOT: new}, stage.fleet.thresholds)
    return {"keys": draft.keys, "roles": draft.roles}, new


@every(ROOTS)
@pytest.mark.parametrize("version", [1, 3, 99, 2**31 - 1])
def test_cve_2025_2885_the_root_under_the_name_of_version_2_is_version_2(
    profile: Profile, place: Place, reader: str, version: int
) -> None:
    stage = Stage(profile, reader, keys=2)
    with stage.refuses(ReplayedMetadataError, Attack.ROLLBACK) as errors:
        stage.forge(*place, version=version, under=2)
    assert (errors[0].facts["expected"], errors[0].facts["offered"]) == (2, version)


@every(ROOTS)
@pytest.mark.parametrize("how", ["copied", "renamed", "alone", "with one old key"])
def test_gms_2022_4197_ws_2022_0303_a_new_root_carries_the_threshold_of_its_own_keys(
    profile: Profile, place: Place, reader: str, how: str
) -> None:
    """The old quorum signs, and of the two new keys only one, once or twice."""
    stage = Stage(profile, reader, keys=2)
    with stage.refuses(*((FormatError, None) if how == "copied" else (BadSignatureError, Attack.ARBITRARY_SOFTWARE))):
        changes, new = rotated(stage, place[0])
        old = stage.signers(*place)[: 1 if how == "with one old key" else 2]
        raw = stage.forged(*place, signers=[*old, *(new if how == "with one old key" else new[:1])], **changes)
        made = signatures_of(profile, raw, Role.ROOT)
        more = {"copied": [made[-1]], "renamed": [structs.replace(made[-1], key_id=new[1].key.key_id)]}.get(how, [])
        stage.show(*place, with_signatures(profile, raw, [*made, *more]))


@every(ROOTS)
def test_cve_2015_9259_an_expired_root_vouches_for_no_other_role(profile: Profile, place: Place, reader: str) -> None:
    """Its successor is withheld; all other roles are fresh, and signed by the keys that it names."""
    stage = Stage(profile, reader, keys=2)
    fleet = stage.fleet
    fleet.later(days=3000)
    fleet.rotate_director()
    fleet.rotate_images()
    stage.release()
    if reader == "secondary":
        stage.car.primary.update_cycle()
        stage.car.primary.update_cycle()
    with stage.refuses(ExpiredMetadataError, Attack.FREEZE, new_roots=True) as errors:
        stage.withhold(*place, 2)
    assert errors[0].facts["role"] == Role.ROOT


def bad_root(stage: Stage, repository: RepositoryName, fault: str) -> tuple[bytes, type[UptaneError], Attack | None]:
    """A third version that must not be kept, and how it is refused."""
    changes, new = rotated(stage, repository)
    old = stage.signers(repository, Role.ROOT)
    present = stage.payload(repository, Role.ROOT)
    arbitrary = Attack.ARBITRARY_SOFTWARE
    match fault:
        case "by a thief":
            return stage.forged(repository, Role.ROOT, signers=[new_signer()]), BadSignatureError, arbitrary
        case "by the old keys only":
            return stage.forged(repository, Role.ROOT, signers=old, **changes), BadSignatureError, arbitrary
        case "by its own keys only":
            return stage.forged(repository, Role.ROOT, signers=new, **changes), BadSignatureError, arbitrary
        case "another second version":
            raw = stage.forged(repository, Role.ROOT, version=present.version, expires=FAR)
            return raw, ReplayedMetadataError, Attack.ROLLBACK
        case _:
            return b"garbage", FormatError, None


@every(ROOTS)
@pytest.mark.parametrize(
    "fault", ["by a thief", "by the old keys only", "by its own keys only", "another second version", "garbage"]
)
def test_cve_2020_15163_a_root_that_failed_is_not_trusted_after_a_restart(
    profile: Profile, place: Place, reader: str, fault: str, tmp_path: Path
) -> None:
    """Version 2 is good, version 3 is not; the ECU remembers in a folder, and is started again."""
    stage = Stage(profile, reader, keys=2, device=on_disk(tmp_path))
    rotate(stage, place[0])
    if reader == "secondary":
        stage.car.primary.update_cycle()
    second = stage.fleet.file(*place)
    raw, error, attack = bad_root(stage, place[0], fault)

    def restarted() -> None:
        stage.restart()
        assert stage.ecu.store.read(role_name(place[0], Role.ROOT)) == second
        assert raw not in stage.ecu.trusted().values()

    with stage.refuses(error, attack, new_roots=True, undo=restarted):
        stage.show(*place, raw, 3)


def rotate(stage: Stage, repository: RepositoryName) -> None:
    """The repository publishes version 2 of its Root, with new keys for Timestamp."""
    if repository == DIRECTOR:
        stage.fleet.rotate_director(Role.TIMESTAMP)
    else:
        stage.fleet.rotate_images(Role.TIMESTAMP)


@pytest.mark.parametrize("repository", [DIRECTOR, IMAGES])
@pytest.mark.parametrize("fault", ["by the old keys only", "garbage"])
def test_cve_2020_15163_a_disk_that_dies_between_download_and_keeping_leaves_no_bad_root(
    profile: Profile, tmp_path: Path, repository: RepositoryName, fault: str
) -> None:
    """At every single operation of the disk in turn; each time the ECU comes up from a copy of what was there."""
    stage = Stage(profile, keys=2, device=on_disk(tmp_path))
    first = stage.fleet.file(repository, Role.ROOT)
    rotate(stage, repository)
    second = stage.fleet.file(repository, Role.ROOT)
    raw, error, _ = bad_root(stage, repository, fault)
    stage.show(repository, Role.ROOT, raw, 3)
    kept = set()
    for fail_at in range(1, 200):
        folder = tmp_path / f"copy {fail_at}"
        shutil.copytree(tmp_path / "0", folder)
        layer = DiesOnce(fail_at)
        stage.deliver()
        with pytest.raises(UptaneError) as refusal:
            verify(stage, folder, layer)
        assert layer.has_failed or type(refusal.value) is error
        stage.car.links.restore()
        with EcuStateFolder(folder, layer=Unsynced()) as store:
            root = store.read(role_name(repository, Role.ROOT))
            assert root in (first, second)
            kept.add(root)
        verify(stage, folder, Unsynced())
        if not layer.has_failed:
            break
    assert kept == {first, second}
    stage.restart()
    stage.release()
    stage.car.cycle()
    assert stage.car.running() == stage.content


class DiesOnce(FailingLayer, Unsynced):
    """A disk whose n-th operation fails, and with it the process."""


def verify(stage: Stage, folder: Path, layer: FileLayer) -> None:
    """The step of a cycle that fetches, verifies and keeps metadata, over the memory in a folder."""
    with EcuStateFolder(folder, layer=layer) as store:
        memory, world = EcuMemory(store, stage.profile), stage.car.primary._world
        Primary(memory, stage.ecu.signer, world, ask=AskImageRepositories.IN_EVERY_CYCLE).verify_metadata()
