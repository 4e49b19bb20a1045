"""Repository mapping metadata: which repositories must sign for which images (STD-5.2.6)."""

from collections.abc import Iterator
from enum import StrEnum

from msgspec import Struct

from uptane.metadata.errors import FormatError
from uptane.metadata.extensions import NO_EXTENSIONS, Extensions
from uptane.metadata.identifiers import PathPattern, RepositoryName, check_text

MAX_REPOSITORIES = 16
MAX_MAPPINGS = 256
ALL_PATHS = "*"
"""In a map, and only there, the pattern `*` alone covers every image (AMB-12)."""


class RepositoryKind(StrEnum):
    """What a repository is for (M-73): the rules for a Director are checked on a Director only."""

    DIRECTOR = "director"
    IMAGE = "image"


class MappedRepository(Struct, frozen=True, kw_only=True, gc=False):
    """A repository and the URLs of its mirrors, in the order of their use (M-66, M-67)."""

    name: RepositoryName
    kind: RepositoryKind
    urls: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.urls:
            raise FormatError(f"repository {self.name} has no URL", field="repositories")
        for url in self.urls:
            check_text("repository URL", url, 2048)


class Mapping(Struct, frozen=True, kw_only=True, gc=False):
    """Paths, and the repositories that must all sign for them (M-69, M-70).

    Args:
        paths: what it covers.
        repositories: those that must all list such an image, and say the same of it.
        terminating: whether no later mapping is asked for an image that this one covers; if not, a later one is
            asked when one of its repositories does not list the image (TAP 4).
    """

    paths: tuple[PathPattern, ...]
    repositories: tuple[RepositoryName, ...]
    terminating: bool = True

    def covers(self, path: str) -> bool:
        """Whether this mapping is for `path`."""
        return any(pattern == ALL_PATHS or pattern.matches(path) for pattern in self.paths)


class RepositoryMap(Struct, frozen=True, kw_only=True, gc=False):
    """The whole map (STD-5.2.6).

    Raises:
        FormatError: no Director or no Image repository, an unknown name in a mapping, or a name given twice.
    """

    repositories: tuple[MappedRepository, ...]
    mappings: tuple[Mapping, ...]
    extensions: Extensions = NO_EXTENSIONS

    def __post_init__(self) -> None:
        names = [repository.name for repository in self.repositories]
        if len(set(names)) != len(names) or len(names) > MAX_REPOSITORIES:
            raise FormatError("repositories in the map must be different and not too many", field="repositories")
        if {repository.kind for repository in self.repositories} != set(RepositoryKind):
            raise FormatError("the map needs a Director and an Image repository", field="repositories")
        if not self.mappings or len(self.mappings) > MAX_MAPPINGS:
            raise FormatError("the map needs one or more mappings", field="mappings")
        for mapping in self.mappings:
            if not mapping.paths or not mapping.repositories or not set(mapping.repositories) <= set(names):
                raise FormatError("a mapping needs paths and known repositories", field="mappings")

    def of_kind(self, kind: RepositoryKind) -> frozenset[RepositoryName]:
        """The names of the repositories of that kind."""
        return frozenset(repository.name for repository in self.repositories if repository.kind is kind)

    @property
    def director(self) -> RepositoryName:
        """The Director that directs this vehicle: the first one that the first mapping names.

        Raises:
            FormatError: the first mapping names none.
        """
        directors = self.of_kind(RepositoryKind.DIRECTOR)
        for name in self.mappings[0].repositories:
            if name in directors:
                return name
        raise FormatError("the first mapping of the map names no Director", field="mappings")

    @property
    def in_every_mapping(self) -> tuple[RepositoryName, ...]:
        """The repositories that sign for every image there can be, in the order of the first mapping."""
        first, *others = self.mappings
        return tuple(name for name in first.repositories if all(name in mapping.repositories for mapping in others))

    def mappings_of(self, path: str) -> Iterator[Mapping]:
        """The mappings that cover an image and may be asked for it, in their order (STD-5.2.6-4).

        One that terminates is the last.
        """
        for mapping in self.mappings:
            if mapping.covers(path):
                yield mapping
                if mapping.terminating:
                    return

    @classmethod
    def basic(cls, *, director: MappedRepository, image_repository: MappedRepository) -> "RepositoryMap":
        """The Standard's basic case: every image must be signed by both (STD-5.2.6-6)."""
        everything = Mapping(paths=(PathPattern(ALL_PATHS),), repositories=(director.name, image_repository.name))
        return cls(repositories=(director, image_repository), mappings=(everything,))
