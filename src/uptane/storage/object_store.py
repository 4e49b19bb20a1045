"""Object storage, and the border where its errors become ours: no text of a foreign error passes it.

Every call of `obstore` runs to its end in a thread of ours. Its asynchronous calls finish on threads of their own, and
those abort the process where they meet an interpreter that is ending (docs/decisions/0021).
"""

import asyncio
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    NotSupportedError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)

from uptane.metadata.errors import StorageError
from uptane.storage.names import UNFINISHED, components

if TYPE_CHECKING:
    from obstore import ObjectMeta, PutMode, UpdateVersion
    from obstore.store import ObjectStore

PART = 8 << 20
"""Bytes of one part of a large upload, at least; a store takes at most MOST_PARTS of them."""

MOST_PARTS = 10_000

PARTS_AT_ONCE = 3
"""Parts of one upload that are on their way at the same time: with PART, what an upload takes of memory."""

CALLS_AT_ONCE = 32
"""Calls of all stores of this process that are on their way at the same time; the others wait."""

_THREADS = ThreadPoolExecutor(CALLS_AT_ONCE, thread_name_prefix="objects")

_STATUS = re.compile(r"status code: (\d{3})\b")
_CODE = re.compile(r"<Code>([A-Za-z0-9]{1,64})</Code>")
_CONDITIONS = "Use a store that knows If-Match and If-None-Match, as S3 does since 2024."
_NEXT_STEPS = {
    "NoSuchBucket": "Make the bucket, or correct its name in the URL.",
    "InvalidAccessKeyId": "Correct the access key of the store.",
    "SignatureDoesNotMatch": "Correct the secret key of the store.",
    "AccessDenied": "Give this key the right to read, write, list and delete below that URL.",
    "RequestTimeTooSkewed": "Set this machine's clock.",
    "NotImplemented": _CONDITIONS,
}
_UNREACHABLE = "See that the store runs and that its endpoint is right, then try again."

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Version:
    """What a store tells one state of an object from another by.

    Args:
        etag: its entity tag, in quotes, as HTTP writes it.
        generation: what some stores count beside it.
    """

    etag: str
    generation: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """An object, whole.

    Args:
        data: its bytes.
        version: of its state.
    """

    data: bytes
    version: Version


@dataclass(frozen=True, slots=True)
class Entry:
    """What a store says of an object.

    Args:
        length: in bytes.
        version: of its state.
        modified: when it was written, by the store's clock, UTC.
    """

    length: int
    version: Version
    modified: datetime


class Objects:
    """The objects below one URL, by relative names with `/` between their components; callers have checked the names.

    Args:
        store: the opened store.
        url: where it is, for messages; it holds no secret.
        prefix: what stands before every name.
    """

    def __init__(self, store: "ObjectStore", url: str, prefix: str = "") -> None:
        self._store = store
        self._url = url
        self._prefix = prefix

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.where('')!r})"

    def below(self, *names: str) -> "Objects":
        """The objects whose names begin with these components; raises FormatError for bad ones."""
        if not names:
            return self
        return type(self)(self._store, self._url, f"{self._prefix}{'/'.join(components('/'.join(names)))}/")

    def where(self, name: str) -> str:
        """The URL of an object, for messages."""
        return f"{self._url}/{self._prefix}{name}"

    async def read(self, name: str) -> Found | None:
        """An object, or None; raises StorageError when the store cannot be asked, or has no such bucket."""
        return await self._call("read", name, self._read, self._key(name))

    async def describe(self, name: str) -> Entry | None:
        """What the store says of an object, or None; raises StorageError as `read` does."""
        return await self._call("read", name, self._describe, self._key(name))

    async def read_part(self, name: str, start: int, end: int, version: Version) -> bytes:
        """The bytes from `start` to before `end` of an object that is still the same.

        Raises:
            StorageError: it is not the same any more, or the store cannot be asked.
        """
        part = await self._call("read", name, self._read_part, self._key(name), start, end, version)
        if part is None or len(part) != end - start:
            raise StorageError(f"{self.where(name)} was replaced while it was read", next_step="Read it again.")
        return part

    async def create(self, name: str, data: bytes) -> Version | None:
        """Writes an object that does not exist yet; None where one of that name does, which stays as it is."""
        return await self._call("write", name, self._put, self._key(name), data, "create")

    async def replace(self, name: str, data: bytes, version: Version | None) -> Version | None:
        """Writes an object whose state is still the given one (None: that does not exist); None where it is not."""
        if version is None:
            return await self.create(name, data)
        mode: UpdateVersion = {"e_tag": version.etag}
        if version.generation is not None:
            mode["version"] = version.generation
        return await self._call("write", name, self._put, self._key(name), data, mode)

    async def overwrite(self, name: str, data: bytes) -> None:
        """Writes an object, whether there is one of that name or not."""
        await self._call("write", name, self._put, self._key(name), data, "overwrite")

    async def receive(self, name: str, chunks: Iterable[bytes], length: int) -> None:
        """Writes an object of any length in parts; it appears when it is whole, and not at all where `chunks` raises.

        Args:
            name: of the object; one that exists is replaced.
            chunks: its bytes, asked for in a thread.
            length: how many there will be, about; parts are made large enough for it.

        Raises:
            StorageError: the store cannot be asked, or is full. What `chunks` raises passes.
        """
        await self._call("write", name, self._receive, self._key(name), chunks, length)

    async def copy(self, source: str, name: str) -> None:
        """Copies an object inside the store, at most 5 GiB of them on S3; one that exists is replaced."""
        await self._call("write", name, obstore.copy, self._store, self._key(source), self._key(name))

    async def remove(self, name: str) -> None:
        """Removes an object, if there is one."""
        await self._call("remove", name, self._remove, self._key(name))

    async def entries(self, folder: str) -> Mapping[str, Entry]:
        """The objects whose names begin with a folder's, by name."""
        return await self._call("list", folder, self._entries, self._key(folder))

    async def prove(self) -> None:
        """Writes, reads and removes an object of its own, for a look at the store before it is relied on.

        Raises:
            StorageError: the store does not answer, may not be written to, or writes where a condition does not hold.
        """
        name = f"{UNFINISHED}proof-{secrets.token_hex(16)}"
        first = await self.create(name, b"1")
        try:
            again = await self.create(name, b"2")
            second = await self.replace(name, b"3", first)
            stale = await self.replace(name, b"4", first)
            found = await self.read(name)
        finally:
            await self.remove(name)
        if first is None or second is None or again or stale or found is None or found.data != b"3":
            raise StorageError(f"{self.where('')} does not keep the conditions of a write", next_step=_CONDITIONS)

    def _key(self, name: str) -> str:
        return self._prefix + name

    async def _call(self, action: str, name: str, work: Callable[..., T], *arguments: object) -> T:
        def in_thread() -> T:
            with self._errors(action, name):
                return work(*arguments)

        return await asyncio.get_running_loop().run_in_executor(_THREADS, in_thread)

    def _read(self, key: str) -> Found | None:
        try:
            answer = obstore.get(self._store, key)
            return Found(answer.bytes().to_bytes(), _version(answer.meta))
        except FileNotFoundError as error:
            _refuse_missing_bucket(error)
            return None

    def _describe(self, key: str) -> Entry | None:
        try:
            return _entry(obstore.head(self._store, key))
        except FileNotFoundError as error:
            _refuse_missing_bucket(error)
            return None

    def _read_part(self, key: str, start: int, end: int, version: Version) -> bytes | None:
        try:
            answer = obstore.get(self._store, key, options={"range": (start, end), "if_match": version.etag})
            return answer.bytes().to_bytes()
        except (FileNotFoundError, PreconditionError):
            return None

    def _put(self, key: str, data: bytes, mode: "PutMode") -> Version | None:
        try:
            done = obstore.put(self._store, key, data, mode=mode, use_multipart=False)
        except (AlreadyExistsError, PreconditionError):
            return None
        return _version(done)

    def _receive(self, key: str, chunks: Iterable[bytes], length: int) -> None:
        part = max(PART, -(-length // MOST_PARTS))
        obstore.put(self._store, key, chunks, use_multipart=True, chunk_size=part, max_concurrency=PARTS_AT_ONCE)

    def _remove(self, key: str) -> None:
        try:
            obstore.delete(self._store, key)
        except FileNotFoundError as error:
            _refuse_missing_bucket(error)

    def _entries(self, folder: str) -> Mapping[str, Entry]:
        found = obstore.list(self._store, folder)
        return {meta["path"].removeprefix(self._prefix): _entry(meta) for metas in found for meta in metas}

    @contextmanager
    def _errors(self, action: str, name: str) -> Iterator[None]:
        try:
            yield
        except (BaseError, FileNotFoundError) as error:
            # The text of the error stays here: stores repeat keys and signatures in what they answer.
            raise _as_ours(f"cannot {action} {self.where(name)}", error) from None


class _NoBucketError(FileNotFoundError):
    """A bucket is missing, and not an object in it."""


def _refuse_missing_bucket(error: FileNotFoundError) -> None:
    if "<Code>NoSuchBucket</Code>" in str(error):
        raise _NoBucketError(str(error)) from None


def _as_ours(what: str, error: Exception) -> StorageError:
    text = str(error)
    status, code = _STATUS.search(text), _CODE.search(text)
    reason = code.group(1) if code else f"HTTP status {status.group(1)}" if status else ""
    if isinstance(error, PermissionDeniedError | UnauthenticatedError):
        reason, otherwise = reason or "access is denied", _NEXT_STEPS["AccessDenied"]
    elif isinstance(error, FileNotFoundError):
        reason, otherwise = reason or "it does not exist", "See that the bucket and the object exist."
    elif isinstance(error, NotSupportedError):
        reason, otherwise = "the store cannot write on a condition", _CONDITIONS
    elif status:
        otherwise = "See the store's own log, then try again."
    else:
        reason, otherwise = "it does not answer", _UNREACHABLE
    return StorageError(f"{what}: {reason}", next_step=_NEXT_STEPS.get(reason, otherwise), reason=reason)


def _version(meta: "Mapping[str, object]") -> Version:
    tag, generation = meta["e_tag"], meta.get("version")
    if tag is None:
        raise NotSupportedError("no entity tag")
    return Version(str(tag), None if generation is None else str(generation))


def _entry(meta: "ObjectMeta") -> Entry:
    return Entry(meta["size"], _version(meta), meta["last_modified"])
