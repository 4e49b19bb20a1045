"""What the demonstration can be told by its environment; nothing else reads these variables."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from uptane.formats.profile import Profile
from uptane.formats.profiles import profile_of
from uptane.metadata.errors import UptaneError
from uptane.metadata.identifiers import EcuIdentifier, VehicleIdentifier

HOST = "127.0.0.1"
KNOWN_VEHICLES = tuple(VehicleIdentifier(vin) for vin in ("111", "112", "113", "democar"))
DEFAULT_VEHICLE = VehicleIdentifier("democar")
DEFAULT_PRIMARY = EcuIdentifier("INFOdemocar")
DEFAULT_SECONDARY = EcuIdentifier("TCUdemocar")
PREFIX = "UPTANE_DEMO__"
TRACEBACK = "UPTANE_TRACEBACK"
PRODUCTION = "production"
STACKS = ("folders", PRODUCTION)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The ports of the walkthrough, all on 127.0.0.1."""

    image_repository: int = 30301
    director: int = 30401
    director_calls: int = 30501
    timeserver: int = 30601
    primary: int = 30701
    primary_tries: int = 11


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One demonstration.

    Args:
        profile: the metadata format of every system in it.
        folder: the working directory, in which `imagerepo/`, `director/`, the keys and the ECUs' state lie.
        ports: where the systems listen.
        production: whether production servers run in it, all of them on the Director's port.
        traceback: whether an unexpected error shows its traceback.
    """

    profile: Profile
    folder: Path
    ports: Ports
    production: bool = False
    traceback: bool = False

    @property
    def keys(self) -> Path:
        """The folder of key files."""
        return self.folder / "demo" / "keys"

    @property
    def servers(self) -> Path:
        """The folder of production servers, where the demonstration runs on them; their keys are in `keys`."""
        return self.folder / "demo"

    @property
    def vehicles(self) -> Path:
        """The folder of vehicles that such servers' operator has prepared."""
        return self.folder / "vehicles"

    @property
    def image_repository(self) -> Path:
        """The Image repository's folder."""
        return self.folder / "imagerepo"

    @property
    def director(self) -> Path:
        """The Director's folder."""
        return self.folder / "director"

    def url(self, port: int, path: str = "") -> str:
        """A URL on this machine."""
        return f"http://{HOST}:{port}{path}"


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Settings from `UPTANE_DEMO__FORMAT`, `__FOLDER`, `__STACK` and `__PORT_...`; `UPTANE_TRACEBACK` shows tracebacks.

    Raises:
        UptaneError: a value that is not usable.
    """
    values = os.environ if environment is None else environment
    ports, stack = Ports(), values.get(f"{PREFIX}STACK", STACKS[0])
    if stack not in STACKS:
        raise UptaneError(
            f"{PREFIX}STACK must be one of {', '.join(STACKS)}, not {stack!r}", next_step="Correct the variable."
        )
    chosen = {
        name: _port(values, f"{PREFIX}PORT_{name.upper()}", getattr(ports, name))
        for name in ("image_repository", "director", "director_calls", "timeserver", "primary")
    }
    return Settings(
        profile=profile_of(values.get(f"{PREFIX}FORMAT", "der")),
        folder=Path(values.get(f"{PREFIX}FOLDER", ".")).resolve(),
        ports=Ports(**chosen),
        production=stack == PRODUCTION,
        traceback=values.get(TRACEBACK, "") not in ("", "0"),
    )


def environment_of(settings: Settings) -> dict[str, str]:
    """The variables that make another process of the same demonstration."""
    ports = settings.ports
    return {
        f"{PREFIX}FORMAT": settings.profile.name,
        f"{PREFIX}FOLDER": str(settings.folder),
        f"{PREFIX}STACK": PRODUCTION if settings.production else STACKS[0],
        f"{PREFIX}PORT_IMAGE_REPOSITORY": str(ports.image_repository),
        f"{PREFIX}PORT_DIRECTOR": str(ports.director),
        f"{PREFIX}PORT_DIRECTOR_CALLS": str(ports.director_calls),
        f"{PREFIX}PORT_TIMESERVER": str(ports.timeserver),
        f"{PREFIX}PORT_PRIMARY": str(ports.primary),
    }


def _port(values: Mapping[str, str], name: str, default: int) -> int:
    text = values.get(name, str(default))
    if not text.isdecimal() or not 0 <= int(text) <= 65535:
        raise UptaneError(f"{name} must be a port number, not {text!r}", next_step="Correct the variable.")
    return int(text)
