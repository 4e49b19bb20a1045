"""An image file that grows over several runs of a program, until it is whole and gets its name."""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress

from uptane.metadata.errors import StorageError
from uptane.storage.atomic_files import Folder, storage_errors
from uptane.vehicle.ports import PartialImage

READ_SIZE = 256 * 1024
"""Bytes read back at a time."""

PARTIAL = ".part"
"""How the name of such a file ends; no image is called so."""


class PartialFile(PartialImage):
    """An image in a folder that belongs to one process at a time.

    Nothing says that what a crash left in it is what was written: whoever continues has to check the whole.

    Args:
        folder: where it is.
        name: of the image; it grows as `NAME.part`, which is made where there is none.
        mode: permission bits of the file.

    Raises:
        StorageError: it cannot be opened or made, or something else has its name.
    """

    def __init__(self, folder: Folder, name: str, mode: int) -> None:
        self._folder, self._name, self._mode = folder, name, mode
        self._growing = name + PARTIAL
        self._path = folder.path / self._growing
        self._file: int | None = None
        self._kept = False
        flags = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK
        with storage_errors("open", self._path):
            try:
                self._file = folder.layer.open(self._growing, flags, folder=folder.descriptor)
            except FileNotFoundError:
                self._make()
            if not stat.S_ISREG(os.fstat(self._opened()).st_mode):
                self.close()
                raise StorageError(f"{self._path} is no file and will not be used", path=str(self._path))

    def _make(self) -> None:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        self._file = self._folder.layer.open(self._growing, flags, self._mode, folder=self._folder.descriptor)

    def _opened(self) -> int:
        if self._file is None:
            raise StorageError(f"the image {self._name} was kept before it was whole", path=str(self._path))
        return self._file

    def chunks(self) -> Iterator[bytes]:
        """What came so far; to be read to the end before anything is written. Raises StorageError."""
        file = self._opened()
        while True:
            with storage_errors("read", self._path):
                chunk = self._folder.layer.read(file, READ_SIZE)
            if not chunk:
                return
            yield chunk

    def write(self, chunk: bytes) -> None:
        """Appends bytes; raises StorageError when the disk is full, or after `keep()`."""
        file, rest = self._opened(), memoryview(chunk)
        with storage_errors("write", self._path):
            while len(rest):
                rest = rest[self._folder.layer.write(file, rest) :]

    def restart(self) -> None:
        """Begins again with an empty file."""
        self.close()
        self._folder.remove(self._growing)
        with storage_errors("create", self._path):
            self._make()

    def keep(self) -> None:
        """Makes the image durable under its name, replacing an earlier one of that name; again is fine."""
        if self._kept:
            return
        with storage_errors("write", self._path):
            self._folder.layer.fsync(self._opened())
        self.close()
        self._folder.rename(self._growing, self._name)
        self._kept = True
        self._folder.sync()

    def pause(self) -> None:
        """Closes the file; what is in it is on disk as far as the disk can."""
        if self._file is not None:
            with suppress(OSError):
                self._folder.layer.fsync(self._file)
            self.close()

    def close(self) -> None:
        """Closes the file; again is fine."""
        if self._file is not None:
            file, self._file = self._file, None
            with suppress(OSError):
                self._folder.layer.close(file)
