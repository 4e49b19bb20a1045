"""Published metadata on object storage: a publication is one object first, and then all of its files.

A store has no transaction over several objects. So a publication is written whole into one object, the journal, and
that decides it: whoever uses the store next gives the files their names, as the publisher does at once. The journal is
replaced on the condition that nobody else has replaced it since, so of two publishers one wins. It stays when all is
done, and then tells by its number whether anything was published in between (docs/decisions/0021).
"""

import asyncio
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import MappingProxyType

import msgspec

from uptane.metadata.errors import FormatError, OvertakenError, StorageError
from uptane.signing.ports import MetadataStore
from uptane.storage.folders import JOURNAL, check_publication
from uptane.storage.names import components, single
from uptane.storage.object_store import Found, Objects, Version

PIECE = 1 << 20
"""Bytes that are asked of the store at once for a reader: few requests, and little memory for each reader."""

ATTEMPTS = 5
"""How often a mutable file that somebody else changes at the same time is tried again."""


class _Journal(msgspec.Struct, forbid_unknown_fields=True):
    """The newest publication; `contents` has the bytes of its files while they wait for their names."""

    number: str
    contents: list[bytes] = []
    files: list[tuple[str, int]] = []
    mutable: list[tuple[str, int]] = []

    def __post_init__(self) -> None:
        for name, content in (*self.files, *self.mutable):
            single(name)
            if not 0 <= content < len(self.contents):
                raise FormatError(f"{name} has no content", field="journal")


@dataclass(frozen=True, slots=True)
class _Settled:
    """The journal as it is in the store; without a version there is none yet."""

    journal: _Journal
    version: Version | None

    @property
    def waits(self) -> bool:
        return bool(self.journal.files or self.journal.mutable)


_TURNS: ContextVar[Mapping["PublishedObjects", _Settled]] = ContextVar("turns", default=MappingProxyType({}))
"""The turns that the running task has entered, by store."""


@dataclass(frozen=True, slots=True)
class PublishedObject:
    """An object that a door gives out.

    Args:
        name: under which it was asked for.
        length: in bytes.
        etag: in quotes, as HTTP writes it; other bytes have another one.
    """

    name: str
    length: int
    etag: str
    _objects: Objects
    _version: Version

    async def stream(self, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes]:
        """The bytes from `start` to before `end` (None: the end of the object), in pieces of at most PIECE.

        Raises:
            StorageError: the object was replaced meanwhile, or the store does not answer.
        """
        stop = self.length if end is None else min(end, self.length)
        for begin in range(start, stop, PIECE):
            yield await self._objects.read_part(self.name, begin, min(begin + PIECE, stop), self._version)


class Served:
    """Objects below one URL, for doors and for readers."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._objects!r})"

    async def open(self, name: str) -> PublishedObject | None:
        """Where an HTTP door finds what is published.

        Args:
            name: a relative name as it came from outside, percent-decoded once.

        Returns:
            The object of that name; None where there is none, and where nothing can have that name.

        Raises:
            StorageError: the store does not answer.
        """
        try:
            components(name)
        except FormatError:
            return None
        entry = await self._objects.describe(name)
        if entry is None:
            return None
        tag = entry.version.etag
        return PublishedObject(
            name, entry.length, tag if tag.endswith('"') else f'"{tag}"', self._objects, entry.version
        )


class PublishedObjects(Served, MetadataStore):
    """The published metadata of one repository, or of one vehicle of a Director, on object storage.

    Args:
        objects: those of this repository, and nothing else.
    """

    async def read(self, name: str) -> bytes | None:
        """A file, or None; a publication that was cut off is completed before.

        Raises:
            StorageError: the store does not answer, or its journal is damaged.
            FormatError: the name is not one component.
        """
        found, settled = await asyncio.gather(self._objects.read(single(name)), self._journal())
        if settled.waits:
            await self._complete(settled)
            found = await self._objects.read(name)
        return None if found is None else found.data

    async def publish(self, files: Sequence[tuple[str, bytes]], mutable: Mapping[str, bytes]) -> None:
        """Writes `files`, which are immutable, in their order, and then replaces the `mutable` ones in their order.

        Raises:
            OvertakenError: somebody else has published since this turn began, and nothing has changed.
            StorageError: an immutable file exists with other bytes, and nothing has changed. Where the store stopped
                answering, the next use completes the publication, or it has not begun.
            FormatError: a name is not one component, or stands twice.
        """
        check_publication(files, mutable)
        before = await self._settle()
        turn = _TURNS.get().get(self)
        if turn is not None and turn.version != before.version:
            raise self._busy()
        present = await self._read_all([*(name for name, _ in files), *mutable])
        try:
            new_files = [(name, data) for name, data in files if self._lacks(name, present[name], data)]
        except StorageError:
            if (await self._journal()).version != before.version:
                raise self._busy() from None
            raise
        changed = [(name, data) for name, data in mutable.items() if _differs(present[name], data)]
        if not (new_files or changed):
            return
        journal = _journal_of(new_files, changed)
        version = await self._announce(journal, before.version)
        known = {name: found.version for name, found in present.items() if found is not None}
        after = await self._complete(_Settled(journal, version), known)
        if turn is not None:
            _TURNS.set({**_TURNS.get(), self: after})

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """What is published inside is built on what is read inside.

        Nobody waits and nothing is locked: `publish` is refused where somebody else published after this was entered.
        """
        token = _TURNS.set({**_TURNS.get(), self: await self._settle()})
        try:
            yield
        finally:
            _TURNS.reset(token)

    async def _journal(self) -> _Settled:
        found = await self._objects.read(JOURNAL)
        if found is None:
            return _Settled(_Journal(number=""), None)
        try:
            return _Settled(msgspec.msgpack.decode(found.data, type=_Journal), found.version)
        except (msgspec.DecodeError, FormatError) as error:
            path = self._objects.where(JOURNAL)
            raise StorageError(
                f"{path} cannot be read ({error})",
                next_step="Remove it, and publish a new version.",
                path=path,
            ) from error

    async def _settle(self) -> _Settled:
        """The journal, after a publication that was cut off is completed."""
        settled = await self._journal()
        while settled.waits:
            settled = await self._complete(settled)
        return settled

    async def _read_all(self, names: Iterable[str]) -> dict[str, Found | None]:
        async def one(name: str) -> tuple[str, Found | None]:
            return name, await self._objects.read(name)

        return dict(await asyncio.gather(*map(one, names)))

    async def _announce(self, journal: _Journal, before: Version | None) -> Version:
        raw = msgspec.msgpack.encode(journal)
        version = await self._objects.replace(JOURNAL, raw, before)
        if version is None:
            # A reply may have been lost and the request repeated: then it is our own journal that is in the way.
            present = await self._objects.read(JOURNAL)
            if present is None or present.data != raw:
                raise self._busy()
            version = present.version
        return version

    async def _complete(self, settled: _Settled, known: Mapping[str, Version] | None = None) -> _Settled:
        """Gives the files of a publication their names; several may do so at once, for the same one.

        Args:
            settled: the publication.
            known: of mutable files, the versions before it; they are asked for where it is None.

        Returns:
            The journal afterwards: a later one, where somebody else completed this one and went on.
        """
        journal = settled.journal
        for name, content in journal.files:
            data = journal.contents[content]
            if await self._objects.create(name, data) is None:
                self._lacks(name, await self._objects.read(name), data)
        for name, content in journal.mutable:
            data = journal.contents[content]
            if known is not None and await self._objects.replace(name, data, known.get(name)) is not None:
                continue
            if not await self._replace(name, data, settled):
                return await self._journal()
        done = _Journal(journal.number)
        version = await self._objects.replace(JOURNAL, msgspec.msgpack.encode(done), settled.version)
        return await self._journal() if version is None else _Settled(done, version)

    async def _replace(self, name: str, data: bytes, settled: _Settled) -> bool:
        """Replaces a mutable file; False where the publication was completed by somebody else."""
        for _ in range(ATTEMPTS):
            present = await self._objects.read(name)
            if present is not None and present.data == data:
                return True
            # In this order: what was read belongs to this publication, or to one before it.
            if (await self._journal()).version != settled.version:
                return False
            if await self._objects.replace(name, data, present.version if present else None) is not None:
                return True
        raise StorageError(
            f"{self._objects.where(name)} is changed by somebody else at the same time",
            next_step="Find out who writes there besides this server.",
            path=self._objects.where(name),
        )

    def _lacks(self, name: str, present: Found | None, data: bytes) -> bool:
        if present is None:
            return True
        if present.data == data:
            return False
        path = self._objects.where(name)
        raise StorageError(
            f"{path} exists with other bytes, and a file of that name never changes",
            next_step="Use a new version number, or find out who wrote that file and remove it.",
            path=path,
        )

    def _busy(self) -> OvertakenError:
        return OvertakenError(
            f"somebody else has just published below {self._objects.where('')}, and nothing was changed",
            next_step="Read what is published now, and publish again.",
        )


def _journal_of(files: Sequence[tuple[str, bytes]], mutable: Sequence[tuple[str, bytes]]) -> _Journal:
    """The journal of a publication, with equal contents once: plain names have those of the immutable files."""
    places: dict[bytes, int] = {}
    for _, data in (*files, *mutable):
        places.setdefault(data, len(places))
    return _Journal(
        number=secrets.token_hex(16),
        contents=list(places),
        files=[(name, places[data]) for name, data in files],
        mutable=[(name, places[data]) for name, data in mutable],
    )


def _differs(present: Found | None, data: bytes) -> bool:
    return present is None or present.data != data
