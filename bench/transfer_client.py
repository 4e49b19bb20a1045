"""The processes of `bench.transfer`: a server of files, a client that downloads one, and what that costs at least."""

import hashlib
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench.memory import resident

PIECE = 256 * 1024


def serve(published: str) -> None:
    """Serves a folder under `/targets/` until its standard input ends; prints its port."""
    from uptane.assembly.http_server import ServerThread
    from uptane.services.static_files import StaticFiles, mounts
    from uptane.storage.folders import ImageFolder

    with ServerThread() as servers:
        print(servers.start(StaticFiles(mounts({"targets": ImageFolder(Path(published))})), 0), flush=True)
        sys.stdin.read()


def download(port: str, name: str, slots: str, length: str, digests: str) -> None:
    """Downloads an image as a Primary does; prints seconds, peak memory in MB, and bytes fetched."""
    from uptane.formats.profiles import PROFILES
    from uptane.metadata.digests import Digests
    from uptane.metadata.errors import SecurityError
    from uptane.metadata.identifiers import ImagePath
    from uptane.metadata.targets import ImageFile
    from uptane.storage.image_slots import ImageSlotFolder
    from uptane.transport.http_client import RepositoryClient
    from uptane.transport.limits import TransferLimits
    from uptane.transport.links import ImagesOverHttp
    from uptane.vehicle import downloads

    def refuse(error: SecurityError) -> None:
        raise error

    said: list[str] = []
    listed = Digests(tuple((n, bytes.fromhex(d)) for n, d in (pair.split("=") for pair in digests.split(","))))
    image = ImageFile(path=ImagePath(name), length=int(length), digests=listed)
    client = RepositoryClient([f"http://127.0.0.1:{port}"], limits=TransferLimits(), name="b", on_event=said.append)
    with ImageSlotFolder(Path(slots)) as folder:
        started = time.perf_counter()
        # The archived profile asks for plain names, so that one published file serves every list of hashes.
        profile, mirrors = PROFILES["pouf1"], [ImagesOverHttp(client)]
        downloads.download(image, mirrors, folder, profile, say=said.append, note=refuse)
        seconds = time.perf_counter() - started
    fetched = sum(int(line.split()[1]) for line in said if line.startswith("Downloaded"))
    print(seconds, resident("VmHWM") / 1000, fetched)


def bare(port: str, name: str, slots: str, length: str, digests: str) -> None:
    """The same bytes from the same server, with nothing but a socket, SHA-256 and a file."""
    Path(slots).mkdir()
    piece = memoryview(bytearray(PIECE))
    running, left = hashlib.sha256(), int(length)
    started = time.perf_counter()
    with socket.create_connection(("127.0.0.1", int(port))) as connection:
        connection.sendall(b"GET /targets/%s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % name.encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(1)
        file = os.open(Path(slots) / "image", os.O_WRONLY | os.O_CREAT)
        while left:
            count = connection.recv_into(piece)
            running.update(piece[:count])
            os.write(file, piece[:count])
            left -= count
        os.fsync(file)
    seconds = time.perf_counter() - started
    if f"sha256={running.hexdigest()}" not in digests:
        raise ValueError("another image")
    print(seconds, resident("VmHWM") / 1000, length)


PROGRAMS: dict[str, Callable[..., None]] = {"serve": serve, "download": download, "bare": bare}

if __name__ == "__main__":
    PROGRAMS[sys.argv[1]](*sys.argv[2:])
