"""A vehicle's whole world in memory: two repositories with real keys, and an ECU that verifies them."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from uptane.formats.profile import Profile
from uptane.metadata.delegations import TARGETS_ROLE
from uptane.metadata.digests import Digests
from uptane.metadata.identifiers import EcuIdentifier, ImagePath, RepositoryName, RoleName, VehicleIdentifier
from uptane.metadata.keys import KeyType
from uptane.metadata.root import Role
from uptane.metadata.targets import Custom, EcuAssignment, Image, ImageFile, MustMatch, Targets
from uptane.signing.publish import Draft, Published, Publisher, new_root
from uptane.signing.signer import KeySigner
from uptane.verification.full_verification import VerifiedBundle, full_verification
from uptane.verification.match_images import EcuFacts
from uptane.verification.steps import Commit, Keep, run
from uptane.verification.trusted import Context, Held

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
VIN = VehicleIdentifier("democar")
PRIMARY = EcuIdentifier("INFOdemocar")
TCU = EcuIdentifier("TCUdemocar")
DIRECTOR = RepositoryName("director")
IMAGES = RepositoryName("imagerepo")
FAR = datetime(9999, 1, 1, tzinfo=UTC)


def new_signer(kind: KeyType = KeyType.ED25519) -> KeySigner:
    """A new private key."""
    if kind is KeyType.ED25519:
        return KeySigner(ed25519.Ed25519PrivateKey.generate())
    if kind is KeyType.ECDSA:
        return KeySigner(ec.generate_private_key(ec.SECP256R1()))
    return KeySigner(rsa.generate_private_key(65537, 2048))


def image(path: str, content: bytes, *, counter: int | None = None, ecus: tuple[str, ...] = ()) -> Image:
    """An entry for an image."""
    return Image(
        file=ImageFile(path=ImagePath(path), length=len(content), digests=Digests.of(content, ("sha256", "sha512"))),
        custom=Custom(
            must_match=MustMatch(release_counter=counter),
            ecus={EcuIdentifier(ecu): EcuAssignment() for ecu in ecus},
        ),
    )


def targets(*images: Image, **other: object) -> Targets:
    """Targets with these images; version and expiry are set when it is published."""
    return Targets(version=1, expires=FAR, images={i.file.path: i for i in images}, **other)  # type: ignore[arg-type]


@dataclass
class FilesInMemory:
    """A `MetadataStore` over a dict."""

    files: dict[str, bytes] = field(default_factory=dict)

    async def read(self, name: str) -> bytes | None:
        return self.files.get(name)

    async def publish(self, files: list[tuple[str, bytes]], mutable: Mapping[str, bytes]) -> None:
        for name, raw in files:
            assert self.files.setdefault(name, raw) == raw, f"{name} is immutable"
        self.files.update(mutable)


class Repository:
    """A published repository whose keys the test holds."""

    def __init__(
        self,
        profile: Profile,
        *,
        vehicle: VehicleIdentifier | None = None,
        kind: KeyType = KeyType.ED25519,
        keys: int = 1,
        threshold: int = 1,
    ) -> None:
        self.profile = profile
        self.signers = {role: [new_signer(kind) for _ in range(keys)] for role in Role}
        self.keyring = {s.key.key_id: s for role in self.signers.values() for s in role}
        self.thresholds = dict.fromkeys(Role, threshold)
        self.store = FilesInMemory()
        self.vehicle = vehicle
        self.now = NOW
        self.published: Published | None = None
        self.publish(Draft(root=new_root(self.signers, self.thresholds)))

    @property
    def files(self) -> dict[str, bytes]:
        """What a client can fetch."""
        return self.store.files

    @property
    def publisher(self) -> Publisher:
        return Publisher(store=self.store, profile=self.profile, keyring=self.keyring, vehicle=self.vehicle)

    def publish(self, draft: Draft | None = None) -> Published:
        """Signs and publishes; without a draft, a new Snapshot and Timestamp."""
        self.published = asyncio.run(self.publisher.publish(self.published, draft or Draft(), self.now))
        return self.published

    def publish_targets(self, *images: Image, role: RoleName = TARGETS_ROLE, **other: object) -> Published:
        """Replaces the images of a role."""
        return self.publish(Draft(targets={role: targets(*images, **other)}))

    def rotate(self, *roles: Role) -> None:
        """Publishes a Root with new keys for these roles."""
        for role in roles:
            self.signers[role] = [new_signer() for _ in self.signers[role]]
            self.keyring |= {s.key.key_id: s for s in self.signers[role]}
        assert self.published is not None
        content = {name: envelope.payload for name, envelope in self.published.targets.items()}
        self.publish(Draft(root=new_root(self.signers, self.thresholds), targets=content))

    def name(self, role: str, version: int | None = None) -> str:
        return self.profile.metadata_name(role, version)

    def held(self) -> Held:
        """What an ECU provisioned now would hold."""
        return Held(
            root=self.files[self.name(Role.ROOT)],
            files={role: self.files[self.name(role)] for role in Role if role is not Role.ROOT},
        )


@dataclass
class Ecu:
    """An ECU that holds what it trusts, and verifies whatever the repositories offer."""

    director: Repository
    images: Repository
    ecus: dict[EcuIdentifier, EcuFacts]
    knows_whole_vehicle: bool = True
    now: datetime = NOW
    vehicle: VehicleIdentifier = VIN
    held: dict[RepositoryName, Held] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.held = {DIRECTOR: self.director.held(), IMAGES: self.images.held()}

    def fetch(self, repository: RepositoryName, name: str, limit: int) -> bytes | None:
        self.fetched.append(f"{repository}/{name}")
        return (self.director if repository == DIRECTOR else self.images).files.get(name)

    def keep(self, step: Keep) -> None:
        files = {role: raw for role, raw in self.held[step.repository].files.items() if role not in step.drop}
        self.held[step.repository] = Held(root=step.raw, files=files)

    def commit(self, step: Commit) -> None:
        for repository, files in step.files.items():
            held = self.held[repository]
            self.held[repository] = Held(root=held.root, files=dict(held.files) | dict(files))

    def context(self, repository: RepositoryName) -> Context:
        vehicle = self.vehicle if repository == DIRECTOR else None
        return Context(repository=repository, profile=self.director.profile, now=self.now, vehicle=vehicle)

    def cycle(self) -> VerifiedBundle:
        """One update cycle's metadata part."""
        self.fetched.clear()
        procedure = full_verification(
            director=self.context(DIRECTOR),
            director_held=self.held[DIRECTOR],
            image_repository=self.context(IMAGES),
            image_repository_held=self.held[IMAGES],
            ecus=self.ecus,
            knows_whole_vehicle=self.knows_whole_vehicle,
        )
        return run(procedure, self, self)

    def later(self, **delta: float) -> None:
        """Moves this ECU's verified time forward."""
        self.now += timedelta(**delta)


class World:
    """A Director for `democar`, an Image repository, and a Primary that knows its two ECUs."""

    def __init__(self, profile: Profile, **keys: object) -> None:
        self.profile = profile
        self.director = Repository(profile, vehicle=VIN, **keys)  # type: ignore[arg-type]
        self.images = Repository(profile, **keys)  # type: ignore[arg-type]
        self.primary = Ecu(self.director, self.images, {PRIMARY: EcuFacts(), TCU: EcuFacts()})

    def release(self, path: str, content: bytes, *, counter: int | None = None, ecu: str = TCU) -> None:
        """Both repositories publish one image for one ECU."""
        self.images.publish_targets(image(path, content, counter=counter))
        self.director.publish_targets(image(path, content, counter=counter, ecus=(ecu,)))
