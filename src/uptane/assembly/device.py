"""A Primary over the device API, from the files of its factory; imports no server library."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from uptane.assembly.device_door import Registrations, known_in_the_factory, open_door
from uptane.assembly.device_package import DIRECTOR, IMAGE_REPOSITORY, DeviceSettings
from uptane.assembly.made_ecus import disk_and_key, provision_from_factory
from uptane.assembly.vehicle import DEFAULT_LIMITS, new_nonce
from uptane.metadata.errors import UnknownEcuError, UptaneError
from uptane.storage.tls_credentials import VehicleCredentials
from uptane.transport.device_api import (
    DeviceApiClient,
    DeviceRepositories,
    DirectorOfDeviceApi,
    TimeOfDeviceApi,
    first_contact,
)
from uptane.transport.http_client import RepositoryClient
from uptane.transport.links import ImagesOverHttp
from uptane.transport.tls import client_tls
from uptane.vehicle.memory import EcuMemory
from uptane.vehicle.primary import CycleResult, Primary, World
from uptane.verification.full_verification import AskImageRepositories


@dataclass(frozen=True, slots=True)
class Device:
    """A Primary with its door.

    Args:
        primary: made from its memory.
        registrations: of its ECUs with the Director.
        port: of the door, 0 for a vehicle without Secondaries.
    """

    primary: Primary
    registrations: Registrations
    port: int

    def cycle(self) -> CycleResult:
        """Tells the Director of new Secondaries, and runs an update cycle; errors as `Primary.update_cycle`.

        A Director that does not know the Primary is told of all ECUs again in the next cycle.
        """
        self.registrations.tell()
        try:
            return self.primary.update_cycle()
        except UptaneError as error:
            if error.facts.get("code") == UnknownEcuError.code:
                self.registrations.forget()
            raise


@contextmanager
def open_device(
    settings: DeviceSettings,
    say: Callable[[str], None] = lambda line: None,
    polled: Callable[[str], None] = lambda text: None,
    warn: Callable[[str], None] = lambda line: None,
    *,
    refetch_images: bool = False,
    ask: AskImageRepositories = AskImageRepositories.WHEN_NEEDED,
) -> Iterator[Device]:
    """The Primary in a folder; made from its factory files, and registered, when it is opened first.

    Args:
        settings: of the folder.
        say: is told what happens, line by line.
        polled: is told what the server says of the time to the next cycle.
        warn: is told what somebody should look at.
        refetch_images, ask: as `Primary` takes them.

    Raises:
        UnreachableError: the server does not answer.
        UptaneError: the door for Secondaries cannot be opened there.
        ProvisioningError, FormatError: the factory's files are incomplete or damaged.
        StorageError: another process runs it.
    """
    disk, signer = disk_and_key(settings)
    tls = client_tls(authorities=settings.factory / "authority.pem", credentials=_credentials(settings))
    api = DeviceApiClient(settings.server, limits=DEFAULT_LIMITS, tls=tls, polled=polled)
    director = DirectorOfDeviceApi(api)
    with disk.state() as store, disk.slots() as slots:
        if store.read("identity") is None:
            director.register_ecus(settings.ecu, {settings.ecu: (signer.key, settings.hardware_id)})
            provision_from_factory(settings, store, slots)
        memory = EcuMemory(store, settings.profile)
        clients = {
            repository.name: RepositoryClient(
                repository.urls, limits=DEFAULT_LIMITS, name=repository.name, on_event=say, tls=tls
            )
            for repository in memory.map.repositories
        }
        world = World(
            repositories=DeviceRepositories(memory.director, clients, settings.profile.format.extension),
            mirrors=[ImagesOverHttp(clients[DIRECTOR]), ImagesOverHttp(clients[IMAGE_REPOSITORY])],
            director=director,
            timeserver=TimeOfDeviceApi(api),
            slots=slots,
            new_nonce=new_nonce,
            say=say,
        )
        primary = Primary(memory, signer, world, refetch_images=refetch_images, ask=ask)
        for ecu, raw in known_in_the_factory(settings).items():
            primary.secondaries.register_new_secondary(ecu, raw)
        with open_door(primary, settings) as port:
            yield Device(primary, Registrations(primary, signer.key, settings, director, warn), port)


def _credentials(settings: DeviceSettings) -> Path:
    """The file of the vehicle's certificate, asked for with the token of the factory at first contact."""
    credentials = VehicleCredentials(settings.folder / "credentials", settings.vehicle)
    if credentials.certificate() is None:
        tls = client_tls(authorities=settings.factory / "authority.pem")
        api = DeviceApiClient(settings.server, limits=DEFAULT_LIMITS, tls=tls)
        token = (settings.factory / "token").read_text(encoding="ascii").strip()
        credentials.keep(first_contact(api, settings.vehicle, token, credentials.request()))
    return credentials.file
