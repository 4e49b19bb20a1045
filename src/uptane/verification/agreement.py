"""Do the repositories that the map names for an image agree on it (STD-5.2.6-4, -5; 5.4.4.2, step 10)?"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from uptane.metadata.errors import ImageNotListedError, ProvisioningError, RepositoryMismatchError, SecurityError
from uptane.metadata.identifiers import EcuIdentifier, HardwareIdentifier, RepositoryName, RoleName
from uptane.metadata.repository_map import RepositoryKind, RepositoryMap
from uptane.metadata.targets import Image
from uptane.verification.check_targets import check_director_targets
from uptane.verification.match_images import check_match
from uptane.verification.one_repository import VerifiedRepository, verify_repository
from uptane.verification.resolve_delegations import Answer, TargetsOfRepository, look_for, not_listed
from uptane.verification.steps import Procedure
from uptane.verification.trusted import Context, Held

NO_ROLES: frozenset[RoleName] = frozenset()

Needs = Mapping[RepositoryName, frozenset[RoleName]]
"""The repositories that were asked for an image, and the delegated roles that each was searched through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownRepository:
    """A repository of the map as an ECU knows it.

    Args:
        context: its name, profile, time and limits; a Director's with the vehicle.
        held: what was trusted of it before.
    """

    context: Context
    held: Held


def require_directed(asked: RepositoryMap, ecu: EcuIdentifier) -> None:
    """Raises ProvisioningError unless each mapping names the Director and an Image repository (STD-5.4.4.2-1).

    Every image is directed by the Director, and none is installed on its word alone.
    """
    directors, images = (asked.of_kind(kind) for kind in RepositoryKind)
    director = next((name for name in asked.mappings[0].repositories if name in directors), None)
    for number, mapping in enumerate(asked.mappings, 1):
        if director not in mapping.repositories or images.isdisjoint(mapping.repositories):
            raise ProvisioningError(
                f"mapping {number} of the repository map of ECU {ecu} does not name both the Director and an Image "
                "repository",
                next_step="Name in each mapping the same Director, and at least one Image repository.",
                ecu=ecu,
                mapping=number,
            )


@dataclass(slots=True, kw_only=True)
class AskedRepositories:
    """The repositories of the map during one cycle: each is verified when it is needed first, and only then.

    Args:
        repository_map: what they sign for.
        known: all of them.
        whole_vehicle: every ECU, where all of them are known: what else a Director names is refused.
        verified: those that were asked.
        assigned: what each Director that was asked directs.
        catalogs: what each Image repository that was asked lists.
        failed: those that were refused; they are not asked again.
    """

    repository_map: RepositoryMap
    known: Mapping[RepositoryName, KnownRepository]
    whole_vehicle: Collection[EcuIdentifier] | None
    verified: dict[RepositoryName, VerifiedRepository] = field(default_factory=dict)
    assigned: dict[RepositoryName, Mapping[EcuIdentifier, Image]] = field(default_factory=dict)
    catalogs: dict[RepositoryName, TargetsOfRepository] = field(default_factory=dict)
    failed: dict[RepositoryName, SecurityError] = field(default_factory=dict)

    def require(self, name: RepositoryName) -> Procedure[None]:
        """Verifies a repository unless it has been; raises what `verify_repository` and the Director's checks do."""
        if name in self.failed:
            raise self.failed[name]
        if name not in self.verified:
            try:
                yield from self._verify(name)
            except SecurityError as error:
                self.failed[name] = error
                raise

    def _verify(self, name: RepositoryName) -> Procedure[None]:
        context, held = self.known[name].context, self.known[name].held
        verified = yield from verify_repository(context, held)
        if name in self.repository_map.of_kind(RepositoryKind.DIRECTOR):
            ecus = None if context.profile.unsafe_unknown_ecus else self.whole_vehicle
            self.assigned[name] = check_director_targets(context, verified.targets, ecus)
        else:
            self.catalogs[name] = TargetsOfRepository(
                context, verified.root, verified.snapshot, verified.targets, held.files
            )
        self.verified[name] = verified

    def files(self) -> dict[RepositoryName, Mapping[str, bytes]]:
        """Every file that was used, by repository and role, byte for byte."""
        return {
            name: verified.files() | (self.catalogs[name].files if name in self.catalogs else {})
            for name, verified in self.verified.items()
        }

    def are_news(self) -> bool:
        """Whether anything is to be kept: also files that a new Root made the keeper forget, although the same."""
        return any(
            self.verified[name].root.raw != self.known[name].held.root
            or any(self.known[name].held.files.get(role) != raw for role, raw in files.items())
            for name, files in self.files().items()
        )

    def ask(
        self, name: RepositoryName, ecu: EcuIdentifier, image: Image, hardware_ids: frozenset[HardwareIdentifier] | None
    ) -> Procedure[Answer]:
        """What a repository says of an image for an ECU; a Director lists only what it directs to that ECU."""
        yield from self.require(name)
        if name in self.catalogs:
            return (yield from look_for(self.catalogs[name], image.file.path, hardware_ids))
        directed = self.assigned[name].get(ecu)
        same = directed is not None and directed.file.path == image.file.path
        return Answer(image=directed if same else None, roles=NO_ROLES)

    def not_listed(self, name: RepositoryName, ecu: EcuIdentifier, image: Image) -> ImageNotListedError:
        """That a repository lacks an image for an ECU."""
        if name in self.catalogs:
            return not_listed(self.catalogs[name], image.file.path)
        return ImageNotListedError(
            f"{name} does not direct {image.file.path} to ECU {ecu}", repository=name, image=image.file.path, ecu=ecu
        )


def check_agreement(
    asked: AskedRepositories, ecu: EcuIdentifier, image: Image, hardware_ids: frozenset[HardwareIdentifier] | None
) -> Procedure[Needs]:
    """Follows the map: of the mappings that cover the image, the first whose repositories all list it counts.

    A mapping that terminates is the last that is asked. A repository that says something else of the image, that fails
    its checks or does not answer ends the search at any mapping: somebody who can bring that about must not be able to
    choose a later one.

    Args:
        asked: the repositories.
        ecu, image: what the Director directs, and to whom.
        hardware_ids: the hardware of the ECUs that shall have it, as far as it is known.

    Raises:
        RepositoryMismatchError: no mapping covers it, its repositories do not all list it, or one says otherwise.
        SecurityError, UnreachableError: a repository that has to be asked failed its checks, or does not answer.
    """
    needs: dict[RepositoryName, frozenset[RoleName]] = {}
    refusal: ImageNotListedError | None = None
    for mapping in asked.repository_map.mappings_of(image.file.path):
        lacking: list[RepositoryName] = []
        for name in mapping.repositories:
            answer = yield from asked.ask(name, ecu, image, hardware_ids)
            needs[name] = answer.roles
            if answer.image is None:
                lacking.append(name)
            else:
                check_match(image, answer.image, name)
        if not lacking:
            return needs
        refusal = asked.not_listed(lacking[0], ecu, image)
    raise RepositoryMismatchError(
        "The Director has instructed us to download a file that does not exactly match the Image Repository "
        f"metadata. File: {str(image.file.path)!r}; "
        f"{'no mapping of the repository map covers it' if refusal is None else refusal.what}",
        image=image.file.path,
        ecu=ecu,
    ) from refusal
