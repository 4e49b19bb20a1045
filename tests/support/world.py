"""A vehicle's whole world in memory: two repositories with real keys, and an ECU that verifies them."""

import asyncio
import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import count
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from maps import BASIC_MAP
from maps import DIRECTOR as DIRECTOR
from maps import IMAGES as IMAGES
from msgspec import structs

from uptane.formats.profile import KINDS, Profile
from uptane.metadata.delegations import TARGETS_ROLE, DelegatedRole, Delegation, Delegations
from uptane.metadata.digests import Digests
from uptane.metadata.errors import EndlessDataError, UptaneError
from uptane.metadata.identifiers import (
    EcuIdentifier,
    HardwareIdentifier,
    ImagePath,
    PathPattern,
    RepositoryName,
    RoleName,
    VehicleIdentifier,
)
from uptane.metadata.keys import KeyIdRule, KeyType
from uptane.metadata.repository_map import RepositoryMap
from uptane.metadata.root import Common, Role, RoleKeys, Root
from uptane.metadata.snapshot import MetadataFile, Snapshot
from uptane.metadata.targets import Custom, EcuAssignment, Image, ImageFile, MustMatch, Targets
from uptane.metadata.timestamp import Timestamp
from uptane.signing.publish import Draft, Published, Publisher, new_root
from uptane.signing.sign import sign
from uptane.signing.signer import KeySigner
from uptane.verification.agreement import KnownRepository
from uptane.verification.full_verification import VerifiedBundle, full_verification
from uptane.verification.limits import DEFAULT_LIMITS, Limits
from uptane.verification.match_images import EcuFacts
from uptane.verification.steps import Commit, Keep, Procedure, run
from uptane.verification.trusted import Context, Held

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
VIN = VehicleIdentifier("democar")
PRIMARY = EcuIdentifier("INFOdemocar")
TCU = EcuIdentifier("TCUdemocar")
FAR = datetime(9999, 1, 1, tzinfo=UTC)


def new_signer(kind: KeyType = KeyType.ED25519, id_rule: KeyIdRule = KeyIdRule.TUF) -> KeySigner:
    """A new private key."""
    if kind is KeyType.ED25519:
        return KeySigner(ed25519.Ed25519PrivateKey.generate(), id_rule)
    if kind is KeyType.ECDSA:
        return KeySigner(ec.generate_private_key(ec.SECP256R1()))
    return _rsa_signer(next(_RSA_TURN) % 8)


_RSA_TURN = count()


@lru_cache
def _rsa_signer(index: int) -> KeySigner:
    """RSA keys are slow to make, so eight of them go round."""
    return KeySigner(rsa.generate_private_key(65537, 2048))


def image(
    path: str,
    content: bytes,
    *,
    counter: int | None = None,
    ecus: tuple[str, ...] = (),
    hardware: tuple[str, ...] | None = None,
    hashes: tuple[str, ...] = ("sha256", "sha512"),
) -> Image:
    """An entry for an image; `hardware` is what it is for, as must-match data."""
    hardware_ids = None if hardware is None else tuple(HardwareIdentifier(name) for name in hardware)
    return Image(
        file=ImageFile(path=ImagePath(path), length=len(content), digests=Digests.of(content, hashes)),
        custom=Custom(
            must_match=MustMatch(release_counter=counter, hardware_ids=hardware_ids),
            ecus={EcuIdentifier(ecu): EcuAssignment() for ecu in ecus},
        ),
    )


def listed(raw: bytes, version: int) -> MetadataFile:
    """What a parent role says of a file."""
    return MetadataFile(version=version, length=len(raw), digests=Digests.of(raw))


def keys_of(signers: Sequence[KeySigner], threshold: int = 1) -> RoleKeys:
    """The keys of a role."""
    return RoleKeys(key_ids=tuple(signer.key.key_id for signer in signers), threshold=threshold)


def delegation(
    roles: Mapping[str, Sequence[KeySigner]] | str,
    signers: Sequence[KeySigner] = (),
    *,
    paths: Sequence[str] = (),
    threshold: int = 1,
    hardware: Sequence[str] | None = None,
    agree: int = 1,
    group: str | None = None,
    **other: object,
) -> Delegation:
    """A delegation to one role with these signers, or to several with theirs."""
    members = {roles: signers} if isinstance(roles, str) else roles
    return Delegation(
        roles=tuple(
            DelegatedRole(name=RoleName(name), keys=keys_of(held, threshold)) for name, held in members.items()
        ),
        paths=tuple(PathPattern(path) for path in paths),
        hardware_ids=None if hardware is None else tuple(HardwareIdentifier(name) for name in hardware),
        group=None if group is None else RoleName(group),
        min_roles_in_agreement=agree,
        **other,  # type: ignore[arg-type]
    )


def delegations(signers: Sequence[KeySigner], *items: Delegation) -> Delegations:
    """Delegations whose keys are those of `signers`, without repetition."""
    return Delegations(keys={signer.key.key_id: signer.key for signer in signers}, delegations=items)


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
        self.signers = {role: [new_signer(kind, profile.format.key_id_rule) for _ in range(keys)] for role in Role}
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
            self.signers[role] = [new_signer(id_rule=self.profile.format.key_id_rule) for _ in self.signers[role]]
            self.keyring |= {s.key.key_id: s for s in self.signers[role]}
        assert self.published is not None
        content = {name: envelope.payload for name, envelope in self.published.targets.items()}
        self.publish(Draft(root=new_root(self.signers, self.thresholds), targets=content))

    def name(self, role: str, version: int | None = None) -> str:
        return self.profile.metadata_name(role, version)

    def payload(self, role: str) -> Common:
        """The newest published payload of a role."""
        kind = KINDS.get(Role(role), Targets) if role in set(Role) else Targets
        return self.profile.format.decode(kind, self.files[self.name(role)]).payload

    def write(self, role: str, payload: Common, signers: Sequence[KeySigner]) -> bytes:
        """Puts a file under its names, as somebody who holds `signers` and the folder can."""
        raw = sign(self.profile, payload, signers)
        self.files[self.name(role)] = raw
        if role != Role.TIMESTAMP:
            self.files[self.name(role, payload.version)] = raw
        return raw

    def offer(
        self, role: str, *, signers: Sequence[KeySigner] | None = None, relist: bool = True, **changes: object
    ) -> bytes:
        """Replaces a published file by a changed one.

        Args:
            role: which file.
            signers: who signs it; the role's own keys when not given.
            relist: whether the roles above list the new file, genuinely signed, so that it is the only fault.
            changes: fields of the payload; the version rises by one when it is not given.
        """
        old = self.payload(role)
        new = structs.replace(old, **({"version": old.version + 1} | changes))  # type: ignore[arg-type]
        raw = self.write(role, new, self.signers[Role(role)] if signers is None else signers)
        if relist:
            self.list_again(role, raw, new.version)
        return raw

    def list_again(self, role: str, raw: bytes, version: int) -> None:
        """The roles above a file list it as it is now, each genuinely signed with a new version."""
        if role in (Role.ROOT, Role.TIMESTAMP):
            return
        if role == Role.SNAPSHOT:
            self.offer(Role.TIMESTAMP, snapshot=listed(raw, version))
            return
        snapshot = self.payload(Role.SNAPSHOT)
        assert isinstance(snapshot, Snapshot)
        self.offer(Role.SNAPSHOT, files=dict(snapshot.files) | {RoleName(role): listed(raw, version)})

    @property
    def root(self) -> Root:
        root = self.payload(Role.ROOT)
        assert isinstance(root, Root)
        return root

    @property
    def snapshot(self) -> Snapshot:
        snapshot = self.payload(Role.SNAPSHOT)
        assert isinstance(snapshot, Snapshot)
        return snapshot

    @property
    def timestamp(self) -> Timestamp:
        timestamp = self.payload(Role.TIMESTAMP)
        assert isinstance(timestamp, Timestamp)
        return timestamp

    def draft_root(self, **thresholds: int) -> Root:
        """A Root with the present keys, and other thresholds where given."""
        return new_root(self.signers, self.thresholds | {Role(role): number for role, number in thresholds.items()})

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
    limits: Limits = DEFAULT_LIMITS
    repository_map: RepositoryMap = BASIC_MAP
    rules: dict[str, Any] = field(default_factory=dict)
    others: dict[RepositoryName, Repository] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.held = {name: repository.held() for name, repository in self.repositories.items()}

    @property
    def repositories(self) -> dict[RepositoryName, Repository]:
        """Every repository that it knows."""
        return {DIRECTOR: self.director, IMAGES: self.images} | self.others

    def fetch(self, repository: RepositoryName, name: str, limit: int) -> bytes | None:
        self.fetched.append(f"{repository}/{name}")
        raw = self.repositories[repository].files.get(name)
        if raw is not None and len(raw) > limit:
            raise EndlessDataError(f"{name} of {repository} has more than {limit} bytes", repository=repository)
        return raw

    def keep(self, step: Keep) -> None:
        files = {role: raw for role, raw in self.held[step.repository].files.items() if role not in step.drop}
        self.held[step.repository] = Held(root=step.raw, files=files)

    def commit(self, step: Commit) -> None:
        for repository, files in step.files.items():
            held = self.held[repository]
            self.held[repository] = Held(root=held.root, files=dict(held.files) | dict(files))

    def context(self, repository: RepositoryName) -> Context:
        known = self.repositories[repository]
        vehicle, profile = self.vehicle if known.vehicle else None, known.profile
        return Context(repository=repository, profile=profile, now=self.now, vehicle=vehicle, limits=self.limits)

    def cycle(self) -> VerifiedBundle:
        """One update cycle's metadata part."""
        self.fetched.clear()
        return run(self.procedure(), self, self)

    def procedure(self) -> Procedure[VerifiedBundle]:
        """Full verification, from what is held now."""
        return full_verification(
            repository_map=self.repository_map,
            repositories={
                name: KnownRepository(context=self.context(name), held=held) for name, held in self.held.items()
            },
            ecus=self.ecus,
            knows_whole_vehicle=self.knows_whole_vehicle,
            **self.rules,
        )

    def later(self, **delta: float) -> None:
        """Moves this ECU's verified time forward."""
        self.now += timedelta(**delta)


@dataclass
class Refusal:
    """What `refused` saw."""

    error: UptaneError | None = None

    @property
    def facts(self) -> Mapping[str, object]:
        assert self.error is not None
        return self.error.facts


@contextmanager
def refused(ecu: Ecu, expected: type[UptaneError], *, new_roots: bool = False) -> Iterator[Refusal]:
    """The block is the attack: it changes what the repositories offer, or the ECU's time, facts or limits.

    Then the ECU refuses with exactly this error, holds byte for byte what it held before (but for new Roots and what
    they make it forget, where `new_roots` says so), and takes the genuine files once they are back.
    """
    repositories = tuple(ecu.repositories.values())
    genuine = [dict(repository.files) for repository in repositories]
    held, now, limits, ecus = copy.deepcopy(ecu.held), ecu.now, ecu.limits, dict(ecu.ecus)
    refusal = Refusal()
    yield refusal
    try:
        ecu.cycle()
    except UptaneError as error:
        refusal.error = error
    assert type(refusal.error) is expected, repr(refusal.error)
    assert refusal.error.what
    if new_roots:
        for name, before in held.items():
            kept = ecu.held[name].files
            assert kept.items() <= before.files.items()
    else:
        assert ecu.held == held
    for repository, files in zip(repositories, genuine, strict=True):
        repository.files.clear()
        repository.files.update(files)
    ecu.now, ecu.limits, ecu.ecus = now, limits, ecus
    ecu.cycle()


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
