"""Full verification (5.4.4.2): the repositories of the map are checked, and must agree on every image."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from uptane.metadata.errors import SecurityError, UnreachableError
from uptane.metadata.identifiers import EcuIdentifier, RepositoryName
from uptane.metadata.repository_map import RepositoryKind, RepositoryMap
from uptane.metadata.targets import Image
from uptane.verification.agreement import AskedRepositories, KnownRepository, Needs, check_agreement
from uptane.verification.held_files import HeldFiles
from uptane.verification.match_images import EcuFacts, check_fits, hardware_of
from uptane.verification.one_repository import VerifiedRepository
from uptane.verification.steps import Commit, Procedure, run


class AskImageRepositories(StrEnum):
    """Whether the Image repositories are asked where every directed image runs already (STD-5.4.4.2-10, -11)."""

    WHEN_NEEDED = "when needed"
    """Not while what is held of them still verifies, and agrees with the Director: until their Timestamps expire."""
    IN_EVERY_CYCLE = "in every cycle"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedBundle:
    """What a vehicle shall install, agreed on by all repositories that sign for it.

    Args:
        director: the checked roles of the Director.
        repositories: the checked roles of every repository that was asked, the Director among them.
        images: the image of each ECU that is to have one: only its own on a Secondary.
        refused: why an ECU gets no image, with `unsafe_refuse_single_images`; nothing was committed where there is one.
        files: every file used, by repository and role, byte for byte.
        needs: for each image, the repositories that were asked for it, and the delegated roles of each.
        nothing_new: whether no Image repository was asked, because every image runs already.
    """

    director: VerifiedRepository
    repositories: Mapping[RepositoryName, VerifiedRepository]
    images: Mapping[EcuIdentifier, Image]
    refused: Mapping[EcuIdentifier, SecurityError]
    files: Mapping[RepositoryName, Mapping[str, bytes]]
    needs: Mapping[EcuIdentifier, Needs]
    nothing_new: bool


def full_verification(
    *,
    repository_map: RepositoryMap,
    repositories: Mapping[RepositoryName, KnownRepository],
    ecus: Mapping[EcuIdentifier, EcuFacts],
    knows_whole_vehicle: bool,
    ask: AskImageRepositories = AskImageRepositories.IN_EVERY_CYCLE,
    unsafe_refuse_single_images: bool = False,
) -> Procedure[VerifiedBundle]:
    """All ten steps; the bundle is refused as a whole when one image fails (AMB-8).

    The Director is asked first, then the repositories that sign for every image, then others as far as a directed image
    needs them: of a repository that is not needed, nothing can be installed.

    Args:
        repository_map: which repositories sign for which images; each mapping names the Director.
        repositories: what is known of each repository of the map.
        ecus: the ECUs whose images are wanted.
        knows_whole_vehicle: True on a Primary, where an ECU that is not among `ecus` is refused (STD-5.4.4.6-9);
            False on a Secondary, which looks at its own image only (STD-5.4.4.2-16).
        ask: whether the Image repositories are asked where nothing is new.
        unsafe_refuse_single_images: an image that fails is refused alone, and the others are verified although the
            Director meant them to go together. Nothing is committed then, so that the next cycle sees it again. Where
            all fail, or what concerns all of them, the bundle is refused as ever.

    Raises:
        SecurityError: a check failed; nothing but new Roots was kept.
        UnreachableError: a repository does not answer, or lacks a file that it lists.
    """
    asked = AskedRepositories(
        repository_map=repository_map,
        known=repositories,
        whole_vehicle=frozenset(ecus) if knows_whole_vehicle else None,
    )
    for name in (repository_map.director, *repository_map.in_every_mapping):
        if name in repository_map.of_kind(RepositoryKind.DIRECTOR):
            yield from asked.require(name)
    assigned = asked.assigned[repository_map.director]
    images = {ecu: image for ecu, image in assigned.items() if ecu in ecus}
    agreed: _Agreed | None = None
    if ask is AskImageRepositories.WHEN_NEEDED and all(ecus[ecu].installed == images[ecu].file for ecu in images):
        agreed, asked = _from_held(asked, images, ecus)
    nothing_new = agreed is not None
    if agreed is None:
        agreed = yield from _check_images(asked, images, ecus, unsafe_single=unsafe_refuse_single_images)
    files = asked.files()
    if asked.are_news() and not agreed.refused:
        yield Commit(files)
    return VerifiedBundle(
        director=asked.verified[repository_map.director],
        repositories=asked.verified,
        images={ecu: image for ecu, image in images.items() if ecu not in agreed.refused},
        refused=agreed.refused,
        files=files,
        needs=agreed.needs,
        nothing_new=nothing_new,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Agreed:
    """What each image was looked for in, and what was refused."""

    needs: Mapping[EcuIdentifier, Needs]
    refused: Mapping[EcuIdentifier, SecurityError]


def _check_images(
    asked: AskedRepositories,
    images: Mapping[EcuIdentifier, Image],
    ecus: Mapping[EcuIdentifier, EcuFacts],
    *,
    unsafe_single: bool = False,
) -> Procedure[_Agreed]:
    """Steps 6b to 10: the Image repositories, and whether they agree with the Director on each image."""
    for name in asked.repository_map.in_every_mapping:
        yield from asked.require(name)
    needs: dict[EcuIdentifier, Needs] = {}
    refused: dict[EcuIdentifier, SecurityError] = {}
    for ecu, image in images.items():
        try:
            needs_of_image = yield from check_agreement(asked, ecu, image, hardware_of(image, ecus))
            check_fits(image, ecu, ecus[ecu])
            needs[ecu] = needs_of_image
        except SecurityError as error:
            if not unsafe_single:
                raise
            refused[ecu] = error
    if refused and not needs:
        raise next(iter(refused.values()))
    return _Agreed(needs=needs, refused=refused)


def _from_held(
    asked: AskedRepositories, images: Mapping[EcuIdentifier, Image], ecus: Mapping[EcuIdentifier, EcuFacts]
) -> tuple[_Agreed | None, AskedRepositories]:
    """Steps 6b to 10 over what is held, under the present time and the Roots that are held, with no request (AMB-4).

    Returns:
        What `_check_images` gives, and the repositories with those that were verified; None, and the repositories as
        they were, where anything is refused: then it is not what is held that has to be judged.
    """
    images_only = asked.repository_map.of_kind(RepositoryKind.IMAGE)
    held = HeldFiles({name: known for name, known in asked.known.items() if name in images_only})
    trial = replace(asked, verified=dict(asked.verified), assigned=dict(asked.assigned), catalogs={}, failed={})
    try:
        return run(_check_images(trial, images, ecus), held, held), trial
    except (SecurityError, UnreachableError):
        return None, asked
