"""What operators do on the servers' own machine; each gives what it did, as a JSON object."""

import asyncio
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from uptane.assembly.device_package import DOOR_PORT, DeviceSettings, Door
from uptane.assembly.factory_files import ServersOfFactory
from uptane.assembly.new_vehicles import NewSecondary, folder_of, require_no_vehicle, write_package
from uptane.assembly.production import Systems, utc_now
from uptane.image_repository.release import NewImage
from uptane.metadata.delegations import TARGETS_ROLE
from uptane.metadata.errors import FormatError, ImageNotListedError, SpoofingError
from uptane.metadata.identifiers import EcuIdentifier, HardwareIdentifier, ImagePath, VehicleIdentifier
from uptane.metadata.keys import PublicKey
from uptane.metadata.targets import Custom, Image, MustMatch
from uptane.storage.incoming import image_file
from uptane.storage.key_files import load_public_key
from uptane.storage.sql.enrolment import SqlEnrolment

TOKEN_LIFETIME = timedelta(days=1)
"""How long a first contact may wait."""

UNFINISHED_KEPT = timedelta(days=1)
"""How long an upload that was cut off may be gone on with."""


async def add_vehicle(
    systems: Systems,
    vin: str,
    package: Path,
    ecu: str,
    hardware: str = "",
    server: str = "",
    *,
    secondaries: Sequence[NewSecondary] = (),
    keys: Mapping[str, Path] | None = None,
    door_port: int = DOOR_PORT,
    encrypted_images: Sequence[str] = (),
    skipped: int = 0,
) -> dict[str, Any]:
    """Registers a vehicle and writes the files that its ECUs are made from.

    Args:
        systems: the servers.
        vin, ecu, hardware: the vehicle and its Primary.
        package: the folder to make; each Secondary has one in `secondaries/` of it.
        server: the URL by which the Primary reaches the servers; that of the settings where it is empty.
        secondaries: the others.
        keys: by ECU, the files of public keys that are known already: these ECUs are registered at once, and nobody
            else can register in their place. The others register by themselves.
        door_port: where the Primary lets its Secondaries in.
        encrypted_images: the ECUs that make a key to decrypt images with when they are made.
        skipped: how many versions of metadata are left out, where the vehicle has seen some that these servers lost.

    Raises:
        AlreadyRegisteredError: the vehicle exists.
        SettingsError: the folder holds one.
        FormatError: one ECU is named twice, or an ECU that the vehicle does not have.
        SpoofingError: a key, or the identifier of its ECU, is in use. Nothing was registered.
        ProvisioningError: the Timeserver's public key, or a key of the Director, is missing. Nothing was registered.
        StorageError: a file holds no public key; or the Image repository's files were altered, or an older set was put
            back. Nothing was registered.
    """
    listen = systems.settings.listen
    named = [EcuIdentifier(ecu), *(each.ecu for each in secondaries)]
    known = {EcuIdentifier(name): load_public_key(file) for name, file in (keys or {}).items()}
    decrypting = set(map(EcuIdentifier, encrypted_images))
    if len(set(named)) != len(named) or not known.keys() | decrypting <= set(named):
        raise FormatError(
            f"the ECUs of {vin} and their keys do not belong together",
            next_step="Name each ECU once, and keys and encrypted images of these ECUs only.",
            field="secondary",
        )
    device = DeviceSettings(
        folder=package.resolve(),
        server=server or f"https://{listen.names[0]}:{listen.port}",
        vehicle=VehicleIdentifier(vin),
        ecu=named[0],
        hardware_id=HardwareIdentifier(hardware) if hardware else None,
        profile=systems.settings.profile,
        secondaries={each.ecu: each.hardware_id for each in secondaries},
        door=Door(port=door_port) if secondaries else None,
        encrypted_images=named[0] in decrypting,
    )
    require_no_vehicle(device.folder)
    await _require_new(systems, known)
    told = await ServersOfFactory.of(systems)
    await systems.director.add_new_vehicle(device.vehicle, utc_now())
    if skipped:
        await systems.director.leave_out_versions(device.vehicle, skipped, utc_now())
    hardware_ids = {device.ecu: device.hardware_id, **device.secondaries}
    for name, key in known.items():
        await systems.director.register_ecu(
            vehicle=device.vehicle,
            ecu=name,
            key=key,
            is_primary=name == device.ecu,
            hardware_id=hardware_ids[name],
        )
    token = (await new_token(systems, vin))["token"]
    await write_package(systems, device, secondaries, known, told, token, decrypting)
    folders = {str(each.ecu): str(folder_of(device, each)) for each in secondaries}
    return {"vehicle": vin, "ecu": ecu, "package": str(device.folder), "secondaries": folders}


async def _require_new(systems: Systems, keys: Mapping[EcuIdentifier, PublicKey]) -> None:
    """Before a vehicle is registered, so that it is not there without its ECUs."""
    async with systems.inventory.transaction() as transaction:
        for ecu, key in keys.items():
            holder = await transaction.ecu(ecu) or await transaction.ecu_of_key(key)
            if holder is not None:
                raise SpoofingError(
                    f"ECU {ecu} or its key is that of ECU {holder.ecu} in vehicle {holder.vehicle}",
                    next_step="Name another ECU, with a key of its own.",
                    ecu=ecu,
                    owner=holder.ecu,
                )


async def add_image(
    systems: Systems,
    file: Path,
    name: str,
    release: int | None,
    hardware: tuple[str, ...],
    done: Callable[[int], None] = lambda count: None,
) -> dict[str, Any]:
    """`add_images` with one image; gives what is said of it."""
    image: dict[str, Any] = (await add_images(systems, {name: file}, release, hardware, done))["images"][0]
    return image


async def add_images(
    systems: Systems,
    files: Mapping[str, Path],
    release: int | None,
    hardware: tuple[str, ...],
    done: Callable[[int], None] = lambda count: None,
    *,
    list_only: bool = False,
) -> dict[str, Any]:
    """Stores images, lists them in the top-level Targets role and publishes them as one release.

    What earlier attempts left that were cut off, and that nobody went on with for UNFINISHED_KEPT, is removed first.

    Args:
        systems: the Image repository among them.
        files: by the names of the images.
        release, hardware: what is said of each.
        done: is told of bytes that were handed to the store, also from a thread.
        list_only: nothing is stored, so that nobody can download these images in plain; ECUs get them encrypted.
    """
    await systems.images.tidy(utc_now() - UNFINISHED_KEPT)
    ids = tuple(HardwareIdentifier(each) for each in hardware) or None
    custom = Custom(must_match=MustMatch(release_counter=release, hardware_ids=ids))
    new: list[NewImage] = []
    for name, path in files.items():
        file, chunks = await asyncio.to_thread(image_file, path, ImagePath(name))
        stored = None if list_only else partial(_counted, chunks, done)
        new.append(NewImage(image=Image(file=file, custom=custom), chunks=stored))
    published = await systems.image_repository.release(new, utc_now())
    said = [
        {"name": str(file.path), "length": file.length} | {name: digest.hex() for name, digest in file.digests.items}
        for file in (each.image.file for each in new)
    ]
    return {"images": said, "targets_version": published.targets[TARGETS_ROLE].payload.version}


def _counted(chunks: Callable[[], Iterable[bytes]], done: Callable[[int], None]) -> Iterator[bytes]:
    for chunk in chunks():
        yield chunk
        done(len(chunk))


async def set_assignment(systems: Systems, vin: str, ecu: str, image: str) -> dict[str, Any]:
    """Gives an ECU an image that the Image repository lists, in whichever role a vehicle would find it.

    Raises:
        ImageNotListedError: no role with authority lists it.
        SecurityError: what the Image repository publishes does not verify, or has expired.
        RetiredVehicleError: the vehicle was taken out of service.
        UnknownVehicleError, UnknownEcuError, HardwareMismatchError: as `Director.assign`.
    """
    vehicle, name = VehicleIdentifier(vin), EcuIdentifier(ecu)
    await systems.director.assign(vehicle, name, await listed_image(systems, vehicle, name, image))
    return {"vehicle": vin, "ecu": ecu, "image": image, "encrypted": False}


async def listed_image(systems: Systems, vehicle: VehicleIdentifier, ecu: EcuIdentifier, image: str) -> Image:
    """What the Image repository lists under a name, where the vehicle is in service; errors as `set_assignment`."""
    path = ImagePath(image)
    await SqlEnrolment(systems.engine).require_in_service(vehicle)
    hardware = {record.ecu: record.hardware_id for record in await systems.director.ecus(vehicle)}.get(ecu)
    listed = await systems.catalog().look_up({path: None if hardware is None else frozenset({hardware})}, utc_now())
    if path not in listed:
        raise ImageNotListedError(
            f"the Image repository lists no {image}", next_step="Add it with: uptane image add FILE.", image=path
        )
    return listed[path]


async def new_token(systems: Systems, vin: str) -> dict[str, Any]:
    """Makes a token for the next first contact of a vehicle; an earlier one is worth nothing any more."""
    token = secrets.token_urlsafe(32)
    await SqlEnrolment(systems.engine).add_token(VehicleIdentifier(vin), token, utc_now() + TOKEN_LIFETIME)
    return {"vehicle": vin, "token": token, "hours": int(TOKEN_LIFETIME.total_seconds() // 3600)}


async def revoke_vehicle(systems: Systems, vin: str) -> dict[str, Any]:
    """Revokes the certificates and tokens of a vehicle; its records stay."""
    vehicle = VehicleIdentifier(vin)
    await systems.director.vehicle(vehicle)
    return {"vehicle": vin, "revoked": await SqlEnrolment(systems.engine).revoke(vehicle)}


async def retire_vehicle(systems: Systems, vin: str) -> dict[str, Any]:
    """Takes a vehicle out of service: no certificate and no metadata any more, and all records stay."""
    now = utc_now()
    return {
        "vehicle": vin,
        "retired": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "revoked": await SqlEnrolment(systems.engine).retire(VehicleIdentifier(vin), now),
    }


async def list_vehicles(systems: Systems) -> dict[str, Any]:
    """Every vehicle, and those of them that are out of service."""
    retired = await SqlEnrolment(systems.engine).retired()
    return {"vehicles": [str(vehicle) for vehicle in await systems.director.vehicles()], "retired": sorted(retired)}


async def show_vehicle(systems: Systems, vin: str) -> dict[str, Any]:
    """A vehicle, its ECUs with what they run and shall have, and its newest alerts."""
    director, vehicle = systems.director, VehicleIdentifier(vin)
    record = await director.vehicle(vehicle)
    installed = await director.installed(vehicle)
    assigned = await director.assigned(vehicle)
    ecus = [
        {
            "ecu": str(ecu.ecu),
            "primary": ecu.is_primary,
            "hardware": None if ecu.hardware_id is None else str(ecu.hardware_id),
            "encryption_key": ecu.encryption_key is not None,
            "runs": str(installed[ecu.ecu].path) if ecu.ecu in installed else None,
            "shall_have": assigned.get(ecu.ecu),
        }
        for ecu in await director.ecus(vehicle)
    ]
    received, seen = record.manifest_received, await systems.contacts.last(vehicle)
    alerts = [
        f"{alert.time:%Y-%m-%dT%H:%M:%SZ} {alert.code}: {alert.text}" for alert in await director.alerts(vehicle, 10)
    ]
    retired = (await SqlEnrolment(systems.engine).retired()).get(vehicle)
    return {
        "vehicle": vin,
        "retired": None if retired is None else f"{retired:%Y-%m-%dT%H:%M:%SZ}",
        "last_seen": None if seen is None else f"{seen:%Y-%m-%dT%H:%M:%SZ}",
        "last_manifest": None if received is None else f"{received:%Y-%m-%dT%H:%M:%SZ}",
        "ecus": ecus,
        "alerts": alerts,
    }


async def list_images(systems: Systems) -> dict[str, Any]:
    """Every image that a role of the Image repository lists."""
    published = await systems.image_repository.published()
    listed = [
        {
            "name": str(path),
            "role": str(role),
            "length": image.file.length,
            "release": image.custom.must_match.release_counter,
        }
        for role, envelope in sorted(published.targets.items())
        for path, image in sorted(envelope.payload.images.items())
    ]
    return {"images": listed}


async def clear_assignments(systems: Systems, vin: str) -> dict[str, Any]:
    """No ECU of the vehicle shall have anything."""
    await systems.director.clear_assignments(VehicleIdentifier(vin))
    return {"vehicle": vin}
