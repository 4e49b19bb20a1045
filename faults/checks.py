"""What must hold after every outage: nothing that was acknowledged is lost, and no version went back."""

import asyncio
import hashlib
from collections.abc import Sequence

import httpx2
from sqlalchemy import delete

from faults.ledger import Ledger, Sent
from faults.load import Car
from uptane.assembly.production import Systems, open_systems
from uptane.assembly.settings import Settings
from uptane.metadata.delegations import TARGETS_ROLE
from uptane.metadata.errors import UptaneError
from uptane.metadata.identifiers import EcuIdentifier, ImagePath, VehicleIdentifier
from uptane.metadata.vehicle_manifest import VehicleVersionManifest
from uptane.storage.object_urls import open_objects
from uptane.storage.sql.schema import reports
from uptane.storage.tls_credentials import VehicleCredentials
from uptane.transport.tls import client_tls

EVERY_REPORT = 1_000_000


def check(settings: Settings, ledger: Ledger, cars: Sequence[Car]) -> None:
    """Tells the ledger of everything that is not there; no vehicle runs meanwhile."""
    try:
        asyncio.run(_check(settings, ledger, cars))
    except UptaneError as error:
        ledger.violated(f"the servers cannot be opened, or what they offer does not verify: {error}")


def sabotage(settings: Settings, ledger: Ledger, cars: Sequence[Car]) -> None:
    """Loses what was acknowledged, so that one can see that `check` tells of it.

    All reports of a vehicle, an image with its entry, and the bytes of an image alone.
    """
    asyncio.run(_lose_reports(settings, cars[0]))
    asyncio.run(_lose_bytes(settings, next(iter(ledger.images))))
    ledger.image("never-stored.img", b"")


async def _lose_reports(settings: Settings, car: Car) -> None:
    async with open_systems(settings) as systems, systems.engine.begin() as connection:
        await connection.execute(delete(reports).where(reports.c.vehicle == str(car.settings.vehicle)))


async def _lose_bytes(settings: Settings, image: str) -> None:
    objects = open_objects(settings.storage.url)
    for name in await objects.entries("targets/"):
        if name.endswith(image):
            await objects.remove(name)


async def _check(settings: Settings, ledger: Ledger, cars: Sequence[Car]) -> None:
    async with open_systems(settings) as systems:
        for car in cars:
            sent = ledger.manifests.get(car.settings.vehicle, ())
            await _check_manifests(systems, ledger, car.settings.vehicle, car.settings.ecu, sent)
        await _check_images(systems, ledger, cars[0])


async def _check_manifests(
    systems: Systems, ledger: Ledger, vehicle: VehicleIdentifier, ecu: EcuIdentifier, sent: Sequence[Sent]
) -> None:
    """The newest manifest on record is the last acknowledged one, or a later one; every report is on record."""
    acknowledged = [number for number, each in enumerate(sent) if each.acknowledged]
    if not acknowledged:
        ledger.violated(f"vehicle {vehicle} never had a manifest acknowledged")
        return
    decode = systems.settings.profile.format.decode
    async with systems.inventory.transaction() as transaction:
        record = await transaction.vehicle(vehicle)
        stored = {each.report for each in await transaction.reports(vehicle, ecu, EVERY_REPORT)}
    later = {each.raw for each in sent[acknowledged[-1] :]}
    if record is None or record.manifest not in later:
        ledger.violated(f"the last acknowledged manifest of vehicle {vehicle} is lost")
    for number in acknowledged:
        (report,) = decode(VehicleVersionManifest, sent[number].raw).payload.reports
        ledger.count("acknowledged reports that were looked for")
        if report.raw not in stored:
            ledger.violated(f"an acknowledged report of {ecu} is lost: counter {report.payload.counter}")


async def _check_images(systems: Systems, ledger: Ledger, car: Car) -> None:
    """Every acknowledged image is listed, and a vehicle can fetch the bytes of every image that is listed."""
    listed = (await systems.image_repository.published()).targets[TARGETS_ROLE].payload.images
    credentials = VehicleCredentials(car.settings.folder / "credentials", car.settings.vehicle)
    tls = client_tls(authorities=car.settings.factory / "authority.pem", credentials=credentials.file)
    async with httpx2.AsyncClient(base_url=car.settings.server, verify=tls, trust_env=False) as client:
        for name, digest in ledger.images.items():
            entry = listed.get(ImagePath(name))
            if entry is None or entry.file.digests["sha256"].hex() != digest:
                ledger.violated(f"the acknowledged image {name} is not listed with its hash")
        for path, image in listed.items():
            signed = image.file.digests["sha256"]
            answer = await client.get(f"/repo/targets/{systems.settings.profile.requested_image(path, signed)}")
            kind = "acknowledged" if str(path) in ledger.images else "other"
            ledger.count(f"{kind} images that were fetched")
            if hashlib.sha256(answer.content).digest() != signed:
                ledger.violated(f"the {kind} image {path} that is listed is lost: HTTP status {answer.status_code}")
