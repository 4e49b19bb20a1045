"""Advisories on decoding: whatever bytes come, one of our errors comes out, soon, and before anything is believed."""

import json
import os
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from der_bytes import tlv
from der_changes import put
from hypothesis import given, settings
from hypothesis import strategies as st
from signed import signed_manifest, signed_report
from stage import PLACES, READERS, Place, Stage, every
from wire import HUGE, elements, signed_again
from world import DIRECTOR, PRIMARY, TCU

from uptane.cli.main import main
from uptane.formats.profile import KINDS, Profile
from uptane.formats.profiles import PROFILES
from uptane.metadata.attacks import Attack
from uptane.metadata.errors import EndlessDataError, FormatError, UptaneError
from uptane.metadata.keys import KeyType
from uptane.metadata.root import Role
from uptane.metadata.time_attestation import TimeAttestation
from uptane.metadata.vehicle_manifest import VehicleVersionManifest
from uptane.metadata.version_report import EcuVersionReport
from uptane.storage.key_files import KeyFolder

LATER = 10**18
GENEROUS_SECONDS = 10.0
"""Far above what a refusal takes on a busy machine, far below what a quadratic one would."""

SHAPES: dict[str, dict[str, bytes]] = {
    "empty": {"json": b"", "der": b""},
    "a container of nothing": {"json": b"{}", "der": b"\x30\x00"},
    "a list": {"json": b"[[],{}]", "der": b"\x30\x04\x31\x00\x30\x00"},
    "nothing in its place": {"json": b'{"signatures":[],"signed":null}', "der": b"\x30\x05\x02\x01\x01\x05\x00"},
    "no member": {"json": b'{"signatures":[],"signed":{}}', "der": b"\x30\x07\x02\x01\x01\xa0\x00\x30\x00"},
    "deep": {"json": b"[" * 8000, "der": b"\x30\x82\x7f\xff" * 2000},
}
shapes = pytest.mark.parametrize("shape", SHAPES)


@every(PLACES)
def test_cve_2026_23991_a_file_of_a_wrong_shape_is_a_format_error(profile: Profile, place: Place, reader: str) -> None:
    stage = Stage(profile, reader)
    for shape in list(SHAPES.values())[:: 1 if reader == "primary" else 2]:
        with stage.refuses(FormatError, None):
            stage.show(*place, shape[profile.format.name])


@shapes
def test_cve_2026_23991_a_report_manifest_or_attestation_of_a_wrong_shape_is_a_format_error(
    profile: Profile, shape: str
) -> None:
    stage = Stage(profile)
    raw = SHAPES[shape][profile.format.name]
    if len(raw) < 5000:
        stage.refuses_report(raw, FormatError, None)
    stage.refuses_manifest(raw, FormatError, None)
    for stage.reader in READERS if raw else ():
        with stage.refuses(FormatError, None):
            stage.attest(raw)
    for decode in (profile.format.decode_key, profile.format.decode_map):
        with pytest.raises(FormatError):
            decode(raw)


@pytest.mark.parametrize("format_name", ["json", "der"])
@given(data=st.data())
@settings(max_examples=60)
def test_cve_2026_23991_no_change_of_a_signed_object_ends_in_anything_but_a_format_error(
    format_name: str, data: st.DataObject
) -> None:
    """Any value in the place of any member of JSON; any element of DER in the place of any other."""
    profile = PROFILES[format_name]
    kind = data.draw(st.sampled_from([*KINDS.values(), TimeAttestation, EcuVersionReport, VehicleVersionManifest]))
    raw = samples(format_name)[kind]
    raw = other_member(raw, data) if format_name == "json" else other_element(raw, data)
    try:
        profile.format.decode(kind, raw)  # type: ignore[type-var]
    except UptaneError as error:
        assert type(error) is FormatError


@cache
def samples(format_name: str) -> dict[type, bytes]:
    """A well-formed object of every kind that is signed."""
    stage = Stage(PROFILES[format_name])
    fleet, car = stage.fleet, stage.car
    found: dict[type, bytes] = {kind: fleet.file(DIRECTOR, role) for role, kind in KINDS.items()}
    found[TimeAttestation] = fleet.timeserver.attest([1, 2], fleet.now)
    found[VehicleVersionManifest] = car.primary.make_manifest()
    found[EcuVersionReport] = car.secondary.make_report().raw
    return found


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)


def other_member(raw: bytes, data: st.DataObject) -> bytes:
    whole = value = json.loads(raw)
    while True:
        places = list(value) if isinstance(value, dict) else list(range(len(value)))
        place = data.draw(st.sampled_from(places))
        below = value[place]
        if isinstance(below, dict | list) and below and data.draw(st.booleans()):
            value = below
            continue
        value[place] = data.draw(VALUES)
        return json.dumps(whole).encode()


def other_element(raw: bytes, data: st.DataObject) -> bytes:
    found: list[bytes] = []

    def collect(part: bytes) -> None:
        found.append(part)
        if part[0] & 0x20:
            for inner in elements(content(part)):
                collect(inner)

    collect(raw)
    old = data.draw(st.sampled_from(found))
    new = data.draw(st.sampled_from(found) | st.builds(tlv, st.integers(0, 255), st.binary(max_size=9)))
    return swap(raw, old, new)


def content(raw: bytes) -> bytes:
    return raw[2:] if raw[1] < 128 else raw[2 + raw[1] - 128 :]


def swap(raw: bytes, old: bytes, new: bytes) -> bytes:
    if raw == old:
        return new
    if not raw[0] & 0x20:
        return raw
    return tlv(raw[0], *(swap(part, old, new) for part in elements(content(raw))))


def test_cve_2026_23991_the_command_line_tells_a_wrong_shape_and_ends_with_1(
    profile: Profile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for shape in SHAPES.values():
        (tmp_path / "file").write_bytes(shape[profile.format.name])
        assert main(["metadata", "show", str(tmp_path / "file")]) == 1
        assert "Traceback" not in capsys.readouterr().err


AMBIGUOUS: dict[str, dict[str, Callable[[bytes], bytes]]] = {
    "something behind it": {"json": lambda raw: raw + b"x", "der": lambda raw: raw + b"\0"},
    "a longer spelling of it": {
        "json": lambda raw: b"\xef\xbb\xbf" + raw,
        "der": lambda raw: raw[:1] + b"\x83\0" + raw[2:4] + raw[4:] if raw[1] == 0x82 else raw[:1] + b"\x81" + raw[1:],
    },
    "one member twice": {
        "json": lambda raw: raw[:-1] + b',"signed":{}}',
        "der": lambda raw: tlv(0x30, elements(content(raw))[0], content(raw)),
    },
    "an open end": {"json": lambda raw: raw[:-1], "der": lambda raw: raw[:1] + b"\x80" + content(raw) + b"\0\0"},
    "a number in another spelling": {
        "json": lambda raw: raw.replace(b'"version":', b'"version":0', 1),
        "der": lambda raw: tlv(0x30, b"\x02\x02\x00\x01", *elements(content(raw))[1:]),
    },
}


@every(PLACES, READERS[:1])
def test_cve_2016_2108_a_file_has_one_encoding_and_no_other_is_taken(
    profile: Profile, place: Place, reader: str
) -> None:
    """BER that is no DER, and JSON that two readers read in two ways, around good signatures."""
    stage = Stage(profile, reader)
    for change in AMBIGUOUS.values():
        with stage.refuses(FormatError, None):
            stage.show(*place, change[profile.format.name](stage.forged(*place)))


@pytest.mark.parametrize("how", ["something behind it", "a longer spelling of it", "one member twice", "an open end"])
def test_cve_2016_2108_a_report_manifest_or_attestation_has_one_encoding(profile: Profile, how: str) -> None:
    stage = Stage(profile)
    change = AMBIGUOUS[how][profile.format.name]
    report = signed_report(profile, stage.car.tcu.device.signer, TCU, counter=LATER)
    stage.refuses_report(change(report), FormatError, None)
    own = signed_report(profile, stage.car.device.signer, PRIMARY, counter=LATER)
    stage.refuses_manifest(
        change(signed_manifest(profile, stage.car.device.signer, own, counter=LATER)), FormatError, None
    )
    for stage.reader in READERS:
        with stage.refuses(FormatError, None):
            stage.attest(change(stage.fleet.timeserver.attest([stage.nonce], stage.fleet.now)))
    key = profile.format.encode_key(stage.fleet.time_key.key)
    with pytest.raises(FormatError):
        profile.format.decode_key(change(key) if how != "one member twice" else key[:-1] + b',"scheme":"ed25519"}')


@every(PLACES, READERS[:1])
def test_x41_2022_a_version_of_a_million_digits_is_refused_fast(profile: Profile, place: Place, reader: str) -> None:
    """Reading so many digits as a number takes time that grows with their square; some files may not be so long."""
    stage = Stage(profile, reader)
    too_long = place[1] == Role.TIMESTAMP or (place[1] == Role.ROOT and profile.format.name == "json")
    huge = int.from_bytes(b"\x7f" * 400_000, "big")
    started = time.monotonic()
    with stage.refuses(*((EndlessDataError, Attack.ENDLESS_DATA) if too_long else (FormatError, None))):
        raw = signed_again(
            profile,
            stage.forged(*place),
            stage.signers(*place),
            text=lambda signed: signed.update(version=HUGE),
            der=put("signed.version", huge),
        )
        stage.show(*place, raw)
    assert time.monotonic() - started < GENEROUS_SECONDS


@pytest.mark.parametrize("key_type", KeyType)
def test_x41_2022_a_private_key_is_its_owners_alone_whatever_the_umask(tmp_path: Path, key_type: KeyType) -> None:
    """The private key; everything that a vehicle's memory holds is tested with that memory."""
    before = os.umask(0)
    try:
        KeyFolder(tmp_path / "keys").load_or_generate("director", key_type)
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "keys").iterdir()}
    assert modes == {"director": 0o600, "director.pub": 0o644}
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
