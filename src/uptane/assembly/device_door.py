"""A Primary's door for its Secondaries, and how they become known to the Director; imports no server library."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from uptane.assembly.device_package import DeviceSettings, Door
from uptane.assembly.http_server import ServerThread
from uptane.metadata.errors import FormatError, RetiredVehicleError, UnknownEcuError, UnreachableError, UptaneError
from uptane.metadata.identifiers import EcuIdentifier
from uptane.metadata.keys import PublicKey
from uptane.services.arguments import text
from uptane.services.asgi import host_names
from uptane.services.primary_app import MAX_REQUEST_BYTES, primary_methods
from uptane.services.xmlrpc_door import XmlRpcDoor
from uptane.transport.device_api import DirectorOfDeviceApi
from uptane.vehicle.primary import Primary


@contextmanager
def open_door(primary: Primary, settings: DeviceSettings) -> Iterator[int]:
    """Lets Secondaries in while the context is open, if the settings say so; yields the port, 0 for none.

    Raises:
        UptaneError: the port is in use, or other machines could reach the address and nobody has allowed that.
    """
    if settings.door is None:
        yield 0
        return
    with ServerThread() as servers:
        yield _open(servers, settings.door, primary, settings)


def _open(servers: ServerThread, door: Door, primary: Primary, settings: DeviceSettings) -> int:
    methods = dict(primary_methods(primary.secondaries, settings.profile))
    methods["register_new_secondary"] = _named_alone(methods["register_new_secondary"], settings)
    app = XmlRpcDoor(methods, max_body=MAX_REQUEST_BYTES, allowed_hosts=host_names(settings.profile) | {door.address})
    return servers.start(app, door.port, host=door.address, unsafe_listen_on_network=door.unsafe_listen_on_network)


def _named_alone(register: Callable[..., object], settings: DeviceSettings) -> Callable[..., object]:
    """Registration for the Secondaries of the settings, each with a key: a stranger would only fill the manifest."""

    def register_new_secondary(ecu_serial: object, public_key: object = None) -> None:
        ecu = EcuIdentifier(text(ecu_serial, "ECU serial"))
        if ecu not in settings.secondaries:
            raise UnknownEcuError(
                f"ECU {ecu} is no Secondary of vehicle {settings.vehicle}",
                next_step="Name it in a [[secondary]] of the Primary's vehicle.toml.",
                ecu=ecu,
            )
        if public_key is None:
            raise FormatError(f"Secondary {ecu} came without its public key", field="public_key")
        register(ecu_serial, public_key)

    return register_new_secondary


class Registrations:
    """What the Director has been told of the Primary, when it was made, and of the Secondaries that came to the door.

    Args:
        primary, key: the Primary, and its key.
        settings: of it.
        director: who is told.
        warn: is told of a refusal.
    """

    def __init__(
        self,
        primary: Primary,
        key: PublicKey,
        settings: DeviceSettings,
        director: DirectorOfDeviceApi,
        warn: Callable[[str], None],
    ) -> None:
        self._primary = primary
        self._key = key
        self._settings = settings
        self._director = director
        self._warn = warn
        self._told = {settings.ecu}

    def forget(self) -> None:
        """The Director does not know what it was told: after an older backup, everybody has to register again."""
        self._told.clear()

    def tell(self) -> None:
        """Registers the new ones with the Director; what it refuses is tried again, and keeps nobody else back.

        Raises:
            UnreachableError, RetiredVehicleError: the Director does not answer, or does not know this vehicle any more.
        """
        hardware_ids = {**self._settings.secondaries, self._settings.ecu: self._settings.hardware_id}
        for ecu, key in ({self._settings.ecu: self._key} | dict(self._primary.secondaries.keys())).items():
            if ecu in self._told:
                continue
            hardware = hardware_ids.get(ecu)
            try:
                self._director.register_ecus(self._settings.ecu, {ecu: (key, hardware)})
            except (UnreachableError, RetiredVehicleError):
                raise
            except UptaneError as error:
                self._warn(f"ECU {ecu} is not registered with the Director: {error}")
            else:
                self._told.add(ecu)


def known_in_the_factory(settings: DeviceSettings) -> Mapping[EcuIdentifier, bytes]:
    """The public keys of Secondaries that the factory knew already: no other key can register for these."""
    files = {ecu: settings.secondary_key_file(ecu) for ecu in settings.secondaries}
    return {ecu: file.read_bytes() for ecu, file in files.items() if file.is_file()}
