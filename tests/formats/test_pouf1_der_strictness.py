"""The archived DER is read in exactly the form that is written: no other count, order, type or part."""

from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat import asn1
from der_bytes import number, tlv
from der_changes import Change, at, empty, put, repeat, reverse
from pouf1_samples import (
    ATTACKS,
    attestation,
    decode,
    manifest,
    public_key,
    report,
    root,
    sign,
    snapshot,
    targets,
    timestamp,
)

from uptane.formats.pouf1.der import POUF1
from uptane.formats.pouf1.der_fields import enumerated, visible_string
from uptane.formats.pouf1.der_schema import (
    AssembledClientObject,
    SignedRole,
    WireAttestation,
    WireManifest,
    WireReport,
    WireReportOfAttack,
    WireRoleType,
)
from uptane.formats.profile import Payload
from uptane.metadata.errors import FormatError
from uptane.metadata.root import Root
from uptane.metadata.targets import Targets
from uptane.metadata.time_attestation import TimeAttestation
from uptane.metadata.version_report import EcuVersionReport

CLIENT = {"report": WireReport, "attack": WireReportOfAttack, "manifest": WireManifest, "time": WireAttestation}


def swap(path: str, first: int, second: int) -> Change:
    def change(entries: Any) -> None:
        entries[first], entries[second] = entries[second], entries[first]

    return at(path, change)


ROLES: list[tuple[str, Payload, Change]] = [
    ("a number of signatures that is too high", timestamp(), put("number_of_signatures", 2)),
    ("a number of signatures that is too low", timestamp(), put("number_of_signatures", 0)),
    ("a signature by RSA", timestamp(), put("signatures.0.method", enumerated(0))),
    (
        "a method that is an INTEGER",
        timestamp(),
        put("signatures.0.method", asn1.decode_der(asn1.TLV, b"\x02\x01\x01")),
    ),
    ("a method of two bytes", timestamp(), put("signatures.0.method", asn1.decode_der(asn1.TLV, b"\x0a\x02\x00\x01"))),
    ("a short key identifier", timestamp(), put("signatures.0.keyid", bytes(31))),
    ("a role that calls itself another", timestamp(), put("signed.type", WireRoleType.ROOT)),
    ("a time of none", timestamp(), put("signed.expires", 0)),
    ("a time before 1970", timestamp(), put("signed.expires", -1)),
    ("a time after 2106", timestamp(), put("signed.expires", 2**32)),
    ("a version of none", timestamp(), put("signed.version", 0)),
    ("a huge version", timestamp(), put("signed.version", 2**200)),
    ("another file in Timestamp", timestamp(), put("signed.body.filename", "root.der")),
    ("the file of another format", timestamp(), put("signed.body.filename", "snapshot.json")),
    ("a number of hashes", timestamp(), put("signed.body.number_of_hashes", 2)),
    ("no hash", timestamp(), empty("signed.body.hashes")),
    ("a negative length", timestamp(), put("signed.body.length", -1)),
    ("three keys of four", root(), at("signed.body.keys", lambda keys: keys.pop())),
    ("a number of keys", root(), put("signed.body.number_of_keys", 3)),
    ("a number of roles", root(), put("signed.body.number_of_roles", 5)),
    ("a fifth role", root(), repeat("signed.body.roles")),
    ("keys in another order", root(), swap("signed.body.keys", 1, 2)),
    ("roles in another order", root(), swap("signed.body.roles", 1, 2)),
    ("roles backwards", root(), reverse("signed.body.roles")),
    ("a key of two roles", root(), at("signed.body.keys", lambda keys: keys.__setitem__(1, keys[0]))),
    ("a threshold of two", root(), put("signed.body.roles.0.threshold", 2)),
    ("a threshold of none", root(), put("signed.body.roles.0.threshold", 0)),
    ("a number of key identifiers", root(), put("signed.body.roles.0.number_of_keyids", 2)),
    ("two key identifiers", root(), repeat("signed.body.roles.0.keyids")),
    ("the key of another role", root(), put("signed.body.roles.0.keyids.0", bytes.fromhex(public_key(9).key_id))),
    ("a key that is RSA", root(), put("signed.body.keys.0.key_type", enumerated(0))),
    ("a key in ASCII", root(), put("signed.body.keys.3.value", public_key(4).text.encode())),
    ("another key", root(), put("signed.body.keys.0.value", public_key(9).material)),
    ("a number of images", targets(), put("signed.body.number_of_targets", 2)),
    ("images in another order", targets(), reverse("signed.body.targets")),
    ("an image twice", targets(), repeat("signed.body.targets")),
    ("no slash", targets(), put("signed.body.targets.0.target.filename", "BCU1.1.txt")),
    ("two slashes", targets(), put("signed.body.targets.0.target.filename", "//BCU1.1.txt")),
    ("a name beyond ASCII", targets(), put("signed.body.targets.0.target.filename", "/Ä")),
    ("a name with a line end", targets(), put("signed.body.targets.0.target.filename", "/A\n")),
    ("a negative length of an image", targets(), put("signed.body.targets.0.target.length", -1)),
    ("hashes in another order", targets(), reverse("signed.body.targets.0.target.hashes")),
    ("SHA-224", targets(), put("signed.body.targets.0.target.hashes.0.function", enumerated(0))),
    ("SHA-384", targets(), put("signed.body.targets.0.target.hashes.0.function", enumerated(2))),
    ("a short hash", targets(), put("signed.body.targets.0.target.hashes.0.digest", bytes(31))),
    ("an ECU beyond ASCII", targets(), put("signed.body.targets.0.custom.ecu", "Ä")),
    ("an ECU without a name", targets(), put("signed.body.targets.0.custom.ecu", "")),
    ("a number of files", snapshot(), put("signed.body.number_of_files", 1)),
    ("files in another order", snapshot(), reverse("signed.body.files")),
    ("a file of another format", snapshot(), put("signed.body.files.0.filename", "role1.json")),
    ("Root among the Targets files", snapshot(), put("signed.body.files.0.filename", "root.der")),
    ("no Targets file", snapshot(), put("signed.body.files.1.filename", "tbrgets.der")),
    ("another Root entry", snapshot(), put("signed.body.root.filename", "boot.der")),
]
OBJECTS: list[tuple[str, Payload, str, Change]] = [
    ("a number of tokens", attestation(1, 2), "time", put("number_of_tokens", 1)),
    ("a token of 32 bits", attestation(1), "time", put("tokens.0", 2**31)),
    ("a time of none", attestation(1), "time", put("timestamp", 0)),
    ("a time before 1970", report(), "report", put("previous_time", -5)),
    ("an ECU in UTF-8", report(), "report", put("ecu", asn1.decode_der(asn1.TLV, b"\x0c\x01a"))),
    ("an ECU beyond ASCII", report(), "report", put("ecu", asn1.decode_der(asn1.TLV, b"\x1a\x01\xc4"))),
    ("an ECU with a line end", report(), "report", put("ecu", visible_string("a\nb"))),
    ("an image without a slash", report(), "report", put("installed.filename", visible_string("a.img"))),
    ("a number of hashes", report(), "report", put("installed.number_of_hashes", 0)),
    ("an empty attack", report(attacks="x"), "attack", put("attack", visible_string(""))),
    ("an attack with a tabulator", report(attacks="x"), "attack", put("attack", visible_string("a\tb"))),
    ("a number of reports", manifest(POUF1, report()), "manifest", put("number_of_reports", 2)),
    ("reports in another order", manifest(POUF1, report("a"), report("b")), "manifest", reverse("reports")),
    ("what is no report", manifest(POUF1, report()), "manifest", put("reports.0", enumerated(1))),
]


@pytest.mark.parametrize(("payload", "change"), [each[1:] for each in ROLES], ids=[each[0] for each in ROLES])
def test_a_role_is_refused_with(payload: Payload, change: Change) -> None:
    raw = sign(POUF1, payload)
    wire = asn1.decode_der(SignedRole, raw)
    assert asn1.encode_der(wire) == raw
    change(wire)
    with pytest.raises(FormatError):
        decode(POUF1, payload, asn1.encode_der(wire))


@pytest.mark.parametrize(
    ("payload", "kind", "change"), [each[1:] for each in OBJECTS], ids=[each[0] for each in OBJECTS]
)
def test_a_client_object_is_refused_with(payload: Payload, kind: str, change: Change) -> None:
    whole = asn1.decode_der(AssembledClientObject, sign(POUF1, payload))
    wire = asn1.decode_der(CLIENT[kind], asn1.encode_der(whole.signed))
    assert asn1.encode_der(wire) == asn1.encode_der(whole.signed)
    change(wire)
    whole.signed = asn1.decode_der(asn1.TLV, asn1.encode_der(wire))
    with pytest.raises(FormatError):
        decode(POUF1, payload, asn1.encode_der(whole))


UNSIGNED_ROLE = number(0, 0x81) + tlv(0xA2)
UNSIGNED = number(0) + tlv(0x30)


def targets_of(*more: bytes, entry: tuple[bytes, ...] = ()) -> bytes:
    """Targets metadata by hand: one image where there is an entry, and more parts behind the list."""
    sha256 = tlv(0x30, number(1, 0x0A), tlv(0x04, bytes(32)))
    image = tlv(0xA0, tlv(0x80, b"/a.img"), number(5, 0x81), number(1, 0x82), tlv(0xA3, sha256))
    images = (number(1, 0x80), tlv(0xA1, tlv(0x30, image, *entry))) if entry else (number(0, 0x80), tlv(0xA1))
    head = number(1, 0x80) + number(2_000_000_000, 0x81) + number(1, 0x82)
    return tlv(0x30, tlv(0xA0, head, tlv(0xA3, tlv(0xA1, *images, *more))), UNSIGNED_ROLE)


def report_of(*attack: bytes, tail: bytes = b"") -> bytes:
    sha256 = tlv(0x30, number(1, 0x0A), tlv(0x04, bytes(32)))
    installed = tlv(0x30, tlv(0x1A, b"/a.img"), number(5), number(1), tlv(0x30, sha256))
    return tlv(0x30, tlv(0x30, tlv(0x1A, b"TCU"), number(1000), number(2000), *attack, installed, tail), UNSIGNED)


def test_what_is_made_by_hand_is_read_so_that_the_refusals_below_have_one_reason() -> None:
    assert not POUF1.decode(Targets, targets_of()).payload.images
    (image,) = POUF1.decode(Targets, targets_of(entry=(tlv(0xA1, tlv(0x82, b"TCU")),))).payload.images.values()
    assert list(image.custom.ecus) == ["TCU"]
    assert POUF1.decode(EcuVersionReport, report_of()).payload.attacks_detected == ""
    attack = tlv(0x1A, ATTACKS.encode())
    assert POUF1.decode(EcuVersionReport, report_of(attack)).payload.attacks_detected == ATTACKS


PARTS: dict[str, tuple[type[Any], bytes]] = {
    "delegations": (Targets, targets_of(tlv(0xA2, number(0, 0x80), tlv(0xA1), number(0, 0x82), tlv(0xA3)))),
    "an unknown part": (Targets, targets_of(number(1, 0x85))),
    "custom data without an ECU": (Targets, targets_of(entry=(tlv(0xA1),))),
    "a release counter": (Targets, targets_of(entry=(tlv(0xA1, number(1, 0x80), tlv(0x82, b"TCU")),))),
    "a hardware identifier": (Targets, targets_of(entry=(tlv(0xA1, tlv(0x81, b"h"), tlv(0x82, b"TCU")),))),
    "an encrypted image": (Targets, targets_of(entry=(tlv(0xA1, tlv(0x82, b"TCU"), tlv(0xA3)),))),
    "an empty attack": (EcuVersionReport, report_of(tlv(0x1A))),
    "two attacks": (EcuVersionReport, report_of(tlv(0x1A, b"a"), tlv(0x1A, b"b"))),
    "a part behind the image": (EcuVersionReport, report_of(tail=number(1))),
    "a length of more bytes than needed": (EcuVersionReport, report_of(b"\x1a\x81\x01a")),
    "an INTEGER of more bytes than needed": (
        TimeAttestation,
        tlv(0x30, tlv(0x30, b"\x02\x02\x00\x00", tlv(0x30), number(5)), UNSIGNED),
    ),
    "a payload of another tag": (TimeAttestation, tlv(0x30, tlv(0xA1, number(0), tlv(0x30), number(5)), UNSIGNED)),
    "the counts of a role": (TimeAttestation, tlv(0x30, tlv(0x30, number(0), tlv(0x30), number(5)), UNSIGNED_ROLE)),
    "signatures in a SET": (
        TimeAttestation,
        tlv(0x30, tlv(0x30, number(0), tlv(0x30), number(5)), number(0), tlv(0x31)),
    ),
    "a role in an indefinite length": (Root, b"\x30\x80" + targets_of()[2:] + b"\0\0"),
}


@pytest.mark.parametrize("part", PARTS)
def test_an_object_made_by_hand_is_refused_with(part: str) -> None:
    kind, raw = PARTS[part]
    with pytest.raises(FormatError):
        POUF1.decode(kind, raw)


def test_an_attack_in_a_manifest_is_refused() -> None:
    def manifest_of(*attack: bytes) -> bytes:
        return tlv(0x30, tlv(0x30, tlv(0x1A, b"v"), tlv(0x1A, b"p"), number(0), tlv(0x30), *attack), UNSIGNED)

    kind = type(manifest(POUF1))
    assert POUF1.decode(kind, manifest_of()).payload.reports == ()
    with pytest.raises(FormatError):
        POUF1.decode(kind, manifest_of(tlv(0x1A, b"attack")))


def test_manifests_in_the_place_of_reports_are_refused_at_the_first() -> None:
    inner = tlv(0x30, tlv(0x30, tlv(0x1A, b"v"), tlv(0x1A, b"p"), number(0), tlv(0x30)), UNSIGNED)
    for _ in range(2000):
        inner = tlv(0x30, tlv(0x30, tlv(0x1A, b"v"), tlv(0x1A, b"p"), number(1), tlv(0x30, inner)), UNSIGNED)
    with pytest.raises(FormatError, match="a VehicleVersionManifest where a EcuVersionReport was expected"):
        POUF1.decode(type(manifest(POUF1)), inner)


def test_a_root_whose_key_is_written_in_hexadecimal_digits_is_refused_though_it_would_verify() -> None:
    """Two files of the archived implementation's own tests have such a key; their signatures are good."""
    whole = asn1.decode_der(SignedRole, sign(POUF1, root()))
    whole.signed.body.keys[3].value = public_key(4).text.encode()
    with pytest.raises(FormatError, match="ed25519 key"):
        POUF1.decode(Root, asn1.encode_der(whole))


BEHIND: dict[str, Callable[[bytes], bytes]] = {
    "a zero": lambda raw: raw + b"\0",
    "a NULL": lambda raw: raw + b"\x05\0",
    "the object again": lambda raw: raw + raw,
}


@pytest.mark.parametrize("what", BEHIND)
def test_an_object_is_refused_with_something_behind_it(what: str) -> None:
    for payload in (root(), report(), attestation()):
        with pytest.raises(FormatError):
            decode(POUF1, payload, BEHIND[what](sign(POUF1, payload)))
