"""Full verification (5.4.4.2): the repositories of the map are checked, and must agree on every image."""

from collections.abc import Mapping
from dataclasses import dataclass

from uptane.metadata.identifiers import EcuIdentifier, RepositoryName
from uptane.metadata.repository_map import RepositoryMap
from uptane.metadata.targets import Image
from uptane.verification.agreement import AskedRepositories, KnownRepository, Needs, check_agreement
from uptane.verification.match_images import EcuFacts, check_fits, hardware_of
from uptane.verification.one_repository import VerifiedRepository
from uptane.verification.steps import Commit, Procedure


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedBundle:
    """What a vehicle shall install, agreed on by all repositories that sign for it.

    Args:
        director: the checked roles of the Director.
        repositories: the checked roles of every repository that was asked, the Director among them.
        images: the image of each ECU that is to have one: only its own on a Secondary.
        files: every file used, by repository and role, byte for byte.
        needs: for each image, the repositories that were asked for it, and the delegated roles of each.
    """

    director: VerifiedRepository
    repositories: Mapping[RepositoryName, VerifiedRepository]
    images: Mapping[EcuIdentifier, Image]
    files: Mapping[RepositoryName, Mapping[str, bytes]]
    needs: Mapping[EcuIdentifier, Needs]


def full_verification(
    *,
    repository_map: RepositoryMap,
    repositories: Mapping[RepositoryName, KnownRepository],
    ecus: Mapping[EcuIdentifier, EcuFacts],
    knows_whole_vehicle: bool,
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

    Raises:
        SecurityError: a check failed; nothing but new Roots was kept.
        UnreachableError: a repository does not answer, or lacks a file that it lists.
    """
    whole_vehicle = frozenset(ecus) if knows_whole_vehicle else None
    asked = AskedRepositories(repository_map=repository_map, known=repositories, whole_vehicle=whole_vehicle)
    director = repository_map.director
    yield from asked.require(director)
    images = {ecu: image for ecu, image in asked.assigned[director].items() if ecu in ecus}
    for name in repository_map.in_every_mapping:
        yield from asked.require(name)
    needs: dict[EcuIdentifier, Needs] = {}
    for ecu, image in images.items():
        needs[ecu] = yield from check_agreement(asked, ecu, image, hardware_of(image, ecus))
        check_fits(image, ecu, ecus[ecu])
    files = asked.files()
    if asked.are_news():
        yield Commit(files)
    return VerifiedBundle(
        director=asked.verified[director], repositories=asked.verified, images=images, files=files, needs=needs
    )
