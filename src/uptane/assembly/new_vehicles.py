"""What a new vehicle consists of, and the folders that its ECUs are made from."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from uptane.assembly.device_package import (
    FILE_NAME,
    LOOPBACK,
    SECONDARIES,
    DeviceSettings,
    SecondarySettings,
    write_device,
    write_secondary,
)
from uptane.assembly.factory_files import ServersOfFactory, factory_files, files_of_secondary
from uptane.assembly.production import Systems
from uptane.metadata.errors import FormatError, SettingsError
from uptane.metadata.identifiers import EcuIdentifier, HardwareIdentifier
from uptane.metadata.keys import PublicKey
from uptane.vehicle.memory import VerificationKind


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSecondary:
    """A Secondary of a new vehicle.

    Args:
        ecu, hardware_id: who it is.
        verification: how it verifies.
    """

    ecu: EcuIdentifier
    hardware_id: HardwareIdentifier | None
    verification: VerificationKind

    @classmethod
    def of(cls, text: str) -> "NewSecondary":
        """From `ECU`, `ECU:HARDWARE` or `ECU:HARDWARE:partial`.

        Raises:
            FormatError: it is none of them.
        """
        ecu, hardware, kind, *rest = [*text.split(":"), "", ""]
        if any(rest) or kind not in ("", "full", "partial"):
            raise FormatError(
                f"{text!r} describes no Secondary",
                next_step="Write ECU, ECU:HARDWARE, or ECU:HARDWARE:partial for one that verifies partially.",
                field="secondary",
            )
        return cls(
            ecu=EcuIdentifier(ecu),
            hardware_id=HardwareIdentifier(hardware) if hardware else None,
            verification=VerificationKind(kind or VerificationKind.FULL),
        )


def require_no_vehicle(folder: Path) -> None:
    """Raises SettingsError where a folder holds a vehicle already."""
    path = folder / FILE_NAME
    if path.exists():
        raise SettingsError(f"{folder} holds a vehicle already", next_step="Name another folder.", path=str(path))


def folder_of(device: DeviceSettings, secondary: NewSecondary) -> Path:
    """The folder of a Secondary, in that of its Primary."""
    return device.folder / SECONDARIES / secondary.ecu


async def write_package(
    systems: Systems,
    device: DeviceSettings,
    secondaries: Sequence[NewSecondary],
    known: Mapping[EcuIdentifier, PublicKey],
    servers: ServersOfFactory,
    token: str,
    decrypting: Collection[EcuIdentifier] = (),
) -> None:
    """Writes what the ECUs are made from.

    Args:
        systems: over their stores, where the vehicle is on record.
        device: the Primary.
        secondaries: the others.
        known: public keys that nobody else can register in the place of.
        servers: what the ECUs are told of the servers.
        token: for the first contact.
        decrypting: the Secondaries that make a key to decrypt images with.
    """
    made = await factory_files(systems, device, servers)
    encode = device.profile.format.encode_key
    keys = {
        str(device.secondary_key_file(ecu).relative_to(device.factory)): encode(key)
        for ecu, key in known.items()
        if ecu in device.secondaries
    }
    write_device(device, {"token": token.encode(), "authority.pem": servers.authority} | keys | made)
    for each in secondaries:
        settings = SecondarySettings(
            folder=folder_of(device, each),
            primary=f"http://{LOOPBACK}:{0 if device.door is None else device.door.port}",
            vehicle=device.vehicle,
            ecu=each.ecu,
            hardware_id=each.hardware_id,
            profile=device.profile,
            verification=each.verification,
            encrypted_images=each.ecu in decrypting,
        )
        write_secondary(settings, files_of_secondary(made, settings))
