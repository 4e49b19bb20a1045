"""A profile: one wire format with its file names, chosen by argument and never by a global."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol, TypeVar

from msgspec import Struct

from uptane.metadata.envelope import Envelope, Signature
from uptane.metadata.identifiers import ImagePath
from uptane.metadata.keys import KeyIdRule, PublicKey
from uptane.metadata.repository_map import RepositoryMap
from uptane.metadata.root import Role, Root
from uptane.metadata.snapshot import Snapshot
from uptane.metadata.targets import Image, Targets
from uptane.metadata.time_attestation import TimeAttestation
from uptane.metadata.timestamp import Timestamp
from uptane.metadata.vehicle_manifest import VehicleVersionManifest
from uptane.metadata.version_report import EcuVersionReport

Payload = Root | Timestamp | Snapshot | Targets | TimeAttestation | EcuVersionReport | VehicleVersionManifest
"""Everything that is signed."""

PayloadT = TypeVar(
    "PayloadT", Root, Timestamp, Snapshot, Targets, TimeAttestation, EcuVersionReport, VehicleVersionManifest
)


_ANY_TIME = datetime(2030, 1, 1, tzinfo=UTC)
"""An expiry that every format can write."""


class Unsigned(Struct, frozen=True, gc=False):
    """An encoded payload that waits for its signatures.

    Args:
        message: the bytes to sign (for a report or manifest: to hash, and sign the hash).
        wire: the bytes that stand in the file. They differ only in JSON that holds escapes.
    """

    message: bytes
    wire: bytes


class Format(Protocol):
    """Bytes to values and back. Decoding is strict and raises nothing but FormatError."""

    @property
    def name(self) -> str:
        """What users call it: `der`, `json`, `pouf1`, `pouf1-json` or `tuf`."""
        ...

    @property
    def extension(self) -> str:
        """The extension of its files: `der` or `json`."""
        ...

    @property
    def key_id_rule(self) -> KeyIdRule:
        """How it identifies keys."""
        ...

    def encode(self, payload: Payload) -> Unsigned:
        """The payload, ready to be signed."""
        ...

    def assemble(self, unsigned: Unsigned, signatures: tuple[Signature, ...]) -> bytes:
        """The whole signed object."""
        ...

    def decode(self, kind: type[PayloadT], raw: bytes) -> Envelope[PayloadT]:
        """A signed object of the expected kind.

        Raises:
            FormatError: not well formed, of another kind, or with anything outside its range.
        """
        ...

    def encode_key(self, key: PublicKey) -> bytes:
        """A public key on its own, as ECUs register it."""
        ...

    def decode_key(self, raw: bytes) -> PublicKey:
        """The inverse of `encode_key`; raises FormatError."""
        ...

    def encode_map(self, repository_map: RepositoryMap) -> bytes:
        """The repository map, which is not signed: it is provisioned, never fetched."""
        ...

    def decode_map(self, raw: bytes) -> RepositoryMap:
        """The inverse of `encode_map`; raises FormatError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A format with its names. What a profile relaxes stands here under a loud name and nowhere else.

    Args:
        format: the wire format.
        structs_in_calls: signed objects travel over XML-RPC as structs, not as base64 with their exact bytes.
        key_structs_in_calls: public keys do.
        no_delegations: Targets metadata cannot delegate.
        ascii_only: texts are printable ASCII.
        unsafe_plain_names: clients ask for `ROLE.EXT` and `FOLDER/FILE`, whose content changes while they fetch.
        unsafe_root_through_snapshot: a new Root is found through Snapshot's Root entry, or looked for when a signature
            does not verify. It must still be the next version and carry both thresholds; a client that missed one
            can follow only where the repository has it under its versioned name as well, as ours have.
        unsafe_versions_only: Snapshot lists no hash of a Targets file.
        unsafe_no_vehicle_id: a Director's metadata does not name its vehicle, so that of another one passes.
        unsafe_no_report_counter: reports and manifests carry neither counter nor nonce; a report counts as new unless
            its time is earlier than that of the last one, or it is one of that second that is known. A manifest that
            holds nothing new is accepted without effect.
        unsafe_no_hash_in_signatures: the signatures of reports and manifests do not tell their hash.
        unsafe_incomplete_manifests: a manifest may lack ECUs, also the Primary's own report.
        unsafe_several_reports: a manifest may hold several reports of one ECU.
        unsafe_last_image_counts: the Director never takes an assignment back, so of several images for one ECU the
            last one counts, in the order of their names.
        unsafe_unknown_ecus: images for ECUs that the Primary does not know are passed over.
        unsafe_shared_keys: ECUs may share a key, so that one of them can speak for another.
        unsafe_unverified_reports: Secondaries hand their Primary no key, so it passes on what it cannot verify; the
            Director sets such a report aside when its signature is bad or it is old.
        unsafe_newlines_in_attacks: the attacks in a report may be several lines.
        unsafe_root_only_provisioning: an ECU begins with Root alone, so that its first cycle has no floor.
        unsafe_partial_without_root: for partial verification a Primary hands over the Director's Targets file alone, so
            a Secondary can only pin the keys of that role.
        unsafe_any_address_as_host: servers answer to the name 0.0.0.0, by which the archived clients call them.
        unsafe_tuf_role_by_role: each role is kept as soon as it has passed, whatever comes after it. A held file counts
            while the present keys of its role would sign for it, and is fetched again where it does not pass.
        unsafe_tuf_listed_versions: a Snapshot or Targets file has its floor in what lists it, the Timestamp and the
            Snapshot, and not in the held file's own version.
        unsafe_tuf_same_timestamp: a Timestamp of the held version with other content is no error; the held one stays.
        unsafe_tuf_no_snapshot_hash: a Timestamp may list no hash of the Snapshot.
    """

    format: Format
    structs_in_calls: bool = False
    key_structs_in_calls: bool = False
    no_delegations: bool = False
    ascii_only: bool = False
    unsafe_plain_names: bool = False
    unsafe_root_through_snapshot: bool = False
    unsafe_versions_only: bool = False
    unsafe_no_vehicle_id: bool = False
    unsafe_no_report_counter: bool = False
    unsafe_no_hash_in_signatures: bool = False
    unsafe_incomplete_manifests: bool = False
    unsafe_several_reports: bool = False
    unsafe_last_image_counts: bool = False
    unsafe_unknown_ecus: bool = False
    unsafe_shared_keys: bool = False
    unsafe_unverified_reports: bool = False
    unsafe_newlines_in_attacks: bool = False
    unsafe_root_only_provisioning: bool = False
    unsafe_partial_without_root: bool = False
    unsafe_any_address_as_host: bool = False
    unsafe_tuf_role_by_role: bool = False
    unsafe_tuf_listed_versions: bool = False
    unsafe_tuf_same_timestamp: bool = False
    unsafe_tuf_no_snapshot_hash: bool = False

    @property
    def name(self) -> str:
        """The name of the profile."""
        return self.format.name

    @property
    def relaxations(self) -> tuple[str, ...]:
        """The loud names of the rules that do not hold here."""
        return tuple(
            field.name for field in fields(self) if field.name.startswith("unsafe_") and getattr(self, field.name)
        )

    def check_writable(self, images: Mapping[ImagePath, Image]) -> None:
        """Raises FormatError when the format cannot carry these images; it is better known before they are listed."""
        self.format.encode(Targets(version=1, expires=_ANY_TIME, images=images))

    def metadata_name(self, role: str, version: int | None = None) -> str:
        """The name under which a file is stored: `VERSION.ROLE.EXT`, or `ROLE.EXT` (STD-5.2.7-1, -2)."""
        return _metadata_name(role, version, self.format.extension)

    def requested_metadata(self, role: str, version: int | None = None) -> str:
        """The name that a client asks for."""
        return self.metadata_name(role, None if self.unsafe_plain_names else version)

    def requested_image(self, path: ImagePath, digest: bytes) -> str:
        """The name that a client asks for: `FOLDER/HASH.FILE`, with the hash in hexadecimal (STD-5.2.7-3)."""
        return str(path) if self.unsafe_plain_names else f"{path.folder}{digest.hex()}.{path.file}"

    def stored(self) -> "Profile":
        """How a repository reads back what it published: there every file has its version in its name."""
        return replace(self, unsafe_plain_names=False, unsafe_root_through_snapshot=False)


# The same few dozen names are asked for again and again.
@lru_cache(maxsize=1024)
def _metadata_name(role: str, version: int | None, extension: str) -> str:
    plain = f"{role}.{extension}"
    return plain if version is None else f"{version}.{plain}"


KINDS: dict[Role, type[Root] | type[Timestamp] | type[Snapshot] | type[Targets]] = {
    Role.ROOT: Root,
    Role.TIMESTAMP: Timestamp,
    Role.SNAPSHOT: Snapshot,
    Role.TARGETS: Targets,
}
"""The payload of each top-level role."""
