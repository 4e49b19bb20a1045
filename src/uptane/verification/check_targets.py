"""How to check Targets metadata (5.4.4.6): of the Director, and top-level or delegated of the Image repository."""

from collections.abc import Collection, Mapping

from uptane.metadata.delegations import TARGETS_ROLE
from uptane.metadata.errors import (
    DelegationError,
    DirectorDelegationError,
    DuplicateEcuError,
    ForeignEcuError,
    FormatError,
)
from uptane.metadata.identifiers import EcuIdentifier, KeyId, RoleName
from uptane.metadata.keys import PublicKey
from uptane.metadata.root import RoleKeys
from uptane.metadata.snapshot import MetadataFile, Snapshot
from uptane.metadata.targets import Image, Targets
from uptane.verification.check_snapshot import check_listed_file, check_listed_version
from uptane.verification.check_timestamp import check_not_older
from uptane.verification.threshold import check_threshold
from uptane.verification.trusted import Context, Trusted


def check_targets(
    context: Context,
    *,
    name: RoleName,
    keys: Mapping[KeyId, PublicKey],
    role_keys: RoleKeys,
    snapshot: Trusted[Snapshot],
    raw: bytes,
    held: Trusted[Targets] | None,
) -> Trusted[Targets]:
    """Targets of one role.

    Args:
        name: `targets`, or the delegated role.
        keys, role_keys: from Root, or from the Targets file that delegates to this role (STD-5.4.4.6-3, -4).
        snapshot: lists the file.
        held: the file of this role trusted before, if any.

    Raises:
        DelegationError: the Snapshot does not list the role.
        MixAndMatchError, BadSignatureError, WrongVehicleError, ReplayedMetadataError, ExpiredMetadataError:
            as their names say (STD-5.4.4.6-2 to -6).
    """
    listed = listed_file(context, name, snapshot)
    check_listed_file(context, name, raw, listed)
    checked = _signed_targets(context, name, keys, role_keys, raw)
    check_listed_version(context, name, checked.value.version, listed)
    check_not_older(context, name, checked, held)
    context.check_expiry(checked.value, name)
    return checked


def check_targets_alone(
    context: Context,
    *,
    keys: Mapping[KeyId, PublicKey],
    role_keys: RoleKeys,
    raw: bytes,
    held: Trusted[Targets] | None,
) -> Trusted[Targets]:
    """The Director's Targets on an ECU that holds no Snapshot: every other check of 5.4.4.6 (STD-5.4.4.1-3).

    Args:
        keys, role_keys: of the Targets role, from Root or pinned.
        held: the Targets trusted before, if any.

    Raises:
        BadSignatureError, WrongVehicleError, ReplayedMetadataError, ExpiredMetadataError: as their names say, in that
            order of checks.
    """
    checked = _signed_targets(context, TARGETS_ROLE, keys, role_keys, raw)
    check_not_older(context, TARGETS_ROLE, checked, held)
    context.check_expiry(checked.value, TARGETS_ROLE)
    return checked


def _signed_targets(
    context: Context, name: RoleName, keys: Mapping[KeyId, PublicKey], role_keys: RoleKeys, raw: bytes
) -> Trusted[Targets]:
    envelope = context.profile.format.decode(Targets, raw)
    check_threshold(envelope, keys, role_keys, repository=context.repository, role=name)
    context.check_vehicle(envelope.payload, name)
    return Trusted(envelope.payload, envelope)


def listed_file(context: Context, name: RoleName, snapshot: Trusted[Snapshot]) -> MetadataFile:
    """What the Snapshot says of a role's file; DelegationError when it says nothing."""
    listed = snapshot.value.files.get(name)
    if listed is None:
        raise DelegationError(
            f"role {name} of {context.repository} is trusted but the Snapshot does not list it",
            repository=context.repository,
            role=str(name),
        )
    return listed


def load_held_targets(context: Context, raw: bytes | None) -> Trusted[Targets] | None:
    """A Targets file of an earlier cycle, as a floor for versions only."""
    if raw is None:
        return None
    envelope = context.profile.format.decode(Targets, raw)
    return Trusted(envelope.payload, envelope)


def check_director_targets(
    context: Context, targets: Trusted[Targets], ecus: Collection[EcuIdentifier] | None
) -> Mapping[EcuIdentifier, Image]:
    """The image of each ECU, after the checks that concern a Director only (STD-5.4.4.6-7 to -9).

    Args:
        targets: the Director's Targets.
        ecus: every ECU of the vehicle, on a Primary; None on a Secondary, which knows only itself, and where the
            profile has `unsafe_unknown_ecus`.

    Raises:
        DirectorDelegationError: it delegates; an empty delegations object is accepted (AMB-16).
        FormatError: an image names no ECU (STD-5.2.3.1.1-9).
        DuplicateEcuError: one ECU is named twice.
        ForeignEcuError: an ECU is named that is not in the vehicle.
    """
    if targets.value.delegations:
        raise DirectorDelegationError(
            f"Targets of {context.repository} delegates, which a Director never may", repository=context.repository
        )
    assigned: dict[EcuIdentifier, Image] = {}
    last_counts = context.profile.unsafe_last_image_counts
    images = targets.value.images.items()
    for path, image in sorted(images, key=lambda item: item[0]) if last_counts else images:
        if not image.custom.ecus:
            raise FormatError(f"the Director names no ECU for image {path}", field="ecus", image=path)
        for ecu in image.custom.ecus:
            if ecu in assigned and not last_counts:
                raise DuplicateEcuError(
                    f"the Director gives ECU {ecu} two images: {assigned[ecu].file.path} and {path}", ecu=ecu
                )
            if ecus is not None and ecu not in ecus:
                raise ForeignEcuError(f"the Director names ECU {ecu}, which is not in this vehicle", ecu=ecu)
            assigned[ecu] = image
    return assigned
