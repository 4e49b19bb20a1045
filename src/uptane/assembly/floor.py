"""What this machine has seen the Image repository publish last: beside its keys, as the first Root is."""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from uptane.assembly.settings import Settings
from uptane.image_repository.overtaken import again_if_overtaken
from uptane.image_repository.seen import Seen
from uptane.metadata.errors import StorageError
from uptane.storage.floor_file import FloorFile
from uptane.verification.own_metadata import OwnMetadata


def floor_of(settings: Settings) -> FloorFile:
    """The file; it is not there before the first publication."""
    return FloorFile(floor_file(settings))


@again_if_overtaken
async def require_above_floor(settings: Settings, verified: Callable[[], Awaitable[OwnMetadata]]) -> OwnMetadata:
    """Gives what is verified; StorageError where that is below the floor, or none can be kept. Changes nothing."""
    kept = await floor_of(settings).read()  # before the store, which rises first
    own = await verified()
    if kept is not None:
        Seen.of(own).require_not_below(kept)
    folder = floor_file(settings).parent
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StorageError(
            f"this user may not write to {folder}, where the versions are kept that were published last",
            next_step="Give the servers a folder of keys that they may write to.",
            path=str(folder),
        )
    return own


async def require_no_floor(settings: Settings) -> None:
    """Raises StorageError where this machine has seen anything published: a store that is empty was emptied then."""
    kept = await floor_of(settings).read()
    if kept is not None:
        raise StorageError(
            f"the Image repository in {settings.storage.url} is empty, but these servers have published there, up to "
            f"Timestamp {kept.newest}, as {floor_file(settings)} says",
            next_step="Restore the published files from a backup, or make new servers in another folder.",
            path=str(floor_file(settings)),
        )


def floor_file(settings: Settings) -> Path:
    """Where it is."""
    return settings.place(settings.keys.folder) / "image-repository-newest.json"
