"""Published images on object storage, of any size: an image has a name there when it is whole and checked."""

import asyncio
import secrets
from collections.abc import AsyncIterable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import TypeAlias

from uptane.metadata.errors import FormatError, SecurityError, StorageError
from uptane.metadata.identifiers import ImagePath
from uptane.metadata.targets import ImageFile
from uptane.storage.folders import described, hashed_names
from uptane.storage.names import UNFINISHED, components, is_hashed
from uptane.storage.object_store import PART, Objects
from uptane.storage.objects import PublishedObject, Served
from uptane.verification.verify_image import ImageCheck

Chunks: TypeAlias = Iterable[bytes] | AsyncIterable[bytes]

INCOMING = f"{UNFINISHED}images/"
"""Before the names of images that are being received; no door gives them out."""

LARGEST_COPY = 5 << 30
"""Bytes that S3 copies inside the store at once; a larger image is sent through this process again."""


class ImageObjects(Served):
    """The published images of a repository on object storage.

    A large image is sent once, in parts, under a name that nobody asks for, and copied inside the store to its own
    names when its length and hashes were right. An upload that was cut off is begun again from the start; what it left
    is removed by `tidy`.

    Args:
        objects: those of these images, and nothing else.
        largest_copy: bytes that the store copies at once.
    """

    def __init__(self, objects: Objects, *, largest_copy: int = LARGEST_COPY) -> None:
        super().__init__(objects)
        self._largest_copy = largest_copy

    async def add(self, path: ImagePath, data: bytes, functions: Sequence[str] = ("sha256", "sha512")) -> ImageFile:
        """Stores an image under `FOLDER/HASH.FILE` for each hash, and then under its plain name (STD-5.2.7-3).

        Returns:
            Its name, length and hashes, as Targets metadata lists them.

        Raises:
            StorageError: the store does not answer, or an object of the hash's name holds other bytes; the plain name
                is untouched.
            FormatError: the name cannot be stored, or looks hash-qualified itself; an unknown hash function.
        """
        file = described(path, data, functions)
        await self.add_stream(file, [data])
        return file

    async def add_stream(self, file: ImageFile, chunks: Chunks) -> None:
        """Stores an image of any size under `FOLDER/HASH.FILE` for each hash, and then under its plain name.

        Args:
            file: its name, length and hashes.
            chunks: its bytes; those of a plain iterable are asked for in a thread. Few parts of them are in memory.

        Raises:
            EndlessDataError, LengthMismatchError, BadHashError: they are not the listed ones; nothing is visible.
            StorageError: as `add` does.
            FormatError: the name cannot be stored, or looks hash-qualified itself.
        """
        _check_name(file)
        if file.length <= PART:
            await self._add_small(file, await asyncio.to_thread(b"".join, _checked(file, chunks)))
            return
        staged = await self._stage(file, chunks)
        try:
            await self._name(file, staged)
            await self._copy(staged, file.path, file.length)
        finally:
            await self._objects.remove(staged)

    async def add_all(self, images: Sequence[tuple[ImageFile, Iterable[bytes]]]) -> None:
        """Stores images that signed metadata lists under each `FOLDER/HASH.FILE`, and under no other name.

        All bytes are in the store before the first image has a name; an error of an iterator leaves none of them.

        Raises:
            EndlessDataError, LengthMismatchError, BadHashError: an image is not the listed one.
            StorageError, FormatError: as `add_stream` does.
        """
        for file, _ in images:
            _check_name(file)
        staged: list[str] = []
        try:
            for file, chunks in images:
                staged.append(await self._stage(file, chunks))
            for (file, _), source in zip(images, staged, strict=True):
                await self._name(file, source)
        finally:
            for source in staged:
                await self._objects.remove(source)

    async def read(self, name: str) -> bytes | None:
        """The bytes of an image by its plain or hash-qualified name, or None.

        Raises:
            StorageError: the store does not answer.
            FormatError: nothing can have that name.
        """
        components(name)
        found = await self._objects.read(name)
        return None if found is None else found.data

    async def tidy(self, older_than: datetime) -> int:
        """Removes what uploads left that were cut off.

        Args:
            older_than: UTC; so long ago that no upload from before is still running.

        Returns:
            How many objects were removed.
        """
        left = [name for name, entry in (await self._objects.entries(INCOMING)).items() if entry.modified < older_than]
        for name in left:
            await self._objects.remove(name)
        return len(left)

    async def _add_small(self, file: ImageFile, data: bytes) -> None:
        for name in hashed_names(file):
            if await self._objects.create(name, data) is None:
                await self._holds(name, file)
        await self._objects.overwrite(file.path, data)

    async def _stage(self, file: ImageFile, chunks: Chunks) -> str:
        name = f"{INCOMING}{secrets.token_hex(16)}"
        if file.length == 0:  # an upload in parts has one part at least
            await self._objects.overwrite(name, await asyncio.to_thread(b"".join, _checked(file, chunks)))
        else:
            await self._objects.receive(name, _checked(file, chunks), file.length)
        return name

    async def _name(self, file: ImageFile, staged: str) -> None:
        """Gives a received image its hash-qualified names, but for those that it has."""
        for name in hashed_names(file):
            if not await self._holds(name, file):
                await self._copy(staged, name, file.length)

    async def _holds(self, name: str, file: ImageFile) -> bool:
        """Whether an object is there, and then it is the image; raises StorageError for other bytes."""
        found = await self.open(name)
        if found is None:
            return False
        check = ImageCheck(file)
        try:
            async for piece in found.stream():
                await asyncio.to_thread(check.update, piece)
            check.finish()
        except SecurityError as error:
            path = self._objects.where(name)
            raise StorageError(
                f"{path} exists with other bytes, and a file of that name never changes",
                next_step="Find out who wrote that file and remove it.",
                path=path,
            ) from error
        return True

    async def _copy(self, source: str, name: str, length: int) -> None:
        if length <= self._largest_copy:
            await self._objects.copy(source, name)
            return
        entry = await self._objects.describe(source)
        if entry is None:
            raise StorageError(f"{self._objects.where(source)} was removed", next_step="Add the image again.")
        received = PublishedObject(source, entry.length, entry.version.etag, self._objects, entry.version)
        await self._objects.receive(name, _in_thread(received.stream()), length)


def _check_name(file: ImageFile) -> None:
    components(file.path)
    if is_hashed(file.path.file):
        raise FormatError(
            f"an image's own name must not begin with a hash and a dot: {file.path!r}", field="image path"
        )


def _checked(file: ImageFile, chunks: Chunks) -> Iterator[bytes]:
    """The bytes of an image, for a thread; an error at their end, or before, unless they are the listed ones."""
    pulled = _in_thread(chunks) if isinstance(chunks, AsyncIterable) else chunks

    def checked() -> Iterator[bytes]:
        check = ImageCheck(file)
        for chunk in pulled:
            check.update(chunk)
            yield chunk
        check.finish()

    return checked()


def _in_thread(chunks: AsyncIterable[bytes]) -> Iterator[bytes]:
    """What the running loop makes, one after the other, for a thread."""
    loop, iterator = asyncio.get_running_loop(), aiter(chunks)

    async def following() -> bytes | None:
        return await anext(iterator, None)

    def pulled() -> Iterator[bytes]:
        while (chunk := asyncio.run_coroutine_threadsafe(following(), loop).result()) is not None:
            yield chunk

    return pulled()
