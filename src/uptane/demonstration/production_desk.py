"""The services window over production servers: the consoles of those who operate them, or rob them."""

import atexit
import secrets
from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial

from uptane.assembly.fleet import add_vehicle
from uptane.assembly.logs import start_logging
from uptane.assembly.new_vehicles import NewSecondary
from uptane.assembly.production import (
    DIRECTOR,
    IMAGE_REPOSITORY,
    System,
    Systems,
    hosted_images,
    initialise,
    open_systems,
)
from uptane.assembly.servers import RunningDirector
from uptane.assembly.serving import serving
from uptane.assembly.tls_server import TlsServer, listening
from uptane.demonstration.console import command, say
from uptane.demonstration.desk import Desk, now
from uptane.demonstration.director_console import DirectorConsole
from uptane.demonstration.factory import key_name
from uptane.demonstration.image_repository_console import ImageRepositoryConsole
from uptane.demonstration.production_stack import ProductionStack
from uptane.demonstration.script import DISCREET_ECU, ECU, WEAK_ECU
from uptane.demonstration.settings import (
    DEFAULT_PRIMARY,
    DEFAULT_SECONDARY,
    DEFAULT_VEHICLE,
    HOST,
    KNOWN_VEHICLES,
    Settings,
)
from uptane.demonstration.timeserver_console import TimeserverConsole
from uptane.director.check_images import UNSAFE_NO_CATALOG
from uptane.director.director import Director
from uptane.director.encrypting import ImageEncryption
from uptane.metadata.errors import UptaneError
from uptane.metadata.identifiers import EcuIdentifier
from uptane.metadata.root import Role
from uptane.signing.signer import KeySigner
from uptane.vehicle.memory import VerificationKind

SECONDARIES = {ECU: VerificationKind.FULL, WEAK_ECU: VerificationKind.PARTIAL, DISCREET_ECU: VerificationKind.FULL}
"""Those that the vehicle is delivered with, and how they verify."""


class ProductionDesk(Desk):
    """What the three consoles share: the servers, which vehicles reach, and the stores as an operator opens them.

    Args:
        settings: the demonstration.
        stack: over the same stores.
    """

    def __init__(self, settings: Settings, stack: ProductionStack) -> None:
        super().__init__(settings)
        self.production = stack.servers
        self._systems: Systems | None = None
        self._server: TlsServer | None = None
        self._operator, self._serving = AsyncExitStack(), AsyncExitStack()
        atexit.register(self.close)
        start_logging("json", "info", (settings.folder / "servers.log").open("a", encoding="utf-8"))

    @property
    def systems(self) -> Systems:
        """The stores, opened beside the servers as the command line opens them; UptaneError before `make`."""
        if self._systems is None:
            raise UptaneError("there are no servers yet", next_step="Run di.clean_slate() first.")
        return self._systems

    @property
    def url(self) -> str:
        """Where vehicles reach the servers."""
        return f"https://{HOST}:{self.production.listen.port}"

    def make(self) -> None:
        """As `uptane init`: keys, an authority, tables, and the Image repository's first metadata."""
        self.run(initialise(self.production))
        self._systems = self.run(self._operator.enter_async_context(open_systems(self.production)))

    def start(self) -> None:
        """As `uptane serve`, in this process; nothing where they run."""
        if self.servers.serves(self.production.listen.port):
            say("The servers run already.")
            return
        listener = listening(HOST, self.production.listen.port)
        context = serving(self.production, frozenset(System), listener)
        self._server = self.run(self._serving.enter_async_context(context))
        self.servers.serve(self._server)
        say(f"Image repository, Director and Timeserver answer vehicles with a certificate at {self.url}")

    def stop(self) -> None:
        """The servers end, without waiting for the Primary to look at its open connection."""
        if self._server is not None:
            self.run(self._server.stop_at_once())
        self.servers.stop(self.production.listen.port)
        self.run(self._serving.aclose())

    def close(self) -> None:
        """The servers end, and the stores are closed."""
        self.stop()
        self.run(self._operator.aclose())
        self.servers.close()

    def change_keys(self, names: Mapping[Role, str]) -> dict[Role, KeySigner]:
        """New keys for every role but Root, in the place of those that are put aside."""
        changed = {role: name for role, name in names.items() if role is not Role.ROOT}
        self.replace_keys(*changed.values())
        return {role: self.signer(name) for role, name in changed.items()}

    def restart(self) -> None:
        """The servers take up keys that were changed."""
        self.stop()
        self.start()


class _OverServers:
    """What the consoles of both repositories do in the same way."""

    key_names: Mapping[Role, str]
    settings: Settings
    _office: ProductionDesk

    @command
    def kill_server(self) -> None:
        """Stops the servers."""
        self._office.stop()

    def _new_keys(self) -> dict[Role, KeySigner]:
        return self._office.change_keys(self.key_names)


class ProductionImageRepositoryConsole(_OverServers, ImageRepositoryConsole):
    """`di` over production servers.

    Args:
        desk: the services window.
        stack: what its servers stand on.
    """

    key_names: Mapping[Role, str] = {role: f"{IMAGE_REPOSITORY}-{role}" for role in Role}

    def __init__(self, desk: ProductionDesk, stack: ProductionStack) -> None:
        super().__init__(desk, stack)
        self._office = desk

    @command
    def clean_slate(self, use_new_keys: bool = False) -> None:
        """Makes the servers, with seven images, and starts them."""
        if use_new_keys:
            self._office.replace_keys(*self.key_names.values())
        self._office.make()
        self._begin(self._office.systems.image_repository)
        self._fill()

    def _host(self) -> None:
        self._office.start()

    def _revoke(self) -> None:
        super()._revoke()
        self._office.restart()


class ProductionDirectorConsole(_OverServers, DirectorConsole):
    """`dd` over production servers.

    It assigns and signs without asking what the Image repository lists, as whoever has the keys and the database can.
    The Director that answers vehicles does ask.

    Args:
        desk: the services window.
        stack: what its servers stand on.
    """

    key_names: Mapping[Role, str] = {role: f"{DIRECTOR}-{role}" for role in Role}

    def __init__(self, desk: ProductionDesk, stack: ProductionStack) -> None:
        super().__init__(desk, stack)
        self._office = desk

    @command
    def clean_slate(self, use_new_keys: bool = False) -> None:
        """Registers the vehicles 111, 112, 113 and democar, the last with all that its ECUs are made from."""
        if use_new_keys:
            raise UptaneError("the servers run with their keys", next_step="Run dd.revoke_compromised_keys().")
        systems = self._office.systems
        self._load_keys()
        director = Director(
            profile=self.settings.profile,
            inventory=systems.inventory,
            metadata=systems.director_metadata,
            root=self._root(),
            catalog=UNSAFE_NO_CATALOG,
            encryption=ImageEncryption(hosted=partial(hosted_images, systems.place), random_bytes=secrets.token_bytes),
        )
        self._begin(RunningDirector(director=director, images=systems.hosted_images, inventory=systems.inventory))
        for vehicle in KNOWN_VEHICLES:
            if vehicle != DEFAULT_VEHICLE:
                self._desk.run(director.add_new_vehicle(vehicle, now()))
        self._deliver()

    def _deliver(self) -> None:
        """As `uptane vehicle add` with the public keys of the Secondaries."""
        names = {ecu: key_name("secondary", EcuIdentifier(ecu), DEFAULT_SECONDARY) for ecu in SECONDARIES}
        for name in names.values():
            self._desk.signer(name)
        self._desk.run(
            add_vehicle(
                self._office.systems,
                DEFAULT_VEHICLE,
                self.settings.vehicles / DEFAULT_VEHICLE,
                DEFAULT_PRIMARY,
                secondaries=[
                    NewSecondary(ecu=EcuIdentifier(ecu), hardware_id=None, verification=how)
                    for ecu, how in SECONDARIES.items()
                ],
                keys={ecu: self.settings.keys / f"{name}.pub" for ecu, name in names.items()},
                door_port=0,
            )
        )
        say(f"Vehicle {DEFAULT_VEHICLE} is prepared in {self.settings.vehicles / DEFAULT_VEHICLE}.")

    @command
    def host(self) -> None:
        """Starts the servers, if they do not run."""
        self._office.start()

    @command
    def listen(self) -> None:
        """Starts the servers, if they do not run."""
        self._office.start()

    def _revoke(self) -> None:
        super()._revoke()
        self._office.restart()


class ProductionTimeserverConsole(TimeserverConsole):
    """`dt` over production servers.

    Args:
        desk: the services window.
    """

    def __init__(self, desk: ProductionDesk) -> None:
        super().__init__(desk)
        self._office = desk

    @command
    def listen(self, use_new_keys: bool = False) -> None:
        """Loads the key of the running Timeserver, and tests it."""
        if use_new_keys:
            raise UptaneError("the servers run with their keys", next_step="Leave use_new_keys out.")
        self._load(False)
        self._self_test()
        say(f"Timeserver answers at {self._office.url}/timeserver/attestation")
