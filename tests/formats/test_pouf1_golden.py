"""Files that the archived implementation wrote: each is read, verifies, is written again, and bears no change."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pouf1_samples import verifies

from uptane.formats.pouf1.json import POUF1_JSON
from uptane.formats.profile import Format
from uptane.formats.profiles import recognised
from uptane.metadata.envelope import Envelope
from uptane.metadata.errors import FormatError
from uptane.metadata.keys import PublicKey
from uptane.metadata.root import Root
from uptane.metadata.snapshot import Snapshot
from uptane.metadata.targets import Targets
from uptane.metadata.time_attestation import TimeAttestation
from uptane.metadata.timestamp import Timestamp
from uptane.metadata.vehicle_manifest import VehicleVersionManifest
from uptane.metadata.version_report import EcuVersionReport

KINDS: dict[type[Any], str] = {
    Root: "root",
    Timestamp: "timestamp",
    Snapshot: "snapshot",
    Targets: "targets",
    EcuVersionReport: "secondary",
    VehicleVersionManifest: "primary",
    TimeAttestation: "timeserver",
}
"""Who signs each kind; the roles of two repositories, for which the folder decides."""


class Golden(NamedTuple):
    """A golden file."""

    path: Path
    raw: bytes
    wire: Format
    kind: type[Any]
    envelope: Envelope[Any]
    signer: str


@pytest.fixture(scope="module")
def folder(shared: Path) -> Path:
    return shared / "interop" / "pouf1"


@pytest.fixture(scope="module")
def keys(folder: Path) -> dict[str, PublicKey]:
    return {path.stem: POUF1_JSON.decode_key(path.read_bytes()) for path in (folder / "keys").glob("*.pub")}


@pytest.fixture(scope="module")
def files(folder: Path) -> list[Golden]:
    paths = sorted(path for path in (folder / "samples").rglob("*") if path.is_file())
    return [golden(path) for path in paths]


def golden(path: Path) -> Golden:
    raw = path.read_bytes()
    profile = recognised(raw)
    assert profile is not None
    assert profile.name == {".der": "pouf1", ".json": "pouf1-json"}[path.suffix]
    ((kind, envelope),) = readings(profile.format, raw)
    signer = KINDS[kind]
    if path.parent.name in ("director", "imagerepo"):
        signer = {"director": "director", "imagerepo": "main"}[path.parent.name] + signer
    return Golden(path, raw, profile.format, kind, envelope, "director" if signer == "directortargets" else signer)


def readings(wire: Format, raw: bytes) -> Iterator[tuple[type[Any], Envelope[Any]]]:
    """What a file can be read as."""
    for kind in KINDS:
        try:
            yield kind, wire.decode(kind, raw)
        except FormatError:
            continue


def test_every_file_is_signed_by_the_key_that_its_place_asks_for_and_by_no_other(
    files: list[Golden], keys: dict[str, PublicKey]
) -> None:
    signers = {file.path: [name for name, key in keys.items() if verifies(file.envelope, key)] for file in files}
    assert signers == {file.path: [file.signer] for file in files}


def test_no_file_verifies_under_another_key_that_claims_its_identifier(
    files: list[Golden], keys: dict[str, PublicKey]
) -> None:
    for file in files:
        (entry,) = file.envelope.signatures
        others = [key for name, key in keys.items() if name != file.signer]
        assert not any(key.verify(entry.value, file.envelope.message) for key in others)


def test_every_report_in_a_manifest_verifies_on_its_own(files: list[Golden], keys: dict[str, PublicKey]) -> None:
    manifests = [file for file in files if file.kind is VehicleVersionManifest]
    assert manifests
    for file in manifests:
        for report in file.envelope.payload.reports:
            assert verifies(report, keys["secondary"])
            assert file.wire.decode(EcuVersionReport, report.raw) == report


def in_the_order_of(value: Any, other: Any) -> Any:
    """The value with its members in the order in which they stand in another one."""
    if isinstance(value, dict) and isinstance(other, dict):
        names = [*(name for name in other if name in value), *(name for name in value if name not in other)]
        return {name: in_the_order_of(value[name], other.get(name)) for name in names}
    if isinstance(value, list) and isinstance(other, list) and len(value) == len(other):
        return [in_the_order_of(each, like) for each, like in zip(value, other, strict=True)]
    return value


def test_every_file_is_written_again_as_it_stands(files: list[Golden]) -> None:
    for file in files:
        unsigned = file.wire.encode(file.envelope.payload)
        assert unsigned.message == file.envelope.message
        written = file.wire.assemble(unsigned, file.envelope.signatures)
        if file.wire is POUF1_JSON:
            # The archived implementation sorts the members of repository files, and leaves others as they came.
            value = in_the_order_of(json.loads(written), json.loads(file.raw))
            written = json.dumps(value, indent=1, separators=(",", ": ")).encode()
        assert written == file.raw, file.path


def test_role_files_in_json_are_written_again_byte_for_byte(files: list[Golden]) -> None:
    for file in files:
        if file.wire is POUF1_JSON and file.path.parent.name in ("director", "imagerepo"):
            assert file.wire.assemble(file.wire.encode(file.envelope.payload), file.envelope.signatures) == file.raw


def test_both_formats_of_a_file_hold_the_same_value_where_they_were_made_together(folder: Path) -> None:
    pair = [golden(folder / "samples" / f"sample_timeserver_attestation{ending}") for ending in (".der", ".json")]
    assert pair[0].envelope.payload == pair[1].envelope.payload


def changes(file: Golden) -> Iterator[bytes]:
    """Every single-byte change of some sorts."""
    for place, byte in enumerate(file.raw):
        for changed in der_bytes(byte) if file.path.suffix == ".der" else json_bytes(byte):
            if changed != byte:
                yield file.raw[:place] + bytes([changed]) + file.raw[place + 1 :]


def der_bytes(byte: int) -> set[int]:
    return {byte ^ 1, byte ^ 2, byte ^ 0x20, byte ^ 0x80, 0x00, 0x0A, 0xFF}


def json_bytes(byte: int) -> set[int]:
    if chr(byte).isspace():
        return set(b" \n\t")
    return {byte ^ 1, byte ^ 0x20} | ({ord("\t"), ord(" ")} if byte in b":,{}[]" else set())


@pytest.mark.slow
@pytest.mark.parametrize("ending", [".der", ".json"])
def test_no_single_byte_can_change_unnoticed(ending: str, files: list[Golden], keys: dict[str, PublicKey]) -> None:
    accepted = []
    for file in files:
        if file.path.suffix != ending:
            continue
        for raw in changes(file):
            try:
                envelope = file.wire.decode(file.kind, raw)
            except FormatError:
                continue
            if verifies(envelope, keys[file.signer]):
                accepted.append((file.path, raw))
    assert accepted == []


def test_no_file_is_read_when_it_is_cut_off_or_continued(files: list[Golden]) -> None:
    for file in files:
        damaged = [file.raw[:length] for length in range(0, len(file.raw), 7)]
        for raw in (*damaged, file.raw[:-1], file.raw + b"\n", file.raw + b"\0", b" " + file.raw):
            with pytest.raises(FormatError):
                file.wire.decode(file.kind, raw)


def test_every_public_key_file_gives_the_key_under_which_a_root_lists_it(
    files: list[Golden], keys: dict[str, PublicKey]
) -> None:
    known = {key.key_id: key for key in keys.values()}
    for file in files:
        if file.kind is Root:
            assert file.envelope.payload.keys.items() <= known.items()
