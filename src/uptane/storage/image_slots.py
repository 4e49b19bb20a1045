"""The image files of one ECU in a folder: streamed in, durable once kept, streamed out."""

import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from uptane.metadata.errors import FormatError, StorageError
from uptane.storage.atomic_files import OPERATING_SYSTEM, FileLayer, Folder, NewFile, storage_errors
from uptane.storage.names import word
from uptane.storage.partial_images import PARTIAL, PartialFile
from uptane.vehicle.ports import ImageSlots, ImageWriter, PartialImage

CHUNK = 64 * 1024
"""Bytes in a piece of an image that is read: large enough to be fast, small enough for any ECU."""

FOLDER_MODE = 0o700
FILE_MODE = 0o600


class ImageSlotFolder(ImageSlots):
    """`ImageSlots` in a folder that belongs to one process at a time.

    Args:
        root: the folder; made, for its owner only, where it is missing. What a crash left unfinished is removed, but
            for an image that can be resumed.
        layer: the file operations.

    Raises:
        StorageError: another process uses the folder, or it cannot be used.
    """

    def __init__(self, root: Path, *, layer: FileLayer = OPERATING_SYSTEM) -> None:
        self._folder = Folder.made(root, FOLDER_MODE, layer=layer)
        try:
            self._folder.lock_at_once()
            self._folder.remove_unfinished()
        except BaseException:
            self._folder.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Lets another process use the folder; again is fine. Images that are being read can be read on."""
        self._folder.close()

    @contextmanager
    def receive(self, name: str) -> Iterator[ImageWriter]:
        """Opens a new image; leaving the context without `keep()` drops what was written.

        Raises:
            StorageError: the disk is full or cannot be written; an earlier image of that name is untouched.
            FormatError: not a name of lower-case letters, digits, `_` and `-`.
        """
        word(name)
        with self._folder.new_file(FILE_MODE) as new:
            yield _Writer(self._folder, name, new)

    @contextmanager
    def resume(self, name: str) -> Iterator[PartialImage]:
        """Opens an image that was cut off, or a new one; leaving the context keeps what came.

        Raises:
            StorageError: the disk is full or fails; an earlier image of that name is untouched, and what came of this
                one is removed, so that the ECU has room for its memory.
            FormatError: not a name of lower-case letters, digits, `_` and `-`.
        """
        word(name)
        for other in self._folder.names():
            if other.endswith(PARTIAL) and other != name + PARTIAL:
                self._remove(other.removesuffix(PARTIAL), other)
        partial = None
        try:
            partial = PartialFile(self._folder, name, FILE_MODE)
            yield partial
        except StorageError:
            if partial is not None:
                partial.close()
            with suppress(StorageError):
                self._folder.remove(name + PARTIAL)
            raise
        finally:
            if partial is not None:
                partial.pause()

    def chunks(self, name: str) -> Iterator[bytes] | None:
        """The bytes of an image in pieces of at most CHUNK bytes, or None when there is none.

        The image stays readable to its end when it is replaced or removed meanwhile.
        """
        file = self._folder.open_file(word(name))
        return None if file is None else _Chunks(self._folder, name, file)

    def keep_only(self, names: frozenset[str]) -> None:
        """Removes every image that is not named, also one that was cut off. Files that are neither are left alone."""
        for file in self._folder.names():
            name = file.removesuffix(PARTIAL)
            if name not in names:
                self._remove(name, file)

    def _remove(self, name: str, file: str) -> None:
        with suppress(FormatError):
            word(name)
            self._folder.remove(file)


class _Writer(ImageWriter):
    def __init__(self, folder: Folder, name: str, new: NewFile) -> None:
        self._folder, self._name, self._new = folder, name, new
        self._kept = False

    def write(self, chunk: bytes) -> None:
        """Appends bytes. Raises StorageError when the disk is full, or after `keep()`."""
        self._new.write(chunk)

    def keep(self) -> None:
        """Makes the image durable under its name, replacing an earlier one of that name; again is fine."""
        if self._kept:
            return
        self._new.finish()
        self._new.move_to(self._name)
        self._kept = True
        self._folder.sync()


class _Chunks(Iterator[bytes]):
    """Holds the open file; it is closed at its end, on an error, or when nobody reads on."""

    def __init__(self, folder: Folder, name: str, file: int) -> None:
        self._path = folder.path / name
        self._layer = folder.layer
        self._file = file
        self._closing = weakref.finalize(self, folder.layer.close, file)

    def __next__(self) -> bytes:
        if not self._closing.alive:
            raise StopIteration
        try:
            with storage_errors("read", self._path):
                chunk = self._layer.read(self._file, CHUNK)
        except StorageError:
            self._closing()
            raise
        if not chunk:
            self._closing()
            raise StopIteration
        return chunk
