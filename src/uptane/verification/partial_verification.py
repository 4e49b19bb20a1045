"""Partial verification (5.4.4.1): the Director's Targets alone, for a Secondary that is too weak for more."""

from collections.abc import Mapping
from dataclasses import dataclass

from uptane.metadata.errors import UnreachableError
from uptane.metadata.identifiers import EcuIdentifier, KeyId
from uptane.metadata.keys import PublicKey
from uptane.metadata.root import Role, RoleKeys, Root
from uptane.metadata.targets import Image, Targets
from uptane.verification.check_root import load_root, update_root
from uptane.verification.check_targets import check_director_targets, check_targets_alone, load_held_targets
from uptane.verification.match_images import EcuFacts, check_fits
from uptane.verification.steps import Commit, Fetch, Procedure
from uptane.verification.trusted import Context, Held, Trusted


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetsKeys:
    """The keys of the Director's Targets role, and how many of them must sign."""

    keys: Mapping[KeyId, PublicKey]
    role_keys: RoleKeys

    @classmethod
    def of(cls, root: Trusted[Root]) -> "TargetsKeys":
        """Those that a Root names."""
        return cls(keys=root.value.keys, role_keys=root.value.roles[Role.TARGETS])


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedTargets:
    """What partial verification brought.

    Args:
        targets: the Director's Targets.
        image: the image of this ECU, if it is to have one. The Image repository has not been asked about it.
    """

    targets: Trusted[Targets]
    image: Image | None


def partial_verification(
    *, director: Context, held: Held, ecu: EcuIdentifier, facts: EcuFacts
) -> Procedure[VerifiedTargets]:
    """The Director's Root, which the Standard allows to check, then its Targets (STD-5.4.4.1-3, -4).

    Following Root is what takes stolen Targets keys out of use on such an ECU, and what recovers it from versions that
    a thief ran up.

    Args:
        director: name, profile, time and limits of the Director, with the vehicle.
        held: what was trusted of the Director before; of the roles, Targets alone counts.
        ecu, facts: this ECU.

    Raises:
        SecurityError: a check failed; nothing but new Roots was kept.
        UnreachableError: there is no Targets file.
    """
    root, dropped = yield from update_root(director, load_root(director, held.root), held.files)
    floor = None if Role.TARGETS in dropped else held.files.get(Role.TARGETS)
    return (
        yield from partial_verification_under(TargetsKeys.of(root), director=director, held=floor, ecu=ecu, facts=facts)
    )


def partial_verification_under(
    keys: TargetsKeys, *, director: Context, held: bytes | None, ecu: EcuIdentifier, facts: EcuFacts
) -> Procedure[VerifiedTargets]:
    """The Director's Targets alone, under keys that are given: those of Root, or pinned ones (AMB-17).

    No metadata can change pinned keys, so whoever steals them fools the ECU until it gets others by hand.

    Args:
        keys: the keys.
        held: the Targets trusted before, if any.
        director, ecu, facts: see `partial_verification`, which also has the errors.
    """
    # Without Snapshot nobody says which version is the newest, so the plain name is asked for.
    name = director.profile.requested_metadata(Role.TARGETS)
    raw = yield Fetch(director.repository, name, director.limits.targets_bytes)
    if raw is None:
        raise UnreachableError(
            f"{name} of {director.repository} is missing", repository=director.repository, role=Role.TARGETS
        )
    before = load_held_targets(director, held)
    targets = check_targets_alone(director, keys=keys.keys, role_keys=keys.role_keys, raw=raw, held=before)
    image = check_director_targets(director, targets, None).get(ecu)
    if image is not None:
        check_fits(image, ecu, facts)
    if raw != held:
        yield Commit({director.repository: {Role.TARGETS: raw}})
    return VerifiedTargets(targets=targets, image=image)
