"""The wire format `pouf1`: the DER of the archived Uptane reference implementation."""

import hashlib

from cryptography.hazmat import asn1

from uptane.formats.der_fields import read, refusing
from uptane.formats.pouf1.der_fields import check_limit, read_signatures, write_signatures
from uptane.formats.pouf1.der_reports import (
    read_attestation,
    read_manifest,
    read_report,
    write_attestation,
    write_manifest,
    write_report,
)
from uptane.formats.pouf1.der_roles import read_role, write_role
from uptane.formats.pouf1.der_schema import (
    AssembledClientObject,
    AssembledRole,
    ClientOutline,
    Outline,
    SignedRole,
    WireAttestation,
    WireManifest,
    WireReport,
    WireReportOfAttack,
)
from uptane.formats.pouf1.json import POUF1_JSON
from uptane.formats.pouf1.rules import LIMITS
from uptane.formats.profile import Payload, PayloadT, Unsigned
from uptane.metadata.envelope import Envelope, Signature, check_signatures
from uptane.metadata.errors import FormatError
from uptane.metadata.keys import KeyIdRule, PublicKey
from uptane.metadata.repository_map import RepositoryMap
from uptane.metadata.time_attestation import TimeAttestation
from uptane.metadata.vehicle_manifest import VehicleVersionManifest
from uptane.metadata.version_report import EcuVersionReport

ClientObject = WireReport | WireReportOfAttack | WireManifest | WireAttestation

_ROLE_TAG, _CLIENT_TAG = b"\xa0", b"\x30"
_INTEGER, _SEQUENCE, _VISIBLE_STRING = b"\x02", b"\x30", b"\x1a"

_CLIENT_OBJECTS: dict[tuple[bytes, ...], type[ClientObject]] = {
    (_INTEGER, _SEQUENCE, _INTEGER): WireAttestation,
    (_VISIBLE_STRING, _INTEGER, _INTEGER, _SEQUENCE): WireReport,
    (_VISIBLE_STRING, _INTEGER, _INTEGER, _VISIBLE_STRING, _SEQUENCE): WireReportOfAttack,
    (_VISIBLE_STRING, _VISIBLE_STRING, _INTEGER, _SEQUENCE): WireManifest,
}
"""What a client object is, by the tags of the parts of its payload; it has no tag that says so."""

_PAYLOADS: dict[type[ClientObject], type[Payload]] = {
    WireAttestation: TimeAttestation,
    WireReport: EcuVersionReport,
    WireReportOfAttack: EcuVersionReport,
    WireManifest: VehicleVersionManifest,
}


class Pouf1Der:
    """`SEQUENCE { signed, numberOfSignatures, signatures }`, where every list has its length before it.

    Ed25519 is over the 32 bytes of SHA-256 of the complete TLV of `signed` as it stands in the file: its tag is A0 in
    role metadata and 30 in client objects. Reading refuses whatever the archived implementation would not write.
    """

    name = "pouf1"
    extension = "der"
    key_id_rule = KeyIdRule.POUF1

    def encode(self, payload: Payload) -> Unsigned:
        """The SHA-256 to sign, and the TLV that it is of.

        Raises:
            FormatError: it holds something that the archived format cannot carry.
        """
        match payload:
            case EcuVersionReport():
                wire = asn1.encode_der(write_report(payload))
            case VehicleVersionManifest():
                wire = asn1.encode_der(write_manifest(payload, _decode_report))
            case TimeAttestation():
                wire = asn1.encode_der(write_attestation(payload))
            case _:
                whole = SignedRole(signed=write_role(payload), number_of_signatures=0, signatures=[])
                wire = asn1.encode_der(asn1.decode_der(AssembledRole, asn1.encode_der(whole)).signed)
        return Unsigned(message=hashlib.sha256(wire).digest(), wire=wire)

    def assemble(self, unsigned: Unsigned, signatures: tuple[Signature, ...]) -> bytes:
        """The whole signed object.

        Raises:
            FormatError: too many signatures, two by one key, or one that names its hash.
        """
        entries = write_signatures(check_signatures(signatures))
        signed = read(asn1.TLV, unsigned.wire, "payload")
        if signed.tag_bytes != _ROLE_TAG:
            return asn1.encode_der(
                AssembledClientObject(signed=signed, number_of_signatures=len(entries), signatures=entries)
            )
        check_limit(entries, LIMITS.signatures, "signatures")
        return asn1.encode_der(AssembledRole(signed=signed, number_of_signatures=len(entries), signatures=entries))

    def decode(self, kind: type[PayloadT], raw: bytes) -> Envelope[PayloadT]:
        """A signed object of that kind; see `Format.decode`."""
        signed = read(Outline, raw, "signed object").signed
        if signed.tag_bytes == _ROLE_TAG:
            payload, signatures = _read_role(raw)
        elif signed.tag_bytes == _CLIENT_TAG:
            payload, signatures = _read_client_object(kind, raw)
        else:
            raise FormatError(f"nothing that is signed begins with the tag {signed.tag_bytes.hex()[:8]}", field="type")
        if not isinstance(payload, kind):
            raise _wrong_kind(type(payload), kind)
        message = hashlib.sha256(asn1.encode_der(signed)).digest()
        return Envelope(payload=payload, message=message, signatures=signatures, raw=raw)

    def encode_key(self, key: PublicKey) -> bytes:
        """The same JSON text as in `pouf1-json`."""
        return POUF1_JSON.encode_key(key)

    def decode_key(self, raw: bytes) -> PublicKey:
        """The inverse of `encode_key`."""
        return POUF1_JSON.decode_key(raw)

    def encode_map(self, repository_map: RepositoryMap) -> bytes:
        """The same JSON text as in `pouf1-json`."""
        return POUF1_JSON.encode_map(repository_map)

    def decode_map(self, raw: bytes) -> RepositoryMap:
        """The inverse of `encode_map`."""
        return POUF1_JSON.decode_map(raw)


def _wrong_kind(offered: type[Payload], expected: type[Payload]) -> FormatError:
    return FormatError(
        f"a {offered.__name__} where a {expected.__name__} was expected",
        field="type",
        expected=expected.__name__,
        offered=offered.__name__,
    )


def _read_role(raw: bytes) -> tuple[Payload, tuple[Signature, ...]]:
    with refusing("signed role metadata"):
        whole = asn1.decode_der(SignedRole, raw)
        return read_role(whole.signed), read_signatures(whole.number_of_signatures, whole.signatures)


def _read_client_object(expected: type[Payload], raw: bytes) -> tuple[Payload, tuple[Signature, ...]]:
    with refusing("signed client object"):
        parts = tuple(part.tag_bytes for part in asn1.decode_der(ClientOutline, raw).signed)
        kind = _CLIENT_OBJECTS.get(parts)
        if kind is None:
            raise FormatError("neither a report nor a manifest nor a time attestation", field="type")
        if _PAYLOADS[kind] is not expected:
            # Before anything is read: a manifest in the place of a report could hold manifests without end.
            raise _wrong_kind(_PAYLOADS[kind], expected)
        whole = asn1.decode_der(AssembledClientObject, raw)
        payload = _read_client_payload(asn1.decode_der(kind, asn1.encode_der(whole.signed)))
        return payload, read_signatures(whole.number_of_signatures, whole.signatures)


def _read_client_payload(entry: ClientObject) -> Payload:
    match entry:
        case WireManifest():
            return read_manifest(entry, _decode_report)
        case WireAttestation():
            return read_attestation(entry)
        case _:
            return read_report(entry)


def _decode_report(raw: bytes) -> Envelope[EcuVersionReport]:
    return POUF1.decode(EcuVersionReport, raw)


POUF1 = Pouf1Der()
"""The format `pouf1`."""
