"""The types of `docs/uptane.asn1`, field for field, as the DER codec reads and writes them.

Nothing here is checked beyond the structure; the values of `uptane.metadata` do the rest. Tag 15 is `extensions`
everywhere.
"""

from enum import Enum
from typing import Annotated

from cryptography.hazmat import asn1


@asn1.value_set(int)
class WireHash(Enum):
    """HashFunction; the names of the members are those of `Digests`."""

    sha256 = 1
    sha384 = 2
    sha512 = 3


@asn1.value_set(int)
class WireKeyType(Enum):
    """KeyType."""

    ED25519 = 1
    ECDSA = 2
    RSA = 3


@asn1.value_set(int)
class WireScheme(Enum):
    """Scheme."""

    ED25519 = 1
    ECDSA_P256 = 2
    RSA_PSS = 3


@asn1.value_set(int)
class WireRepositoryKind(Enum):
    """RepositoryKind."""

    DIRECTOR = 1
    IMAGE = 2


@asn1.sequence
class WireExtension:
    """Extension."""

    name: str
    value: bytes


WireExtensions = Annotated[list[WireExtension] | None, asn1.Implicit(15)]
"""Extensions, absent when there are none."""


@asn1.sequence
class WireDigest:
    """Digest."""

    function: Annotated[WireHash, asn1.Implicit(0)]
    value: bytes


@asn1.sequence
class WireKey:
    """PublicKey."""

    keyid: bytes
    key_type: Annotated[WireKeyType, asn1.Implicit(0)]
    scheme: Annotated[WireScheme, asn1.Implicit(1)]
    value: bytes


@asn1.sequence
class WireSignature:
    """Signature: of roles and time attestations."""

    keyid: bytes
    value: bytes


@asn1.sequence
class WireHashSignature:
    """HashSignature: of version reports and vehicle manifests (STD-5.4.2.1.1-1 to -5)."""

    keyid: bytes
    value: bytes
    method: Annotated[WireScheme, asn1.Implicit(0)]
    function: Annotated[WireHash, asn1.Implicit(1)]
    digest: bytes


@asn1.sequence
class WireRoleKeys:
    """RoleKeys."""

    keyids: list[bytes]
    threshold: int


@asn1.sequence
class WireTopLevelRoles:
    """TopLevelRoles."""

    root: WireRoleKeys
    timestamp: WireRoleKeys
    snapshot: WireRoleKeys
    targets: WireRoleKeys


@asn1.sequence
class WireRoot:
    """RootBody."""

    keys: list[WireKey]
    roles: WireTopLevelRoles
    consistent_snapshot: bool
    extensions: WireExtensions


@asn1.sequence
class WireMetadataFile:
    """MetadataFile."""

    name: str
    version: int
    length: Annotated[int | None, asn1.Implicit(0)]
    hashes: Annotated[list[WireDigest] | None, asn1.Implicit(1)]


@asn1.sequence
class WireTimestamp:
    """TimestampBody."""

    snapshot: WireMetadataFile
    extensions: WireExtensions


@asn1.sequence
class WireSnapshot:
    """SnapshotBody."""

    files: list[WireMetadataFile]
    extensions: WireExtensions


@asn1.sequence
class WireImageFile:
    """ImageFile."""

    path: str
    length: int
    hashes: list[WireDigest]


@asn1.sequence
class WireWrappedKey:
    """WrappedKey."""

    method: str
    value: bytes


@asn1.sequence
class WireEncryptedImage:
    """EncryptedImage."""

    file: WireImageFile
    method: str
    nonce: bytes
    wrapped_key: Annotated[WireWrappedKey | None, asn1.Implicit(0)]
    extensions: WireExtensions


@asn1.sequence
class WireEcuAssignment:
    """EcuAssignment."""

    ecu: str
    hardware_id: Annotated[str | None, asn1.Implicit(0)]
    encrypted: Annotated[WireEncryptedImage | None, asn1.Implicit(1)]
    extensions: WireExtensions


@asn1.sequence
class WireMustMatch:
    """MustMatch."""

    release_counter: Annotated[int | None, asn1.Implicit(0)]
    hardware_ids: Annotated[list[str] | None, asn1.Implicit(1)]
    extensions: WireExtensions


@asn1.sequence
class WireCustom:
    """Custom."""

    must_match: Annotated[WireMustMatch | None, asn1.Implicit(0)]
    ecus: Annotated[list[WireEcuAssignment] | None, asn1.Implicit(1)]
    url: Annotated[str | None, asn1.Implicit(2)]
    extensions: WireExtensions


@asn1.sequence
class WireImage:
    """Image."""

    file: WireImageFile
    custom: Annotated[WireCustom | None, asn1.Implicit(0)]


@asn1.sequence
class EncodedImage:
    """Image, whose file was encoded before."""

    file: asn1.TLV
    custom: Annotated[WireCustom | None, asn1.Implicit(0)]


@asn1.sequence
class WireDelegatedRole:
    """DelegatedRole."""

    name: str
    keys: WireRoleKeys


@asn1.sequence
class WireGroup:
    """Group: what a delegation to several roles has beside them."""

    name: str
    min_roles_in_agreement: int


@asn1.sequence
class WireDelegation:
    """Delegation."""

    roles: list[WireDelegatedRole]
    group: Annotated[WireGroup | None, asn1.Implicit(0)]
    paths: Annotated[list[str] | None, asn1.Implicit(1)]
    path_hash_prefixes: Annotated[list[str] | None, asn1.Implicit(2)]
    hardware_ids: Annotated[list[str] | None, asn1.Implicit(3)]
    terminating: bool
    extensions: WireExtensions


@asn1.sequence
class WireDelegations:
    """Delegations."""

    keys: list[WireKey]
    delegations: list[WireDelegation]
    extensions: WireExtensions


@asn1.sequence
class WireTargets:
    """TargetsBody."""

    images: list[WireImage]
    delegations: Annotated[WireDelegations | None, asn1.Implicit(0)]
    extensions: WireExtensions


@asn1.sequence
class EncodedTargets:
    """TargetsBody of a Director, whose image files were encoded before."""

    images: list[EncodedImage]
    extensions: WireExtensions


@asn1.sequence
class EncodedRole:
    """RoleMetadata of a Director's Targets, for writing."""

    version: int
    expires: int
    vehicle: Annotated[str | None, asn1.Implicit(0)]
    body: Annotated[EncodedTargets, asn1.Implicit(4)]


@asn1.sequence
class WireRole:
    """RoleMetadata; the tag of the body is the type of the role."""

    version: int
    expires: int
    vehicle: Annotated[str | None, asn1.Implicit(0)]
    body: (
        Annotated[WireRoot, asn1.Implicit(1)]
        | Annotated[WireTimestamp, asn1.Implicit(2)]
        | Annotated[WireSnapshot, asn1.Implicit(3)]
        | Annotated[WireTargets, asn1.Implicit(4)]
    )


@asn1.sequence
class WireReport:
    """EcuVersionReport."""

    ecu: str
    installed: WireImageFile
    attacks_detected: str
    time: int
    previous_time: int
    counter: int
    nonce: int
    extensions: WireExtensions


@asn1.sequence
class ReceivedReport:
    """EcuVersionReport, whose image is read apart: the same few are reported again and again."""

    ecu: str
    installed: asn1.TLV
    attacks_detected: str
    time: int
    previous_time: int
    counter: int
    nonce: int
    extensions: WireExtensions


@asn1.sequence
class WireManifest:
    """VehicleVersionManifest; each report is a whole SignedEcuVersionReport, kept byte for byte."""

    vehicle: str
    primary: str
    reports: list[asn1.TLV]
    counter: int
    extensions: WireExtensions


@asn1.sequence
class WireAttestation:
    """TimeAttestation."""

    time: int
    nonces: list[int]
    extensions: WireExtensions


@asn1.sequence
class WireRepository:
    """Repository."""

    name: str
    kind: Annotated[WireRepositoryKind, asn1.Implicit(0)]
    urls: list[str]


@asn1.sequence
class WireMapping:
    """Mapping."""

    paths: list[str]
    repositories: list[str]
    terminating: bool


@asn1.sequence
class WireMap:
    """RepositoryMap."""

    repositories: list[WireRepository]
    mappings: list[WireMapping]
    extensions: WireExtensions
