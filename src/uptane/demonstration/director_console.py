"""`dd`: the Director as the services window types it."""

from collections.abc import Mapping, Sequence

from uptane.assembly.servers import RunningDirector, director_over_folder, director_site
from uptane.demonstration.console import command, say
from uptane.demonstration.desk import Desk, now, wipe
from uptane.demonstration.director_attacks import DirectorAttacks
from uptane.demonstration.image_repository_attacks import EVIL
from uptane.demonstration.image_repository_console import FRESH, custom_of, new_keys, read_image, write_image
from uptane.demonstration.keys import encryption_key
from uptane.demonstration.readable import readable_manifest, readable_report
from uptane.demonstration.settings import KNOWN_VEHICLES, Settings
from uptane.demonstration.stack import FolderStack, Stack
from uptane.director.check_images import UNSAFE_NO_CATALOG
from uptane.director.director import Director
from uptane.metadata.errors import UptaneError
from uptane.metadata.identifiers import EcuIdentifier, ImagePath, VehicleIdentifier
from uptane.metadata.root import Role, Root
from uptane.metadata.targets import Image
from uptane.metadata.vehicle_manifest import VehicleVersionManifest
from uptane.metadata.version_report import EcuVersionReport
from uptane.services.asgi import host_names
from uptane.services.director_app import MAX_MANIFEST_BYTES, director_methods
from uptane.services.xmlrpc_door import XmlRpcDoor
from uptane.signing.publish import new_root
from uptane.signing.signer import KeySigner
from uptane.storage.folders import described

KEYS = {
    Role.ROOT: "directorroot",
    Role.TARGETS: "director",
    Role.SNAPSHOT: "directorsnapshot",
    Role.TIMESTAMP: "directortimestamp",
}


class DirectorConsole(DirectorAttacks):
    """The functions of the Director.

    `key_names` says under which names its keys are kept.

    Args:
        desk: the services window.
        stack: what its servers stand on; folders where nothing is given.
    """

    key_names: Mapping[Role, str] = KEYS

    def __init__(self, desk: Desk, stack: Stack | None = None) -> None:
        self.settings: Settings = desk.settings
        self.stack = stack or FolderStack(desk.settings)
        self._desk = desk
        self._running: RunningDirector | None = None
        self._signers: dict[Role, KeySigner] = {}
        self._rotations = 0

    @property
    def director(self) -> Director:
        """The Director; UptaneError before `clean_slate`."""
        return self._system.director

    @property
    def _system(self) -> RunningDirector:
        if self._running is None:
            raise UptaneError("there is no Director yet", next_step="Run dd.clean_slate() first.")
        return self._running

    @command
    def clean_slate(self, use_new_keys: bool = False) -> None:
        """Wipes `director/`, registers the vehicles 111, 112, 113 and democar, and hosts them."""
        ports = self.settings.ports
        self._desk.check_ports(ports.director, ports.director_calls)
        self.close()
        wipe(self.settings.director)
        if use_new_keys:
            self._desk.replace_keys(*self.key_names.values())
        self._load_keys()
        self._begin(
            self._desk.run(
                director_over_folder(
                    self.settings.profile, self.settings.director, self._root(), catalog=UNSAFE_NO_CATALOG
                )
            )
        )
        for vehicle in KNOWN_VEHICLES:
            self._desk.run(self.director.add_new_vehicle(vehicle, now()))
        self._host()
        self._listen()

    def _load_keys(self) -> None:
        self._signers = {role: self._desk.signer(name) for role, name in self.key_names.items()}
        self._rotations, self._stolen = 0, {}

    def _begin(self, running: RunningDirector) -> None:
        self._running = running
        running.director.add_signers(self._signers.values())

    def close(self) -> None:
        """Stops listening for ECUs and closes the inventory; `clean_slate` begins anew."""
        if self._running is not None:
            self._desk.servers.stop(self.settings.ports.director_calls)
            self._desk.run(self._running.close())
            self._running = None

    def _root(self) -> Root:
        return new_root({role: [signer] for role, signer in self._signers.items()})

    @command
    def host(self) -> None:
        """Starts the HTTP server, if it does not run."""
        self._host()

    def _host(self) -> None:
        port = self.settings.ports.director
        if self._desk.servers.serves(port):
            say("The Director is hosted already.")
            return
        self._desk.servers.start(director_site(self.settings.profile, self.settings.director), [port])
        say(f"Director hosted at {self.settings.url(port)}")

    @command
    def listen(self) -> None:
        """Starts the XML-RPC server for ECUs."""
        self._listen()

    def _listen(self) -> None:
        methods = director_methods(self.director, self.settings.profile, now, answers=False)
        door = XmlRpcDoor(methods, max_body=MAX_MANIFEST_BYTES, allowed_hosts=host_names(self.settings.profile))
        port = self.settings.ports.director_calls
        if self._desk.servers.serves(port):
            say("The Director listens already.")
            return
        self._desk.servers.start(door, [port])
        say(f"Director listens for ECUs at {self.settings.url(port)}")

    @command
    def kill_server(self) -> None:
        """Stops both servers."""
        self._desk.servers.stop(self.settings.ports.director)
        self._desk.servers.stop(self.settings.ports.director_calls)

    @command
    def add_new_vehicle(self, vin: str) -> None:
        """Registers a vehicle and publishes its first, empty metadata; the Primary registers itself."""
        self._desk.run(self.director.add_new_vehicle(VehicleIdentifier(vin), now()))

    @command
    def write_to_live(self, vin_to_update: str | None = None) -> None:
        """Publishes for one vehicle or for all; Snapshot and Timestamp rise even without a change."""
        self._publish(vin_to_update)

    def _publish(self, vin: str | None) -> None:
        vehicles = self._desk.run(self.director.vehicles()) if vin is None else [VehicleIdentifier(vin)]
        failures: list[UptaneError] = []
        for vehicle in vehicles:
            try:
                self._desk.run(self.director.publish(vehicle, now()))
            except UptaneError as error:
                failures.append(error)
        if failures:
            raise failures[0]

    @command
    def add_target_to_director(
        self,
        target_fname: str,
        filepath_in_repo: str,
        vin: str,
        ecu_serial: str,
        release_counter: int | None = None,
        hardware_ids: Sequence[str] | None = None,
    ) -> None:
        """Assigns an image to an ECU; `write_to_live(vin)` publishes it."""
        self._assign(target_fname, filepath_in_repo, vin, ecu_serial, release_counter, hardware_ids)

    def _assign(
        self,
        target_fname: str,
        filepath_in_repo: str,
        vin: str,
        ecu_serial: str,
        release_counter: int | None = None,
        hardware_ids: Sequence[str] | None = None,
    ) -> None:
        vehicle, ecu, path = VehicleIdentifier(vin), EcuIdentifier(ecu_serial), ImagePath(filepath_in_repo)
        self._desk.run(self.director.require_ecu(vehicle, ecu))
        data, custom = read_image(self.settings, target_fname), custom_of(release_counter, hardware_ids)
        file = self._desk.run(self._system.images(vehicle).add(path, data))
        image = Image(file=file, custom=custom)
        self._desk.run(self.director.assign(vehicle, ecu, image))

    @command
    def add_encrypted_target_to_director(
        self,
        target_fname: str,
        filepath_in_repo: str,
        vin: str,
        ecu_serial: str,
        release_counter: int | None = None,
        hardware_ids: Sequence[str] | None = None,
    ) -> None:
        """Encrypts an image for an ECU and assigns it; `write_to_live(vin)` publishes it."""
        vehicle, ecu = VehicleIdentifier(vin), EcuIdentifier(ecu_serial)
        key = encryption_key(self.settings, ecu)
        if key is None:
            raise UptaneError(
                f"ECU {ecu} has no key to decrypt with",
                next_step=f"Make it with one: ds.clean_slate(ecu_serial={str(ecu)!r}, encrypted_images=True).",
                ecu=ecu,
            )
        data, custom = read_image(self.settings, target_fname), custom_of(release_counter, hardware_ids)
        image = Image(file=described(ImagePath(filepath_in_repo), data), custom=custom)
        self._desk.run(self.director.set_encryption_key(vehicle, ecu, key))
        self._desk.run(self.director.assign_encrypted(vehicle, [ecu], image, data))

    @command
    def add_target_and_write_to_live(self, filename: str, file_content: str, vin: str, ecu_serial: str) -> None:
        """Writes a file with that text, assigns it and publishes."""
        self._assign_and_write(filename, file_content, vin, ecu_serial)

    def _assign_and_write(self, filename: str, file_content: str, vin: str, ecu_serial: str) -> None:
        self._desk.run(self.director.require_ecu(VehicleIdentifier(vin), EcuIdentifier(ecu_serial)))
        write_image(self.settings, filename, file_content)
        self._assign(filename, filename, vin, ecu_serial)
        self._publish(vin)

    @command
    def clear_vehicle_targets(self, vin: str) -> None:
        """Removes every assignment of the vehicle; does not publish."""
        self._desk.run(self.director.clear_assignments(VehicleIdentifier(vin)))

    @command
    def revoke_compromised_keys(self) -> None:
        """3.6: the Root key revokes the Targets, Snapshot and Timestamp keys of every vehicle and names new ones."""
        self._revoke()

    def _revoke(self) -> None:
        self._stolen = {role: signer for role, signer in self._signers.items() if role is not Role.ROOT}
        new = self._new_keys()
        self._signers.update(new)
        self.director.add_signers(new.values())
        self._desk.run(self.director.change_keys(self._root(), now()))

    def _new_keys(self) -> dict[Role, KeySigner]:
        self._rotations += 1
        return new_keys(self._desk, self.key_names, self._rotations)

    @command
    def keyed_arbitrary_package_attack(self, vin: str, ecu_serial: str, target_filepath: str) -> None:
        """3.4: signs for an evil image with the stolen Director keys."""
        self._assign_and_write(target_filepath, EVIL, vin, ecu_serial)

    @command
    def undo_keyed_arbitrary_package_attack(self, vin: str, ecu_serial: str, target_filepath: str) -> None:
        """3.6: revokes the stolen keys and assigns the fresh image again."""
        self._revoke()
        self._assign_and_write(target_filepath, FRESH, vin, ecu_serial)

    @command
    def get_last_vehicle_manifest(self, vin: str) -> dict[str, object] | None:
        """The last accepted manifest of a vehicle, as the `signed` part of its JSON form; None before the first."""
        record = self._desk.run(self.director.vehicle(VehicleIdentifier(vin)))
        if record.manifest is None:
            return None
        return readable_manifest(self.settings.profile.format.decode(VehicleVersionManifest, record.manifest))

    @command
    def get_last_ecu_manifest(self, ecu_serial: str) -> dict[str, object] | None:
        """The last accepted version report of an ECU, as the `signed` part of its JSON form; None before the first."""
        record = self._desk.run(self.director.ecu(EcuIdentifier(ecu_serial)))
        if record.report is None:
            return None
        return readable_report(self.settings.profile.format.decode(EcuVersionReport, record.report))
