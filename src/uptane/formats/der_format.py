"""The wire format `der`: signed objects in the Distinguished Encoding Rules, as `docs/uptane.asn1` describes them."""

from cryptography.hazmat import asn1

from uptane.formats.der_fields import (
    FOREIGN,
    check_format_version,
    not_well_formed,
    read,
    read_key,
    refusing,
    write_key,
)
from uptane.formats.der_objects import (
    FORMAT_VERSION,
    Assembled,
    AssembledOverHash,
    KeyFile,
    MapFile,
    Outline,
    SignedAttestation,
    SignedManifest,
    SignedReport,
    SignedRole,
)
from uptane.formats.der_reports import (
    read_attestation,
    read_manifest,
    read_map,
    read_report,
    write_attestation,
    write_manifest,
    write_map,
    write_report,
)
from uptane.formats.der_roles import read_role, write_role
from uptane.formats.der_signatures import read_signatures, write_hash_signature, write_signature
from uptane.formats.profile import Payload, PayloadT, Unsigned
from uptane.metadata.envelope import Envelope, Signature, check_signatures
from uptane.metadata.errors import FormatError
from uptane.metadata.keys import KeyIdRule, PublicKey
from uptane.metadata.repository_map import RepositoryMap
from uptane.metadata.root import Root
from uptane.metadata.snapshot import Snapshot
from uptane.metadata.targets import Targets
from uptane.metadata.time_attestation import TimeAttestation
from uptane.metadata.timestamp import Timestamp
from uptane.metadata.vehicle_manifest import VehicleVersionManifest
from uptane.metadata.version_report import EcuVersionReport

SignedObject = SignedRole | SignedReport | SignedManifest | SignedAttestation

_OF_TAG: dict[bytes, type[SignedObject]] = {
    b"\xa0": SignedRole,
    b"\xa1": SignedReport,
    b"\xa2": SignedManifest,
    b"\xa3": SignedAttestation,
}
"""What is signed, by the tag that its payload begins with."""

_OF_KIND: dict[type, type[SignedObject]] = {
    Root: SignedRole,
    Timestamp: SignedRole,
    Snapshot: SignedRole,
    Targets: SignedRole,
    EcuVersionReport: SignedReport,
    VehicleVersionManifest: SignedManifest,
    TimeAttestation: SignedAttestation,
}


class DerFormat:
    """DER: one encoding for each value, and half the size of JSON."""

    name = "der"
    extension = "der"
    key_id_rule = KeyIdRule.TUF

    def encode(self, payload: Payload) -> Unsigned:
        """The payload's complete TLV, to be signed as it is.

        Raises:
            FormatError: a key or an image stands under a name that is not its own, or a report in a manifest is
                not in DER.
        """
        tag, body = _write_payload(payload)
        # The payload is a SEQUENCE that its place in the signed object tags implicitly: only the first byte differs.
        message = tag + asn1.encode_der(body)[1:]
        return Unsigned(message=message, wire=message)

    def assemble(self, unsigned: Unsigned, signatures: tuple[Signature, ...]) -> bytes:
        """Format version, payload and signatures as one SEQUENCE.

        Raises:
            FormatError: too many signatures, two by one key, or not of the sort that the payload needs.
        """
        check_signatures(signatures)
        signed = read(asn1.TLV, unsigned.wire, "payload")
        if _kind_of(signed) in (SignedReport, SignedManifest):
            over_hash = [write_hash_signature(signature) for signature in signatures]
            return asn1.encode_der(
                AssembledOverHash(format_version=FORMAT_VERSION, signed=signed, signatures=over_hash)
            )
        plain = [write_signature(signature) for signature in signatures]
        return asn1.encode_der(Assembled(format_version=FORMAT_VERSION, signed=signed, signatures=plain))

    def decode(self, kind: type[PayloadT], raw: bytes) -> Envelope[PayloadT]:
        """A signed object of that kind; see `Format.decode`."""
        try:
            signed = asn1.decode_der(_OF_KIND[kind], raw)
        except FOREIGN as error:
            raise _refusal(kind, raw, error) from error
        check_format_version(signed.format_version)
        with refusing(f"signed {kind.__name__}"):
            payload = _read_payload(signed)
            signatures = read_signatures(signed.signatures)
        if not isinstance(payload, kind):
            raise FormatError(
                f"{type(payload).__name__} metadata where {kind.__name__} metadata was expected", field="type"
            )
        return Envelope(payload=payload, message=_message_in(raw), signatures=signatures, raw=raw)

    def encode_key(self, key: PublicKey) -> bytes:
        """Format version and public key."""
        return asn1.encode_der(KeyFile(format_version=FORMAT_VERSION, key=write_key(key)))

    def decode_key(self, raw: bytes) -> PublicKey:
        """The inverse of `encode_key`."""
        file = read(KeyFile, raw, "public key")
        check_format_version(file.format_version)
        with refusing("public key"):
            return read_key(file.key)

    def encode_map(self, repository_map: RepositoryMap) -> bytes:
        """Format version and repository map."""
        return asn1.encode_der(MapFile(format_version=FORMAT_VERSION, map=write_map(repository_map)))

    def decode_map(self, raw: bytes) -> RepositoryMap:
        """The inverse of `encode_map`."""
        file = read(MapFile, raw, "repository map")
        check_format_version(file.format_version)
        with refusing("repository map"):
            return read_map(file.map)


def _message_in(raw: bytes) -> bytes:
    """The exact bytes of the payload of a signed object that was decoded: in DER, lengths have one form only."""
    _, version = _content_at(raw, 0)
    _, start = _content_at(raw, version)
    start += 1  # the one byte of the format version
    length, content = _content_at(raw, start)
    return raw[start : content + length]


def _content_at(raw: bytes, tag: int) -> tuple[int, int]:
    """How long the content of a TLV is, and where it begins."""
    first = raw[tag + 1]
    if first < 0x80:
        return first, tag + 2
    content = tag + 2 + (first & 0x7F)
    return int.from_bytes(raw[tag + 2 : content]), content


def _refusal(kind: type[Payload], raw: bytes, why: Exception) -> FormatError:
    """What is wrong with a signed object that cannot be decoded: its version, its kind, or its structure."""
    outline = read(Outline, raw, "signed object")
    check_format_version(outline.format_version)
    expected, offered = _OF_KIND[kind], _kind_of(outline.signed)
    if offered is not expected:
        return FormatError(f"a {offered.__name__} where a {expected.__name__} was expected", field="type")
    return not_well_formed(f"signed {kind.__name__}", why)


def _kind_of(signed: asn1.TLV) -> type[SignedObject]:
    kind = _OF_TAG.get(signed.tag_bytes)
    if kind is None:
        raise FormatError(f"nothing that is signed begins with the tag {signed.tag_bytes.hex()[:8]}", field="type")
    return kind


def _write_payload(payload: Payload) -> tuple[bytes, object]:
    match payload:
        case EcuVersionReport():
            return b"\xa1", write_report(payload)
        case VehicleVersionManifest():
            return b"\xa2", write_manifest(payload)
        case TimeAttestation():
            return b"\xa3", write_attestation(payload)
        case _:
            return b"\xa0", write_role(payload)


def _read_payload(signed: SignedObject) -> Payload:
    match signed:
        case SignedReport():
            return read_report(signed.signed)
        case SignedManifest():
            return read_manifest(signed.signed, lambda raw: DER.decode(EcuVersionReport, raw))
        case SignedAttestation():
            return read_attestation(signed.signed)
        case SignedRole():
            return read_role(signed.signed)


DER = DerFormat()
"""The format `der`."""
