"""The Image repository: images are added to roles, and everything that changed is published at once."""

import asyncio
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from uptane.formats.profile import Profile
from uptane.image_repository.ports import ImageStore
from uptane.metadata.delegations import TARGETS_ROLE, DelegatedRole, Delegation
from uptane.metadata.errors import FormatError, ImageRollbackError, ProvisioningError, UptaneError
from uptane.metadata.identifiers import HardwareIdentifier, ImagePath, KeyId, RoleName
from uptane.metadata.keys import PublicKey
from uptane.metadata.root import NOT_PUBLISHED_YET, Root
from uptane.metadata.targets import NO_CUSTOM, Custom, Image, ImageFile, Targets
from uptane.signing.ports import MetadataStore
from uptane.signing.publish import Draft, Lifetimes, Published, Publisher
from uptane.signing.signer import Signer
from uptane.verification.own_metadata import verify_own_metadata

DEFAULT_LIFETIMES = Lifetimes()
_EMPTY = Targets(version=1, expires=NOT_PUBLISHED_YET)
"""What a role lists before its first publication, which sets version and expiry."""


class ImageRepository:
    """One Image repository.

    What is published lives in its stores; what is added waits in memory until `publish`.

    Args:
        profile: format and names of the metadata.
        metadata: the store of published metadata.
        images: the store of image files.
        lifetimes: until when new metadata is valid.
    """

    def __init__(
        self,
        *,
        profile: Profile,
        metadata: MetadataStore,
        images: ImageStore,
        lifetimes: Lifetimes = DEFAULT_LIFETIMES,
    ) -> None:
        self._profile = profile
        self._metadata = metadata
        self._images = images
        self._lifetimes = lifetimes
        self._keyring: dict[KeyId, Signer] = {}
        self._pending: dict[RoleName, Targets] = {}
        self._root: Root | None = None
        self._lock = asyncio.Lock()

    def add_signers(self, signers: Iterable[Signer]) -> None:
        """Puts private keys at hand: of top-level roles, or of delegated roles that sign here."""
        self._keyring |= {signer.key.key_id: signer for signer in signers}

    async def published(self) -> Published:
        """What is published now; ProvisioningError for an empty repository."""
        found = await self._load()
        if found is None:
            raise ProvisioningError("the Image repository is empty", next_step="Create it with a Root first.")
        return found

    def stage_root(self, root: Root) -> None:
        """A new Root goes out with the next publication, signed by its own and the present root keys."""
        self._root = root

    async def store_image(self, path: ImagePath, data: bytes) -> ImageFile:
        """Stores the bytes of an image; it can be installed only when a role lists it (STD-5.2.3.1-1)."""
        return await self._images.add(path, data)

    async def add_image(
        self,
        path: ImagePath,
        data: bytes | ImageFile,
        *,
        custom: Custom = NO_CUSTOM,
        role: RoleName = TARGETS_ROLE,
        unsafe_lower_release: bool = False,
    ) -> Image:
        """Stores an image and lists it in a role with the next publication, in place of an earlier one.

        Args:
            path, data, custom: the image and what is said of it. An image that nobody may download in plain, as a
                Director hosts it encrypted, is given as name, length and hashes; it is listed and not stored (AMB-15).
            role: the role that lists it.
            unsafe_lower_release: takes a lower release counter, which ECUs that had the higher one never install.

        Raises:
            ProvisioningError: no chain of delegations leads to that role for that path and hardware (STD-5.3.1-5).
            ImageRollbackError: the release counter is lower than that of the image it takes the place of, or missing
                where that one has one (STD-5.2.3.1.1-4).
            FormatError: the profile cannot carry this name or custom data, or the names differ; nothing is listed.
            StorageError: the image could not be stored; nothing is listed.
        """
        async with self._lock:
            contents = await self._contents()
            targets = _content(contents, role)
            if role not in _with_authority(contents, path, custom.must_match.hardware_ids):
                raise ProvisioningError(
                    f"role {role} has no authority over {path}",
                    next_step="Delegate a pattern that covers this path to it, and to every role above it.",
                    role=role,
                    image=path,
                )
            if not unsafe_lower_release:
                _check_counter(path, custom, targets)
            file = data if isinstance(data, ImageFile) else await self.store_image(path, data)
            if file.path != path:
                raise FormatError(f"{file.path} cannot be listed as {path}", field="image path")
            image = Image(file=file, custom=custom)
            self._profile.check_writable({path: image})
            self._pending[role] = replace(targets, images=dict(targets.images) | {path: image})
            return image

    async def delegate(
        self, delegation: Delegation, keys: Iterable[PublicKey], *, delegator: RoleName = TARGETS_ROLE
    ) -> None:
        """Lets other roles sign, with the next publication; appended at the lowest priority.

        Roles that nobody delegated to before start empty, where enough of their keys are at hand to sign that;
        a role whose keys are elsewhere begins with the first file that its owner signs.

        Raises:
            ProvisioningError: nobody delegates to the delegator.
            FormatError: the profile cannot carry delegations.
            UptaneError: the delegator delegates to that role already, or another role does so with other keys.
        """
        if self._profile.no_delegations:
            raise FormatError(
                f"the format {self._profile.name} carries no delegations",
                next_step="Use the format der or json where suppliers sign for themselves.",
                field="delegations",
            )
        async with self._lock:
            contents = await self._contents()
            targets = _content(contents, delegator)
            known = targets.delegations
            taken = {role.name for role in known.roles} & {role.name for role in delegation.roles}
            if taken:
                raise UptaneError(
                    f"{delegator} delegates to role {sorted(taken)[0]} already",
                    next_step="Revoke it first, or choose another name.",
                )
            for content in contents.values():
                for other in content.delegations.roles:
                    if any(role.name == other.name and role.keys != other.keys for role in delegation.roles):
                        raise UptaneError(
                            f"another role delegates to {other.name} with other keys",
                            next_step="Name the same keys and threshold, or choose another name.",
                        )
            delegations = replace(
                known,
                keys=dict(known.keys) | {key.key_id: key for key in keys},
                delegations=(*known.delegations, delegation),
            )
            delegated = {role.name for content in contents.values() for role in content.delegations.roles}
            self._pending[delegator] = replace(targets, delegations=delegations)
            for role in delegation.roles:
                if role.name not in delegated:
                    self._pending[role.name] = _EMPTY

    async def replace_role_keys(
        self, role: RoleName, keys: Mapping[KeyId, PublicKey], *, delegator: RoleName = TARGETS_ROLE
    ) -> None:
        """Revokes the keys of a delegated role and trusts these instead, with the next publication.

        The threshold stays. The role lists no image and delegates to nobody then: what the old keys signed may be
        a thief's, so its owner adds again what it vouches for.

        Raises:
            ProvisioningError: the delegator does not delegate to that role.
            FormatError: fewer keys than the role's threshold.
        """
        async with self._lock:
            targets = _content(await self._contents(), delegator)
            if all(r.name != role for r in targets.delegations.roles):
                raise ProvisioningError(
                    f"{delegator} does not delegate to role {role}",
                    next_step="Name the role that delegates to it.",
                    role=role,
                )
            changed = tuple(
                replace(delegation, roles=tuple(_with_keys(r, role, keys) for r in delegation.roles))
                for delegation in targets.delegations.delegations
            )
            used = {key_id for delegation in changed for r in delegation.roles for key_id in r.keys.key_ids}
            every = dict(targets.delegations.keys) | dict(keys)
            known = {key_id: key for key_id, key in every.items() if key_id in used}
            self._pending[delegator] = replace(
                targets, delegations=replace(targets.delegations, keys=known, delegations=changed)
            )
            self._pending[role] = _EMPTY
            reached = {role.name for content in (await self._contents()).values() for role in content.delegations.roles}
            for name in [name for name in self._pending if name not in reached and name != TARGETS_ROLE]:
                del self._pending[name]  # what it was to list has no delegator any more, and could never be signed

    async def renew(self) -> None:
        """Every role that can be signed here is signed anew with the next publication, as after new keys."""
        async with self._lock:
            published = await self.published()
            for role in published.targets:
                keys = published.keys_for(role)
                if keys is not None and sum(key_id in self._keyring for key_id in keys.key_ids) >= keys.threshold:
                    self._pending.setdefault(role, published.targets[role].payload)

    async def discard(self) -> None:
        """Drops everything that waits, such as what cannot be signed here."""
        async with self._lock:
            self._pending.clear()
            self._root = None

    async def publish(self, now: datetime) -> Published:
        """Signs what was added, and a new Snapshot and Timestamp in any case.

        Raises:
            ProvisioningError: a private key is not at hand. What was added still waits; `discard` drops it.
            StorageError: what is published was altered, or a file could not be written; readers see what was published
                before. What was added waits.
        """
        async with self._lock:
            before = await self._load()
            publisher = Publisher(
                store=self._metadata, profile=self._profile, keyring=self._keyring, lifetimes=self._lifetimes
            )
            draft = Draft(root=self._root, targets=self._signable(before, await self._contents()))
            published = await publisher.publish(before, draft, now)
            if self._root is draft.root:
                self._root = None
            self._pending = {name: waits for name, waits in self._pending.items() if name not in draft.targets}
            return published

    def _signable(self, before: Published | None, contents: Mapping[RoleName, Targets]) -> dict[RoleName, Targets]:
        """What waits, but for roles without a first file whose owners sign elsewhere."""
        known = before.targets if before else {}
        elsewhere = {
            role.name
            for content in contents.values()
            for role in content.delegations.roles
            if self._pending.get(role.name) is _EMPTY
            and role.name not in known
            and sum(key_id in self._keyring for key_id in role.keys.key_ids) < role.keys.threshold
        }
        return {name: content for name, content in self._pending.items() if name not in elsewhere}

    async def _load(self) -> Published | None:
        """What is published, verified; StorageError when somebody altered it."""
        own = await verify_own_metadata(self._metadata, self._profile)
        if own is None:
            return None
        return Published(
            root=own.root,
            targets=own.targets,
            snapshot_version=own.snapshot_version,
            timestamp_version=own.timestamp_version,
        )

    async def _contents(self) -> Mapping[RoleName, Targets]:
        """What each role lists: as added, else as published."""
        published = await self._load()
        roles = {name: envelope.payload for name, envelope in (published.targets if published else {}).items()}
        return {TARGETS_ROLE: _EMPTY} | roles | self._pending


def _check_counter(path: ImagePath, custom: Custom, targets: Targets) -> None:
    """Another image under the same name needs a release counter that is not lower: ECUs would never install it."""
    before = targets.images[path].custom.must_match.release_counter if path in targets.images else None
    offered = custom.must_match.release_counter
    if before is not None and (offered is None or offered < before):
        raise ImageRollbackError(
            f"image {path} would be listed with release counter {offered}, after {before}",
            next_step=f"Give it {before + 1}, or a higher one.",
            image=path,
            expected=before,
            offered=offered,
        )


def _content(contents: Mapping[RoleName, Targets], role: RoleName) -> Targets:
    if role not in contents:
        raise ProvisioningError(f"nobody delegates to role {role}", next_step="Delegate to it first.", role=role)
    return contents[role]


def _with_authority(
    contents: Mapping[RoleName, Targets], path: ImagePath, hardware_ids: tuple[HardwareIdentifier, ...] | None
) -> frozenset[RoleName]:
    """Every role that a chain of delegations from the top leads to, each of which covers the image."""
    digest = hashlib.sha256(path.encode()).hexdigest()
    hardware = None if hardware_ids is None else frozenset(map(str, hardware_ids))
    found, waiting = {TARGETS_ROLE}, [TARGETS_ROLE]
    while waiting:
        for delegation in contents.get(waiting.pop(), _EMPTY).delegations.delegations:
            if delegation.covers(path, digest, hardware):
                new = {role.name for role in delegation.roles} - found
                found |= new
                waiting += new
    return frozenset(found)


def _with_keys(found: DelegatedRole, role: RoleName, keys: Mapping[KeyId, PublicKey]) -> DelegatedRole:
    if found.name != role:
        return found
    return replace(found, keys=replace(found.keys, key_ids=tuple(keys)))
