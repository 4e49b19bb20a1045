"""The wire format `json`: signed objects as TUF 1.0 writes them."""

from collections.abc import Callable
from typing import Any, cast

from uptane.formats.canonical_json import Json, canonical, canonical_and_compact, compact, decode_strict
from uptane.formats.json_bulk import read_in_bulk
from uptane.formats.json_delegations import read_key, write_key
from uptane.formats.json_fields import Fields, read_hex
from uptane.formats.json_images import LazyImages
from uptane.formats.json_reports import (
    read_attestation,
    read_manifest,
    read_map,
    read_report,
    write_attestation,
    write_manifest,
    write_map,
    write_report,
)
from uptane.formats.json_roles import read_root, read_snapshot, read_targets, read_timestamp, write_role
from uptane.formats.profile import Payload, PayloadT, Unsigned
from uptane.metadata.envelope import MAX_SIGNATURES, Envelope, Signature, check_signatures
from uptane.metadata.errors import FormatError
from uptane.metadata.identifiers import KeyId
from uptane.metadata.keys import KeyIdRule, PublicKey
from uptane.metadata.repository_map import RepositoryMap
from uptane.metadata.root import Common, Root
from uptane.metadata.snapshot import Snapshot
from uptane.metadata.targets import Targets
from uptane.metadata.time_attestation import TimeAttestation
from uptane.metadata.timestamp import Timestamp
from uptane.metadata.vehicle_manifest import VehicleVersionManifest
from uptane.metadata.version_report import EcuVersionReport


class JsonFormat:
    """JSON; for the Image repository, metadata that any TUF 1.0 client reads."""

    name = "json"
    extension = "json"
    key_id_rule = KeyIdRule.TUF

    def encode(self, payload: Payload) -> Unsigned:
        """The payload as canonical JSON to sign, and as the JSON text that stands in the file."""
        match payload:
            case Common():
                members = write_role(payload)
            case EcuVersionReport():
                members = write_report(payload)
            case VehicleVersionManifest():
                members = write_manifest(payload, decode_strict)
            case TimeAttestation():
                members = write_attestation(payload)
        message, wire = canonical_and_compact(members)
        return Unsigned(message=message, wire=wire)

    def assemble(self, unsigned: Unsigned, signatures: tuple[Signature, ...]) -> bytes:
        """`{"signatures":[...],"signed":...}`."""
        entries = ",".join([_write_signature(signature) for signature in check_signatures(signatures)])
        return b'{"signatures":[%b],"signed":%b}' % (entries.encode(), unsigned.wire)

    def decode(self, kind: type[PayloadT], raw: bytes) -> Envelope[PayloadT]:
        """A signed object of that kind; see `Format.decode`."""
        bulk = read_in_bulk(raw) if kind is Targets else None
        if bulk is not None:
            payload = read_targets(bulk.members, LazyImages(bulk.images))
            signatures = _read_signatures(bulk.signatures, hashed=False)
            return Envelope(payload=payload, message=bulk.message, signatures=signatures, raw=raw)
        return _envelope(kind, decode_strict(raw), raw)

    def encode_key(self, key: PublicKey) -> bytes:
        """`{"keytype","keyval","scheme"}`."""
        return compact(write_key(key))

    def decode_key(self, raw: bytes) -> PublicKey:
        """The inverse of `encode_key`."""
        return read_key(decode_strict(raw))

    def encode_map(self, repository_map: RepositoryMap) -> bytes:
        """The repository map."""
        return compact(write_map(repository_map))

    def decode_map(self, raw: bytes) -> RepositoryMap:
        """The inverse of `encode_map`."""
        return read_map(decode_strict(raw))


def _report(value: Json) -> Envelope[EcuVersionReport]:
    return _envelope(EcuVersionReport, value, compact(value))


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
    signatures = _read_signatures(entries, hashed=kind in (EcuVersionReport, VehicleVersionManifest))
    message = canonical(signed)
    try:
        payload = cast("PayloadT", _READERS[kind](signed))
    except RecursionError as error:
        raise FormatError("nested too deeply", field="json") from error
    return Envelope(payload=payload, message=message, signatures=signatures, raw=raw)


def _read_signatures(entries: list[Json], *, hashed: bool) -> tuple[Signature, ...]:
    if len(entries) > MAX_SIGNATURES:
        raise FormatError(f"{len(entries)} signatures, more than {MAX_SIGNATURES}", field="signatures")
    return check_signatures(tuple(_read_signature(entry, hashed=hashed) for entry in entries))


def _write_signature(signature: Signature) -> str:
    key_id, value = signature.key_id, signature.value.hex()
    if signature.digest is None:
        return f'{{"keyid":"{key_id}","sig":"{value}"}}'  # hexadecimal digits, both
    members = {
        "keyid": str(key_id),
        "sig": value,
        "method": signature.method,
        "hash_function": signature.hash_function,
        "hash": signature.digest.hex(),
    }
    return compact(members).decode()


def _read_signature(value: Json, *, hashed: bool) -> Signature:
    fields = Fields(value, "signature")
    key_id = KeyId(fields.take("keyid", str))
    text = fields.take("sig", str)
    if not hashed:
        return Signature(key_id=key_id, value=lenient_hex(text))
    return Signature(
        key_id=key_id,
        value=read_hex(text, "sig"),
        method=fields.take("method", str),
        hash_function=fields.take("hash_function", str),
        digest=fields.data("hash"),
    )


def lenient_hex(text: str) -> bytes:
    """An empty or malformed signature does not count, and does not spoil the file, in TUF metadata."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


JSON = JsonFormat()
"""The format `json`."""
