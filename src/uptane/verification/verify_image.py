"""Judges the bytes of an image as they stream in: never more than listed, and every hash (STD-5.4.2.4-3)."""

import hashlib
from collections.abc import Iterable, Iterator

from uptane.metadata.errors import BadHashError, EndlessDataError, LengthMismatchError
from uptane.metadata.targets import ImageFile


class ImageCheck:
    """One image on its way in.

    Args:
        file: the length and hashes that signed metadata lists.
    """

    def __init__(self, file: ImageFile) -> None:
        self._file = file
        self._received = 0
        self._hashes = {name: hashlib.new(name) for name, _ in file.digests}

    @property
    def received(self) -> int:
        """How many bytes were counted."""
        return self._received

    def update(self, chunk: bytes) -> None:
        """Takes the next bytes; raises EndlessDataError as soon as there are more than listed."""
        self.count(chunk)
        self.hash(chunk)

    def count(self, chunk: bytes) -> None:
        """The first half of `update`, which may raise; for those who hash while they do something else."""
        self._received += len(chunk)
        if self._received > self._file.length:
            raise EndlessDataError(
                f"image {self._file.path} has more than the {self._file.length} bytes that signed metadata lists",
                image=self._file.path,
                expected=self._file.length,
            )

    def hash(self, chunk: bytes) -> None:
        """The second half of `update`, for the same bytes in the same order."""
        for running in self._hashes.values():
            running.update(chunk)

    def finish(self) -> None:
        """Raises LengthMismatchError or BadHashError unless the whole image is the listed one."""
        if self._received != self._file.length:
            raise LengthMismatchError(
                f"image {self._file.path} has {self._received} bytes; signed metadata lists {self._file.length}",
                image=self._file.path,
                expected=self._file.length,
                offered=self._received,
            )
        for name, digest in self._file.digests:
            if self._hashes[name].digest() != digest:
                raise BadHashError(
                    f"image {self._file.path} has another {name} than signed metadata lists",
                    image=self._file.path,
                    expected=digest.hex(),
                    offered=self._hashes[name].hexdigest(),
                )


def verified_bytes(file: ImageFile, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The bytes of an image as they come; at the end, or before, an error unless they are the listed ones.

    Raises:
        EndlessDataError, LengthMismatchError, BadHashError: as their names say (STD-5.4.2.4-3).
    """
    check = ImageCheck(file)
    for chunk in chunks:
        check.update(chunk)
        yield chunk
    check.finish()


def check_bytes(images: Iterable[tuple[ImageFile, Iterable[bytes]]]) -> None:
    """Reads images to their end and keeps nothing; raises what `verified_bytes` does."""
    for file, chunks in images:
        for _ in verified_bytes(file, chunks):
            pass
