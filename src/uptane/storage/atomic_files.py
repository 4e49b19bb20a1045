"""Durable file writing, the one place of it: a file appears under its name whole and on disk, or not at all."""

import errno
import fcntl
import os
import secrets
import stat
import weakref
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from uptane.metadata.errors import StorageError
from uptane.storage.names import UNFINISHED

READ_SIZE = 1 << 20
"""Bytes asked for at once when a whole file is read."""

_NEXT_STEPS = {
    errno.ENOSPC: "The disk is full: free some space and try again.",
    errno.EDQUOT: "The disk quota is used up: free some space and try again.",
    errno.EFBIG: "The file is larger than this process may write: raise that limit and try again.",
    errno.EACCES: "Give this process the right to use that folder.",
    errno.EPERM: "Give this process the right to use that folder.",
    errno.EROFS: "The file system is read-only: mount it writable.",
    errno.EIO: "The disk reports errors: check it.",
}


class FileLayer:
    """The operating system's file operations; a test hands in one that fails where it likes."""

    def open(self, name: str | Path, flags: int, mode: int = 0o600, *, folder: int | None = None) -> int:
        """A descriptor; `name` is relative to the descriptor `folder` where one is given."""
        return os.open(name, flags, mode, dir_fd=folder)

    def read(self, file: int, size: int) -> bytes:
        """Up to `size` bytes, none at the end."""
        return os.read(file, size)

    def write(self, file: int, data: memoryview) -> int:
        """Writes at least one byte; returns how many."""
        return os.write(file, data)

    def fsync(self, file: int) -> None:
        """Returns when the file's bytes, or the folder's entries, are on disk."""
        os.fsync(file)

    def close(self, file: int) -> None:
        """Closes a descriptor and lets go of its lock."""
        os.close(file)

    def rename(self, old: str, new: str, *, folder: int) -> None:
        """Renames within a folder, replacing a file `new`."""
        os.rename(old, new, src_dir_fd=folder, dst_dir_fd=folder)

    def link(self, old: str, new: str, *, folder: int, to: int | None = None) -> None:
        """Gives a file a second name, in the folder `to` if given; raises FileExistsError when that one is taken."""
        os.link(old, new, src_dir_fd=folder, dst_dir_fd=folder if to is None else to, follow_symlinks=False)

    def unlink(self, name: str, *, folder: int) -> None:
        """Removes a name from a folder."""
        os.unlink(name, dir_fd=folder)

    def mkdir(self, name: str | Path, mode: int, *, folder: int | None = None) -> None:
        """Makes a folder."""
        os.mkdir(name, mode, dir_fd=folder)

    def names(self, folder: int) -> list[str]:
        """The names in a folder, in no order."""
        return os.listdir(folder)

    def kind(self, name: str, *, folder: int) -> int:
        """The file type bits of an entry itself, not of what a symbolic link points to."""
        return stat.S_IFMT(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)

    def lock(self, file: int, operation: int) -> None:
        """Takes an advisory lock (`fcntl.flock`)."""
        fcntl.flock(file, operation)


OPERATING_SYSTEM = FileLayer()


@contextmanager
def storage_errors(action: str, path: Path) -> Iterator[None]:
    """Turns an OSError into a StorageError that says what failed, where, and what to do next."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"cannot {action} {path}: {error.strerror or error}",
            next_step=_NEXT_STEPS.get(error.errno or 0, "Check that folder and try again."),
            path=str(path),
            errno=error.errno,
        ) from error


class Folder:
    """An open folder: its entries are reached by one component each, and no symbolic link is ever followed.

    Args:
        path: where it is, for messages.
        descriptor: the open folder; closed by `close()`, or when the object is forgotten.
        layer: the file operations.
    """

    def __init__(self, path: Path, descriptor: int, layer: FileLayer) -> None:
        self.path = path
        self.layer = layer
        self._descriptor = descriptor
        self._closing = weakref.finalize(self, layer.close, descriptor)

    @classmethod
    def existing(cls, path: Path, *, layer: FileLayer = OPERATING_SYSTEM) -> "Folder | None":
        """The folder at `path`, which may itself be reached through symbolic links; None when there is none."""
        with storage_errors("open the folder", path):
            try:
                return cls(path, layer.open(path, os.O_RDONLY | os.O_DIRECTORY), layer)
            except FileNotFoundError:
                return None

    @classmethod
    def made(cls, path: Path, mode: int, *, layer: FileLayer = OPERATING_SYSTEM) -> "Folder":
        """The folder at `path`, made durably with its parents where it is missing."""
        folder = cls.existing(path, layer=layer)
        if folder is not None:
            return folder
        with cls.made(path.parent, mode, layer=layer) as parent:
            made = parent.inside(path.name, create=mode)
        return made if made is not None else cls.made(path, mode, layer=layer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the folder and its lock; again is fine."""
        with suppress(OSError):
            self._closing()

    @property
    def descriptor(self) -> int:
        """The open descriptor; raises StorageError after `close()`."""
        if not self._closing.alive:
            raise StorageError(f"{self.path} was closed", next_step="Open it again.", path=str(self.path))
        return self._descriptor

    def lock(self) -> None:
        """Waits until nobody else holds the folder's lock, and holds it until `close()`."""
        with storage_errors("lock", self.path):
            self.layer.lock(self.descriptor, fcntl.LOCK_EX)

    def lock_at_once(self) -> None:
        """Takes the folder's lock until `close()`; raises StorageError when somebody else holds it."""
        with storage_errors("lock", self.path):
            try:
                self.layer.lock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StorageError(
                    f"{self.path} is in use by another process",
                    next_step="Stop that one, or give this one a folder of its own.",
                    path=str(self.path),
                ) from None

    def inside(self, name: str, *, create: int | None = None) -> "Folder | None":
        """A folder in this folder.

        Args:
            name: one component, checked by the caller.
            create: the mode to make it with where it is missing; None does not make it.

        Returns:
            The folder; None when there is none and none was to be made, or when there is a file of that name.

        Raises:
            StorageError: it is a symbolic link, or it cannot be opened or made.
        """
        path = self.path / name
        with storage_errors("open the folder", path):
            if create is not None:
                with suppress(FileExistsError):
                    self.layer.mkdir(name, create, folder=self.descriptor)
                    self.layer.fsync(self.descriptor)
            try:
                flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
                return Folder(path, self.layer.open(name, flags, folder=self.descriptor), self.layer)
            except FileNotFoundError:
                return None
            except OSError as error:
                if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                    raise
                self._refuse_link(name)
                if create is not None:
                    raise
                return None

    def open_file(self, name: str) -> int | None:
        """A descriptor for reading a regular file, for the caller to close; None when there is no such file.

        Raises:
            StorageError: it is a symbolic link, a pipe or a device, or cannot be opened.
        """
        path = self.path / name
        with storage_errors("read", path):
            try:
                # Without O_NONBLOCK, opening a planted pipe would wait for a writer for ever.
                flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
                file = self.layer.open(name, flags, folder=self.descriptor)
            except FileNotFoundError:
                return None
            except OSError as error:
                if error.errno == errno.ELOOP:
                    self._refuse_link(name)
                raise
            mode = os.fstat(file).st_mode
            if stat.S_ISREG(mode):
                return file
            self.layer.close(file)
        if stat.S_ISDIR(mode):
            return None
        raise _not_ours(path, "neither a file nor a folder")

    def read(self, name: str) -> bytes | None:
        """The bytes of a file, or None when there is none; raises StorageError as `open_file` does."""
        chunks = self.chunks(name)
        return None if chunks is None else b"".join(chunks)

    def chunks(self, name: str) -> Generator[bytes] | None:
        """The bytes of a file in pieces of READ_SIZE but for the last, or None; raises StorageError as `read` does."""
        file = self.open_file(name)
        return None if file is None else self._chunks(file, self.path / name)

    def _chunks(self, file: int, path: Path) -> Generator[bytes]:
        with storage_errors("read", path):
            try:
                while chunk := self.layer.read(file, READ_SIZE):
                    yield chunk
            finally:
                self.layer.close(file)

    def names(self) -> list[str]:
        """The names in the folder, sorted, without those of unfinished files."""
        return [name for name in self._entries() if not name.startswith(UNFINISHED)]

    def new_file(self, mode: int) -> "NewFile":
        """A file without a name yet, with these permission bits from its first moment."""
        return NewFile(self, mode)

    def replace(self, name: str, data: bytes, mode: int) -> None:
        """Sets a file durably: readers see the old bytes or the new ones.

        Raises:
            StorageError: the old file is untouched, unless only the last step failed, the fsync of the folder:
                then the new one is there, whole, but may be gone after a power cut.
        """
        with self.new_file(mode) as new:
            new.write(data)
            new.finish()
            new.move_to(name)
        self.sync()

    def create(self, name: str, data: bytes, mode: int) -> bool:
        """Makes a file durably if there is none of that name; returns whether it did. Raises StorageError."""
        with self.new_file(mode) as new:
            new.write(data)
            new.finish()
            made = new.link_to(name)
        self.sync()
        return made

    def lacks(self, name: str, data: bytes) -> bool:
        """Whether an immutable file must still be written.

        Raises:
            StorageError: a file of that name holds other bytes.
        """
        present = self.read(name)
        if present is None:
            return True
        if present == data:
            return False
        raise changes(self.path / name)

    def remove(self, name: str) -> None:
        """Removes a file, if there is one; durable after `sync()`."""
        with storage_errors("remove", self.path / name), suppress(FileNotFoundError):
            self.layer.unlink(name, folder=self.descriptor)

    def rename(self, old: str, new: str) -> None:
        """Renames a file within the folder; durable after `sync()`."""
        with storage_errors("write", self.path / new):
            self.layer.rename(old, new, folder=self.descriptor)

    def sync(self) -> None:
        """Returns when every change of the folder's entries is on disk."""
        with storage_errors("sync the folder", self.path):
            self.layer.fsync(self.descriptor)

    def unfinished(self) -> list[str]:
        """Names of files that a crash left unfinished, or that somebody is writing now: ask under the lock."""
        return [name for name in self._entries() if name.startswith(UNFINISHED)]

    def remove_unfinished(self) -> None:
        """Removes what a crash left unfinished; the caller holds the lock that all writers of the folder take."""
        for name in self.unfinished():
            self.remove(name)

    def _entries(self) -> list[str]:
        with storage_errors("list", self.path):
            return sorted(self.layer.names(self.descriptor))

    def _refuse_link(self, name: str) -> None:
        if self.layer.kind(name, folder=self.descriptor) == stat.S_IFLNK:
            raise _not_ours(self.path / name, "a symbolic link")


def changes(path: Path) -> StorageError:
    """The error for an immutable file that holds other bytes."""
    return StorageError(
        f"{path} exists with other bytes, and a file of that name never changes",
        next_step="Use a new version number, or find out who wrote that file and remove it.",
        path=str(path),
    )


class NewFile:
    """A file on its way into a folder; leaving its context before it has a name removes it."""

    def __init__(self, folder: Folder, mode: int) -> None:
        self.temporary = f"{UNFINISHED}{secrets.token_hex(8)}"
        self._folder = folder
        self._settled = False
        with storage_errors("create a file in", folder.path):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            self._file: int | None = folder.layer.open(self.temporary, flags, mode, folder=folder.descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.drop()

    def write(self, data: bytes) -> None:
        """Appends bytes; raises StorageError when the disk is full, or after `finish()`."""
        if self._file is None:
            raise StorageError(f"a file in {self._folder.path} was finished before it was whole")
        rest = memoryview(data)
        with storage_errors("write a file in", self._folder.path):
            while len(rest):
                rest = rest[self._folder.layer.write(self._file, rest) :]

    def finish(self) -> None:
        """Returns when the bytes are on disk; again is fine."""
        if self._file is None:
            return
        with storage_errors("write a file in", self._folder.path):
            self._folder.layer.fsync(self._file)
            file, self._file = self._file, None
            self._folder.layer.close(file)

    def move_to(self, name: str) -> None:
        """Gives the finished file its name, replacing a file of that name; durable after the folder's `sync()`."""
        self._folder.rename(self.temporary, name)
        self._settled = True

    def link_to(self, name: str) -> bool:
        """Gives the finished file its name unless that is taken; returns whether it did."""
        with storage_errors("write", self._folder.path / name):
            try:
                self._folder.layer.link(self.temporary, name, folder=self._folder.descriptor)
            except FileExistsError:
                return False
        return True

    def drop(self) -> None:
        """Removes the file unless it has its name. What cannot be removed now is removed at the next opening."""
        with suppress(OSError):
            if self._file is not None:
                file, self._file = self._file, None
                self._folder.layer.close(file)
        if not self._settled:
            with suppress(StorageError):
                self._folder.remove(self.temporary)


def _not_ours(path: Path, what: str) -> StorageError:
    return StorageError(
        f"{path} is {what} and will not be used",
        next_step="Find out who put it there and remove it.",
        path=str(path),
    )
