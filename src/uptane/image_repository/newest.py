"""What a process has seen published: an older set that somebody puts back is not signed again as if it were new."""

from uptane.formats.profile import Profile
from uptane.metadata.errors import StorageError
from uptane.verification.own_metadata import OwnMetadata, Reader, verify_own_metadata


class Newest:
    """Reads what is published, and remembers the version of the newest Timestamp for as long as the process lives.

    Whoever can write to the store can put a whole older set there, with nothing newer beside it. It verifies, and with
    a new Timestamp by the genuine keys, clients that know nothing newer would believe it for ever.
    """

    def __init__(self) -> None:
        self._version = 0

    async def read(self, store: Reader, profile: Profile) -> OwnMetadata | None:
        """As `verify_own_metadata`; StorageError as well where an earlier reading has found something newer."""
        newest = self._version
        own = await verify_own_metadata(store, profile)
        version = 0 if own is None else own.timestamp_version
        if version < newest:
            raise StorageError(
                f"an older set was put back: Timestamp {version} is published, and {newest} was",
                next_step="Undo the attack; after a backup was restored, start the servers anew.",
                code="E-ROLLBACK-META",
            )
        self._version = max(self._version, version)
        return own
