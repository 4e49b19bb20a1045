"""`uptane doctor`: everything that can be wrong with servers is found, named with what to do, and left as it is."""

import asyncio
import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from suppliers import Supplier
from world import delegation, delegations, new_signer

from uptane.assembly import doctor as doctoring
from uptane.assembly.doctor import Finding, Surroundings, examine
from uptane.assembly.production import open_systems, utc_now
from uptane.assembly.settings import load_settings
from uptane.cli.main import main
from uptane.metadata.delegations import Delegations
from uptane.metadata.digests import Digests
from uptane.metadata.identifiers import RoleName
from uptane.metadata.snapshot import MetadataFile
from uptane.metadata.timestamp import Timestamp
from uptane.signing.sign import envelope_of
from uptane.storage.certificate_authority import CertificateAuthority
from uptane.storage.folders import PublishedFolder
from uptane.storage.key_files import KeyFolder
from uptane.storage.object_store import Objects
from uptane.storage.object_urls import open_objects
from uptane.storage.places import ObjectPlace
from uptane.verification.own_metadata import OwnMetadata, Reader

CHECKS = [
    *("settings", "database", "storage", "keys", "Image repository"),
    *("Director", "certificates", "clock", "disk"),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Servers with a vehicle, to be copied."""
    folder = tmp_path_factory.mktemp("made")
    fleet = folder / "fleet"
    assert main(["init", str(fleet), "--port", "0"]) == 0
    assert main(["vehicle", "add", "VIN123", "--package", str(folder / "car"), "--servers", str(fleet)]) == 0
    authority = CertificateAuthority.in_folder(fleet / "certificates", now=utc_now())
    authority.server_files(fleet / "certificates", ["localhost"], now=utc_now(), lifetime=timedelta(days=90))
    return fleet


@pytest.fixture
def fleet(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "fleet")
    return tmp_path / "fleet"


def look(fleet: Path, machine: Surroundings | None = None) -> dict[str, Finding]:
    return {finding.check: finding for finding in asyncio.run(examine(fleet, machine))}


def unwell(fleet: Path, machine: Surroundings | None = None) -> set[str]:
    found = look(fleet, machine)
    for finding in found.values():
        assert finding.well or finding.next_step, finding
    return {name for name, finding in found.items() if not finding.well}


def files_of(fleet: Path) -> dict[Path, bytes]:
    """Every file, but for the notes that SQLite keeps beside a database that is open."""
    return {
        file: file.read_bytes()
        for file in fleet.rglob("*")
        if file.is_file() and not file.name.endswith(("-wal", "-shm"))
    }


def test_of_servers_that_are_well_every_check_says_so_and_nothing_changes(
    fleet: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files_of(fleet)
    assert main(["doctor", "--servers", str(fleet)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == [f"ok   {check}" for check in CHECKS]
    assert files_of(fleet) == before


def test_what_is_wrong_ends_with_1_and_stands_in_the_json(fleet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (fleet / "keys" / "director-targets").unlink()
    assert main(["doctor", "--servers", str(fleet)]) == 1
    assert "FAIL keys: the key director-targets is not in" in capsys.readouterr().out
    assert main(["doctor", "--servers", str(fleet), "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["well"] is False
    assert [each["check"] for each in said["checks"] if not each["well"]] == ["keys", "Director"]


def test_settings_that_are_none_are_the_one_finding(tmp_path: Path) -> None:
    (tmp_path / "uptane.toml").write_text("[listen]\nport = 70000")
    assert list(look(tmp_path)) == ["settings"]
    assert unwell(tmp_path) == {"settings"}


def other_key(fleet: Path, name: str) -> None:
    for file in (fleet / "keys" / name, fleet / "keys" / f"{name}.pub"):
        file.unlink()
    KeyFolder(fleet / "keys").load_or_generate(name)


def other_authority(fleet: Path) -> None:
    (fleet / "certificates" / "authority").unlink()
    shutil.copy(fleet / "certificates" / "server", fleet / "certificates" / "authority")


def old_revision(fleet: Path) -> None:
    with closing(sqlite3.connect(fleet / "data" / "inventory.sqlite")) as connection:
        connection.execute("UPDATE inventory_revision SET version_num = '0005'")
        connection.commit()


def no_metadata_of_the_vehicle(fleet: Path) -> None:
    with closing(sqlite3.connect(fleet / "data" / "inventory.sqlite")) as connection:
        connection.execute("DELETE FROM metadata_files")
        connection.commit()


def altered_snapshot(fleet: Path) -> None:
    file = fleet / "data" / "image-repository" / "metadata" / "1.snapshot.der"
    raw = file.read_bytes()
    file.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))  # the last byte of an Ed25519 signature is often 0


METADATA, DATABASE = {"Image repository"}, {"database", "Director"}


@pytest.mark.parametrize(
    ("harm", "found"),
    [
        (lambda fleet: (fleet / "uptane.toml").chmod(0o644), {"settings"}),
        (lambda fleet: (fleet / "data" / "inventory.sqlite").unlink(), DATABASE),
        (old_revision, DATABASE),
        (lambda fleet: (fleet / "data" / "inventory.sqlite").write_bytes(b"a letter" * 999), DATABASE),
        (lambda fleet: shutil.rmtree(fleet / "data" / "image-repository"), {"storage"} | METADATA),
        (lambda fleet: (fleet / "keys" / "timeserver").unlink(), {"keys"}),
        (lambda fleet: (fleet / "keys" / "director-root").chmod(0o640), {"keys", "Director"}),
        (lambda fleet: (fleet / "keys" / "director-root").write_text("no key"), {"keys", "Director"}),
        (lambda fleet: other_key(fleet, "image-repository-snapshot"), METADATA),
        (lambda fleet: other_key(fleet, "director-targets"), {"Director"}),
        (altered_snapshot, METADATA),
        (no_metadata_of_the_vehicle, {"Director"}),
        (lambda fleet: (fleet / "certificates" / "authority").unlink(), {"certificates"}),
        (lambda fleet: (fleet / "certificates" / "authority").chmod(0o644), {"certificates"}),
        (other_authority, {"certificates"}),
        (lambda fleet: (fleet / "certificates" / "server").chmod(0o644), {"certificates"}),
        (lambda fleet: (fleet / "certificates" / "server.pem").write_text("no certificate"), {"certificates"}),
    ],
)
def test_what_is_harmed_is_found_by_its_check(fleet: Path, harm: Callable[[Path], object], found: set[str]) -> None:
    harm(fleet)
    assert unwell(fleet) == found


@pytest.mark.parametrize("when", ["while it is read", "after it was read"])
def test_whoever_publishes_meanwhile_is_not_taken_for_somebody_who_put_an_older_set_back(
    fleet: Path, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify, read = doctoring.verify_own_metadata, PublishedFolder.read
    times = [when]

    async def publish() -> None:
        if times:
            times.clear()
            async with open_systems(load_settings(fleet)) as systems:
                await systems.image_repository.renew()
                await systems.image_repository.publish(utc_now())

    async def verified(store: Reader, *arguments: Any) -> OwnMetadata | None:
        own = await verify(store, *arguments)
        if when == "after it was read":
            await publish()
        return own

    async def read_meanwhile(self: PublishedFolder, name: str) -> bytes | None:
        if when == "while it is read" and name == "1.targets.der" and times:
            await publish()
            return None
        return await read(self, name)

    monkeypatch.setattr(doctoring, "verify_own_metadata", verified)
    monkeypatch.setattr(PublishedFolder, "read", read_meanwhile)
    assert unwell(fleet) == set() and not times


@pytest.mark.parametrize("away", [["root"], ["root", "targets"]])
def test_keys_that_were_moved_away_as_operators_shall_are_no_fault(fleet: Path, away: list[str]) -> None:
    for role in away:
        (fleet / "keys" / f"image-repository-{role}").unlink()
    assert unwell(fleet) == set()


def test_a_revoked_role_expires_without_a_word_and_one_that_is_trusted_does_not(fleet: Path, tmp_path: Path) -> None:
    """Nobody signs it again, and a Snapshot never forgets it."""
    images, key = tmp_path / "images", tmp_path / "supplier.pem"
    (images / "brakes").mkdir(parents=True)
    (images / "brakes" / "a.img").write_bytes(b"brakes")
    servers, path = ["--servers", str(fleet)], ["--path", "brakes/*"]
    assert main(["supplier", "key", str(key)]) == 0
    assert main(["delegation", "add", "supplier", "--key", f"{key}.pub", *path, *servers]) == 0
    signing = ["supplier", "sign", str(images), "--role", "supplier", "--key", str(key), "--days", "10"]
    signed = tmp_path / "supplier.der"
    assert main([*signing, "--output", str(signed)]) == 0
    assert main(["image-repository", "upload", str(signed), str(images), *servers]) == 0
    assert look(fleet)["Image repository"].said.startswith("Targets role supplier of the Image repository expires")
    assert main(["delegation", "revoke", "supplier", *servers]) == 0
    assert unwell(fleet) == set()


def test_a_role_whose_paths_were_taken_away_expires_without_a_word(fleet: Path) -> None:
    """The role above it goes on to name it, and no client asks it."""
    key, soon = new_signer(), {"days": 10}
    above, below = RoleName("above"), RoleName("below")

    async def story(*uploads: tuple[RoleName, dict[str, Any]]) -> None:
        async with open_systems(load_settings(fleet)) as systems:
            repository, now = systems.image_repository, utc_now().replace(microsecond=0)
            desk = SimpleNamespace(profile=systems.settings.profile, now=now)
            if above not in (await repository.published()).targets:
                await repository.delegate(delegation(above, [key], paths=["a/*"]), [key.key])
                await repository.publish(now)
            for role, said in uploads:
                await repository.receive(Supplier(desk, role, [key]).upload({}, **said), now)

    def named(*paths: str) -> Delegations:
        return delegations([key], delegation(below, [key], paths=paths))

    asyncio.run(story((above, {"delegations": named("a/*"), "days": 90}), (below, soon)))
    assert look(fleet)["Image repository"].said.startswith("Targets role below of the Image repository expires")
    asyncio.run(story((above, {"delegations": named(), "days": 90, "version": 2})))
    assert unwell(fleet) == set()


def test_a_lost_database_is_not_made_anew_by_looking(fleet: Path) -> None:
    file = fleet / "data" / "inventory.sqlite"
    file.unlink()
    assert "does not exist" in look(fleet)["database"].said
    assert not file.exists()


def test_a_database_that_takes_no_rows_is_found(fleet: Path) -> None:
    with closing(sqlite3.connect(fleet / "data" / "inventory.sqlite")) as connection:
        connection.execute("CREATE TRIGGER full BEFORE INSERT ON vehicles BEGIN SELECT RAISE(FAIL, 'full'); END")
    assert unwell(fleet) == {"database"}


@pytest.mark.parametrize(
    ("later", "found", "named"),
    [
        (timedelta(hours=23, minutes=30), METADATA, "Timestamp of the Image repository expires on"),
        (timedelta(days=2), METADATA, "Timestamp of the Image repository expired on"),
        (timedelta(days=80), METADATA | {"certificates"}, "Targets role targets of the Image repository expires on"),
        (timedelta(days=340), METADATA | {"certificates"}, "Root of the Image repository expires on"),
    ],
)
def test_what_expires_is_told_before_it_does(fleet: Path, later: timedelta, found: set[str], named: str) -> None:
    said = look(fleet, Surroundings(now=lambda: utc_now() + later))
    assert {name for name, finding in said.items() if not finding.well} == found
    assert said["Image repository"].said.startswith(named)


def without(fleet: Path, *names: str) -> None:
    for name in names:
        (fleet / "keys" / name).unlink()


def test_servers_whose_offline_keys_are_kept_elsewhere_are_well(fleet: Path) -> None:
    away = ("director-root", "image-repository-root", "image-repository-targets")
    without(fleet, *away)
    assert unwell(fleet) == set()
    assert all(name in look(fleet)["keys"].said for name in away)


@pytest.mark.parametrize("verified", [20, 0])
def test_a_root_of_a_vehicle_that_nobody_here_can_sign_again_is_told_with_the_command(
    fleet: Path, verified: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of vehicles whose other metadata is not looked at; of those that are out of service, nothing is told."""
    monkeypatch.setattr(doctoring, "VEHICLES_LOOKED_AT", verified)
    late = Surroundings(now=lambda: utc_now() + timedelta(days=336))
    assert look(fleet, late)["Director"].well, "it is signed again when the vehicle reports"
    key = (fleet / "keys" / "director-root").read_bytes()
    without(fleet, "director-root")
    assert look(fleet, Surroundings(now=lambda: utc_now() + timedelta(days=334)))["Director"].well
    said = look(fleet, late)["Director"]
    assert not said.well and said.said.startswith("1 of 1 Roots of vehicles expire within 30 days")
    assert "VIN123" in said.said and "uptane root renew director --key FILE" in said.next_step
    (fleet / "keys" / "director-root").write_bytes(key)
    assert look(fleet, late)["Director"].said != said.said, "that file others might read, which is told instead"
    without(fleet, "director-root")
    assert main(["vehicle", "retire", "VIN123", "--servers", str(fleet)]) == 0
    assert look(fleet, late)["Director"].well


def test_a_root_key_that_is_kept_elsewhere_is_named_where_the_image_repository_needs_it(fleet: Path) -> None:
    without(fleet, "image-repository-root")
    said = look(fleet, Surroundings(now=lambda: utc_now() + timedelta(days=340)))["Image repository"]
    assert "uptane root renew image-repository --key FILE" in said.next_step


def test_an_authority_that_vehicles_would_outlive_is_told(fleet: Path) -> None:
    said = look(fleet, Surroundings(now=lambda: utc_now() + timedelta(days=19 * 365 + 100)))
    assert said["certificates"].said.startswith("the authority's certificate expires on")


def test_a_clock_that_was_set_back_is_found(fleet: Path) -> None:
    assert unwell(fleet, Surroundings(now=lambda: utc_now() - timedelta(hours=1))) == {"clock"}


def put_a_timestamp_of_tomorrow_there(fleet: Path) -> None:
    """A thief has no key; the signature is his own."""
    settings = load_settings(fleet)
    timestamp = Timestamp(
        version=2,
        expires=(utc_now() + timedelta(days=2)).replace(microsecond=0),
        snapshot=MetadataFile(version=1, length=1, digests=Digests.of(b"x")),
    )
    envelope = envelope_of(settings.profile, timestamp, [new_signer()])
    (fleet / "data" / "image-repository" / "metadata" / "timestamp.der").write_bytes(envelope.raw)


def no_timestamp(fleet: Path) -> None:
    for name in ("timestamp.der", "1.snapshot.der"):
        (fleet / "data" / "image-repository" / "metadata" / name).unlink()


@pytest.mark.parametrize("harm", [put_a_timestamp_of_tomorrow_there, no_timestamp])
def test_a_timestamp_that_was_not_verified_says_nothing_of_the_clock(
    fleet: Path, harm: Callable[[Path], object]
) -> None:
    harm(fleet)
    found = look(fleet)
    assert {name for name, finding in found.items() if not finding.well} == METADATA
    assert "(no Timestamp is verified)" in found["clock"].said
    assert unwell(fleet, Surroundings(now=lambda: utc_now() - timedelta(days=2))) >= {"clock"} | METADATA


def test_a_disk_without_room_is_found(fleet: Path) -> None:
    assert unwell(fleet, Surroundings(free_bytes=lambda _: (1 << 30) - 1)) == {"disk"}


def test_object_storage_is_tried_and_the_trial_removed(fleet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    objects = open_objects("memory://")
    monkeypatch.setattr(doctoring, "storage_of", lambda _: ObjectPlace(objects))
    assert look(fleet)["storage"].well
    assert asyncio.run(objects.entries("")) == {}


def test_object_storage_that_ignores_conditions_is_found(fleet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def overwrite(self: Objects, name: str, data: bytes) -> object:
        await self.overwrite(name, data)
        found = await self.read(name)
        return found and found.version

    objects = open_objects("memory://")
    monkeypatch.setattr(doctoring, "storage_of", lambda _: ObjectPlace(objects))
    monkeypatch.setattr(type(objects), "create", overwrite)
    said = look(fleet)["storage"]
    assert not said.well and "does not keep the conditions of a write" in said.said


def test_no_secret_is_told(fleet: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("UPTANE_DATABASE__URL", "postgresql://me:hush-hush@127.0.0.1:1/none")
    assert main(["doctor", "--servers", str(fleet)]) == 1
    told = capsys.readouterr()
    assert "FAIL database" in told.out
    assert "hush" not in told.out + told.err
