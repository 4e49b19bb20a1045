"""Published files over HTTP on a real socket: nothing else on the disk can be reached."""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from raw_sockets import raw_connection, say, status_of

from uptane.assembly.http_server import ServerThread
from uptane.services.static_files import CHUNK, PublishedFiles, StaticFiles, mounts, mounts_by_vehicle

ALL_BYTES = bytes(range(256))
LARGE = ALL_BYTES * (3 * CHUNK // 256) + b"end"


@dataclass
class TrustingFolder:
    """A folder that opens whatever it is asked for, so that only the door stands between the disk and the network."""

    root: Path

    def open_for_reading(self, name: str) -> Path | None:
        path = self.root / name
        return path if path.exists() else None


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("site")
    (root / "secret").write_bytes(b"secret")
    metadata = root / "public" / "metadata"
    (metadata / "folder").mkdir(parents=True)
    (metadata / "1.root.json").write_bytes(b"a root")
    (metadata / "empty").write_bytes(b"")
    (metadata / "page.html").write_bytes(b"<script>")
    (metadata / "folder" / "a b%ä.img").write_bytes(ALL_BYTES)
    (metadata / "large").write_bytes(LARGE)
    (metadata / "link").symlink_to(root / "secret")
    os.mkfifo(metadata / "pipe")
    return root


@pytest.fixture(scope="module")
def port(servers: ServerThread, root: Path) -> int:
    return servers.start(StaticFiles(mounts({"metadata": TrustingFolder(root / "public" / "metadata")})), 0)


def get(port: int, path: bytes, *, method: bytes = b"GET", host: bytes = b"127.0.0.1", headers: bytes = b"") -> bytes:
    head = method + b" " + path + b" HTTP/1.1\r\nHost: " + host + b"\r\n" + headers + b"Connection: close\r\n\r\n"
    return say(port, head)


def body_of(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


@pytest.mark.standard("STD-5.3.1-1", "STD-5.3.1-2")
@pytest.mark.parametrize(
    ("path", "content"),
    [
        (b"/metadata/1.root.json", b"a root"),
        (b"/metadata/1.root.json?query=../x", b"a root"),
        (b"/metadata/%31.root.json", b"a root"),
        (b"/metadata/empty", b""),
        (b"/metadata/folder/a%20b%25%C3%A4.img", ALL_BYTES),
        (b"/metadata/large", LARGE),
    ],
)
def test_a_published_file_is_served_byte_for_byte(port: int, path: bytes, content: bytes) -> None:
    answer = get(port, path)
    assert status_of(answer) == 200
    assert body_of(answer) == content


def test_no_file_is_ever_shown_as_a_page(port: int) -> None:
    head = get(port, b"/metadata/page.html").partition(b"\r\n\r\n")[0]
    assert b"content-type: application/octet-stream" in head
    assert b"x-content-type-options: nosniff" in head
    assert b"cache-control: no-store" in head


def test_head_tells_the_length_and_sends_no_body(port: int) -> None:
    with raw_connection(port) as connection:
        connection.sendall(b"HEAD /metadata/large HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert status_of(answer) == 200
    assert b"content-length: %d" % len(LARGE) in answer
    assert body_of(answer) == b""


SIZE = len(LARGE)


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        (b"bytes=0-0", 0, 0),
        (b"bytes=1000-", 1000, SIZE - 1),
        (b"bytes=%d-" % (SIZE - 1), SIZE - 1, SIZE - 1),
        (b"bytes=70000-140000", 70_000, 140_000),
        (b"bytes=5-999999999", 5, SIZE - 1),
        (b"bytes=-3", SIZE - 3, SIZE - 1),
        (b"bytes=-999999999", 0, SIZE - 1),
        (b"Bytes=0-0", 0, 0),
    ],
)
def test_a_range_of_bytes_is_served_as_asked(port: int, asked: bytes, first: int, last: int) -> None:
    answer = get(port, b"/metadata/large", headers=b"Range: " + asked + b"\r\n")
    assert status_of(answer) == 206
    assert b"\r\ncontent-range: bytes %d-%d/%d\r\n" % (first, last, SIZE) in answer
    assert b"\r\ncontent-length: %d\r\n" % (last - first + 1) in answer
    assert body_of(answer) == LARGE[first : last + 1]


@pytest.mark.parametrize("asked", [b"bytes=%d-" % SIZE, b"bytes=999999999-", b"bytes=-0"])
def test_a_range_that_has_none_of_the_files_bytes_is_refused_with_the_length(port: int, asked: bytes) -> None:
    answer = get(port, b"/metadata/large", headers=b"Range: " + asked + b"\r\n")
    assert status_of(answer) == 416
    assert b"\r\ncontent-range: bytes */%d\r\n" % SIZE in answer
    assert status_of(get(port, b"/metadata/empty", headers=b"Range: bytes=0-\r\n")) == 416


@pytest.mark.parametrize(
    "headers",
    [
        b"Range: bytes=5-4\r\n",
        b"Range: bytes=-\r\n",
        b"Range: bytes=a-b\r\n",
        b"Range: bytes=0-0,2-2\r\n",
        b"Range: lines=0-1\r\n",
        b"Range: bytes=+1-2\r\n",
        b"Range: bytes=99999999999999999999-\r\n",
        b"Range: bytes=0-0\r\nRange: bytes=1-1\r\n",
        b'Range: bytes=0-0\r\nIf-Range: "x"\r\n',
    ],
)
def test_what_is_no_single_range_brings_the_whole_file(port: int, headers: bytes) -> None:
    answer = get(port, b"/metadata/large", headers=headers)
    assert status_of(answer) == 200
    assert b"\r\naccept-ranges: bytes\r\n" in answer
    assert body_of(answer) == LARGE


@pytest.mark.standard("STD-5.2.7-5")
@pytest.mark.parametrize(
    "path",
    [
        b"/",
        b"/metadata",
        b"/metadata/",
        b"/metadata/folder",
        b"/metadata/folder/",
        b"/metadata/missing",
        b"/metadata/link",
        b"/metadata/pipe",
        b"/metadata/../../secret",
        b"/metadata/../../etc/passwd",
        b"/metadata/../metadata/1.root.json",
        b"/metadata/./1.root.json",
        b"/metadata//1.root.json",
        b"//metadata/1.root.json",
        b"/metadata/%2e%2e/%2e%2e/secret",
        b"/metadata/%2e%2e%2f%2e%2e%2fsecret",
        b"/metadata/..%2f..%2fsecret",
        b"/metadata/%252e%252e%252f%252e%252e%252fsecret",
        b"/metadata/..%5c..%5csecret",
        b"/metadata/folder%2fa%20b%25%C3%A4.img",
        b"/metadata%2f1.root.json",
        b"/metadata/1.root.json%00",
        b"/metadata/%00",
        b"/metadata/1.root.json%0a",
        b"/metadata/%c0%ae%c0%ae/secret",
        b"/metadata/%ff",
        b"/metadata/folder/a%20b%25a%CC%88.img",
        b"/metadata/%E2%80%AE1.root.json",
        b"/%2fetc/passwd",
        b"//etc/passwd",
        b"/etc/passwd",
        b"/metadata/" + b"a" * 300,
        b"/metadata/" + b"a/" * 5000,
        b"*",
        b"http://127.0.0.1/metadata/1.root.json",
    ],
)
def test_everything_that_is_not_a_published_file_is_not_there(port: int, path: bytes) -> None:
    answer = get(port, path)
    assert status_of(answer) == 404
    assert b"secret" not in body_of(answer)


def test_a_path_with_a_raw_nul_is_no_request(port: int) -> None:
    assert status_of(get(port, b"/metadata/\x00")) == 400


@pytest.mark.standard("STD-5.3.1-3")
@pytest.mark.parametrize("method", [b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS"])
def test_files_are_read_only(port: int, method: bytes) -> None:
    answer = get(port, b"/metadata/1.root.json", method=method)
    assert status_of(answer) == 405
    assert b"allow: GET, HEAD" in answer


def test_a_web_page_that_rebinds_its_name_to_this_machine_is_refused(port: int) -> None:
    assert status_of(get(port, b"/metadata/1.root.json", host=b"evil.example")) == 421


def test_a_file_that_becomes_shorter_while_it_is_sent_is_cut_and_never_padded(
    servers: ServerThread, tmp_path: Path
) -> None:
    path = tmp_path / "image"
    size = 64 * 1024 * 1024
    with path.open("wb") as file:
        file.truncate(size)
    port = servers.start(StaticFiles(mounts({"targets": TrustingFolder(tmp_path)})), 0)
    with raw_connection(port) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.sendall(b"GET /targets/image HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        answer = connection.recv(1000)
        os.truncate(path, 1000)
        received = len(answer)
        while piece := connection.recv(1 << 20):
            received += len(piece)
    assert b"content-length: %d" % size in answer
    assert received < size


def test_a_replaced_file_is_sent_as_it_was_when_it_was_opened(servers: ServerThread, tmp_path: Path) -> None:
    (tmp_path / "new").write_bytes(b"n" * len(LARGE))
    (tmp_path / "file").write_bytes(LARGE)
    port = servers.start(StaticFiles(mounts({"metadata": TrustingFolder(tmp_path)})), 0)
    with raw_connection(port) as connection:
        connection.sendall(b"GET /metadata/file HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        answer = connection.recv(100)
        (tmp_path / "new").replace(tmp_path / "file")
        while piece := connection.recv(1 << 20):
            answer += piece
    assert body_of(answer) == LARGE


@pytest.mark.standard("STD-5.3.2-1")
def test_each_vehicle_has_its_own_folders(servers: ServerThread, root: Path) -> None:
    def folders_of(vehicle: str) -> Mapping[str, PublishedFiles] | None:
        return {"metadata": TrustingFolder(root / "public" / "metadata")} if vehicle == "democar" else None

    port = servers.start(StaticFiles(mounts_by_vehicle(folders_of)), 0)
    assert body_of(get(port, b"/democar/metadata/1.root.json")) == b"a root"
    for path in (
        b"/other/metadata/1.root.json",
        b"/democar",
        b"/democar/targets/x",
        b"/democar/metadata",
        b"/metadata/x",
    ):
        assert status_of(get(port, path)) == 404
