"""A Primary over the device API, from the files of its factory; imports no server library."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from uptane.assembly.device_package import DIRECTOR, IMAGE_REPOSITORY, DeviceSettings
from uptane.assembly.vehicle import DEFAULT_LIMITS, EcuFolder, new_nonce
from uptane.metadata.digests import Digests
from uptane.metadata.errors import ProvisioningError
from uptane.metadata.identifiers import ImagePath
from uptane.metadata.root import Role
from uptane.metadata.targets import ImageFile
from uptane.signing.signer import KeySigner
from uptane.storage.image_slots import ImageSlotFolder
from uptane.storage.key_files import KeyFolder
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
from uptane.vehicle.installation_states import RUNNING
from uptane.vehicle.memory import EcuMemory
from uptane.vehicle.ports import EcuStore
from uptane.vehicle.primary import Primary, World
from uptane.vehicle.provisioning import Provisioning, provision

FACTORY_IMAGE = ImagePath("factory.img")
ECU_KEY = "ecu"


@contextmanager
def open_device(settings: DeviceSettings, say: Callable[[str], None] = lambda line: None) -> Iterator[Primary]:
    """The Primary in a folder; made from its factory files, and registered, when it is opened first.

    Raises:
        UnreachableError: the server does not answer.
        ProvisioningError, FormatError: the factory's files are incomplete or damaged.
        StorageError: another process runs it.
    """
    disk = EcuFolder(path=settings.folder / "ecu")
    disk.path.mkdir(exist_ok=True, mode=0o700)
    key = KeyFolder(settings.folder / "keys").load_or_generate(ECU_KEY)
    signer = KeySigner(key, settings.profile.format.key_id_rule)
    tls = client_tls(authorities=settings.factory / "authority.pem", credentials=_credentials(settings))
    api = DeviceApiClient(settings.server, limits=DEFAULT_LIMITS, tls=tls)
    with disk.state() as store, disk.slots() as slots:
        if store.read("identity") is None:
            DirectorOfDeviceApi(api).register_ecus(settings.ecu, {settings.ecu: (signer.key, settings.hardware_id)})
            _provision(settings, store, slots)
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
            director=DirectorOfDeviceApi(api),
            timeserver=TimeOfDeviceApi(api),
            slots=slots,
            new_nonce=new_nonce,
            say=say,
        )
        yield Primary(memory, signer, world)


def _credentials(settings: DeviceSettings) -> Path:
    """The file of the vehicle's certificate, asked for with the token of the factory at first contact."""
    credentials = VehicleCredentials(settings.folder / "credentials", settings.vehicle)
    if credentials.certificate() is None:
        tls = client_tls(authorities=settings.factory / "authority.pem")
        api = DeviceApiClient(settings.server, limits=DEFAULT_LIMITS, tls=tls)
        token = (settings.factory / "token").read_text(encoding="ascii").strip()
        credentials.keep(first_contact(api, settings.vehicle, token, credentials.request()))
    return credentials.file


def _provision(settings: DeviceSettings, store: EcuStore, slots: ImageSlotFolder) -> None:
    profile, moment = settings.profile, datetime.now(UTC)

    def read(name: str) -> bytes:
        try:
            return (settings.factory / name).read_bytes()
        except FileNotFoundError as error:
            raise ProvisioningError(f"the factory left no {name} in {settings.factory}", name=name) from error

    image = read("image")
    with slots.receive(RUNNING.active) as writer:
        writer.write(image)
        writer.keep()
    provision(
        store,
        profile,
        Provisioning(
            vehicle=settings.vehicle,
            ecu=settings.ecu,
            hardware_id=settings.hardware_id,
            repository_map=profile.format.decode_map(read("map")),
            timeserver_key=profile.format.decode_key(read("timeserver-key")),
            roles={
                repository: {role: settings.role_file(repository, role).read_bytes() for role in Role}
                for repository in (DIRECTOR, IMAGE_REPOSITORY)
            },
            time=moment.replace(microsecond=0),
            counter=int(moment.timestamp() * 1_000_000),
            nonce=new_nonce(),
            installed=ImageFile(path=FACTORY_IMAGE, length=len(image), digests=Digests.of(image, ("sha256", "sha512"))),
        ),
    )
