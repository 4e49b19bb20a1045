"""Every encoding but the one of a valid value is refused, and what is refused is told by the name of the test."""

import unicodedata

import der_samples
import pytest
from cryptography.hazmat import asn1
from der_changes import Change, at, empty, put, repeat, reverse

from uptane.formats.der_format import DER
from uptane.formats.der_objects import (
    SignedAttestation,
    SignedManifest,
    SignedReport,
    SignedRole,
)
from uptane.formats.der_schema import (
    WireCustom,
    WireDelegations,
    WireDigest,
    WireExtension,
    WireGroup,
    WireHash,
    WireMustMatch,
)
from uptane.metadata.errors import FormatError
from uptane.metadata.identifiers import ImagePath
from uptane.metadata.root import Root
from uptane.metadata.targets import Targets
from uptane.metadata.vehicle_manifest import VehicleVersionManifest
from uptane.metadata.version_report import EcuVersionReport

HUGE = 10**9999
WIRE: dict[str, type] = {
    "Root": SignedRole,
    "Timestamp": SignedRole,
    "Snapshot": SignedRole,
    "Targets": SignedRole,
    "TimeAttestation": SignedAttestation,
    "EcuVersionReport": SignedReport,
    "VehicleVersionManifest": SignedManifest,
}


def altered(kind: str, change: Change) -> bytes:
    """A sample in DER with one thing changed on the wire."""
    raw = der_samples.signed(der_samples.payloads()[kind])
    wire = asn1.decode_der(WIRE[kind], raw)
    change(wire)
    changed = asn1.encode_der(wire)
    assert changed != raw
    return changed


# Places in the samples: images.2 has all custom data, delegations.0 to .3 are one role, a group, bins and nothing.
CUSTOM = "signed.body.images.2.custom"
TCU = f"{CUSTOM}.ecus.1"
DELEGATIONS = "signed.body.delegations"
FEWER = WireDigest(function=WireHash.sha256, value=bytes(31))

REFUSED: dict[str, tuple[str, Change]] = {
    "format version 0": ("Root", put("format_version", 0)),
    "format version 2": ("Targets", put("format_version", 2)),
    "a format version of thousands of digits": ("Root", put("format_version", HUGE)),
    "version 0": ("Root", put("signed.version", 0)),
    "a negative version": ("Snapshot", put("signed.version", -1)),
    "a version of 32 bits": ("Timestamp", put("signed.version", 2**31)),
    "a version of thousands of digits": ("Targets", put("signed.version", HUGE)),
    "an expiry after the year 9999": ("Root", put("signed.expires", 253402300800)),
    "an expiry before the year 1": ("Root", put("signed.expires", -62135596801)),
    "an expiry of thousands of digits": ("Root", put("signed.expires", HUGE)),
    "an empty vehicle identifier": ("Root", put("signed.vehicle", "")),
    "a vehicle identifier with a control character": ("Root", put("signed.vehicle", "demo\x00car")),
    "a vehicle identifier with a slash": ("Root", put("signed.vehicle", "../democar")),
    "a vehicle identifier of 300 characters": ("Root", put("signed.vehicle", "v" * 300)),
    "threshold 0": ("Root", put("signed.body.roles.root.threshold", 0)),
    "a negative threshold": ("Root", put("signed.body.roles.targets.threshold", -1)),
    "a threshold above the number of keys": ("Root", put("signed.body.roles.timestamp.threshold", 2)),
    "a threshold of thousands of digits": ("Root", put("signed.body.roles.snapshot.threshold", HUGE)),
    "a role without keys": ("Root", empty("signed.body.roles.root.keyids")),
    "a role that names a key twice": ("Root", repeat("signed.body.roles.snapshot.keyids")),
    "a role that names a key that is not listed": ("Root", put("signed.body.roles.root.keyids.0", bytes(32))),
    "a key id of 31 bytes in a role": ("Root", put("signed.body.roles.root.keyids.0", bytes(31))),
    "keys out of order": ("Root", reverse("signed.body.keys")),
    "a key twice": ("Root", repeat("signed.body.keys")),
    "no keys": ("Root", empty("signed.body.keys")),
    "more keys than allowed": ("Root", at("signed.body.keys", lambda keys: keys.extend(keys[:1] * 1024))),
    "a key id that does not belong to its key": ("Root", put("signed.body.keys.0.keyid", bytes(32))),
    "a key id of 33 bytes": ("Root", put("signed.body.keys.0.keyid", bytes(33))),
    "key material that is no key": ("Root", put("signed.body.keys.0.value", b"no key")),
    "too much key material": ("Root", put("signed.body.keys.0.value", bytes(4097))),
    "empty extensions of Root": ("Root", empty("signed.body.extensions")),
    "extensions out of order": ("Snapshot", reverse("signed.body.extensions")),
    "an extension twice": ("Targets", repeat("signed.body.extensions")),
    "an extension without a name": ("Root", put("signed.body.extensions.0.name", "")),
    "65 extensions": (
        "Root",
        put("signed.body.extensions", [WireExtension(name=f"{i:03}", value=b"") for i in range(65)]),
    ),
    "a Timestamp that lists another file": ("Timestamp", put("signed.body.snapshot.name", "targets.der")),
    "a Timestamp that lists a JSON file": ("Timestamp", put("signed.body.snapshot.name", "snapshot.json")),
    "a Timestamp that lists version 0": ("Timestamp", put("signed.body.snapshot.version", 0)),
    "a negative length": ("Timestamp", put("signed.body.snapshot.length", -1)),
    "a length above 2**53 - 1": ("Timestamp", put("signed.body.snapshot.length", 2**53)),
    "a length of thousands of digits": ("Timestamp", put("signed.body.snapshot.length", HUGE)),
    "an empty list of hashes": ("Timestamp", empty("signed.body.snapshot.hashes")),
    "hashes out of order": ("Timestamp", reverse("signed.body.snapshot.hashes")),
    "a hash function twice": ("Timestamp", repeat("signed.body.snapshot.hashes")),
    "a hash of the wrong length": ("Timestamp", put("signed.body.snapshot.hashes.0", FEWER)),
    "a Snapshot without the Targets file": ("Snapshot", at("signed.body.files", lambda files: files.pop())),
    "a Snapshot whose files are out of order": ("Snapshot", reverse("signed.body.files")),
    "a Snapshot with a file twice": ("Snapshot", repeat("signed.body.files")),
    "a Snapshot with a JSON file": ("Snapshot", put("signed.body.files.2.name", "targets.json")),
    "a Snapshot with a file without a name": ("Snapshot", put("signed.body.files.0.name", ".der")),
    "a Snapshot with a file that leaves its folder": ("Snapshot", put("signed.body.files.0.name", "../a.der")),
    "images out of order": ("Targets", reverse("signed.body.images")),
    "an image twice": ("Targets", repeat("signed.body.images")),
    "an image that leaves its folder": ("Targets", put("signed.body.images.0.file.path", "../a.img")),
    "an image that leaves its folder, encoded": ("Targets", put("signed.body.images.0.file.path", "a/%2e%2e/a.img")),
    "an image with an absolute path": ("Targets", put("signed.body.images.0.file.path", "/etc/passwd")),
    "an image whose path holds NUL": ("Targets", put("signed.body.images.0.file.path", "a\x00.img")),
    "an image whose path has 300 characters": ("Targets", put("signed.body.images.0.file.path", "a/" * 149 + "b")),
    "an image whose path is not in normal form C": (
        "Targets",
        put("signed.body.images.0.file.path", unicodedata.normalize("NFD", "aä.img")),
    ),
    "an image without a path": ("Targets", put("signed.body.images.0.file.path", "")),
    "an image of negative length": ("Targets", put("signed.body.images.0.file.length", -1)),
    "an image without hashes": ("Targets", empty("signed.body.images.0.file.hashes")),
    "an image with a short hash": ("Targets", put("signed.body.images.0.file.hashes.0", FEWER)),
    "empty delegations": ("Targets", put(DELEGATIONS, WireDelegations(keys=[], delegations=[], extensions=None))),
    "keys of delegations out of order": ("Targets", reverse(f"{DELEGATIONS}.keys")),
    "more delegations than allowed": (
        "Targets",
        at(f"{DELEGATIONS}.delegations", lambda all_: all_.extend(all_ * 1024)),
    ),
    "a role that is delegated to twice": ("Targets", repeat(f"{DELEGATIONS}.delegations")),
    "a delegation to a top-level role": ("Targets", put(f"{DELEGATIONS}.delegations.0.roles.0.name", "root")),
    "a delegation to nobody": ("Targets", empty(f"{DELEGATIONS}.delegations.0.roles")),
    "a delegation with threshold 0": ("Targets", put(f"{DELEGATIONS}.delegations.0.roles.0.keys.threshold", 0)),
    "a delegation with a key not listed": (
        "Targets",
        put(f"{DELEGATIONS}.delegations.0.roles.0.keys.keyids", [bytes(32)]),
    ),
    "a delegation with an empty list of paths": ("Targets", empty(f"{DELEGATIONS}.delegations.0.paths")),
    "a delegation with an empty list of prefixes": (
        "Targets",
        empty(f"{DELEGATIONS}.delegations.2.path_hash_prefixes"),
    ),
    "a delegation with paths and prefixes": ("Targets", put(f"{DELEGATIONS}.delegations.0.path_hash_prefixes", ["0"])),
    "a delegation whose pattern leaves its folder": ("Targets", put(f"{DELEGATIONS}.delegations.0.paths.0", "../*")),
    "a hash prefix in upper case": ("Targets", put(f"{DELEGATIONS}.delegations.2.path_hash_prefixes.0", "A")),
    "a delegation to several roles without a group": ("Targets", put(f"{DELEGATIONS}.delegations.1.group", None)),
    "a delegation to one role with a group": (
        "Targets",
        put(f"{DELEGATIONS}.delegations.0.group", WireGroup(name="g", min_roles_in_agreement=1)),
    ),
    "agreement of no role": ("Targets", put(f"{DELEGATIONS}.delegations.1.group.min_roles_in_agreement", 0)),
    "agreement of more roles than there are": (
        "Targets",
        put(f"{DELEGATIONS}.delegations.1.group.min_roles_in_agreement", HUGE),
    ),
    "empty extensions of a delegation": ("Targets", empty(f"{DELEGATIONS}.delegations.0.extensions")),
    "an attestation with a negative nonce": ("TimeAttestation", put("signed.nonces.0", -1)),
    "an attestation with a nonce of 32 bits": ("TimeAttestation", put("signed.nonces.0", 2**31)),
    "an attestation with 1025 nonces": ("TimeAttestation", put("signed.nonces", [1] * 1025)),
    "an attestation of a time out of range": ("TimeAttestation", put("signed.time", 2**63)),
    "empty extensions of an attestation": ("TimeAttestation", empty("signed.extensions")),
    "a report of no ECU": ("EcuVersionReport", put("signed.ecu", "")),
    "a report with counter 0": ("EcuVersionReport", put("signed.counter", 0)),
    "a report with a counter of 64 bits": ("EcuVersionReport", put("signed.counter", 2**63)),
    "a report with a nonce of thousands of digits": ("EcuVersionReport", put("signed.nonce", HUGE)),
    "a report with control characters": ("EcuVersionReport", put("signed.attacks_detected", "none\x1b[2J")),
    "a report with too long a description": ("EcuVersionReport", put("signed.attacks_detected", "x" * 1025)),
    "a report of a time out of range": ("EcuVersionReport", put("signed.previous_time", -(2**60))),
    "a signature over a hash of the wrong length": ("EcuVersionReport", put("signatures.0.digest", bytes(63))),
    "a manifest whose reports are out of order": ("VehicleVersionManifest", reverse("signed.reports")),
    "a manifest with a report twice": ("VehicleVersionManifest", repeat("signed.reports")),
    "a manifest with 1025 reports": (
        "VehicleVersionManifest",
        at("signed.reports", lambda reports: reports.extend(reports[:1] * 1025)),
    ),
    "a manifest with counter 0": ("VehicleVersionManifest", put("signed.counter", 0)),
    "a manifest with something else among its reports": (
        "VehicleVersionManifest",
        put("signed.reports.0", asn1.decode_der(asn1.TLV, b"\x05\x00")),
    ),
    "a manifest with a role among its reports": (
        "VehicleVersionManifest",
        put("signed.reports.0", asn1.decode_der(asn1.TLV, der_samples.signed(der_samples.timestamp()))),
    ),
    "a manifest with a manifest among its reports": (
        "VehicleVersionManifest",
        put("signed.reports.0", asn1.decode_der(asn1.TLV, der_samples.signed(der_samples.manifest()))),
    ),
    "two signatures by one key": ("Root", repeat("signatures")),
    "two signatures over a hash by one key": ("EcuVersionReport", repeat("signatures")),
    "65 signatures": ("Root", at("signatures", lambda entries: entries.extend(entries[:1] * 63))),
    "a signature of 2049 bytes": ("Root", put("signatures.0.value", bytes(2049))),
    "a signature whose key id has 20 bytes": ("Root", put("signatures.0.keyid", bytes(20))),
}


@pytest.mark.standard("STD-5.2.1-1", "STD-5.2.1-2", "STD-5.2.1-7", "STD-5.2.2-2", "STD-5.2.2-3", "STD-5.2.3.1-3")
@pytest.mark.standard("STD-5.2.3.1-4", "STD-5.2.3.1-5", "STD-5.2.3.2-4", "STD-5.2.3.2-5", "STD-5.2.3.2-9")
@pytest.mark.standard("STD-5.2.3.2-10", "STD-5.2.3.2-11", "STD-5.2.4-1", "STD-5.2.5-1", "STD-5.2.5-2")
@pytest.mark.parametrize("what", REFUSED)
def test_refused_is(what: str) -> None:
    kind, change = REFUSED[what]
    with pytest.raises(FormatError):
        der_samples.decode(der_samples.payloads()[kind], altered(kind, change))


CUSTOM_REFUSED: dict[str, Change] = {
    "empty custom data": put(CUSTOM, WireCustom(must_match=None, ecus=None, url=None, extensions=None)),
    "an empty mustMatch": put(
        f"{CUSTOM}.must_match", WireMustMatch(release_counter=None, hardware_ids=None, extensions=None)
    ),
    "empty extensions of mustMatch": empty(f"{CUSTOM}.must_match.extensions"),
    "empty extensions of custom data": empty(f"{CUSTOM}.extensions"),
    "a negative release counter": put(f"{CUSTOM}.must_match.release_counter", -1),
    "a release counter of thousands of digits": put(f"{CUSTOM}.must_match.release_counter", HUGE),
    "an empty list of hardware identifiers": empty(f"{CUSTOM}.must_match.hardware_ids"),
    "hardware identifiers out of order": reverse(f"{CUSTOM}.must_match.hardware_ids"),
    "a hardware identifier twice": repeat(f"{CUSTOM}.must_match.hardware_ids"),
    "an empty list of ECUs": empty(f"{CUSTOM}.ecus"),
    "ECUs out of order": reverse(f"{CUSTOM}.ecus"),
    "an ECU twice": repeat(f"{CUSTOM}.ecus"),
    "an ECU with a slash": put(f"{TCU}.ecu", "T/CU"),
    "empty extensions of an ECU": empty(f"{TCU}.extensions"),
    "an empty hardware identifier": put(f"{TCU}.hardware_id", ""),
    "an encrypted image that leaves its folder": put(f"{TCU}.encrypted.file.path", "../x"),
    "an encrypted image without hashes": empty(f"{TCU}.encrypted.file.hashes"),
    "an encrypted image without a method": put(f"{TCU}.encrypted.method", ""),
    "empty extensions of an encrypted image": empty(f"{TCU}.encrypted.extensions"),
    "a wrapped key without a method": put(f"{TCU}.encrypted.wrapped_key.method", ""),
    "an empty URL": put(f"{CUSTOM}.url", ""),
    "a URL with a line break": put(f"{CUSTOM}.url", "https://example.com\n"),
}


@pytest.mark.standard("STD-5.2.3.1.1-5")
@pytest.mark.parametrize("what", CUSTOM_REFUSED)
def test_refused_when_the_image_is_looked_up_is(what: str) -> None:
    images = DER.decode(Targets, altered("Targets", CUSTOM_REFUSED[what])).payload.images
    with pytest.raises(FormatError):
        images[ImagePath("tcu/firmware.img")]


@pytest.mark.standard("STD-5.2.1-5", "STD-5.2.1-9")
@pytest.mark.parametrize("offered", der_samples.payloads())
@pytest.mark.parametrize("expected", der_samples.payloads())
def test_one_kind_of_object_is_refused_in_place_of_another(offered: str, expected: str) -> None:
    samples = der_samples.payloads()
    raw = der_samples.signed(samples[offered])
    if offered == expected:
        assert type(der_samples.decode(samples[expected], raw).payload).__name__ == offered
        return
    with pytest.raises(FormatError) as caught:
        der_samples.decode(samples[expected], raw)
    assert caught.value.facts["field"] == "type"


def test_a_key_and_a_map_are_refused_in_place_of_a_signed_object_and_of_each_other() -> None:
    key, repository_map = DER.encode_key(der_samples.ed25519_key(1)), DER.encode_map(der_samples.repository_map())
    for sample in der_samples.payloads().values():
        for raw in (key, repository_map):
            with pytest.raises(FormatError):
                der_samples.decode(sample, raw)
        for decode in (DER.decode_key, DER.decode_map):
            with pytest.raises(FormatError):
                decode(der_samples.signed(sample))
    with pytest.raises(FormatError):
        DER.decode_key(repository_map)
    with pytest.raises(FormatError):
        DER.decode_map(key)


def test_foreign_errors_stand_behind_a_format_error_as_its_cause() -> None:
    with pytest.raises(FormatError) as caught:
        DER.decode(Root, b"{}")
    assert isinstance(caught.value.__cause__, ValueError)
    assert caught.value.next_step


def test_a_report_in_place_of_a_manifest_is_told_apart_by_name() -> None:
    with pytest.raises(FormatError) as caught:
        DER.decode(VehicleVersionManifest, der_samples.signed(der_samples.report()))
    assert "SignedReport" in caught.value.what
    with pytest.raises(FormatError):
        DER.decode(EcuVersionReport, der_samples.signed(der_samples.manifest()))
