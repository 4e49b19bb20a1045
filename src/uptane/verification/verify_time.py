"""Whether a time attestation may be believed: signed, an answer to our nonces, and not in the past."""

from collections.abc import Collection
from datetime import datetime

from uptane.formats.profile import Profile
from uptane.metadata.errors import BadTimeAttestationError
from uptane.metadata.keys import PublicKey
from uptane.metadata.root import RoleKeys
from uptane.metadata.time_attestation import TimeAttestation
from uptane.verification.threshold import check_threshold
from uptane.verification.trusted import Trusted


def verify_time(
    profile: Profile, raw: bytes, *, key: PublicKey, nonces: Collection[int], not_before: datetime
) -> Trusted[TimeAttestation]:
    """A time attestation by the Timeserver.

    Args:
        raw: the attestation as received.
        key: the Timeserver's key.
        nonces: what we sent, at least one; each must be in the answer.
        not_before: the latest time that was trusted; time never goes backwards (AMB-5).

    Raises:
        BadSignatureError: not by the Timeserver.
        BadTimeAttestationError: no nonce was sent, one is missing, or the time is earlier than one trusted before.
    """
    envelope = profile.format.decode(TimeAttestation, raw)
    role = RoleKeys(key_ids=(key.key_id,), threshold=1)
    check_threshold(envelope, {key.key_id: key}, role, repository="the Timeserver", role="time attestation")
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
    return Trusted(envelope.payload, envelope)
