"""A client's trust in one repository, as the archived TUF fork updated it.

Known weaknesses stay: a new Root is checked with the keys of the old one only, Snapshot's version is not looked at, and
older Targets are taken for current ones.
"""

import http.client
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from archived.der import epoch
from archived.errors import (
    ArchivedError,
    BadHashError,
    BadSignatureError,
    BadVersionNumberError,
    DownloadLengthMismatchError,
    ExpiredMetadataError,
    NoWorkingMirrorError,
    ReplayedMetadataError,
    UnknownTargetError,
)
from archived.repository import describe
from archived.signatures import Key
from archived.wire_format import WireFormat

LIMITS = {"timestamp": 16_384, "root": 512_000, "snapshot": 2_000_000, "targets": 5_000_000}
TIMEOUT = 10.0
_DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Mirror(Protocol):
    """Where a repository's files come from."""

    def url(self, path: str) -> str:
        """A name for the file, for errors."""
        ...

    def read(self, path: str, limit: int) -> bytes:
        """At most `limit` bytes of a file, and one more if it is longer."""
        ...


class HttpMirror:
    """A repository over HTTP.

    Args:
        base: its URL, without a slash at the end.
    """

    def __init__(self, base: str) -> None:
        self._base = base

    def url(self, path: str) -> str:
        """The file's URL."""
        return f"{self._base}/{urllib.parse.quote(path)}"

    def read(self, path: str, limit: int) -> bytes:
        """Fetches the file."""
        with _DIRECTLY.open(self.url(path), timeout=TIMEOUT) as answer:
            content: bytes = answer.read(limit + 1)
            return content


class ArchiveMirror:
    """A repository's files as a Primary packed them.

    Args:
        files: all that was unpacked, by path.
        repository: which repository's.
    """

    def __init__(self, files: Mapping[str, bytes], repository: str) -> None:
        self._files = files
        self._repository = repository

    def url(self, path: str) -> str:
        """The file's place in the archive."""
        return f"file:{self._repository}/{path}"

    def read(self, path: str, limit: int) -> bytes:
        """The file's bytes."""
        try:
            return self._files[f"{self._repository}/{path}"][: limit + 1]
        except KeyError:
            raise FileNotFoundError(self.url(path)) from None


@contextmanager
def failing_as(url: str) -> Iterator[None]:
    """Whatever is wrong with one file becomes a NoWorkingMirrorError, with the reason."""
    try:
        yield
    except (ArchivedError, OSError, http.client.HTTPException, ValueError, LookupError, TypeError) as error:
        raise NoWorkingMirrorError({url: error}) from error


def check_content(data: bytes, info: Mapping[str, Any]) -> None:
    """Compares bytes with the length and hashes that signed metadata states.

    Raises:
        DownloadLengthMismatchError: another length.
        BadHashError: another hash.
    """
    if len(data) != info["length"]:
        raise DownloadLengthMismatchError(f"{len(data)} bytes instead of {info['length']}")
    if describe(data, *info["hashes"])["hashes"] != info["hashes"]:
        raise BadHashError("content with another hash")


class TrustedMetadata:
    """The metadata of one repository that a client has verified.

    Args:
        wire: its format.
        mirror: where to fetch newer files.
        root: the Root file that is trusted to begin with.
        now: the client's clock, in seconds since 1970.
    """

    def __init__(self, wire: WireFormat, mirror: Mirror, root: bytes, now: Callable[[], float] = time.time) -> None:
        self.mirror = mirror
        self.now = now
        self._wire = wire
        self.files = {"root": root}
        self._signed = {"root": wire.from_bytes(root)["signed"]}

    @property
    def targets(self) -> dict[str, Any]:
        """Path to file information, of the verified Targets."""
        targets: dict[str, Any] = self._signed["targets"]["targets"]
        return targets

    def refresh(self) -> None:
        """Updates all roles; on failure tries once more with the newest Root.

        Raises:
            NoWorkingMirrorError: a role cannot be updated.
        """
        if epoch(self._signed["root"]["expires"]) < self.now():
            self._fetch_newest_root()
        try:
            self._update()
        except NoWorkingMirrorError:
            self._fetch_newest_root()
            self._update()

    def _update(self) -> None:
        self._fetch("timestamp", least=self._version("timestamp"))
        name = self._wire.filename
        snapshot_info = self._signed["timestamp"]["meta"][name("snapshot")]
        if self._differs("snapshot", snapshot_info):
            self._fetch("snapshot", info=snapshot_info)
        listed = self._signed["snapshot"]["meta"]
        if self._differs("root", listed[name("root")]):
            self._fetch("root", info=listed[name("root")])
        version = listed[name("targets")]["version"]
        if version > self._version("targets"):
            self._fetch("targets", exactly=version)

    def _fetch_newest_root(self) -> None:
        self._fetch("root", least=self._version("root"))

    def _version(self, role: str) -> int:
        version: int = self._signed[role]["version"] if role in self._signed else 0
        return version

    def _differs(self, role: str, info: Mapping[str, Any]) -> bool:
        if role not in self.files:
            return True
        found = describe(self.files[role], *info["hashes"])
        return bool(found["length"] != info["length"] or found["hashes"] != info["hashes"])

    def _fetch(
        self, role: str, *, info: Mapping[str, Any] | None = None, least: int = 0, exactly: int | None = None
    ) -> None:
        path = f"metadata/{self._wire.filename(role)}"
        with failing_as(self.mirror.url(path)):
            data = self.mirror.read(path, LIMITS[role] if info is None else info["length"])
            if info is not None:
                check_content(data, info)
            elif len(data) > LIMITS[role]:
                raise DownloadLengthMismatchError(f"more than {LIMITS[role]} bytes")
            signable = self._wire.from_bytes(data)
            signed = signable["signed"]
            if signed["_type"] != role.capitalize():
                raise ArchivedError(f"{signed['_type']} metadata in place of {role}")
            if signed["version"] < least:
                raise ReplayedMetadataError(f"{role} {signed['version']} is older than the trusted {least}")
            if exactly is not None and signed["version"] != exactly:
                raise BadVersionNumberError(f"{role} {signed['version']} instead of {exactly}")
            if epoch(signed["expires"]) < self.now():
                raise ExpiredMetadataError(f"{role} expired at {signed['expires']}")
            self._check_signatures(role, signable)
            self.files[role], self._signed[role] = data, signed

    def _check_signatures(self, role: str, signable: Mapping[str, Any]) -> None:
        root = self._signed["root"]
        trusted, message = root["roles"][role], self._wire.message(signable["signed"])
        good = sum(
            signature["keyid"] in trusted["keyids"]
            and Key.from_struct(root["keys"][signature["keyid"]]).verifies(signature, message)
            for signature in signable["signatures"]
        )
        if good < trusted["threshold"]:
            raise BadSignatureError(f"{good} good signatures on {role} instead of {trusted['threshold']}")


def target_both_agree_on(path: str, director: TrustedMetadata, image_repository: TrustedMetadata) -> dict[str, Any]:
    """The Director's information on a target.

    Raises:
        UnknownTargetError: the Image repository lists none with that length and those hashes.
    """
    ours, theirs = director.targets[path], image_repository.targets.get(path)
    if theirs is None or (ours["length"], ours["hashes"]) != (theirs["length"], theirs["hashes"]):
        raise UnknownTargetError(f"the Image repository does not list {path} as the Director does")
    result: dict[str, Any] = ours
    return result
