"""What a repository publishes, in folders: metadata that appears as one set, and images under their hashes."""

import asyncio
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import datetime
from functools import partial
from itertools import zip_longest
from pathlib import Path

import msgspec

from uptane.metadata.digests import HASH_FUNCTIONS, Digests
from uptane.metadata.errors import FormatError, StorageError
from uptane.metadata.identifiers import ImagePath
from uptane.metadata.targets import ImageFile
from uptane.signing.ports import MetadataStore
from uptane.storage.atomic_files import OPERATING_SYSTEM, FileLayer, Folder, NewFile, changes
from uptane.storage.incoming_images import INCOMING, IncomingImages, holds, name_again, tidy
from uptane.storage.names import UNFINISHED, components, is_hashed, single
from uptane.storage.published_file import PublishedFile, find_file
from uptane.verification.verify_image import check_bytes

FOLDER_MODE = 0o755
FILE_MODE = 0o644

JOURNAL = f"{UNFINISHED}publication"
"""The list of the files of a publication that are on disk and wait for their names."""

_TEMPORARY = re.compile(re.escape(UNFINISHED) + "[0-9a-f]{16}")


class _Publication(msgspec.Struct, forbid_unknown_fields=True):
    """The journal: pairs of temporary name and name, immutable files first."""

    files: list[tuple[str, str]]
    mutable: list[tuple[str, str]]


class _Published:
    """A folder of published files; its lock, held while writing, lets several processes write one after another."""

    def __init__(self, root: Path, *, layer: FileLayer = OPERATING_SYSTEM) -> None:
        self._root = root
        self._layer = layer
        self._tidied: set[tuple[str, ...]] = set()

    @property
    def root(self) -> Path:
        """The folder."""
        return self._root

    def open_for_reading(self, name: str) -> Path | None:
        """Where a static HTTP door finds a published file.

        Args:
            name: a relative name as it came from outside, percent-decoded once.

        Returns:
            The path of a regular file inside the root, reached without any symbolic link; None for everything else.
        """
        file = self._opened_file(name)
        if file is None:
            return None
        self._layer.close(file)
        return self._root.joinpath(*components(name))

    async def open(self, name: str) -> PublishedFile | None:
        """Where a door that streams finds a published file; name and None as for `open_for_reading`."""
        return await asyncio.to_thread(find_file, partial(self._opened_file, name))

    def _opened_file(self, name: str) -> int | None:
        try:
            parts = components(name)
            with self._below(parts[:-1]) as folder:
                return None if folder is None else folder.open_file(parts[-1])
        except (FormatError, StorageError):
            return None

    def _read(self, name: str) -> bytes | None:
        parts = components(name)
        with self._below(parts[:-1]) as folder:
            return None if folder is None else folder.read(parts[-1])

    @contextmanager
    def _below(self, parts: tuple[str, ...], create: int | None = None) -> Iterator[Folder | None]:
        """The folder that `parts` lead to, one by one and never through a symbolic link."""
        with ExitStack() as opened:
            folder: Folder | None
            if create is None:
                folder = Folder.existing(self._root, layer=self._layer)
            else:
                folder = Folder.made(self._root, create, layer=self._layer)
            for part in parts:
                if folder is not None:
                    folder = opened.enter_context(folder).inside(part, create=create)
            if folder is not None:
                opened.enter_context(folder)
            yield folder

    def _tidy(self, folder: Folder, parts: tuple[str, ...] = ()) -> None:
        """Removes, once for each folder and under the lock, what a crash left unfinished."""
        if parts not in self._tidied:
            for name in folder.unfinished():
                if name != INCOMING:
                    folder.remove(name)
            self._tidied.add(parts)


class PublishedFolder(_Published, MetadataStore):
    """The published metadata of one repository, or of one vehicle of a Director.

    A publication first puts all its files on disk under temporary names, then writes a journal, then gives each file
    its name. A crash before the journal leaves the old set; after it, the next use completes the new set.

    Args:
        root: the folder, such as `imagerepo/metadata`; made by the first publication.
        layer: the file operations.
    """

    async def read(self, name: str) -> bytes | None:
        """A file, or None.

        Raises:
            StorageError: it is a symbolic link, or cannot be read.
            FormatError: the name is not one component.
        """
        return await asyncio.to_thread(self._read_completed, single(name))

    async def publish(self, files: Sequence[tuple[str, bytes]], mutable: Mapping[str, bytes]) -> None:
        """Writes `files`, which are immutable, in their order, and then replaces the `mutable` ones in their order.

        Raises:
            StorageError: an immutable file exists with other bytes, or the disk is full: nothing has changed. Where
                a file could not be given its name any more, the next use completes the publication.
            FormatError: a name is not one component, or stands twice.
        """
        check_publication(files, mutable)
        await asyncio.to_thread(self._publish, list(files), dict(mutable))

    def _read_completed(self, name: str) -> bytes | None:
        with self._below(()) as folder:
            if folder is None:
                return None
            if folder.read(JOURNAL) is not None:
                folder.lock()
                self._complete(folder)
            return folder.read(name)

    def _publish(self, files: list[tuple[str, bytes]], mutable: dict[str, bytes]) -> None:
        with Folder.made(self._root, FOLDER_MODE, layer=self._layer) as folder:
            folder.lock()
            self._complete(folder)
            self._tidy(folder)
            new_files = [(name, data) for name, data in files if folder.lacks(name, data)]
            changed = [(name, data) for name, data in mutable.items() if folder.read(name) != data]
            with ExitStack() as unfinished:
                publication = _Publication(
                    [(_staged(folder, data, unfinished).temporary, name) for name, data in new_files],
                    [(_staged(folder, data, unfinished).temporary, name) for name, data in changed],
                )
                if not (publication.files or publication.mutable):
                    return
                self._announce(folder, publication)
                unfinished.pop_all()
            self._give_names(folder, publication)

    def _announce(self, folder: Folder, publication: _Publication) -> None:
        folder.sync()
        try:
            folder.replace(JOURNAL, msgspec.json.encode(publication), FILE_MODE)
        except StorageError:
            with suppress(StorageError):
                folder.remove(JOURNAL)
            raise

    def _complete(self, folder: Folder) -> None:
        """Completes, under the lock, a publication that was interrupted after its journal."""
        raw = folder.read(JOURNAL)
        if raw is None:
            return
        try:
            publication = msgspec.json.decode(raw, type=_Publication)
            for temporary, name in (*publication.files, *publication.mutable):
                single(name)
                if not _TEMPORARY.fullmatch(temporary):
                    raise FormatError(f"not the name of an unfinished file: {temporary!r}", field="file name")
        except (msgspec.DecodeError, FormatError) as error:
            path = folder.path / JOURNAL
            raise StorageError(
                f"{path} cannot be read ({error})",
                next_step="Remove it, and publish a new version.",
                path=str(path),
            ) from error
        self._give_names(folder, publication)

    def _give_names(self, folder: Folder, publication: _Publication) -> None:
        # A temporary file that is gone has its name already: an earlier attempt came that far.
        waiting = set(folder.unfinished())
        for phase in (publication.files, publication.mutable):
            for temporary, name in phase:
                if temporary in waiting:
                    folder.rename(temporary, name)
            folder.sync()
        folder.remove(JOURNAL)


class ImageFolder(_Published):
    """The published images of a repository.

    Args:
        root: the folder, such as `imagerepo/targets`; made by the first image.
        layer: the file operations.
    """

    async def add(self, path: ImagePath, data: bytes, functions: Sequence[str] = ("sha256", "sha512")) -> ImageFile:
        """Stores an image under `FOLDER/HASH.FILE` for each hash, and then under its plain name (STD-5.2.7-3).

        Returns:
            Its name, length and hashes, as Targets metadata lists them.

        Raises:
            StorageError: the disk is full, a symbolic link is in the way, or a file of the hash's name holds other
                bytes; the plain name is untouched.
            FormatError: the name cannot be stored, or looks hash-qualified itself; an unknown hash function.
        """
        return await asyncio.to_thread(self._add, described(path, data, functions), data)

    async def add_all(self, images: Sequence[tuple[ImageFile, Iterable[bytes]]]) -> None:
        """Stores images under each `FOLDER/HASH.FILE`, and under no other name.

        All bytes are on disk before the first image has a name. An attempt that was cut off in between is gone on with:
        bytes that are there are compared and not written again. When power fails later, some of the images may have
        names already: nobody looks for them before they are listed.

        Raises:
            EndlessDataError, LengthMismatchError, BadHashError: an image is not the listed one; nothing of it is left.
            StorageError: the disk is full, a symbolic link is in the way, or a file of the hash's name holds other
                bytes.
            FormatError: a name cannot be stored, or looks hash-qualified itself.
        """
        for file, _ in images:
            components(file.path)
            check_not_hashed(file.path)
        await asyncio.to_thread(self._add_all, images)

    async def name_plainly(self, files: Sequence[ImageFile]) -> None:
        """Gives images that `add_all` stored their plain names, in place of earlier ones; raises StorageError."""
        await asyncio.to_thread(self._name_plainly, files)

    async def tidy(self, older_than: datetime) -> int:
        """Removes what uploads left that were cut off, unless somebody uploads now.

        Args:
            older_than: UTC; what was written later may be gone on with.

        Returns:
            How many files were removed.
        """
        return await asyncio.to_thread(self._tidy_incoming, older_than.timestamp())

    async def read(self, name: str) -> bytes | None:
        """The bytes of an image by its plain or hash-qualified name, or None.

        Raises:
            StorageError: a symbolic link is in the way, or it cannot be read.
            FormatError: the name would leave the folder.
        """
        return await asyncio.to_thread(self._read, name)

    def _add(self, file: ImageFile, data: bytes) -> ImageFile:
        *parents, plain = components(file.path)
        parts = tuple(parents)
        with Folder.made(self._root, FOLDER_MODE, layer=self._layer) as root, ExitStack() as unfinished:
            root.lock()
            folder = self._opened(parts, unfinished)
            hashed = [components(name)[-1] for name in hashed_names(file)]
            names = [*(name for name in hashed if folder.lacks(name, data)), plain]
            staged = [(_staged(folder, data, unfinished), name) for name in names]
            for new, name in staged:
                new.move_to(name)
            folder.sync()
        return file

    def _add_all(self, images: Sequence[tuple[ImageFile, Iterable[bytes]]]) -> None:
        with Folder.made(self._root, FOLDER_MODE, layer=self._layer) as root, ExitStack() as opened:
            incoming = opened.enter_context(IncomingImages(root, FILE_MODE))
            new = []
            for file, chunks in images:
                if self._holds(file):
                    check_bytes([(file, chunks)])
                    incoming.forget(file)
                else:
                    incoming.receive(file, chunks)
                    new.append(file)
            root.lock()
            folders = {parents: self._opened(parents, opened) for parents in {_parents(file) for file, _ in images}}
            for file, _ in images:
                _refuse_folder(folders[_parents(file)], file.path.file)
            for file in new:
                for name in hashed_names(file):
                    _link(incoming, file, folders[_parents(file)], components(name)[-1])
            for folder in folders.values():
                folder.sync()

    def _holds(self, file: ImageFile) -> bool:
        """Whether an image has all its names with hashes; raises StorageError where other bytes have one."""
        with self._below(_parents(file)) as folder:
            return folder is not None and holds(folder, [components(name)[-1] for name in hashed_names(file)], file)

    def _tidy_incoming(self, older_than: float) -> int:
        with self._below(()) as root:
            return 0 if root is None else tidy(root, older_than)

    def _name_plainly(self, files: Sequence[ImageFile]) -> None:
        with Folder.made(self._root, FOLDER_MODE, layer=self._layer) as root:
            root.lock()
            for file in files:
                with ExitStack() as opened:
                    folder = self._opened(_parents(file), opened)
                    name_again(folder, components(hashed_names(file)[0])[-1], file.path.file)

    def _opened(self, parts: tuple[str, ...], opened: ExitStack) -> Folder:
        """A folder below the root, made where it is missing, and tidied; under the lock."""
        folder = opened.enter_context(self._below(parts, FOLDER_MODE))
        if folder is None:
            raise StorageError(f"{self._root.joinpath(*parts)} was removed", next_step="Add the image again.")
        self._tidy(folder, parts)
        return folder


def _parents(file: ImageFile) -> tuple[str, ...]:
    return components(file.path)[:-1]


def _refuse_folder(folder: Folder, name: str) -> None:
    inside = folder.inside(name)
    if inside is not None:
        inside.close()
        raise StorageError(
            f"{folder.path / name} is a folder, so no image can have that name", next_step="Give it another name."
        )


def _link(incoming: IncomingImages, file: ImageFile, folder: Folder, name: str) -> None:
    """Gives an image a name with its hash; raises StorageError where other bytes have it."""
    if incoming.link(file, folder, name):
        return
    present, offered = folder.chunks(name), incoming.chunks(file)
    if present is not None:
        with closing(present):
            if all(one == other for one, other in zip_longest(present, offered)):
                return
    raise changes(folder.path / name)


def check_publication(files: Sequence[tuple[str, bytes]], mutable: Mapping[str, bytes]) -> None:
    """Raises FormatError unless every name is one component and stands once."""
    names = [single(name) for name in (*(name for name, _ in files), *mutable)]
    if len(set(names)) != len(names):
        raise FormatError("a name stands twice in one publication", field="file name")


def described(path: ImagePath, data: bytes, functions: Sequence[str] = ("sha256", "sha512")) -> ImageFile:
    """The name, length and hashes of an image.

    Raises:
        FormatError: an unknown hash function, or a plain name that looks hash-qualified: publishing it could replace
            the immutable file of another image.
    """
    path = ImagePath(path)
    components(path)
    check_not_hashed(path)
    if not HASH_FUNCTIONS.keys() >= set(functions):
        raise FormatError(f"not all supported hash functions: {', '.join(functions)}", field="hashes")
    return ImageFile(path=path, length=len(data), digests=Digests.of(data, functions))


def check_not_hashed(path: ImagePath) -> None:
    """Raises FormatError for a plain name that looks hash-qualified."""
    if is_hashed(path.file):
        raise FormatError(f"an image's own name must not begin with a hash and a dot: {path!r}", field="image path")


def hashed_names(file: ImageFile) -> tuple[str, ...]:
    """`FOLDER/HASH.FILE` for each hash of an image (STD-5.2.7-3)."""
    return tuple(f"{file.path.folder}{digest.hex()}.{file.path.file}" for _, digest in file.digests)


def _staged(folder: Folder, data: bytes, unfinished: ExitStack) -> NewFile:
    new = unfinished.enter_context(folder.new_file(FILE_MODE))
    new.write(data)
    new.finish()
    return new
