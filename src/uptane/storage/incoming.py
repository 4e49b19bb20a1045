"""What is handed in to an Image repository: images in a folder, and metadata that waits for more signatures."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

from uptane.metadata.digests import Digests
from uptane.metadata.errors import EndlessDataError, StorageError
from uptane.metadata.identifiers import ImagePath
from uptane.metadata.targets import ImageFile
from uptane.storage.atomic_files import OPERATING_SYSTEM, FileLayer, Folder
from uptane.storage.folders import FILE_MODE, FOLDER_MODE
from uptane.storage.names import single

MAX_IMAGES = 20_000
"""Files in a folder of images: more than one role can list."""

MAX_DEPTH = 32
"""Folders in folders: a path of 255 bytes with names of usual length has far fewer."""

WAITING_MODE = 0o700

TURN_LOOKS = 100
TURN_PAUSE = 0.1
"""How often somebody who wants to publish looks whether it is his turn, and the seconds in between: most publications
take less than one."""


@asynccontextmanager
async def turn(
    folder: Path, *, pause: Callable[[float], Awaitable[object]] = asyncio.sleep, layer: FileLayer = OPERATING_SYSTEM
) -> AsyncIterator[None]:
    """Holds the lock of a repository's folder; raises StorageError when another process holds it for too long."""
    opened = await asyncio.to_thread(Folder.made, folder, FOLDER_MODE, layer=layer)
    with opened:
        for _ in range(TURN_LOOKS):
            try:
                opened.lock_at_once()
                break
            except StorageError as error:
                if "errno" in error.facts:  # nobody holds it, and it cannot be taken
                    raise
            await pause(TURN_PAUSE)
        else:
            opened.lock_at_once()
        yield


class WaitingFolder:
    """Signed metadata in a folder that only the repository itself reads.

    Args:
        root: the folder, such as `imagerepo/waiting`; made by the first file.
        layer: the file operations.
    """

    def __init__(self, root: Path, *, layer: FileLayer = OPERATING_SYSTEM) -> None:
        self._root = root
        self._layer = layer

    async def read(self, name: str) -> bytes | None:
        """A file, or None; raises StorageError, or FormatError for a name that is not one component."""
        return await asyncio.to_thread(self._read, single(name))

    async def write(self, changes: Mapping[str, bytes | None]) -> None:
        """Sets each file to its bytes, or removes it for None, one after the other; raises StorageError."""
        await asyncio.to_thread(self._write, {single(name): raw for name, raw in changes.items()})

    def _read(self, name: str) -> bytes | None:
        folder = Folder.existing(self._root, layer=self._layer)
        if folder is None:
            return None
        with folder:
            return folder.read(name)

    def _write(self, changes: Mapping[str, bytes | None]) -> None:
        folder = Folder.existing(self._root, layer=self._layer)
        if folder is None:
            if not any(changes.values()):
                return
            folder = Folder.made(self._root, WAITING_MODE, layer=self._layer)
        with folder:
            folder.lock()
            folder.remove_unfinished()
            for name, raw in changes.items():
                if raw is None:
                    folder.remove(name)
                else:
                    folder.replace(name, raw, FILE_MODE)
            folder.sync()


def images_in(root: Path, *, layer: FileLayer = OPERATING_SYSTEM) -> Mapping[ImagePath, Callable[[], Iterator[bytes]]]:
    """Every file below a folder as an image of that path, with what opens its bytes.

    Raises:
        StorageError: there is no such folder, or it holds a symbolic link, a pipe or a device.
        FormatError: a file has a name that no image can have.
        EndlessDataError: more than MAX_IMAGES files, or folders in folders more than MAX_DEPTH deep.
    """
    found: dict[ImagePath, Callable[[], Iterator[bytes]]] = {}
    waiting: list[tuple[str, ...]] = [()]
    while waiting:
        parts = waiting.pop()
        with _below(root, parts, layer) as folder:
            for name in folder.names():
                inside = folder.inside(name)
                if inside is not None:
                    inside.close()
                    waiting.append((*parts, name))
                    continue
                path = ImagePath("/".join((*parts, name)))
                file = folder.open_file(name)
                if file is not None:
                    layer.close(file)
                    found[path] = _opener(root, parts, name, layer)
        if len(found) + len(waiting) > MAX_IMAGES or len(parts) > MAX_DEPTH:
            raise EndlessDataError(
                f"{root} has more than {MAX_IMAGES} files, or folders more than {MAX_DEPTH} deep",
                next_step="Name the folder that holds the images, and nothing else.",
            )
    return dict(sorted(found.items()))


def image_file(
    path: Path, name: ImagePath, functions: Sequence[str] = ("sha256", "sha512"), *, layer: FileLayer = OPERATING_SYSTEM
) -> tuple[ImageFile, Callable[[], Iterator[bytes]]]:
    """A file as an image: its length and hashes, for which it is read once in pieces, and what opens its bytes.

    Raises:
        StorageError: there is no such file, or it cannot be read.
    """
    resolved = path.resolve()
    chunks = _opener(resolved.parent, (), resolved.name, layer)
    running, length = [hashlib.new(function) for function in functions], 0
    for chunk in chunks():
        length += len(chunk)
        for each in running:
            each.update(chunk)
    digests = Digests(tuple(zip(functions, (each.digest() for each in running), strict=True)))
    return ImageFile(path=name, length=length, digests=digests), chunks


def _opener(root: Path, parts: tuple[str, ...], name: str, layer: FileLayer) -> Callable[[], Iterator[bytes]]:
    def chunks() -> Iterator[bytes]:
        with _below(root, parts, layer) as folder:
            found = folder.chunks(name)
            if found is None:
                raise StorageError(
                    f"there is no file {folder.path / name}", next_step="Correct its name, or make it again."
                )
            yield from found

    return chunks


@contextmanager
def _below(root: Path, parts: tuple[str, ...], layer: FileLayer) -> Iterator[Folder]:
    """An open folder below another, reached one by one and through no symbolic link."""
    with ExitStack() as opened:
        folder = Folder.existing(root, layer=layer)
        for part in parts:
            folder = None if folder is None else opened.enter_context(folder).inside(part)
        if folder is None:
            raise StorageError(
                f"there is no folder {root.joinpath(*parts)}", next_step="Name the folder that holds the images."
            )
        yield opened.enter_context(folder)
