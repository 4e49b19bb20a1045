"""TUF clients of a simulated repository: `uptane-tuf-client` over HTTP, and `tuf.ngclient` to compare it with."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, tzinfo
from pathlib import Path
from unittest import mock

from tuf.api.exceptions import DownloadError, DownloadHTTPError, RepositoryError
from tuf.ngclient import FetcherInterface, Updater
from tuf_simulator import Served, TufSimulator, in_days, serving

from uptane.cli import tuf_client


class Runner:
    """One client with its two folders; each command is a run of `main` that remembers nothing but what is in them."""

    def __init__(self, folder: Path, repository: TufSimulator, served: Served) -> None:
        self.folder, self.repository, self.served = folder, repository, served
        self.metadata, self.downloads = folder / "metadata", folder / "downloads"
        self.metadata.mkdir()
        self.downloads.mkdir()

    def options(self, *names: str) -> list[str]:
        """The options of refresh, and of download where names are given."""
        words = ["--metadata-url", f"{self.served.url}/metadata", "--metadata-dir", str(self.metadata)]
        for name in names:
            words += ["--target-name", name]
        if names:
            words += ["--target-dir", str(self.downloads), "--target-base-url", f"{self.served.url}/targets"]
        return words

    def run(self, words: Sequence[str], days: float = 0) -> int:
        """One command, that many days from now."""

        class Later(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
                return in_days(days)

        with mock.patch.object(tuf_client, "datetime", Later):
            return tuf_client.main(words)

    def init(self, root: bytes | None = None) -> int:
        """Trusts the first Root of the repository, or another one."""
        trusted = self.folder / "trusted_root.json"
        trusted.write_bytes(self.repository.files["metadata/1.root.json"] if root is None else root)
        return self.run(["--metadata-dir", str(self.metadata), "init", str(trusted)])

    def refresh(self, days: float = 0) -> int:
        """The command `refresh`."""
        return self.run([*self.options(), "refresh"], days)

    def download(self, *names: str, days: float = 0) -> int:
        """The command `download`."""
        return self.run([*self.options(*names), "download"], days)

    def version(self, role: str) -> int | None:
        """The version of a role that is trusted; None where it is not."""
        file = self.metadata / f"{role}.json"
        return json.loads(file.read_bytes())["signed"]["version"] if file.exists() else None

    def versions(self) -> dict[str, int | None]:
        """The versions of all roles that are trusted, by file name without its extension."""
        return {file.stem: self.version(file.stem) for file in sorted(self.metadata.glob("*.json"))}

    def downloaded(self) -> dict[str, bytes]:
        """Every file in the folder of downloads."""
        return {file.name: file.read_bytes() for file in self.downloads.iterdir()}


@contextmanager
def client_of(folder: Path, repository: TufSimulator, *, init: bool = True) -> Iterator[Runner]:
    """A client that trusts the repository's first Root, and the repository's server."""
    with serving(repository.files) as served:
        runner = Runner(folder, repository, served)
        if init:
            assert runner.init() == 0
        yield runner


class Direct(FetcherInterface):
    """The same files without a network."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = files

    def _fetch(self, url: str) -> Iterator[bytes]:
        name = url.removeprefix("http://repository/")
        if name not in self.files:
            raise DownloadHTTPError("not found", 404)
        return iter([self.files[name]])


class Other:
    """A client of the same repository by `tuf.ngclient`, with a folder of its own."""

    def __init__(self, folder: Path, repository: TufSimulator) -> None:
        folder.mkdir()
        self.folder, self.repository = folder, repository
        self.root: bytes | None = repository.files["metadata/1.root.json"]

    def updater(self) -> Updater:
        """A new process, as it were: only the folder remembers."""
        root, self.root = self.root, None
        urls = ("http://repository/metadata/", "http://repository/targets/")
        return Updater(
            str(self.folder), urls[0], str(self.folder), urls[1], Direct(self.repository.files), bootstrap=root
        )

    def refresh(self) -> int:
        """0 or 1, as our command ends."""
        try:
            self.updater().refresh()
        except (RepositoryError, DownloadError):
            return 1
        return 0

    def held(self) -> dict[str, bytes]:
        """What it trusts, by file name."""
        return {file.name: file.read_bytes() for file in self.folder.glob("*.json")}
