"""The wire format `pouf1-json`: the JSON of the archived Uptane reference implementation."""

from collections.abc import Callable
from typing import Any, cast

from uptane.formats import json_reports
from uptane.formats.canonical_json import Json, canonical, compact, decode_strict
from uptane.formats.json_fields import Fields, read_hex
from uptane.formats.pouf1.json_reports import (
    read_attestation,
    read_manifest,
    read_report,
    write_attestation,
    write_manifest,
    write_report,
)
from uptane.formats.pouf1.json_roles import read_root, read_snapshot, read_targets, read_timestamp, write_role
from uptane.formats.pouf1.keys import decode_key, encode_key
from uptane.formats.pouf1.rules import cannot_carry
from uptane.formats.pouf1.text import archived_text, read_archived
from uptane.formats.profile import Payload, PayloadT, Unsigned
from uptane.metadata.envelope import MAX_SIGNATURES, Envelope, Signature, check_signatures
from uptane.metadata.errors import FormatError
from uptane.metadata.identifiers import KeyId
from uptane.metadata.keys import KeyIdRule, PublicKey, Scheme
from uptane.metadata.repository_map import RepositoryMap
from uptane.metadata.root import Common, Root
from uptane.metadata.snapshot import Snapshot
from uptane.metadata.targets import Targets
from uptane.metadata.time_attestation import TimeAttestation
from uptane.metadata.timestamp import Timestamp
from uptane.metadata.vehicle_manifest import VehicleVersionManifest
from uptane.metadata.version_report import EcuVersionReport


class Pouf1Json:
    """`{"signatures": [{"keyid","method","sig"}], "signed": ...}`; Ed25519 over the canonical JSON of `signed`.

    A text is read only in the archived layout. Where objects travel as structs, `archived_text` of the struct is the
    text to read.
    """

    name = "pouf1-json"
    extension = "json"
    key_id_rule = KeyIdRule.POUF1

    def encode(self, payload: Payload) -> Unsigned:
        """The payload as canonical JSON to sign, and as the JSON text of `signed`.

        Raises:
            FormatError: it holds something that the archived format cannot carry.
        """
        match payload:
            case Common():
                members = write_role(payload)
            case EcuVersionReport():
                members = write_report(payload)
            case VehicleVersionManifest():
                members = write_manifest(payload, _embed)
            case TimeAttestation():
                members = write_attestation(payload)
        return Unsigned(message=canonical(members), wire=archived_text(members, sort=True))

    def assemble(self, unsigned: Unsigned, signatures: tuple[Signature, ...]) -> bytes:
        """The whole signed object as a text."""
        entries = [_write_signature(signature) for signature in check_signatures(signatures)]
        return archived_text({"signatures": entries, "signed": decode_strict(unsigned.wire)}, sort=True)

    def decode(self, kind: type[PayloadT], raw: bytes) -> Envelope[PayloadT]:
        """A signed object of that kind; see `Format.decode`."""
        return _envelope(kind, read_archived(raw), raw)

    def encode_key(self, key: PublicKey) -> bytes:
        """`{"keyid","keyid_hash_algorithms","keytype","keyval"}`."""
        return encode_key(key)

    def decode_key(self, raw: bytes) -> PublicKey:
        """The inverse of `encode_key`; `keyid` may be absent."""
        return decode_key(raw)

    def encode_map(self, repository_map: RepositoryMap) -> bytes:
        """The repository map in our own JSON: it is provisioned, and never on the archived wire."""
        return compact(json_reports.write_map(repository_map))

    def decode_map(self, raw: bytes) -> RepositoryMap:
        """The inverse of `encode_map`."""
        return json_reports.read_map(decode_strict(raw))


def _embed(raw: bytes) -> Json:
    value = read_archived(raw)
    _envelope(EcuVersionReport, value, raw)
    return value


def _report(value: Json) -> Envelope[EcuVersionReport]:
    return _envelope(EcuVersionReport, value, archived_text(value))


def _manifest(value: Json) -> VehicleVersionManifest:
    return read_manifest(value, _report)


_READERS: dict[type, Callable[[Json], Any]] = {
    Root: read_root,
    Targets: read_targets,
    Snapshot: read_snapshot,
    Timestamp: read_timestamp,
    EcuVersionReport: read_report,
    VehicleVersionManifest: _manifest,
    TimeAttestation: read_attestation,
}


def _envelope(kind: type[PayloadT], value: Json, raw: bytes) -> Envelope[PayloadT]:
    fields = Fields(value, "signed object")
    signed = fields.take("signed", dict)
    entries = fields.take("signatures", list)
    fields.nothing_else()
    if len(entries) > MAX_SIGNATURES:
        raise FormatError(f"{len(entries)} signatures, more than {MAX_SIGNATURES}", field="signatures")
    signatures = check_signatures(tuple(_read_signature(entry) for entry in entries))
    payload = cast("PayloadT", _READERS[kind](signed))
    return Envelope(payload=payload, message=canonical(signed), signatures=signatures, raw=raw)


def _write_signature(signature: Signature) -> dict[str, Json]:
    if (signature.method, signature.hash_function, signature.digest) != (None, None, None):
        raise cannot_carry("a signature that names its hash", "signatures")
    return {"keyid": str(signature.key_id), "method": str(Scheme.ED25519), "sig": signature.value.hex()}


def _read_signature(value: Json) -> Signature:
    fields = Fields(value, "signature")
    fields.literal("method", Scheme.ED25519)
    signature = Signature(key_id=KeyId(fields.take("keyid", str)), value=read_hex(fields.take("sig", str), "sig"))
    fields.nothing_else()
    return signature


POUF1_JSON = Pouf1Json()
"""The format `pouf1-json`."""
