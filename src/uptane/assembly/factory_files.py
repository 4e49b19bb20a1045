"""The server's side of a vehicle's factory: what is published now, as the files of a new vehicle."""

from uptane.assembly.device_package import DIRECTOR, IMAGE_REPOSITORY, DeviceSettings
from uptane.assembly.production import Systems
from uptane.metadata.errors import ProvisioningError
from uptane.metadata.identifiers import RepositoryName
from uptane.metadata.repository_map import MappedRepository, RepositoryKind, RepositoryMap
from uptane.metadata.root import Role

FACTORY_IMAGE = b"the image that this ECU was made with\n"


async def factory_files(systems: Systems, settings: DeviceSettings) -> dict[str, bytes]:
    """Every file of `factory/`, by its name there."""
    codec = settings.profile.format
    repository_map = RepositoryMap.basic(
        director=_mapped(DIRECTOR, RepositoryKind.DIRECTOR, settings.server),
        image_repository=_mapped(IMAGE_REPOSITORY, RepositoryKind.IMAGE, settings.server),
    )
    files = {
        "map": codec.encode_map(repository_map),
        "timeserver-key": codec.encode_key(systems.timeserver.key),
        "image": FACTORY_IMAGE,
    }
    readers = {DIRECTOR: systems.director_metadata(settings.vehicle), IMAGE_REPOSITORY: systems.image_metadata}
    for repository, reader in readers.items():
        for role in Role:
            raw = await reader.read(settings.profile.metadata_name(role))
            if raw is None:
                raise ProvisioningError(f"{role} of {repository} is not published", role=role)
            files[f"{repository}/{role}.{codec.extension}"] = raw
    return files


def _mapped(name: RepositoryName, kind: RepositoryKind, server: str) -> MappedRepository:
    return MappedRepository(name=name, kind=kind, urls=(f"{server}/{name}",))
