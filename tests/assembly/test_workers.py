"""Servers of several processes: workers die and are replaced, nobody is left behind, and requests are finished."""

import asyncio
import json
import os
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from certificates import get
from raw_sockets import answer_of
from running_servers import (
    SECONDS,
    asked_until_answered,
    has_ended,
    new_servers,
    refused,
    running,
    tls_of,
    watched,
)

from uptane.assembly.production import System, utc_now
from uptane.assembly.serving import check_workers
from uptane.assembly.settings import Settings
from uptane.assembly.tls_server import listening
from uptane.assembly.workers import ATTEMPTS, Workers, WorkerTask
from uptane.cli.main import app, main
from uptane.metadata.errors import SettingsError, WorkersError
from uptane.storage.folders import PublishedFolder
from uptane.verification.own_metadata import OwnMetadata, verify_own_metadata

BODY = b'{"nonces": [1, 2, 3]}'
LONG = b"image " * 2_000_000
"""More than the buffers of a connection hold."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, ssl.SSLContext]:
    """Servers that list one long image, and a vehicle's TLS; each test serves them anew."""
    settings = new_servers(tmp_path_factory.mktemp("servers") / "fleet")
    images = settings.place("data/image-repository/targets")
    images.mkdir()
    (images / "long.img").write_bytes(LONG)
    return settings, tls_of(settings)


Made = tuple[Settings, ssl.SSLContext]
Begun = Callable[[int, ssl.SSLContext], AbstractContextManager[Callable[[], bytes]]]


@contextmanager
def connected(port: int, tls: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
    """A connection of the vehicle."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as plain,
        tls.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        yield connection


@contextmanager
def half_of_a_body(port: int, tls: ssl.SSLContext) -> Iterator[Callable[[], bytes]]:
    """A request whose head the server has, and half of the body; the rest follows, and the answer is given back."""
    head = "POST /timeserver/attestation HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
    with connected(port, tls) as connection:
        connection.sendall(f"{head}Content-Length: {len(BODY)}\r\n\r\n".encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
        connection.sendall(BODY[:5])

        def rest() -> bytes:
            connection.sendall(BODY[5:])
            return answer_of(connection)

        yield rest


@contextmanager
def half_of_an_image(port: int, tls: ssl.SSLContext) -> Iterator[Callable[[], bytes]]:
    """A request of which the first bytes of a long answer have come; the whole answer is given back."""
    with connected(port, tls) as connection:
        connection.sendall(get("/repo/targets/long.img", "Connection: close"))
        begun = connection.recv(1000)
        yield lambda: begun + b"".join(iter(lambda: connection.recv(1 << 20), b""))


def example() -> list[str]:
    """The words of the example with workers in the help of `uptane serve`, after the folder."""
    lines = [line.strip() for line in str(app["serve"].help).splitlines()]
    [words] = [shlex.split(line) for line in lines if line.startswith("uptane serve fleet") and "--workers" in line]
    return words[3:]


def test_workers_that_are_killed_while_they_answer_are_replaced_and_every_client_is_served(made: Made) -> None:
    settings, tls = made
    ready = ("https://", "worker 2 started")
    with running(settings.folder, *example(), ready=ready) as server:
        assert f"image-repository: https://127.0.0.1:{server.port}" in server.said
        port, enough, answers = server.port, threading.Event(), []

        def client() -> None:
            while not enough.is_set():
                answers.append(asked_until_answered(port, tls, "/repo/timestamp.der")[0])

        clients = [threading.Thread(target=client) for _ in range(3)]
        for each in clients:
            each.start()
        try:
            for number in (1, 2, 1):
                os.kill(server.worker(number), signal.SIGKILL)
                server.until(f"worker {number} started")
        finally:
            enough.set()
            for each in clients:
                each.join()
        assert answers and {answer[:15] for answer in answers} == {b"HTTP/1.1 200 OK"}
        assert len({answer.partition(b"\r\n\r\n")[2] for answer in answers}) == 1
        assert sum("was killed by SIGKILL" in line for line in server.said) == 3
        assert server.end() == 0


def test_workers_whose_parent_is_killed_finish_their_requests_and_end(made: Made) -> None:
    settings, tls = made
    systems = ("image-repository", "timeserver")
    ready = ("https://", "worker 2 started")
    with running(settings.folder, *systems, "--workers", "2", ready=ready) as server:
        port = server.port
        with watched(server.worker(1)) as one, watched(server.worker(2)) as two:
            with half_of_a_body(port, tls) as rest:
                server.end(signal.SIGKILL)
                assert refused(port)
                assert rest().startswith(b"HTTP/1.1 200 OK")
            assert has_ended(one) and has_ended(two)


@pytest.mark.parametrize(
    ("begun", "number", "workers"),
    [
        (half_of_a_body, signal.SIGTERM, "2"),
        (half_of_an_image, signal.SIGINT, "1"),
    ],
)
def test_a_server_that_is_asked_to_end_finishes_the_request_on_its_way(
    made: Made, begun: Begun, number: signal.Signals, workers: str
) -> None:
    settings, tls = made
    with running(settings.folder, "image-repository", "timeserver", "--workers", workers) as server:
        port = server.port
        with begun(port, tls) as rest:
            server.process.send_signal(number)
            assert refused(port)
            head, _, body = rest().partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK")
        assert f"content-length: {len(body)}".encode() in head.lower()
        assert begun is half_of_a_body or body == LONG
        assert server.process.wait(SECONDS) == 0


def test_two_servers_that_start_after_a_long_stop_sign_again_once_and_are_ready_then(tmp_path: Path) -> None:
    stopped = utc_now() - timedelta(days=30)
    settings = new_servers(tmp_path / "one", published=stopped)
    tls, metadata = tls_of(settings), PublishedFolder(settings.place("data/image-repository/metadata"))
    shutil.copytree(settings.folder, tmp_path / "two")
    shared = {"UPTANE_STORAGE__URL": str(settings.place("data/image-repository"))}

    def published() -> OwnMetadata:
        own = asyncio.run(verify_own_metadata(metadata, settings.profile))
        assert own is not None and own.expires is not None
        return own

    before = published()
    assert before.expires is not None and before.expires < stopped + timedelta(days=2)
    with (
        running(tmp_path / "one", "image-repository", variables=shared, ready=()) as one,
        running(tmp_path / "two", "image-repository", variables=shared, ready=()) as two,
    ):
        for server in (one, two):
            while not asked_until_answered(server.port, tls, "/readyz")[0].startswith(b"HTTP/1.1 200"):
                assert server.process.poll() is None
        after = published()
    assert (after.timestamp_version, after.snapshot_version) == (2, 2)
    assert isinstance(after.expires, datetime) and after.expires > utc_now() + timedelta(hours=20)


def test_what_is_wrong_at_the_start_is_told_in_one_line_whatever_the_number_of_workers(
    made: Made, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(made[0].folder / "keys", tmp_path / "keys")
    shutil.copy(made[0].folder / "uptane.toml", tmp_path)
    shutil.copytree(made[0].folder / "data", tmp_path / "data")
    (tmp_path / "keys" / "image-repository-timestamp").unlink()
    (tmp_path / "keys" / "image-repository-timestamp.pub").unlink()
    with listening("127.0.0.1", 0) as taken:
        wrong = [
            ([str(made[0].folder), "--workers", "2"], {}, 1, "PostgreSQL"),
            ([str(tmp_path), "image-repository", "--workers", "2"], {}, 5, "image-repository-timestamp"),
            (
                [str(made[0].folder), "timeserver", "--workers", "2"],
                {"UPTANE_LISTEN__PORT": str(taken.getsockname()[1])},
                1,
                "in use",
            ),
            ([str(tmp_path / "nowhere"), "--workers", "2"], {}, 1, "no settings"),
        ]
        for words, variables, code, named in wrong:
            with pytest.MonkeyPatch.context() as patch:
                for name, value in variables.items():
                    patch.setenv(name, value)
                assert main(["serve", *words]) == code
            out, told = capfd.readouterr()
            assert (out, len(told.splitlines())) == ("", 1) and named in told, told


def test_workers_of_the_director_need_a_database_that_several_processes_share(made: Made) -> None:
    several = made[0].with_workers(2)
    with pytest.raises(SettingsError) as refusal:
        check_workers(several, frozenset(System))
    assert (refusal.value.code, refusal.value.facts["field"]) == ("E-SETTINGS", "listen.workers")
    check_workers(several, frozenset({System.IMAGE_REPOSITORY, System.TIMESERVER}))
    check_workers(made[0], frozenset(System))


def supervised(code: str, say: Callable[[str], None], *arguments: str) -> None:
    """Two workers that are a few lines of Python."""

    async def serve() -> None:
        with listening("127.0.0.1", 0) as listener:
            task = WorkerTask(settings="", systems=(), certificate="", key="", listener=listener.fileno())
            command = (sys.executable, "-S", "-c", code, *arguments)
            await Workers(2, listener, task, say, "they answer", command=command, first_pause=0.0005).run()

    asyncio.run(serve())


def test_workers_that_never_answer_pause_longer_and_longer_and_are_given_up_with_one_error() -> None:
    said: list[str] = []
    with pytest.raises(WorkersError, match=r"ended with exit code 3") as refusal:
        supervised("raise SystemExit(3)", said.append)
    assert refusal.value.code == "E-WORKERS"
    pauses = [line.rpartition(" starts ")[2] for line in said if line.startswith("worker 1 (")]
    assert pauses[:3] == ["in 0.0005 s", "in 0.001 s", "in 0.002 s"] and len(pauses) >= ATTEMPTS - 1
    assert "they answer" not in said


ONE_ANSWERS = """
import os, socket, sys
parent = socket.socket(fileno=0)
assert parent.recv(100_000).endswith(b"\\n")
try:
    os.close(os.open(sys.argv[1], os.O_CREAT | os.O_EXCL))
except FileExistsError:
    sys.exit(3)
parent.send(b"ready\\n")
parent.recv(1)
"""


def test_while_one_worker_answers_the_others_are_tried_for_ever_and_all_end_when_they_are_asked_to(
    tmp_path: Path,
) -> None:
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        if sum("exit code 3" in each for each in said) == 2 * ATTEMPTS + 1:
            os.kill(os.getpid(), signal.SIGTERM)

    supervised(ONE_ANSWERS, say, str(tmp_path / "first"))
    assert said.count("they answer") == 1
    assert sum("was killed by SIGTERM" in line for line in said) in (1, 2)


def test_a_worker_that_nobody_tells_what_to_do_ends() -> None:
    command = [sys.executable, "-P", "-m", "uptane.assembly.worker"]
    ours, theirs = socket.socketpair()
    with theirs, subprocess.Popen(command, stdin=theirs) as worker:
        ours.close()
        theirs.close()
        assert worker.wait(SECONDS) == 0


def test_a_worker_has_the_settings_that_its_parent_has_read(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPTANE_DATABASE__URL", "postgresql://user:secret@host/name")
    settings = Settings(folder=made[0].folder).with_workers(3)
    monkeypatch.setenv("UPTANE_DATABASE__URL", "changed.sqlite")
    monkeypatch.setenv("UPTANE_LISTEN__WORKERS", "5")
    handed_on = Settings(**json.loads(settings.to_json()))
    assert handed_on == settings and handed_on.database_url == "postgresql://user:secret@host/name"
