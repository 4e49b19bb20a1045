"""`uptane metadata show` on every kind of file, with the right Root, the wrong Root and none."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec import structs
from world import NOW, PRIMARY, TCU, VIN, World, delegation, delegations, image, new_signer, targets

from uptane.cli.main import main
from uptane.formats.profile import Profile
from uptane.formats.profiles import profile_of
from uptane.metadata.digests import Digests
from uptane.metadata.envelope import Envelope
from uptane.metadata.extensions import Extensions
from uptane.metadata.identifiers import EcuIdentifier, HardwareIdentifier, ImagePath, PathPattern, RepositoryName
from uptane.metadata.repository_map import MappedRepository, RepositoryKind, RepositoryMap
from uptane.metadata.root import Role
from uptane.metadata.targets import (
    Custom,
    EcuAssignment,
    EncryptedImage,
    Image,
    ImageFile,
    MustMatch,
    WrappedKey,
)
from uptane.metadata.time_attestation import TimeAttestation
from uptane.metadata.vehicle_manifest import VehicleVersionManifest
from uptane.metadata.version_report import EcuVersionReport
from uptane.signing.sign import sign

FORMATS = ("json", "der")


@pytest.fixture(params=FORMATS)
def profile(request: pytest.FixtureRequest) -> Profile:
    """Each format in turn."""
    return profile_of(request.param)


@pytest.fixture
def world(profile: Profile) -> World:
    """Two repositories with an image on each."""
    world = World(profile)
    world.release("firmware.img", b"Fresh firmware image", counter=3)
    return world


@pytest.fixture
def folder(world: World, tmp_path: Path) -> Iterator[Path]:
    """Both repositories' files on disk, under `director` and `imagerepo`."""
    for name, repository in (("director", world.director), ("imagerepo", world.images)):
        (tmp_path / name).mkdir()
        for file, raw in repository.files.items():
            (tmp_path / name / file).write_bytes(raw)
    yield tmp_path


class Shown:
    """How the command ended and what it printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *arguments: object) -> None:
        self.code = main(["metadata", "show", *map(str, arguments)])
        self.out, self.err = capsys.readouterr()

    @property
    def json(self) -> dict[str, object]:
        """The one JSON object."""
        value = json.loads(self.out)
        assert isinstance(value, dict)
        return value


@pytest.mark.parametrize("role", Role)
def test_each_role_is_shown_and_verifies_under_its_own_root(
    role: Role, world: World, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = folder / "director" / world.director.name(Role.ROOT)
    shown = Shown(capsys, folder / "director" / world.director.name(role), "--root", root)
    assert shown.code == 0
    assert shown.out.startswith(f"{role.capitalize()} metadata in {world.profile.name}: ")
    assert re.search(rf"^  vehicle +{VIN}$", shown.out, re.MULTILINE)
    assert shown.out.endswith(f"Verifies under {root}.\n")


def test_an_image_is_shown_with_all_that_is_said_of_it(
    world: World, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = Shown(capsys, folder / "director" / world.director.name(Role.TARGETS), "--json")
    content = shown.json["content"]
    assert isinstance(content, dict)
    digests = Digests.of(b"Fresh firmware image", ("sha256", "sha512"))
    assert content["images"] == {
        "firmware.img": {
            "length": 20,
            "hashes": {name: digest.hex() for name, digest in digests},
            "release_counter": 3,
            "ecus": {TCU: {}},
        }
    }
    assert len(content["signatures"]) == 1
    assert "verification" not in shown.json


def test_the_roots_of_two_repositories_are_not_mixed_up(
    world: World, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = folder / "imagerepo" / world.images.name(Role.TIMESTAMP)
    shown = Shown(capsys, file, "--root", folder / "director" / world.director.name(Role.ROOT), "--json")
    assert shown.code == 1
    verification = shown.json["verification"]
    assert isinstance(verification, dict)
    assert verification["verifies"] is False
    assert verification["code"] == "E-WRONG-VEHICLE"


def test_an_intruders_signature_is_counted_as_none(
    world: World, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = folder / "imagerepo" / world.images.name(Role.TARGETS)
    file.write_bytes(sign(world.profile, world.images.payload(Role.TARGETS), [new_signer()]))
    root = folder / "imagerepo" / world.images.name(Role.ROOT)
    shown = Shown(capsys, file, "--root", root)
    assert shown.code == 1
    last = shown.out.splitlines()[-1]
    assert last.startswith(f"Does not verify under {root}: {file} has 0 valid signature(s)")
    assert "[arbitrary software attack]" in last
    assert last.endswith("If it is a delegated role, its keys stand in the role that delegates to it.")


def test_a_file_that_is_no_root_cannot_be_the_root(
    world: World, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = folder / "imagerepo" / world.images.name(Role.TARGETS)
    shown = Shown(capsys, file, "--root", file)
    assert shown.code == 1
    assert "is not Root metadata" in shown.out


def test_delegations_are_shown_with_their_roles_paths_and_groups(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    signers = [new_signer(), new_signer()]
    one = delegation("supplier", signers[:1], paths=("tcu/*",), hardware=("tcu-1",), terminating=True)
    several = delegation(
        {"integrator": signers[:1], "tester": signers[1:]}, paths=("bcu/*",), agree=2, group="both-must-sign"
    )
    payload = targets(delegations=delegations(signers, one, several))
    file = tmp_path / "1.targets"
    file.write_bytes(sign(world.profile, payload, signers))
    content = Shown(capsys, file, "--json").json["content"]
    assert isinstance(content, dict)
    first, second = content["delegations"]["delegations"]
    assert first["roles"] == {"supplier": {"threshold": 1, "key_ids": [signers[0].key.key_id]}}
    assert (first["paths"], first["hardware_ids"], first["terminating"]) == (["tcu/*"], ["tcu-1"], True)
    assert (second["group"], second["min_roles_in_agreement"]) == ("both-must-sign", 2)
    assert "terminating  yes" in Shown(capsys, file).out


def test_encrypted_images_and_extensions_are_shown(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = ImageFile(path=ImagePath("tcu/secret.enc"), length=4, digests=Digests.of(b"data"))
    encrypted = EncryptedImage(
        file=file, method="aes-256-gcm", nonce=b"\x01", wrapped_key=WrappedKey(method="ecies", value=b"\x02")
    )
    assignment = EcuAssignment(hardware_id=HardwareIdentifier("tcu-1"), encrypted=encrypted)
    more = Extensions((("colour", b'"red"'),))
    must_match = MustMatch(hardware_ids=(HardwareIdentifier("tcu-1"),), extensions=more)
    custom = Custom(must_match=must_match, ecus={EcuIdentifier("TCU"): assignment}, url="http://cdn.example/secret")
    plain = structs.replace(image("tcu/secret.img", b"data"), custom=custom)
    assert isinstance(plain, Image)
    (tmp_path / "targets").write_bytes(sign(world.profile, targets(plain), [new_signer()]))
    content = Shown(capsys, tmp_path / "targets", "--json").json["content"]
    assert isinstance(content, dict)
    shown = content["images"]["tcu/secret.img"]
    assert shown["must_match"] == {"extensions": {"colour": '"red"'}}
    assert shown["url"] == "http://cdn.example/secret"
    assert shown["ecus"]["TCU"]["hardware_id"] == "tcu-1"
    assert shown["ecus"]["TCU"]["encrypted"]["wrapped_key"] == {"method": "ecies", "value": "02"}


def _report(counter: int = 7) -> EcuVersionReport:
    return EcuVersionReport(
        ecu=PRIMARY,
        installed=image("firmware.img", b"Fresh firmware image").file,
        attacks_detected="replay",
        time=NOW,
        previous_time=datetime(2026, 11, 23, tzinfo=UTC),
        counter=counter,
        nonce=5,
    )


def test_reports_manifests_and_attestations_are_shown_but_no_root_vouches_for_them(
    world: World, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ecu = new_signer()
    report = sign(world.profile, _report(), [ecu])
    envelope: Envelope[EcuVersionReport] = world.profile.format.decode(EcuVersionReport, report)
    manifest = VehicleVersionManifest(vehicle=VIN, primary=PRIMARY, reports=(envelope,), counter=9)
    attestation = TimeAttestation(time=NOW, nonces=(1, 2))
    files = {
        "ECU version report": report,
        "Vehicle version manifest": sign(world.profile, manifest, [ecu]),
        "Time attestation": sign(world.profile, attestation, [ecu]),
    }
    root = folder / "director" / world.director.name(Role.ROOT)
    for title, raw in files.items():
        (folder / "object").write_bytes(raw)
        shown = Shown(capsys, folder / "object", "--json")
        assert (shown.code, shown.json["kind"]) == (0, title)
        judged = Shown(capsys, folder / "object", "--root", root)
        assert judged.code == 1
        assert "a Root names no keys for" in judged.out


def test_a_manifest_shows_the_reports_in_it(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ecu = new_signer()
    envelope = world.profile.format.decode(EcuVersionReport, sign(world.profile, _report(), [ecu]))
    manifest = VehicleVersionManifest(vehicle=VIN, primary=PRIMARY, reports=(envelope,), counter=9)
    (tmp_path / "manifest").write_bytes(sign(world.profile, manifest, [ecu]))
    out = Shown(capsys, tmp_path / "manifest").out
    assert "reports 1\n" in out
    assert "attacks_detected  replay" in out


def test_a_repository_map_is_shown(profile: Profile, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def repository(name: str, kind: RepositoryKind) -> MappedRepository:
        return MappedRepository(name=RepositoryName(name), kind=kind, urls=(f"http://127.0.0.1/{name}",))

    basic = RepositoryMap.basic(
        director=repository("director", RepositoryKind.DIRECTOR),
        image_repository=repository("imagerepo", RepositoryKind.IMAGE),
    )
    (tmp_path / "map").write_bytes(profile.format.encode_map(basic))
    shown = Shown(capsys, tmp_path / "map", "--json")
    assert shown.json["kind"] == "Repository map"
    content = shown.json["content"]
    assert isinstance(content, dict)
    assert content["mappings"] == [
        {"paths": [PathPattern("*")], "repositories": ["director", "imagerepo"], "terminating": True}
    ]


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\x00", b"\xa0\x80", b"hello", b'{"signed":{}}', b"0" * 5000])
def test_a_file_that_is_nothing_is_refused_in_one_line(
    raw: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_bytes(raw)
    shown = Shown(capsys, tmp_path / "file")
    assert (shown.code, shown.out) == (1, "")
    assert shown.err.count("\n") == 1


def test_a_truncated_file_is_named_with_the_kind_it_claims_to_be(
    world: World, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = folder / "director" / world.director.name(Role.TARGETS)
    file.write_bytes(file.read_bytes()[:-1])
    shown = Shown(capsys, file)
    assert shown.code == 1
    assert shown.err.startswith(f"uptane: {file} is not {world.profile.name} metadata: ")


def test_a_broken_report_is_named_with_its_own_fault(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = sign(world.profile, _report(), [new_signer()])
    (tmp_path / "report").write_bytes(raw.replace(b"firmware.img", b"firmware\x7fimg"))
    shown = Shown(capsys, tmp_path / "report")
    assert shown.code == 1
    assert "control" in shown.err
