"""One value of every kind that the archived formats carry, and the keys that sign it."""

from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ed25519
from msgspec import structs

from uptane.formats.pouf1.der import POUF1
from uptane.formats.pouf1.json import POUF1_JSON
from uptane.formats.pouf1.rules import FILEINFO_CUSTOM
from uptane.formats.profile import Format, Payload
from uptane.metadata.digests import Digests
from uptane.metadata.envelope import Envelope, Signature
from uptane.metadata.extensions import Extensions
from uptane.metadata.identifiers import EcuIdentifier, ImagePath, RoleName, VehicleIdentifier
from uptane.metadata.keys import KeyIdRule, PublicKey
from uptane.metadata.root import Role, RoleKeys, Root
from uptane.metadata.snapshot import MetadataFile, Snapshot
from uptane.metadata.targets import Custom, EcuAssignment, Image, ImageFile, Targets
from uptane.metadata.time_attestation import TimeAttestation
from uptane.metadata.timestamp import Timestamp
from uptane.metadata.vehicle_manifest import VehicleVersionManifest
from uptane.metadata.version_report import EcuVersionReport

FORMATS: tuple[Format, ...] = (POUF1, POUF1_JSON)
EXPIRES = datetime(2037, 9, 28, 12, 46, 29, tzinfo=UTC)
TIME = datetime(2017, 5, 18, 16, 23, 13, tzinfo=UTC)
ATTACKS = "Timestamp error\nthe time is wrong\n"


def private_key(number: int) -> ed25519.Ed25519PrivateKey:
    """The same key for the same number, from 0 to 255."""
    return ed25519.Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)


def public_key(number: int) -> PublicKey:
    """Its public key, under its archived identifier."""
    return PublicKey.of(private_key(number).public_key(), KeyIdRule.POUF1)


def sign(wire: Format, payload: Payload, *numbers: int) -> bytes:
    """The payload, signed by these keys over its message as it is."""
    unsigned = wire.encode(payload)
    entries = tuple(
        Signature(key_id=public_key(number).key_id, value=private_key(number).sign(unsigned.message))
        for number in numbers or (1,)
    )
    return wire.assemble(unsigned, entries)


def decode(wire: Format, payload: Payload, raw: bytes) -> Envelope[Any]:
    """What is read where that kind of payload is expected."""
    return wire.decode(type(payload), raw)


def verifies(envelope: Envelope[Any], key: PublicKey) -> bool:
    """Whether this key signed."""
    return any(
        entry.key_id == key.key_id and key.verify(entry.value, envelope.message) for entry in envelope.signatures
    )


def root() -> Root:
    """A key of its own for each role."""
    keys = dict(zip(Role, (public_key(number) for number in range(1, 5)), strict=True))
    return Root(
        version=1,
        expires=EXPIRES,
        keys={key.key_id: key for key in keys.values()},
        roles={role: RoleKeys(key_ids=(key.key_id,), threshold=1) for role, key in keys.items()},
        consistent_snapshot=False,
    )


def root_of_several_keys() -> Root:
    """What only JSON carries: two keys of two for Root, one key of two roles, a key of no role."""
    first, second, third, _, spare = (public_key(number) for number in range(1, 6))
    alone = RoleKeys(key_ids=(third.key_id,), threshold=1)
    both = RoleKeys(key_ids=(second.key_id, first.key_id), threshold=2)
    return structs.replace(
        root(),
        keys={key.key_id: key for key in (first, second, third, spare)},
        roles={Role.ROOT: both, Role.TIMESTAMP: alone, Role.SNAPSHOT: alone, Role.TARGETS: alone},
    )


def listed(name: bytes, version: int = 1) -> MetadataFile:
    """A file with length and SHA-256."""
    return MetadataFile(version=version, length=len(name), digests=Digests.of(name))


def image_file(name: str) -> ImageFile:
    """A file with both hashes."""
    return ImageFile(path=ImagePath(name), length=len(name), digests=Digests.of(name.encode(), ("sha256", "sha512")))


def image(name: str, *ecus: str) -> Image:
    """An image, for ECUs or for none."""
    return Image(file=image_file(name), custom=Custom(ecus={EcuIdentifier(ecu): EcuAssignment() for ecu in ecus}))


def targets(*images: Image) -> Targets:
    """Targets metadata with these images, or with three."""
    chosen = images or (image("TCU1.1.txt", "TCUdemocar"), image("BCU1.1.txt", "ecu-2"), image("folder/INFO1.0.txt"))
    return Targets(version=3, expires=EXPIRES, images={each.file.path: each for each in chosen})


def snapshot() -> Snapshot:
    """With a delegated role, and the Root entry."""
    return Snapshot(
        version=2,
        expires=EXPIRES,
        files={RoleName("targets"): MetadataFile(version=3), RoleName("role1"): MetadataFile(version=4)},
        root=listed(b"root"),
    )


def timestamp() -> Timestamp:
    """Of that Snapshot."""
    return Timestamp(version=128, expires=EXPIRES, snapshot=listed(b"snapshot", 2))


def report(ecu: str = "TCUdemocar", attacks: str = "", **changes: Any) -> EcuVersionReport:
    """What an ECU says."""
    value = EcuVersionReport(
        ecu=EcuIdentifier(ecu),
        installed=image_file("secondary_firmware.txt"),
        attacks_detected=attacks,
        time=EXPIRES,
        previous_time=TIME,
        counter=None,
        nonce=None,
    )
    return structs.replace(value, **changes)


def report_with_custom() -> EcuVersionReport:
    """What only JSON carries: the custom data of the Director's entry."""
    custom = b'{"ecu_serial":"TCUdemocar"}'
    return report(extensions=Extensions(((FILEINFO_CUSTOM, custom),)))


def enveloped(wire: Format, *reports: EcuVersionReport) -> tuple[Envelope[EcuVersionReport], ...]:
    """Reports, signed."""
    return tuple(wire.decode(EcuVersionReport, sign(wire, each, 7)) for each in reports)


def manifest(wire: Format, *reports: EcuVersionReport) -> VehicleVersionManifest:
    """A vehicle manifest of these reports."""
    return VehicleVersionManifest(
        vehicle=VehicleIdentifier("democar"),
        primary=EcuIdentifier("INFOdemocar"),
        reports=enveloped(wire, *reports),
        counter=None,
    )


def attestation(*nonces: int) -> TimeAttestation:
    """A time over these nonces."""
    return TimeAttestation(time=TIME, nonces=nonces)


def payloads(wire: Format) -> dict[str, Payload]:
    """Every kind, with all that may be there and with nothing."""
    samples: dict[str, Payload] = {
        "root": root(),
        "timestamp": timestamp(),
        "snapshot": snapshot(),
        "targets": targets(),
        "no targets": Targets(version=1, expires=EXPIRES),
        "report": report(),
        "report of an attack": report(attacks=ATTACKS),
        "manifest": manifest(wire, report("b", "new"), report("a"), report("b", "newer"), report("b", "new")),
        "empty manifest": manifest(wire),
        "attestation": attestation(1, 2, 2**31 - 1),
        "attestation without nonces": attestation(),
    }
    if wire is POUF1_JSON:
        samples |= {
            "root of several keys": root_of_several_keys(),
            "report with custom data": report_with_custom(),
            "manifest with custom data": manifest(wire, report_with_custom()),
            "report beyond ASCII": report("Ärger", "漢\n😀"),
        }
    return samples


SAMPLES = [(wire, name) for wire in FORMATS for name in payloads(wire)]
"""Every sample of both formats, by format and name."""


def sample_name(value: object) -> str:
    """The name of a parameter of a test."""
    return str(getattr(value, "name", value))
