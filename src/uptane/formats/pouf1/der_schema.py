"""The types of the archived DER as it stands on the wire, field for field.

Role metadata has context tags everywhere, client objects have none. Two universal types of that wire are not in the
library: ENUMERATED and VisibleString. Where they have a universal tag, the field is the bare TLV, and
`pouf1_der_fields` reads and writes it. Optional fields that the archived implementation never writes are left out, so
that reading refuses them: URLs, delegations, release counters, hardware identifiers, encrypted images, and the attacks
in a vehicle manifest.
"""

from enum import Enum
from typing import Annotated

from cryptography.hazmat import asn1


@asn1.value_set(int)
class WireRoleType(Enum):
    """RoleType, under a context tag wherever it stands."""

    ROOT = 0
    TARGETS = 1
    SNAPSHOT = 2
    TIMESTAMP = 3


@asn1.sequence
class WireSignature:
    """Signature; `method` is an ENUMERATED."""

    keyid: bytes
    method: asn1.TLV
    value: bytes


@asn1.sequence
class WireHash:
    """Hash; `function` is an ENUMERATED."""

    function: asn1.TLV
    digest: bytes


@asn1.sequence
class WireKey:
    """PublicKey; `key_type` is an ENUMERATED."""

    keyid: bytes
    key_type: asn1.TLV
    value: bytes


@asn1.sequence
class WireTopLevelRole:
    """TopLevelRole, without its URLs."""

    role: Annotated[WireRoleType, asn1.Implicit(0)]
    number_of_keyids: Annotated[int, asn1.Implicit(3)]
    keyids: Annotated[list[bytes], asn1.Implicit(4)]
    threshold: Annotated[int, asn1.Implicit(5)]


@asn1.sequence
class WireRoot:
    """RootMetadata."""

    number_of_keys: Annotated[int, asn1.Implicit(0)]
    keys: Annotated[list[WireKey], asn1.Implicit(1)]
    number_of_roles: Annotated[int, asn1.Implicit(2)]
    roles: Annotated[list[WireTopLevelRole], asn1.Implicit(3)]


@asn1.sequence
class WireTarget:
    """Target of role metadata."""

    filename: Annotated[str, asn1.Implicit(0)]
    length: Annotated[int, asn1.Implicit(1)]
    number_of_hashes: Annotated[int, asn1.Implicit(2)]
    hashes: Annotated[list[WireHash], asn1.Implicit(3)]


@asn1.sequence
class WireCustom:
    """Custom, of which only the ECU is ever written."""

    ecu: Annotated[str, asn1.Implicit(2)]


@asn1.sequence
class WireTargetAndCustom:
    """TargetAndCustom."""

    target: Annotated[WireTarget, asn1.Implicit(0)]
    custom: Annotated[WireCustom | None, asn1.Implicit(1)]


@asn1.sequence
class WireTargets:
    """TargetsMetadata, without delegations."""

    number_of_targets: Annotated[int, asn1.Implicit(0)]
    targets: Annotated[list[WireTargetAndCustom], asn1.Implicit(1)]


@asn1.sequence
class WireTargetRoleFile:
    """TargetRoleFileInfo."""

    filename: Annotated[str, asn1.Implicit(0)]
    version: Annotated[int, asn1.Implicit(1)]


@asn1.sequence
class WireListedFile:
    """RootRoleFileInfo, and TimestampMetadata, which has the same fields."""

    filename: Annotated[str, asn1.Implicit(0)]
    version: Annotated[int, asn1.Implicit(1)]
    length: Annotated[int, asn1.Implicit(2)]
    number_of_hashes: Annotated[int, asn1.Implicit(3)]
    hashes: Annotated[list[WireHash], asn1.Implicit(4)]


@asn1.sequence
class WireSnapshot:
    """SnapshotMetadata."""

    number_of_files: Annotated[int, asn1.Implicit(0)]
    files: Annotated[list[WireTargetRoleFile], asn1.Implicit(1)]
    root: Annotated[WireListedFile, asn1.Implicit(2)]


@asn1.sequence
class WireRole:
    """Signed: the payload of role metadata."""

    type: Annotated[WireRoleType, asn1.Implicit(0)]
    expires: Annotated[int, asn1.Implicit(1)]
    version: Annotated[int, asn1.Implicit(2)]
    body: Annotated[
        Annotated[WireRoot, asn1.Implicit(0)]
        | Annotated[WireTargets, asn1.Implicit(1)]
        | Annotated[WireSnapshot, asn1.Implicit(2)]
        | Annotated[WireListedFile, asn1.Implicit(3)],
        asn1.Explicit(3),
    ]


@asn1.sequence
class WireInstalledImage:
    """Target of client objects; `filename` is a VisibleString."""

    filename: asn1.TLV
    length: int
    number_of_hashes: int
    hashes: list[WireHash]


@asn1.sequence
class WireReport:
    """ECUVersionManifestSigned without an attack; `ecu` is a VisibleString."""

    ecu: asn1.TLV
    previous_time: int
    current_time: int
    installed: WireInstalledImage


@asn1.sequence
class WireReportOfAttack:
    """ECUVersionManifestSigned with an attack; `ecu` and `attack` are VisibleStrings."""

    ecu: asn1.TLV
    previous_time: int
    current_time: int
    attack: asn1.TLV
    installed: WireInstalledImage


@asn1.sequence
class WireManifest:
    """VehicleVersionManifestSigned; the identifiers are VisibleStrings, each report is a whole signed object."""

    vehicle: asn1.TLV
    primary: asn1.TLV
    number_of_reports: int
    reports: list[asn1.TLV]


@asn1.sequence
class WireAttestation:
    """TokensAndTimestamp."""

    number_of_tokens: int
    tokens: list[int]
    timestamp: int


@asn1.sequence
class SignedRole:
    """Metadata."""

    signed: Annotated[WireRole, asn1.Implicit(0)]
    number_of_signatures: Annotated[int, asn1.Implicit(1)]
    signatures: Annotated[list[WireSignature], asn1.Implicit(2)]


@asn1.sequence
class AssembledRole:
    """Metadata whose payload is there as bytes."""

    signed: asn1.TLV
    number_of_signatures: Annotated[int, asn1.Implicit(1)]
    signatures: Annotated[list[WireSignature], asn1.Implicit(2)]


@asn1.sequence
class AssembledClientObject:
    """ECUVersionManifest, VehicleVersionManifest or TokensAndTimestampSignable, its payload as bytes."""

    signed: asn1.TLV
    number_of_signatures: int
    signatures: list[WireSignature]


@asn1.sequence
class Outline:
    """Any signed object, its parts untouched."""

    signed: asn1.TLV
    number_of_signatures: asn1.TLV
    signatures: asn1.TLV


@asn1.sequence
class ClientOutline:
    """A signed client object, the parts of its payload untouched: they tell what it is."""

    signed: list[asn1.TLV]
    number_of_signatures: asn1.TLV
    signatures: asn1.TLV


@asn1.sequence
class Whole:
    """An envelope around one object, for `Parts`."""

    whole: asn1.TLV


@asn1.sequence
class Parts:
    """The same envelope, with the parts of an object of any number of them."""

    parts: list[asn1.TLV]
