"""The load: vehicles that run update cycles without a pause, and an operator who publishes and assigns images."""

import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

from faults.ledger import Ledger
from uptane.assembly import device
from uptane.assembly.device_package import DIRECTOR, IMAGE_REPOSITORY, load_device
from uptane.formats.profile import KINDS
from uptane.metadata.errors import SecurityError, SlowRetrievalError, UnreachableError, UptaneError
from uptane.metadata.identifiers import EcuIdentifier, VehicleIdentifier
from uptane.metadata.root import Role
from uptane.transport.device_api import DirectorOfDeviceApi
from uptane.vehicle.primary import Primary
from uptane.verification.full_verification import AskImageRepositories

IMAGE_BYTES = 200_000


class Heard(DirectorOfDeviceApi):
    """The Director as a vehicle reaches it; the ledger hears whether it acknowledged a manifest."""

    ledger: ClassVar[Ledger]

    def submit_manifest(self, vehicle: VehicleIdentifier, primary: EcuIdentifier, manifest: bytes) -> None:
        """Sends it on."""
        acknowledged = False
        try:
            super().submit_manifest(vehicle, primary, manifest)
            acknowledged = True
        finally:
            self.ledger.manifest(vehicle, manifest, acknowledged=acknowledged)


def listen(ledger: Ledger) -> None:
    """From now on every vehicle of this process tells the ledger of its manifests."""
    Heard.ledger = ledger
    vars(device)["DirectorOfDeviceApi"] = Heard


class Allowed:
    """The errors that vehicles may see at this moment; anything else that is an attack to them is a violation."""

    def __init__(self) -> None:
        self.kinds: tuple[type[SecurityError], ...] = ()

    def covers(self, error: SecurityError) -> bool:
        """A server that hangs looks slow at any time."""
        return isinstance(error, (SlowRetrievalError, *self.kinds))


def judge(error: UptaneError, vehicle: str, allowed: Allowed, ledger: Ledger) -> None:
    """Tells the ledger of a cycle that failed: as a violation, where what the servers offered was to blame."""
    ledger.count(f"cycles that ended with {error.code}")
    if isinstance(error, SecurityError) and not allowed.covers(error):
        ledger.violated(f"vehicle {vehicle} saw {error.code}: {error}")
    if isinstance(error, UnreachableError) and "role" in error.facts:
        # The servers answered that they have no such file.
        ledger.violated(f"vehicle {vehicle} was offered metadata that is not whole: {error}")


class Car(threading.Thread):
    """A Primary that runs cycle after cycle.

    Args:
        folder: what `uptane vehicle add` made.
        ledger: what is told to it, and what it sees.
        allowed: see there.
        stop: ends it after the cycle that it is in.
        chance: how long it waits between cycles.
    """

    def __init__(
        self, folder: Path, ledger: Ledger, allowed: Allowed, stop: threading.Event, chance: random.Random
    ) -> None:
        super().__init__(name=folder.name, daemon=True)
        self.settings = load_device(folder)
        self.ready = threading.Event()
        self.runs = ""
        self.cycles = 0
        self._ledger, self._allowed, self._stopping, self._chance = ledger, allowed, stop, chance

    def run(self) -> None:
        """Cycle after cycle until the run ends."""
        try:
            # Otherwise it would look at the Image repository only when the Director directs something else.
            with device.open_device(self.settings, ask=AskImageRepositories.IN_EVERY_CYCLE) as opened:
                primary = opened.primary
                self.ready.set()
                while not self._stopping.is_set():
                    self._cycle(primary)
                    self._look(primary)
                    self.runs = str(primary.memory.state.installed.path)
                    self._stopping.wait(self._chance.uniform(0, 0.2))
        except Exception as error:
            self._ledger.violated(f"vehicle {self.name} ended: {error!r}")
            raise

    def _cycle(self, primary: Primary) -> None:
        try:
            primary.update_cycle()
            self._ledger.count("cycles that ended well")
            self.cycles += 1
        except UptaneError as error:
            judge(error, self.name, self._allowed, self._ledger)

    def _look(self, primary: Primary) -> None:
        """Tells the ledger of every file that this vehicle trusts now."""
        decode = primary.memory.profile.format.decode
        for repository, owner in ((DIRECTOR, self.name), (IMAGE_REPOSITORY, "everybody")):
            held = primary.memory.held(repository)
            for role, raw in {Role.ROOT: held.root, **held.files}.items():
                version = decode(KINDS[Role(role)], raw).payload.version  # type: ignore[type-var]
                self._ledger.saw(owner, f"{repository}/{role}", version, raw)


class Operator(threading.Thread):
    """Publishes one image after the other, and directs each to a vehicle, with the commands of the README.

    Args:
        run: starts one command of `uptane`.
        folder: for the images.
        vehicles: identifiers, each with its Primary's.

    Attributes:
        running: the command that runs now.
        seconds: how long the last one took that ended well.
    """

    def __init__(
        self,
        run: Callable[[Sequence[str]], "subprocess.Popen[str]"],
        folder: Path,
        vehicles: Sequence[tuple[VehicleIdentifier, EcuIdentifier]],
        ledger: Ledger,
        stop: threading.Event,
        chance: random.Random,
    ) -> None:
        super().__init__(name="operator", daemon=True)
        self.running: subprocess.Popen[str] | None = None
        self.seconds = 0.0
        self._command, self._folder, self._vehicles = run, folder, vehicles
        self._ledger, self._stopping, self._chance = ledger, stop, chance
        self._ends = threading.Event()

    def stop(self) -> None:
        """Ends it after the image that it is at."""
        self._ends.set()

    def run(self) -> None:
        """Image after image until the run ends."""
        number = 0
        try:
            while not self._stopping.is_set() and not self._ends.is_set():
                number += 1
                self.release(number, *self._chance.choice(self._vehicles))
        except Exception as error:
            self._ledger.violated(f"the operator ended: {error!r}")
            raise

    def kill(self) -> None:
        """Ends a command of his at once, in the middle of what it does; returns when one was."""
        while self.is_alive():
            process = self.running
            if process is not None:
                time.sleep(self._chance.uniform(0, self.seconds))
                process.kill()
                if process.wait() == -signal.SIGKILL:
                    return
            time.sleep(0.01)

    def release(self, number: int, vehicle: VehicleIdentifier, ecu: EcuIdentifier) -> bool:
        """Publishes an image and assigns it; whether both were acknowledged."""
        file = self._folder / f"image-{number}.img"
        file.write_bytes(self._chance.randbytes(IMAGE_BYTES))
        if not self._does("image", "add", str(file), "--release", str(number)):
            return False
        self._ledger.image(file.name, file.read_bytes())
        self._ledger.assigned(vehicle, None)
        if not self._does("assignment", "set", vehicle, ecu, file.name):
            return False
        self._ledger.assigned(vehicle, file.name)
        return True

    def _does(self, *words: str) -> bool:
        started = time.monotonic()
        with self._command(words) as process:
            self.running = process
            said = process.communicate()[1].strip()
        self.running = None
        if process.returncode == 0:
            self.seconds = time.monotonic() - started
        outcome = {0: "acknowledged", -9: "killed"}.get(process.returncode, f"exit code {process.returncode}")
        self._ledger.count(f"{words[0]} {words[1]}: {outcome}")
        if len(said.splitlines()) > 1 or "Traceback" in said:
            self._ledger.violated(f"uptane {words[0]} {words[1]} printed more than one line: {said[-600:]}")
        return process.returncode == 0
