"""What has been seen published: an older set that somebody puts back is not signed again as if it were new."""

from uptane.formats.profile import Profile
from uptane.image_repository.ports import Floor
from uptane.image_repository.seen import Seen
from uptane.signing.publish import ReadBack
from uptane.verification.own_metadata import OwnMetadata, Reader, verify_own_metadata


class Newest:
    """Reads what is published, and remembers the newest of it: in memory, and outside the store.

    Whoever can write to the store can put a whole older set there, with nothing newer beside it. It verifies, and with
    a new Timestamp by the genuine keys, clients that know nothing newer would believe it for ever.

    Args:
        floor: what is remembered after the process ends; without it, nothing is.
    """

    def __init__(self, floor: Floor | None = None) -> None:
        self._floor = floor
        self._seen = Seen.of(None)
        self._restored = False

    async def read(self, store: Reader, profile: Profile) -> OwnMetadata | None:
        """As `verify_own_metadata`; StorageError as well where something newer has been seen."""
        floor = await self._highest()  # before the store, where it rises first
        own = await verify_own_metadata(store, profile)
        if not self._restored:
            Seen.of(own).require_not_below(floor)
        await self.saw(own)
        return own

    async def saw(self, own: ReadBack | None) -> None:
        """Remembers what was verified or published, where it is newer; StorageError where the floor cannot be read."""
        seen = Seen.of(own)
        if seen.is_newer_than(await self._highest()):
            self._seen = seen
            if self._floor is not None:
                await self._floor.raise_to(seen)

    async def accept_restored(self) -> Seen:
        """From now on an older set is built on: an operator says that it is a backup. Gives what was newest before."""
        self._restored = True
        return await self._highest()

    async def _highest(self) -> Seen:
        kept = None if self._floor is None else await self._floor.read()
        return self._seen if kept is None or self._seen.is_newer_than(kept) else kept
