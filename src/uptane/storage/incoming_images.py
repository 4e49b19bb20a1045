"""Images on their way into a folder of images: what was cut off is gone on with, and only whole ones get a name."""

import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from hashlib import sha256
from types import TracebackType
from typing import Self

from uptane.metadata.errors import SecurityError, StorageError
from uptane.metadata.targets import ImageFile
from uptane.storage.atomic_files import Folder, changes, storage_errors
from uptane.storage.names import UNFINISHED
from uptane.verification.verify_image import check_bytes, verified_bytes

INCOMING = f"{UNFINISHED}images"
"""The folder of parts and of whole images without a name; no door gives them out."""

INCOMING_MODE = 0o700


def part_name(file: ImageFile) -> str:
    """By what an image is found again that was cut off: its length and every hash, and not its name."""
    said = f"{file.length} " + " ".join(f"{function}:{digest.hex()}" for function, digest in file.digests)
    return sha256(said.encode()).hexdigest()


class IncomingImages:
    """What is being received below a folder of images; of several that receive there, one does and the others wait.

    Each image is a file of its own. Leaving the context removes those files, as they have their names then, or are good
    for nothing: the disk failed, or a check. Whatever else ends the attempt leaves them, and the next goes on there.

    Args:
        root: the folder of images, open.
        mode: of the files.
    """

    def __init__(self, root: Folder, mode: int) -> None:
        folder = root.inside(INCOMING, create=INCOMING_MODE)
        if folder is None:
            raise StorageError(f"{root.path / INCOMING} was removed", next_step="Add the images again.")
        self._folder = folder
        self._mode = mode
        self._begun: set[str] = set()

    def __enter__(self) -> Self:
        self._folder.lock()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._folder:
            if kind is None or issubclass(kind, SecurityError | StorageError):
                for name in self._begun:
                    with suppress(StorageError):
                        self._folder.remove(name)

    def receive(self, file: ImageFile, chunks: Iterable[bytes]) -> None:
        """Takes all bytes of an image, compares them with the part that is there, and writes the rest to the disk.

        Raises:
            EndlessDataError, LengthMismatchError, BadHashError: they are not the listed ones.
            StorageError: the disk is full, or something that is no file is in the way.
        """
        name = part_name(file)
        if name in self._begun:  # the same bytes under another name
            check_bytes([(file, chunks)])
            return
        part = _Part(self._folder, name, self._mode, file.length)
        self._begun.add(name)
        try:
            for chunk in verified_bytes(file, chunks):
                part.put(chunk)
            part.finish()
        finally:
            part.close()

    def forget(self, file: ImageFile) -> None:
        """Removes what an earlier attempt left of an image; raises StorageError."""
        self._folder.remove(part_name(file))

    def chunks(self, file: ImageFile) -> Iterator[bytes]:
        """The bytes of an image that was received."""
        return self._folder.chunks(part_name(file)) or iter(())

    def link(self, file: ImageFile, folder: Folder, name: str) -> bool:
        """Gives an image that was received a name in a folder unless that is taken; returns whether it did."""
        with storage_errors("write", folder.path / name):
            try:
                self._folder.layer.link(part_name(file), name, folder=self._folder.descriptor, to=folder.descriptor)
            except FileExistsError:
                return False
        return True


def name_again(folder: Folder, present: str, name: str) -> None:
    """Gives a file a second name, durably, in place of another file of that name."""
    temporary = f"{UNFINISHED}{secrets.token_hex(8)}"
    with storage_errors("write", folder.path / name):
        folder.layer.link(present, temporary, folder=folder.descriptor)
    try:
        folder.rename(temporary, name)
    finally:
        with suppress(StorageError):
            folder.remove(temporary)  # where both were the same file already, renaming has left them
    folder.sync()


def holds(folder: Folder, names: Sequence[str], file: ImageFile) -> bool:
    """Whether an image has these names in a folder already; raises StorageError where other bytes have one."""
    for name in names:
        chunks = folder.chunks(name)
        if chunks is None:
            return False
        try:
            check_bytes([(file, chunks)])
        except SecurityError as error:
            raise changes(folder.path / name) from error
    return True


def tidy(root: Folder, older_than: float) -> int:
    """Removes what attempts left that were cut off and not gone on with; nothing, while somebody receives.

    Args:
        root: the folder of images.
        older_than: when it was last written, in seconds since 1970.

    Returns:
        How many files were removed.
    """
    folder = root.inside(INCOMING)
    if folder is None:
        return 0
    with folder:
        try:
            folder.lock_at_once()
        except StorageError:
            return 0
        left = [name for name in folder.names() if _modified(folder, name) < older_than]
        for name in left:
            folder.remove(name)
        return len(left)


def _modified(folder: Folder, name: str) -> float:
    file = folder.open_file(name)
    if file is None:
        return float("inf")
    try:
        return os.fstat(file).st_mtime
    finally:
        folder.layer.close(file)


class _Part:
    """One file, open.

    Args:
        folder, name, mode: where it is, and how it is made.
        limit: bytes that it may have; one that has more, or another name too, is begun anew.
    """

    def __init__(self, folder: Folder, name: str, mode: int, limit: int) -> None:
        self._folder = folder
        self._differs = False
        present = folder.open_file(name)
        if present is not None:
            state = os.fstat(present)
            folder.layer.close(present)
            if state.st_size > limit or state.st_nlink > 1:  # published already: its bytes never change
                folder.remove(name)
        with storage_errors("create a file in", folder.path):
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
            self._file = folder.layer.open(name, flags, mode, folder=folder.descriptor)

    def put(self, chunk: bytes) -> None:
        """The next bytes: those that are there stay, others are overwritten."""
        layer, rest = self._folder.layer, memoryview(chunk)
        with storage_errors("write a file in", self._folder.path):
            while len(rest) and not self._differs:
                present = layer.read(self._file, len(rest))
                if present and rest[: len(present)] == present:
                    rest = rest[len(present) :]
                else:
                    self._differs = True
                    os.lseek(self._file, -len(present), os.SEEK_CUR)
            while len(rest):
                rest = rest[layer.write(self._file, rest) :]

    def finish(self) -> None:
        """Returns when the bytes are on disk."""
        with storage_errors("write a file in", self._folder.path):
            self._folder.layer.fsync(self._file)

    def close(self) -> None:
        """Lets go of the file."""
        with suppress(OSError):
            self._folder.layer.close(self._file)
