"""A profile: one wire format with its file names, chosen by argument and never by a global."""

from dataclasses import dataclass
from typing import Protocol, TypeVar

from uptane.metadata.envelope import Envelope, Signature
from uptane.metadata.identifiers import ImagePath
from uptane.metadata.keys import PublicKey
from uptane.metadata.repository_map import RepositoryMap
from uptane.metadata.root import Role, Root
from uptane.metadata.snapshot import Snapshot
from uptane.metadata.targets import Targets
from uptane.metadata.time_attestation import TimeAttestation
from uptane.metadata.timestamp import Timestamp
from uptane.metadata.vehicle_manifest import VehicleVersionManifest
from uptane.metadata.version_report import EcuVersionReport

Payload = Root | Timestamp | Snapshot | Targets | TimeAttestation | EcuVersionReport | VehicleVersionManifest
"""Everything that is signed."""

PayloadT = TypeVar(
    "PayloadT", Root, Timestamp, Snapshot, Targets, TimeAttestation, EcuVersionReport, VehicleVersionManifest
)


@dataclass(frozen=True, slots=True)
class Unsigned:
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
        """`json` or `der`; also the extension of its files."""
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
    """A format with its names. What a profile relaxes stands here under a loud name and nowhere else."""

    format: Format

    @property
    def name(self) -> str:
        """The name of the profile."""
        return self.format.name

    def metadata_name(self, role: str, version: int | None = None) -> str:
        """`VERSION.ROLE.EXT`, or `ROLE.EXT` without a version (STD-5.2.7-1, -2)."""
        plain = f"{role}.{self.format.name}"
        return plain if version is None else f"{version}.{plain}"

    def image_name(self, path: ImagePath, digest: bytes) -> str:
        """`FOLDER/HASH.FILE`, with the hash in hexadecimal (STD-5.2.7-3)."""
        return f"{path.folder}{digest.hex()}.{path.file}"


KINDS: dict[Role, type[Root] | type[Timestamp] | type[Snapshot] | type[Targets]] = {
    Role.ROOT: Root,
    Role.TIMESTAMP: Timestamp,
    Role.SNAPSHOT: Snapshot,
    Role.TARGETS: Targets,
}
"""The payload of each top-level role."""
