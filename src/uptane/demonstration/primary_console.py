"""`dp`: a vehicle's Primary as its window types it."""

import atexit
import time
from collections.abc import Callable, Sequence

from uptane.assembly.http_server import ServerThread
from uptane.assembly.vehicle import EcuFolder, connect_primary
from uptane.demonstration import banners
from uptane.demonstration.banners import Banner
from uptane.demonstration.console import command, say
from uptane.demonstration.factory import (
    MadeEcu,
    ecu_signer,
    key_name,
    make_ecu,
    new_folder,
    published_roles,
    remove,
)
from uptane.demonstration.settings import DEFAULT_PRIMARY, DEFAULT_VEHICLE, Settings
from uptane.demonstration.stack import FolderStack
from uptane.metadata.errors import (
    BadSignatureError,
    ForeignEcuError,
    ReplayedMetadataError,
    RepositoryMismatchError,
    SecurityError,
    UptaneError,
)
from uptane.metadata.identifiers import EcuIdentifier, VehicleIdentifier
from uptane.metadata.root import Role
from uptane.services.asgi import host_names
from uptane.services.primary_app import MAX_REQUEST_BYTES, primary_methods
from uptane.services.xmlrpc_door import XmlRpcDoor
from uptane.signing.signer import KeySigner
from uptane.vehicle.primary import CycleResult, Primary
from uptane.verification.full_verification import AskImageRepositories

REPLAYED = (
    "The Director has instructed us to download a Timestamp that is older than the currently trusted version. "
    "This instruction has been rejected."
)
UNTRUSTED = (
    "The Director has instructed us to download a Timestamp that is signed with keys that are untrusted.  "
    "This metadata has been rejected."
)
NO_IMAGE = (
    "No image was found that exactly matches the signed metadata from the Director and Image Repositories. "
    "Not keeping untrustworthy files. "
)


class PrimaryConsole:
    """The functions of a Primary.

    Args:
        settings: the demonstration.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.most_recent_signed_vehicle_manifest: bytes | None = None
        self._sent = False
        self._primary: Primary | None = None
        self._folder: EcuFolder | None = None
        self._close: Callable[[], None] = lambda: None
        self._servers = ServerThread()
        self._port: int | None = None
        atexit.register(self._clean_up)

    @property
    def primary(self) -> Primary:
        """The Primary; UptaneError before `clean_slate`."""
        if self._primary is None:
            raise UptaneError("there is no Primary yet", next_step="Run dp.clean_slate() first.")
        return self._primary

    @command
    def clean_slate(
        self,
        use_new_keys: bool = False,
        vin: str = DEFAULT_VEHICLE,
        ecu_serial: str = DEFAULT_PRIMARY,
        hardware_id: str | None = None,
        image_patterns: Sequence[str] = (),
    ) -> None:
        """Makes a Primary that was never updated, opens its door for Secondaries, and registers it.

        With `image_patterns`, such as `["gateway-*.img"]`, it installs no image of another name.
        """
        vehicle, ecu = VehicleIdentifier(vin), EcuIdentifier(ecu_serial)
        published_roles(self.settings, vehicle)  # before a key is made for services that are not there
        signer = ecu_signer(self.settings, key_name("primary", ecu, DEFAULT_PRIMARY), use_new_keys=use_new_keys)
        folder = new_folder(self.settings, "primary")
        made = make_ecu(
            self.settings,
            folder,
            vehicle=vehicle,
            ecu=ecu,
            image_name="primary_firmware.txt",
            hardware_id=hardware_id,
            image_patterns=image_patterns,
        )
        try:
            key = self.settings.profile.format.encode_key(signer.key)
            FolderStack(self.settings).register(vehicle, ecu, key, is_primary=True)
        except BaseException:  # what was refused leaves the Primary alone that was there before
            made.close()
            remove(folder)
            raise
        self._clean_up()
        self._folder, self._close = folder, made.close
        try:
            self._start(made, signer)
        except BaseException:
            self._clean_up()
            raise

    def _start(self, made: MadeEcu, signer: KeySigner) -> None:
        ports = self.settings.ports
        primary = connect_primary(
            made.memory,
            signer,
            made.slots,
            director_url=self.settings.url(ports.director_calls),
            timeserver_url=self.settings.url(ports.timeserver),
            refetch_images=True,
            ask=AskImageRepositories.IN_EVERY_CYCLE,  # attackers alter its metadata between releases
            say=say,
        )
        self._listen(primary)
        self._primary = primary
        self._send(self._make_manifest())

    def _listen(self, primary: Primary) -> None:
        first = self.settings.ports.primary
        tries = [0] if first == 0 else range(first, first + self.settings.ports.primary_tries)
        profile = self.settings.profile
        door = XmlRpcDoor(
            primary_methods(primary.secondaries, profile),
            max_body=MAX_REQUEST_BYTES,
            allowed_hosts=host_names(profile),
        )
        self._port = self._servers.start(
            door,
            list(tries),
            on_busy=lambda port: say(f"Failed to bind Primary XMLRPC Listener to port {port}. Trying next port."),
        )
        say(f"Primary will now listen on port {self._port}")

    @property
    def port(self) -> int | None:
        """The port of the door for Secondaries."""
        return self._port

    @command
    def update_cycle(self) -> None:
        """The seven steps: manifest, time, metadata, images, and all three for the Secondaries."""
        self._cycle()

    def _cycle(self) -> CycleResult | None:
        self._sent = True  # a cycle sends a newer manifest, after which the Director refuses an older one
        try:
            result = self._update()
        except SecurityError as error:
            say(self._cause(error))
            say(banners.cause(error))
            banners.show(*_banner_for(error))
            return None
        for ecu, image in sorted(result.images.items()):
            say(f"Verified image {image.file.path!s} for ECU {ecu}.")
        say("The Primary is up to date: all metadata is verified, and all images that are directed are here.")
        return result

    def _cause(self, error: SecurityError) -> str:
        """What went wrong with which file, as the archived program's log told it."""
        role = error.facts.get("role")
        name = self.settings.profile.metadata_name(str(role))
        file = f"Failed to update {name} from all mirrors: " if role in set(Role) else ""
        return f"{file}{type(error).__name__}: {error}"

    def _update(self) -> CycleResult:
        return self.primary.update_cycle()

    @command
    def generate_signed_vehicle_manifest(self) -> bytes:
        """Makes a vehicle version manifest and keeps it in `most_recent_signed_vehicle_manifest`."""
        return self._make_manifest()

    def _make_manifest(self) -> bytes:
        self.most_recent_signed_vehicle_manifest = self.primary.make_manifest()
        self._sent = False
        return self.most_recent_signed_vehicle_manifest

    @command
    def submit_vehicle_manifest_to_director(self, signed_vehicle_manifest: bytes | None = None) -> None:
        """Sends a manifest, by default the most recent one that was made and not sent, or else a new one."""
        waiting = None if self._sent else self.most_recent_signed_vehicle_manifest
        self._send(signed_vehicle_manifest or waiting or self._make_manifest())

    def _send(self, manifest: bytes) -> None:
        self.primary.send_manifest(manifest)
        self._sent = True
        say("The Director accepted the vehicle version manifest.")

    @command
    def looping_update(self, cycles: int | None = None, seconds: float = 1.0) -> None:
        """Runs update cycles until Ctrl-C, or as many as given; errors are printed and the loop goes on."""
        loop(self._cycle, cycles, seconds)

    @command
    def clean_up_temp_folder(self) -> None:
        """Stops the Primary and removes its folder."""
        self._clean_up()

    @command
    def try_banners(self) -> None:
        """Shows every banner."""
        banners.try_banners()

    def _clean_up(self) -> None:
        if self._port is not None:
            self._servers.stop(self._port)
        self._close()
        if self._folder is not None:
            remove(self._folder)
        self._primary, self._folder, self._port, self._close = None, None, None, lambda: None


def loop(cycle: Callable[[], object], cycles: int | None, seconds: float) -> None:
    """Runs a cycle again and again; Ctrl-C ends it."""
    done = 0
    try:
        while cycles is None or done < cycles:
            try:
                cycle()
            except UptaneError as error:
                say(f"{type(error).__name__}: {error}")
            done += 1
            if cycles is None or done < cycles:
                time.sleep(seconds)
    except KeyboardInterrupt:
        say(f"Stopped after {done} cycles.")


def _banner_for(error: SecurityError) -> tuple[Banner, str]:
    of_timestamp = error.facts.get("role") == Role.TIMESTAMP
    if isinstance(error, ReplayedMetadataError):
        return Banner.REPLAY, REPLAYED if of_timestamp else str(error)
    if isinstance(error, BadSignatureError) and of_timestamp:
        return Banner.DEFENDED, UNTRUSTED
    if isinstance(error, ForeignEcuError):
        return Banner.DEFENDED, f"{error} If it is yours: start its Secondary, which registers with this Primary."
    if isinstance(error, RepositoryMismatchError):
        return Banner.DEFENDED, error.what
    if "image" in error.facts:
        return Banner.DEFENDED, f"{NO_IMAGE}{error}"
    return Banner.DEFENDED, str(error)
