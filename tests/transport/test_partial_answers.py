"""Downloads that go on where they were cut, and mirrors that answer with another part of the file, or with too much."""

import socket
import threading
from collections.abc import Callable

import pytest
from raw_sockets import RawServer, dripping, saying, serving

from uptane.metadata.attacks import Attack
from uptane.metadata.errors import (
    EndlessDataError,
    FormatError,
    LengthMismatchError,
    SecurityError,
    SlowRetrievalError,
    UnreachableError,
)
from uptane.transport.http_client import RepositoryClient
from uptane.transport.limits import TransferLimits

IMAGE = bytes(range(200))
QUICK = TransferLimits(
    connect_seconds=1.0, read_seconds=0.5, slow_start_seconds=0.3, min_bytes_per_second=2000.0, total_seconds=10.0
)


def partial(content_range: bytes, length: int | None = None) -> bytes:
    """The head of a partial answer."""
    said = b"" if length is None else b"Content-Length: %d\r\n" % length
    head = b"HTTP/1.1 206 Partial Content\r\nConnection: close\r\n"
    return head + b"Content-Range: " + content_range + b"\r\n" + said + b"\r\n"


def rest(server: RawServer, start: int = 50) -> tuple[int, bytes]:
    """Where the answer to a continued download begins, and its bytes."""
    client = RepositoryClient([server.url], limits=QUICK, name="imagerepo")
    with client.stream("a", len(IMAGE), start) as body:
        assert body is not None
        return body.start, b"".join(body)


@pytest.mark.parametrize("total", [b"200", b"*"])
def test_a_download_goes_on_where_it_was_cut(total: bytes) -> None:
    said: list[str] = []
    with RawServer(saying(partial(b"bytes 50-199/" + total, 150) + IMAGE[50:])) as server:
        client = RepositoryClient([server.url], limits=QUICK, name="imagerepo", on_event=said.append)
        with client.stream("a", len(IMAGE), 50) as body:
            assert body is not None
            assert (body.start, b"".join(body)) == (50, IMAGE[50:])
        assert b"\r\nrange: bytes=50-\r\n" in server.requests[0].lower()
    assert said == [
        f"Downloading: {server.url}/a (from byte 50 on)",
        "Downloaded 150 bytes out of the expected 200 bytes, after 50 that were there.",
    ]


def test_a_mirror_that_knows_no_ranges_sends_the_whole_file_from_its_beginning() -> None:
    with RawServer(serving(IMAGE)) as server:
        assert rest(server) == (0, IMAGE)


def test_a_whole_file_is_asked_for_without_a_range() -> None:
    with RawServer(serving(IMAGE)) as server:
        assert rest(server, 0) == (0, IMAGE)
        assert b"range" not in server.requests[0].lower()


@pytest.mark.parametrize(
    ("content_range", "refusal"),
    [
        (b"bytes 51-199/200", FormatError),
        (b"bytes 0-199/200", FormatError),
        (b"bytes 50-198/200", FormatError),
        (b"bytes 50-198/199", FormatError),
        (b"bytes 50-199/100", FormatError),
        (b"bytes 199-50/200", FormatError),
        (b"bytes */200", FormatError),
        (b"lines 50-199/200", FormatError),
        (b"bytes 50-199", FormatError),
        (b"bytes 50 - 199/200", FormatError),
        (b"bytes +50-199/200", FormatError),
        (b"bytes 50-199/200, bytes 0-1/200", FormatError),
        (b"x", FormatError),
        (b"", FormatError),
        (b"bytes 50-200/201", EndlessDataError),
        (b"bytes 50-199/201", EndlessDataError),
        (b"bytes 50-200/*", EndlessDataError),
        (b"bytes 50-9999999999999999999/*", EndlessDataError),
    ],
)
def test_another_part_of_the_file_than_the_rest_is_refused(content_range: bytes, refusal: type[SecurityError]) -> None:
    with RawServer(saying(partial(content_range, 150) + IMAGE[50:])) as server, pytest.raises(refusal) as caught:
        rest(server)
    assert caught.value.facts["url"] == f"{server.url}/a"


def test_a_partial_answer_that_does_not_say_which_part_is_refused() -> None:
    head = b"HTTP/1.1 206 Partial Content\r\nConnection: close\r\nContent-Length: 150\r\n\r\n"
    with RawServer(saying(head + IMAGE[50:])) as server, pytest.raises(FormatError):
        rest(server)


def test_a_partial_answer_that_nobody_asked_for_is_none() -> None:
    with RawServer(saying(partial(b"bytes 0-199/200", 200) + IMAGE)) as server, pytest.raises(UnreachableError):
        rest(server, 0)


def test_a_mirror_whose_file_ends_before_the_part_is_refused() -> None:
    head = b"HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */40\r\nContent-Length: 0\r\n\r\n"
    with RawServer(saying(head)) as server, pytest.raises(LengthMismatchError) as caught:
        rest(server)
    assert caught.value.facts["expected"] == len(IMAGE)


@pytest.mark.standard("STD-5.4.3.3-7")
def test_a_part_that_is_longer_than_it_says_is_endless_data() -> None:
    def endless(connection: socket.socket, end: threading.Event) -> None:
        connection.sendall(partial(b"bytes 50-199/200"))
        while not end.is_set():
            connection.sendall(b"x" * 1000)

    declared = saying(partial(b"bytes 50-199/200", 151) + b"x" * 151)
    for answer in (endless, declared):
        with RawServer(answer) as server, pytest.raises(EndlessDataError) as caught:
            rest(server)
        assert caught.value.attack is Attack.ENDLESS_DATA


@pytest.mark.standard("STD-5.4-3")
def test_a_part_that_drips_is_slow_retrieval() -> None:
    head = partial(b"bytes 50-199/200", 150)
    silent: Callable[[socket.socket, threading.Event], None] = dripping(head + b"x", b"", seconds=0.1)
    for answer in (dripping(head, b"x"), silent):
        with RawServer(answer) as server, pytest.raises(SlowRetrievalError) as caught:
            rest(server)
        assert caught.value.attack is Attack.SLOW_RETRIEVAL


def test_a_part_that_is_cut_off_again_says_so() -> None:
    with RawServer(saying(partial(b"bytes 50-199/200", 150) + IMAGE[50:90])) as server:
        client = RepositoryClient([server.url], limits=QUICK, name="imagerepo")
        with client.stream("a", len(IMAGE), 50) as body:
            assert body is not None
            assert next(body) == IMAGE[50:90]
            with pytest.raises(UnreachableError, match="cut off"):
                next(body)
