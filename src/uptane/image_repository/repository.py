"""The Image repository: images are added to roles, and everything that changed is published at once."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from datetime import datetime

from msgspec import structs

from uptane.formats.profile import Profile
from uptane.image_repository.bases import Bases
from uptane.image_repository.delegating import with_delegation, with_role_keys, without_role
from uptane.image_repository.newest import Newest
from uptane.image_repository.overtaken import again_if_overtaken
from uptane.image_repository.ports import ImageStore, Turn, WaitingMetadata
from uptane.image_repository.release import NewImage, check_may_list, content_of, with_images
from uptane.image_repository.renewal import Renewal, look, renew
from uptane.image_repository.uploads import (
    DEFAULT_UPLOAD_LIMITS,
    Receipt,
    Upload,
    UploadLimits,
    check_history,
    check_upload,
    named_keys,
)
from uptane.image_repository.waiting import JudgedUpload, WaitingUploads
from uptane.metadata.delegations import TARGETS_ROLE, Delegation
from uptane.metadata.errors import FormatError, ProvisioningError, UptaneError
from uptane.metadata.identifiers import ImagePath, KeyId, RoleName
from uptane.metadata.keys import PublicKey
from uptane.metadata.root import NOT_PUBLISHED_YET, Role, Root
from uptane.metadata.targets import NO_CUSTOM, Custom, Image, ImageFile, Targets
from uptane.signing.ports import MetadataStore
from uptane.signing.publish import Draft, Lifetimes, Published, Publisher
from uptane.signing.signer import Signer
from uptane.verification.verify_image import check_bytes

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
        waiting: where uploads wait for more signatures; without it they come with all of them.
        turn: what keeps other processes from publishing at the same time.
        upload_limits: sizes and counts of an upload.
        newest: what remembers the newest that was published; without it, that is forgotten with the process.
    """

    def __init__(
        self,
        *,
        profile: Profile,
        metadata: MetadataStore,
        images: ImageStore,
        lifetimes: Lifetimes = DEFAULT_LIFETIMES,
        waiting: WaitingMetadata | None = None,
        turn: Turn = nullcontext,
        upload_limits: UploadLimits = DEFAULT_UPLOAD_LIMITS,
        newest: Newest | None = None,
    ) -> None:
        self._profile = profile
        self._metadata = metadata
        self._images = images
        self._lifetimes = lifetimes
        self._waiting = WaitingUploads(profile, waiting)
        self._turn = turn
        self._upload_limits = upload_limits
        self._keyring: dict[KeyId, Signer] = {}
        self._pending: dict[RoleName, Targets] = {}
        self._bases = Bases()
        self._newest = newest or Newest()
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
            ImageRollbackError: the release counter is lower than that of the image it takes the place of, in this role
                or in another one, or missing where that one has one (STD-5.2.3.1.1-4).
            FormatError: the profile cannot carry this name or custom data, or the names differ; nothing is listed.
            StorageError: the image could not be stored; nothing is listed.
        """
        async with self._lock:
            contents = await self._contents()
            targets = content_of(contents, role)
            check_may_list(contents, role, path, custom, unsafe_lower_release=unsafe_lower_release)
            file = data if isinstance(data, ImageFile) else await self.store_image(path, data)
            if file.path != path:
                raise FormatError(f"{file.path} cannot be listed as {path}", field="image path")
            image = Image(file=file, custom=custom)
            self._profile.check_writable({path: image})
            self._pending[role] = structs.replace(targets, images=dict(targets.images) | {path: image})
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
            content_of(contents, delegator)
            changed = with_delegation(contents, delegator, delegation, keys)
            delegated = {role.name for content in contents.values() for role in content.delegations.roles}
            self._pending[delegator] = changed
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
            targets = content_of(await self._contents(), delegator)
            self._pending[delegator] = with_role_keys(targets, delegator, role, keys)
            self._pending[role] = _EMPTY
            await self._forget_unreached()

    async def revoke(self, role: RoleName, *, delegator: RoleName = TARGETS_ROLE) -> None:
        """Delegates to a role no more, from the next publication on: nobody installs what it alone lists (TH-40).

        Its file stays where it is, and in Snapshot, which never forgets one (STD-5.4.4.5-6).

        Raises:
            ProvisioningError: the delegator does not delegate to that role.
            UptaneError: the role is one of several that must agree.
        """
        async with self._lock:
            targets = content_of(await self._contents(), delegator)
            self._pending[delegator] = without_role(targets, delegator, role)
            await self._forget_unreached()

    async def _forget_unreached(self) -> None:
        """Drops what waits for a role that has no delegator any more: it could never be signed."""
        reached = {role.name for content in (await self._contents()).values() for role in content.delegations.roles}
        for name in [name for name in self._pending if name not in reached and name != TARGETS_ROLE]:
            del self._pending[name]

    async def renew(self) -> None:
        """Every role that can be signed here is signed anew with the next publication, as after new keys."""
        async with self._lock:
            published = await self.published()
            for role in published.targets:
                keys = published.keys_for(role)
                signed = keys and sum(key_id in self._keyring for key_id in keys.key_ids) >= keys.threshold
                if signed and role not in self._pending:
                    self._pending[role] = self._bases.began(role, published.targets[role].payload)

    async def discard(self) -> None:
        """Drops everything that waits, such as what cannot be signed here."""
        async with self._lock:
            self._pending.clear()
            self._root = None

    @again_if_overtaken
    async def publish(self, now: datetime, *, skipped: int = 0) -> Published:
        """Signs what was added, and a new Snapshot and Timestamp in any case.

        Args:
            now: UTC.
            skipped: how many versions are left out, as `Draft` says; `renew` before lets all of them rise.

        Raises:
            ProvisioningError: a private key is not at hand. What was added still waits; `discard` drops it.
            StorageError: what is published was altered or, where something waits, changed by another process, or a file
                could not be written; readers see what was published before. What was added waits.
        """
        async with self._lock, self._turn():
            return await self._publish(now, skipped)

    async def _publish(self, now: datetime, skipped: int = 0) -> Published:
        before = await self._load()
        contents = await self._contents()
        self._bases.check()
        targets = self._signable(before, contents)
        draft = Draft(root=self._root, targets=targets, skipped=skipped)
        published = await self._published_now(before, draft, now)
        if self._root is draft.root:
            self._root = None
        self._pending = {name: waits for name, waits in self._pending.items() if name not in draft.targets}
        return published

    async def release(self, images: Sequence[NewImage], now: datetime, *, role: RoleName = TARGETS_ROLE) -> Published:
        """Stores images of any size, and publishes them together: vehicles see all of them, or none.

        They have their names with hashes before anything lists them, and their plain names when the Timestamp is out.
        After any failure the same call again goes on; what arrived is not sent twice.

        Args:
            images: in place of earlier ones of the same names.
            now: UTC.
            role: the role that lists them, whose keys are at hand.

        Raises:
            ProvisioningError, ImageRollbackError, FormatError: as for `add_image`, and where a name stands twice.
            EndlessDataError, LengthMismatchError, BadHashError: bytes are not those of their image; nothing is listed.
            StorageError: something could not be stored, or others publish all the time.
        """
        async with self._lock:
            with_images(self._profile, await self._contents(), role, images)
        stored = [(new.image.file, new.chunks) for new in images if new.chunks is not None]
        await self._images.add_all([(file, chunks()) for file, chunks in stored])
        return await self._publish_images(images, now, role)

    @again_if_overtaken
    async def _publish_images(self, images: Sequence[NewImage], now: datetime, role: RoleName) -> Published:
        async with self._lock, self._turn():
            waiting = dict(self._pending)
            self._pending[role] = with_images(self._profile, await self._contents(), role, images)
            try:
                published = await self._publish(now)
            except BaseException:
                self._pending = waiting
                raise
            await self._images.name_plainly([new.image.file for new in images if new.chunks is not None])
            return published

    async def renew_expiring(self, now: datetime, also: frozenset[str] = frozenset()) -> Renewal:
        """Signs again, as they are, roles that have expired or soon will, and `also` these; what was added still waits.

        Of several processes that do so at the same time, one publishes; the others find nothing left to do.

        Raises:
            ProvisioningError: the repository is empty, or its Snapshot and Timestamp keys are not at hand.
            StorageError: as `publish` does, or somebody else has published at this moment.
        """
        outlook = await look(self._publisher(), self._newest, now)
        if not outlook.due | also:
            return Renewal(outlook=outlook)
        async with self._lock, self._turn():
            return await renew(self._publisher(), self._newest, now, also)

    @again_if_overtaken
    async def receive(self, upload: Upload, now: datetime) -> Receipt:
        """Publishes what a supplier made and signed himself, with a new Snapshot and Timestamp (STD-5.3.1-4, -5).

        Below the role's threshold the metadata waits, unpublished, for others who hand in the same bytes with their
        signatures; each brings the images along. What was added here and waits for `publish` still waits.

        Returns:
            What is published now, or how many signatures are missing.

        Raises:
            SecurityError: it may not be published, as `check_upload` says; nothing is listed or waits. Images may be
                stored already, where others have changed meanwhile what it depends on.
            EndlessDataError, LengthMismatchError, BadHashError: an image is not the listed one; nothing has changed.
            ProvisioningError: the repository is empty, or its Snapshot and Timestamp keys are not at hand.
            StorageError: something could not be written; readers see what was published before.
        """
        async with self._lock:
            first = await self._judged(upload, now)
            await self._take(first, upload)  # nothing lists the images yet, and others publish meanwhile
            async with self._turn():
                judged = await self._judged(upload, now)
                if judged.is_complete and not first.is_complete:  # others have signed meanwhile
                    await self._take(judged, upload)
                return await self._accept(judged, now)

    async def _judged(self, upload: Upload, now: datetime) -> JudgedUpload:
        before = await self.published()
        self._publisher().require_keys(before.root.payload, Role.SNAPSHOT, Role.TIMESTAMP)
        checked = check_upload(self._profile, before.targets, upload, now, self._upload_limits)
        self._check_not_changed_here(checked.role, before)
        await check_history(self._profile, self._metadata, checked)
        return await self._waiting.judged(checked, before)

    async def _take(self, judged: JudgedUpload, upload: Upload) -> None:
        images = [(file, upload.images[file.path]()) for file in judged.checked.files]
        if judged.is_complete:
            await self._images.add_all(images)
        else:
            await asyncio.to_thread(check_bytes, images)

    async def _accept(self, judged: JudgedUpload, now: datetime) -> Receipt:
        checked, published = judged.checked, None
        if judged.is_complete:
            draft = Draft(signed={checked.role: judged.envelope.raw})
            published = await self._published_now(judged.before, draft, now)
            self._pending.pop(checked.role, None)  # the place that was kept for a first file
            await self._waiting.end(checked)
        else:
            await self._waiting.keep(judged)
        return Receipt(signatures=judged.signed, needed=judged.needed, published=published)

    def _check_not_changed_here(self, role: RoleName, before: Published) -> None:
        """An upload and a change that waits here must not undo each other, nor meet under different keys."""
        contents = {name: envelope.payload for name, envelope in before.targets.items()}
        first = role not in contents and self._pending.get(role) is _EMPTY
        keys, new_keys = named_keys(contents, role), named_keys(contents | self._pending, role)
        if keys != new_keys or (role in self._pending and not first):
            raise UptaneError(
                f"role {role} is being changed by the repository itself",
                next_step="Publish or discard that change first, and then hand in what follows it.",
                role=role,
            )

    def _publisher(self) -> Publisher:
        return Publisher(store=self._metadata, profile=self._profile, keyring=self._keyring, lifetimes=self._lifetimes)

    async def _published_now(self, before: Published | None, draft: Draft, now: datetime) -> Published:
        published = await self._publisher().publish(before, draft, now)
        await self._newest.saw(published)
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

    @again_if_overtaken
    async def _load(self) -> Published | None:
        """What is published, verified; StorageError when somebody altered it."""
        own = await self._newest.read(self._metadata, self._profile)
        return None if own is None else Published.of(own)

    async def _contents(self) -> Mapping[RoleName, Targets]:
        """What each role lists: as added, else as published."""
        published = await self._load()
        roles = {name: envelope.payload for name, envelope in (published.targets if published else {}).items()}
        self._bases.read(roles, self._pending)
        return {TARGETS_ROLE: _EMPTY} | roles | self._pending
