"""A fleet for the load: vehicles with keys and certificates, on record, and all that they will send, signed already."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import insert

from uptane.assembly.production import Systems, utc_now
from uptane.assembly.serving import certificates_of
from uptane.director.planning import assignment_of
from uptane.director.ports import EcuRecord, VehicleRecord
from uptane.formats.profile import Profile
from uptane.metadata.digests import Digests
from uptane.metadata.identifiers import EcuIdentifier, HardwareIdentifier, ImagePath, VehicleIdentifier
from uptane.metadata.targets import Custom, Image, ImageFile, MustMatch
from uptane.metadata.vehicle_manifest import VehicleVersionManifest
from uptane.metadata.version_report import EcuVersionReport
from uptane.signing.sign import envelope_of, sign
from uptane.signing.signer import KeySigner
from uptane.storage.certificate_authority import CertificateAuthority
from uptane.storage.sql import rows
from uptane.storage.sql.schema import ecus, vehicles
from uptane.storage.tls_credentials import VehicleCredentials

ECUS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Car:
    """What the generator knows of a vehicle.

    Args:
        credentials: the file of its TLS key and certificate.
        manifests: what it sends, in this order, byte for byte.
    """

    credentials: Path
    manifests: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bare:
    """What the cryptography alone has to do for a manifest: reports' and manifest's digests with their signatures."""

    keys: tuple[bytes, ...]
    messages: tuple[bytes, ...]
    signatures: tuple[bytes, ...]


def vehicle_name(number: int) -> VehicleIdentifier:
    """The identifier of a vehicle."""
    return VehicleIdentifier(f"LOAD{number:013d}")


def ecu_name(number: int, ecu: int) -> EcuIdentifier:
    """The identifier of an ECU; 0 is the Primary."""
    return EcuIdentifier(f"{vehicle_name(number)}-{ecu}")


def hardware(ecu: int) -> HardwareIdentifier:
    """What that ECU is."""
    return HardwareIdentifier(f"unit-{ecu}")


def image(ecu: int, release: int) -> tuple[ImagePath, bytes, Custom]:
    """An image for one kind of ECU; release 0 is the factory's and is not published."""
    match = MustMatch(release_counter=release, hardware_ids=(hardware(ecu),))
    return ImagePath(f"unit-{ecu}/release-{release}.img"), f"{ecu}:{release}".encode(), Custom(must_match=match)


async def publish_images(systems: Systems, releases: int) -> dict[tuple[int, int], Image]:
    """Publishes every image; by ECU and release."""
    made = {}
    for release in range(1, releases + 1):
        for ecu in range(ECUS):
            path, data, custom = image(ecu, release)
            made[ecu, release] = await systems.image_repository.add_image(path, data, custom=custom)
    await systems.image_repository.publish(utc_now())
    return made


async def make_fleet(systems: Systems, count: int, manifests: Sequence[int], folder: Path) -> tuple[list[Car], Bare]:
    """Puts vehicles on record with their first, empty metadata.

    Args:
        systems: the servers' stores.
        count: how many vehicles.
        manifests: the release that the ECUs run in each manifest that a vehicle will send.
        folder: for their credentials.
    """
    authority = CertificateAuthority.in_folder(certificates_of(systems.settings), now=utc_now())
    now, cars, bare = utc_now().replace(microsecond=0), [], None
    for number in range(count):
        vehicle = vehicle_name(number)
        signers = [KeySigner(Ed25519PrivateKey.generate()) for _ in range(ECUS)]
        await _record(systems, number, signers)
        await systems.director.publish(vehicle, now)
        held = VehicleCredentials(folder / "cars" / vehicle, vehicle)
        held.keep(authority.certify_vehicle(held.request(), vehicle, now=now, lifetime=timedelta(days=1)))
        said = [_manifest(systems.settings.profile, number, signers, r, n, now) for n, r in enumerate(manifests, 1)]
        cars.append(Car(credentials=held.file, manifests=tuple(raw for raw, _ in said)))
        bare = said[0][1] if bare is None else bare
    assert bare is not None
    return cars, bare


async def assign_release(systems: Systems, count: int, images: dict[tuple[int, int], Image], release: int) -> None:
    """Every ECU shall have a release: what `uptane assignment set` writes, one vehicle in a transaction."""
    for number in range(count):
        async with systems.inventory.transaction() as transaction:
            await transaction.vehicle(vehicle_name(number))
            for ecu in range(ECUS):
                given = assignment_of(vehicle_name(number), ecu_name(number, ecu), images[ecu, release])
                await transaction.assign(given)


async def _record(systems: Systems, number: int, signers: Sequence[KeySigner]) -> None:
    vehicle = vehicle_name(number)
    listed = [
        rows.ecu_row(
            EcuRecord(
                vehicle=vehicle,
                ecu=ecu_name(number, ecu),
                key=signer.key,
                is_primary=ecu == 0,
                hardware_id=hardware(ecu),
            )
        )
        for ecu, signer in enumerate(signers)
    ]
    async with systems.engine.begin() as connection:
        await connection.execute(insert(vehicles).values(rows.vehicle_row(VehicleRecord(vehicle=vehicle))))
        await connection.execute(insert(ecus), listed)


def _manifest(
    profile: Profile, number: int, signers: Sequence[KeySigner], release: int, counter: int, now: datetime
) -> tuple[bytes, Bare]:
    reports = []
    for ecu, signer in enumerate(signers):
        path, data, _ = image(ecu, release)
        report = EcuVersionReport(
            ecu=ecu_name(number, ecu),
            installed=ImageFile(path=path, length=len(data), digests=Digests.of(data, ("sha256", "sha512"))),
            attacks_detected="",
            time=now,
            previous_time=now - timedelta(hours=1),
            counter=counter,
            nonce=number * 100 + counter,
        )
        reports.append(envelope_of(profile, report, [signer]))
    whole = VehicleVersionManifest(
        vehicle=vehicle_name(number), primary=ecu_name(number, 0), reports=tuple(reports), counter=counter
    )
    raw = sign(profile, whole, signers[:1])
    signed = [*reports, profile.format.decode(VehicleVersionManifest, raw)]
    return raw, Bare(
        keys=tuple(signer.key.material for signer in (*signers, signers[0])),
        messages=tuple(each.signatures[0].digest or b"" for each in signed),
        signatures=tuple(each.signatures[0].value for each in signed),
    )
