"""Downloads from mirrors that attack: slowly, endlessly, cut, compressed, elsewhere."""

import gzip
import socket
import threading
from collections.abc import Callable

import pytest
from raw_sockets import HEAD, RawServer, closed_port, dripping, endless, saying, serving, silent

from uptane.metadata.attacks import Attack
from uptane.metadata.errors import EndlessDataError, FormatError, SlowRetrievalError, UnreachableError
from uptane.transport.http_client import RepositoryClient
from uptane.transport.limits import TransferLimits

ALL_BYTES = bytes(range(256))
QUICK = TransferLimits(
    connect_seconds=1.0, read_seconds=0.5, slow_start_seconds=0.3, min_bytes_per_second=2000.0, total_seconds=10.0
)


class Client(RepositoryClient):
    """A client with small limits that remembers what it said."""

    def __init__(self, *urls: str, limits: TransferLimits = QUICK) -> None:
        self.said: list[str] = []
        super().__init__(urls, limits=limits, name="imagerepo", on_event=self.said.append)


def status(line: bytes, headers: bytes = b"") -> bytes:
    return b"HTTP/1.1 " + line + b"\r\n" + headers + b"Content-Length: 4\r\nConnection: close\r\n\r\nbody"


NOT_FOUND = saying(status(b"404 Not Found"))


@pytest.mark.standard("STD-5-5")
def test_a_file_arrives_byte_for_byte_and_the_console_hears_of_it() -> None:
    with RawServer(serving(ALL_BYTES)) as server:
        client = Client(server.url)
        assert client.fetch("metadata/1.root.json", 1000) == ALL_BYTES
    url = f"{server.url}/metadata/1.root.json"
    assert client.said == [f"Downloading: {url}", "Downloaded 256 bytes out of an upper limit of 1000 bytes."]


@pytest.mark.standard("STD-5-5")
def test_an_image_arrives_in_pieces_and_the_console_hears_of_it() -> None:
    with RawServer(serving(b"new contents!!")) as server:
        client = Client(server.url + "/")
        with client.stream("targets/firmware.img", 14) as chunks:
            assert chunks is not None
            assert b"".join(chunks) == b"new contents!!"
    assert client.said[-1] == "Downloaded 14 bytes out of the expected 14 bytes."


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        (b"a/b", "a/b"),
        (b"a%20b%3Fc%23d", "a b?c#d"),
        (b"a%25b%2Bc", "a%b+c"),
        (b"%C3%A4/%40%3A%5Bx%5D", "ä/@:[x]"),
        (b"..%5Cx", "..\\x"),
    ],
)
def test_every_component_of_a_path_is_encoded(path: bytes, sent: str) -> None:
    with RawServer(serving(b"x")) as server:
        assert Client(server.url + "/base").fetch(sent, 10) == b"x"
        assert server.requests[0].startswith(b"GET /base/" + path + b" HTTP/1.1\r\n")


def test_a_request_asks_for_the_bytes_as_they_are_and_carries_no_cookie() -> None:
    with RawServer(serving(b"x", b"Set-Cookie: a=b; Path=/\r\n")) as server:
        client = Client(server.url)
        client.fetch("a", 10)
        client.fetch("a", 10)
        for head in server.requests:
            assert b"accept-encoding: identity" in head.lower()
            assert b"cookie" not in head.lower()


@pytest.mark.standard("STD-5.2.7-5")
@pytest.mark.parametrize("path", ["", "/", "/etc/passwd", "../x", "a/../b", "a/./b", "a//b", "a/", ".."])
def test_a_path_that_leaves_the_repository_is_not_asked_for(path: str) -> None:
    client = Client("http://127.0.0.1:1")
    with pytest.raises(FormatError):
        client.fetch(path, 10)
    with pytest.raises(FormatError), client.stream(path, 10):
        pass


@pytest.mark.parametrize("url", ["", "file:///etc", "ftp://x/", "127.0.0.1:1", "http://", "http://h/?q", "http://h/#f"])
def test_a_mirror_has_a_url_of_http(url: str) -> None:
    with pytest.raises(FormatError):
        Client(url)


def test_a_repository_has_a_mirror() -> None:
    with pytest.raises(FormatError):
        Client()


@pytest.mark.standard("STD-5.4.4.3-2")
@pytest.mark.parametrize("line", [b"404 Not Found", b"403 Forbidden"])
def test_a_file_that_is_not_there_is_none(line: bytes) -> None:
    with RawServer(saying(status(line))) as server:
        client = Client(server.url)
        assert client.fetch("a", 10) is None
        with client.stream("a", 10) as chunks:
            assert chunks is None
    assert client.said[1] == f"Could not download URL: {server.url}/a (there is no such file)"


def test_a_server_that_refuses_the_vehicle_is_no_server_without_the_file() -> None:
    """A vehicle whose certificate was revoked must not take that for the end of the chain of Roots."""
    body = b'{"code":"E-IDENTITY"}'
    head = b"HTTP/1.1 403 Forbidden\r\nContent-Type: application/problem+json\r\nContent-Length: %d\r\n\r\n" % len(body)
    with RawServer(saying(head + body)) as server, pytest.raises(UnreachableError, match="refuses"):
        Client(server.url).fetch("2.root.der", 10)


@pytest.mark.standard("STD-5.4.4.3-2")
@pytest.mark.parametrize(
    "line", [b"500 Internal Server Error", b"503 Service Unavailable", b"204 No Content", b"206 Partial", b"401 No"]
)
def test_any_other_status_is_no_answer(line: bytes) -> None:
    with RawServer(saying(status(line))) as server, pytest.raises(UnreachableError) as caught:
        Client(server.url).fetch("a", 10)
    assert caught.value.facts["url"] == f"{server.url}/a"
    assert "imagerepo" in caught.value.next_step


@pytest.mark.parametrize("line", [b"301 Moved", b"302 Found", b"307 Temporary Redirect", b"308 Permanent Redirect"])
def test_a_redirect_is_not_followed(line: bytes) -> None:
    with RawServer(serving(b"elsewhere")) as other:
        redirect = saying(status(line, b"Location: " + other.url.encode() + b"/a\r\n"))
        with RawServer(redirect) as server, pytest.raises(UnreachableError):
            Client(server.url).fetch("a", 10)
        assert other.requests == []


@pytest.mark.standard("STD-5.4.4.3-2")
def test_a_server_that_does_not_run_is_unreachable() -> None:
    port = closed_port()
    client = Client(f"http://127.0.0.1:{port}")
    with pytest.raises(UnreachableError, match="no connection"):
        client.fetch("a", 10)
    assert client.said[1].startswith("Could not download URL: ")


def test_a_server_that_never_answers_is_unreachable() -> None:
    with RawServer(silent) as server, pytest.raises(UnreachableError, match="no answer in time"):
        Client(server.url).fetch("a", 10)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"garbage\r\n\r\n",
        HEAD,
        HEAD + b"Content-Length: x\r\n\r\n",
        HEAD + b"Content-Length: 10\r\n\r\ncut",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        HEAD + b"X: " + b"y" * 300_000,
    ],
)
def test_an_answer_that_is_cut_off_or_no_http_is_unreachable(answer: bytes) -> None:
    with RawServer(saying(answer)) as server, pytest.raises(UnreachableError):
        Client(server.url).fetch("a", 100)


def test_an_image_that_is_cut_off_in_the_middle_says_so_to_whoever_reads_it() -> None:
    with RawServer(saying(HEAD + b"Content-Length: 10\r\n\r\ncut")) as server:
        client = Client(server.url)
        with client.stream("a", 10) as chunks:
            assert chunks is not None
            assert next(chunks) == b"cut"
            with pytest.raises(UnreachableError, match="cut off"):
                next(chunks)


def test_a_gzip_bomb_is_not_unpacked() -> None:
    bomb = gzip.compress(b"\0" * 10_000_000)
    with RawServer(serving(bomb, b"Content-Encoding: gzip\r\n")) as server, pytest.raises(UnreachableError) as caught:
        Client(server.url).fetch("a", 100_000)
    assert "compressed" in caught.value.what


@pytest.mark.standard("STD-5.4.3.3-7")
def test_endless_data_is_read_up_to_the_limit_and_no_further() -> None:
    with RawServer(endless) as server:
        client = Client(server.url)
        with client.stream("a", 100_000) as chunks:
            assert chunks is not None
            received = 0
            with pytest.raises(EndlessDataError) as caught:
                for chunk in chunks:
                    received += len(chunk)
        assert received <= 100_000
    assert caught.value.attack is Attack.ENDLESS_DATA
    assert caught.value.facts["limit"] == 100_000
    assert client.said[-1].endswith("(endless data)")


def test_a_length_that_is_declared_too_large_is_enough() -> None:
    head = HEAD + b"Content-Length: 101\r\n\r\n"
    with RawServer(dripping(head, b"")) as server, pytest.raises(EndlessDataError):
        Client(server.url).fetch("a", 100)


def test_a_file_of_exactly_the_limit_is_taken() -> None:
    with RawServer(serving(b"x" * 100)) as server:
        assert Client(server.url).fetch("a", 100) == b"x" * 100


@pytest.mark.standard("STD-5.4-3")
def test_a_body_that_drips_is_slow_retrieval_though_every_read_is_in_time() -> None:
    head = HEAD + b"Content-Length: 100000\r\n\r\n"
    with RawServer(dripping(head, b"x")) as server:
        client = Client(server.url)
        with pytest.raises(SlowRetrievalError) as caught:
            client.fetch("a", 100_000)
    assert caught.value.attack is Attack.SLOW_RETRIEVAL
    assert client.said[-1].endswith("(slow retrieval)")


@pytest.mark.standard("STD-5.4-3")
def test_a_head_that_drips_is_slow_retrieval_too() -> None:
    with RawServer(dripping(HEAD, b"X: y\r\n")) as server, pytest.raises(SlowRetrievalError):
        Client(server.url).fetch("a", 100)


@pytest.mark.standard("STD-5.4-3")
def test_a_body_that_stalls_is_slow_retrieval() -> None:
    def stalls(connection: socket.socket, end: threading.Event) -> None:
        connection.sendall(HEAD + b"Content-Length: 100\r\n\r\nx")
        end.wait()

    with RawServer(stalls) as server, pytest.raises(SlowRetrievalError, match="stopped after"):
        Client(server.url).fetch("a", 100)


def test_a_fast_transfer_also_ends_when_its_time_is_over() -> None:
    limits = TransferLimits(slow_start_seconds=60.0, total_seconds=0.3)
    head = HEAD + b"Content-Length: 100000000\r\n\r\n"
    with RawServer(dripping(head, b"x" * 1000)) as server, pytest.raises(SlowRetrievalError, match="more than"):
        Client(server.url, limits=limits).fetch("a", 100_000_000)


def test_a_reader_who_takes_its_time_does_not_make_the_server_slow() -> None:
    body = b"x" * 200_000
    with RawServer(serving(body)) as server, Client(server.url).stream("a", len(body)) as chunks:
        assert chunks is not None
        received = next(chunks)
        # Longer than the grace; at this speed the whole transfer would be far too slow if our own time counted.
        threading.Event().wait(2 * QUICK.slow_start_seconds)
        received += b"".join(chunks)
        assert received == body


def test_another_download_in_between_does_not_confuse_the_speeds() -> None:
    with RawServer(serving(b"x" * 200_000)) as server, RawServer(dripping(HEAD + b"\r\n", b"y")) as slow:
        client = Client(server.url)
        with client.stream("a", 200_000) as chunks:
            assert chunks is not None
            received = next(chunks)
            with pytest.raises(SlowRetrievalError):
                Client(slow.url).fetch("b", 10_000)
            assert len(received + b"".join(chunks)) == 200_000


@pytest.mark.standard("STD-5.2.6-3")
@pytest.mark.parametrize(
    "first", [NOT_FOUND, saying(b""), saying(status(b"500 No")), saying(HEAD + b"Content-Length: 9\r\n\r\nx")]
)
def test_the_next_mirror_is_asked_where_the_first_one_fails(first: object) -> None:
    with RawServer(first) as broken, RawServer(serving(b"good")) as good:  # type: ignore[arg-type]
        assert Client(broken.url, good.url).fetch("a", 10) == b"good"


def test_a_mirror_that_does_not_run_is_passed_over_for_images_too() -> None:
    with (
        RawServer(serving(b"good")) as good,
        Client(f"http://127.0.0.1:{closed_port()}", good.url).stream("a", 10) as chunks,
    ):
        assert chunks is not None
        assert b"".join(chunks) == b"good"


def test_an_attack_by_one_mirror_is_not_hidden_by_the_next() -> None:
    with RawServer(serving(b"x" * 100)) as evil, RawServer(serving(b"good")) as good:
        with pytest.raises(EndlessDataError):
            Client(evil.url, good.url).fetch("a", 10)
        assert good.requests == []


def test_a_mirror_that_answers_decides_that_a_file_is_not_there() -> None:
    down = f"http://127.0.0.1:{closed_port()}"
    with RawServer(NOT_FOUND) as server:
        assert Client(down, server.url).fetch("a", 10) is None
        assert Client(server.url, down).fetch("a", 10) is None
    with pytest.raises(UnreachableError):
        Client(down, down).fetch("a", 10)


def test_a_connection_is_used_again_and_a_closed_one_is_not() -> None:
    def keeps_alive(connection: socket.socket, end: threading.Event) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
        if connection.recv(65536):
            connection.sendall(HEAD + b"Content-Length: 1\r\n\r\nx")

    with RawServer(keeps_alive) as server:
        client = Client(server.url)
        assert [client.fetch("a", 1) for _ in range(4)] == [b"x"] * 4
        assert len(server.requests) == 2


def test_the_connection_is_kept_after_a_file_that_is_not_there() -> None:
    """Each cycle asks for a Root that is not there yet; connecting anew each time would cost more than the file."""

    def answer(connection: socket.socket, end: threading.Event) -> None:
        connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone")
        if b"GET /b " in connection.recv(65536):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")

    with RawServer(answer) as server:
        client = Client(server.url)
        assert client.fetch("a", 10) is None
        assert client.fetch("b", 10) == b"x"
        assert len(server.requests) == 1


@pytest.mark.parametrize("declared", [b"4", b"4096", b"4097", b"1000000"])
def test_a_file_that_is_not_there_is_not_there_however_slowly_that_is_said(declared: bytes) -> None:
    head = b"HTTP/1.1 404 Not Found\r\nContent-Length: " + declared + b"\r\n\r\n"
    for answer in (saying(head), dripping(head, b"x", seconds=0.1), silent_after(head)):
        with RawServer(answer) as server:
            assert Client(server.url).fetch("a", 10) is None


def silent_after(head: bytes) -> Callable[[socket.socket, threading.Event], None]:
    """Sends a head and nothing else."""

    def answer(connection: socket.socket, end: threading.Event) -> None:
        connection.sendall(head)
        end.wait()

    return answer


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("1.root.json", b"1.root.json"),
        ("1.../role.json", b"1...%2Frole.json"),
        ("/role.json", b"%2Frole.json"),
        ("?#%2F \u00fc.json", b"%3F%23%252F%20%C3%BC.json"),
    ],
)
def test_a_named_file_is_one_component_whatever_its_name(name: str, asked: bytes) -> None:
    with RawServer(serving(ALL_BYTES)) as server:
        assert Client(server.url + "/metadata").fetch_named(name, 1000) == ALL_BYTES
        assert server.requests[0].startswith(b"GET /metadata/" + asked + b" HTTP/1.1\r\n")


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_named_file_has_a_name(name: str) -> None:
    with pytest.raises(FormatError):
        Client(f"http://127.0.0.1:{closed_port()}").fetch_named(name, 1000)
