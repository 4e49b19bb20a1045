"""Encrypted images on the servers' own machine; each function gives what it did, as a JSON object."""

import asyncio
from pathlib import Path
from typing import Any

from uptane.assembly.fleet import listed_image
from uptane.assembly.production import Systems
from uptane.metadata.errors import StorageError
from uptane.metadata.identifiers import EcuIdentifier, VehicleIdentifier
from uptane.metadata.targets import ImageFile
from uptane.storage.decryption_key_files import load_encryption_key
from uptane.storage.folders import hashed_names
from uptane.storage.sql.enrolment import SqlEnrolment


async def set_encryption_key(systems: Systems, vin: str, ecu: str, file: Path) -> dict[str, Any]:
    """Puts on record what images are encrypted for so that an ECU can read them, in place of an earlier key.

    Args:
        systems: over their stores.
        vin, ecu: the ECU, which is registered.
        file: its public key, `keys/decryption.pub` of the ECU's folder.

    Raises:
        StorageError: the file holds no such key.
        RetiredVehicleError: the vehicle was taken out of service.
        UnknownVehicleError, UnknownEcuError, SpoofingError: as `Director.set_encryption_key`.
    """
    vehicle, key = VehicleIdentifier(vin), await asyncio.to_thread(load_encryption_key, file)
    await SqlEnrolment(systems.engine).require_in_service(vehicle)
    await systems.director.set_encryption_key(vehicle, EcuIdentifier(ecu), key)
    return {"vehicle": vin, "ecu": ecu, "encryption_key": key.material.hex()}


async def set_encrypted_assignment(
    systems: Systems, vin: str, ecu: str, image: str, file: Path | None = None
) -> dict[str, Any]:
    """Gives an ECU an image that the Image repository lists, encrypted so that this ECU alone can read it.

    Args:
        systems: over their stores.
        vin, ecu: the ECU.
        image: the image's name in metadata.
        file: its bytes in plain; those that the Image repository hosts where none is given.

    Raises:
        ImageNotListedError, SecurityError, RetiredVehicleError: as `set_assignment`.
        StorageError: there is no such file, or the Image repository lists the image and does not host it.
        LengthMismatchError, BadHashError, EndlessDataError: the bytes are not those of the listed image.
        ProvisioningError and others: as `Director.assign_encrypted`.
    """
    vehicle, name = VehicleIdentifier(vin), EcuIdentifier(ecu)
    listed = await listed_image(systems, vehicle, name, image)
    data = await _hosted(systems, listed.file) if file is None else await asyncio.to_thread(_read, file)
    await systems.director.assign_encrypted(vehicle, [name], listed, data)
    return {"vehicle": vin, "ecu": ecu, "image": image, "encrypted": True}


async def _hosted(systems: Systems, file: ImageFile) -> bytes:
    for name in hashed_names(file):
        data = await systems.images.read(name)
        if data is not None:
            return data
    raise StorageError(
        f"the Image repository lists {file.path} and does not host it",
        next_step="Name the image in plain: --file FILE.",
        path=str(file.path),
    )


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise StorageError(
            f"{file} cannot be read: {error.strerror}", next_step="Name the image in plain.", path=str(file)
        ) from error
