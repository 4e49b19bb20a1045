"""What a vehicle takes from the factory as files: who it is, where its servers are, and what it trusts first."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from uptane.formats.profile import Profile
from uptane.formats.profiles import PROFILES
from uptane.metadata.errors import SettingsError
from uptane.metadata.identifiers import EcuIdentifier, HardwareIdentifier, RepositoryName, VehicleIdentifier
from uptane.metadata.root import Role

FILE_NAME = "vehicle.toml"
FACTORY = "factory"
DIRECTOR, IMAGE_REPOSITORY = RepositoryName("director"), RepositoryName("repo")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSettings:
    """`vehicle.toml`.

    Args:
        folder: where it lies; the ECU's state, images and keys lie beside it.
        server: URL of the device API.
        vehicle, ecu, hardware_id: who it is.
        profile: the metadata format.
    """

    folder: Path
    server: str
    vehicle: VehicleIdentifier
    ecu: EcuIdentifier
    hardware_id: HardwareIdentifier | None
    profile: Profile

    @property
    def factory(self) -> Path:
        """What was put in at the factory."""
        return self.folder / FACTORY

    def role_file(self, repository: RepositoryName, role: Role) -> Path:
        """The factory's file of a role."""
        return self.factory / repository / f"{role}.{self.profile.format.extension}"


def load_device(folder: Path) -> DeviceSettings:
    """Reads `vehicle.toml` of a folder.

    Raises:
        SettingsError: there is none, or something in it is unknown, missing or not usable.
    """
    path = folder / FILE_NAME
    try:
        values = dict(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise SettingsError(
            f"there is no vehicle in {folder}",
            next_step="Make one with: uptane vehicle add VIN --package FOLDER.",
            path=str(path),
        ) from error
    except ValueError as error:
        raise SettingsError(f"{path} is not TOML: {error}", next_step="Correct the file.", path=str(path)) from error

    def take(name: str, default: str | None = None) -> str:
        value = values.pop(name, default)
        if not isinstance(value, str):
            raise SettingsError(f"{name} in {path} must be text", next_step="Correct the file.", field=name)
        return value

    hardware = take("hardware_id", "")
    form = take("format", "der")
    if form not in ("der", "json"):
        raise SettingsError(f"format in {path} must be der or json", next_step="Correct the file.", field="format")
    found = DeviceSettings(
        folder=folder.resolve(),
        server=take("server"),
        vehicle=VehicleIdentifier(take("vehicle")),
        ecu=EcuIdentifier(take("ecu")),
        hardware_id=HardwareIdentifier(hardware) if hardware else None,
        profile=PROFILES[form],
    )
    if values:
        name = sorted(values)[0]
        raise SettingsError(f"{name} in {path} is no setting", next_step="Correct the file.", field=name)
    return found


def write_device(settings: DeviceSettings, files: Mapping[str, bytes]) -> None:
    """Writes `vehicle.toml` and the files of the factory, each named relative to `factory/`.

    Raises:
        SettingsError: the folder holds a vehicle already.
    """
    path = settings.folder / FILE_NAME
    if path.exists():
        raise SettingsError(
            f"{settings.folder} holds a vehicle already", next_step="Name an empty folder.", path=str(path)
        )
    for name, data in files.items():
        target = settings.factory / name
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        target.touch(mode=0o600)
        target.write_bytes(data)
    hardware = f'hardware_id = "{settings.hardware_id}"\n' if settings.hardware_id else ""
    path.write_text(
        "# A vehicle of uptane. Run its Primary with: uptane vehicle run FOLDER\n"
        f'server = "{settings.server}"\nvehicle = "{settings.vehicle}"\necu = "{settings.ecu}"\n{hardware}'
        f'format = "{settings.profile.name}"\n',
        encoding="utf-8",
    )
