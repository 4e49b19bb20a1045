"""What operators do on the servers' own machine; each gives what it did, as a JSON object."""

import secrets
from datetime import timedelta
from pathlib import Path
from typing import Any

from uptane.assembly.device_package import DeviceSettings, write_device
from uptane.assembly.factory_files import factory_files
from uptane.assembly.production import Systems, utc_now
from uptane.metadata.delegations import TARGETS_ROLE
from uptane.metadata.errors import ImageNotListedError
from uptane.metadata.identifiers import EcuIdentifier, HardwareIdentifier, ImagePath, VehicleIdentifier
from uptane.metadata.targets import Custom, MustMatch
from uptane.storage.certificate_authority import CertificateAuthority
from uptane.storage.sql.enrolment import SqlEnrolment

TOKEN_LIFETIME = timedelta(days=1)
"""How long a first contact may wait."""


async def add_vehicle(
    systems: Systems, vin: str, package: Path, ecu: str, hardware: str, server: str
) -> dict[str, Any]:
    """Registers a vehicle and writes the files that its Primary is made from."""
    listen = systems.settings.listen
    device = DeviceSettings(
        folder=package.resolve(),
        server=server or f"https://{listen.names[0]}:{listen.port}",
        vehicle=VehicleIdentifier(vin),
        ecu=EcuIdentifier(ecu),
        hardware_id=HardwareIdentifier(hardware) if hardware else None,
        profile=systems.settings.profile,
    )
    await systems.director.add_new_vehicle(device.vehicle, utc_now())
    token = (await new_token(systems, vin))["token"]
    authority = CertificateAuthority.in_folder(
        systems.settings.place(systems.settings.certificates.folder), now=utc_now()
    )
    files = {"token": token.encode(), "authority.pem": authority.certificate}
    write_device(device, files | await factory_files(systems, device))
    return {"vehicle": vin, "ecu": ecu, "package": str(device.folder)}


async def add_image(
    systems: Systems, file: Path, name: str, release: int | None, hardware: tuple[str, ...]
) -> dict[str, Any]:
    """Stores an image, lists it in the top-level Targets role and publishes."""
    ids = tuple(HardwareIdentifier(each) for each in hardware) or None
    custom = Custom(must_match=MustMatch(release_counter=release, hardware_ids=ids))
    image = await systems.image_repository.add_image(ImagePath(name), file.read_bytes(), custom=custom)
    await systems.image_repository.publish(utc_now())
    digests = {function: digest.hex() for function, digest in image.file.digests.items}
    return {"name": name, "length": image.file.length, **digests}


async def set_assignment(systems: Systems, vin: str, ecu: str, image: str) -> dict[str, Any]:
    """Gives an ECU an image of the top-level Targets role."""
    published = await systems.image_repository.published()
    path = ImagePath(image)
    listed = published.targets[TARGETS_ROLE].payload.images
    if path not in listed:
        raise ImageNotListedError(
            f"the Image repository lists no {image}", next_step="Add it with: uptane image add FILE.", image=path
        )
    await systems.director.assign(VehicleIdentifier(vin), EcuIdentifier(ecu), listed[path])
    return {"vehicle": vin, "ecu": ecu, "image": image}


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


async def list_vehicles(systems: Systems) -> dict[str, Any]:
    """Every vehicle."""
    return {"vehicles": [str(vehicle) for vehicle in await systems.director.vehicles()]}


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
            "runs": str(installed[ecu.ecu].path) if ecu.ecu in installed else None,
            "shall_have": assigned.get(ecu.ecu),
        }
        for ecu in await director.ecus(vehicle)
    ]
    received, seen = record.manifest_received, await systems.contacts.last(vehicle)
    alerts = [
        f"{alert.time:%Y-%m-%dT%H:%M:%SZ} {alert.code}: {alert.text}" for alert in await director.alerts(vehicle, 10)
    ]
    return {
        "vehicle": vin,
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
