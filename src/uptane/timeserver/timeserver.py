"""The Timeserver: signs the current time together with the nonces of a request."""

from collections.abc import Sequence
from datetime import datetime

from uptane.formats.profile import Profile
from uptane.metadata.keys import PublicKey
from uptane.metadata.time_attestation import TimeAttestation
from uptane.signing.sign import sign
from uptane.signing.signer import Signer


class Timeserver:
    """Attests times.

    Args:
        profile: the wire format of the attestations.
        signer: the Timeserver's key.
    """

    def __init__(self, profile: Profile, signer: Signer) -> None:
        self.profile = profile
        self._signer = signer

    @property
    def key(self) -> PublicKey:
        """What verifies its attestations."""
        return self._signer.key

    def attest(self, nonces: Sequence[int], now: datetime) -> bytes:
        """A signed attestation of `now` over the nonces, in their order; an empty request is answered too.

        Args:
            nonces: integers of 31 bits, at most 1024.
            now: UTC.

        Raises:
            FormatError: a nonce out of range, or too many.
        """
        payload = TimeAttestation(time=now.replace(microsecond=0), nonces=tuple(nonces))
        return sign(self.profile, payload, [self._signer])
