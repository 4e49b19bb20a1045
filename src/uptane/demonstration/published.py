"""Where published files are, for whoever can write there past the servers: the thief of the walkthrough."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from uptane.metadata.identifiers import ImagePath
from uptane.metadata.targets import ImageFile
from uptane.signing.ports import MetadataStore
from uptane.storage.folders import hashed_names

METADATA, TARGETS, BACKUP = "metadata/", "targets/", "metadata.backup/"
"""What the names of metadata, of images, and of metadata that the thief has put aside begin with."""


class PublishedFiles(Protocol):
    """The files of an Image repository, or of one vehicle on a Director, such as `metadata/root.der`.

    Names are relative, with `/` between their components. Other names than those of METADATA and TARGETS are the
    thief's own, and no server gives them out.
    """

    def names(self, folder: str) -> Sequence[str]:
        """The names of the files directly in a folder, which ends with `/`; sorted."""
        ...

    def read(self, name: str) -> bytes | None:
        """A file, or None."""
        ...

    def change(self, files: Mapping[str, bytes | None]) -> None:
        """Writes files in this order, whatever was there before, and removes those for which None is given."""
        ...


class FolderFiles:
    """`PublishedFiles` in a folder.

    Args:
        root: the folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def names(self, folder: str) -> Sequence[str]:
        """See `PublishedFiles`."""
        path = self._root / folder
        return sorted(f"{folder}{file.name}" for file in path.iterdir() if file.is_file()) if path.is_dir() else []

    def read(self, name: str) -> bytes | None:
        """See `PublishedFiles`."""
        path = self._root / name
        return path.read_bytes() if path.is_file() else None

    def change(self, files: Mapping[str, bytes | None]) -> None:
        """See `PublishedFiles`."""
        for name, data in files.items():
            path = self._root / name
            if data is None:
                path.unlink(missing_ok=True)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)


class StolenStore(MetadataStore):
    """The metadata among published files, for a thief who publishes with keys of his own or with stolen ones.

    Args:
        files: where.
    """

    def __init__(self, files: PublishedFiles) -> None:
        self._files = files

    async def read(self, name: str) -> bytes | None:
        """See `MetadataStore`."""
        return self._files.read(METADATA + name)

    async def publish(self, files: Sequence[tuple[str, bytes]], mutable: Mapping[str, bytes]) -> None:
        """Writes all of them; a thief does not ask what is there."""
        self._files.change({METADATA + name: data for name, data in (*files, *mutable.items())})


def add_image(files: PublishedFiles, image: ImageFile, data: bytes) -> None:
    """Puts an image under the name of each hash, and then under its plain name."""
    files.change({TARGETS + name: data for name in (*hashed_names(image), image.path)})


def plain_copy(files: PublishedFiles, image: ImagePath) -> bytes | None:
    """An image under its plain name, or None."""
    return files.read(TARGETS + image)


def back_up(files: PublishedFiles) -> None:
    """Puts a copy of all metadata aside."""
    files.change({BACKUP + name.removeprefix(METADATA): files.read(name) for name in files.names(METADATA)})


def is_backed_up(files: PublishedFiles) -> bool:
    """Whether there is such a copy."""
    return bool(files.names(BACKUP))


def put_back(files: PublishedFiles) -> None:
    """The metadata is what was put aside, and nothing else."""
    kept = files.names(BACKUP)
    before = {METADATA + name.removeprefix(BACKUP): files.read(name) for name in kept}
    later = dict.fromkeys(name for name in files.names(METADATA) if name not in before)
    files.change({**later, **before})
    files.change(dict.fromkeys(kept))


def forget_backup(files: PublishedFiles) -> None:
    """There is no such copy any more."""
    files.change(dict.fromkeys(files.names(BACKUP)))
