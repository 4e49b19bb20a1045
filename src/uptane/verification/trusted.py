"""What has passed its checks. Only the `check_*` modules make one, so a step cannot be skipped."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from uptane.formats.profile import Profile
from uptane.metadata.envelope import Envelope
from uptane.metadata.errors import ExpiredMetadataError, WrongVehicleError
from uptane.metadata.identifiers import RepositoryName, VehicleIdentifier
from uptane.metadata.root import Common
from uptane.verification.limits import DEFAULT_LIMITS, Limits

ValueT = TypeVar("ValueT", covariant=True)


@dataclass(frozen=True, slots=True)
class Trusted(Generic[ValueT]):
    """A payload that was checked, beside the file that it stands in."""

    value: ValueT
    envelope: Envelope[ValueT]

    @property
    def raw(self) -> bytes:
        """The file, byte for byte."""
        return self.envelope.raw


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What an ECU holds of one repository, by role, byte for byte, as it was trusted before.

    Args:
        root: the newest trusted Root.
        files: `timestamp`, `snapshot`, `targets` and delegated roles; a missing one sets no floor.
    """

    root: bytes
    files: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What all checks of one repository in one cycle have in common.

    Args:
        repository: its name in the map.
        profile: the wire format and file names.
        now: the time of the whole cycle (AMB-23).
        vehicle: on a Director, the vehicle that every role must be for; None on an Image repository.
        limits: sizes and counts.
    """

    repository: RepositoryName
    profile: Profile
    now: datetime
    vehicle: VehicleIdentifier | None = None
    limits: Limits = DEFAULT_LIMITS

    def check_vehicle(self, payload: Common, role: str) -> None:
        """Raises WrongVehicleError when a Director's role is not for this vehicle (AMB-13, AMB-27)."""
        if self.profile.unsafe_no_vehicle_id:
            return
        if self.vehicle is not None and payload.vehicle != self.vehicle:
            made_for = payload.vehicle or "no vehicle"
            raise WrongVehicleError(
                f"{role} of {self.repository} is for {made_for}, not for {self.vehicle}",
                repository=self.repository,
                role=role,
                expected=self.vehicle,
                offered=payload.vehicle,
            )

    def check_expiry(self, payload: Common, role: str) -> None:
        """Raises ExpiredMetadataError unless the role expires later than now."""
        if payload.expires <= self.now:
            raise ExpiredMetadataError(
                f"{role} of {self.repository} expired at {payload.expires:%Y-%m-%dT%H:%M:%SZ}; "
                f"the time is {self.now:%Y-%m-%dT%H:%M:%SZ}",
                repository=self.repository,
                role=role,
                expected=self.now,
                offered=payload.expires,
            )
