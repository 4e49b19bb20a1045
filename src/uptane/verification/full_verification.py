"""Full verification (5.4.4.2): both repositories are checked, and must agree on every image."""

from collections.abc import Mapping
from dataclasses import dataclass

from uptane.metadata.errors import ImageNotListedError, RepositoryMismatchError
from uptane.metadata.identifiers import EcuIdentifier, RepositoryName
from uptane.metadata.targets import Image
from uptane.verification.check_targets import check_director_targets
from uptane.verification.match_images import (
    EcuFacts,
    check_fits,
    check_match,
    hardware_of,
)
from uptane.verification.one_repository import VerifiedRepository, verify_repository
from uptane.verification.resolve_delegations import TargetsOfRepository, resolve
from uptane.verification.steps import Commit, Procedure
from uptane.verification.trusted import Context, Held


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedBundle:
    """What a vehicle shall install, agreed on by both repositories.

    Args:
        director, image_repository: the checked roles.
        images: the image of each ECU that is to have one: only its own on a Secondary.
        files: every file used, by repository and role, byte for byte.
    """

    director: VerifiedRepository
    image_repository: VerifiedRepository
    images: Mapping[EcuIdentifier, Image]
    files: Mapping[RepositoryName, Mapping[str, bytes]]


def full_verification(
    *,
    director: Context,
    director_held: Held,
    image_repository: Context,
    image_repository_held: Held,
    ecus: Mapping[EcuIdentifier, EcuFacts],
    knows_whole_vehicle: bool,
) -> Procedure[VerifiedBundle]:
    """All ten steps; the bundle is refused as a whole when one image fails (AMB-8).

    Args:
        director, image_repository: name, profile, time and limits of each repository; the Director's with the vehicle.
        director_held, image_repository_held: what was trusted before.
        ecus: the ECUs whose images are wanted.
        knows_whole_vehicle: True on a Primary, where an ECU that is not among `ecus` is refused (STD-5.4.4.6-9);
            False on a Secondary, which looks at its own image only (STD-5.4.4.2-16).

    Raises:
        SecurityError: a check failed; nothing but new Roots was kept.
        UnreachableError: a repository does not answer, or lacks a file that it lists.
    """
    directed = yield from verify_repository(director, director_held)
    whole = knows_whole_vehicle and not director.profile.unsafe_unknown_ecus
    assigned = check_director_targets(director, directed.targets, frozenset(ecus) if whole else None)
    listed = yield from verify_repository(image_repository, image_repository_held)
    catalog = TargetsOfRepository(
        image_repository, listed.root, listed.snapshot, listed.targets, image_repository_held.files
    )
    images = {ecu: image for ecu, image in assigned.items() if ecu in ecus}
    for ecu, image in images.items():
        yield from _check_image(catalog, ecu, image, ecus)
    files = {
        director.repository: directed.files(),
        image_repository.repository: listed.files() | catalog.files,
    }
    if _is_news(directed, director_held, files[director.repository]) or _is_news(
        listed, image_repository_held, files[image_repository.repository]
    ):
        yield Commit(files)
    return VerifiedBundle(director=directed, image_repository=listed, images=images, files=files)


def _is_news(repository: VerifiedRepository, held: Held, files: Mapping[str, bytes]) -> bool:
    """Whether anything is to be kept: also files that a new Root made the keeper forget, although they are the same."""
    return repository.root.raw != held.root or any(held.files.get(role) != raw for role, raw in files.items())


def _check_image(
    catalog: TargetsOfRepository, ecu: EcuIdentifier, image: Image, ecus: Mapping[EcuIdentifier, EcuFacts]
) -> Procedure[None]:
    try:
        entry = yield from resolve(catalog, image.file.path, hardware_of(image, ecus))
    except ImageNotListedError as error:
        raise RepositoryMismatchError(
            "The Director has instructed us to download a file that does not exactly match the Image Repository "
            f"metadata. File: {str(image.file.path)!r}; {error.what}",
            image=image.file.path,
            ecu=ecu,
        ) from error
    check_match(image, entry)
    check_fits(image, ecu, ecus[ecu])
