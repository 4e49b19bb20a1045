"""A plain TUF client put together: one repository over HTTP, trusted metadata in a folder, targets in another."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from uptane.formats.plain_tuf import PLAIN_TUF
from uptane.formats.plain_tuf_values import UnsafePath
from uptane.metadata.errors import UnreachableError
from uptane.metadata.identifiers import RepositoryName
from uptane.metadata.targets import ImageFile
from uptane.storage.tuf_folders import DownloadedTargets, TrustedMetadata
from uptane.verification.check_root import load_root
from uptane.verification.plain_tuf import refresh
from uptane.verification.resolve_delegations import TargetsOfRepository, resolve
from uptane.verification.steps import run
from uptane.verification.trusted import Context

if TYPE_CHECKING:
    from uptane.transport.http_client import RepositoryClient

REPOSITORY = RepositoryName("tuf")
"""The name of the repository in messages; a plain TUF client has one only."""

CONNECT_SECONDS, READ_SECONDS = 10.0, 30.0
"""A person waits, on a network that may be busy, and not a vehicle."""


@dataclass(frozen=True, slots=True)
class _Metadata:
    """Metadata files of a repository; the name of a role is no path, whatever it looks like."""

    client: "RepositoryClient"

    def fetch(self, repository: RepositoryName, name: str, limit: int) -> bytes | None:
        """See `Fetcher.fetch`."""
        return self.client.fetch_named(name, limit)


class TufClient:
    """A client of one repository, for one command; its folder is locked until it is closed.

    Args:
        metadata_dir: the folder of its trusted metadata.
        now: the time of the whole command.
    """

    def __init__(self, metadata_dir: Path, now: datetime) -> None:
        self._trusted = TrustedMetadata(metadata_dir)
        self._context = Context(repository=REPOSITORY, profile=PLAIN_TUF, now=now)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._trusted.__exit__(kind, error, at)

    def begin_with(self, root: bytes) -> None:
        """Trusts a Root from now on; raises SecurityError unless it is signed by its own keys."""
        load_root(self._context, root)
        self._trusted.begin_with(root)

    def refresh(self, metadata_url: str) -> "RefreshedClient":
        """Fetches and verifies the four top-level roles.

        Raises:
            ProvisioningError: there is no trusted Root yet.
            SecurityError: a role did not pass; those before it are kept.
            UnreachableError, StorageError: as their names say.
        """
        metadata = _Metadata(_client(metadata_url))
        procedure = refresh(self._context, self._trusted.root(), self._trusted)
        context, verified = run(procedure, metadata, self._trusted)
        catalog = TargetsOfRepository(context, verified.root, verified.snapshot, verified.targets, self._trusted)
        return RefreshedClient(catalog, metadata, self._trusted)


class RefreshedClient:
    """A client whose top-level roles are fresh, so that targets can be looked up and downloaded."""

    def __init__(self, catalog: TargetsOfRepository, metadata: _Metadata, trusted: TrustedMetadata) -> None:
        self._catalog = catalog
        self._metadata = metadata
        self._trusted = trusted

    def download(self, names: Iterable[str], target_dir: Path, target_base_url: str) -> None:
        """Downloads targets in their order, but for those that are there; stops at the first failure.

        Raises:
            SecurityError: nobody with authority lists it, or it is not the listed one.
            UnreachableError, StorageError: as their names say.
        """
        targets = _client(target_base_url)
        with DownloadedTargets(target_dir) as folder:
            for name in names:
                image = run(resolve(self._catalog, UnsafePath(name), None), self._metadata, self._trusted)
                if not folder.holds(image.file):
                    self._fetch(image.file, folder, targets)

    def _fetch(self, file: ImageFile, folder: DownloadedTargets, targets: "RepositoryClient") -> None:
        _, digest = next(iter(file.digests))
        requested = self._catalog.context.profile.requested_image(file.path, digest)
        with targets.stream(requested, file.length) as chunks:
            if chunks is None:
                raise UnreachableError(f"target {file.path} is missing although signed metadata lists it")
            folder.receive(file, chunks)


def _client(url: str) -> "RepositoryClient":
    """The HTTP library is loaded here: it takes a third of the start, and `begin_with` needs none of it."""
    from uptane.transport.http_client import RepositoryClient
    from uptane.transport.limits import TransferLimits

    limits = TransferLimits(connect_seconds=CONNECT_SECONDS, read_seconds=READ_SECONDS)
    return RepositoryClient([url], limits=limits, name=REPOSITORY)
