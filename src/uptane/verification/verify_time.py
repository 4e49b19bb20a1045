"""Whether a time attestation may be believed: signed, an answer to our nonces, and not in the past."""

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from uptane.formats.profile import Profile
from uptane.metadata.envelope import Envelope
from uptane.metadata.errors import BadSignatureError, BadTimeAttestationError
from uptane.metadata.keys import PublicKey
from uptane.metadata.root import RoleKeys
from uptane.metadata.time_attestation import TimeAttestation
from uptane.verification.threshold import check_threshold
from uptane.verification.trusted import Trusted


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedTime:
    """A time that may be believed.

    Args:
        attestation: what says so.
        key: whose signature it carries.
    """

    attestation: Trusted[TimeAttestation]
    key: PublicKey


def verify_time(
    profile: Profile, raw: bytes, *, keys: Collection[PublicKey], nonces: Collection[int], not_before: datetime
) -> VerifiedTime:
    """A time attestation by the Timeserver.

    Args:
        raw: the attestation as received.
        keys: the Timeserver's keys, at least one, any of which may have signed.
        nonces: what we sent, at least one; each must be in the answer.
        not_before: the latest time that was trusted; under the same key, time never goes backwards (AMB-5).

    Raises:
        BadSignatureError: not by the Timeserver.
        BadTimeAttestationError: no nonce was sent, one is missing, or the time is earlier than one trusted before.
    """
    envelope = profile.format.decode(TimeAttestation, raw)
    key = _signer(envelope, keys)
    answered = set(envelope.payload.nonces)
    if not nonces or not set(nonces) <= answered:
        raise BadTimeAttestationError(
            "the time attestation does not answer the nonce that was sent",
            next_step="It is an old one; ask again.",
            expected=sorted(nonces),
            offered=list(envelope.payload.nonces),
        )
    if envelope.payload.time < not_before:
        raise BadTimeAttestationError(
            f"the time attestation says {envelope.payload.time:%Y-%m-%dT%H:%M:%SZ}, "
            f"earlier than the {not_before:%Y-%m-%dT%H:%M:%SZ} that was trusted",
            expected=not_before,
            offered=envelope.payload.time,
        )
    return VerifiedTime(attestation=Trusted(envelope.payload, envelope), key=key)


def _signer(envelope: Envelope[TimeAttestation], keys: Collection[PublicKey]) -> PublicKey:
    """The key that has really signed: what an entry merely names would be anybody's word."""
    *others, last = keys
    for key in others:
        with suppress(BadSignatureError):
            return _signed_by(envelope, key)
    return _signed_by(envelope, last)


def _signed_by(envelope: Envelope[TimeAttestation], key: PublicKey) -> PublicKey:
    role = RoleKeys(key_ids=(key.key_id,), threshold=1)
    check_threshold(envelope, {key.key_id: key}, role, repository="the Timeserver", role="time attestation")
    return key
