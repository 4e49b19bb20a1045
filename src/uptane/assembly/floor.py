"""What this machine has seen the Image repository publish last: beside its keys, as the first Root is."""

import os
from pathlib import Path

from uptane.assembly.settings import Settings
from uptane.image_repository.seen import Seen
from uptane.metadata.errors import StorageError
from uptane.storage.floor_file import FloorFile
from uptane.verification.own_metadata import OwnMetadata


def floor_of(settings: Settings) -> FloorFile:
    """The file; it is not there before the first publication."""
    return FloorFile(_file(settings))


async def require_above_floor(settings: Settings, own: OwnMetadata) -> OwnMetadata:
    """Gives verified metadata again; StorageError where it is below the floor, or that cannot be kept."""
    kept = await floor_of(settings).read()
    if kept is not None:
        Seen.of(own).require_not_below(kept)
    folder = _file(settings).parent
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
        Seen.of(None).require_not_below(kept)


def _file(settings: Settings) -> Path:
    return settings.place(settings.keys.folder) / "image-repository-newest.json"
