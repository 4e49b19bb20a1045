"""Time attestation: the Timeserver's signed time over the nonces that the ECUs sent."""

from datetime import datetime

from msgspec import Struct, structs

from uptane.metadata.errors import FormatError
from uptane.metadata.extensions import NO_EXTENSIONS, Extensions
from uptane.metadata.root import check_time
from uptane.metadata.version_report import check_nonce

MAX_NONCES = 1024
"""Nonces in one request: one for each ECU of a vehicle."""


class TimeAttestation(Struct, frozen=True, kw_only=True, gc=False):
    """The payload of a time attestation.

    Args:
        time: UTC, whole seconds.
        nonces: the nonces of the request, in their order; may be empty.
    """

    time: datetime
    nonces: tuple[int, ...]
    extensions: Extensions = NO_EXTENSIONS

    def __post_init__(self) -> None:
        structs.force_setattr(self, "time", check_time(self.time, "time"))
        if len(self.nonces) > MAX_NONCES:
            raise FormatError(f"more than {MAX_NONCES} nonces", field="nonces")
        for nonce in self.nonces:
            check_nonce(nonce)
