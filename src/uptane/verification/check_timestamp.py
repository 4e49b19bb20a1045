"""How to check Timestamp metadata (5.4.4.4)."""

from collections.abc import Mapping
from typing import TypeVar

from uptane.metadata.errors import BadSignatureError, ReplayedMetadataError
from uptane.metadata.identifiers import KeyId
from uptane.metadata.keys import PublicKey
from uptane.metadata.root import Common, Role, RoleKeys, Root
from uptane.metadata.timestamp import Timestamp
from uptane.verification.threshold import check_threshold
from uptane.verification.trusted import Context, Trusted


def check_timestamp(
    context: Context, root: Trusted[Root], raw: bytes, held: Trusted[Timestamp] | None
) -> Trusted[Timestamp]:
    """Timestamp under the newest Root.

    Args:
        raw: the file as received.
        held: the Timestamp trusted before, if any.

    Returns:
        The new one; with `unsafe_tuf_same_timestamp` the held one where both have the same version.

    Raises:
        BadSignatureError, WrongVehicleError, ReplayedMetadataError, ExpiredMetadataError: as their names say,
            in that order of checks (STD-5.4.4.4-2 to -4).
    """
    envelope = context.profile.format.decode(Timestamp, raw)
    timestamp = envelope.payload
    keys = root.value.roles[Role.TIMESTAMP]
    check_threshold(envelope, root.value.keys, keys, repository=context.repository, role=Role.TIMESTAMP)
    context.check_vehicle(timestamp, Role.TIMESTAMP)
    if not context.profile.unsafe_tuf_no_snapshot_hash:
        timestamp.require_hash()
    checked = Trusted(timestamp, envelope)
    if held is not None and timestamp.version == held.value.version and context.profile.unsafe_tuf_same_timestamp:
        context.check_expiry(held.value, Role.TIMESTAMP)
        return held
    check_not_older(context, Role.TIMESTAMP, checked, held)
    if held is not None and timestamp.snapshot.version < held.value.snapshot.version:
        raise ReplayedMetadataError(
            f"Timestamp of {context.repository} lists Snapshot {timestamp.snapshot.version}, "
            f"older than the trusted {held.value.snapshot.version}",
            repository=context.repository,
            role=Role.SNAPSHOT,
            expected=held.value.snapshot.version,
            offered=timestamp.snapshot.version,
        )
    context.check_expiry(timestamp, Role.TIMESTAMP)
    return checked


def load_held_timestamp(context: Context, raw: bytes | None) -> Trusted[Timestamp] | None:
    """The Timestamp of an earlier cycle, as a floor for versions only."""
    if raw is None:
        return None
    envelope = context.profile.format.decode(Timestamp, raw)
    return Trusted(envelope.payload, envelope)


HeldT = TypeVar("HeldT", bound=Common)


def floor(
    context: Context, held: Trusted[HeldT] | None, keys: Mapping[KeyId, PublicKey], role_keys: RoleKeys, role: str
) -> Trusted[HeldT] | None:
    """The held file of a delegated role, unless the role's present keys would not sign for it any more.

    A thief of the keys that signed it may have raised its version out of reach (AMB-7). The Snapshot keeps the
    version of every role as well, so forgetting the file does not open the way for a rollback.
    """
    if held is None:
        return None
    try:
        check_threshold(held.envelope, keys, role_keys, repository=context.repository, role=role)  # type: ignore[arg-type]
    except BadSignatureError:
        return None
    return held


def check_not_older(context: Context, role: str, new: Trusted[Common], held: Trusted[Common] | None) -> None:
    """Raises ReplayedMetadataError for a lower version, or the same version with other content (AMB-25)."""
    if held is None or new.value.version > held.value.version:
        return
    if new.value.version == held.value.version and new.envelope.message == held.envelope.message:
        return
    same = new.value.version == held.value.version
    raise ReplayedMetadataError(
        f"{role} of {context.repository} has version {new.value.version}, "
        + ("which was trusted with other content" if same else f"older than the trusted {held.value.version}"),
        repository=context.repository,
        role=role,
        expected=held.value.version,
        offered=new.value.version,
    )
