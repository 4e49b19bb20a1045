"""One rich value of every kind that travels: every field set, every optional field also left out somewhere."""

from datetime import UTC, datetime
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from uptane.formats.der_format import DER
from uptane.formats.profile import Payload
from uptane.metadata.delegations import DelegatedRole, Delegation, Delegations
from uptane.metadata.digests import Digests
from uptane.metadata.envelope import Envelope, Signature
from uptane.metadata.extensions import Extensions
from uptane.metadata.identifiers import (
    EcuIdentifier,
    HardwareIdentifier,
    ImagePath,
    KeyId,
    PathPattern,
    RepositoryName,
    RoleName,
    VehicleIdentifier,
)
from uptane.metadata.keys import PublicKey
from uptane.metadata.repository_map import MappedRepository, Mapping, RepositoryKind, RepositoryMap
from uptane.metadata.root import Role, RoleKeys, Root
from uptane.metadata.snapshot import MetadataFile, Snapshot
from uptane.metadata.targets import (
    Custom,
    EcuAssignment,
    EncryptedImage,
    Image,
    ImageFile,
    MustMatch,
    Targets,
    WrappedKey,
)
from uptane.metadata.time_attestation import TimeAttestation
from uptane.metadata.timestamp import Timestamp
from uptane.metadata.vehicle_manifest import VehicleVersionManifest
from uptane.metadata.version_report import EcuVersionReport

EXPIRES = datetime(2030, 2, 28, 23, 59, 59, tzinfo=UTC)
EXTENSIONS = Extensions((("vendor.note", b'"kept"'), ("a", b""), ("ü", b"\x00\xff")))
VIN = VehicleIdentifier("democar")


def ed25519_key(number: int) -> PublicKey:
    """The same key for the same number, from 0 to 255."""
    return PublicKey.of(ed25519.Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32).public_key())


@lru_cache(maxsize=1)
def all_kinds_of_keys() -> tuple[PublicKey, ...]:
    """Two Ed25519 keys, one for ECDSA and one for RSA."""
    ecdsa = ec.derive_private_key(7, ec.SECP256R1()).public_key()
    rsa_key = rsa.generate_private_key(65537, 2048).public_key()
    return (ed25519_key(1), ed25519_key(2), PublicKey.of(ecdsa), PublicKey.of(rsa_key))


def keys_by_id(*keys: PublicKey) -> dict[KeyId, PublicKey]:
    """Keys under their identifiers."""
    return {key.key_id: key for key in keys}


def image_file(name: str, *functions: str) -> ImageFile:
    """A file whose hashes are those of its name."""
    digests = Digests.of(name.encode(), functions or ("sha256",))
    return ImageFile(path=ImagePath(name), length=len(name), digests=digests)


def root() -> Root:
    """Four keys of three kinds, several to a role."""
    first, second, third, fourth = (key.key_id for key in all_kinds_of_keys())
    return Root(
        version=3,
        expires=EXPIRES,
        vehicle=VIN,
        keys=keys_by_id(*all_kinds_of_keys()),
        roles={
            Role.ROOT: RoleKeys(key_ids=(first, second, third), threshold=2),
            Role.TIMESTAMP: RoleKeys(key_ids=(fourth,), threshold=1),
            Role.SNAPSHOT: RoleKeys(key_ids=(third, fourth), threshold=1),
            Role.TARGETS: RoleKeys(key_ids=(second, first), threshold=2),
        },
        extensions=EXTENSIONS,
    )


def timestamp() -> Timestamp:
    """Without a vehicle and extensions."""
    snapshot = MetadataFile(version=4, length=1234, digests=Digests.of(b"snapshot", ("sha512", "sha256")))
    return Timestamp(version=2**31 - 1, expires=EXPIRES, snapshot=snapshot)


def snapshot() -> Snapshot:
    """Names whose order changes with the ending of the file."""
    return Snapshot(
        version=1,
        expires=datetime(1969, 1, 1, tzinfo=UTC),
        vehicle=VIN,
        files={
            RoleName("targets"): MetadataFile(version=7, length=0, digests=Digests.of(b"t", ("sha384",))),
            RoleName("acme"): MetadataFile(version=1),
            RoleName("acme-brakes"): MetadataFile(version=2, length=2**53 - 1),
        },
        extensions=EXTENSIONS,
    )


def targets() -> Targets:
    """Images with all and with no custom data, and delegations of every sort."""
    return Targets(version=9, expires=EXPIRES, images=images(), delegations=delegations(), extensions=EXTENSIONS)


def images() -> dict[ImagePath, Image]:
    """Three images."""
    encrypted = EncryptedImage(
        file=image_file("tcu/firmware.enc", "sha256", "sha512"),
        method="aes-256-gcm",
        nonce=bytes(12),
        wrapped_key=WrappedKey(method="ecdh", value=b"wrapped"),
        extensions=EXTENSIONS,
    )
    bare = EncryptedImage(file=image_file("bcu.enc"), method="aes-256-cbc")
    custom = Custom(
        must_match=MustMatch(
            release_counter=0,
            hardware_ids=(HardwareIdentifier("tcu-2"), HardwareIdentifier("tcu-1")),
            extensions=EXTENSIONS,
        ),
        ecus={
            EcuIdentifier("TCU"): EcuAssignment(
                hardware_id=HardwareIdentifier("tcu-2"), encrypted=encrypted, extensions=EXTENSIONS
            ),
            EcuIdentifier("BCU"): EcuAssignment(encrypted=bare),
            EcuIdentifier("Ärger"): EcuAssignment(),
        },
        url="https://example.com/tcu",
        extensions=EXTENSIONS,
    )
    entries = (
        Image(file=image_file("tcu/firmware.img", "sha512", "sha384", "sha256"), custom=custom),
        Image(file=image_file("bcu.img"), custom=Custom(must_match=MustMatch(release_counter=2**53 - 1))),
        Image(file=image_file("a.img")),
    )
    return {image.file.path: image for image in entries}


def delegations() -> Delegations:
    """One to a single role, one to a group, one by hash prefixes, one that covers nothing."""
    first, second, third, _ = all_kinds_of_keys()
    one, both = (
        RoleKeys(key_ids=(first.key_id,), threshold=1),
        RoleKeys(key_ids=(third.key_id, second.key_id), threshold=2),
    )
    return Delegations(
        keys=keys_by_id(first, second, third),
        delegations=(
            Delegation(
                roles=(DelegatedRole(name=RoleName("tcu-supplier"), keys=both),),
                paths=(PathPattern("tcu/*"), PathPattern("a.img")),
                hardware_ids=(HardwareIdentifier("tcu-2"), HardwareIdentifier("tcu-1")),
                terminating=True,
                extensions=EXTENSIONS,
            ),
            Delegation(
                roles=tuple(DelegatedRole(name=RoleName(name), keys=one) for name in ("safety", "brakes", "audit")),
                paths=(PathPattern("brakes/?.img"),),
                group=RoleName("brake-group"),
                min_roles_in_agreement=2,
            ),
            Delegation(
                roles=(DelegatedRole(name=RoleName("bin-0"), keys=one),),
                path_hash_prefixes=("0", "1f", "a" * 64),
                hardware_ids=(),
            ),
            Delegation(roles=(DelegatedRole(name=RoleName("nobody"), keys=one),)),
        ),
        extensions=EXTENSIONS,
    )


def attestation() -> TimeAttestation:
    """With the smallest and the greatest nonce."""
    return TimeAttestation(time=EXPIRES, nonces=(2**31 - 1, 0, 128), extensions=EXTENSIONS)


def report(ecu: str = "TCU", counter: int = 2**63 - 1) -> EcuVersionReport:
    """What an ECU says after an attack."""
    return EcuVersionReport(
        ecu=EcuIdentifier(ecu),
        installed=image_file("tcu/firmware.img", "sha256", "sha384"),
        attacks_detected="arbitrary software",
        time=EXPIRES,
        previous_time=datetime(1970, 1, 1, tzinfo=UTC),
        counter=counter,
        nonce=5,
        extensions=EXTENSIONS,
    )


def manifest() -> VehicleVersionManifest:
    """Two whole signed reports."""
    reports = tuple(
        DER.decode(EcuVersionReport, signed(report(ecu, counter=number)))
        for number, ecu in enumerate(("TCU", "BCU"), start=1)
    )
    return VehicleVersionManifest(
        vehicle=VIN, primary=EcuIdentifier("TCU"), reports=reports, counter=3, extensions=EXTENSIONS
    )


def repository_map() -> RepositoryMap:
    """Two mirrors, two mappings."""
    director, image = RepositoryName("director"), RepositoryName("images")
    return RepositoryMap(
        repositories=(
            MappedRepository(name=image, kind=RepositoryKind.IMAGE, urls=("https://b.example", "https://a.example")),
            MappedRepository(name=director, kind=RepositoryKind.DIRECTOR, urls=("https://d.example",)),
        ),
        mappings=(
            Mapping(paths=(PathPattern("tcu/*"),), repositories=(image,), terminating=False),
            Mapping(paths=(PathPattern("*"), PathPattern("x")), repositories=(image, director)),
        ),
        extensions=EXTENSIONS,
    )


@lru_cache(maxsize=1)
def payloads() -> dict[str, Payload]:
    """Every signed kind by its name."""
    samples: tuple[Payload, ...] = (
        root(),
        timestamp(),
        snapshot(),
        targets(),
        attestation(),
        report(),
        manifest(),
    )
    return {type(sample).__name__: sample for sample in samples}


def signatures(payload: Payload) -> tuple[Signature, ...]:
    """Two signatures of the right sort for the payload; their values are made up."""
    if isinstance(payload, EcuVersionReport | VehicleVersionManifest):
        return (
            Signature(
                key_id=ed25519_key(1).key_id,
                value=b"one",
                method="ed25519",
                hash_function="sha512",
                digest=bytes(64),
            ),
            Signature(
                key_id=ed25519_key(2).key_id,
                value=b"two",
                method="rsassa-pss-sha256",
                hash_function="sha256",
                digest=bytes(32),
            ),
        )
    return (
        Signature(key_id=ed25519_key(2).key_id, value=b""),
        Signature(key_id=ed25519_key(1).key_id, value=bytes(2048)),
    )


def signed(payload: Payload) -> bytes:
    """The whole signed object in DER."""
    return DER.assemble(DER.encode(payload), signatures(payload))


def decode(payload: Payload, raw: bytes) -> Envelope[Payload]:
    """`raw`, taken for an object of the payload's kind."""
    return DER.decode(type(payload), raw)  # type: ignore[type-var]
