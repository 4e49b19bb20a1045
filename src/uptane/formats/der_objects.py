"""Whole objects of `docs/uptane.asn1`: format version, then what it is by its tag, then the signatures if any."""

from typing import Annotated

from cryptography.hazmat import asn1

from uptane.formats.der_schema import (
    ReceivedReport,
    WireAttestation,
    WireHashSignature,
    WireKey,
    WireManifest,
    WireMap,
    WireRole,
    WireSignature,
)

FORMAT_VERSION = 1
"""The first element of every object."""


@asn1.sequence
class SignedRole:
    """SignedRole."""

    format_version: int
    signed: Annotated[WireRole, asn1.Implicit(0)]
    signatures: list[WireSignature]


@asn1.sequence
class SignedReport:
    """SignedEcuVersionReport."""

    format_version: int
    signed: Annotated[ReceivedReport, asn1.Implicit(1)]
    signatures: list[WireHashSignature]


@asn1.sequence
class SignedManifest:
    """SignedVehicleVersionManifest."""

    format_version: int
    signed: Annotated[WireManifest, asn1.Implicit(2)]
    signatures: list[WireHashSignature]


@asn1.sequence
class SignedAttestation:
    """SignedTimeAttestation."""

    format_version: int
    signed: Annotated[WireAttestation, asn1.Implicit(3)]
    signatures: list[WireSignature]


@asn1.sequence
class KeyFile:
    """KeyFile."""

    format_version: int
    key: Annotated[WireKey, asn1.Implicit(4)]


@asn1.sequence
class MapFile:
    """MapFile."""

    format_version: int
    map: Annotated[WireMap, asn1.Implicit(5)]


@asn1.sequence
class Assembled:
    """Any signed role or attestation whose payload is there as bytes."""

    format_version: int
    signed: asn1.TLV
    signatures: list[WireSignature]


@asn1.sequence
class AssembledOverHash:
    """Any signed report or manifest whose payload is there as bytes."""

    format_version: int
    signed: asn1.TLV
    signatures: list[WireHashSignature]


@asn1.sequence
class Outline:
    """Any signed object, its parts untouched: for its kind and the exact bytes of its payload."""

    format_version: int
    signed: asn1.TLV
    signatures: asn1.TLV
