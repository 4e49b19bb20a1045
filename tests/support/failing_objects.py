"""Object storage that stops, or does something else first, at the write that a test chooses."""

import re
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from uptane.metadata.errors import StorageError
from uptane.storage.object_store import Objects, Version
from uptane.storage.object_urls import open_objects

T = TypeVar("T")


def in_memory() -> Objects:
    """A store of its own."""
    return open_objects("memory://")


def prefix_of(name: str) -> str:
    """A prefix of a shared store for a test of that name."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:200]


class Cut(StorageError):
    """The process was ended, or the store did not answer any more."""


class FailingObjects(Objects):
    """The same objects, whose `fail_at`-th write (from 1) and all later ones do not happen.

    Args:
        objects: the store.
        fail_at: number of the write.
        reply_lost: that write happens, but nobody learns of it.
    """

    def __init__(self, objects: Objects, fail_at: int, *, reply_lost: bool = False) -> None:
        super().__init__(objects._store, objects._url, objects._prefix)
        self.fail_at, self.reply_lost = fail_at, reply_lost
        self.writes: list[str] = []

    @property
    def has_failed(self) -> bool:
        """Whether the write that shall fail was reached."""
        return len(self.writes) >= self.fail_at

    async def _step(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        self.writes.append(name)
        count = len(self.writes)
        if count < self.fail_at:
            return await work()
        if count == self.fail_at and self.reply_lost:
            await work()
        raise Cut(f"the store stopped at {name}")

    async def create(self, name: str, data: bytes) -> Version | None:
        return await self._step(name, lambda: super(FailingObjects, self).create(name, data))

    async def replace(self, name: str, data: bytes, version: Version | None) -> Version | None:
        if version is None:
            return await self.create(name, data)
        return await self._step(name, lambda: super(FailingObjects, self).replace(name, data, version))

    async def overwrite(self, name: str, data: bytes) -> None:
        await self._step(name, lambda: super(FailingObjects, self).overwrite(name, data))

    async def receive(self, name: str, chunks: Iterable[bytes], length: int) -> None:
        await self._step(name, lambda: super(FailingObjects, self).receive(name, chunks, length))

    async def copy(self, source: str, name: str) -> None:
        await self._step(name, lambda: super(FailingObjects, self).copy(source, name))

    async def remove(self, name: str) -> None:
        await self._step(name, lambda: super(FailingObjects, self).remove(name))


class StallingObjects(FailingObjects):
    """The same objects; before the `at`-th write, something else happens.

    Args:
        objects: the store.
        at: number of the write.
        meanwhile: what happens.
    """

    def __init__(self, objects: Objects, at: int, meanwhile: Callable[[], Awaitable[object]]) -> None:
        super().__init__(objects, at)
        self.meanwhile = meanwhile

    async def _step(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        self.writes.append(name)
        if len(self.writes) == self.fail_at:
            await self.meanwhile()
        return await work()
