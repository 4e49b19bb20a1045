"""Published images on object storage, of any size: an image has a name there when it is whole and checked."""

import asyncio
import secrets
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Sequence
from datetime import datetime
from typing import TypeAlias

from uptane.metadata.errors import FormatError, SecurityError, StorageError
from uptane.metadata.identifiers import ImagePath
from uptane.metadata.targets import ImageFile
from uptane.storage.folders import described, hashed_names
from uptane.storage.incoming_images import part_name
from uptane.storage.names import UNFINISHED, components, is_hashed
from uptane.storage.object_store import PART, Objects
from uptane.storage.objects import PublishedObject, Served
from uptane.verification.verify_image import ImageCheck

Chunks: TypeAlias = Iterable[bytes] | AsyncIterable[bytes]

INCOMING = f"{UNFINISHED}images/"
"""Before the names of images that are being received; no door gives them out."""

SEGMENT = 256 << 20
"""Bytes of which a cut costs a part: of a larger image, each segment that arrived whole is not sent again."""

LARGEST_COPY = 5 << 30
"""Bytes that S3 copies inside the store at once; a larger image is sent through this process again."""


class ImageObjects(Served):
    """The published images of a repository on object storage.

    A large image is sent in parts under a name that nobody asks for, and copied inside the store to its own names when
    its length and hashes were right. `add_all` goes on with an attempt that was cut off, `add_stream` begins again.
    What nobody goes on with is removed by `tidy`.

    Args:
        objects: those of these images, and nothing else.
        largest_copy: bytes that the store copies at once.
        segment: bytes that `add_all` sends as one object.
    """

    def __init__(self, objects: Objects, *, largest_copy: int = LARGEST_COPY, segment: int = SEGMENT) -> None:
        super().__init__(objects)
        self._largest_copy = largest_copy
        self._segment = segment

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
        """Stores images under each `FOLDER/HASH.FILE`, and under no other name.

        All bytes are in the store before the first image has a name. An attempt that was cut off is gone on with:
        images and segments that arrived whole are verified and not sent again.

        Raises:
            EndlessDataError, LengthMismatchError, BadHashError: an image is not the listed one; nothing of it is left.
            StorageError, FormatError: as `add_stream` does.
        """
        for file, _ in images:
            _check_name(file)
        sources: list[tuple[str, str, int]] = []
        try:
            for file, chunks in images:
                missing = [name for name in hashed_names(file) if not await self._holds(name, file)]
                if missing:
                    source = await self._received(file, chunks)
                    sources += [(source, name, file.length) for name in missing]
                else:
                    await asyncio.to_thread(_exhaust, _checked(file, chunks))
            for source, name, length in sources:
                await self._copy(source, name, length)
        except SecurityError:
            await self._remove_incoming(file for file, _ in images)
            raise
        await self._remove_incoming(file for file, _ in images)

    async def name_plainly(self, files: Sequence[ImageFile]) -> None:
        """Gives images that `add_all` stored their plain names, in place of earlier ones; raises StorageError."""
        for file in files:
            await self._copy(hashed_names(file)[0], file.path, file.length)

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
            older_than: UTC; what was written later may be gone on with, or is being sent.

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
        await self._send(name, _checked(file, chunks), file.length)
        return name

    async def _received(self, file: ImageFile, chunks: Iterable[bytes]) -> str:
        """Sends what is not there yet of an image; returns under which name it is whole and verified."""
        below = f"{INCOMING}{part_name(file)}/"
        present = await self._objects.entries(below)
        sizes = [min(self._segment, file.length - start) for start in range(0, file.length, self._segment)] or [0]
        names = [f"{below}{number}" for number in range(len(sizes))]
        rest = _Rest(_checked(file, chunks))
        for name, size in zip(names, sizes, strict=True):
            if name in present and present[name].length == size:
                await asyncio.to_thread(rest.skip, size)
            else:
                # The last one is whole only when all was right: others that send this image take it for checked.
                await self._send(name, rest.take(size) if name != names[-1] else rest.take_last(size), size)
        await asyncio.to_thread(rest.finish)
        try:
            return await self._put_together(file, names, sizes, resumed=not present.keys().isdisjoint(names))
        except SecurityError as error:
            await self._remove_incoming([file])
            raise StorageError(
                f"what an earlier attempt left below {self._objects.where(below)} was damaged, and is removed",
                next_step="Add the image again.",
            ) from error

    async def _put_together(self, file: ImageFile, names: Sequence[str], sizes: Sequence[int], *, resumed: bool) -> str:
        """The name of the whole image; raises SecurityError where an earlier attempt left other bytes."""
        if len(names) == 1 and not resumed:
            return names[0]
        whole = _checked(file, self._joined(names, sizes))
        if len(names) == 1:
            await asyncio.to_thread(_exhaust, whole)
            return names[0]
        name = names[0].removesuffix("0") + "whole"
        await self._objects.receive(name, whole, file.length)
        return name

    async def _send(self, name: str, chunks: Iterable[bytes], length: int) -> None:
        if length == 0:  # an upload in parts has one part at least
            await self._objects.overwrite(name, await asyncio.to_thread(b"".join, chunks))
        else:
            await self._objects.receive(name, chunks, length)

    async def _joined(self, names: Sequence[str], sizes: Sequence[int]) -> AsyncIterator[bytes]:
        for name, size in zip(names, sizes, strict=True):
            entry = await self._objects.describe(name)
            if entry is None or entry.length != size:
                raise StorageError(f"{self._objects.where(name)} was removed", next_step="Add the image again.")
            async for piece in PublishedObject(name, size, "", self._objects, entry.version).stream():
                yield piece

    async def _remove_incoming(self, files: Iterable[ImageFile]) -> None:
        for file in files:
            for name in await self._objects.entries(f"{INCOMING}{part_name(file)}/"):
                await self._objects.remove(name)

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


class _Rest:
    """The bytes of an image, some at a time, for a thread."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = (chunk for chunk in chunks if chunk)
        self._kept = b""

    def take(self, size: int) -> Iterator[bytes]:
        """The next `size` bytes, or fewer where the image ends."""
        while size:
            chunk = self._kept or next(self._chunks, b"")
            if not chunk:
                return
            yield chunk[:size]
            self._kept, size = chunk[size:], size - len(chunk[:size])

    def take_last(self, size: int) -> Iterator[bytes]:
        """The next `size` bytes, and an error at their end where something is wrong with the image."""
        yield from self.take(size)
        self.finish()

    def skip(self, size: int) -> None:
        """Passes over the next `size` bytes."""
        _exhaust(self.take(size))

    def finish(self) -> None:
        """Raises what is wrong with the image, once all of it was taken."""
        _exhaust(self._chunks)


def _exhaust(chunks: Iterable[bytes]) -> None:
    for _ in chunks:
        pass


def _in_thread(chunks: AsyncIterable[bytes]) -> Iterator[bytes]:
    """What the running loop makes, one after the other, for a thread."""
    loop, iterator = asyncio.get_running_loop(), aiter(chunks)

    async def following() -> bytes | None:
        return await anext(iterator, None)

    def pulled() -> Iterator[bytes]:
        while (chunk := asyncio.run_coroutine_threadsafe(following(), loop).result()) is not None:
            yield chunk

    return pulled()
