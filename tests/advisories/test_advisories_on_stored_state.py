"""Advisories on what an ECU remembers: it sets a floor after every restart, and nothing refused gets into it."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from links import wait
from stage import DELEGATED, PLACES, READERS, Place, Stage, every, on_disk
from world import DIRECTOR, FAR, IMAGES, NOW, PRIMARY, TCU, listed, new_signer

from uptane.formats.profile import Profile
from uptane.metadata.attacks import Attack
from uptane.metadata.errors import (
    BadSignatureError,
    EndlessDataError,
    ExpiredMetadataError,
    MixAndMatchError,
    ReplayedMetadataError,
    UnreachableError,
    UptaneError,
)
from uptane.metadata.identifiers import EcuIdentifier, RoleName
from uptane.metadata.root import MAX_VERSION, Role
from uptane.metadata.snapshot import MetadataFile
from uptane.metadata.vehicle_manifest import VehicleVersionManifest

Refused = tuple[type[UptaneError], Attack | None]
ROLLBACK: Refused = ReplayedMetadataError, Attack.ROLLBACK
MIXED: Refused = MixAndMatchError, Attack.MIX_AND_MATCH
FORGED: Refused = BadSignatureError, Attack.ARBITRARY_SOFTWARE
FROZEN: Refused = ExpiredMetadataError, Attack.FREEZE
BELOW_ROOT = [place for place in PLACES if place[1] != Role.ROOT]
YESTERDAY = NOW - timedelta(days=1)


@every(BELOW_ROOT)
def test_cve_2022_29173_what_was_trusted_before_a_restart_is_the_floor_after_it(
    profile: Profile, place: Place, reader: str, tmp_path: Path
) -> None:
    """Two releases; the ECU, which remembers in a folder, is started again and shown the file of the first."""
    stage = Stage(profile, reader, device=on_disk(tmp_path))
    stage.renew()
    stage.car.cycle()
    old, version = stage.raw(*place), stage.payload(*place).version
    stage.renew()
    stage.car.cycle()
    stage.restart()
    with stage.refuses(*ROLLBACK, undo=stage.restart) as errors:
        stage.show(*place, old, version)
    assert errors[0].facts["offered"] == version


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("repository", [DIRECTOR, IMAGES])
def test_cve_2022_29173_a_whole_older_set_is_refused_after_a_restart(
    profile: Profile, repository: str, reader: str, tmp_path: Path
) -> None:
    stage = Stage(profile, reader, device=on_disk(tmp_path))
    roles = [place for place in BELOW_ROOT if place[0] == repository]
    old = {place: (stage.raw(*place), stage.payload(*place).version) for place in roles}
    stage.release()
    stage.car.cycle()
    stage.restart()
    with stage.refuses(*ROLLBACK):
        for place, (raw, version) in old.items():
            stage.show(*place, raw, version, relist=False)


def timestamp_by_a_thief(stage: Stage, place: Place) -> None:
    stage.forge(place[0], Role.TIMESTAMP, version=MAX_VERSION, signers=[new_signer()])


def expired_timestamp(stage: Stage, place: Place) -> None:
    stage.forge(place[0], Role.TIMESTAMP, version=MAX_VERSION, expires=YESTERDAY)


def timestamp_of_no_snapshot(stage: Stage, place: Place) -> None:
    nowhere = MetadataFile(version=MAX_VERSION, digests=listed(b"", 1).digests)
    stage.forge(place[0], Role.TIMESTAMP, version=MAX_VERSION, snapshot=nowhere)


def timestamp_of_another_snapshot(stage: Stage, place: Place) -> None:
    version = stage.payload(place[0], Role.SNAPSHOT).version
    stage.forge(place[0], Role.TIMESTAMP, version=MAX_VERSION, snapshot=listed(b"other", version + 1))
    raw = stage.forged(place[0], Role.SNAPSHOT)
    stage.show(place[0], Role.SNAPSHOT, raw[:5], version + 1, relist=False)


def snapshot_by_a_thief(stage: Stage, place: Place) -> None:
    stage.forge(place[0], Role.SNAPSHOT, version=MAX_VERSION, signers=[new_signer()])


def expired_snapshot(stage: Stage, place: Place) -> None:
    stage.forge(place[0], Role.SNAPSHOT, version=MAX_VERSION, expires=YESTERDAY)


def snapshot_that_forgets(stage: Stage, place: Place) -> None:
    files = dict(stage.payload(place[0], Role.SNAPSHOT).files)
    files[RoleName("targets")] = MetadataFile(version=1)
    stage.forge(place[0], Role.SNAPSHOT, version=MAX_VERSION, files=files)


def snapshot_of_no_targets(stage: Stage, place: Place) -> None:
    files = dict(stage.payload(place[0], Role.SNAPSHOT).files)
    files[RoleName("targets")] = MetadataFile(version=MAX_VERSION)
    stage.forge(place[0], Role.SNAPSHOT, version=MAX_VERSION, files=files)


def snapshot_of_other_targets(stage: Stage, place: Place) -> None:
    raw = stage.forged(place[0], Role.TARGETS)
    files = dict(stage.payload(place[0], Role.SNAPSHOT).files)
    version = stage.payload(place[0], Role.TARGETS).version + 1
    files[RoleName("targets")] = listed(bytes(len(raw)), version)
    stage.show(place[0], Role.TARGETS, raw, version, relist=False)
    stage.forge(place[0], Role.SNAPSHOT, version=MAX_VERSION, files=files)


REFUSED_SETS: list[tuple[Callable[[Stage, Place], None], Refused]] = [
    (timestamp_by_a_thief, FORGED),
    (expired_timestamp, FROZEN),
    (timestamp_of_no_snapshot, (UnreachableError, Attack.DROP_REQUEST)),
    (timestamp_of_another_snapshot, MIXED),
    (snapshot_by_a_thief, FORGED),
    (expired_snapshot, FROZEN),
    (snapshot_that_forgets, ROLLBACK),
    (snapshot_of_no_targets, (UnreachableError, Attack.DROP_REQUEST)),
    (snapshot_of_other_targets, MIXED),
]


@every([(DIRECTOR, "top"), (IMAGES, "top")])
@pytest.mark.parametrize(("show", "refused"), REFUSED_SETS, ids=[show.__name__ for show, _ in REFUSED_SETS])
def test_cve_2025_2888_what_was_refused_does_not_stand_in_the_way_of_what_is_good(
    profile: Profile, place: Place, reader: str, show: Callable[[Stage, Place], None], refused: Refused
) -> None:
    """The refused files have the highest version there is; the good ones that follow have the next one."""
    stage = Stage(profile, reader)
    with stage.refuses(*refused):
        show(stage, place)
    stage.release()
    stage.car.cycle()
    assert stage.car.running() == stage.content


def lower(stage: Stage, place: Place) -> None:
    """An older version, which a newer Snapshot lists."""
    stage.forge(*place, version=stage.payload(*place).version - 1)


def lower_under_a_higher_name(stage: Stage, place: Place) -> None:
    """An older version, which a newer Snapshot calls a newer one."""
    present = stage.payload(*place).version
    stage.forge(*place, version=present - 1, under=present + 1)


def other_content(stage: Stage, place: Place) -> None:
    """The same version with another content."""
    stage.forge(*place, version=stage.payload(*place).version, expires=FAR)


def forgotten(stage: Stage, place: Place) -> None:
    """A newer Snapshot does not list the role any more."""
    files = dict(stage.payload(IMAGES, Role.SNAPSHOT).files)
    del files[RoleName(place[1])]
    stage.forge(IMAGES, Role.SNAPSHOT, files=files)


@every(DELEGATED)
@pytest.mark.parametrize(
    ("show", "refused"),
    [(lower, ROLLBACK), (lower_under_a_higher_name, MIXED), (other_content, ROLLBACK), (forgotten, ROLLBACK)],
)
def test_cve_2025_2887_a_delegated_role_is_not_rolled_back_by_a_newer_snapshot(
    profile: Profile, place: Place, reader: str, show: Callable[[Stage, Place], None], refused: Refused
) -> None:
    stage = Stage(profile, reader)
    stage.renew()
    stage.car.cycle()
    with stage.refuses(*refused):
        show(stage, place)


def expired(stage: Stage, place: Place) -> None:
    """A file that expired yesterday."""
    stage.forge(*place, expires=YESTERDAY)


def expires_now(stage: Stage, place: Place) -> None:
    """A file that expires at the very time of the cycle."""
    stage.forge(*place, expires=NOW)


def longer(stage: Stage, place: Place) -> None:
    """A byte more than is listed."""
    misread(stage, place, lambda raw: raw + b" ")


def shorter(stage: Stage, place: Place) -> None:
    """A byte less than is listed."""
    misread(stage, place, lambda raw: raw[:-1])


def other_bytes(stage: Stage, place: Place) -> None:
    """As many bytes as are listed, and one of them another one."""
    misread(stage, place, lambda raw: raw[:-1] + bytes([raw[-1] ^ 1]))


def genuine_but_not_listed(stage: Stage, place: Place) -> None:
    """A genuinely signed file, which is not the one that is listed."""
    other = stage.forged(*place, expires=NOW + timedelta(days=2))
    misread(stage, place, lambda raw: other)


def misread(stage: Stage, place: Place, change: Callable[[bytes], bytes]) -> None:
    version = stage.payload(*place).version + 1
    raw = stage.forge(*place)
    stage.show(*place, change(raw), version, relist=False)


@every(DELEGATED)
@pytest.mark.parametrize(
    ("show", "refused"),
    [
        (expired, FROZEN),
        (expires_now, FROZEN),
        (longer, (EndlessDataError, Attack.ENDLESS_DATA)),
        (shorter, MIXED),
        (other_bytes, MIXED),
        (genuine_but_not_listed, MIXED),
    ],
)
def test_cve_2026_6967_a_delegated_file_is_checked_for_expiry_length_and_hash(
    profile: Profile, place: Place, reader: str, show: Callable[[Stage, Place], None], refused: Refused
) -> None:
    """Nothing refused is remembered: the next good file of that role is taken."""
    stage = Stage(profile, reader)
    with stage.refuses(*refused):
        show(stage, place)


@every(DELEGATED)
def test_cve_2026_6967_a_remembered_delegated_file_expires_too(profile: Profile, place: Place, reader: str) -> None:
    """It is good for an hour, is not fetched again while it is listed unchanged, and is good no longer then."""
    stage = Stage(profile, reader)
    stage.forge(*place, expires=stage.fleet.now + timedelta(hours=1))
    shown = dict(stage.shown)
    stage.deliver()
    ecu = stage.car.primary if reader == "primary" else stage.car.secondary
    ecu.update_cycle()
    stage.fleet.later(hours=1)
    stage.car.links.restore()
    if reader == "secondary":
        stage.car.primary.update_cycle()
        stage.car.link.restore()
        stage.car.secondary.send_report()
        stage.car.primary.update_cycle()
    with stage.refuses(*FROZEN, undo=lambda: (stage.renew(), stage.renew())) as errors:
        stage.shown |= shown
    assert errors[0].facts["role"] == place[1]


@pytest.mark.parametrize("reader", READERS)
def test_aktualizr_stored_metadata_that_expired_meanwhile_does_not_keep_an_ecu_from_starting(
    profile: Profile, reader: str, tmp_path: Path
) -> None:
    """A vehicle that was parked for years comes up, follows the new Roots, and is updated."""
    stage = Stage(profile, reader, device=on_disk(tmp_path))
    stage.fleet.later(days=4000)
    stage.fleet.rotate_director(*Role)
    stage.fleet.rotate_images(*Role)
    for stage.reader in READERS:
        stage.restart()
    stage.release()
    stage.car.cycle()
    assert stage.car.running() == stage.content


def test_aktualizr_a_secondary_without_a_manifest_does_not_keep_the_vehicle_from_its_update(profile: Profile) -> None:
    """It is registered and says nothing; the Director is told of it, and the others get their images."""
    stage = Stage(profile)
    car = stage.car
    silent = new_signer()
    key = profile.format.encode_key(silent.key)
    ecu = EcuIdentifier("BCUdemocar")
    car.links.register_ecu(car.vin, ecu, key, is_primary=False)
    car.link.register_secondary(ecu, key)
    stage.release()
    car.cycle()
    assert car.running() == stage.content
    manifest = profile.format.decode(VehicleVersionManifest, car.links.manifests[-1]).payload
    assert {report.payload.ecu for report in manifest.reports} == {PRIMARY, TCU}
    raw = car.primary.make_manifest()
    checked = wait(stage.fleet.director.receive_manifest(car.vin, PRIMARY, raw, stage.fleet.now))
    assert checked.missing == (ecu,)
