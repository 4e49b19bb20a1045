"""A new version of a repository's metadata: built, signed, and written with the Timestamp last."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

import msgspec
from msgspec import Struct, structs

from uptane.formats.profile import PayloadT, Profile
from uptane.metadata.delegations import TARGETS_ROLE
from uptane.metadata.digests import Digests
from uptane.metadata.envelope import Envelope
from uptane.metadata.errors import ProvisioningError, StorageError
from uptane.metadata.identifiers import KeyId, RoleName, VehicleIdentifier
from uptane.metadata.keys import PublicKey
from uptane.metadata.root import NOT_PUBLISHED_YET, Role, RoleKeys, Root
from uptane.metadata.snapshot import MetadataFile, Snapshot
from uptane.metadata.targets import Targets
from uptane.metadata.timestamp import Timestamp
from uptane.signing.ports import MetadataStore
from uptane.signing.sign import envelope_of
from uptane.signing.signer import Signer

Keyring = Mapping[KeyId, Signer]
"""The private keys at hand, by key identifier."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """How long a role is valid from its signing; the archived demonstration's numbers."""

    root: timedelta = timedelta(days=365)
    targets: timedelta = timedelta(days=91)
    snapshot: timedelta = timedelta(days=7)
    timestamp: timedelta = timedelta(days=1)


def due_at(expires: datetime, life: timedelta) -> datetime:
    """From when on a role is signed again: a third of its life is left, in which a store may be down.

    Args:
        expires: of the role.
        life: how long a new one of it is valid.
    """
    return expires - life / 3


def at_hand(keys: RoleKeys, keyring: Keyring) -> tuple[PublicKey, ...]:
    """Those of a role's keys that are at hand, where they are enough to sign; else none."""
    found = tuple([keyring[key_id].key for key_id in keys.key_ids if key_id in keyring])
    return found if len(found) >= keys.threshold else ()


def is_due(expires: datetime, life: timedelta, now: datetime) -> bool:
    """Whether a role is signed again: from `due_at` on, or where the clock that it was signed by was far ahead.

    Until it expires, whoever stands in between could show it to a vehicle in place of all that comes after it. A third
    of a life ahead is borne, as the clocks of several servers are never the same.

    Args:
        expires: of the role.
        life: how long a new one of it is valid.
        now: UTC.
    """
    return not timedelta(0) <= due_at(expires, life) - now <= life


class ReadBack(Protocol):
    """What was published, read back and verified; `verification.own_metadata.OwnMetadata` is."""

    @property
    def root(self) -> Envelope[Root]:
        """The newest Root."""
        ...

    @property
    def targets(self) -> Mapping[RoleName, Envelope[Targets]]:
        """Every Targets role."""
        ...

    @property
    def snapshot_version(self) -> int:
        """0 before the first."""
        ...

    @property
    def timestamp_version(self) -> int:
        """0 before the first."""
        ...

    @property
    def timestamp(self) -> bytes:
        """The Timestamp's file; empty before the first."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What a repository has published: the newest file of each role.

    Args:
        root: the newest Root.
        targets: the Targets roles by name, `targets` among them once there is one.
        snapshot_version, timestamp_version: 0 before the first.
        expires: of Snapshot or Timestamp, whichever is first, where they were published just now.
        timestamp: the Timestamp's file, where it was read back or published just now.
    """

    root: Envelope[Root]
    targets: Mapping[RoleName, Envelope[Targets]] = field(default_factory=dict)
    snapshot_version: int = 0
    timestamp_version: int = 0
    expires: datetime | None = field(default=None, compare=False)
    timestamp: bytes = field(default=b"", compare=False)

    @classmethod
    def of(cls, own: ReadBack) -> "Published":
        """Verified metadata as what the next publication builds on."""
        return cls(
            root=own.root,
            targets=own.targets,
            snapshot_version=own.snapshot_version,
            timestamp_version=own.timestamp_version,
            timestamp=own.timestamp,
        )

    def keys_for(self, name: RoleName) -> RoleKeys | None:
        """The keys of a Targets role: from Root, or from the first role that delegates to it; None for nobody's."""
        return _keys_for(name, self.root.payload, (envelope.payload for envelope in self.targets.values()))


class Draft(Struct, frozen=True, kw_only=True, gc=False):
    """What shall change. Versions and expiry times in the payloads are set when they are published.

    Args:
        root: a new Root.
        targets: new content of Targets roles that we sign.
        signed: delegated Targets files that their own signers made, complete.
        skipped: how many versions are left out before the new ones, in every role that is signed but Root: those that
            clients may have seen before an older backup was restored.
    """

    root: Root | None = None
    targets: Mapping[RoleName, Targets] = msgspec.field(default_factory=dict)
    signed: Mapping[RoleName, bytes] = msgspec.field(default_factory=dict)
    skipped: int = 0


async def load_published(store: MetadataStore, profile: Profile) -> Published | None:
    """What the store holds, or None when it is empty.

    The newest Root is the end of the chain of versions, because clients follow the chain; every other role is
    the one that the published Timestamp leads to.

    Raises:
        StorageError: a file that another one lists is missing.
    """
    root = await _newest_root(store, profile)
    raw = await store.read(profile.metadata_name(Role.TIMESTAMP))
    if root is None or raw is None:
        return None if root is None else Published(root=root)
    timestamp = profile.format.decode(Timestamp, raw).payload
    listed = await _load(store, profile, Snapshot, Role.SNAPSHOT, timestamp.snapshot.version)
    targets = {
        name: await _load(store, profile, Targets, name, file.version) for name, file in listed.payload.files.items()
    }
    return Published(
        root=root,
        targets=targets,
        snapshot_version=listed.payload.version,
        timestamp_version=timestamp.version,
    )


async def _newest_root(store: MetadataStore, profile: Profile) -> Envelope[Root] | None:
    plain = await store.read(profile.metadata_name(Role.ROOT))
    if plain is None:
        plain = await store.read(profile.metadata_name(Role.ROOT, 1))
    newest = plain
    while newest is not None:
        root = profile.format.decode(Root, newest)
        newest = await store.read(profile.metadata_name(Role.ROOT, root.payload.version + 1))
        if newest is None:
            return root
    return None


async def _load(
    store: MetadataStore, profile: Profile, kind: type[PayloadT], role: str, version: int
) -> Envelope[PayloadT]:
    name = profile.metadata_name(role, version)
    raw = await store.read(name)
    if raw is None:
        raise StorageError(f"published file {name} is missing", next_step="Restore it from a backup.", file=name)
    return profile.format.decode(kind, raw)


@dataclass(frozen=True, slots=True, kw_only=True)
class Publisher:
    """Publishes for one repository.

    Args:
        store: where the files go.
        profile: their format and names.
        keyring: the private keys at hand.
        lifetimes: until when they are valid.
        vehicle: on a Director, the vehicle; written into every role, where the profile can.
    """

    store: MetadataStore
    profile: Profile
    keyring: Keyring
    lifetimes: Lifetimes = Lifetimes()
    vehicle: VehicleIdentifier | None = None

    @property
    def _vehicle(self) -> VehicleIdentifier | None:
        return None if self.profile.unsafe_no_vehicle_id else self.vehicle

    def _in_snapshot(self, envelope: Envelope[Targets]) -> MetadataFile:
        if self.profile.unsafe_versions_only:
            return MetadataFile(version=envelope.payload.version)
        return _listed(envelope)

    async def publish(self, before: Published | None, draft: Draft, now: datetime) -> Published:
        """Signs what changed, and a new Snapshot and Timestamp in any case.

        Top-level Targets is signed again when Root names other keys for it; a delegated role is not: what its
        old keys signed may be a thief's.

        Args:
            before: what is published; None for a new repository, whose draft must hold a Root.
            now: UTC; expiry times are counted from it.

        Raises:
            ProvisioningError: a key that is needed to reach a threshold is not at hand; nothing was written.
            StorageError: a file could not be written; readers still see what was published before.
        """
        now = now.replace(microsecond=0) if now.microsecond else now
        root = self._sign_root(before, draft, now)
        roles = await self._sign_targets(root.payload, before.targets if before else {}, draft, now)
        snapshot = Snapshot(
            version=await self._free_version(Role.SNAPSHOT, (before.snapshot_version if before else 0) + draft.skipped),
            expires=now + self.lifetimes.snapshot,
            vehicle=self._vehicle,
            files={name: self._in_snapshot(envelope) for name, envelope in roles.items()},
            root=_listed(root) if self.profile.unsafe_root_through_snapshot else None,
        )
        signed_snapshot = self._sign(snapshot, root.payload.roles[Role.SNAPSHOT], Role.SNAPSHOT)
        timestamp = Timestamp(
            version=(before.timestamp_version if before else 0) + draft.skipped + 1,
            expires=now + self.lifetimes.timestamp,
            vehicle=self._vehicle,
            snapshot=_listed(signed_snapshot),
        )
        signed_timestamp = self._sign(timestamp, root.payload.roles[Role.TIMESTAMP], Role.TIMESTAMP)
        await self._write(before, root, roles, signed_snapshot, signed_timestamp)
        return Published(
            root=root,
            targets=roles,
            snapshot_version=snapshot.version,
            timestamp_version=timestamp.version,
            expires=min(snapshot.expires, timestamp.expires),
            timestamp=signed_timestamp.raw,
        )

    def require_keys(self, root: Root, *roles: Role) -> None:
        """Raises ProvisioningError unless what signs these roles is at hand."""
        for role in roles:
            self._signers(root.roles[role], role)

    def _sign_root(self, before: Published | None, draft: Draft, now: datetime) -> Envelope[Root]:
        if draft.root is None:
            if before is None:
                raise ProvisioningError("a new repository needs a Root")
            return before.root
        version = before.root.payload.version + 1 if before else 1
        root = structs.replace(
            draft.root,
            version=version,
            expires=now + self.lifetimes.root,
            vehicle=self._vehicle,
            consistent_snapshot=not self.profile.unsafe_plain_names,
        )
        signers = self._signers(root.roles[Role.ROOT], Role.ROOT)
        if before:
            signers |= self._signers(before.root.payload.roles[Role.ROOT], Role.ROOT)
        return envelope_of(self.profile, root, list(signers.values()))

    async def _sign_targets(
        self, root: Root, published: Mapping[RoleName, Envelope[Targets]], draft: Draft, now: datetime
    ) -> dict[RoleName, Envelope[Targets]]:
        roles = dict(published)
        pending = dict(draft.targets)
        signed = {name: self.profile.format.decode(Targets, raw) for name, raw in draft.signed.items()}
        if TARGETS_ROLE not in roles and TARGETS_ROLE not in pending:
            pending[TARGETS_ROLE] = Targets(version=1, expires=now)
        if TARGETS_ROLE not in pending and _has_other_keys(roles[TARGETS_ROLE], root):
            pending[TARGETS_ROLE] = roles[TARGETS_ROLE].payload
        delegating: Mapping[RoleName, Targets] = {}
        if pending.keys() - {TARGETS_ROLE}:
            delegating = {name: envelope.payload for name, envelope in (roles | signed).items()} | pending
        for name, content in pending.items():
            keys = _keys_for(name, root, delegating.values())
            if keys is None:
                raise ProvisioningError(f"nobody delegates to role {name}", next_step="Delegate to it first.")
            last = roles[name].payload.version if name in roles else 0
            version = await self._free_version(name, last + draft.skipped)
            payload = Targets(
                version=version,
                expires=now + self.lifetimes.targets,
                vehicle=self._vehicle,
                extensions=content.extensions,
                images=content.images,
                delegations=content.delegations,
            )
            roles[name] = self._sign(payload, keys, name)
        return roles | signed if signed else roles

    def _sign(self, payload: PayloadT, keys: RoleKeys, role: str) -> Envelope[PayloadT]:
        return envelope_of(self.profile, payload, list(self._signers(keys, role).values()))

    def _signers(self, keys: RoleKeys, role: str) -> dict[KeyId, Signer]:
        found = {key_id: self.keyring[key_id] for key_id in keys.key_ids if key_id in self.keyring}
        if len(found) < keys.threshold:
            raise ProvisioningError(
                f"{len(found)} of the {keys.threshold} keys needed to sign {role} are at hand",
                next_step="Load the missing private keys.",
                role=role,
            )
        return found

    async def _free_version(self, role: str, last: int) -> int:
        """The next version whose name is not taken: a publication that was cut off may have left a file behind."""
        version = last + 1
        while await self.store.read(self.profile.metadata_name(role, version)) is not None:
            version += 1
        return version

    async def _write(
        self,
        before: Published | None,
        root: Envelope[Root],
        roles: Mapping[RoleName, Envelope[Targets]],
        snapshot: Envelope[Snapshot],
        timestamp: Envelope[Timestamp],
    ) -> None:
        name = self.profile.metadata_name
        changed = {
            role: envelope
            for role, envelope in roles.items()
            if before is None or role not in before.targets or before.targets[role].raw != envelope.raw
        }
        files: list[tuple[str, bytes]] = []
        if before is None or before.root.raw != root.raw:
            files.append((name(Role.ROOT, root.payload.version), root.raw))
        files += [(name(role, envelope.payload.version), envelope.raw) for role, envelope in changed.items()]
        files.append((name(Role.SNAPSHOT, snapshot.payload.version), snapshot.raw))
        mutable = {name(Role.ROOT): root.raw} | {name(role): envelope.raw for role, envelope in roles.items()}
        mutable |= {name(Role.SNAPSHOT): snapshot.raw, name(Role.TIMESTAMP): timestamp.raw}
        await self.store.publish(files, mutable)


def _keys_for(name: RoleName, root: Root, targets: Iterable[Targets]) -> RoleKeys | None:
    if name == TARGETS_ROLE:
        return root.roles[Role.TARGETS]
    delegated = (role for payload in targets for role in payload.delegations.roles)
    return next((role.keys for role in delegated if role.name == name), None)


def _has_other_keys(targets: Envelope[Targets], root: Root) -> bool:
    """Whether Root gave the Targets role other keys since it was signed: a rotation that was cut off goes on then."""
    keys = root.roles[Role.TARGETS]
    return len({signature.key_id for signature in targets.signatures} & set(keys.key_ids)) < keys.threshold


def _listed(envelope: Envelope[Root] | Envelope[Targets] | Envelope[Snapshot]) -> MetadataFile:
    return MetadataFile(version=envelope.payload.version, length=len(envelope.raw), digests=Digests.of(envelope.raw))


def new_root(signers: Mapping[Role, Iterable[Signer]], thresholds: Mapping[Role, int] | None = None) -> Root:
    """A Root draft with these keys.

    Args:
        signers: the keys of each of the four roles.
        thresholds: how many must sign, 1 where not given.
    """
    keys = {signer.key.key_id: signer.key for role in signers.values() for signer in role}
    roles = {
        role: RoleKeys(
            key_ids=tuple(signer.key.key_id for signer in signers[role]), threshold=(thresholds or {}).get(role, 1)
        )
        for role in Role
    }
    return Root(version=1, expires=NOT_PUBLISHED_YET, keys=keys, roles=roles)
