"""A file by its path, for those who have no folder open."""

from pathlib import Path

from uptane.storage.atomic_files import Folder
from uptane.storage.names import single


def read_file(path: Path) -> bytes | None:
    """Its bytes, or None when there is none; raises StorageError as `Folder.read` does, FormatError for a bad name."""
    folder = Folder.existing(path.parent)
    if folder is None:
        return None
    with folder:
        return folder.read(single(path.name))
