"""The Image repository: images are added to roles, and everything that changed is published at once."""

import asyncio
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from uptane.formats.profile import Profile
from uptane.image_repository.ports import ImageStore
from uptane.metadata.delegations import TARGETS_ROLE, DelegatedRole, Delegation, Delegations
from uptane.metadata.errors import ProvisioningError, UptaneError
from uptane.metadata.identifiers import ImagePath, KeyId, RoleName
from uptane.metadata.keys import PublicKey
from uptane.metadata.root import RoleKeys, Root
from uptane.metadata.targets import NO_CUSTOM, Custom, Image, ImageFile, Targets
from uptane.signing.ports import MetadataStore
from uptane.signing.publish import Draft, Lifetimes, Published, Publisher, load_published
from uptane.signing.signer import Signer

DEFAULT_LIFETIMES = Lifetimes()
_FAR = datetime(9999, 1, 1, tzinfo=UTC)


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
        found = await load_published(self._metadata, self._profile)
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
        self, path: ImagePath, data: bytes, *, custom: Custom = NO_CUSTOM, role: RoleName = TARGETS_ROLE
    ) -> Image:
        """Stores an image and lists it in a role with the next publication, in place of an earlier one.

        Raises:
            ProvisioningError: nobody delegates to that role, or not for that path.
            StorageError: the image could not be stored; nothing is listed.
        """
        targets = await self._content(role)
        if role != TARGETS_ROLE:
            await self._check_authority(role, path)
        image = Image(file=await self.store_image(path, data), custom=custom)
        self._pending[role] = replace(targets, images=dict(targets.images) | {path: image})
        return image

    async def delegate(
        self, delegation: Delegation, keys: Iterable[PublicKey], *, delegator: RoleName = TARGETS_ROLE
    ) -> None:
        """Lets other roles sign, with the next publication; appended at the lowest priority.

        The roles start empty, signed by their keys at hand.
        """
        targets = await self._content(delegator)
        known = targets.delegations
        taken = {role.name for role in known.roles} & {role.name for role in delegation.roles}
        if taken:
            raise UptaneError(
                f"{delegator} delegates to role {sorted(taken)[0]} already",
                next_step="Revoke it first, or choose another name.",
            )
        delegations = replace(
            known,
            keys=dict(known.keys) | {key.key_id: key for key in keys},
            delegations=(*known.delegations, delegation),
        )
        self._pending[delegator] = replace(targets, delegations=delegations)
        for role in delegation.roles:
            self._pending.setdefault(role.name, Targets(version=1, expires=_FAR))

    async def replace_role_keys(
        self, role: RoleName, keys: Mapping[KeyId, PublicKey], *, delegator: RoleName = TARGETS_ROLE
    ) -> None:
        """Revokes the keys of a delegated role and trusts these instead, with the next publication.

        The role lists no image then: what the old keys signed may be a thief's, so its owner adds again what it
        vouches for.
        """
        targets = await self._content(delegator)
        changed = tuple(
            replace(delegation, roles=tuple(_with_keys(r, role, keys) for r in delegation.roles))
            for delegation in targets.delegations.delegations
        )
        if changed == targets.delegations.delegations:
            raise ProvisioningError(f"{delegator} does not delegate to role {role}", role=role)
        used = {key_id for delegation in changed for r in delegation.roles for key_id in r.keys.key_ids}
        known = {key_id: key for key_id, key in targets.delegations.keys.items() if key_id in used} | dict(keys)
        delegations = Delegations(keys=known, delegations=changed, extensions=targets.delegations.extensions)
        content = await self._content(role)
        self._pending[delegator] = replace(targets, delegations=delegations)
        self._pending[role] = replace(content, images={})

    async def renew(self) -> None:
        """Everything that the repository lists is signed anew with the next publication, as after new keys."""
        published = await self.published()
        for role in published.targets:
            keys = published.keys_for(role)
            if keys is not None and all(key_id in self._keyring for key_id in keys.key_ids):
                self._pending.setdefault(role, published.targets[role].payload)

    async def publish(self, now: datetime) -> Published:
        """Signs what was added, and a new Snapshot and Timestamp in any case.

        Raises:
            ProvisioningError: a private key is not at hand. What was added still waits.
            StorageError: a file could not be written; readers see what was published before.
        """
        async with self._lock:
            before = await load_published(self._metadata, self._profile)
            publisher = Publisher(
                store=self._metadata, profile=self._profile, keyring=self._keyring, lifetimes=self._lifetimes
            )
            draft = Draft(root=self._root, targets=dict(self._pending))
            published = await publisher.publish(before, draft, now)
            self._root = None
            self._pending.clear()
            return published

    async def _content(self, role: RoleName) -> Targets:
        """What the role lists: as added, else as published, else nothing yet."""
        if role in self._pending:
            return self._pending[role]
        published = await load_published(self._metadata, self._profile)
        if published is not None and role in published.targets:
            return published.targets[role].payload
        if role == TARGETS_ROLE:
            return Targets(version=1, expires=_FAR)
        raise ProvisioningError(f"nobody delegates to role {role}", next_step="Delegate to it first.", role=role)

    async def _check_authority(self, role: RoleName, path: ImagePath) -> None:
        published = await load_published(self._metadata, self._profile)
        roles = {name: envelope.payload for name, envelope in (published.targets if published else {}).items()}
        for content in (roles | self._pending).values():
            for delegation in content.delegations.delegations:
                if any(r.name == role for r in delegation.roles) and delegation.covers(path, _sha256(path), None):
                    return
        raise ProvisioningError(
            f"role {role} has no authority over {path}",
            next_step="Delegate a pattern that covers this path to it.",
            role=role,
            image=path,
        )


def _sha256(path: ImagePath) -> str:
    return hashlib.sha256(path.encode()).hexdigest()


def _with_keys(found: DelegatedRole, role: RoleName, keys: Mapping[KeyId, PublicKey]) -> DelegatedRole:
    if found.name != role:
        return found
    return replace(found, keys=RoleKeys(key_ids=tuple(keys), threshold=min(found.keys.threshold, len(keys))))
