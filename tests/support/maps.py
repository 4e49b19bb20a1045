"""Repository maps, written in a few words."""

from uptane.metadata.identifiers import PathPattern, RepositoryName
from uptane.metadata.repository_map import MappedRepository, Mapping, RepositoryKind, RepositoryMap

DIRECTOR = RepositoryName("director")
IMAGES = RepositoryName("imagerepo")
FLEET = RepositoryName("fleet")
"""A second Director, of the fleet that the vehicle belongs to."""

PARTS = RepositoryName("parts")
"""A second Image repository, of a supplier."""


def mapped(name: RepositoryName, kind: RepositoryKind) -> MappedRepository:
    """A repository of a map."""
    return MappedRepository(name=name, kind=kind, urls=("http://127.0.0.1/",))


def mapping(path: str, *repositories: RepositoryName, terminating: bool = True) -> Mapping:
    """Those that must all sign for an image."""
    return Mapping(paths=(PathPattern(path),), repositories=repositories, terminating=terminating)


def map_of(*mappings: Mapping) -> RepositoryMap:
    """A map of every repository that the mappings name."""
    names = sorted({name for entry in mappings for name in entry.repositories} | {DIRECTOR, IMAGES})
    kinds = {name: RepositoryKind.DIRECTOR if name in (DIRECTOR, FLEET) else RepositoryKind.IMAGE for name in names}
    return RepositoryMap(repositories=tuple(mapped(name, kind) for name, kind in kinds.items()), mappings=mappings)


BASIC_MAP = map_of(mapping("*", DIRECTOR, IMAGES))
