"""Downloads that are cut off, from our own server into our own slots: on real sockets, files and processes."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from fleet import Fleet
from raw_sockets import HEAD, RawServer, saying
from shells import REPOSITORY
from world import DIRECTOR, IMAGES, PRIMARY, VIN, new_signer

from uptane.assembly.http_server import ServerThread
from uptane.assembly.vehicle import EcuFolder, connect_primary
from uptane.formats.profiles import PROFILES
from uptane.metadata.digests import Digests
from uptane.metadata.errors import SecurityError, UnreachableError
from uptane.metadata.identifiers import ImagePath
from uptane.metadata.repository_map import MappedRepository, RepositoryKind, RepositoryMap
from uptane.metadata.targets import ImageFile
from uptane.services.static_files import StaticFiles, mounts
from uptane.storage.folders import ImageFolder
from uptane.storage.image_slots import ImageSlotFolder
from uptane.transport.http_client import RepositoryClient
from uptane.transport.limits import TransferLimits
from uptane.transport.links import ImagesOverHttp
from uptane.vehicle.downloads import download
from uptane.vehicle.installation import stored_as
from uptane.vehicle.ports import ImageBody, ImageSource
from uptane.vehicle.provisioning import provision

IMAGE = bytes(range(256)) * (40 * 4096)
"""40 MiB: more than the sockets of both sides take in while nobody reads."""

HALF = len(IMAGE) // 2
FILE = ImageFile(path=ImagePath("large.img"), length=len(IMAGE), digests=Digests.of(IMAGE, ("sha256",)))
SLOT = stored_as(FILE)


@dataclass
class Interrupted:
    """A mirror; `cut` happens when so many bytes came from it."""

    mirror: ImageSource
    cut: Callable[[], object]
    at: int = HALF
    came: list[int] = field(default_factory=list)

    @contextmanager
    def stream(self, name: str, limit: int, start: int = 0) -> Iterator[ImageBody | None]:
        with self.mirror.stream(name, limit, start) as body:
            assert body is not None
            yield Counted(self, body, body.start)


@dataclass
class Counted:
    """The bytes of an `Interrupted` mirror."""

    host: Interrupted
    body: ImageBody
    start: int

    def __iter__(self) -> Iterator[bytes]:
        self.host.came.append(0)
        for chunk in self.body:
            before = self.host.came[-1]
            self.host.came[-1] += len(chunk)
            yield chunk
            if before < self.host.at <= self.host.came[-1]:
                self.host.cut()


def mirror(port: int) -> ImagesOverHttp:
    return ImagesOverHttp(RepositoryClient([f"http://127.0.0.1:{port}"], limits=TransferLimits(), name="imagerepo"))


def fetch(source: ImageSource, folder: Path) -> list[SecurityError]:
    """Downloads the image as a Primary does; gives the attacks that were noted."""
    noted: list[SecurityError] = []
    profile = PROFILES["pouf1"]  # which asks for plain names
    with ImageSlotFolder(folder) as slots:
        download(FILE, [source], slots, profile, say=lambda line: None, note=noted.append)
    return noted


@pytest.fixture
def published(tmp_path: Path) -> StaticFiles:
    folder = tmp_path / "targets"
    folder.mkdir()
    (folder / "large.img").write_bytes(IMAGE)
    return StaticFiles(mounts({"targets": ImageFolder(folder)}))


def test_a_download_goes_on_when_the_server_is_there_again(tmp_path: Path, published: StaticFiles) -> None:
    with ServerThread() as servers:
        port = servers.start(published, 0)
        source = Interrupted(mirror(port), lambda: servers.stop(port))
        with pytest.raises(UnreachableError):
            fetch(source, tmp_path / "slots")
        came = (tmp_path / "slots" / f"{SLOT}.part").stat().st_size
        assert HALF <= came < len(IMAGE)
        assert servers.start(published, port) == port
        assert fetch(source, tmp_path / "slots") == []
    assert source.came == [came, len(IMAGE) - came]
    assert (tmp_path / "slots" / SLOT).read_bytes() == IMAGE
    assert os.listdir(tmp_path / "slots") == [SLOT]


def test_a_download_goes_on_when_its_process_was_killed(tmp_path: Path, published: StaticFiles) -> None:
    with ServerThread() as servers:
        port = servers.start(published, 0)
        environment = {**os.environ, "PYTHONPATH": f"{REPOSITORY}/tests/support"}
        words = [sys.executable, __file__, str(port), str(tmp_path / "slots")]
        assert subprocess.run(words, env=environment, check=False).returncode == -signal.SIGKILL
        came = (tmp_path / "slots" / f"{SLOT}.part").stat().st_size
        assert HALF <= came < len(IMAGE)
        source = Interrupted(mirror(port), lambda: None)
        assert fetch(source, tmp_path / "slots") == []
    assert source.came == [len(IMAGE) - came]
    assert (tmp_path / "slots" / SLOT).read_bytes() == IMAGE


def test_the_next_mirror_of_a_repository_goes_on_where_the_first_one_broke_off(tmp_path: Path) -> None:
    fleet, profile, content = Fleet(PROFILES["der"]), PROFILES["der"], b"0123456789" * 100
    fleet.add_vehicle(VIN)
    image = fleet.add_image("a.img", content)
    half = b"HTTP/1.1 206 Partial Content\r\nConnection: close\r\nContent-Range: bytes 500-999/1000\r\n"
    with (
        RawServer(saying(HEAD + b"Content-Length: 1000\r\n\r\n" + content[:500])) as broken,
        RawServer(saying(half + b"Content-Length: 500\r\n\r\n" + content[500:])) as good,
    ):
        director = MappedRepository(name=DIRECTOR, kind=RepositoryKind.DIRECTOR, urls=(broken.url, good.url))
        repository = MappedRepository(name=IMAGES, kind=RepositoryKind.IMAGE, urls=(good.url,))
        mapped = RepositoryMap.basic(director=director, image_repository=repository)
        what = replace(fleet.provisioning(VIN, PRIMARY, 1), repository_map=mapped)
        folder = EcuFolder(path=tmp_path)
        with folder.state() as store, folder.slots() as slots:
            primary = connect_primary(
                provision(store, profile, what),
                new_signer(),
                slots,
                director_url="http://127.0.0.1:1",
                timeserver_url="http://127.0.0.1:1",
            )
            mirrors = primary._world.mirrors
            download(image.file, mirrors, slots, profile, say=lambda line: None, note=lambda error: None)
            assert b"".join(slots.chunks(stored_as(image.file)) or ()) == content
        assert len(broken.requests) == len(good.requests) == 1
        assert b"\r\nrange: bytes=500-\r\n" in good.requests[0].lower()


if __name__ == "__main__":
    fetch(Interrupted(mirror(int(sys.argv[1])), lambda: os.kill(os.getpid(), signal.SIGKILL)), Path(sys.argv[2]))
