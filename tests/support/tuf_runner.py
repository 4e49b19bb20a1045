"""`uptane-tuf-client` against a simulated repository: its commands, and what it holds afterwards."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, tzinfo
from pathlib import Path
from unittest import mock

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
