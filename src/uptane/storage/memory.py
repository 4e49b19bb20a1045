"""Stand-ins that keep everything in memory and behave as the folders do, errors included; for tests and trials."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from uptane.metadata.errors import StorageError
from uptane.metadata.identifiers import ImagePath
from uptane.metadata.targets import ImageFile
from uptane.signing.ports import MetadataStore
from uptane.storage.folders import check_not_hashed, check_publication, described, hashed_names
from uptane.storage.image_slots import CHUNK
from uptane.storage.names import components, single, word
from uptane.vehicle.ports import EcuStore, ImageSlots, ImageWriter, PartialImage
from uptane.verification.verify_image import verified_bytes


class MemoryEcuStore(EcuStore):
    """An `EcuStore` that forgets everything with its process."""

    def __init__(self) -> None:
        self._values: dict[str, bytes] = {}

    def read(self, name: str) -> bytes | None:
        """The value, or None when there is none; raises FormatError for what is no name."""
        components(name)
        return self._values.get(name)

    def names(self, prefix: str) -> tuple[str, ...]:
        """The names that start with `prefix`, sorted."""
        return tuple(sorted(name for name in self._values if name.startswith(prefix)))

    def write(self, changes: Mapping[str, bytes | None]) -> None:
        """Sets each name to its value, or removes it for None: all of them or, after a FormatError, none."""
        values = dict(self._values)
        for name, value in changes.items():
            components(name)
            if value is None:
                values.pop(name, None)
            else:
                values[name] = bytes(value)
        self._values = values


class MemoryImageSlots(ImageSlots):
    """`ImageSlots` that forget everything with their process."""

    def __init__(self) -> None:
        self._images: dict[str, bytes] = {}
        self._partial: tuple[str, bytearray] = "", bytearray()

    @contextmanager
    def receive(self, name: str) -> Iterator[ImageWriter]:
        """Opens a new image; leaving the context without `keep()` drops what was written."""
        yield _MemoryWriter(self._images, word(name))

    @contextmanager
    def resume(self, name: str) -> Iterator[PartialImage]:
        """Opens an image that was cut off, or a new one; leaving the context keeps what came."""
        if self._partial[0] != word(name):
            self._partial = name, bytearray()
        partial = _MemoryPartial(self._images, name, self._partial[1])
        try:
            yield partial
        except StorageError:
            partial.restart()
            raise

    def chunks(self, name: str) -> Iterator[bytes] | None:
        """The bytes of an image in pieces of at most CHUNK bytes, or None when there is none."""
        data = self._images.get(word(name))
        if data is None:
            return None
        return (data[start : start + CHUNK] for start in range(0, len(data), CHUNK))

    def keep_only(self, names: frozenset[str]) -> None:
        """Removes every image that is not named, also one that was cut off."""
        for name in self._images.keys() - names:
            del self._images[name]
        if self._partial[0] not in names:
            self._partial = "", bytearray()


class _MemoryWriter(ImageWriter):
    def __init__(self, images: dict[str, bytes], name: str, data: bytearray | None = None) -> None:
        self._images, self._name = images, name
        self._data = bytearray() if data is None else data
        self._kept = False

    def write(self, chunk: bytes) -> None:
        """Appends bytes; raises StorageError after `keep()`."""
        if self._kept:
            raise StorageError(f"the image {self._name} was kept before it was whole")
        self._data += chunk

    def keep(self) -> None:
        """Stores the image under its name, replacing an earlier one of that name; again is fine."""
        if not self._kept:
            self._images[self._name] = bytes(self._data)
            self._kept = True


class _MemoryPartial(_MemoryWriter, PartialImage):
    def chunks(self) -> Iterator[bytes]:
        """What came so far, in pieces of at most CHUNK bytes."""
        came = bytes(self._data)
        return (came[start : start + CHUNK] for start in range(0, len(came), CHUNK))

    def restart(self) -> None:
        """Throws away what came so far."""
        self._data.clear()

    def keep(self) -> None:
        """Stores the image under its name, replacing an earlier one of that name; again is fine."""
        super().keep()
        self._data.clear()


class MemoryPublished(MetadataStore):
    """A `MetadataStore` that forgets everything with its process."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}

    async def read(self, name: str) -> bytes | None:
        """A file, or None; raises FormatError for a name that is not one component."""
        return self._files.get(single(name))

    async def publish(self, files: Sequence[tuple[str, bytes]], mutable: Mapping[str, bytes]) -> None:
        """Writes `files`, which are immutable, and replaces the `mutable` ones.

        Raises:
            StorageError: an immutable file exists with other bytes; nothing has changed.
            FormatError: a name is not one component, or stands twice; nothing has changed.
        """
        check_publication(files, mutable)
        for name, data in files:
            _refuse_change(self._files, name, data)
        self._files.update(files)
        self._files.update(mutable)


class MemoryImages:
    """Published images that are forgotten with their process."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}

    async def add(self, path: ImagePath, data: bytes, functions: Sequence[str] = ("sha256", "sha512")) -> ImageFile:
        """Stores an image under `FOLDER/HASH.FILE` for each hash, and under its plain name (STD-5.2.7-3).

        Raises:
            StorageError: the name would need a file to be a folder, or a folder a file.
            FormatError: the name cannot be stored, or looks hash-qualified itself; an unknown hash function.
        """
        file = described(path, data, functions)
        for other in self._files:
            if other.startswith(f"{file.path}/") or file.path.startswith(f"{other}/"):
                raise StorageError(f"{file.path} and {other} cannot both be stored", next_step="Rename one of them.")
        for name in hashed_names(file):
            _refuse_change(self._files, name, data)
        self._files.update(dict.fromkeys((*hashed_names(file), file.path), data))
        return file

    async def add_all(self, images: Sequence[tuple[ImageFile, Iterable[bytes]]]) -> None:
        """Stores images under each `FOLDER/HASH.FILE` only: all of them or, after an error of any, none.

        Raises:
            EndlessDataError, LengthMismatchError, BadHashError: an image is not the listed one.
            StorageError: a file of the hash's name holds other bytes.
            FormatError: a name cannot be stored, or looks hash-qualified itself.
        """
        for file, _ in images:
            components(file.path)
            check_not_hashed(file.path)
        whole = [(file, b"".join(verified_bytes(file, chunks))) for file, chunks in images]
        files = {name: data for file, data in whole for name in hashed_names(file)}
        for name, data in files.items():
            _refuse_change(self._files, name, data)
        self._files.update(files)

    async def name_plainly(self, files: Sequence[ImageFile]) -> None:
        """Gives images that `add_all` stored their plain names, in place of earlier ones."""
        self._files.update({file.path: self._files[hashed_names(file)[0]] for file in files})

    async def read(self, name: str) -> bytes | None:
        """The bytes of an image by its plain or hash-qualified name, or None; raises FormatError for a bad name."""
        components(name)
        return self._files.get(name)


class MemoryWaiting:
    """Metadata that waits for signatures until its process ends."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}

    async def read(self, name: str) -> bytes | None:
        """A file, or None; raises FormatError for a name that is not one component."""
        return self._files.get(single(name))

    async def write(self, changes: Mapping[str, bytes | None]) -> None:
        """Sets each file to its bytes, or removes it for None."""
        for name, raw in changes.items():
            if raw is None:
                self._files.pop(single(name), None)
            else:
                self._files[single(name)] = raw


def _refuse_change(files: Mapping[str, bytes], name: str, data: bytes) -> None:
    if files.get(name, data) != data:
        raise StorageError(
            f"{name} exists with other bytes, and a file of that name never changes",
            next_step="Use a new version number.",
            path=name,
        )
