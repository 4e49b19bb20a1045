"""What the ECUs of a vehicle take from the factory as files: who they are, whom they ask, and what they trust first."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from uptane.formats.profile import Profile
from uptane.formats.profiles import PROFILES
from uptane.metadata.errors import SettingsError
from uptane.metadata.identifiers import EcuIdentifier, HardwareIdentifier, RepositoryName, VehicleIdentifier
from uptane.metadata.root import Role
from uptane.vehicle.memory import VerificationKind

FILE_NAME = "vehicle.toml"
SECONDARY_FILE_NAME = "secondary.toml"
FACTORY = "factory"
SECONDARIES = "secondaries"
DIRECTOR, IMAGE_REPOSITORY = RepositoryName("director"), RepositoryName("repo")

LOOPBACK = "127.0.0.1"
DOOR_PORT = 8444
SECONDARY_POLL_SECONDS = 60

ValueT = TypeVar("ValueT", str, int, bool, list, dict)  # type: ignore[type-arg]


@dataclass(frozen=True, slots=True, kw_only=True)
class EcuSettings:
    """What the TOML files of all ECUs say.

    Args:
        folder: where the file lies; the ECU's state, images and keys lie beside it.
        vehicle, ecu, hardware_id: who it is.
        profile: the metadata format.
        verification: how it verifies; a Primary always does all of it.
        encrypted_images: whether it makes a key to decrypt images with when it is made.
    """

    folder: Path
    vehicle: VehicleIdentifier
    ecu: EcuIdentifier
    hardware_id: HardwareIdentifier | None
    profile: Profile
    verification: VerificationKind = VerificationKind.FULL
    encrypted_images: bool = False

    @property
    def factory(self) -> Path:
        """What was put in at the factory."""
        return self.folder / FACTORY

    def role_file(self, repository: RepositoryName, role: Role) -> Path:
        """The factory's file of a role."""
        return self.factory / repository / f"{role}.{self.profile.format.extension}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Where a Primary lets its Secondaries in.

    Args:
        address: an IP address of it; others than loopback ones need `unsafe_listen_on_network`.
        port: 0 is any free one.
        unsafe_listen_on_network: whether other machines may reach the door, which authenticates nobody: for a network
            inside the vehicle that holds ECUs alone.
    """

    address: str = LOOPBACK
    port: int = DOOR_PORT
    unsafe_listen_on_network: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSettings(EcuSettings):
    """`vehicle.toml`, of a Primary.

    Args:
        server: URL of the device API.
        secondaries: its Secondaries with their hardware; nobody else is let in.
        door: where they are let in; None for a vehicle without any.
    """

    server: str
    secondaries: Mapping[EcuIdentifier, HardwareIdentifier | None]
    door: Door | None = None

    def secondary_key_file(self, ecu: EcuIdentifier) -> Path:
        """The factory's file of a Secondary's public key, if it was known there."""
        return self.factory / SECONDARIES / f"{ecu}.key"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondarySettings(EcuSettings):
    """`secondary.toml`.

    Args:
        primary: URL of its Primary's door.
        poll_seconds: how long it waits between two cycles, on average.
    """

    primary: str
    poll_seconds: int = SECONDARY_POLL_SECONDS


class _Values:
    """The values of a TOML table, taken out one by one; SettingsError for what is missing or of another type."""

    def __init__(self, values: Mapping[str, object], path: Path) -> None:
        self._values = dict(values)
        self._path = path

    def take(self, name: str, kind: type[ValueT], default: ValueT | None = None) -> ValueT:
        value = self._values.pop(name, default)
        if type(value) is not kind:
            words = {str: "text", int: "a whole number", bool: "true or false", dict: "a table", list: "a list"}[kind]
            raise self.wrong(name, f"must be {words}" if value is not None else f"is missing: {words}")
        return value

    def table(self, name: str) -> "_Values | None":
        return _Values(self.take(name, dict), self._path) if name in self._values else None

    def tables(self, name: str) -> "list[_Values]":
        found = []
        for each in self.take(name, list, []):
            if not isinstance(each, dict):
                raise self.wrong(name, f"must be tables, as in [[{name}]]")
            found.append(_Values(each, self._path))
        return found

    def hardware(self) -> HardwareIdentifier | None:
        name = self.take("hardware_id", str, "")
        return HardwareIdentifier(name) if name else None

    def nothing_else(self) -> None:
        for name in sorted(self._values):
            raise self.wrong(name, "is no setting")

    def wrong(self, name: str, how: str) -> SettingsError:
        return SettingsError(f"{name} in {self._path} {how}", next_step="Correct the file.", field=name)


def load_device(folder: Path) -> DeviceSettings:
    """Reads `vehicle.toml` of a folder.

    Raises:
        SettingsError: there is none, or something in it is unknown, missing or not usable.
    """
    values = _read(folder, FILE_NAME, "uptane vehicle add VIN --package FOLDER")
    door, secondaries = values.table("door"), values.tables("secondary")
    found = DeviceSettings(
        folder=folder.resolve(),
        server=values.take("server", str),
        vehicle=VehicleIdentifier(values.take("vehicle", str)),
        ecu=EcuIdentifier(values.take("ecu", str)),
        hardware_id=values.hardware(),
        profile=_profile(values),
        secondaries={EcuIdentifier(each.take("ecu", str)): each.hardware() for each in secondaries},
        door=None if door is None else _door(door),
        encrypted_images=values.take("encrypted_images", bool, False),
    )
    for each in (*secondaries, values):
        each.nothing_else()
    return found


def load_secondary(folder: Path) -> SecondarySettings:
    """Reads `secondary.toml` of a folder.

    Raises:
        SettingsError: there is none, or something in it is unknown, missing or not usable.
    """
    values = _read(folder, SECONDARY_FILE_NAME, "uptane vehicle add VIN --package FOLDER --secondary ECU")
    verification = values.take("verification", str, VerificationKind.FULL.value)
    if verification not in set(VerificationKind):
        raise values.wrong("verification", f"must be one of: {', '.join(VerificationKind)}")
    seconds = values.take("poll_seconds", int, SECONDARY_POLL_SECONDS)
    if seconds < 1:
        raise values.wrong("poll_seconds", "must be 1 or more")
    found = SecondarySettings(
        folder=folder.resolve(),
        primary=values.take("primary", str),
        vehicle=VehicleIdentifier(values.take("vehicle", str)),
        ecu=EcuIdentifier(values.take("ecu", str)),
        hardware_id=values.hardware(),
        profile=_profile(values),
        verification=VerificationKind(verification),
        poll_seconds=seconds,
        encrypted_images=values.take("encrypted_images", bool, False),
    )
    values.nothing_else()
    return found


def _read(folder: Path, name: str, command: str) -> _Values:
    path = folder / name
    try:
        return _Values(tomllib.loads(path.read_text(encoding="utf-8")), path)
    except FileNotFoundError as error:
        raise SettingsError(
            f"there is no {name} in {folder}", next_step=f"Make one with: {command}.", path=str(path)
        ) from error
    except ValueError as error:
        raise SettingsError(f"{path} is not TOML: {error}", next_step="Correct the file.", path=str(path)) from error


def _profile(values: _Values) -> Profile:
    form = values.take("format", str, "der")
    if form not in ("der", "json"):
        raise values.wrong("format", "must be der or json")
    return PROFILES[form]


def _door(values: _Values) -> Door:
    found = Door(
        address=values.take("address", str, LOOPBACK),
        port=values.take("port", int, DOOR_PORT),
        unsafe_listen_on_network=values.take("unsafe_listen_on_network", bool, False),
    )
    if not 0 <= found.port <= 65535:
        raise values.wrong("port", "must be 0 to 65535")
    values.nothing_else()
    return found


def write_device(settings: DeviceSettings, files: Mapping[str, bytes]) -> None:
    """Writes `vehicle.toml` and the files of the factory, each named relative to `factory/`.

    Raises:
        SettingsError: the folder holds a vehicle already.
    """
    lines = [f"server = {_text(settings.server)}", *_identity(settings)]
    if settings.door is not None:
        lines += [
            "",
            "# Where its Secondaries come in. This authenticates nobody: an address that other machines reach is for a",
            "# network that holds ECUs of this vehicle alone, and needs unsafe_listen_on_network = true.",
            "[door]",
            f"address = {_text(settings.door.address)}",
            f"port = {settings.door.port}",
        ]
    for ecu, hardware in settings.secondaries.items():
        lines += ["", "[[secondary]]", f"ecu = {_text(ecu)}", *_hardware(hardware)]
    _write(settings, FILE_NAME, "Run this Primary with: uptane vehicle run FOLDER", lines, files)


def write_secondary(settings: SecondarySettings, files: Mapping[str, bytes]) -> None:
    """Writes `secondary.toml` and the files of the factory, each named relative to `factory/`.

    Raises:
        SettingsError: the folder holds a Secondary already.
    """
    lines = [
        f"primary = {_text(settings.primary)}",
        *_identity(settings),
        f"verification = {_text(settings.verification)}",
        f"poll_seconds = {settings.poll_seconds}",
    ]
    _write(settings, SECONDARY_FILE_NAME, "Run this Secondary with: uptane vehicle secondary run FOLDER", lines, files)


def _identity(settings: EcuSettings) -> list[str]:
    return [
        f"vehicle = {_text(settings.vehicle)}",
        f"ecu = {_text(settings.ecu)}",
        *_hardware(settings.hardware_id),
        f"format = {_text(settings.profile.name)}",
        *(["encrypted_images = true"] if settings.encrypted_images else []),
    ]


def _hardware(name: HardwareIdentifier | None) -> list[str]:
    return [] if name is None else [f"hardware_id = {_text(name)}"]


def _text(value: str) -> str:
    """A basic string of TOML, for text without control characters."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _write(settings: EcuSettings, name: str, remark: str, lines: list[str], files: Mapping[str, bytes]) -> None:
    path = settings.folder / name
    if path.exists():
        raise SettingsError(
            f"{settings.folder} holds an ECU already", next_step="Name an empty folder.", path=str(path)
        )
    for file, data in files.items():
        target = settings.factory / file
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        target.touch(mode=0o600)
        target.write_bytes(data)
    path.write_text("\n".join([f"# {remark}", *lines, ""]), encoding="utf-8")
