"""A file by its path, for those who have no folder open."""

import os
from collections.abc import Callable
from pathlib import Path

from uptane.metadata.errors import StorageError
from uptane.storage.atomic_files import Folder
from uptane.storage.names import single


def read_file(path: Path) -> bytes | None:
    """Its bytes, or None when there is none; raises StorageError as `Folder.read` does, FormatError for a bad name."""
    folder = Folder.existing(path.parent)
    if folder is None:
        return None
    with folder:
        return folder.read(single(path.name))


def read_kept(path: Path, damaged: Callable[[], StorageError]) -> bytes | None:
    """As `read_file`, of a file that is never empty; raises what `damaged` makes where that name is taken otherwise."""
    was_there = os.path.lexists(path)  # before it is read, as another process may make it meanwhile
    raw = read_file(path)
    if raw or (raw is None and not was_there):
        return raw
    raise damaged()
