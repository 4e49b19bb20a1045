"""The server's side of a vehicle's factory: what is published now, as the files of a new vehicle."""

from collections.abc import Mapping
from dataclasses import dataclass

from uptane.assembly.device_package import DIRECTOR, IMAGE_REPOSITORY, DeviceSettings, SecondarySettings
from uptane.assembly.production import Systems
from uptane.director.vehicle_cache import files_of
from uptane.formats.profile import Profile
from uptane.image_repository.overtaken import again_if_overtaken
from uptane.metadata.errors import ProvisioningError
from uptane.metadata.identifiers import RepositoryName
from uptane.metadata.keys import PublicKey
from uptane.metadata.repository_map import MappedRepository, RepositoryKind, RepositoryMap
from uptane.metadata.root import Role
from uptane.storage.certificate_authority import authority_certificate
from uptane.vehicle.memory import VerificationKind
from uptane.verification.own_metadata import OwnMetadata, verify_own_metadata

FACTORY_IMAGE = b"the image that this ECU was made with\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServersOfFactory:
    """What ECUs are told of the servers, which is the same for every vehicle.

    Args:
        authority: the certificate of the authority that issues to vehicles and servers, PEM.
        timeserver_key: verifies attestations of the time.
        image_repository: the metadata that the Image repository publishes, by its name in `factory/`.
    """

    authority: bytes
    timeserver_key: PublicKey
    image_repository: Mapping[str, bytes]

    @classmethod
    async def of(cls, systems: Systems) -> "ServersOfFactory":
        """Reads it; ProvisioningError or StorageError where something is missing, damaged, or older than it was."""
        settings = systems.settings
        published = await again_if_overtaken(systems.newest.read)(systems.pinned_metadata, settings.profile)
        return cls(
            authority=authority_certificate(settings.place(settings.certificates.folder)),
            timeserver_key=systems.timeserver_key,
            image_repository=_metadata(IMAGE_REPOSITORY, published, settings.profile),
        )


async def factory_files(systems: Systems, settings: DeviceSettings, servers: ServersOfFactory) -> dict[str, bytes]:
    """Every file of `factory/` that all ECUs have, by its name there."""
    codec = settings.profile.format
    own = systems.director_metadata(settings.vehicle)
    director = await verify_own_metadata(own, settings.profile, settings.vehicle)
    return {
        "map": codec.encode_map(map_of(settings.server)),
        "timeserver-key": codec.encode_key(servers.timeserver_key),
        "image": FACTORY_IMAGE,
        **_metadata(DIRECTOR, director, settings.profile),
        **servers.image_repository,
    }


def _metadata(repository: RepositoryName, own: OwnMetadata | None, profile: Profile) -> dict[str, bytes]:
    """Nobody verifies what an ECU is made with but those who make it, so it gets the very bytes that were verified."""
    verified = {} if own is None else files_of(own, profile)
    files = {}
    for role in Role:
        raw = verified.get(profile.metadata_name(role))
        if raw is None:
            raise ProvisioningError(f"{role} of {repository} is not published", role=role)
        files[f"{repository}/{role}.{profile.format.extension}"] = raw
    return files


def files_of_secondary(made: Mapping[str, bytes], settings: SecondarySettings) -> dict[str, bytes]:
    """What of the Primary's files a Secondary is made from: all metadata, or the Director's Root and Targets."""
    extension = settings.profile.format.extension
    left_out = {
        f"{repository}/{role}.{extension}"
        for repository in (DIRECTOR, IMAGE_REPOSITORY)
        for role in Role
        if repository != DIRECTOR or role not in (Role.ROOT, Role.TARGETS)
    }
    full = settings.verification is VerificationKind.FULL
    return {name: raw for name, raw in made.items() if full or name not in left_out}


def map_of(server: str) -> RepositoryMap:
    """Both repositories behind one URL of the device API."""
    return RepositoryMap.basic(
        director=_mapped(DIRECTOR, RepositoryKind.DIRECTOR, server),
        image_repository=_mapped(IMAGE_REPOSITORY, RepositoryKind.IMAGE, server),
    )


def _mapped(name: RepositoryName, kind: RepositoryKind, server: str) -> MappedRepository:
    return MappedRepository(name=name, kind=kind, urls=(f"{server}/{name}",))
