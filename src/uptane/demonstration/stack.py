"""What the servers of a demonstration stand on: folders and XML-RPC, unless somebody hands in something else."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from uptane.assembly.vehicle import connect_director
from uptane.demonstration.console import say
from uptane.demonstration.published import FolderFiles, PublishedFiles
from uptane.demonstration.settings import Settings
from uptane.metadata.errors import ProvisioningError, UnknownVehicleError, UptaneError
from uptane.metadata.identifiers import EcuIdentifier, RepositoryName, VehicleIdentifier
from uptane.metadata.repository_map import MappedRepository, RepositoryKind, RepositoryMap

DIRECTOR = RepositoryName("director")
IMAGE_REPOSITORY = RepositoryName("imagerepo")


class Stack(Protocol):
    """Where published files are, and how ECUs get to know the servers and the servers them."""

    @property
    def image_repository_name(self) -> RepositoryName:
        """What ECUs call the Image repository; the Director is DIRECTOR."""
        ...

    def image_repository(self) -> PublishedFiles:
        """What the Image repository publishes; ProvisioningError where no servers were started."""
        ...

    def director(self, vehicle: VehicleIdentifier) -> PublishedFiles:
        """What the Director publishes for a vehicle.

        Raises:
            ProvisioningError: no servers were started.
            UnknownVehicleError: no such vehicle.
        """
        ...

    def vehicles(self) -> Sequence[VehicleIdentifier]:
        """Those that the Director knows."""
        ...

    def repository_map(self, vehicle: VehicleIdentifier) -> RepositoryMap:
        """Where a vehicle finds both repositories."""
        ...

    def register(self, vehicle: VehicleIdentifier, ecu: EcuIdentifier, key: bytes, *, is_primary: bool) -> None:
        """Makes an ECU known to the Director; raises UptaneError where it refuses."""
        ...


class FolderStack(Stack):
    """`imagerepo/` and `director/` of the demonstration's folder, and an XML-RPC door.

    Args:
        settings: the demonstration.
    """

    image_repository_name = IMAGE_REPOSITORY

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def image_repository(self) -> FolderFiles:
        """See `Stack`."""
        return FolderFiles(self._started(self._settings.image_repository))

    def director(self, vehicle: VehicleIdentifier) -> FolderFiles:
        """See `Stack`."""
        folder = self._started(self._settings.director) / vehicle
        if not folder.is_dir():
            raise UnknownVehicleError(f"vehicle {vehicle} is not known to the Director", vehicle=vehicle)
        return FolderFiles(folder)

    def vehicles(self) -> Sequence[VehicleIdentifier]:
        """See `Stack`."""
        return sorted(VehicleIdentifier(path.parent.name) for path in self._settings.director.glob("*/metadata"))

    def _started(self, folder: Path) -> Path:
        if not folder.is_dir():
            raise ProvisioningError(
                f"no services were started in {self._settings.folder}",
                next_step="Start them there first: python -i demo/start_servers.py.",
            )
        return folder

    def repository_map(self, vehicle: VehicleIdentifier) -> RepositoryMap:
        """See `Stack`."""
        url, ports = self._settings.url, self._settings.ports
        return RepositoryMap.basic(
            director=MappedRepository(
                name=DIRECTOR, kind=RepositoryKind.DIRECTOR, urls=(url(ports.director, f"/{vehicle}"),)
            ),
            image_repository=MappedRepository(
                name=IMAGE_REPOSITORY, kind=RepositoryKind.IMAGE, urls=(url(ports.image_repository),)
            ),
        )

    def register(self, vehicle: VehicleIdentifier, ecu: EcuIdentifier, key: bytes, *, is_primary: bool) -> None:
        """See `Stack`.

        Raises:
            UptaneError: the Director refused. An archived one refuses an ECU that it knows in words that nobody can
                tell from another reason; like the archived clients, this one then goes on.
        """
        settings = self._settings
        director = connect_director(settings.url(settings.ports.director_calls), settings.profile)
        try:
            director.register_ecu(vehicle, ecu, key, is_primary=is_primary)
        except UptaneError as error:
            if "foreign" not in error.facts or not settings.profile.relaxations:
                raise
            say(f"The Director did not register ECU {ecu}, perhaps because it knows it already: {error}")
            return
        part = "the Primary" if is_primary else "a Secondary"
        say(f"ECU {ecu} is registered with the Director as {part} of vehicle {vehicle}.")
