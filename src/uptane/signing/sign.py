"""Encodes a payload and signs it."""

import hashlib
from collections.abc import Sequence
from typing import TypeVar

from uptane.formats.profile import Payload, Profile
from uptane.metadata.envelope import Envelope, Signature
from uptane.metadata.vehicle_manifest import VehicleVersionManifest
from uptane.metadata.version_report import EcuVersionReport
from uptane.signing.signer import Signer

AnyPayloadT = TypeVar("AnyPayloadT", bound=Payload)

SIGNED_OVER_HASH = (EcuVersionReport, VehicleVersionManifest)
"""Whose signatures are over the hash of the payload."""

REPORT_HASH = "sha256"
"""The hash function in the signatures of reports and manifests that we write."""


def sign(profile: Profile, payload: Payload, signers: Sequence[Signer]) -> bytes:
    """The signed object. Reports and manifests are signed over the hash of the payload (STD-5.4.2.1.1-5)."""
    return envelope_of(profile, payload, signers).raw


def envelope_of(profile: Profile, payload: AnyPayloadT, signers: Sequence[Signer]) -> Envelope[AnyPayloadT]:
    """The signed object with the payload beside it, as if it had been read."""
    unsigned = profile.format.encode(payload)
    over_hash = isinstance(payload, SIGNED_OVER_HASH) and not profile.unsafe_no_hash_in_signatures
    make = _sign_hash if over_hash else _sign
    signatures = tuple([make(signer, unsigned.message) for signer in signers])
    raw = profile.format.assemble(unsigned, signatures)
    return Envelope(payload=payload, message=unsigned.message, signatures=signatures, raw=raw)


def _sign(signer: Signer, message: bytes) -> Signature:
    return Signature(key_id=signer.key.key_id, value=signer.sign(message))


def _sign_hash(signer: Signer, message: bytes) -> Signature:
    digest = hashlib.new(REPORT_HASH, message).digest()
    return Signature(
        key_id=signer.key.key_id,
        value=signer.sign(digest),
        method=str(signer.key.scheme),
        hash_function=REPORT_HASH,
        digest=digest,
    )
