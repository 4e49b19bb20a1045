"""Bytes that are not strict DER, keys and maps that are not right, and values that DER does not write."""

from typing import Any

import der_samples
import pytest
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from der_changes import Change, empty, put, repeat, reverse
from msgspec import structs

from uptane.formats.der_format import DER
from uptane.formats.der_objects import KeyFile, MapFile
from uptane.formats.der_schema import WireKeyType, WireScheme
from uptane.formats.profile import Payload, Unsigned
from uptane.metadata.envelope import Signature
from uptane.metadata.errors import FormatError
from uptane.metadata.identifiers import ImagePath, KeyId

# A Timestamp, byte by byte: SEQUENCE, INTEGER 1, [0] { INTEGER 1, INTEGER 0, [2] { ... } }, SEQUENCE {}.
BODY = bytes.fromhex("a214 3012 0c0c 736e617073686f742e646572 020105".replace(" ", ""))
BODY = BODY[:1] + bytes([len(BODY) - 2]) + BODY[2:3] + bytes([len(BODY) - 4]) + BODY[4:]


def tiny(
    *,
    version: str = "020101",
    payload_version: str = "020101",
    expires: str = "020100",
    body: bytes = BODY,
    signatures: str = "3000",
    outer: str = "30{:02x}",
) -> bytes:
    """A small signed Timestamp from its pieces in hexadecimal."""
    role = bytes.fromhex(payload_version + expires) + body
    content = bytes.fromhex(version) + bytes([0xA0, len(role)]) + role + bytes.fromhex(signatures)
    return bytes.fromhex(outer.format(len(content))) + content


def test_the_tiny_timestamp_is_read() -> None:
    sample = der_samples.timestamp()
    envelope = der_samples.decode(sample, tiny())
    assert envelope.payload.version == 1
    assert envelope.signatures == ()


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(tiny(outer="3081{:02x}"), id="a length in more bytes than needed"),
        pytest.param(tiny(outer="308200{:02x}"), id="a length padded with zero"),
        pytest.param(tiny(outer="3080") + b"\0\0", id="an indefinite length"),
        pytest.param(tiny(outer="31{:02x}"), id="a SET for the SEQUENCE"),
        pytest.param(tiny(outer="10{:02x}"), id="a primitive SEQUENCE"),
        pytest.param(tiny(version="02020001"), id="a padded format version"),
        pytest.param(tiny(version="0200"), id="a format version without a byte"),
        pytest.param(tiny(version=""), id="no format version"),
        pytest.param(tiny(version="0a0101"), id="an ENUMERATED format version"),
        pytest.param(tiny(payload_version="02020001"), id="a padded version"),
        pytest.param(tiny(payload_version="02810101"), id="a version with a padded length"),
        pytest.param(tiny(payload_version="0101ff"), id="a BOOLEAN as version"),
        pytest.param(tiny(payload_version="0c0131"), id="text as version"),
        pytest.param(tiny(expires="0202ff80"), id="a padded negative expiry"),
        pytest.param(tiny(expires="170d3330303130313030303030305a"), id="a UTCTime as expiry"),
        pytest.param(tiny(signatures=""), id="no signatures element"),
        pytest.param(tiny(signatures="30000500"), id="an element more"),
        pytest.param(tiny(signatures="3100"), id="a SET of signatures"),
        pytest.param(tiny(body=BODY + b"\xaf\x00"), id="an unknown element behind the body"),
        pytest.param(tiny(body=b"\xa5" + BODY[1:]), id="an unknown role"),
        pytest.param(tiny(body=BODY.replace(b"\x0c\x0csnap", b"\x13\x0csnap")), id="a PrintableString as name"),
        pytest.param(tiny(body=BODY.replace(b"snapshot", b"snaps\xffot")), id="a name that is not UTF-8"),
        pytest.param(tiny(body=BODY.replace(b"snapshot", b"snap\xed\xa0\x80t")), id="a surrogate in a name"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"{}", id="JSON"),
        pytest.param(b"\x30\x84\xff\xff\xff\xff", id="a length of four gigabytes"),
        pytest.param(b"\x30\x88" + b"\xff" * 8, id="a length beyond all memory"),
        pytest.param(b"\x30\x80" * 5000, id="five thousand levels"),
        pytest.param(b"\x30\x04\xa0\x02\x30\x00", id="an object of an older format"),
        pytest.param(b"\x30\x02\x30\x00", id="an object without format version"),
    ],
)
def test_bytes_that_are_not_strict_der_are_refused(raw: bytes) -> None:
    with pytest.raises(FormatError):
        der_samples.decode(der_samples.timestamp(), raw)


def test_another_byte_for_true_is_refused() -> None:
    raw = DER.encode_map(der_samples.repository_map())
    assert raw.count(b"\x01\x01\xff") == 1
    with pytest.raises(FormatError):
        DER.decode_map(raw.replace(b"\x01\x01\xff", b"\x01\x01\x01"))


@pytest.mark.parametrize("function", [0, 4, 128])
def test_an_unknown_hash_function_is_refused(function: int) -> None:
    raw = der_samples.signed(der_samples.snapshot())
    known = b"\x80\x01\x02\x04\x30"
    assert raw.count(known) == 1
    with pytest.raises(FormatError):
        der_samples.decode(der_samples.snapshot(), raw.replace(known, bytes([0x80, 1, function, 4, 0x30])))


def key_altered(change: Change, number: int = 0) -> bytes:
    """One of the keys of every kind, changed on the wire."""
    wire = asn1.decode_der(KeyFile, DER.encode_key(der_samples.all_kinds_of_keys()[number]))
    change(wire)
    return asn1.encode_der(wire)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(put("format_version", 2), id="another format version"),
        pytest.param(put("key.keyid", bytes(32)), id="an identifier that is not its own"),
        pytest.param(put("key.keyid", b""), id="no identifier"),
        pytest.param(put("key.key_type", WireKeyType.RSA), id="another type"),
        pytest.param(put("key.scheme", WireScheme.RSA_PSS), id="another scheme"),
        pytest.param(put("key.value", bytes(31)), id="material that is too short"),
    ],
)
@pytest.mark.standard("STD-5.2.1-2")
def test_a_key_is_refused_with(change: Change) -> None:
    with pytest.raises(FormatError):
        DER.decode_key(key_altered(change))


def test_the_same_ecdsa_key_in_compressed_form_is_refused() -> None:
    public = ec.derive_private_key(7, ec.SECP256R1()).public_key()
    point = public.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)
    curve = bytes.fromhex("301306072a8648ce3d020106082a8648ce3d030107")
    compressed = b"\x30\x39" + curve + b"\x03\x22\x00" + point
    assert serialization.load_der_public_key(compressed) == public
    with pytest.raises(FormatError):
        DER.decode_key(key_altered(put("key.value", compressed), number=2))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(put("format_version", 0), id="another format version"),
        pytest.param(put("map.repositories.0.name", "../x"), id="a name that leaves its folder"),
        pytest.param(put("map.repositories.0.urls", []), id="a repository without a URL"),
        pytest.param(repeat("map.repositories"), id="a repository twice"),
        pytest.param(put("map.mappings", []), id="no mapping"),
        pytest.param(put("map.mappings.0.repositories.0", "unknown"), id="an unknown repository"),
        pytest.param(empty("map.extensions"), id="empty extensions"),
        pytest.param(reverse("map.extensions"), id="extensions out of order"),
    ],
)
def test_a_map_is_refused_with(change: Change) -> None:
    wire = asn1.decode_der(MapFile, DER.encode_map(der_samples.repository_map()))
    change(wire)
    with pytest.raises(FormatError):
        DER.decode_map(asn1.encode_der(wire))


def test_an_image_under_the_name_of_another_is_not_written() -> None:
    image = der_samples.images()[ImagePath("a.img")]
    with pytest.raises(FormatError):
        DER.encode(structs.replace(der_samples.targets(), images={ImagePath("b.img"): image}))


def test_a_key_under_the_identifier_of_another_is_not_written() -> None:
    sample = der_samples.root()
    foreign = der_samples.ed25519_key(9)
    first = min(sample.keys)
    with pytest.raises(FormatError):
        DER.encode(structs.replace(sample, keys={**sample.keys, first: foreign}))


def test_a_manifest_with_a_report_in_json_is_not_written() -> None:
    sample = der_samples.manifest()
    foreign = structs.replace(sample.reports[0], raw=b'{"signatures":[],"signed":{}}')
    with pytest.raises(FormatError):
        DER.encode(structs.replace(sample, reports=(foreign,)))


def signature(**changes: object) -> Signature:
    """A signature over a hash, with changes."""
    over: dict[str, Any] = {"method": "ed25519", "hash_function": "sha256", "digest": bytes(32), **changes}
    return Signature(key_id=KeyId("0" * 64), value=b"", **over)


@pytest.mark.standard("STD-5.4.2.1.1-2")
@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(signature(method=None), id="without a method"),
        pytest.param(signature(method="md5"), id="with an unknown method"),
        pytest.param(signature(hash_function=None), id="without a hash function"),
        pytest.param(signature(hash_function="sha1"), id="with an unknown hash function"),
        pytest.param(signature(digest=None), id="without the hash"),
        pytest.param(signature(digest=bytes(20)), id="with a hash of the wrong length"),
    ],
)
def test_a_signature_of_a_report_is_not_written(entry: Signature) -> None:
    with pytest.raises(FormatError):
        DER.assemble(DER.encode(der_samples.report()), (entry,))


def test_a_signature_over_a_hash_is_not_written_for_a_role() -> None:
    with pytest.raises(FormatError):
        DER.assemble(DER.encode(der_samples.root()), (signature(),))


@pytest.mark.parametrize("payload", [der_samples.root(), der_samples.report()], ids=["role", "report"])
def test_two_signatures_by_one_key_are_not_written(payload: Payload) -> None:
    entry = der_samples.signatures(payload)[0]
    with pytest.raises(FormatError):
        DER.assemble(DER.encode(payload), (entry, entry))


def test_a_payload_that_is_none_of_ours_is_not_signed() -> None:
    for wire in (b"\x30\x00", b"\xa6\x00", b"", b"{}"):
        with pytest.raises(FormatError):
            DER.assemble(Unsigned(message=wire, wire=wire), ())
