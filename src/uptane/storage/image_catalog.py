"""The Director's view of an Image repository: what it publishes, verified as a vehicle would."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Protocol

from uptane.formats.profile import Profile
from uptane.metadata.errors import EndlessDataError, UnreachableError
from uptane.metadata.identifiers import HardwareIdentifier, ImagePath, RepositoryName
from uptane.metadata.targets import Image
from uptane.verification.limits import DEFAULT_LIMITS, Limits
from uptane.verification.look_up_images import look_up_images
from uptane.verification.steps import Commit, Keep, run_async
from uptane.verification.trusted import Context, Held

IMAGE_REPOSITORY = RepositoryName("imagerepo")

Asked = tuple[ImagePath, frozenset[HardwareIdentifier] | None]
"""An image with the hardware that it is for."""


class PublishedMetadata(Protocol):
    """Where an Image repository's metadata is: its own folder, a copy of it, or its server."""

    async def read(self, name: str) -> bytes | None:
        """A file, or None."""
        ...


class VerifiedImageCatalog:
    """An `ImageCatalog` over the published metadata of an Image repository.

    What was verified is the floor of the next look-up, so that an older set of files is refused. It is kept in memory;
    `held` is what to begin with after a restart.

    Args:
        published: where the metadata is.
        profile: its format and names.
        held: a Root that is trusted, and what was verified before, if anything.
        limits: sizes and counts.
        seconds: within which every question is answered, or UnreachableError raised.
        believed_for: how long an entry that was verified is given again without a look at the repository: a fleet asks
            for the same few images within the same second. What was not listed is looked up anew in any case.
    """

    def __init__(
        self,
        *,
        published: PublishedMetadata,
        profile: Profile,
        held: Held,
        limits: Limits = DEFAULT_LIMITS,
        seconds: float = 30.0,
        believed_for: timedelta = timedelta(0),
    ) -> None:
        self._published = published
        self._profile = profile
        self._held = held
        self._limits = limits
        self._seconds = seconds
        self._lock = asyncio.Lock()
        self._believed_for = believed_for
        self._believed: dict[Asked, Image] = {}
        self._believed_since: datetime | None = None

    @property
    def held(self) -> Held:
        """What is trusted now."""
        return self._held

    async def look_up(
        self, asked: Mapping[ImagePath, frozenset[HardwareIdentifier] | None], now: datetime
    ) -> Mapping[ImagePath, Image]:
        """See `ImageCatalog.look_up`."""
        believed = self._believed_now(asked, now)
        return await self._look_up(asked, now) if believed is None else believed

    def _believed_now(
        self, asked: Mapping[ImagePath, frozenset[HardwareIdentifier] | None], now: datetime
    ) -> Mapping[ImagePath, Image] | None:
        since = self._believed_since
        if since is None or not timedelta(0) <= now - since < self._believed_for:
            self._believed, self._believed_since = {}, None
            return None
        believed = {each[0]: self._believed[each] for each in asked.items() if each in self._believed}
        return believed if len(believed) == len(asked) else None

    async def _look_up(
        self, asked: Mapping[ImagePath, frozenset[HardwareIdentifier] | None], now: datetime
    ) -> Mapping[ImagePath, Image]:
        context = Context(repository=IMAGE_REPOSITORY, profile=self._profile, now=now, limits=self._limits)
        try:
            async with asyncio.timeout(self._seconds), self._lock:
                # Whoever had to wait has been answered, it may be, by what the one before him found out.
                believed = self._believed_now(asked, now)
                if believed is not None:
                    return believed
                listed = await run_async(look_up_images(context, self._held, asked), self, self)
                self._believed |= {each: listed[each[0]] for each in asked.items() if each[0] in listed}
                self._believed_since = now if self._believed_since is None else self._believed_since
                return listed
        except OSError as error:  # a timeout is one too
            raise UnreachableError(
                f"the Image repository did not answer within {self._seconds:g} s, or its files cannot be read",
                next_step="Nothing new is directed until it does.",
                repository=IMAGE_REPOSITORY,
            ) from error

    async def fetch(self, repository: RepositoryName, name: str, limit: int) -> bytes | None:
        """A file; raises EndlessDataError for one of more than `limit` bytes."""
        raw = await self._published.read(name)
        if raw is not None and len(raw) > limit:
            raise EndlessDataError(f"{name} has more than {limit} bytes", repository=repository, role=name)
        return raw

    def keep(self, step: Keep) -> None:
        """Trusts a new Root."""
        files = {role: raw for role, raw in self._held.files.items() if role not in step.drop}
        self._held = Held(root=step.raw, files=files)

    def commit(self, step: Commit) -> None:
        """Trusts the other files, all at once."""
        files = dict(self._held.files) | dict(step.files[IMAGE_REPOSITORY])
        self._held = Held(root=self._held.root, files=files)
